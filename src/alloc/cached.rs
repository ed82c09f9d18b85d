//! What glibc malloc keeps of freed chunks though their neighbours say that they are in use: the caches of threads
//! (`tcache_perthread_struct`) and the fast bins of arenas (`malloc_state`).
//!
//! A cache is a chunk itself, known by its size and because each of its entries leads to a chunk of that entry's size.
//! An arena's state precedes the first chunk of a thread's heap; the main one is static data, found by its pointer to
//! the top of the main heap. Ordinary bins are not read: neighbours tell (see [`glibc`](super::glibc)).

use super::glibc::HEAD;
use crate::snapshot::{Addr, Reader};
use std::collections::HashSet;

const FLAGS: u64 = 7;

/// Lists are followed no further.
const MAX_LIST: usize = 1 << 16;

/// One shape of `tcache_perthread_struct`: the chunk's bytes for its user, where the entries begin, how many there are.
struct Shape {
    len: u64,
    entries: u64,
    bins: u64,
}

/// From 2.26, from 2.30 (counts of 16 bits), from 2.42 (twelve more bins, of growing sizes).
const SHAPES: [Shape; 3] = [
    Shape { len: 0x248, entries: 64, bins: 64 },
    Shape { len: 0x288, entries: 128, bins: 64 },
    Shape { len: 0x2f8, entries: 152, bins: 76 },
];

/// Bins of one size each; those after them hold sizes from one power of two to the next.
const SMALL_BINS: u64 = 64;

/// `fastbinsY` and `top` in `malloc_state` (from 2.27), and how many fast bins there are.
const FAST_BINS: u64 = 16;
const TOP: u64 = 96;
const FAST_BIN_COUNT: u64 = 10;

/// Adds the chunks (by what malloc returned) in the cache that the chunk at `user` with `len` bytes holds, if it is one.
pub fn thread_cache(reader: &Reader<'_>, user: Addr, len: u64, freed: &mut HashSet<Addr>) -> bool {
    let Some(shape) = SHAPES.iter().find(|s| s.len == len) else { return false };
    let mut found = Vec::new();
    let mut filled = 0;
    for bin in 0..shape.bins {
        let Some(first) = reader.pointer(user + shape.entries + bin * 8) else { return false };
        if first.is_null() {
            continue;
        }
        filled += 1;
        let wanted = (bin < SMALL_BINS).then_some(32 + bin * 16);
        if !follow(reader, first, wanted, &mut found) {
            return false;
        }
    }
    freed.extend(found);
    filled > 0
}

/// Follows a list of freed chunks by what malloc returned; `false` when a chunk in it is not of the `wanted` size.
fn follow(reader: &Reader<'_>, first: Addr, wanted: Option<u64>, found: &mut Vec<Addr>) -> bool {
    let is_chunk = |at: Addr| {
        let size = reader.u64(at - 8).map(|w| w & !FLAGS);
        at.0.is_multiple_of(16) && size.is_some_and(|s| s >= 32 && wanted.is_none_or(|w| w == s))
    };
    let mut at = first;
    let mut seen = HashSet::new();
    for _ in 0..MAX_LIST {
        if !is_chunk(at) {
            return false;
        }
        seen.insert(at);
        found.push(at);
        let Some(word) = reader.u64(at) else { return false };
        // from 2.32 on xored with its own place (PROTECT_PTR)
        let mangled = Addr(word ^ (at.0 >> 12));
        let next = [mangled, Addr(word)].into_iter().find(|n| n.is_null() || is_chunk(*n));
        match next {
            Some(next) if !next.is_null() && !seen.contains(&next) => at = next,
            Some(_) => return true,
            None => return false,
        }
    }
    true
}

/// Adds the chunks in the fast bins of the arena whose `malloc_state` is at `state`; `false` when it is none. `top`: the
/// last chunk of its newest heap, by its head, where that is known.
pub fn fast_bins(reader: &Reader<'_>, state: Addr, top: Option<Addr>, freed: &mut HashSet<Addr>) -> bool {
    if top.is_some_and(|top| reader.pointer(state + TOP) != Some(top)) {
        return false;
    }
    let mut all = Vec::new();
    for bin in 0..FAST_BIN_COUNT {
        let Some(first) = reader.pointer(state + FAST_BINS + bin * 8) else { return false };
        if first.is_null() {
            continue;
        }
        let mut users = Vec::new();
        if !follow_heads(reader, first, 32 + bin * 16, &mut users) {
            return false;
        }
        all.extend(users);
    }
    freed.extend(all);
    true
}

