//! References both ways: for each object what it holds, and what holds it.
//!
//! Compact adjacency: object numbers of 32 bits, grouped by object. The forward lists are made window by window with
//! the one traversal of `cpython::edges`, names left out; the backward lists by counting, each thread for its own
//! range of targets. Most references are strong; those that are not are marked in bitmaps that exist only where there
//! are any. Names are found again for the few edges that are shown. What is too much for memory lies in a file
//! ([`spill`](super::spill)).

use super::spill::{Budget, Items};
use super::{Heap, ObjectId};
use crate::cpython::{EdgeKind, EdgeName};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// The references of a whole heap, forwards and backwards. About 8 bytes an edge and 8 an object; at most half a byte
/// an edge more where not all are strong.
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
    items: Items,
    weak: Marks,
    guessed: Marks,
}

/// Marks on items, a bit each; nothing where none is marked.
#[derive(Debug, Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn set(&mut self, i: usize) {
        if self.0.len() <= i / 64 {
            self.0.resize(i / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(i / 64) {
            *word |= 1 << (i % 64);
        }
    }

    #[inline]
    fn get(&self, i: usize) -> bool {
        self.0.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 != 0)
    }

    fn shrunk(mut self) -> Marks {
        self.0.shrink_to_fit();
        self
    }
}

impl Lists {
    #[inline]
    fn range(&self, i: usize) -> std::ops::Range<usize> {
        let end = self.ends.get(i).copied().unwrap_or(0) as usize;
        let start = i.checked_sub(1).and_then(|b| self.ends.get(b)).copied().unwrap_or(0) as usize;
        start..end
    }

    fn get(&self, i: usize) -> &[ObjectId] {
        self.items.get(self.range(i)).unwrap_or(&[])
    }

    #[inline]
    fn kind(&self, item: usize) -> EdgeKind {
        match () {
            () if self.weak.get(item) => EdgeKind::Weak,
            () if self.guessed.get(item) => EdgeKind::Guessed,
            () => EdgeKind::Strong,
        }
    }

    #[inline]
    fn kinds(&self, i: usize) -> impl Iterator<Item = (ObjectId, EdgeKind)> + '_ {
        let range = self.range(i);
        let items = self.items.get(range.clone()).unwrap_or(&[]);
        items.iter().zip(range).map(|(id, item)| (*id, self.kind(item)))
    }

    fn mark(&mut self, item: usize, kind: EdgeKind) {
        match kind {
            EdgeKind::Strong => {}
            EdgeKind::Weak => self.weak.set(item),
            EdgeKind::Guessed => self.guessed.set(item),
        }
    }

    fn heap_bytes(&self) -> usize {
        let marks = (self.weak.0.len() + self.guessed.0.len()) * 8;
        self.ends.len() * 4 + self.items.len() * 4 - self.items.spilled_bytes() + marks + size_of::<Lists>()
    }
}

/// Parts of the backward lists are not made smaller than this.
const MIN_PART: usize = 1 << 16;

/// So many parts at most: each looks at all references.
const MAX_PARTS: u64 = 256;

/// Windows that are made before it is looked how much memory they take.
const BATCH: usize = 256;

impl Edges {
    /// Finds every reference. Time is that of reading all objects once, and of counting the edges twice.
    pub fn build(heap: &Heap, progress: &Progress) -> Result<Edges, Cancelled> {
        Edges::build_with(heap, Budget::now(), progress)
    }

    /// The same, with so many bytes of memory at most; the rest lies in files. (What lists begin where, and what is
    /// marked, is in memory always.)
    pub fn build_within(heap: &Heap, bytes: u64, progress: &Progress) -> Result<Edges, Cancelled> {
        Edges::build_with(heap, Budget::of(bytes), progress)
    }

