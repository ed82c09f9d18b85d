//! What an object holds and what holds it, with the names of the references.

use super::answers::{Direction, EdgeRow, Edges};
use super::describe::{DEFAULT_WIDTH, describe, edge_name};
use crate::cpython::types::Type;
use crate::cpython::{EdgeKind, EdgeName, Memory};
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use std::collections::HashSet;

/// References that are counted for the rows of one page, to tell whether they can be unfolded; what is beyond counts
/// as one.
const CHILDREN_BUDGET: u64 = 4_000_000;

/// A window on the references of the object at `address`. Referrers need the edges of the whole heap, which are built
/// when they are first asked for.
pub fn edges(
    heap: &Heap,
    id: ObjectId,
    direction: Direction,
    offset: u64,
    limit: u64,
    progress: &Progress,
) -> Result<Edges, Cancelled> {
    page(heap, id, direction, None, offset, limit, progress)
}

/// The objects at the other ends of an object's references, each at least once, and not twice in a row.
pub fn ends(heap: &Heap, id: ObjectId, direction: Direction, progress: &Progress) -> Result<Vec<ObjectId>, Cancelled> {
    let mut ends = match direction {
        Direction::Referrers => heap.edges(progress)?.referrers(id).to_vec(),
        Direction::Referents => {
            let memory = heap.memory();
            let page = Page { heap, memory: &memory, budget: 0 };
            let mut ends = Vec::new();
            if let Some((_, ty)) = heap.type_of(id) {
                page.visit(heap.objects().address(id), ty, |_, _, target, _| {
                    if ends.last() != Some(&target) {
                        ends.push(target);
                    }
                });
            }
            ends
        }
    };
    ends.dedup();
    Ok(ends)
}

/// The first `limit` references of an object, of those with one of `meant` at the other end.
pub fn edges_among(
    heap: &Heap,
    id: ObjectId,
    direction: Direction,
    meant: &HashSet<ObjectId>,
    limit: u64,
    progress: &Progress,
) -> Result<Edges, Cancelled> {
    page(heap, id, direction, Some(meant), 0, limit, progress)
}

/// A window on the references with one of `meant` (without it: any object) at the other end.
fn page(
    heap: &Heap,
    id: ObjectId,
    direction: Direction,
    meant: Option<&HashSet<ObjectId>>,
    offset: u64,
    limit: u64,
    progress: &Progress,
) -> Result<Edges, Cancelled> {
    let memory = heap.memory();
    let mut page = Page { heap, memory: &memory, budget: CHILDREN_BUDGET };
    let is_meant = |end: &ObjectId| meant.is_none_or(|meant| meant.contains(end));
    if direction == Direction::Referents {
        return Ok(page.referents(id, offset, limit, is_meant));
    }
    let all = heap.edges(progress)?.referrers(id);
    // (only a narrowed list is copied: there may be a hundred million)
    let those: Option<Vec<ObjectId>> = meant.map(|_| all.iter().copied().filter(is_meant).collect());
    Ok(page.referrers(id, those.as_deref().unwrap_or(all), offset, limit))
}

struct Page<'h, 'm> {
    heap: &'h Heap,
    memory: &'m Memory<'h>,
    budget: u64,
}

impl Page<'_, '_> {
    /// Calls `visit` for each reference to an object of the index.
    fn visit(&self, address: Addr, ty: &Type, mut visit: impl FnMut(EdgeName<'_>, EdgeKind, ObjectId, Addr)) {
        let index = self.heap.objects();
        // interned strings are in a dict that does not own them
        let uncounted = index.object_at(address).is_some_and(|id| self.heap.interned().contains(&id));
        // a list of a hundred million times the same object is looked up once
        let mut last = (Addr(0), None);
        let mut each = |name: EdgeName<'_>, kind: EdgeKind, target: Addr| {
            if last.0 != target {
                last = (target, index.object_at(target));
            }
            if let Some(id) = last.1 {
                let kind = if uncounted { EdgeKind::Weak } else { kind };
                visit(name, kind, id, target);
            }
        };
        self.memory.visit_edges(address, ty, self.heap.types(), &mut each);
    }

    fn referents(&mut self, id: ObjectId, offset: u64, limit: u64, is_meant: impl Fn(&ObjectId) -> bool) -> Edges {
        let Some((_, ty)) = self.heap.type_of(id) else { return Edges::default() };
        let mut total = 0;
        let mut found = Vec::new();
        self.visit(self.heap.objects().address(id), ty, |name, kind, target, address| {
            if !is_meant(&target) {
                return;
            }
            if total >= offset && total - offset < limit {
                found.push((edge_name(self.memory, self.heap.types(), name), kind, target, address));
            }
            total += 1;
        });
        let rows = found.into_iter();
        let edges = rows.filter_map(|(n, k, t, a)| self.row(t, a, n, k, Direction::Referents)).collect();
        Edges { edges, total, offset }
    }

    /// `all`: the holders, each as often as it holds the object.
    fn referrers(&mut self, id: ObjectId, all: &[ObjectId], offset: u64, limit: u64) -> Edges {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        let to = from.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(all.len());
        // a holder of several references stands there as often, one after the other
        let mut i = from - all[..from].iter().rev().take_while(|h| all.get(from) == Some(h)).count();
        let mut edges = Vec::new();
        while let Some(holder) = all.get(i).copied().filter(|_| i < to) {
            let address = self.heap.objects().address(holder);
            let (mut seen, mut names) = (0, Vec::new());
            if let Some((_, ty)) = self.heap.type_of(holder) {
                self.visit(address, ty, |name, kind, target, _| {
                    if target == id {
                        if (from..to).contains(&(i + seen)) {
                            names.push((edge_name(self.memory, self.heap.types(), name), kind));
                        }
                        seen += 1;
                    }
                });
            }
            for (name, kind) in names {
                edges.extend(self.row(holder, address, name, kind, Direction::Referrers));
            }
            i += seen.max(1);
        }
        Edges { edges, total: all.len() as u64, offset }
    }

    fn row(
        &mut self,
        id: ObjectId,
        address: Addr,
        edge: String,
        kind: EdgeKind,
        direction: Direction,
    ) -> Option<EdgeRow> {
        let (_, ty) = self.heap.type_of(id)?;
        let children = match (direction, self.heap.built_edges()) {
            (Direction::Referrers, Some(edges)) => edges.referrers(id).len() as u64,
            (Direction::Referents, Some(edges)) => edges.referents(self.heap, id).len() as u64,
            (_, None) if self.budget == 0 => 1,
            (_, None) => {
                let mut n = 0;
                self.visit(address, ty, |_, _, _, _| n += 1);
                self.budget = self.budget.saturating_sub(n + 1);
                n
            }
        };
        Some(EdgeRow {
            address,
            type_name: ty.name.clone(),
            edge,
            kind,
            summary: describe(self.memory, self.heap.types(), address, ty, DEFAULT_WIDTH),
            shallow_bytes: self.memory.shallow_size(address, ty).unwrap_or(0),
            children,
        })
    }
}
