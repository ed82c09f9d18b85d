//! Opening what a capture left behind: a directory of region files, or a single file.
//!
//! Here it is told what it is: `directory` reads a directory, and what a file is, its beginning says. python-memtools'
//! format of one file (repeated records of little-endian u64 start, u64 end, bytes) is read here; `corefile`, `unpack` and
//! `stream` read the others. Nothing here looks into the memory.

use super::error::OpenError;
use super::extents::{clip, data_extents};
use super::foretold::{Foretold, unpacking};
use super::guard::Guarded;
use super::partial::is_partial;
use super::{Addr, Metadata, Region, Snapshot, SourceKind, corefile, directory, unpack};
use crate::progress::Progress;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Snapshot {
    /// Opens a directory, a stream or a core file, compressed or not. What is short, overlapping and unreadable is left
    /// out or cut, and told in [`problems`](Snapshot::problems); `Err` when there is nothing to look at.
    pub fn open(path: &Path) -> Result<Snapshot, OpenError> {
        Snapshot::open_with(path, Path::new("/"), &Progress::default())
    }

    /// The same; the programs and libraries that a core file names are looked for below `root`. What has to be unpacked
    /// first counts the bytes of the file that were read, and can be cancelled.
    pub fn open_with(path: &Path, root: &Path, progress: &Progress) -> Result<Snapshot, OpenError> {
        let io_error = |error| OpenError::Io { path: path.to_owned(), error };
        let info = std::fs::metadata(path).map_err(io_error)?;
        if info.is_dir() {
            if is_partial(path) {
                return Err(OpenError::Partial(path.to_owned()));
            }
            return directory::open(path, progress);
        }
        if info.file_type().is_fifo() {
            return Snapshot::open_reader(&mut File::open(path).map_err(io_error)?, path, root, progress);
        }
        if !info.is_file() {
            return Err(io_error(io::Error::other("it is neither a directory nor a regular file")));
        }
        let mut file = File::open(path).map_err(io_error)?;
        if let Some(unpacking) = unpacking(path) {
            progress.begin(info.len());
            return unpack::open(&mut file, unpacking.unpacked, path, root, progress);
        }
        Snapshot::open_file(file, path, Some(path), root)
    }

    /// Opens what comes through a pipe; `name` is what it is called, `root` as above.
    pub fn open_reader(
        input: &mut dyn Read,
        name: &Path,
        root: &Path,
        progress: &Progress,
    ) -> Result<Snapshot, OpenError> {
        unpack::open(input, Foretold::Unknown, name, root, progress)
    }

    /// Opens a plain stream or a core file that is held already; `path` is where it lies, if anywhere.
    pub(super) fn open_file(file: File, name: &Path, path: Option<&Path>, root: &Path) -> Result<Snapshot, OpenError> {
        let io_error = |error| OpenError::Io { path: name.to_owned(), error };
        let size = file.metadata().map_err(io_error)?.len();
        if corefile::is_elf(&file) {
            return corefile::open(file, name, path, root);
        }
        let (records, cut) = stream_records(&file, size).map_err(|e| match e {
            StreamError::Io(error) => io_error(error),
            StreamError::Shape(reason) => OpenError::NotAStream { path: name.to_owned(), reason },
        })?;
        let mut snapshot = Snapshot::from_named_parts(file, path, &records, None).map_err(io_error)?;
        snapshot.source = name.to_owned();
        snapshot.problems.extend(cut);
        Ok(snapshot)
    }

    /// A snapshot whose regions lie in one file: `(first address, offset in the file, length)` each. The file may be
    /// unlinked already; it lives as long as the snapshot.
    pub fn from_parts(file: File, parts: &[(Addr, u64, u64)], metadata: Option<Metadata>) -> io::Result<Snapshot> {
        Snapshot::from_named_parts(file, None, parts, metadata)
    }

    pub(super) fn from_named_parts(
        file: File,
        path: Option<&Path>,
        parts: &[(Addr, u64, u64)],
        metadata: Option<Metadata>,
    ) -> io::Result<Snapshot> {
        let size = file.metadata()?.len();
        let map = if size == 0 { None } else { Some(Arc::new(Guarded::map(&file, path)?)) };
        let holes = data_extents(&file, size);
        let mut problems = Vec::new();
        let mut regions = Vec::new();
        for (start, offset, len) in parts {
            let available = (*len).min(size.saturating_sub(*offset)).min(u64::MAX - start.0);
            if available < *len {
                problems.push(format!("the region at {start} is cut short: {available} of {len} bytes are there"));
            }
            let Some(map) = map.as_ref().filter(|_| available > 0) else { continue };
            let extents = clip(&holes, *offset..*offset + available);
            regions.push(Region::mapped(*start, map, *offset, available, extents));
        }
        let kind = SourceKind::Stream;
        let mut snapshot = Snapshot { regions, metadata, problems, source: PathBuf::new(), kind };
        snapshot.settle();
        Ok(snapshot)
    }
}

