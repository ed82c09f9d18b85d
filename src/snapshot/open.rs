//! Opening what a capture left behind: a directory of region files, or a single file.
//!
//! Two formats are python-memtools': a directory of `mem.START.END.bin` (16 upper-case hex digits, end exclusive,
//! raw bytes), and repeated records of little-endian u64 start, u64 end, bytes. Ours adds `snapshot.json`. What a file
//! is, its beginning tells: `corefile`, `unpack` and `stream` read the others. Nothing here looks into the memory.

use super::error::OpenError;
use super::foretold::{Foretold, unpacking};
use super::gathered::{Gathered, is_packed_part};
use super::guard::Guarded;
use super::partial::is_partial;
use super::{Addr, Metadata, Region, Snapshot, SourceKind, corefile, meta, unpack};
use crate::progress::Progress;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Region files smaller than this are read, not mapped: a mapping costs a page and a place in `max_map_count`.
const READ_BELOW: u64 = 64 << 10;

/// `snapshot.json` larger than this is not ours.
const METADATA_LIMIT: u64 = 256 << 20;

/// The name of the file that holds the memory from `start` to `end`.
pub fn region_file_name(start: Addr, end: Addr) -> String {
    format!("mem.{:016X}.{:016X}.bin", start.0, end.0)
}

/// The range a region file's name tells, `None` for any other file.
pub(super) fn parse_region_file_name(name: &str) -> Option<(Addr, Addr)> {
    let mut parts = name.strip_prefix("mem.")?.strip_suffix(".bin")?.split('.');
    let (start, end) = (parts.next()?, parts.next()?);
    let hex = |s: &str| (s.len() == 16 && s.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Addr::parse(s)).flatten();
    parts.next().is_none().then_some((hex(start)?, hex(end)?))
}

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
            return open_directory(path, progress);
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

fn open_directory(path: &Path, progress: &Progress) -> Result<Snapshot, OpenError> {
    let io_error = |error| OpenError::Io { path: path.to_owned(), error };
    let mut problems = Vec::new();
    let mut regions = Vec::new();
    let mut packed: Vec<PathBuf> = Vec::new();
    let mut found = false;
    for entry in std::fs::read_dir(path).map_err(io_error)? {
        let entry = entry.map_err(io_error)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_packed_part) {
            packed.push(entry.path());
            continue;
        }
        let Some((start, end)) = name.to_str().and_then(parse_region_file_name) else { continue };
        found = true;
        if end <= start {
            problems.push(format!("{} ends before it starts and was left out", entry.path().display()));
            continue;
        }
        match region_file(&entry.path(), start, end) {
            Ok(Some((region, None))) => regions.push(region),
            Ok(Some((region, Some(problem)))) => {
                regions.push(region);
                problems.push(problem);
            }
            Ok(None) => problems.push(format!("{} is empty and was left out", name.to_string_lossy())),
            Err(error) => problems.push(format!("{} cannot be read: {error}", entry.path().display())),
        }
    }
    let mut unpacked = if packed.is_empty() { None } else { unpack_parts(path, &packed, progress)? };
    if !found && unpacked.is_none() {
        return Err(OpenError::NoRegions(path.to_owned()));
    }
    let mut metadata = match read_metadata(&path.join(meta::FILE_NAME)) {
        Ok(metadata) => metadata,
        Err(error) => {
            problems.push(format!("{} is left out: {error}", meta::FILE_NAME));
            None
        }
    };
    if let Some(unpacked) = &mut unpacked {
        regions.append(&mut unpacked.regions);
        problems.append(&mut unpacked.problems);
        metadata = metadata.or(unpacked.metadata.take());
    }
    let source = path.to_owned();
    let mut snapshot = Snapshot { regions, metadata, problems, source, kind: SourceKind::Directory };
    snapshot.settle();
    Ok(snapshot)
}

/// The parts of a directory that were compressed one by one.
fn unpack_parts(path: &Path, packed: &[PathBuf], progress: &Progress) -> Result<Option<Snapshot>, OpenError> {
    let unwritable = |error| OpenError::unpack(path, error);
    progress.begin(packed.iter().filter_map(|p| Some(p.metadata().ok()?.len())).sum());
    let mut gathered = Gathered::new(unpacking(path).map_or(Foretold::Unknown, |u| u.unpacked)).map_err(unwritable)?;
    for part in packed {
        progress.check().map_err(|_| OpenError::Cancelled)?;
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = File::open(part).map_err(|error| OpenError::Io { path: part.clone(), error })?;
        progress.advance(file.metadata().map_or(0, |info| info.len()));
        gathered.add(&name, Box::new(io::BufReader::new(file))).map_err(unwritable)?;
    }
    gathered.finish(path)
}

