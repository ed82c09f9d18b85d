//! Bytes by address, whatever the source: a directory of region files, a stream, a core file, any of them compressed.
//!
//! A [`Snapshot`] is a sorted list of [`Region`]s that do not overlap, each backed by mapped (or, when small, read)
//! file contents. There is one bounds-checked way to get at bytes: [`Reader`], made per thread, with
//! [`read`](Reader::read), [`chunks`](Reader::chunks) and a few fixed-width helpers over them. What the bytes mean is
//! not known here.

mod addr;
mod archive;
mod corefile;
mod directory;
mod error;
mod extents;
mod find;
mod foretold;
mod gathered;
mod guard;
pub mod meta;
mod open;
mod packed;
pub mod partial;
mod reader;
mod residency;
pub mod save;
mod several;
mod spool;
pub mod store;
pub mod stream;
mod unpack;

pub use addr::Addr;
pub use directory::region_file_name;
pub use error::OpenError;
pub use find::find_bytes;
pub use foretold::{Foretold, Unpacking, unpacking};
pub use meta::Metadata;
pub use reader::{Reader, Unreadable};
pub use residency::{Cursor, Residency};
pub use several::several;
pub use spool::unnamed_file;

use crate::text::keep_start;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Which kind of file or folder a snapshot was opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A directory of `mem.START.END.bin`.
    Directory,
    /// Records of little-endian u64 start, u64 end, bytes; or a stream of ours.
    Stream,
    /// An ELF core file.
    Core,
    /// Made in memory, by a test.
    Memory,
}

/// A captured process: its readable memory, and what the kernel said about it.
#[derive(Debug)]
pub struct Snapshot {
    regions: Vec<Region>,
    metadata: Option<Metadata>,
    problems: Vec<String>,
    source: PathBuf,
    kind: SourceKind,
}

/// One run of captured memory.
#[derive(Debug, Clone)]
pub struct Region {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// `rw-p`, when the kernel's list of mappings came along.
    pub permissions: Option<String>,
    /// The mapped file or pseudo-name, likewise.
    pub file: Option<String>,
    /// Offset of `start` in that file.
    pub file_offset: u64,
    /// Resident bytes at the stop, likewise.
    pub resident_bytes: Option<u64>,
    bytes: Backing,
    /// Offsets within the region that hold data; the rest are holes, which read as zeros.
    extents: Vec<Range<u64>>,
}

/// Where a region's bytes are kept.
#[derive(Debug, Clone)]
enum Backing {
    Owned(Arc<[u8]>),
    Mapped { map: Arc<guard::Guarded>, start: usize, len: usize },
}

impl Backing {
    fn as_slice(&self) -> &[u8] {
        match self {
            Backing::Owned(bytes) => bytes,
            // the range was checked when the region was made
            Backing::Mapped { map, start, len } => map.get(*start..*start + *len).unwrap_or(&[]),
        }
    }
}

impl Region {
    /// The captured bytes; as long as the region.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Regions are never empty; this is here because `len` is.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `addr` lies within.
    pub fn contains(&self, addr: Addr) -> bool {
        self.start <= addr && addr < self.end
    }

    /// The parts that hold data, as offsets into [`bytes`](Self::bytes), in order; what lies between reads as zeros
    /// and was never touched by the process.
    pub fn extents(&self) -> &[Range<u64>] {
        &self.extents
    }

    /// Whether the process could write here; unknown counts as yes.
    pub fn is_writable(&self) -> bool {
        self.permissions.as_ref().is_none_or(|p| p.as_bytes().get(1) == Some(&b'w'))
    }

    /// One whose bytes lie at `at` of a mapping of `len` bytes from there; `extents` as for [`extents`](Self::extents).
    fn mapped(start: Addr, map: &Arc<guard::Guarded>, at: u64, len: u64, extents: Vec<Range<u64>>) -> Region {
        let bytes = Backing::Mapped { map: map.clone(), start: at as usize, len: len as usize };
        Region { bytes, extents, ..Region::bare(start, len) }
    }

    fn bare(start: Addr, len: u64) -> Region {
        Region {
            start,
            end: start + len,
            permissions: None,
            file: None,
            file_offset: 0,
            resident_bytes: None,
            bytes: Backing::Owned([].into()),
            extents: Vec::new(),
        }
    }

    /// Whether this maps a file (not `[heap]` and its like).
    pub fn is_file(&self) -> bool {
        self.file.as_ref().is_some_and(|f| f.starts_with('/'))
    }

    fn from_memory(start: Addr, bytes: Vec<u8>) -> Region {
        let len = bytes.len() as u64;
        let extents = std::iter::once(0..len).collect();
        Region { bytes: Backing::Owned(bytes.into()), extents, ..Region::bare(start, len) }
    }
}

impl Snapshot {
    /// A snapshot from bytes in memory: what tests build theirs with. Overlaps and empty pieces are dropped and
    /// reported, as they are for files.
    pub fn from_memory(pieces: Vec<(Addr, Vec<u8>)>, metadata: Option<Metadata>) -> Snapshot {
        let regions = pieces.into_iter().map(|(start, bytes)| Region::from_memory(start, bytes)).collect();
        let mut snapshot = Snapshot {
            regions,
            metadata,
            problems: Vec::new(),
            source: PathBuf::from("memory"),
            kind: SourceKind::Memory,
        };
        snapshot.settle();
        snapshot
    }

    /// The regions, sorted by address; they do not overlap.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region that holds `addr`. `O(log n)`.
    pub fn region_of(&self, addr: Addr) -> Option<&Region> {
        let i = self.regions.partition_point(|r| r.start <= addr).checked_sub(1)?;
        self.regions.get(i).filter(|r| r.contains(addr))
    }

