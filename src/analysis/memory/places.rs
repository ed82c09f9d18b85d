//! The same memory by place: arenas of pymalloc, heaps of malloc, large blocks.

use super::kinds::Row;
use super::{Found, ROWS};
use crate::analysis::answers::{ArenaRow, Arenas, LargeBlock, MallocHeapRow};
use crate::heap::ObjectId;
use crate::heap::usage::{PoolFacts, Use};
use crate::snapshot::Addr;

/// Arenas, large blocks that are told one by one.
const MAX_ROWS: usize = 1000;

/// An arena: pools that follow each other and name the same arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arena {
    /// Its first pool.
    pub start: Addr,
    /// One past the last byte that is certainly its.
    pub end: Addr,
    pub live: u64,
    pub live_bytes: u64,
    pub free_pools: u64,
    index: u32,
}

/// Groups pools by arena. The first pool of an arena is the first that is handed out, so it tells where the arena
/// begins, but for what was skipped to align it.
pub fn arenas(pools: &mut [PoolFacts], arena_bytes: u64) -> Vec<Arena> {
    pools.sort_by_key(|p| p.at);
    let mut all: Vec<Arena> = Vec::new();
    for pool in pools.iter() {
        let inside = |a: &&mut Arena| a.index == pool.arena && pool.at.0 - a.start.0 < arena_bytes;
        let same = all.last_mut().filter(inside);
        let free = u64::from(pool.live == 0);
        match same {
            Some(arena) => {
                arena.live += pool.live;
                arena.live_bytes += pool.live_bytes;
                arena.free_pools += free;
            }
            None => all.push(Arena {
                start: pool.at,
                end: pool.at + (arena_bytes - pool.bytes.min(arena_bytes)),
                live: pool.live,
                live_bytes: pool.live_bytes,
                free_pools: free,
                index: pool.arena,
            }),
        }
        if let Some(arena) = all.last_mut() {
            arena.end = arena.end.max(pool.at + pool.bytes);
        }
    }
    all
}

impl Found<'_> {
    pub(super) fn arena_rows(&self) -> Option<Arenas> {
        if self.arenas.is_empty() {
            return None;
        }
        let bytes = self.usage.arena_bytes();
        let mut resident = 0;
        let mut rows: Vec<ArenaRow> = Vec::with_capacity(self.arenas.len());
        for arena in &self.arenas {
            let here = self.residency.as_ref().map_or(0, |r| r.between(arena.start, arena.end));
            resident += here;
            let alone = || self.heap.objects().from(arena.start).next().map(|o| o.1).filter(|at| *at < arena.end);
            rows.push(ArenaRow {
                start: arena.start,
                resident_bytes: self.told(here),
                live_blocks: arena.live,
                live_bytes: arena.live_bytes,
                free_pools: arena.free_pools,
                holder: if arena.live == 1 { alone() } else { None },
            });
        }
        rows.sort_by_key(|r| (r.live_bytes, r.start));
        let count = |held: &dyn Fn(&ArenaRow) -> bool| rows.iter().filter(|r| held(r)).count() as u64;
        let (held_by_one, nearly_empty) = (count(&|r| r.live_blocks == 1), count(&|r| r.live_bytes * 16 <= bytes));
        let live_bytes = rows.iter().map(|r| r.live_bytes).sum();
        let total = rows.len() as u64;
        rows.truncate(MAX_ROWS);
        Some(Arenas {
            count: total,
            bytes: total * bytes,
            resident_bytes: self.told(resident),
            live_bytes,
            held_by_one,
            nearly_empty,
            arenas: rows,
        })
    }

    pub(super) fn heap_rows(&self) -> Vec<MallocHeapRow> {
        let mut rows: Vec<MallocHeapRow> = Vec::new();
        let sum = |rows: &[u64; ROWS], of: &[Row]| of.iter().map(|r| rows[*r as usize]).sum::<u64>();
        for (heap, sums) in self.usage.heaps().iter().zip(&self.by_heap) {
            rows.push(MallocHeapRow {
                start: heap.start,
                end: heap.end,
                arena: heap.arena,
                resident_bytes: self.told(self.weight(heap.start, heap.end)),
                python_bytes: sum(sums, &[Row::ObjectsMalloc, Row::OwnedMalloc]),
                other_bytes: sum(sums, &[Row::OtherMalloc]),
                free_bytes: sum(sums, &[Row::FreeMalloc]),
                cached_bytes: sum(sums, &[Row::CachedMalloc]),
                top_bytes: sum(sums, &[Row::TopMalloc]),
            });
        }
        rows.sort_by_key(|r| (r.arena, r.start));
        rows
    }

    pub(super) fn large_rows(&self) -> Vec<LargeBlock> {
        let mut all: Vec<_> = self.sums.large.iter().collect();
        all.sort_by_key(|l| std::cmp::Reverse((l.resident, l.end.0 - l.start.0)));
        all.truncate(MAX_ROWS);
        let row = |large: &&super::sums::Large| {
            let object: Option<ObjectId> = match large.of {
                Use::Object(_) => self.heap.objects().from(large.start).next().map(|(id, _, _)| id),
                Use::Owned(id) => Some(id),
                _ => None,
            };
            let ty = object.and_then(|id| self.heap.type_of(id));
            LargeBlock {
                address: large.start,
                bytes: large.end.0 - large.start.0,
                resident_bytes: self.told(large.resident),
                owner: object.map(|id| self.heap.objects().address(id)),
                type_name: ty.map(|(_, ty)| ty.name.clone()),
            }
        };
        all.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_that_name_the_same_arena_make_it_up() {
        let pool = |at: u64, arena, live| PoolFacts { at: Addr(at), bytes: 0x4000, arena, live, live_bytes: live * 64 };
        let mut pools = vec![
            pool(0x20_4000, 2, 1),
            pool(0x10_0000, 1, 3),
            pool(0x10_4000, 1, 0),
            pool(0x1f_c000, 1, 2),
            pool(0x20_0000, 2, 0),
            pool(0x90_0000, 2, 7), // the arena of another interpreter
        ];
        let found = arenas(&mut pools, 1 << 20);
        let facts: Vec<_> = found.iter().map(|a| (a.start.0, a.end.0, a.live, a.free_pools)).collect();
        assert_eq!(facts, [(0x10_0000, 0x20_0000, 5, 1), (0x20_0000, 0x2f_c000, 1, 1), (0x90_0000, 0x9f_c000, 7, 0)]);
    }
}