/// The region a file holds, with a sentence when it is shorter or longer than its name says; `None` when empty.
fn region_file(path: &Path, start: Addr, end: Addr) -> io::Result<Option<(Region, Option<String>)>> {
    let mut file = File::open(path)?;
    let info = file.metadata()?;
    if !info.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let wanted = end.0 - start.0;
    let len = info.len().min(wanted);
    if len == 0 {
        return Ok(None);
    }
    let problem = (info.len() != wanted).then(|| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let shape = if info.len() < wanted { "shorter" } else { "longer" };
        format!("{name} is {shape} than its name says: {} bytes, not {wanted}", info.len())
    });
    let region = if len < READ_BELOW {
        let mut bytes = vec![0; len as usize];
        file.read_exact(&mut bytes)?;
        Region::from_memory(start, bytes)
    } else {
        let extents = clip(&data_extents(&file, len), 0..len);
        Region::mapped(start, &Arc::new(Guarded::map(&file, Some(path))?), 0, len, extents)
    };
    Ok(Some((region, problem)))
}

fn read_metadata(path: &Path) -> Result<Option<Metadata>, String> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(file) => parse_metadata(file).map(Some),
    }
}

/// Reads the text of `snapshot.json`.
pub(super) fn parse_metadata(input: impl Read) -> Result<Metadata, String> {
    let mut text = Vec::new();
    input.take(METADATA_LIMIT).read_to_end(&mut text).map_err(|e| e.to_string())?;
    let mut metadata: Metadata = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    metadata.settle();
    Ok(metadata)
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

/// The parts of a file that hold data. All of it when the file system does not know.
fn data_extents(file: &File, size: u64) -> Vec<Range<u64>> {
    use nix::unistd::{Whence, lseek};
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let from = match lseek(file, at as i64, Whence::SeekData) {
            Ok(from) => from as u64,
            Err(nix::errno::Errno::ENXIO) => break, // a hole up to the end
            Err(_) => {
                extents.push(at..size);
                break;
            }
        };
        let to = lseek(file, from as i64, Whence::SeekHole).map_or(size, |to| to as u64).min(size);
        if to <= from {
            break; // the file shrank
        }
        extents.push(from..to);
        at = to;
    }
    extents
}

/// The parts of `extents` within `window`, relative to its start.
fn clip(extents: &[Range<u64>], window: Range<u64>) -> Vec<Range<u64>> {
    let first = extents.partition_point(|e| e.end <= window.start);
    extents
        .iter()
        .skip(first)
        .take_while(|e| e.start < window.end)
        .map(|e| e.start.max(window.start) - window.start..e.end.min(window.end) - window.start)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

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
    fn region_file_names_are_python_memtools() {
        let name = region_file_name(Addr(0x7f00_dead_b000), Addr(0x7f00_dead_c000));
        assert_eq!(name, "mem.00007F00DEADB000.00007F00DEADC000.bin");
        assert_eq!(parse_region_file_name(&name), Some((Addr(0x7f00_dead_b000), Addr(0x7f00_dead_c000))));
        for other in ["mem.1.2.bin", "analysis-data.json", "mem.0000000000001000.bin", "mem.00007F00DEADB000.x.bin"] {
            assert_eq!(parse_region_file_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_of_another_program_opens() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(region_file_name(Addr(0x1000), Addr(0x1008))), *b"abcdefgh").unwrap();
        std::fs::write(dir.path().join(region_file_name(Addr(0x2000), Addr(0x2010))), *b"short").unwrap();
        std::fs::write(dir.path().join(region_file_name(Addr(0x3000), Addr(0x3010))), *b"").unwrap();
        std::fs::write(dir.path().join("analysis-data.json"), *b"{}").unwrap();
        let snapshot = Snapshot::open(dir.path()).unwrap();
        assert!(snapshot.metadata().is_none());
        let ranges: Vec<_> = snapshot.regions().iter().map(|r| (r.start.0, r.end.0)).collect();
        assert_eq!(ranges, [(0x1000, 0x1008), (0x2000, 0x2005)]);
        assert_eq!(snapshot.problems().len(), 2, "{:?}", snapshot.problems());
        assert_eq!(snapshot.reader().slice(Addr(0x1002), 3), Some(b"cde".as_slice()));
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

    #[test]
    fn an_empty_directory_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let error = Snapshot::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no mem.START.END.bin"), "{error}");
        let error = Snapshot::open(&dir.path().join("nothing")).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn holes_are_known_and_read_as_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(region_file_name(Addr(0x10_0000), Addr(0x30_0000)));
        let file = File::create(&path).unwrap();
        file.set_len(0x20_0000).unwrap();
        file.write_all_at(&[7; 4096], 0x10_0000).unwrap();
        let snapshot = Snapshot::open(dir.path()).unwrap();
        let region = &snapshot.regions()[0];
        let data: u64 = region.extents().iter().map(|e| e.end - e.start).sum();
        assert!(data < region.len(), "the file system keeps no holes: {:?}", region.extents());
        assert_eq!(snapshot.reader().u64(Addr(0x10_0000)), Some(0));
        assert_eq!(snapshot.reader().u8(Addr(0x20_0000)), Some(7));
    }
}
