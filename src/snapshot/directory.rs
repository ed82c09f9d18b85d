//! A snapshot that is a directory: a file for each region, and `snapshot.json`.
//!
//! The format is python-memtools': `mem.START.END.bin` (16 upper-case hex digits, end exclusive, raw bytes); ours adds
//! `snapshot.json`. Files that were compressed one by one are taken in by `gathered`. What is short, empty or
//! unreadable is left out and told; nothing here decides whether a path is such a directory.

use super::error::OpenError;
use super::extents::{clip, data_extents};
use super::foretold::{Foretold, unpacking};
use super::gathered::{Gathered, is_packed_part};
use super::guard::Guarded;
use super::{Addr, Metadata, Region, Snapshot, SourceKind, meta};
use crate::progress::Progress;
use std::fs::File;
use std::io::{self, Read};
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

/// Opens a directory: its region files, and what else it tells.
pub(super) fn open(path: &Path, progress: &Progress) -> Result<Snapshot, OpenError> {
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
    let mut packed_metadata = None;
    if !packed.is_empty() {
        let mut gathered = gather(path, &packed, progress)?;
        packed_metadata = gathered.metadata.take(); // it is told of once, when all is together
        problems.append(&mut gathered.problems);
        if let Some(unpacked) = gathered.finish(path)? {
            found = true;
            regions.extend(unpacked.regions);
            problems.extend(unpacked.problems);
        }
    }
    if !found {
        return Err(OpenError::NoRegions(path.to_owned()));
    }
    let metadata = match read_metadata(&path.join(meta::FILE_NAME)) {
        Ok(metadata) => metadata.or(packed_metadata),
        Err(error) => {
            problems.push(format!("{} is left out: {error}", meta::FILE_NAME));
            packed_metadata
        }
    };
    let source = path.to_owned();
    let mut snapshot = Snapshot { regions, metadata, problems, source, kind: SourceKind::Directory };
    snapshot.settle();
    Ok(snapshot)
}

/// The parts of a directory that were compressed one by one.
fn gather(path: &Path, packed: &[PathBuf], progress: &Progress) -> Result<Gathered, OpenError> {
    let unwritable = |error| OpenError::unpack(path, error);
    progress.begin(packed.iter().filter_map(|p| Some(p.metadata().ok()?.len())).fold(0, u64::saturating_add));
    let mut gathered = Gathered::new(unpacking(path).map_or(Foretold::Unknown, |u| u.unpacked)).map_err(unwritable)?;
    for part in packed {
        progress.check().map_err(|_| OpenError::Cancelled)?;
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = File::open(part).map_err(|error| OpenError::Io { path: part.clone(), error })?;
        progress.advance(file.metadata().map_or(0, |info| info.len()));
        gathered.add(&name, Box::new(io::BufReader::new(file))).map_err(unwritable)?;
    }
    Ok(gathered)
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
    serde_json::from_slice(&text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

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
    fn what_a_packed_description_tells_is_told_once() {
        let described = Metadata { problems: vec!["one thing".into()], ..Metadata::default() };
        let text = serde_json::to_vec(&described).unwrap();
        let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
        let region = region_file_name(Addr(0x1000), Addr(0x1008));
        for packed in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("snapshot.json.zst"), zstd(&text)).unwrap();
            let (name, bytes) = if packed {
                (format!("{region}.zst"), zstd(b"abcdefgh"))
            } else {
                (region.clone(), b"abcdefgh".to_vec())
            };
            std::fs::write(dir.path().join(name), bytes).unwrap();
            let snapshot = Snapshot::open(dir.path()).unwrap();
            assert_eq!(snapshot.reader().slice(Addr(0x1000), 8), Some(b"abcdefgh".as_slice()));
            assert_eq!((snapshot.metadata(), snapshot.problems()), (Some(&described), &["one thing".to_owned()][..]));
        }
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
