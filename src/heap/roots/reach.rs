//! What is reached: marking over all references that may keep alive, and what is left over.
//!
//! Marking runs on all threads: each has a stack of its own and gives half of it away when it grows long, so that long
//! chains and wide fans cost the same. Nothing recurses.

use super::{GroupId, Ownership, RootRef, Roots, Slot};
use crate::cpython::{Count, EdgeKind};
use crate::heap::{Edges, Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use rayon::Scope;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A set of objects, a bit each.
#[derive(Debug, Default)]
pub struct Bits {
    words: Vec<AtomicU64>,
}

impl Bits {
    fn new(objects: usize) -> Bits {
        Bits { words: std::iter::repeat_with(AtomicU64::default).take(objects.div_ceil(64)).collect() }
    }

    /// These objects, of so many.
    pub(in crate::heap) fn of(objects: usize, ids: impl Iterator<Item = ObjectId>) -> Bits {
        let bits = Bits::new(objects);
        ids.for_each(|id| {
            bits.insert(id);
        });
        bits
    }

    /// Adds an object; whether it was not there before.
    #[inline]
    fn insert(&self, id: ObjectId) -> bool {
        let Some(word) = self.words.get(id.0 as usize / 64) else { return false };
        let bit = 1 << (id.0 % 64);
        word.load(Relaxed) & bit == 0 && word.fetch_or(bit, Relaxed) & bit == 0
    }

    /// Whether an object is in it.
    #[inline]
    pub fn contains(&self, id: ObjectId) -> bool {
        self.words.get(id.0 as usize / 64).is_some_and(|w| w.load(Relaxed) >> (id.0 % 64) & 1 != 0)
    }

    /// Its objects, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut bits = word.load(Relaxed);
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some(ObjectId(i as u32 * 64 + bit))
            })
        })
    }

    /// How many objects are in it.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.load(Relaxed).count_ones() as usize).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| w.load(Relaxed) == 0)
    }

    fn clone_bits(&self) -> Bits {
        Bits { words: self.words.iter().map(|w| AtomicU64::new(w.load(Relaxed))).collect() }
    }
}

/// A thread whose stack is longer than this gives half of it away.
const SHARE: usize = 4096;

/// Objects between two looks at whether somebody cancelled.
const CHECK: usize = 1 << 14;

pub(super) struct Reached<'h> {
    heap: &'h Heap,
    edges: &'h Edges,
    progress: &'h Progress,
    marked: Bits,
}

impl<'h> Reached<'h> {
    pub fn new(heap: &'h Heap, edges: &'h Edges, progress: &'h Progress) -> Self {
        Reached { heap, edges, progress, marked: Bits::new(heap.objects().len()) }
    }

    /// Marks what these objects reach, themselves included.
    pub fn from(&self, starts: &[ObjectId]) -> Result<(), Cancelled> {
        let stack: Vec<ObjectId> = starts.iter().copied().filter(|id| self.marked.insert(*id)).collect();
        rayon::scope(|scope| self.mark(scope, stack));
        self.progress.check()
    }

