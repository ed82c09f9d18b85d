//! Whether a process is worth stopping: a cheap look for CPython before anything is copied.
//!
//! The names of mapped files decide in nearly every case. The true answer comes from the snapshot, later; this only
//! spares people who mistyped a number a copy of their database.

use super::proc::Map;
use std::collections::HashSet;
use std::fs::File;

/// What every CPython holds in its read-only data, however it was linked or stripped.
const MARK: &[u8] = b"PYTHONHASHSEED";

/// Whether CPython seems to be mapped.
pub(super) fn seems_to_run(pid: i32, maps: &[Map]) -> bool {
    let images = || maps.iter().filter(|m| m.is_file() && m.executable());
    let named = |m: &Map| {
        let name = m.name.as_ref().and_then(|n| n.file_name()).map(|n| n.to_string_lossy().to_lowercase());
        name.is_some_and(|n| n.contains("python"))
    };
    let mut seen = HashSet::new();
    images().any(named) || images().any(|m| seen.insert((m.device, m.inode)) && holds_mark(pid, m))
}

/// `3.12`, where a mapped file is named so: `python3.12`, `libpython3.12.so.1.0`, `lib/python3.12/…`.
pub(super) fn version(maps: &[Map]) -> Option<String> {
    let in_name = |m: &Map| {
        let name = m.name.as_ref()?.to_string_lossy().into_owned();
        let at = name.find("python3.")? + "python".len();
        let version: String = name
            .get(at..)?
            .chars()
            .enumerate()
            .take_while(|(i, c)| *i == 1 || c.is_ascii_digit())
            .map(|(_, c)| c)
            .collect();
        (version.len() > 2).then_some(version)
    };
    maps.iter().filter(|m| m.is_file()).find_map(in_name)
}

fn holds_mark(pid: i32, map: &Map) -> bool {
    let by_range = format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end);
    let by_name = || Some(format!("/proc/{pid}/root{}", map.name.as_ref()?.to_str()?));
    let file = File::open(by_range).ok().or_else(|| File::open(by_name()?).ok());
    file.is_some_and(|file| contains(file, MARK).unwrap_or(false))
}

fn contains(mut file: impl std::io::Read, needle: &[u8]) -> std::io::Result<bool> {
    let mut buffer = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let got = file.read(buffer.get_mut(kept..).unwrap_or_default())?;
        if got == 0 {
            return Ok(false);
        }
        let filled = buffer.get(..kept + got).unwrap_or_default();
        if crate::snapshot::find_bytes(filled, needle).is_some() {
            return Ok(true);
        }
        let keep = filled.len().min(needle.len().saturating_sub(1));
        let from = filled.len() - keep;
        buffer.copy_within(from..from + keep, 0);
        kept = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time.
    struct Slowly<'b>(&'b [u8]);

    impl std::io::Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(into.len()).min(3);
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn the_mark_is_found_across_reads() {
        assert!(contains(Slowly(b"xxPYTHONPYTHONHASHSEEDyy"), MARK).unwrap());
        assert!(!contains(Slowly(b"PYTHONHASHSEE"), MARK).unwrap());
    }
}
