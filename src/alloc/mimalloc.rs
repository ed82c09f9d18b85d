//! mimalloc's pages (`Objects/mimalloc/segment.c`, `Include/internal/mimalloc/mimalloc/types.h`), as the free-threaded
//! builds of 3.13 use them.
//!
//! A segment is a run of slices of 64 KiB, aligned to 32 MiB. It begins with a record for each slice; the first record
//! of a span of slices describes the span, which is free or a page of blocks of one size. The sizes that a segment's
//! header tells must agree with each other, so that segments are recognised without symbols. Heaps and threads are not
//! looked at: each page tells what its heap is for, those of threads that have ended too.

use crate::cpython::layout::{Layout, MimallocVariant};
use crate::snapshot::{Addr, Reader};

/// Segments begin at multiples of this (`MI_SEGMENT_ALIGN`), and most have this size.
pub const SEGMENT: u64 = 32 << 20;

/// Spans consist of slices of this size (`MI_SEGMENT_SLICE_SIZE`).
const SLICE: u64 = 64 << 10;

/// Records of slices in a segment; a larger segment holds one page (`MI_SLICES_PER_SEGMENT`).
const SLICES: u64 = SEGMENT / SLICE;

/// No segment has more slices: a record counts them in 32 bits.
const MAX_SLICES: u64 = 1 << 31;

/// Larger blocks tell this size (`MI_HUGE_BLOCK_SIZE`).
const HUGE_BLOCK: u64 = 2 << 30;

/// Blocks are whole words.
const WORD: u64 = 8;

/// `mi_segment_kind_t`: many pages, or one that is larger than a segment.
const NORMAL: u32 = 0;
const HUGE: u32 = 1;

/// Flags in the low bits of `xthread_free` (`mi_delayed_t`).
const DELAYED: u64 = 3;

/// What a page's blocks are for (`Include/internal/pycore_mimalloc.h`, `_Py_MIMALLOC_HEAP_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heap {
    /// Memory that is no object.
    Memory,
    /// Objects that are not collected.
    Objects,
    /// Collected objects.
    Collected,
    /// Collected objects behind a pre-header.
    PreHeader,
}

/// How to read segments and pages: the table's offsets.
#[derive(Debug, Clone, Copy)]
pub struct Mimalloc {
    variant: MimallocVariant,
    segment_size: u64,
    segment_slices: u64,
    segment_info_slices: u64,
    kind: u64,
    slice_entries: u64,
    slices: u64,
    record: u64,
    slice_count: u64,
    slice_offset: u64,
    tag: u64,
    capacity: u64,
    reserved: u64,
    free: u64,
    used: u64,
    block_size: u64,
    local_free: u64,
    xthread_free: u64,
}

/// A segment whose header agrees with itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its header.
    pub start: Addr,
    /// One past its last byte.
    pub end: Addr,
    /// Its pages, in address order.
    pub pages: Vec<Page>,
    /// Whether the records of its slices lead from one to the next up to the end, and all pages make sense.
    pub whole: bool,
}

/// A run of blocks of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its record.
    pub header: Addr,
    /// The first block.
    pub start: Addr,
    /// Bytes a block.
    pub block: u64,
    /// Blocks that were ever on a free list or handed out; those after them are untouched.
    pub blocks: u64,
    /// How many the record says are in use, those included that other threads have freed since.
    pub used: u64,
    /// What they are for.
    pub heap: Heap,
    free: Addr,
    local_free: Addr,
    thread_free: Addr,
}

impl Mimalloc {
    /// The offsets of a version; `None` for a build whose objects come from other allocators.
    pub fn of(layout: &Layout) -> Option<Mimalloc> {
        let (s, p) = (&layout.structs.mi_segment, &layout.structs.mi_page);
        Some(Mimalloc {
            variant: layout.alloc.mimalloc?,
            segment_size: s.segment_size?,
            segment_slices: s.segment_slices?,
            segment_info_slices: s.segment_info_slices?,
            kind: s.kind?,
            slice_entries: s.slice_entries?,
            slices: s.slices?,
            record: Some(p.size).filter(|size| *size > 0)?,
            slice_count: p.slice_count?,
            slice_offset: p.slice_offset?,
            tag: p.tag?,
            capacity: p.capacity?,
            reserved: p.reserved?,
            free: p.free?,
            used: p.used?,
            block_size: p.xblock_size?,
            local_free: p.local_free?,
            xthread_free: p.xthread_free?,
        })
    }

