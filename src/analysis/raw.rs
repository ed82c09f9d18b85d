//! Raw memory with what is known of it: words that point to objects, and where bytes occur.

use super::answers::{Hex, Hit, WordRow};
use super::describe::{DEFAULT_WIDTH, describe};
use crate::heap::Heap;
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Region, Snapshot};
use crate::text::sanitize;
use memchr::memmem;

/// Bytes that are searched between two looks at the cancellation.
const PIECE: usize = 16 << 20;

/// More is not shown at once.
const MAX_LEN: u64 = 128 << 20;

/// Up to `len` bytes from `start`, as far as they are captured around `address` without a gap; `None` when `address`
/// is not captured.
pub fn hex(snapshot: &Snapshot, address: Addr, start: Addr, len: u64) -> Option<Hex> {
    let region = snapshot.region_of(address)?;
    let within = touching(snapshot, address)?;
    let end = start + len.min(MAX_LEN);
    let start = start.max(within.0).min(address);
    let mut bytes = Vec::new();
    for (_, piece) in snapshot.reader().chunks(start, end.0.saturating_sub(start.0)) {
        bytes.extend_from_slice(piece);
    }
    Some(Hex { address, start, bytes, words: Vec::new(), object: None, region: describe_region(region), within })
}

/// The memory around an address that regions which touch make up.
fn touching(snapshot: &Snapshot, address: Addr) -> Option<(Addr, Addr)> {
    let regions = snapshot.regions();
    let i = regions.partition_point(|r| r.start <= address).checked_sub(1)?;
    let here = regions.get(i).filter(|r| r.contains(address))?;
    let before = regions[..i].iter().rev().scan(here.start, |start, r| (r.end == *start).then(|| *start = r.start));
    let first = i - before.count();
    let mut end = here.end;
    for region in &regions[i + 1..] {
        if region.start != end {
            break;
        }
        end = region.end;
    }
    Some((regions[first].start, end))
}

/// What is mapped in a region, in a line.
pub fn describe_region(region: &Region) -> String {
    let permissions = region.permissions.as_deref().unwrap_or("????");
    let file = region.file.as_deref().unwrap_or("anonymous");
    sanitize(&format!("{}-{} {permissions} {file}", region.start, region.end)).into_owned()
}

/// Adds the objects that words of `hex` point to, and the one its address lies in.
pub fn name_words(heap: &Heap, hex: &mut Hex) {
    let memory = heap.memory();
    let skip = (hex.start.0.wrapping_neg() % 8) as usize;
    for (i, word) in hex.bytes.get(skip..).unwrap_or(&[]).chunks_exact(8).enumerate() {
        let value = word.first_chunk().map_or(Addr::NULL, |w| Addr(u64::from_le_bytes(*w)));
        if let Some((_, ty)) = heap.object_at(value) {
            let address = hex.start + (skip + i * 8) as u64;
            hex.words.push(WordRow { address, value, object: value, type_name: ty.name.clone() });
        }
    }
    hex.object = heap
        .object_around(hex.address)
        .map(|(_, start, ty)| (start, ty.name.clone(), describe(&memory, heap.types(), start, ty, DEFAULT_WIDTH)));
}

/// Adds the objects that hits lie in.
pub fn name_hits(heap: &Heap, hits: &mut [Hit]) {
    for hit in hits {
        if let Some((_, start, ty)) = heap.object_around(hit.address) {
            hit.object = Some(start);
            hit.type_name = Some(ty.name.clone());
        }
    }
}

