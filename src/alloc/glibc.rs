//! glibc malloc's chunks (`malloc/malloc.c`, 2.26 and later): the main heap, the arenas of threads, mapped chunks.
//!
//! A chunk's head tells its length, and whether the chunk before it is in use, so that a heap can be walked from its
//! first chunk to its end. Chunks in the per-thread caches and fast bins look used. What freeing wrote into their first
//! words gives them away ([`is_link`]); bins are not looked at, since nothing leads to them in a stripped library.

use crate::snapshot::{Addr, Reader};

/// Bits of the size word.
const PREV_INUSE: u64 = 1;
const IS_MMAPPED: u64 = 2;
const NON_MAIN_ARENA: u64 = 4;
const FLAGS: u64 = 7;

const ALIGNMENT: u64 = 16;
const MIN_CHUNK: u64 = 32;

/// Arenas of threads begin at multiples of this (`HEAP_MAX_SIZE` on 64 bits).
pub const HEAP_ALIGNMENT: u64 = 64 << 20;

/// The user's part of a chunk begins here.
pub const HEAD: u64 = 16;

/// So many chunks in a row are no accident.
const CONVINCING: usize = 16;

/// How far into a thread's heap its first chunk may lie: behind `heap_info` (32 or 48 bytes) and `malloc_state`
/// (2,200 bytes).
const MAX_STATE: u64 = 0x1000;

/// A block that malloc handed out, or has back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// What `malloc` returned.
    pub user: Addr,
    /// Bytes from there to the end of the chunk.
    pub len: u64,
    /// Whether it is handed out (or in a thread's cache).
    pub in_use: bool,
    /// Where the next chunk begins.
    pub next: Addr,
}

/// The chunks from `start` to `end`, as long as they make sense. The last one, the rest of the heap, counts as free.
pub fn chunks<'r>(reader: &'r Reader<'_>, start: Addr, end: Addr) -> impl Iterator<Item = Chunk> + 'r {
    let mut at = start;
    std::iter::from_fn(move || {
        let chunk = chunk_at(reader, at, end)?;
        at = chunk.next;
        Some(chunk)
    })
}

/// The chunk whose head lies at `at`, `None` when its size makes no sense before `end`.
#[inline]
pub fn chunk_at(reader: &Reader<'_>, at: Addr, end: Addr) -> Option<Chunk> {
    if at >= end {
        return None;
    }
    let word = reader.u64(at + 8)?;
    let size = word & !FLAGS;
    if size < MIN_CHUNK || !size.is_multiple_of(ALIGNMENT) || size > end.0 - at.0 || word & IS_MMAPPED != 0 {
        return None;
    }
    let next = at + size;
    let last = end.0 - next.0 < MIN_CHUNK;
    let in_use = !last && reader.u64(next + 8)? & PREV_INUSE != 0;
    // a used chunk may write into the next one's first word
    let len = if last { size - HEAD } else { size - 8 };
    Some(Chunk { user: at + HEAD, len, in_use, next })
}

/// The largest chunk that goes to a fast bin (`DEFAULT_MXFAST`, 64 bits).
const MAX_FAST: u64 = 0x80;

/// Whether `word`, the first one of the chunk in use at `user` with `len` bytes, links it to the next one in its fast
/// bin: chunks of one size, each leading to the head of the next; from 2.32 on xored with its own place
/// (`PROTECT_PTR`). The last one leads nowhere.
#[inline]
pub fn is_link(reader: &Reader<'_>, user: Addr, len: u64, word: u64) -> bool {
    let size = len + 8;
    let leads_to_chunk = |at: u64| {
        at.is_multiple_of(ALIGNMENT) && reader.u64(Addr(at) + 8).is_some_and(|w| w & !FLAGS == size) && at != 0
    };
    let plain = word ^ (user.0 >> 12);
    size <= MAX_FAST && (plain == 0 || leads_to_chunk(plain) || leads_to_chunk(word))
}

/// Whether the main heap begins at `start`: chunk follows chunk from there on. (Its first chunk is the cache of the
/// main thread, whose size changed in 2.30 and again in 2.42.)
pub fn main_heap(reader: &Reader<'_>, start: Addr, end: Addr) -> bool {
    let first = reader.u64(start).zip(reader.u64(start + 8));
    let begins = first.is_some_and(|(before, word)| before == 0 && word & FLAGS == PREV_INUSE);
    let mut seen = 0;
    let last = if begins { chunks(reader, start, end).take(CONVINCING).inspect(|_| seen += 1).last() } else { None };
    last.is_some_and(|c| seen == CONVINCING || end.0 - c.next.0 < MIN_CHUNK)
}

/// The heap of a thread's arena at `at` (a multiple of [`HEAP_ALIGNMENT`]): first chunk and end. `limit` is how far
/// memory goes.
pub fn thread_heap(reader: &Reader<'_>, at: Addr, limit: Addr) -> Option<(Addr, Addr)> {
    let arena = reader.u64(at)?;
    let size = reader.u64(at + 16)?;
    if !(MAX_STATE..=HEAP_ALIGNMENT).contains(&size) || !size.is_multiple_of(ALIGNMENT) || at + size > limit {
        return None;
    }
    let inside = arena.wrapping_sub(at.0);
    let end = at + size;
    let walks = |start: Addr| chunks(reader, start, end).last().is_some_and(|c| end.0 - c.next.0 < MIN_CHUNK);
    let first = if inside == 0x20 || inside == 0x30 {
        // the heap that holds the arena itself
        let starts = (inside..MAX_STATE).step_by(16).map(|o| at + o);
        // the thread's cache comes first; the words before it are pointers and counters, no sizes that lead anywhere
        let marked = |a: &Addr| reader.u64(*a + 8).is_some_and(|w| w & FLAGS == PREV_INUSE | NON_MAIN_ARENA);
        // where everything was freed, all is one chunk, which is marked as that of no arena
        let empty = |a: &Addr| reader.u64(*a + 8) == Some((end.0 - a.0) | PREV_INUSE);
        starts.skip(1).filter(|a| marked(a) || empty(a)).find(|a| walks(*a))?
    } else if (arena & (HEAP_ALIGNMENT - 1)) == 0x20 || (arena & (HEAP_ALIGNMENT - 1)) == 0x30 {
        // a further heap of the same arena: only `heap_info` precedes the chunks
        [0x20, 0x30].map(|o| at + o).into_iter().find(|a| walks(*a))?
    } else {
        return None;
    };
    Some((first, end))
}

