//! The arenas of glibc malloc, and which of them was locked: a thread was inside of it when the process stopped.
//!
//! All arenas are in one ring (`malloc_state.next`), which the main one, static data of the C library, belongs to. A
//! heap of a thread names its arena; where no thread has one, the main arena is alone in the ring and known by its
//! bins, each a list that leads back to it. What the arenas hold is not looked at here. Offsets are those of
//! `malloc/malloc.c` from 2.27 on, and from 2.43 on, which has no fast bins; others are not found, and nothing is said
//! of them.

use crate::snapshot::{Addr, Reader};
use std::collections::HashSet;

/// The lock, first in `malloc_state` (0: free, 1: held, 2: held and waited for).
const MUTEX: u64 = 0;

/// Where the rest of `malloc_state` lies: the top chunk, the bins, the next arena.
#[derive(Debug, Clone, Copy)]
struct Shape {
    top: u64,
    bins: u64,
    next: u64,
}

/// From 2.27, from 2.43.
const SHAPES: [Shape; 2] = [Shape { top: 96, bins: 112, next: 2160 }, Shape { top: 8, bins: 24, next: 2072 }];

/// Bins, the unsorted one first: heads of doubly linked lists, two words each.
const BIN_COUNT: u64 = 127;

/// More arenas than this are damage (by default there are at most eight for a processor).
const MAX_ARENAS: usize = 1 << 16;

/// The arenas that are locked. `data`: the writable data of all images; `known`: arenas that threads' heaps name.
/// Reads the data of all images once when there are none.
pub fn locked(reader: &Reader<'_>, data: &[(Addr, Addr)], known: &HashSet<Addr>) -> Vec<Addr> {
    let mut arenas: HashSet<Addr> = HashSet::new();
    for first in known {
        let mut at = *first;
        while arenas.len() < MAX_ARENAS
            && let Some(shape) = SHAPES.iter().find(|shape| shape.fits(reader, at))
            && arenas.insert(at)
            && let Some(next) = reader.pointer(at + shape.next)
        {
            at = next;
        }
    }
    if known.is_empty() {
        arenas.extend(data.iter().find_map(|(start, end)| alone(reader, *start, *end)));
    }
    let is_locked = |at: &Addr| matches!(reader.u64(*at + MUTEX).map(|w| w as u32), Some(1 | 2));
    let mut locked: Vec<Addr> = arenas.into_iter().filter(is_locked).collect();
    locked.sort_unstable();
    locked
}

/// The main arena in `[start, end)`, when it is the only one: its ring is itself.
fn alone(reader: &Reader<'_>, start: Addr, end: Addr) -> Option<Addr> {
    for (at, bytes) in reader.chunks(start, end.0.saturating_sub(start.0)) {
        for (i, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let place = at.0 + i as u64 * 8;
            let word = u64::from_le_bytes(*word);
            let is_alone = |s: &Shape| word.wrapping_add(s.next) == place && s.fits(reader, Addr(word));
            if SHAPES.iter().any(is_alone) {
                return Some(Addr(word));
            }
        }
    }
    None
}

impl Shape {
    /// Whether a `malloc_state` is at `at`. Most bins are empty, and an empty one leads to itself; while a thread is
    /// inside of it, one of the others may lead somewhere for a moment.
    fn fits(&self, reader: &Reader<'_>, at: Addr) -> bool {
        let bin = |i: u64| at + self.bins + i * 16 - 16; // a chunk's links come after two words
        let links = |i| Some((reader.pointer(bin(i) + 16)?, reader.pointer(bin(i) + 24)?));
        let empty = |i: &u64| links(*i) == Some((bin(*i), bin(*i)));
        // before it is first used, an arena has no top and no bins
        let used = at.0.is_multiple_of(8) && reader.pointer(at + self.top).is_some_and(|top| !top.is_null());
        used && (0..BIN_COUNT).filter(empty).count() as u64 > BIN_COUNT / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    const SIZE: u64 = 2200;

    fn arena(bytes: &mut [u8], base: u64, at: u64, next: u64, mutex: u32, shape: Shape) {
        let mut put = |place: u64, value: u64| {
            bytes[(place - base) as usize..(place - base) as usize + 8].copy_from_slice(&value.to_le_bytes());
        };
        put(at + MUTEX, mutex.into());
        put(at + shape.top, 0x5000);
        for i in 0..BIN_COUNT {
            // half of the small ones hold something
            let bin = if i < 64 && i % 2 == 1 { 0x7770 } else { at + shape.bins + i * 16 - 16 };
            put(at + shape.bins + i * 16, bin);
            put(at + shape.bins + i * 16 + 8, bin);
        }
        put(at + shape.next, next);
    }

    fn snapshot(mutexes: &[u32], shape: Shape) -> (Snapshot, Vec<Addr>) {
        let base = 0x10_0000;
        let mut bytes = vec![0; 0x4000];
        let at: Vec<u64> = (0..mutexes.len() as u64).map(|i| base + 0x40 + i * (SIZE + 8)).collect();
        for (i, mutex) in mutexes.iter().enumerate() {
            arena(&mut bytes, base, at[i], at[(i + 1) % at.len()], *mutex, shape);
        }
        (Snapshot::from_memory(vec![(Addr(base), bytes)], None), at.into_iter().map(Addr).collect())
    }

    #[test]
    fn the_locked_ones_of_a_ring_are_found() {
        let data = [(Addr(0x10_0000), Addr(0x10_4000))];
        for shape in SHAPES {
            for mutex in [0, 1, 2] {
                let (one, at) = snapshot(&[mutex], shape);
                let expected = if mutex > 0 { at.clone() } else { Vec::new() };
                assert_eq!(locked(&one.reader(), &data, &HashSet::new()), expected, "alone, {shape:?}");
            }
            let (ring, at) = snapshot(&[1, 0, 2, 0], shape);
            // whichever is known, all of them are
            for first in &at {
                assert_eq!(locked(&ring.reader(), &data, &HashSet::from([*first])), [at[0], at[2]], "{shape:?}");
            }
            assert!(locked(&ring.reader(), &data, &HashSet::from([Addr(0x10_2f00)])).is_empty(), "no arena");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(flips in prop::collection::vec((0usize..0x4000, any::<u8>()), 0..40)) {
            let (whole, at) = snapshot(&[1, 1], SHAPES[0]);
            let mut bytes = vec![0; 0x4000];
            whole.reader().read(Addr(0x10_0000), &mut bytes).unwrap();
            for (place, value) in flips {
                bytes[place] = value;
            }
            let damaged = Snapshot::from_memory(vec![(Addr(0x10_0000), bytes)], None);
            let data = [(Addr(0x10_0000), Addr(0x10_4000))];
            for known in [HashSet::new(), at.into_iter().collect()] {
                prop_assert!(locked(&damaged.reader(), &data, &known).len() <= 2);
            }
        }
    }
}