/// The nearest occurrence of `pattern` after `from`, or before it. Looks within regions.
pub fn find_next(
    snapshot: &Snapshot,
    pattern: &[u8],
    from: Addr,
    backwards: bool,
    progress: &Progress,
) -> Result<Option<Addr>, Cancelled> {
    progress.begin(snapshot.data_bytes());
    let regions = snapshot.regions();
    if backwards {
        let finder = memmem::FinderRev::new(pattern);
        let beyond = Addr(from.0.saturating_add((pattern.len() as u64).saturating_sub(1)));
        for region in regions.iter().rev().filter(|r| r.start < from) {
            for extent in region.extents().iter().rev() {
                let start = region.start + extent.start;
                let mut end = (region.start + extent.end).min(beyond);
                while start < end {
                    progress.check()?;
                    let begin = Addr(end.0.saturating_sub(PIECE as u64)).max(start);
                    let bytes =
                        region.bytes().get((begin.0 - region.start.0) as usize..(end.0 - region.start.0) as usize);
                    if let Some(at) = bytes.and_then(|b| finder.rfind(b)) {
                        return Ok(Some(begin + at as u64));
                    }
                    progress.advance(end.0 - begin.0);
                    end = if begin == start { start } else { begin + (pattern.len() as u64 - 1) };
                }
            }
        }
        return Ok(None);
    }
    let finder = memmem::Finder::new(pattern);
    for region in regions.iter().filter(|r| r.end > from) {
        for extent in region.extents() {
            let end = region.start + extent.end;
            let mut begin = (region.start + extent.start).max(from + 1);
            while begin < end {
                progress.check()?;
                let stop = Addr(begin.0.saturating_add((PIECE + pattern.len()) as u64)).min(end);
                let bytes = region.bytes().get((begin.0 - region.start.0) as usize..(stop.0 - region.start.0) as usize);
                if let Some(at) = bytes.and_then(|b| finder.find(b)) {
                    return Ok(Some(begin + at as u64));
                }
                progress.advance(stop.0 - begin.0);
                begin = if stop == end { end } else { begin + PIECE as u64 };
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_all_addresses_is_no_obstacle() {
        let mut bytes = vec![0u8; 0x1000];
        bytes[0x800..0x806].copy_from_slice(b"needle");
        let start = Addr(u64::MAX - 0x1000);
        let snapshot = Snapshot::from_memory(vec![(start, bytes)], None);
        for (from, backwards) in [(Addr(0), false), (start, false), (Addr(u64::MAX), true), (Addr(u64::MAX - 2), true)]
        {
            let found = find_next(&snapshot, b"needle", from, backwards, &Progress::default()).unwrap();
            assert_eq!(found, Some(start + 0x800), "from {from}");
        }
    }

    #[test]
    fn occurrences_are_found_both_ways() {
        let mut bytes = vec![0u8; 0x3000];
        for at in [0x10, 0x1ff, 0x2ff8] {
            bytes[at..at + 6].copy_from_slice(b"needle");
        }
        let snapshot = Snapshot::from_memory(vec![(Addr(0x1000), bytes), (Addr(0x9000), b"a needle".to_vec())], None);
        let next = |from: u64| find_next(&snapshot, b"needle", Addr(from), false, &Progress::default()).unwrap();
        let before = |from: u64| find_next(&snapshot, b"needle", Addr(from), true, &Progress::default()).unwrap();
        assert_eq!(
            [next(0), next(0x1010), next(0x3ff8), next(0x9002)].map(|a| a.map(|a| a.0)),
            [Some(0x1010), Some(0x11ff), Some(0x9002), None]
        );
        assert_eq!(
            [before(0x9002), before(0x11ff), before(0x1010)].map(|a| a.map(|a| a.0)),
            [Some(0x3ff8), Some(0x1010), None]
        );
    }

    #[test]
    fn memory_is_shown_as_far_as_it_goes_without_a_gap() {
        let pieces = vec![(Addr(0x1000), vec![1; 16]), (Addr(0x1010), vec![2; 16]), (Addr(0x2000), vec![3; 16])];
        let snapshot = Snapshot::from_memory(pieces, None);
        let shown = hex(&snapshot, Addr(0x1012), Addr(0xff0), 0x40).unwrap();
        assert_eq!((shown.start, shown.bytes.len(), shown.within), (Addr(0x1000), 32, (Addr(0x1000), Addr(0x1020))));
        assert!(hex(&snapshot, Addr(0x1800), Addr(0x1800), 16).is_none());
    }
}
