//! Which parts of a file hold data: what lies between was never written and reads as zeros.
//!
//! The file system says so (lseek(2), SEEK_DATA), by its blocks. What is in the parts is not looked at.

use std::fs::File;
use std::ops::Range;

/// The parts of a file that hold data. All of it when the file system does not know.
pub(super) fn data_extents(file: &File, size: u64) -> Vec<Range<u64>> {
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
pub(super) fn clip(extents: &[Range<u64>], window: Range<u64>) -> Vec<Range<u64>> {
    let first = extents.partition_point(|e| e.end <= window.start);
    extents
        .iter()
        .skip(first)
        .take_while(|e| e.start < window.end)
        .map(|e| e.start.max(window.start) - window.start..e.end.min(window.end) - window.start)
        .collect()
}
