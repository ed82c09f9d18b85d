//! What looks like a leak, with the path to it and what it gathers.
//!
//! First the accumulation points: below a big dominator the first object that passes nothing most of its size on to a
//! single other one. Then what is odd by its kind: containers far above their like, crowds of unfinished tasks that
//! nobody awaits, tracebacks that pin frames, caches, finalizer queues, modules that are there twice. Each is named in one sentence.
//! Whether it is wanted is for the reader to say.

mod accumulate;
mod containers;
mod kinds;

use super::answers::{Accumulated, Leaks, Suspect};
use super::paths::{Search, fold, owner};
use crate::heap::dominators::{Dominators, Node};
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::text::{count, size};
use std::cmp::Reverse;
use std::collections::HashSet;

/// What is smaller than this is no suspect by its size, whatever the share.
const SMALL: u64 = 1 << 20;

/// Suspects of each sort that are told.
const MAX_OF_A_SORT: usize = 10;

/// The suspects, accumulation points first, each sort by size. Needs dominators. Time is that of looking at all of them
/// a few times, and of a path for each suspect.
pub fn leaks(heap: &Heap, progress: &Progress) -> Result<Leaks, Cancelled> {
    let tree = heap.dominators(progress)?;
    let search = Search::new(heap, progress)?;
    let total = tree.retained(Node::All);
    let mut found = Found { heap, tree, search, total, progress, seen: HashSet::new(), suspects: Vec::new() };
    accumulate::find(&mut found)?;
    let first = found.suspects.len();
    containers::find(&mut found)?;
    kinds::tasks(&mut found)?;
    kinds::tracebacks(&mut found)?;
    kinds::caches(&mut found)?;
    kinds::finalizers(&mut found)?;
    kinds::modules(&mut found)?;
    let Found { mut suspects, .. } = found;
    if let Some(others) = suspects.get_mut(first..) {
        others.sort_by_key(|s| Reverse(s.retained_bytes));
    }
    Ok(Leaks { suspects, heap_bytes: total, left_out: 0 })
}

struct Found<'h> {
    heap: &'h Heap,
    tree: &'h Dominators,
    search: Search<'h>,
    total: u64,
    progress: &'h Progress,
    /// Objects that are suspects already.
    seen: HashSet<ObjectId>,
    suspects: Vec<Suspect>,
}

/// What is to be said of a suspect besides the object.
struct Because {
    kind: &'static str,
    retained: (u64, u64),
    accumulates: Option<Accumulated>,
}

impl Found<'_> {
    /// Whether so many bytes are worth a sentence.
    fn is_big(&self, bytes: u64) -> bool {
        bytes >= SMALL && bytes >= self.total / 100
    }

    fn retained(&self, id: ObjectId) -> (u64, u64) {
        (self.tree.retained(Node::Object(id)), u64::from(self.tree.retained_count(Node::Object(id))))
    }

    fn share(&self, bytes: u64) -> String {
        format!("{} ({:.0}% of the heap)", size(bytes), bytes as f64 * 100.0 / (self.total as f64).max(1.0))
    }

    /// Adds a suspect; `reason` gets the name it has where it is held.
    fn add(&mut self, id: ObjectId, because: Because, reason: impl FnOnce(&str) -> String) -> Result<(), Cancelled> {
        if !self.seen.insert(id) {
            return Ok(());
        }
        let Some((_, ty)) = self.heap.type_of(id) else { return Ok(()) };
        let path = self.search.paths(id, 1, self.progress)?.into_iter().next().unwrap_or_default();
        let name = owner(&path);
        let shown = name.clone().unwrap_or_else(|| format!("a {}", ty.name));
        self.suspects.push(Suspect {
            kind: because.kind,
            address: self.heap.objects().address(id),
            type_name: ty.name.clone(),
            reason: reason(&shown),
            name,
            retained_bytes: because.retained.0,
            retained_count: because.retained.1,
            path_text: fold(&path),
            path,
            accumulates: because.accumulates,
        });
        Ok(())
    }
}

fn objects(n: u64, type_name: &str) -> String {
    format!("{} {type_name}", count(n))
}
