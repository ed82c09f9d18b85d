//! Which objects only cycles keep alive, found as the collector would find them.
//!
//! `gc_refs` of each tracked object is its reference count less the references that other tracked objects of its
//! interpreter show. What has some left is held from outside, and so is all that it leads to; the rest is garbage
//! (`deduce_unreachable`). Nothing is called and nothing changes.

use super::lists::{Place, Places};
use super::traverse::Rules;
use crate::analysis::ownership::Role;
use crate::cpython::Count;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use rayon::prelude::*;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Objects that are looked at between two looks at whether to stop.
const CHUNK: usize = 1 << 12;

/// What is reached has this for its count.
const REACHED: i32 = i32::MAX;

/// The objects that nothing but cycles keeps alive, in address order.
pub(super) fn unreachable(
    heap: &Heap,
    places: &Places,
    rules: &Rules,
    progress: &Progress,
) -> Result<Vec<ObjectId>, Cancelled> {
    let index = heap.objects();
    let windows = index.window_count();
    progress.begin(2 * windows as u64);
    let interpreter_of = |id: ObjectId| match places.get(id.0) {
        Place::Generation(_, interpreter) => Some(interpreter),
        Place::None | Place::Frozen => None,
    };
    let refs = counts(heap, places);
    let refs_of = |id: ObjectId| refs.get(id.0 as usize);
    // an immortal object is taken off the lists
    let watched = |id: ObjectId| refs_of(id).is_some_and(|r| r.load(Relaxed) != REACHED);
    let members: Vec<bool> = (0..index.len() as u32).into_par_iter().map(|id| watched(ObjectId(id))).collect();
    let is_member = |id: ObjectId| members.get(id.0 as usize).copied().unwrap_or(false);
    let held: Result<Vec<Vec<ObjectId>>, Cancelled> = (0..windows)
        .into_par_iter()
        .map(|i| {
            progress.check()?;
            let memory = heap.memory();
            let mut held = Vec::new();
            for (id, address, ty) in index.window(i).filter(|(id, ..)| is_member(*id)) {
                let mine = interpreter_of(id);
                rules.visit(heap, &memory, address, heap.types().get(ty), |target, role| match role {
                    Role::Counted if is_member(target) && interpreter_of(target) == mine => {
                        if let Some(n) = refs_of(target) {
                            n.fetch_sub(1, Relaxed);
                        }
                    }
                    // whether it is a reference is not known, so that it counts as one from outside
                    Role::Guessed if is_member(target) => held.push(target),
                    _ => {}
                });
            }
            progress.advance(1);
            Ok(held)
        })
        .collect();
    let mut frontier: Vec<ObjectId> = held?
        .into_iter()
        .flatten()
        .filter(|id| refs_of(*id).is_some_and(|n| n.swap(REACHED, Relaxed) != REACHED))
        .collect();
    frontier.extend((0..index.len() as u32).map(ObjectId).filter(|id| {
        is_member(*id) && refs_of(*id).is_some_and(|n| n.load(Relaxed) > 0 && n.swap(REACHED, Relaxed) != REACHED)
    }));
    while !frontier.is_empty() {
        let next: Result<Vec<Vec<ObjectId>>, Cancelled> = frontier
            .par_chunks(CHUNK)
            .map(|chunk| {
                progress.check()?;
                let memory = heap.memory();
                let mut found = Vec::new();
                for id in chunk {
                    let Some((_, ty)) = heap.type_of(*id) else { continue };
                    let mine = interpreter_of(*id);
                    rules.visit(heap, &memory, index.address(*id), ty, |target, _| {
                        let other = is_member(target) && interpreter_of(target) == mine;
                        if other && refs_of(target).is_some_and(|n| n.swap(REACHED, Relaxed) != REACHED) {
                            found.push(target);
                        }
                    });
                }
                Ok(found)
            })
            .collect();
        frontier = next?.into_iter().flatten().collect();
    }
    let lost = |id: &ObjectId| is_member(*id) && refs_of(*id).is_some_and(|n| n.load(Relaxed) != REACHED);
    Ok((0..index.len() as u32).map(ObjectId).filter(lost).collect())
}

/// The reference counts of what the collector watches; [`REACHED`] for all else.
fn counts(heap: &Heap, places: &Places) -> Vec<AtomicI32> {
    let index = heap.objects();
    let counts = |i| {
        let memory = heap.memory();
        index
            .window(i)
            .map(|(id, address, _)| match (places.get(id.0), memory.count(address)) {
                (Place::Generation(..), Some(Count::Live(n))) => i32::try_from(n).unwrap_or(REACHED),
                _ => REACHED,
            })
            .map(AtomicI32::new)
            .collect::<Vec<_>>()
    };
    (0..index.window_count()).into_par_iter().flat_map_iter(counts).collect()
}
