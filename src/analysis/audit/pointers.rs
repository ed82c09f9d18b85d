//! Pointers to some objects in memory that is no object's: C structs that malloc handed out, C stacks, registers.
//!
//! A pointer is no proof of a reference: it may be borrowed, or stale where it lies in memory that was not cleared. It
//! says where a reference that is counted may be. Where no pointer is, the reference was lost.

use super::buffers;
use crate::heap::blocks::raw_blocks;
use crate::heap::{Edges, Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};

/// Where a pointer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    /// In the block that begins here.
    Block(Addr),
    /// On the C stack of the thread with this number, or in its registers.
    Stack(i32),
}

/// Holders of one object whose tables are looked at; more are taken as they come.
const MAX_HOLDERS: usize = 1 << 20;

/// For each of `wanted`, which are in order: the places of the pointers to it.
pub(super) fn find(
    heap: &Heap,
    edges: &Edges,
    wanted: &[ObjectId],
    progress: &Progress,
) -> Result<HashMap<ObjectId, Vec<Place>>, Cancelled> {
    let owned = tables(heap, edges, wanted);
    let structs = interpreter_structs(heap);
    let pieces = heap.pieces();
    progress.begin(pieces.len() as u64);
    let is_wanted = |word: u64| {
        let id = if word == 0 || word & 7 != 0 { None } else { heap.objects().object_at(Addr(word)) };
        id.filter(|id| wanted.binary_search(id).is_ok())
    };
    let in_blocks: Result<Vec<Vec<(ObjectId, Place)>>, Cancelled> = pieces
        .par_iter()
        .map(|piece| {
            progress.check()?;
            let reader = heap.snapshot().reader();
            let mut found = Vec::new();
            raw_blocks(heap, piece, |at, len| {
                if structs.iter().any(|(start, end)| *start < at + len && at < *end) {
                    return;
                }
                for (start, bytes) in reader.chunks(at, len & !7) {
                    for (i, word) in bytes.chunks_exact(8).enumerate() {
                        let word = word.try_into().map_or(0, u64::from_le_bytes);
                        if let Some(id) = is_wanted(word)
                            && !within(&owned, start + i as u64 * 8)
                        {
                            found.push((id, Place::Block(at)));
                        }
                    }
                }
            });
            progress.advance(1);
            Ok(found)
        })
        .collect();
    let mut places: HashMap<ObjectId, Vec<Place>> = HashMap::new();
    for (id, place) in in_blocks?.into_iter().flatten() {
        places.entry(id).or_default().push(place);
    }
    for (id, tid) in on_stacks(heap, is_wanted) {
        places.entry(id).or_default().push(Place::Stack(tid));
    }
    Ok(places)
}

/// The memory of tables, items and values of whatever holds one of the objects, in order.
fn tables(heap: &Heap, edges: &Edges, wanted: &[ObjectId]) -> Vec<(Addr, Addr)> {
    let mut holders: HashSet<ObjectId> = HashSet::new();
    for id in wanted {
        holders.extend(edges.referrers(*id).iter().take(MAX_HOLDERS));
    }
    let memory = heap.memory();
    let mut owned = Vec::new();
    for holder in holders {
        if let Some((_, ty)) = heap.type_of(holder) {
            buffers::of(&memory, heap.objects().address(holder), ty, |at, len| owned.push((at, at + len)));
        }
    }
    owned.sort_unstable();
    // one may lie in another
    let mut reach = Addr::NULL;
    owned.retain(|(_, end)| {
        let beyond = *end > reach;
        reach = reach.max(*end);
        beyond
    });
    owned
}

fn within(ranges: &[(Addr, Addr)], at: Addr) -> bool {
    let i = ranges.partition_point(|(_, end)| *end <= at);
    ranges.get(i).is_some_and(|(start, _)| *start <= at)
}

/// Structs of the interpreter, whose words are roots.
fn interpreter_structs(heap: &Heap) -> Vec<(Addr, Addr)> {
    let interpreter = heap.interpreter();
    let (s, memory) = (&interpreter.layout.structs, heap.memory());
    let mut structs = Vec::new();
    for state in &interpreter.interpreters {
        structs.push((state.address, state.address + s.interpreter.size));
        for thread in memory.threads(state).0 {
            structs.push((thread.address, thread.address + interpreter.layout.roots.thread_size.max(64)));
        }
    }
    structs
}

/// Words of the live part of each thread's C stack, and its registers; each object once a thread.
fn on_stacks(heap: &Heap, wanted: impl Fn(u64) -> Option<ObjectId>) -> Vec<(ObjectId, i32)> {
    /// Deeper stacks are looked at this far.
    const MAX_STACK: u64 = 64 << 20;
    let mut found = Vec::new();
    let reader = heap.snapshot().reader();
    for thread in heap.snapshot().metadata().iter().flat_map(|m| &m.threads) {
        let mut seen: HashSet<ObjectId> = thread.registers.values().filter_map(|r| wanted(r.0)).collect();
        if let Some(top) = thread.registers.get("rsp").copied()
            && let Some(region) = heap.snapshot().region_of(top)
        {
            let start = Addr(top.0 & !7);
            let len = region.end.0.saturating_sub(start.0).min(MAX_STACK);
            for (_, bytes) in reader.chunks(start, len) {
                let words = bytes.chunks_exact(8).map(|w| w.try_into().map_or(0, u64::from_le_bytes));
                seen.extend(words.filter_map(&wanted));
            }
        }
        found.extend(seen.into_iter().map(|id| (id, thread.tid)));
    }
    found
}
