//! pymalloc's pools (`Objects/obmalloc.c`, `Include/internal/pycore_obmalloc.h`).
//!
//! A pool is a page-aligned run of blocks of one size with a 48-byte header. A header has five facts that must agree
//! (size class, first and last offset, count of live blocks, free list), so that a pool is recognised without the
//! arena table, which stripped interpreters up to 3.11 hide. Which pools make up an arena is not looked at.

use crate::cpython::layout::{self, Layout};
use crate::snapshot::{Addr, Reader};

/// The granularity of blocks, and of their sizes.
pub const ALIGNMENT: u64 = 16;

/// Requests of more bytes go to malloc (`SMALL_REQUEST_THRESHOLD`).
pub const LARGEST: u64 = 512;

/// Blocks of a pool begin after its header.
const HEADER: u64 = 48;

/// Size classes: requests of up to 512 bytes.
const CLASSES: u32 = 32;

/// What differs between versions.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    /// 4 KiB up to 3.9, 16 KiB from 3.10. A power of two.
    pub pool_size: u64,
}

impl Geometry {
    /// The geometry of a version.
    pub fn of(layout: &Layout) -> Geometry {
        Geometry { pool_size: layout.alloc.pool_size }
    }

    /// Bytes of an arena, from which pools are cut (`ARENA_BITS`): 256 KiB up to 3.9, 1 MiB from 3.10.
    pub fn arena_size(&self) -> u64 {
        self.pool_size * 64
    }

    /// The pool at `at`, when the header there is one.
    #[inline]
    pub fn pool(&self, reader: &Reader<'_>, offsets: &layout::Pool, at: Addr) -> Option<Pool> {
        let class = reader.u32(at + offsets.szidx)?;
        let next = u64::from(reader.u32(at + offsets.nextoffset)?);
        let last = u64::from(reader.u32(at + offsets.maxnextoffset)?);
        let live = reader.u32(at + offsets.ref_count)?;
        let free = reader.pointer(at + offsets.freeblock)?;
        if class >= CLASSES {
            return None;
        }
        let block = (u64::from(class) + 1) * ALIGNMENT;
        if last != self.pool_size - block || next > last + block || next < HEADER + block {
            return None;
        }
        if !(next - HEADER).is_multiple_of(block) {
            return None;
        }
        let blocks = (next - HEADER) / block;
        if u64::from(live) > blocks {
            return None;
        }
        if !free.is_null() {
            let inside = free.0.wrapping_sub(at.0 + HEADER);
            if inside >= next - HEADER || !inside.is_multiple_of(block) {
                return None;
            }
        }
        Some(Pool { at, block, blocks, live: u64::from(live), free })
    }
}

/// One pool whose header agrees with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Its header.
    pub at: Addr,
    /// Bytes a block.
    pub block: u64,
    /// Blocks that were ever handed out; those after them are untouched.
    pub blocks: u64,
    /// How many of them the header says live.
    pub live: u64,
    free: Addr,
}

/// One bit a block: at most 16 KiB / 16 bytes.
pub type FreeSet = [u64; 16];

impl Pool {
    /// The first block.
    pub fn first(&self) -> Addr {
        self.at + HEADER
    }

    /// The `i`th block.
    #[inline]
    pub fn address(&self, i: u64) -> Addr {
        self.at + (HEADER + i * self.block)
    }

    /// Marks the freed blocks. `false` when the free list does not agree with the header: the process was stopped in
    /// the middle of an allocation, or this is no pool; what could be followed is marked.
    pub fn freed(&self, reader: &Reader<'_>, set: &mut FreeSet) -> bool {
        *set = [0; 16];
        let mut at = self.free;
        let mut found = 0;
        while !at.is_null() {
            let inside = at.0.wrapping_sub(self.first().0);
            let i = inside / self.block;
            if i >= self.blocks || !inside.is_multiple_of(self.block) {
                return false;
            }
            let (word, bit) = ((i / 64) as usize, 1u64 << (i % 64));
            let Some(word) = set.get_mut(word) else { return false };
            if *word & bit != 0 {
                return false; // a circle
            }
            *word |= bit;
            found += 1;
            let Some(next) = reader.pointer(at) else { return false };
            at = next;
        }
        found + self.live == self.blocks
    }

    /// The index of the block that holds `addr`.
    pub fn block_of(&self, addr: Addr) -> Option<u64> {
        let i = addr.0.checked_sub(self.first().0)? / self.block;
        (i < self.blocks).then_some(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    // written out by hand from Include/internal/pycore_obmalloc.h, apart from the tables the program reads
    fn pool_bytes(block: u32, next: u32, live: u32, free: &[u64]) -> Vec<u8> {
        let base = 0x4000u64;
        let mut bytes = vec![0u8; 16 << 10];
        bytes[0..4].copy_from_slice(&live.to_le_bytes());
        bytes[8..16].copy_from_slice(&free.first().map_or(0, |o| base + o).to_le_bytes());
        bytes[36..40].copy_from_slice(&(block / 16 - 1).to_le_bytes());
        bytes[40..44].copy_from_slice(&next.to_le_bytes());
        bytes[44..48].copy_from_slice(&((16 << 10) - block).to_le_bytes());
        for (i, offset) in free.iter().enumerate() {
            let following = free.get(i + 1).map_or(0, |o| base + o);
            bytes[*offset as usize..][..8].copy_from_slice(&following.to_le_bytes());
        }
        bytes
    }

    fn open(bytes: Vec<u8>) -> Option<(Pool, FreeSet, bool)> {
        let snapshot = Snapshot::from_memory(vec![(Addr(0x4000), bytes)], None);
        let reader = snapshot.reader();
        let layout = layout::table("3.12").unwrap();
        let pool = Geometry::of(layout).pool(&reader, &layout.structs.pool, Addr(0x4000))?;
        let mut set = [0; 16];
        let agrees = pool.freed(&reader, &mut set);
        Some((pool, set, agrees))
    }

    #[test]
    fn freed_blocks_are_marked() {
        // five blocks of 64 bytes were handed out, the second and the fourth came back
        let (pool, set, agrees) = open(pool_bytes(64, 48 + 5 * 64, 3, &[48 + 3 * 64, 48 + 64])).unwrap();
        assert!(agrees);
        assert_eq!((pool.blocks, pool.block, set[0]), (5, 64, 0b01010));
        assert_eq!(pool.address(2), Addr(0x4000 + 48 + 128));
        assert_eq!(pool.block_of(Addr(0x4000 + 48 + 130)), Some(2));
    }

    #[test]
    fn a_free_list_that_disagrees_is_noticed() {
        assert!(!open(pool_bytes(64, 48 + 5 * 64, 5, &[48 + 64])).unwrap().2, "one free, five live, five in all");
        let mut circle = pool_bytes(64, 48 + 5 * 64, 3, &[48, 48 + 64]);
        circle[48 + 64..48 + 72].copy_from_slice(&(0x4000u64 + 48).to_le_bytes());
        assert!(!open(circle).unwrap().2);
    }

    #[test]
    fn other_pages_are_no_pools() {
        assert!(open(vec![0; 16 << 10]).is_none());
        assert!(open(pool_bytes(64, 48 + 5 * 64 + 8, 3, &[])).is_none(), "offset between two blocks");
        assert!(open(pool_bytes(64, 48 + 5 * 64, 6, &[])).is_none(), "more live than handed out");
        assert!(open(pool_bytes(64, 48 + 5 * 64, 3, &[50])).is_none(), "free block between two blocks");
    }
}
