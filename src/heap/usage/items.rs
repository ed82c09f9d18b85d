//! Laying out the items: from the survey's pieces and mimalloc's segments, with malloc's heaps and what its caches hold.
//!
//! Nothing is walked here but the chunks of malloc's heaps, to find the caches among them.

use super::{How, Item, MallocHeap, Manager};
use crate::alloc::mimalloc::Segment;
use crate::alloc::{cached, glibc};
use crate::heap::Heap;
use crate::heap::survey::{Kind, Piece};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Reader};
use std::collections::{BTreeMap, HashSet};

/// The items of the survey's pieces and of mimalloc's segments, and the heaps of malloc's.
pub(super) fn items(heap: &Heap, reader: &Reader<'_>, segments: &[Segment]) -> (Vec<Item>, Vec<MallocHeap>) {
    let mut heaps: Vec<MallocHeap> = Vec::new();
    let mut all: Vec<Item> = heap.pieces().iter().filter_map(|p| item(p, reader, &mut heaps)).collect();
    let of_segment = |(i, s): (usize, &Segment)| Item {
        start: s.start,
        end: s.end,
        manager: Manager::Mimalloc,
        heap: None,
        how: How::Segment(i),
    };
    all.extend(segments.iter().enumerate().map(of_segment));
    all.sort_by_key(|i| i.start);
    let mut reached = Addr::NULL;
    all.retain_mut(|item| {
        // what overlaps belongs to the first
        item.start = item.start.max(reached);
        reached = reached.max(item.end);
        item.start < item.end
    });
    (all, heaps)
}

fn item(piece: &Piece, reader: &Reader<'_>, heaps: &mut Vec<MallocHeap>) -> Option<Item> {
    let (manager, how) = match piece.kind {
        Kind::Pools => (Manager::Pymalloc, How::Pools),
        Kind::Chunks { limit } => (Manager::Malloc, How::Chunks(piece.start, limit)),
        Kind::Mapped => (Manager::Mapped, How::Mapped),
        Kind::Image => (Manager::Image, How::Image),
        Kind::Unknown => (Manager::Unknown, How::Unknown),
        Kind::Page { .. } => return None, // part of a segment
    };
    let mut item = Item { start: piece.start, end: piece.end, manager, heap: None, how };
    if how == How::Mapped {
        item.start = piece.start - glibc::HEAD;
    }
    if let Kind::Chunks { limit } = piece.kind {
        if heaps.last().is_none_or(|h| h.end != limit) {
            let arena = glibc::arena_of(reader, piece.start);
            let inside = piece.start.0 & (glibc::HEAP_ALIGNMENT - 1);
            item.start = if arena.is_some() { piece.start - inside } else { piece.start };
            heaps.push(MallocHeap { start: item.start, end: limit, arena });
        }
        item.heap = heaps.len().checked_sub(1);
    }
    Some(item)
}

/// What the caches of threads and the fast bins of arenas hold.
pub(super) fn freed_chunks(
    heap: &Heap,
    reader: &Reader<'_>,
    items: &[Item],
    heaps: &[MallocHeap],
    progress: &Progress,
) -> Result<HashSet<Addr>, Cancelled> {
    let mut freed = HashSet::new();
    let mut tops: BTreeMap<usize, Addr> = BTreeMap::new();
    for item in items {
        let How::Chunks(first, limit) = item.how else { continue };
        progress.check()?;
        let mut at = first;
        while at < item.end
            && let Some(chunk) = glibc::chunk_at(reader, at, limit)
        {
            if chunk.in_use {
                cached::thread_cache(reader, chunk.user, chunk.len, &mut freed);
            }
            if limit.0 - chunk.next.0 < 32 {
                tops.extend(item.heap.map(|h| (h, at)));
            }
            at = chunk.next;
        }
    }
    let arenas: HashSet<Addr> = heaps.iter().filter_map(|h| h.arena).collect();
    for state in arenas {
        cached::fast_bins(reader, state, None, &mut freed);
    }
    let main = heaps.iter().enumerate().filter(|(_, h)| h.arena.is_none()).filter_map(|(i, _)| tops.get(&i));
    for top in main {
        let data = heap.interpreter().images.iter().flat_map(|i| &i.data);
        let state = data.clone().find_map(|(start, end)| cached::main_state(reader, *start, *end, *top));
        if let Some(state) = state {
            cached::fast_bins(reader, state, Some(*top), &mut freed);
        }
    }
    Ok(freed)
}