/// The arena that the heap belongs to whose first chunk is at `first`, when it is one of a thread's.
pub fn arena_of(reader: &Reader<'_>, first: Addr) -> Option<Addr> {
    let inside = first.0 & (HEAP_ALIGNMENT - 1);
    let arena = reader.pointer(first - inside).filter(|_| inside > 0 && inside < MAX_STATE)?;
    // the main heap has no arena's notes before it
    matches!(arena.0 & (HEAP_ALIGNMENT - 1), 0x20 | 0x30).then_some(arena)
}

/// The chunk that was mapped for itself at the page `at`: its user part and the end of the mapping. From 2.43 on its size
/// leaves out the head.
#[inline]
pub fn mapped_chunk(reader: &Reader<'_>, at: Addr, limit: Addr) -> Option<(Addr, Addr)> {
    let (before, word) = (reader.u64(at)?, reader.u64(at + 8)?);
    let size = (word & !FLAGS).checked_next_multiple_of(4096)?;
    let whole = size == word & !FLAGS || size - HEAD == word & !FLAGS;
    let fits = whole && size >= 4096 && size <= limit.0.checked_sub(at.0)?;
    (before == 0 && word & FLAGS == IS_MMAPPED && fits).then(|| (at + HEAD, at + size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    fn heap(words: &[(usize, u64)], len: usize) -> Snapshot {
        let mut bytes = vec![0u8; len];
        for (offset, word) in words {
            bytes[*offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        Snapshot::from_memory(vec![(Addr(0x10000), bytes)], None)
    }

    #[test]
    fn a_heap_is_walked_to_its_end() {
        // a cache of 0x290, a used chunk of 0x40, a free one of 0x50, a used one of 0x20, the rest
        let snapshot =
            heap(&[(0x8, 0x291), (0x298, 0x41), (0x2d8, 0x51), (0x328, 0x20), (0x348, 0x1000 - 0x340 + 1)], 0x1000);
        let reader = snapshot.reader();
        assert!(main_heap(&reader, Addr(0x10000), Addr(0x11000)));
        let found: Vec<_> =
            chunks(&reader, Addr(0x10000), Addr(0x11000)).map(|c| (c.user.0 - 0x10000, c.len, c.in_use)).collect();
        assert_eq!(
            found,
            [
                (0x10, 0x288, true),
                (0x2a0, 0x38, true),
                (0x2e0, 0x48, false),
                (0x330, 0x18, true),
                (0x350, 0x1000 - 0x340 - 16, false)
            ]
        );
    }

    #[test]
    fn a_damaged_size_ends_the_walk() {
        for bad in [0, 0x18, 0x31 + 8, 0x10_0001, u64::MAX] {
            let snapshot = heap(&[(0x8, 0x291), (0x298, bad)], 0x1000);
            let reader = snapshot.reader();
            assert_eq!(chunks(&reader, Addr(0x10000), Addr(0x11000)).count(), 1, "{bad:#x}");
        }
    }

    #[test]
    fn links_of_fast_bins_lead_to_chunks_of_the_same_size() {
        // three chunks of 0x20 and one of 0x30
        let snapshot = heap(&[(0x8, 0x21), (0x28, 0x21), (0x48, 0x21), (0x68, 0x31)], 0x1000);
        let reader = snapshot.reader();
        let link = |word| is_link(&reader, Addr(0x10010), 0x18, word);
        let mangled = |to: u64| to ^ (0x10010 >> 12);
        assert!(link(0x10020) && link(mangled(0x10040)) && link(mangled(0)));
        assert!(!link(0x10060) && !link(mangled(0x10060)), "another size");
        assert!(!link(0) && !link(1) && !link(1000) && !link(0x10028) && !link(0x9000_0000));
        assert!(!is_link(&reader, Addr(0x10010), 0x98, 0x10020), "too large for a fast bin");
    }

    #[test]
    fn mapped_chunks_are_whole_pages() {
        let snapshot = heap(&[(8, 0x2002)], 0x3000);
        let reader = snapshot.reader();
        let (limit, start) = (Addr(0x13000), Addr(0x10000));
        assert_eq!(mapped_chunk(&reader, start, limit), Some((Addr(0x10010), Addr(0x12000))));
        assert_eq!(mapped_chunk(&reader, start, Addr(0x11000)), None);
        let mapped = |word| {
            let snapshot = heap(&[(8, word)], 0x3000);
            mapped_chunk(&snapshot.reader(), start, limit)
        };
        assert_eq!(mapped(0x1ff2), Some((Addr(0x10010), Addr(0x12000))), "without its head");
        assert!([0x1fe2, 0x2000, 2, 0xffff_ffff_ffff_fff2].map(mapped).iter().all(Option::is_none));
    }
}
