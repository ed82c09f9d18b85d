//! Why a snapshot could not be opened or written, in sentences that say what to do.

use crate::progress::Cancelled;
use crate::text;
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot could not be opened; each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there, or it may not be read.
    #[error("{path} cannot be opened: {error}")]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A directory without any region file.
    #[error("{0} holds no snapshot: there is no mem.START.END.bin in it")]
    NoRegions(PathBuf),
    /// A file that is not a stream of records.
    #[error("{path} is not a snapshot: {reason}; give a directory of mem.START.END.bin files or a stream file")]
    NotAStream {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Compressed, and nothing of it can be had.
    #[error("{path} is damaged: its {form} data cannot be unpacked ({reason}); copy it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        form: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A core file of no use here.
    #[error("{path} is no core file of an x86-64 Linux process: {reason}")]
    NotACore {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// It has to be unpacked and cannot be.
    #[error("{path} cannot be unpacked: {error}")]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        error: WriteError,
    },
    /// It has to be unpacked, and is larger than any disk that may be used.
    #[error(
        "{path} cannot be unpacked: that takes {}, and no place for temporary files has so much free; set TMPDIR to a \
         folder on a disk that has (memory file systems are not used)",
        text::size(*needed)
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Bytes that will come out.
        needed: u64,
    },
    /// What a capture left that did not come to its end.
    #[error("{0} is no whole snapshot: the capture that wrote it was ended before it was done; capture again")]
    Partial(PathBuf),
    /// Asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl OpenError {
    /// Why `path` could not be unpacked.
    pub(super) fn unpack(path: &Path, error: WriteError) -> OpenError {
        let path = path.to_owned();
        match error {
            WriteError::NoRoom { needed } => OpenError::NoRoom { path, needed },
            error => OpenError::Unpack { path, error },
        }
    }
}

/// Why a snapshot could not be written; each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output is there already.
    #[error("{0} exists already; give another path or remove it first")]
    Exists(PathBuf),
    /// The output's folder is missing or closed to us.
    #[error("{path} cannot be written: {error}")]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// Not enough room, known before or met on the way.
    #[error("the disk of {path} is full: the snapshot needs {}, {}; nothing was kept", text::size(*needed),
            free.map_or("which did not fit".into(), |free| format!("{} is free", text::size(free))))]
    Full {
        /// What was to be written.
        path: PathBuf,
        /// Bytes to be written.
        needed: u64,
        /// Bytes that were free, when that was looked at.
        free: Option<u64>,
    },
    /// The file size limit of this process.
    #[error("{0} would be larger than this process may write; raise the limit (ulimit -f unlimited)")]
    TooLarge(PathBuf),
    /// No disk with enough room for a temporary file.
    #[error(
        "there is no room for a temporary snapshot of {}: set TMPDIR to a folder on a disk with so much free space \
         (memory file systems are not used), or keep the snapshot with -o PATH",
        text::size(*needed)
    )]
    NoRoom {
        /// Bytes to be written.
        needed: u64,
    },
    /// Asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl WriteError {
    pub(super) fn io(path: &Path, needed: u64, error: io::Error) -> WriteError {
        let path = path.to_owned();
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => WriteError::Full { path, needed, free: None },
            Some(Errno::EFBIG) => WriteError::TooLarge(path),
            _ => WriteError::Io { path, error },
        }
    }
}