enum StreamError {
    Io(io::Error),
    Shape(String),
}

/// First address, place in the file, and length of each record.
type Records = Vec<(Addr, u64, u64)>;

/// The records of a stream of `size` bytes; empty ones are passed over. Reads 16 bytes a record. A stream that was cut
/// has what came before, and a sentence: every record of one was as a capture writes it, whole pages of a process.
fn stream_records(mut file: &File, size: u64) -> Result<(Records, Option<String>), StreamError> {
    use StreamError::{Io, Shape};
    const USER_SPACE: u64 = 1 << 47;
    let mut records = Vec::new();
    let mut at = 0;
    let mut pages = true;
    if size == 0 {
        return Err(Shape("it is empty".into()));
    }
    let cut = |at: u64| Some(format!("the stream was cut short at byte {at}: the memory after that is missing"));
    while at < size {
        if size - at < 16 {
            if pages && !records.is_empty() {
                return Ok((records, cut(size)));
            }
            return Err(Shape(format!("it ends in the middle of a record's head, at byte {at}")));
        }
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at)).map_err(Io)?;
        file.read_exact(&mut head).map_err(Io)?;
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| head[i + k]));
        let (start, end) = (word(0), word(8));
        at += 16;
        let len = end
            .checked_sub(start)
            .ok_or_else(|| Shape(format!("the record at byte {} ends before it starts", at - 16)))?;
        pages &= start % 4096 == 0 && end % 4096 == 0 && end <= USER_SPACE;
        if len > size - at {
            if pages && at < size {
                records.push((Addr(start), at, size - at));
                return Ok((records, cut(size)));
            }
            return Err(Shape(format!(
                "the record at byte {} reaches {} bytes past the end of the file",
                at - 16,
                len - (size - at)
            )));
        }
        if len > 0 {
            records.push((Addr(start), at, len));
        }
        at += len;
    }
    if records.is_empty() {
        return Err(Shape("it holds no memory".into()));
    }
    Ok((records, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn stream(records: &[(u64, u64, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (start, end, bytes) in records {
            file.write_all(&start.to_le_bytes()).unwrap();
            file.write_all(&end.to_le_bytes()).unwrap();
            file.write_all(bytes).unwrap();
        }
        file
    }

    #[test]
    fn a_stream_opens_and_a_cut_one_says_where() {
        let whole = stream(&[(0x1000, 0x1004, b"abcd"), (0x5000, 0x5000, b""), (0x2000, 0x2002, b"xy")]);
        let snapshot = Snapshot::open(whole.path()).unwrap();
        assert_eq!(snapshot.regions().len(), 2);
        assert_eq!(snapshot.reader().slice(Addr(0x2000), 2), Some(b"xy".as_slice()));

        let cut = stream(&[(0x1000, 0x1004, b"ab")]);
        let error = Snapshot::open(cut.path()).unwrap_err().to_string();
        assert!(error.contains("reaches 2 bytes past the end of the file"), "{error}");
        let foreign = stream(&[(0x5000, 0x1000, b"")]);
        assert!(Snapshot::open(foreign.path()).unwrap_err().to_string().contains("ends before it starts"));
        let empty = stream(&[]);
        assert!(Snapshot::open(empty.path()).unwrap_err().to_string().contains("is empty"));
    }
}
