//! What would go with what: the dominator tree as rows, biggest first, and sums by type, module, thread, frame,
//! variable and task.
//!
//! A row is an object or a group of roots. What lies below a row is asked for with it. Rows can be chosen by their
//! [`FIELDS`].

mod query;

pub use query::{Entry, FIELDS, Kept, kept};

use super::answers::{Retained, RetainedRow, Retaining};
use super::describe::{DEFAULT_WIDTH, describe, describe_at};
use super::paths::Search;
use super::{roots, tasks};
use crate::cpython::layout::FrameVariant;
use crate::heap::dominators::{Dominators, Node};
use crate::heap::roots::{GroupId, RootKind};
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use crate::text::sanitize;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Objects that no other object dominates.
    Top,
    /// What the super-root dominates: objects that several roots hold, and groups of roots.
    Roots,
    /// What an object immediately dominates.
    Object(ObjectId),
    /// What a group of roots immediately dominates.
    Group(GroupId),
    /// One row a thread.
    Threads,
    /// One row a frame of a thread's stack.
    Frames,
    /// One row a local variable of a frame on a thread's stack.
    Locals,
    /// One row a module of `sys.modules`.
    Modules,
    /// One row a task of asyncio.
    Tasks,
    /// One row a type: what its objects retain together.
    Types,
}

/// A window of rows.
pub fn rows(heap: &Heap, which: Which, offset: u64, limit: u64, progress: &Progress) -> Result<Retained, Cancelled> {
    let tree = heap.dominators(progress)?;
    let view = View { heap, tree, progress };
    let (rows, total) = view.list(which, offset, limit)?;
    let objects = match rows {
        Rows::Nodes(nodes) => nodes.into_iter().map(|n| view.row(n)).collect(),
        Rows::Written(rows) => rows,
    };
    Ok(Retained { objects, total, heap_bytes: tree.retained(Node::All), offset })
}

/// What each task and each thread keeps alive, as [`rows`] of them say it.
pub fn retaining(heap: &Heap, progress: &Progress) -> Result<Retaining, Cancelled> {
    let tree = heap.dominators(progress)?;
    let mut found = Retaining::default();
    let (ids, addresses): (Vec<ObjectId>, Vec<Addr>) = tasks::addresses(heap).into_iter().unzip();
    for ((id, address), above) in ids.iter().zip(addresses).zip(tree.nearest_above(&ids)) {
        found.tasks.insert(address, tree.retained(Node::Object(*id)));
        found.within.extend(above.map(|above| (address, heap.objects().address(above))));
    }
    for (i, group) in heap.roots(progress)?.groups().iter().enumerate() {
        if let RootKind::Thread(thread) = group.kind {
            found.threads.insert(thread.ident, tree.retained(Node::Group(GroupId(i as u32))));
        }
    }
    Ok(found)
}

/// What a node immediately dominates, by type, the largest sum first: the type's name, how many, their bytes.
pub fn children_by_type(heap: &Heap, tree: &Dominators, node: Node) -> Vec<(String, u64, u64)> {
    let (children, _) = tree.children(node, 0, u64::MAX);
    let mut sums: HashMap<_, (u64, u64)> = HashMap::new();
    for child in children {
        if let Node::Object(id) = child
            && let Some((ty, _)) = heap.type_of(id)
        {
            let sum = sums.entry(ty).or_default();
            *sum = (sum.0 + 1, sum.1.saturating_add(tree.retained(child)));
        }
    }
    let mut rows: Vec<_> =
        sums.into_iter().map(|(ty, (n, bytes))| (heap.types().get(ty).name.clone(), n, bytes)).collect();
    rows.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    rows
}

fn window(mut rows: Vec<RetainedRow>, offset: u64, limit: u64) -> (Vec<RetainedRow>, u64) {
    rows.sort_by_key(|row| (Reverse(row.retained_bytes), row.address, row.group));
    let total = rows.len() as u64;
    let from = usize::try_from(offset).unwrap_or(usize::MAX);
    let take = usize::try_from(limit).unwrap_or(usize::MAX);
    (rows.into_iter().skip(from).take(take).collect(), total)
}