/// The same for a list that leads from head to head.
fn follow_heads(reader: &Reader<'_>, first: Addr, size: u64, users: &mut Vec<Addr>) -> bool {
    let is_chunk = |at: Addr| at.0.is_multiple_of(16) && reader.u64(at + 8).is_some_and(|w| w & !FLAGS == size);
    let mut at = first;
    let mut seen = HashSet::new();
    while users.len() < MAX_LIST {
        if !is_chunk(at) || !seen.insert(at) {
            return false;
        }
        users.push(at + HEAD);
        let Some(word) = reader.u64(at + HEAD) else { return false };
        let mangled = Addr(word ^ ((at + HEAD).0 >> 12));
        match [mangled, Addr(word)].into_iter().find(|n| n.is_null() || is_chunk(*n)) {
            Some(next) if next.is_null() => return true,
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// The main arena's state in `[start, end)` of an image's data: what points to `top`, the main heap's last chunk.
pub fn main_state(reader: &Reader<'_>, start: Addr, end: Addr, top: Addr) -> Option<Addr> {
    let wanted = top.0.to_le_bytes();
    for (at, bytes) in reader.chunks(start, end.0.saturating_sub(start.0)) {
        let words = bytes.chunks_exact(8).enumerate().filter(|(_, w)| **w == wanted);
        for (i, _) in words {
            let state = at + (i as u64 * 8) - TOP;
            // the unsorted bin behind it is a list that begins and ends in the state
            let bin = state + TOP;
            let link = reader.pointer(bin + HEAD);
            let back = link.and_then(|l| reader.pointer(l + HEAD + 8));
            if back == Some(bin) {
                return Some(state);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    fn put(bytes: &mut [u8], at: usize, word: u64) {
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// A cache of 2.30 at 0x10010, and chunks of 0x20 bytes from 0x10290 on; two of them are in the cache.
    fn cache() -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        put(&mut bytes, 8, 0x291);
        for i in 0..4 {
            put(&mut bytes, 0x290 + i * 0x20 + 8, 0x21);
        }
        put(&mut bytes, 0x10 + 128, 0x102c0);
        put(&mut bytes, 0x2c0, 0x102a0 ^ 0x10);
        put(&mut bytes, 0x2a0, 0x10);
        bytes
    }

    fn read(bytes: Vec<u8>) -> (bool, Vec<u64>) {
        let snapshot = Snapshot::from_memory(vec![(Addr(0x10000), bytes)], None);
        let mut freed = HashSet::new();
        let is = thread_cache(&snapshot.reader(), Addr(0x10010), 0x288, &mut freed);
        let mut freed: Vec<u64> = freed.into_iter().map(|a| a.0).collect();
        freed.sort_unstable();
        (is, freed)
    }

    #[test]
    fn a_cache_leads_to_chunks_of_its_bins_sizes() {
        assert_eq!(read(cache()), (true, vec![0x102a0, 0x102c0]));
        let mut other = cache();
        put(&mut other, 0x2c8 - 0x10, 0x31); // its size is another bin's
        assert_eq!(read(other), (false, vec![]));
        let mut circle = cache();
        put(&mut circle, 0x2a0, 0x102c0 ^ 0x10);
        assert_eq!(read(circle), (true, vec![0x102a0, 0x102c0]));
    }

    #[test]
    fn fast_bins_lead_from_head_to_head() {
        let mut bytes = cache();
        // an arena's state at 0x10300: its first fast bin holds the chunk at 0x102b0
        put(&mut bytes, 0x300 + 16, 0x102b0);
        put(&mut bytes, 0x300 + 96, 0x10320);
        put(&mut bytes, 0x2c0, 0x10);
        let snapshot = Snapshot::from_memory(vec![(Addr(0x10000), bytes)], None);
        let mut freed = HashSet::new();
        assert!(!fast_bins(&snapshot.reader(), Addr(0x10300), Some(Addr(0x10330)), &mut freed));
        assert!(fast_bins(&snapshot.reader(), Addr(0x10300), Some(Addr(0x10320)), &mut freed));
        assert_eq!(freed.into_iter().collect::<Vec<_>>(), [Addr(0x102c0)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(flips in prop::collection::vec((0usize..0x400, any::<u8>()), 0..40)) {
            let mut bytes = cache();
            for (at, value) in flips {
                bytes[at] = value;
            }
            let snapshot = Snapshot::from_memory(vec![(Addr(0x10000), bytes.clone())], None);
            let mut freed = HashSet::new();
            fast_bins(&snapshot.reader(), Addr(0x10000), None, &mut freed);
            main_state(&snapshot.reader(), Addr(0x10000), Addr(0x10400), Addr(0x10320));
            read(bytes);
        }
    }
}
