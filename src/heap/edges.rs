//! References both ways: for each object what it holds, and what holds it.
//!
//! Compact adjacency: object numbers of 32 bits, grouped by object. The forward lists are made window by window with
//! the one traversal of `cpython::edges`, names left out; the backward lists by counting, each thread for its own
//! range of targets. Names and kinds are found again for the few edges that are shown.

use super::{Heap, ObjectId};
use crate::cpython::{EdgeKind, EdgeName};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// The references of a whole heap, forwards and backwards. About 8 bytes an edge and 8 an object.
#[derive(Debug)]
pub struct Edges {
    forward: Vec<Lists>,
    backward: Vec<Lists>,
    /// Objects in each part of `backward`.
    part: u32,
    count: u64,
}

/// The lists of a run of objects, one after the other.
#[derive(Debug, Default)]
struct Lists {
    /// Where each object's list ends; it begins where the one before ends.
    ends: Box<[u32]>,
    items: Box<[ObjectId]>,
}

impl Lists {
    fn get(&self, i: usize) -> &[ObjectId] {
        let end = self.ends.get(i).copied().unwrap_or(0) as usize;
        let start = i.checked_sub(1).and_then(|b| self.ends.get(b)).copied().unwrap_or(0) as usize;
        self.items.get(start..end).unwrap_or(&[])
    }

    fn heap_bytes(&self) -> usize {
        self.ends.len() * 4 + self.items.len() * 4 + size_of::<Lists>()
    }
}

/// Parts of the backward lists are not made smaller than this.
const MIN_PART: usize = 1 << 16;

impl Edges {
    /// Finds every reference. Time is that of reading all objects once, and of counting the edges twice.
    pub fn build(heap: &Heap, progress: &Progress) -> Result<Edges, Cancelled> {
        let index = heap.objects();
        let windows = index.window_count();
        progress.begin(2 * windows as u64);
        let forward: Result<Vec<Lists>, Cancelled> = (0..windows)
            .into_par_iter()
            .map(|i| {
                progress.check()?;
                progress.advance(1);
                Ok(forward_lists(heap, i))
            })
            .collect();
        let forward = forward?;
        let count = forward.iter().map(|l| l.items.len() as u64).sum();
        let parts = (rayon::current_num_threads() * 2).clamp(1, index.len().div_ceil(MIN_PART).max(1));
        let part = u32::try_from(index.len().div_ceil(parts)).unwrap_or(u32::MAX).max(1);
        let firsts: Vec<u32> = (0..windows).map(|i| index.window_ids(i).start).collect();
        let backward: Result<Vec<Lists>, Cancelled> = (0..parts as u32)
            .into_par_iter()
            .map(|p| {
                let from = p.saturating_mul(part);
                let to = from.saturating_add(part).min(index.len() as u32);
                let lists = backward_lists(&forward, &firsts, from.min(to)..to, progress)?;
                progress.advance((windows / parts) as u64);
                Ok(lists)
            })
            .collect();
        Ok(Edges { forward, backward: backward?, part, count })
    }

    /// How many references there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What an object holds, in the object's own order; an object that is held twice is there twice.
    pub fn referents(&self, heap: &Heap, id: ObjectId) -> &[ObjectId] {
        let Some((window, i)) = heap.objects().place(id) else { return &[] };
        self.forward.get(window).map_or(&[], |lists| lists.get(i))
    }

    /// What holds an object, in address order; a holder of two references is there twice.
    pub fn referrers(&self, id: ObjectId) -> &[ObjectId] {
        let (part, i) = (id.0 / self.part, id.0 % self.part);
        self.backward.get(part as usize).map_or(&[], |lists| lists.get(i as usize))
    }

    /// Bytes this takes.
    pub fn heap_bytes(&self) -> usize {
        self.forward.iter().chain(&self.backward).map(Lists::heap_bytes).sum()
    }
}

fn forward_lists(heap: &Heap, window: usize) -> Lists {
    let memory = heap.memory();
    let (index, types) = (heap.objects(), heap.types());
    let mut ends = Vec::with_capacity(index.window_ids(window).len());
    let mut items: Vec<ObjectId> = Vec::new();
    for (_, addr, ty) in index.window(window) {
        let mut add = |_: EdgeName<'_>, _: EdgeKind, target: Addr| items.extend(index.object_at(target));
        memory.visit_edges(addr, types.get(ty), types, &mut add);
        // a window's edges are those of at most a mebibyte of objects, but a list's items lie elsewhere
        ends.push(u32::try_from(items.len()).unwrap_or(u32::MAX));
    }
    Lists { ends: ends.into(), items: items.into() }
}

/// The referrers of the objects in `range`.
fn backward_lists(
    forward: &[Lists],
    firsts: &[u32],
    range: std::ops::Range<u32>,
    progress: &Progress,
) -> Result<Lists, Cancelled> {
    let mut ends = vec![0u32; range.len()].into_boxed_slice();
    let here = |id: &ObjectId| id.0.wrapping_sub(range.start) as usize;
    for lists in forward {
        for target in &lists.items {
            if let Some(n) = ends.get_mut(here(target)) {
                *n = n.saturating_add(1);
            }
        }
    }
    progress.check()?;
    let mut total = 0u32;
    for n in &mut ends {
        // for now where the list begins; filling moves it to where it ends
        let begin = total;
        total = total.saturating_add(*n);
        *n = begin;
    }
    let mut items = vec![ObjectId(0); total as usize].into_boxed_slice();
    for (lists, first) in forward.iter().zip(firsts) {
        let mut start = 0;
        for (i, end) in lists.ends.iter().enumerate() {
            for target in lists.items.get(start..*end as usize).unwrap_or(&[]) {
                if let Some(at) = ends.get_mut(here(target)) {
                    if let Some(item) = items.get_mut(*at as usize) {
                        *item = ObjectId(first + i as u32);
                    }
                    *at = at.saturating_add(1);
                }
            }
            start = *end as usize;
        }
    }
    Ok(Lists { ends, items })
}