    fn build_with(heap: &Heap, budget: Budget, progress: &Progress) -> Result<Edges, Cancelled> {
        let index = heap.objects();
        let windows = index.window_count();
        progress.begin(2 * windows as u64);
        let interned = heap.interned();
        let mut forward = Vec::with_capacity(windows);
        for first in (0..windows).step_by(BATCH) {
            let batch: Result<Vec<Lists>, Cancelled> = (first..windows.min(first + BATCH))
                .into_par_iter()
                .map(|i| {
                    progress.check()?;
                    progress.advance(1);
                    Ok(forward_lists(heap, interned, i))
                })
                .collect();
            let mut batch = batch?;
            budget.settle(&mut batch.iter_mut().map(|lists| &mut lists.items).collect::<Vec<_>>());
            forward.append(&mut batch);
        }
        let count: u64 = forward.iter().map(|l| l.items.len() as u64).sum();
        let threads = rayon::current_num_threads();
        // a part is written all over the place: those that are written at one time should fit into memory
        let fitting = (count * 4 / (budget.left().max(64 << 20) / threads as u64).max(1)).min(MAX_PARTS) as usize;
        let parts = (threads * 2).max(fitting).clamp(1, index.len().div_ceil(MIN_PART).max(1));
        let part = u32::try_from(index.len().div_ceil(parts)).unwrap_or(u32::MAX).max(1);
        let firsts: Vec<u32> = (0..windows).map(|i| index.window_ids(i).start).collect();
        let backward: Result<Vec<Lists>, Cancelled> = (0..parts as u32)
            .into_par_iter()
            .map(|p| {
                let from = p.saturating_mul(part);
                let to = from.saturating_add(part).min(index.len() as u32);
                let lists = backward_lists(&forward, &firsts, from.min(to)..to, &budget, progress)?;
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

    /// The same with what each reference is. Weak ones do not keep alive; of guessed ones one cannot know, so that
    /// they count as holding.
    pub fn referents_by_kind(&self, heap: &Heap, id: ObjectId) -> impl Iterator<Item = (ObjectId, EdgeKind)> + '_ {
        let lists = heap.objects().place(id).and_then(|(window, i)| Some((self.forward.get(window)?, i)));
        lists.into_iter().flat_map(|(lists, i)| lists.kinds(i))
    }

    /// What holds an object, with what each reference is.
    pub fn referrers_by_kind(&self, id: ObjectId) -> impl Iterator<Item = (ObjectId, EdgeKind)> + '_ {
        let (part, i) = (id.0 / self.part, id.0 % self.part);
        self.backward.get(part as usize).into_iter().flat_map(move |lists| lists.kinds(i as usize))
    }

    /// Bytes that lie in files.
    pub fn spilled_bytes(&self) -> usize {
        self.forward.iter().chain(&self.backward).map(|lists| lists.items.spilled_bytes()).sum()
    }

    /// Bytes of memory this takes.
    pub fn heap_bytes(&self) -> usize {
        self.forward.iter().chain(&self.backward).map(Lists::heap_bytes).sum()
    }
}

fn forward_lists(heap: &Heap, interned: &[ObjectId], window: usize) -> Lists {
    let memory = heap.memory();
    let (index, types) = (heap.objects(), heap.types());
    let mut ends = Vec::with_capacity(index.window_ids(window).len());
    let mut items: Vec<ObjectId> = Vec::new();
    let mut lists = Lists::default();
    for (id, addr, ty) in index.window(window) {
        let uncounted = interned.contains(&id);
        let mut add = |_: EdgeName<'_>, kind: EdgeKind, target: Addr| {
            let Some(target) = index.object_at(target) else { return };
            let kind = if uncounted { EdgeKind::Weak } else { kind };
            if kind != EdgeKind::Strong {
                lists.mark(items.len(), kind);
            }
            items.push(target);
        };
        memory.visit_edges(addr, types.get(ty), types, &mut add);
        // a window's edges are those of at most a mebibyte of objects, but a list's items lie elsewhere
        ends.push(u32::try_from(items.len()).unwrap_or(u32::MAX));
    }
    Lists {
        ends: ends.into(),
        items: Items::Here(items.into()),
        weak: lists.weak.shrunk(),
        guessed: lists.guessed.shrunk(),
    }
}

/// The referrers of the objects in `range`.
fn backward_lists(
    forward: &[Lists],
    firsts: &[u32],
    range: std::ops::Range<u32>,
    budget: &Budget,
    progress: &Progress,
) -> Result<Lists, Cancelled> {
    let mut ends = vec![0u32; range.len()].into_boxed_slice();
    let here = |id: &ObjectId| id.0.wrapping_sub(range.start) as usize;
    for lists in forward {
        for target in lists.items.iter() {
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
    let mut items = budget.make(total as usize);
    let mut marked = Lists::default();
    for (lists, first) in forward.iter().zip(firsts) {
        let all_strong = lists.weak.0.is_empty() && lists.guessed.0.is_empty();
        let mut start = 0;
        for (i, end) in lists.ends.iter().enumerate() {
            for (n, target) in lists.items.get(start..*end as usize).unwrap_or(&[]).iter().enumerate() {
                if let Some(at) = ends.get_mut(here(target)) {
                    if let Some(item) = items.get_mut(*at as usize) {
                        *item = ObjectId(first + i as u32);
                    }
                    if !all_strong {
                        marked.mark(*at as usize, lists.kind(start + n));
                    }
                    *at = at.saturating_add(1);
                }
            }
            start = *end as usize;
        }
    }
    Ok(Lists { ends, items: items.into(), weak: marked.weak.shrunk(), guessed: marked.guessed.shrunk() })
}
