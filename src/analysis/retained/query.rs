//! Which rows of the dominator tree are meant, in the language of [`query`](crate::analysis::query).
//!
//! A row that is an object has the fields of objects; all have what they keep alive, and the line that is shown. A row is
//! written only as far as it is asked for: there may be millions of them.

use super::{Rows, View, Which};
use crate::analysis::answers::{Retained, RetainedRow};
use crate::analysis::query::objects::of_object;
use crate::analysis::query::{Cell, Field, OBJECT_FIELDS, Sort, Spec, spec};
use crate::cpython::Memory;
use crate::heap::dominators::Node;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows that are looked at between two looks at the cancellation.
const BATCH: usize = 1 << 10;

const OBJECTS: usize = OBJECT_FIELDS.len();

/// The fields of all rows: those of objects at their places, then those of rows alone.
pub const FIELDS: &[Spec] = &{
    let mut all = [spec("what", Sort::Text); OBJECTS + 2];
    let mut i = 0;
    while i < OBJECTS {
        all[i] = OBJECT_FIELDS[i];
        i += 1;
    }
    all[OBJECTS] = spec("count", Sort::Number);
    all
};

/// A row, as far as it is asked for.
pub struct Entry<'e> {
    view: &'e View<'e>,
    memory: &'e Memory<'e>,
    row: Row<'e>,
    /// Whether it is a sum over the objects of a type, and has the type's address.
    sum: bool,
}

#[derive(Clone, Copy)]
enum Row<'e> {
    Node(Node),
    Written(&'e RetainedRow),
}

/// The rows that were kept of a list, biggest first.
#[derive(Debug)]
pub struct Kept(Rows);

/// The rows that `keeps` lets through, in the order of [`rows`](super::rows).
pub fn kept(
    heap: &Heap,
    which: Which,
    keeps: &(dyn Fn(&Entry<'_>) -> bool + Sync),
    progress: &Progress,
) -> Result<Kept, Cancelled> {
    let view = View { heap, tree: heap.dominators(progress)?, progress };
    let (rows, total) = view.list(which, 0, u64::MAX)?;
    let sum = which == Which::Types;
    progress.begin(total);
    let advance = |by: usize| {
        progress.advance(by as u64);
        progress.check()
    };
    Ok(Kept(match rows {
        Rows::Nodes(nodes) => {
            let of_batch = |nodes: &[Node]| {
                advance(nodes.len())?;
                let memory = heap.memory();
                let is_kept = |n: &Node| keeps(&Entry { view: &view, memory: &memory, row: Row::Node(*n), sum });
                Ok(nodes.iter().copied().filter(is_kept).collect())
            };
            let parts: Result<Vec<Vec<Node>>, Cancelled> = nodes.par_chunks(BATCH).map(of_batch).collect();
            Rows::Nodes(parts?.concat())
        }
        Rows::Written(rows) => {
            let memory = heap.memory();
            let is_kept = |row| {
                advance(1)?;
                Ok(keeps(&Entry { view: &view, memory: &memory, row: Row::Written(row), sum }))
            };
            let kept: Vec<bool> = rows.iter().map(is_kept).collect::<Result<_, Cancelled>>()?;
            let kept = rows.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(row, _)| row).collect();
            Rows::Written(kept)
        }
    }))
}

impl Kept {
    /// A window of them.
    pub fn rows(&self, heap: &Heap, offset: u64, limit: u64, progress: &Progress) -> Result<Retained, Cancelled> {
        let view = View { heap, tree: heap.dominators(progress)?, progress };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let take = usize::try_from(limit).unwrap_or(usize::MAX);
        let (objects, total) = match &self.0 {
            Rows::Nodes(nodes) => (nodes.iter().skip(from).take(take).map(|n| view.row(*n)).collect(), nodes.len()),
            Rows::Written(rows) => (rows.iter().skip(from).take(take).cloned().collect(), rows.len()),
        };
        Ok(Retained { objects, total: total as u64, heap_bytes: view.tree.retained(Node::All), offset })
    }
}

impl Entry<'_> {
    fn written(&self) -> Cow<'_, RetainedRow> {
        match self.row {
            Row::Node(node) => Cow::Owned(self.view.row(node)),
            Row::Written(row) => Cow::Borrowed(row),
        }
    }

    /// What is shown of it: its type, and what it is.
    pub fn line(&self) -> String {
        let row = self.written();
        format!("{} {}", row.type_name, row.summary)
    }

    fn object(&self) -> Option<ObjectId> {
        match self.row {
            Row::Node(Node::Object(id)) => Some(id),
            Row::Node(_) => None,
            Row::Written(row) => row.address.filter(|_| !self.sum).and_then(|a| self.view.heap.objects().object_at(a)),
        }
    }

    /// A field of it.
    pub fn cell(&self, field: &Field) -> Cell<'static> {
        let number = |n: u64| Cell::Int(n.into());
        let tree = self.view.tree;
        match (FIELDS.get(field.index).map_or("", |spec| spec.name), self.row) {
            // of a module or a frame that is more than what the object itself keeps
            ("retained", Row::Written(row)) => number(row.retained_bytes),
            ("retained", Row::Node(node)) => number(tree.retained(node)),
            ("count", Row::Written(row)) => number(row.retained_count),
            ("count", Row::Node(node)) => number(tree.retained_count(node).into()),
            ("what", _) => Cell::Text(self.written().summary.clone().into()),
            (name, _) => match (self.object(), name) {
                (Some(id), _) => of_object(self.view.heap, self.memory, id, field),
                (None, "type") => Cell::Text(self.written().type_name.clone().into()),
                (None, "size") if self.sum => number(self.written().shallow_bytes),
                (None, "address") if self.sum => self.written().address.map_or(Cell::Missing, |a| number(a.0)),
                (None, _) => Cell::Missing,
            },
        }
    }
}