    /// The segment that begins at `at`, a multiple of [`SEGMENT`]. Reads at most 512 records.
    pub fn segment(&self, reader: &Reader<'_>, at: Addr) -> Option<Segment> {
        if !at.0.is_multiple_of(SEGMENT) {
            return None;
        }
        let slices = reader.u64(at + self.segment_slices)?;
        let own = reader.u64(at + self.segment_info_slices)?;
        let entries = reader.u64(at + self.slice_entries)?;
        let fits = match reader.u32(at + self.kind)? {
            NORMAL => slices == SLICES,
            HUGE => (1..MAX_SLICES).contains(&slices),
            _ => false,
        };
        let agrees = fits
            && entries == slices.min(SLICES)
            && reader.u64(at + self.segment_size)? == slices * SLICE
            && (1..=entries).contains(&own)
            && self.span(reader, at + self.slices) == Some(own);
        if !agrees {
            return None;
        }
        let end = Addr(at.0.checked_add(slices * SLICE)?);
        let mut found = Segment { start: at, end, pages: Vec::new(), whole: true };
        let mut i = own;
        while i < entries {
            let header = at + (self.slices + i * self.record);
            let Some(count) = self.span(reader, header).filter(|n| *n <= slices - i) else {
                found.whole = false;
                break;
            };
            match reader.u32(header + self.block_size) {
                Some(0) => {}
                _ => match self.page(reader, header) {
                    Some(page) => found.pages.push(page),
                    None => found.whole = false,
                },
            }
            i += count;
        }
        Some(found)
    }

    /// Slices of the span that the record at `header` is the first of.
    fn span(&self, reader: &Reader<'_>, header: Addr) -> Option<u64> {
        let count = reader.u32(header + self.slice_count)?;
        let first = reader.u32(header + self.slice_offset)? == 0;
        (first && count > 0).then_some(u64::from(count))
    }

    /// The page whose record is at `header`, when what it tells makes sense.
    pub fn page(&self, reader: &Reader<'_>, header: Addr) -> Option<Page> {
        let segment = Addr(header.0 & !(SEGMENT - 1));
        let inside = header.0.checked_sub(segment.0 + self.slices)?;
        let i = inside / self.record;
        if !inside.is_multiple_of(self.record) || i >= SLICES {
            return None;
        }
        let span = self.span(reader, header)? * SLICE;
        let told = u64::from(reader.u32(header + self.block_size)?);
        let block = if told == HUGE_BLOCK { span } else { told };
        let blocks = u64::from(reader.u16(header + self.capacity)?);
        let reserved = u64::from(reader.u16(header + self.reserved)?);
        let used = u64::from(reader.u32(header + self.used)?);
        let heap = match (reader.u8(header + self.tag)? >> 3) & 15 {
            0 => Heap::Memory,
            1 => Heap::Objects,
            2 => Heap::Collected,
            3 => Heap::PreHeader,
            _ => return None,
        };
        let skipped = match self.variant {
            MimallocVariant::ComputedStart => start_offset(block),
        };
        let sane = block >= WORD
            && block.is_multiple_of(WORD)
            && used <= blocks
            && blocks <= reserved
            && skipped + reserved * block <= span;
        let pointer = |at: u64| reader.pointer(header + at);
        sane.then_some(Page {
            header,
            start: segment + (i * SLICE + skipped),
            block,
            blocks,
            used,
            heap,
            free: pointer(self.free)?,
            local_free: pointer(self.local_free)?,
            thread_free: Addr(reader.u64(header + self.xthread_free)? & !DELAYED),
        })
    }
}

/// Pages of small blocks leave out a few at their beginning (`_mi_segment_page_start_from_slice`).
fn start_offset(block: u64) -> u64 {
    match block {
        WORD..=64 => 3 * block,
        65..=512 => block,
        _ => 0,
    }
}

impl Page {
    /// The `i`th block.
    #[inline]
    pub fn address(&self, i: u64) -> Addr {
        self.start + i * self.block
    }

    /// One past the last block.
    pub fn end(&self) -> Addr {
        self.start + self.blocks * self.block
    }