    fn mark<'s>(&'s self, scope: &Scope<'s>, mut stack: Vec<ObjectId>) {
        let mut seen = 0;
        while let Some(id) = stack.pop() {
            for (target, kind) in self.edges.referents_by_kind(self.heap, id) {
                if kind != EdgeKind::Weak && self.marked.insert(target) {
                    stack.push(target);
                }
            }
            seen += 1;
            if seen % CHECK == 0 {
                self.progress.advance(CHECK as u64);
                if self.progress.check().is_err() {
                    return;
                }
            }
            if stack.len() > SHARE {
                let given = stack.split_off(stack.len() / 2);
                scope.spawn(move |scope| self.mark(scope, given));
            }
        }
    }

    /// Takes as many of the unsure references for roots as their targets count more than was found: a word that is not
    /// counted is borrowed, or was left there.
    pub fn settle(&self, roots: &mut Roots, mut unsure: Vec<RootRef>) -> Result<(), Cancelled> {
        // a frame's slot before others of the same target
        unsure.sort_by_key(|r| (r.target, !matches!(r.slot, Slot::Stack(_))));
        let mut taken: Vec<RootRef> = Vec::new();
        for of_target in unsure.chunk_by(|a, b| a.target == b.target) {
            let missing = of_target.first().map_or(0, |first| self.unexplained(roots, first.target));
            taken.extend(of_target.iter().take(usize::try_from(missing).unwrap_or(usize::MAX)));
        }
        let targets: Vec<ObjectId> = taken.iter().map(|r| r.target).collect();
        self.from(&targets)?;
        roots.refs.extend(taken);
        roots.sort();
        Ok(())
    }

    /// References that are counted and were not found. Guessed ones explain none.
    fn unexplained(&self, roots: &Roots, id: ObjectId) -> u64 {
        let Some(Count::Live(count)) = self.heap.memory().count(self.heap.objects().address(id)) else { return 0 };
        let strong = self.edges.referrers_by_kind(id).filter(|(_, kind)| *kind == EdgeKind::Strong).count() as u64;
        let from_outside = roots.refs_to(id).iter().filter(|r| r.ownership == Ownership::Owned).count() as u64;
        u64::from(count).saturating_sub(strong + from_outside)
    }

    fn left(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let all = self.heap.objects().len() as u32;
        (0..all).map(ObjectId).filter(|id| !self.marked.contains(*id))
    }

    /// Adds a root for each object that nothing reaches and that counts more references than were found; returns what
    /// these reach.
    pub fn held_by_c(&self, roots: &mut Roots, group: GroupId) -> Result<Bits, Cancelled> {
        let before = self.marked.clone_bits();
        let held: Vec<ObjectId> = self.left().filter(|id| self.unexplained(roots, *id) > 0).collect();
        self.from(&held)?;
        let root = |target| RootRef { target, group, slot: Slot::Whole, ownership: Ownership::Owned };
        roots.refs.extend(held.into_iter().map(root));
        for (word, old) in before.words.iter().zip(&self.marked.words) {
            word.store(old.load(Relaxed) & !word.load(Relaxed), Relaxed);
        }
        Ok(before)
    }

    /// Adds a root for one object of each structure that only itself keeps alive, one that nothing else of it leads to
    /// but what it leads to itself; returns all that is left.
    pub fn cycles(&self, roots: &mut Roots, group: GroupId) -> Result<Bits, Cancelled> {
        let left = Bits::new(self.heap.objects().len());
        self.left().for_each(|id| {
            left.insert(id);
        });
        // in the reverse of the order in which a depth-first walk is done with them, the first one of each structure
        // comes before all that it leads to, unless that leads back
        let mut done = Vec::new();
        let seen = Bits::new(self.heap.objects().len());
        for start in left.iter() {
            self.finish(start, &left, &seen, &mut done)?;
        }
        for id in done.into_iter().rev() {
            if !self.marked.contains(id) {
                self.from(&[id])?;
                roots.refs.push(RootRef { target: id, group, slot: Slot::Whole, ownership: Ownership::Borrowed });
            }
        }
        Ok(left)
    }

    /// Walks depth-first over `left` and adds each object when all it leads to was added.
    fn finish(&self, start: ObjectId, left: &Bits, seen: &Bits, done: &mut Vec<ObjectId>) -> Result<(), Cancelled> {
        if !seen.insert(start) {
            return Ok(());
        }
        let mut stack = vec![(start, 0usize)];
        while let Some((id, next)) = stack.pop() {
            let kinds = self.edges.referents_by_kind(self.heap, id).enumerate().skip(next);
            let fresh = kinds.filter(|(_, (target, kind))| *kind != EdgeKind::Weak && left.contains(*target));
            let step = fresh.map(|(i, (target, _))| (i, target)).find(|(_, target)| seen.insert(*target));
            match step {
                Some((i, target)) => {
                    stack.push((id, i + 1));
                    stack.push((target, 0));
                }
                None => done.push(id),
            }
            if done.len().is_multiple_of(CHECK) {
                self.progress.check()?;
            }
        }
        Ok(())
    }
}
