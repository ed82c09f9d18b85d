//! A file without a name, on a real disk.
//!
//! A temporary snapshot is as big as the heap it was taken from: on a memory file system it would eat the memory the
//! process needs. So those are passed over, and a file system must have the room before it is chosen.

use super::error::WriteError;
use super::foretold::Foretold;
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Left free on the disk we put a temporary file on.
const MARGIN: u64 = 64 << 20;

/// An open file that no folder lists, with room for `needed` bytes, and the folder whose disk it is on.
pub fn unnamed_file(needed: u64) -> Result<(File, PathBuf), WriteError> {
    first_of(candidates().filter(|folder| !is_memory(folder) && has_room(folder, needed)), needed)
}

/// The same for what will come of a compressed file: where its size is not known for certain, where there is room for
/// what it may be, or the most.
pub(super) fn file_for(told: Foretold) -> Result<(File, PathBuf), WriteError> {
    let hoped = told.hoped();
    match unnamed_file(hoped) {
        Err(WriteError::NoRoom { .. }) if told.needed().is_none() => {
            let mut folders: Vec<PathBuf> = candidates().filter(|f| !is_memory(f) && has_room(f, 0)).collect();
            folders.sort_by_key(|folder| std::cmp::Reverse(free_bytes(folder).unwrap_or(0)));
            first_of(folders.into_iter(), 0)
        }
        found => found,
    }
}

fn first_of(mut folders: impl Iterator<Item = PathBuf>, needed: u64) -> Result<(File, PathBuf), WriteError> {
    let found = folders.find_map(|folder| Some((tempfile::tempfile_in(&folder).ok()?, folder)));
    found.ok_or(WriteError::NoRoom { needed })
}

fn has_room(folder: &Path, needed: u64) -> bool {
    free_bytes(folder).is_ok_and(|free| free >= needed.saturating_add(MARGIN))
}

/// How often the room is looked at: every so many bytes.
const LOOK: u64 = 16 << 20;

/// Before `more` bytes are added to a file in `folder` that holds `len`: an error when they would leave too little.
pub(super) fn check_room(folder: &Path, len: u64, more: u64) -> Result<(), WriteError> {
    if len / LOOK == (len + more) / LOOK && len > 0 {
        return Ok(());
    }
    let free = free_bytes(folder).unwrap_or(u64::MAX);
    if free < MARGIN.saturating_add(more) {
        return Err(WriteError::Full { path: folder.to_owned(), needed: len.saturating_add(more), free: Some(free) });
    }
    Ok(())
}

/// Bytes an unprivileged user may still write where `folder` lies.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let info = statvfs(folder)?;
    Ok(info.blocks_available().saturating_mul(info.fragment_size()))
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    [var("TMPDIR"), Some("/var/tmp".into()), Some("/tmp".into()), cache, std::env::current_dir().ok()]
        .into_iter()
        .flatten()
}

fn is_memory(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|info| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&info.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_file_systems_are_known() {
        assert!(!is_memory(Path::new("/proc")));
        if let Ok(true) = std::fs::read_to_string("/proc/mounts").map(|m| m.contains(" /dev/shm tmpfs ")) {
            assert!(is_memory(Path::new("/dev/shm")));
        }
    }
}