    /// Marks the freed blocks, a bit each. `false` when the free lists do not agree with the record: the process was
    /// stopped in the middle of an allocation, or this is no page; what could be followed is marked. `O(blocks)`.
    pub fn freed(&self, reader: &Reader<'_>, set: &mut Vec<u64>) -> bool {
        set.clear();
        set.resize(self.blocks.div_ceil(64) as usize, 0);
        let own = self.follow(reader, self.free, set).zip(self.follow(reader, self.local_free, set));
        // what other threads freed counts as used until the page's owner collects it
        let others = self.follow(reader, self.thread_free, set);
        own.zip(others)
            .is_some_and(|((free, local), others)| free + local + self.used == self.blocks && others <= self.used)
    }

    /// Marks the blocks of a list; how many, `None` when it leads elsewhere or in a circle.
    fn follow(&self, reader: &Reader<'_>, first: Addr, set: &mut [u64]) -> Option<u64> {
        let mut at = first;
        let mut found = 0;
        while !at.is_null() {
            let inside = at.0.wrapping_sub(self.start.0);
            let i = inside / self.block;
            if i >= self.blocks || !inside.is_multiple_of(self.block) {
                return None;
            }
            let (word, bit) = (set.get_mut((i / 64) as usize)?, 1u64 << (i % 64));
            if *word & bit != 0 {
                return None;
            }
            *word |= bit;
            found += 1;
            at = reader.pointer(at)?;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::layout;
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    const BASE: u64 = SEGMENT * 5;

    // written out by hand from the headers of CPython 3.13, apart from the table that the program reads
    struct Bytes(Vec<u8>);

    impl Bytes {
        /// A segment of 512 slices, the first one its own.
        fn segment() -> Bytes {
            let mut bytes = Bytes(vec![0; 8 << 16]);
            bytes.put(32, 512 * 65536, 8); // segment_size
            bytes.put(224, 512, 8); // segment_slices
            bytes.put(232, 1, 8); // segment_info_slices
            bytes.put(248, 512, 8); // slice_entries
            bytes.put(264, 1, 4); // slices[0].slice_count
            bytes
        }

        fn put(&mut self, at: u64, value: u64, width: usize) {
            self.0[at as usize..at as usize + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }

        fn record(slice: u64) -> u64 {
            264 + slice * 96
        }

        /// A page: slice, slices, heap tag, block size, capacity, used.
        fn page(&mut self, slice: u64, count: u64, tag: u64, block: u64, capacity: u64, used: u64) {
            let at = Self::record(slice);
            self.put(at, count, 4);
            self.put(at + 8, 1 | tag << 3, 1); // is_committed, tag
            self.put(at + 10, capacity, 2);
            self.put(at + 12, capacity, 2);
            self.put(at + 24, used, 4);
            self.put(at + 28, block, 4);
        }

        fn free_span(&mut self, slice: u64, count: u64) {
            self.put(Self::record(slice), count, 4);
        }

        fn list(&mut self, field: u64, blocks: &[u64]) {
            let mut link = field;
            for block in blocks {
                let low = if link == field { self.0[field as usize] & 3 } else { 0 };
                self.put(link, (BASE + block) | u64::from(low), 8);
                link = *block;
            }
            self.put(link, if link == field { u64::from(self.0[field as usize] & 3) } else { 0 }, 8);
        }

        fn open<T>(self, read: impl FnOnce(&Mimalloc, &Reader<'_>) -> T) -> T {
            let snapshot = Snapshot::from_memory(vec![(Addr(BASE), self.0)], None);
            let reader = snapshot.reader();
            read(&Mimalloc::of(layout::table("3.13t").unwrap()).unwrap(), &reader)
        }

        fn segment_of(self) -> Option<Segment> {
            self.open(|m, r| m.segment(r, Addr(BASE)))
        }
    }

    fn usual() -> Bytes {
        let mut bytes = Bytes::segment();
        bytes.page(1, 1, 2, 64, 6, 3); // blocks from 65536 + 3 * 64
        bytes.page(2, 1, 3, 96, 4, 4); // from 2 * 65536 + 96
        bytes.free_span(3, 2);
        bytes.page(5, 2, 0, 1024, 2, 1);
        bytes.free_span(7, 505);
        bytes
    }

    #[test]
    fn a_segment_is_its_pages() {
        let found = usual().segment_of().unwrap();
        assert!(found.whole);
        assert_eq!((found.start, found.end), (Addr(BASE), Addr(BASE + SEGMENT)));
        let pages: Vec<_> = found.pages.iter().map(|p| (p.start.0 - BASE, p.block, p.blocks, p.used, p.heap)).collect();
        assert_eq!(
            pages,
            [
                (0x10000 + 192, 64, 6, 3, Heap::Collected),
                (0x20000 + 96, 96, 4, 4, Heap::PreHeader),
                (0x50000, 1024, 2, 1, Heap::Memory),
            ]
        );
        assert_eq!(found.pages[0].address(2), Addr(BASE + 0x10000 + 192 + 128));
        assert_eq!(found.pages[0].end(), Addr(BASE + 0x10000 + 192 + 6 * 64));
    }

    #[test]
    fn freed_blocks_of_all_three_lists_are_marked() {
        let first = 0x10000 + 192;
        let mut bytes = usual();
        let record = Bytes::record(1);
        bytes.list(record + 16, &[first + 5 * 64, first + 3 * 64]);
        bytes.list(record + 32, &[first]);
        bytes.put(record + 40, 2, 1); // MI_NO_DELAYED_FREE in the low bits
        bytes.list(record + 40, &[first + 64]);
        bytes.open(|m, r| {
            let page = m.page(r, Addr(BASE + record)).unwrap();
            let mut set = Vec::new();
            assert!(page.freed(r, &mut set));
            assert_eq!(set, [0b101011]);
        });
    }

    #[test]
    fn lists_that_disagree_are_noticed() {
        let first = 0x10000 + 192;
        let record = Bytes::record(1);
        let agrees = |blocks: &[u64], circle: bool| {
            let mut bytes = usual();
            bytes.list(record + 16, blocks);
            if circle {
                bytes.put(*blocks.last().unwrap(), BASE + blocks[0], 8);
            }
            bytes.open(|m, r| m.page(r, Addr(BASE + record)).unwrap().freed(r, &mut Vec::new()))
        };
        assert!(agrees(&[first, first + 64, first + 128], false));
        assert!(!agrees(&[first, first + 64], false), "six in all, three used, two free");
        assert!(!agrees(&[first, first + 64, first + 128], true));
        assert!(!agrees(&[first, first + 64, first + 72], false), "between two blocks");
        assert!(!agrees(&[first, first + 64, first + 6 * 64], false), "behind the last block");
    }

    #[test]
    fn a_huge_block_has_a_segment_of_its_own() {
        let mut bytes = Bytes::segment();
        let slices = (3 << 30) / 65536;
        bytes.put(32, slices * 65536, 8);
        bytes.put(224, slices, 8);
        bytes.put(240, 1, 4); // MI_SEGMENT_HUGE
        bytes.page(1, slices - 1, 1, 2 << 30, 1, 1);
        let found = bytes.segment_of().unwrap();
        assert!(found.whole);
        assert_eq!(found.end, Addr(BASE + (3 << 30)));
        let page = found.pages[0];
        assert_eq!((page.start, page.block), (Addr(BASE + 0x10000), (3 << 30) - 65536));
    }

    #[test]
    fn other_memory_is_no_segment() {
        assert_eq!(Bytes(vec![0; 1 << 16]).segment_of(), None);
        for (at, value, width) in
            [(32, 511 * 65536, 8), (224, 511, 8), (232, 0, 8), (240, 2, 4), (248, 511, 8), (264, 2, 4)]
        {
            let mut bytes = usual();
            bytes.put(at, value, width);
            assert_eq!(bytes.segment_of(), None, "{at}: {value}");
        }
        let mut bytes = usual();
        bytes.put(Bytes::record(1) + 24, 7, 4);
        let found = bytes.segment_of().unwrap();
        assert!(!found.whole && found.pages.len() == 2, "more used than there are");
        let mut bytes = usual();
        bytes.put(Bytes::record(5), 0, 4);
        let found = bytes.segment_of().unwrap();
        assert!(!found.whole && found.pages.len() == 2, "a record that leads nowhere");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(flips in prop::collection::vec((0usize..4096, any::<u8>()), 0..60), raw in any::<bool>()) {
            let mut bytes = if raw { Bytes(vec![0xff; 1 << 16]) } else { usual() };
            for (at, value) in &flips {
                bytes.0[*at] = *value;
            }
            bytes.open(|m, r| {
                let mut set = Vec::new();
                for page in m.segment(r, Addr(BASE)).into_iter().flat_map(|s| s.pages) {
                    page.freed(r, &mut set);
                    assert!(set.iter().map(|w| u64::from(w.count_ones())).sum::<u64>() <= page.blocks);
                    assert!(page.start >= Addr(BASE) && page.end() > page.start || page.blocks == 0);
                }
            });
        }
    }
}