/// Rows; those of which there may be millions are written once they are looked at.
#[derive(Debug)]
enum Rows {
    Nodes(Vec<Node>),
    Written(Vec<RetainedRow>),
}

struct View<'h> {
    heap: &'h Heap,
    tree: &'h Dominators,
    progress: &'h Progress,
}

impl View<'_> {
    /// A window of rows, biggest first, and how many there are.
    fn list(&self, which: Which, offset: u64, limit: u64) -> Result<(Rows, u64), Cancelled> {
        let nodes = |of| {
            let (nodes, total) = self.tree.children(of, offset, limit);
            (Rows::Nodes(nodes), total)
        };
        let written = |rows| {
            let (rows, total) = window(rows, offset, limit);
            (Rows::Written(rows), total)
        };
        Ok(match which {
            Which::Top => {
                let (nodes, total) = self.tree.top(offset, limit);
                (Rows::Nodes(nodes), total)
            }
            Which::Roots => nodes(Node::All),
            Which::Object(id) => nodes(Node::Object(id)),
            Which::Group(group) => {
                let apart = self.frame_object(group)?.filter(|_| self.tree.retained_count(Node::Group(group)) == 0);
                nodes(apart.unwrap_or(Node::Group(group)))
            }
            Which::Threads => written(self.groups(|kind| matches!(kind, RootKind::Thread(_)))?),
            Which::Frames => written(self.groups(|kind| matches!(kind, RootKind::Frame(_)))?),
            Which::Locals => written(self.locals()?),
            Which::Modules => written(self.modules()?),
            Which::Tasks => written(self.tasks()),
            Which::Types => written(self.types()?),
        })
    }

    fn row(&self, node: Node) -> RetainedRow {
        let mut row = RetainedRow {
            address: None,
            type_name: String::new(),
            shallow_bytes: 0,
            retained_bytes: self.tree.retained(node),
            retained_count: u64::from(self.tree.retained_count(node)),
            summary: String::new(),
            group: None,
        };
        match node {
            Node::Object(id) => {
                let (memory, address) = (self.heap.memory(), self.heap.objects().address(id));
                row.address = Some(address);
                if let Some((_, ty)) = self.heap.type_of(id) {
                    row.type_name.clone_from(&ty.name);
                    row.shallow_bytes = memory.shallow_size(address, ty).unwrap_or(0);
                    row.summary = describe(&memory, self.heap.types(), address, ty, DEFAULT_WIDTH);
                }
            }
            Node::Group(group) => {
                row.group = Some(group.0);
                if let Ok(roots) = self.heap.roots(self.progress) {
                    let (kind, name) = roots::group(self.heap, roots, group);
                    (row.type_name, row.summary) = (kind.into(), name);
                }
            }
            Node::All => row.summary = "all roots".into(),
        }
        row
    }

    fn at(&self, address: Addr) -> Option<RetainedRow> {
        self.heap.objects().object_at(address).map(|id| self.row(Node::Object(id)))
    }

    fn groups(&self, wanted: impl Fn(&RootKind) -> bool) -> Result<Vec<RetainedRow>, Cancelled> {
        let groups = self.heap.roots(self.progress)?.groups().iter().enumerate();
        let row = |(i, _): (usize, _)| {
            let group = GroupId(i as u32);
            let mut row = self.row(Node::Group(group));
            if let Some(object) = self.frame_object(group)? {
                row.retained_bytes += self.tree.retained(object);
                row.retained_count += u64::from(self.tree.retained_count(object));
            }
            Ok(row)
        };
        groups.filter(|(_, g)| wanted(&g.kind)).map(row).collect()
    }

    /// The object of a frame that does not go with the frame's group: up to 3.10 each inner frame holds the next outer
    /// one (`f_back`), so that it goes with their thread. What it keeps is its frame's all the same.
    fn frame_object(&self, group: GroupId) -> Result<Option<Node>, Cancelled> {
        let roots = self.heap.roots(self.progress)?;
        let Some(RootKind::Frame(frame)) = roots.groups().get(group.0 as usize).map(|g| &g.kind) else {
            return Ok(None);
        };
        if frame.generator.is_some() || self.heap.memory().layout.variants.frame != FrameVariant::Object {
            return Ok(None);
        }
        let object = self.heap.objects().object_at(frame.address).map(Node::Object);
        Ok(object.filter(|object| self.tree.parent(*object) != Some(Node::Group(group))))
    }

    /// Variables of frames; up to 3.10 those of their frame objects.
    fn locals(&self) -> Result<Vec<RetainedRow>, Cancelled> {
        let roots = self.heap.roots(self.progress)?;
        let memory = self.heap.memory();
        let mut rows = Vec::new();
        for (i, group) in roots.groups().iter().enumerate() {
            let RootKind::Frame(frame) = group.kind else { continue };
            let (_, of) = roots::group(self.heap, roots, GroupId(i as u32));
            let Some(slots) = memory.stack_slots(&frame) else { continue };
            for slot in 0..slots.locals {
                let name = memory.local_name(slots.code, slot);
                let value = memory.stack_ref(slots.first + slot * 8).filter(|v| !v.is_null());
                if let (Some(name), Some(mut row)) = (name, value.and_then(|v| self.at(v))) {
                    let name = memory.text(name, super::variables::MAX_NAME).map(|(t, _)| sanitize(&t).into_owned());
                    row.summary = format!("{of} {} = {}", name.unwrap_or_default(), row.summary);
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }

    /// What goes with a module, or with its namespace where something else holds the module.
    fn modules(&self) -> Result<Vec<RetainedRow>, Cancelled> {
        let search = Search::new(self.heap, self.progress)?;
        let memory = self.heap.memory();
        let row = |(key, module, namespace, interpreter): (Addr, Addr, ObjectId, i64)| {
            let mut row = self.at(module)?;
            let below = self.row(Node::Object(namespace));
            if below.retained_bytes > row.retained_bytes {
                (row.retained_bytes, row.retained_count) = (below.retained_bytes, below.retained_count);
            }
            let of = if interpreter == 0 { String::new() } else { format!(" in interpreter {interpreter}") };
            row.summary = describe_at(&memory, self.heap.types(), key, DEFAULT_WIDTH) + &of;
            Some(row)
        };
        Ok(search.modules().filter_map(row).collect())
    }

    fn tasks(&self) -> Vec<RetainedRow> {
        let found = tasks::tasks(self.heap, &tasks::Ask::all(false));
        let row = |task: &super::answers::Task| {
            let mut row = self.at(task.address)?;
            let coro = task.coro.clone().unwrap_or_default();
            row.summary = format!("{} {coro}", task.name.clone().unwrap_or_default());
            Some(row)
        };
        found.tasks.iter().filter_map(row).collect()
    }

    fn types(&self) -> Result<Vec<RetainedRow>, Cancelled> {
        let sums = self.tree.by_type(self.heap, self.progress)?;
        let memory = self.heap.memory();
        let row = |(id, ty): (_, &crate::cpython::types::Type)| {
            let (count, shallow_bytes) = self.heap.tally().get(id);
            let retained_bytes = sums.get(id.0 as usize).copied().unwrap_or(0);
            (count > 0).then(|| RetainedRow {
                address: Some(ty.address),
                type_name: ty.name.clone(),
                shallow_bytes,
                retained_bytes,
                retained_count: count,
                summary: describe_at(&memory, self.heap.types(), ty.address, DEFAULT_WIDTH),
                group: None,
            })
        };
        Ok(self.heap.types().iter().filter_map(row).collect())
    }
}