    /// What the kernel said, when the snapshot carries it.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// What was wrong with the files, as sentences.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// A sentence when files of the snapshot were cut, changed or unreadable since it was opened: what was read from
    /// it meanwhile cannot be relied on. Looks at each mapped file.
    pub fn damage(&self) -> Option<String> {
        let changed = |region: &Region| matches!(&region.bytes, Backing::Mapped { map, .. } if map.changed());
        let region = self.regions.iter().find(|region| changed(region))?;
        Some(format!(
            "{} changed while it was read (the file that holds {}); nothing that was read can be relied on: open it \
             again when it is whole",
            self.source.display(),
            region.start
        ))
    }

    /// Where it was opened from.
    pub fn source(&self) -> &std::path::Path {
        &self.source
    }

    /// Sets the name to show as the source (a snapshot in an unlinked temporary file has none of its own).
    pub fn set_source(&mut self, name: impl Into<PathBuf>) {
        self.source = name.into();
    }

    /// What kind of source that was.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Bytes of captured memory, holes included.
    pub fn bytes(&self) -> u64 {
        self.regions.iter().map(Region::len).sum()
    }

    /// Bytes that hold data: what a full scan has to read.
    pub fn data_bytes(&self) -> u64 {
        self.regions.iter().flat_map(|r| &r.extents).map(|e| e.end - e.start).sum()
    }

    /// A reader, one per thread.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }

    /// Sorts, cuts overlaps, drops what is empty, and names each region by the kernel's list of mappings.
    fn settle(&mut self) {
        self.regions.retain(|r| !r.is_empty());
        self.regions.sort_by_key(|r| (r.start, r.end));
        let mut kept: Vec<Region> = Vec::with_capacity(self.regions.len());
        for region in self.regions.drain(..) {
            match kept.last() {
                Some(last) if region.start < last.end => self.problems.push(format!(
                    "region {}-{} overlaps {}-{} and was left out",
                    region.start, region.end, last.start, last.end
                )),
                _ => kept.push(region),
            }
        }
        self.regions = kept;
        let Some(metadata) = &mut self.metadata else { return };
        metadata.settle();
        let told = metadata.problems.iter().take(MAX_PROBLEMS).cloned();
        // a core file tells of its own
        let unreadable = metadata.unreadable_told().filter(|_| self.kind != SourceKind::Core);
        let short = |problem: String| keep_start(&problem, MAX_PROBLEM).into_owned();
        self.problems.extend(told.chain(unreadable).map(short));
        for region in &mut self.regions {
            let at = metadata.regions.partition_point(|m| m.start <= region.start);
            let Some(mapping) = at.checked_sub(1).and_then(|i| metadata.regions.get(i)) else { continue };
            if region.start < mapping.end {
                region.permissions = Some(mapping.permissions.clone());
                region.file = mapping.file.clone();
                region.file_offset = mapping.offset.wrapping_add(region.start.0 - mapping.start.0);
                if mapping.start == region.start && mapping.end == region.end {
                    region.resident_bytes = mapping.resident_bytes;
                }
            }
        }
    }
}

/// So many sentences of `snapshot.json` are told, and so many columns of each.
const MAX_PROBLEMS: usize = 100;
const MAX_PROBLEM: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_sorted_and_overlaps_are_told() {
        let pieces = vec![
            (Addr(0x3000), vec![3; 0x1000]),
            (Addr(0x1000), vec![1; 0x1800]),
            (Addr(0x2000), vec![2; 0x1000]),
            (Addr(0x9000), vec![]),
        ];
        let snapshot = Snapshot::from_memory(pieces, None);
        let starts: Vec<_> = snapshot.regions().iter().map(|r| r.start.0).collect();
        assert_eq!(starts, [0x1000, 0x3000]);
        assert_eq!(snapshot.problems().len(), 1);
        assert!(snapshot.problems()[0].contains("0x2000-0x3000 overlaps 0x1000-0x2800"), "{:?}", snapshot.problems());
        assert!(snapshot.region_of(Addr(0x27ff)).is_some());
        assert!(snapshot.region_of(Addr(0x2800)).is_none());
    }

    #[test]
    fn what_the_capture_met_is_told_when_it_is_opened() {
        let unreadable = |start: u64, end: u64, reason: &str| meta::Unreadable {
            start: Addr(start),
            end: Addr(end),
            reason: reason.into(),
        };
        let guard = unreadable(0x7000, 0x8000, "Input/output error (os error 5)");
        let told = |lost: Vec<meta::Unreadable>, problems: &[&str]| {
            let problems = problems.iter().map(|p| (*p).to_owned()).collect();
            let metadata = Metadata { unreadable: lost, problems, ..Metadata::default() };
            let file = tempfile::tempfile().unwrap();
            Snapshot::from_parts(file, &[], Some(metadata)).unwrap().problems().to_vec()
        };
        assert_eq!(told(vec![guard.clone()], &[]), [] as [String; 0]);
        let lost = vec![guard.clone(), unreadable(0x1000, 0x3000, "gone"), guard];
        let wanted =
            ["a thread was left alone", "8.19 kB could not be read when it was captured, first 0x1000-0x3000: gone"];
        assert_eq!(told(lost, &["a thread was left alone"]), wanted);
        // somebody else may have written them
        let endless = "a".repeat(1 << 20);
        let cut = told(vec![unreadable(0x1000, 0x3000, &endless)], &[&endless]);
        assert!(cut.len() == 2 && cut.iter().all(|problem| problem.chars().count() == MAX_PROBLEM), "{cut:?}");
    }
}
