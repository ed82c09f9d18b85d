//! Live blocks that are no objects: what allocators handed out for C structs, tables of containers, buffers.
//!
//! The blocks are those that the scan looks at; where an object begins in one, alive or
//! in a free list, it is left out. Whose a block is, and
//! what is in it, is not known here.

use super::{Heap, Kind, Piece};
use crate::alloc::{debug, glibc, pymalloc};
use crate::snapshot::Addr;

/// An object begins at one of these places of its block: behind a GC header, at once, behind a pre-header.
const HEADS: [u64; 3] = [16, 0, 32];

/// Calls `visit` with the address and the length of each such block of a piece of memory.
pub fn raw_blocks(heap: &Heap, piece: &Piece, mut visit: impl FnMut(Addr, u64)) {
    let memory = heap.memory();
    let reader = &memory.reader;
    let mut block = |at: Addr, len: u64| {
        let inner = if debug::may_be(reader.tail(at)) { debug::block(reader, at, len) } else { None };
        let (start, room) = inner.map_or((at, len), |b| (b.at, b.len));
        // one in a free list keeps its type and what it held
        let object = |head: &u64| {
            let ty = memory.type_of(start + *head).and_then(|ty| heap.types().id_of(ty));
            head + 16 <= room && (heap.objects().object_at(start + *head).is_some() || ty.is_some())
        };
        if !HEADS.iter().any(object) {
            visit(start, room);
        }
    };
    match piece.kind {
        Kind::Pools => {
            let geometry = pymalloc::Geometry::of(memory.layout);
            let mut freed = [0; 16];
            let mut at = piece.start;
            while at < piece.end {
                if let Some(pool) = geometry.pool(reader, &memory.layout.structs.pool, at).filter(|p| p.live > 0) {
                    pool.freed(reader, &mut freed);
                    let live = |i: &u64| freed.get((i / 64) as usize).is_some_and(|w| w & (1 << (i % 64)) == 0);
                    (0..pool.blocks).filter(live).for_each(|i| block(pool.address(i), pool.block));
                }
                at = at + geometry.pool_size;
            }
        }
        Kind::Chunks { limit } => {
            let mut at = piece.start;
            while at < piece.end
                && let Some(chunk) = glibc::chunk_at(reader, at, limit)
            {
                if chunk.in_use {
                    block(chunk.user, chunk.len);
                }
                at = chunk.next;
            }
        }
        Kind::Mapped => block(piece.start, piece.end.0.saturating_sub(piece.start.0)),
        Kind::Page { .. } | Kind::Image | Kind::Unknown => {}
    }
}
