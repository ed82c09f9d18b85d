//! Why an object is alive: the shortest path from a root, then others.
//!
//! Backwards over everything that may keep alive, breadth first, until something is reached that a root holds, or the
//! namespace of a module of `sys.modules`, which counts as near as a root. Every object is gone through once, so that
//! further paths differ from the first in where they begin; of a module, its variables are where paths begin. Weak
//! references are told beside the paths.

mod fold;

pub(super) use fold::{fold, owner};

use super::answers::{Direction, PathStep, Paths};
use super::describe::{DEFAULT_WIDTH, describe, edge_name};
use super::{links, roots};
use crate::cpython::{EdgeKind, EdgeName};
use crate::heap::dominators::Node;
use crate::heap::roots::{RootKind, RootRef};
use crate::heap::{Edges, Heap, ObjectId, Roots};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use std::collections::HashMap;

/// Not gone through yet.
const NONE: u32 = u32::MAX;

/// Weak references that are told.
const MAX_WEAK: usize = 20;

/// Objects between two looks at whether somebody cancelled.
const CHECK: usize = 1 << 14;

/// At most `limit` paths to an object, the shortest first. Needs references and roots. Time is that of what holds the
/// object directly and indirectly, as far as the paths go; at worst all references.
pub fn paths(heap: &Heap, id: ObjectId, limit: u64, progress: &Progress) -> Result<Paths, Cancelled> {
    let search = Search::new(heap, progress)?;
    let paths = search.paths(id, limit, progress)?;
    let text = paths.iter().map(|path| fold(path)).collect();
    let (mut weak, mut weak_total) = (Vec::new(), 0);
    let is_weak = |kind: EdgeKind| kind == EdgeKind::Weak;
    if search.edges.referrers_by_kind(id).any(|(_, kind)| is_weak(kind)) {
        let all = links::edges(heap, id, Direction::Referrers, 0, u64::MAX, progress)?;
        weak = all.edges.into_iter().filter(|row| is_weak(row.kind)).collect();
        weak_total = weak.len() as u64;
        weak.truncate(MAX_WEAK);
    }
    let retained_bytes = heap.built_dominators().map(|d| d.retained(Node::Object(id)));
    Ok(Paths { paths, text, weak, weak_total, retained_bytes })
}

/// What searches of one heap share.
pub(super) struct Search<'h> {
    heap: &'h Heap,
    pub edges: &'h Edges,
    pub roots: &'h Roots,
    /// Namespaces of modules: the dict, with its module and the dict of modules that this one is in.
    namespaces: HashMap<ObjectId, Module>,
}

#[derive(Clone, Copy)]
struct Module {
    modules: Addr,
    key: Addr,
    module: Addr,
    interpreter: i64,
}

impl<'h> Search<'h> {
    pub fn new(heap: &'h Heap, progress: &Progress) -> Result<Self, Cancelled> {
        let (edges, roots) = (heap.edges(progress)?, heap.roots(progress)?);
        let mut search = Search { heap, edges, roots, namespaces: HashMap::new() };
        let memory = heap.memory();
        let s = &memory.layout.structs;
        for state in &heap.interpreter().interpreters {
            let modules = memory.reader.pointer(state.address + s.interpreter.modules).unwrap_or_default();
            // entries that cannot be read end the dict
            let _ = memory.dict_entries(modules, |_, key, module| {
                let dict = memory.reader.pointer(module + s.module.md_dict);
                let is_module = heap
                    .object_at(module)
                    .is_some_and(|(_, ty)| heap.types().kind(ty, memory.layout) == crate::cpython::Kind::Module);
                if let Some(id) = dict.filter(|_| is_module).and_then(|d| heap.objects().object_at(d)) {
                    let found = Module { modules, key, module, interpreter: state.id };
                    search.namespaces.entry(id).or_insert(found);
                }
                true
            });
        }
        Ok(search)
    }

    /// The modules of `sys.modules`: each one's name, the module, and its namespace.
    pub fn modules(&self) -> impl Iterator<Item = (Addr, Addr, ObjectId, i64)> + '_ {
        self.namespaces.iter().map(|(id, m)| (m.key, m.module, *id, m.interpreter))
    }

    /// Whether an object is the namespace of a module of `sys.modules`.
    pub fn is_namespace(&self, id: ObjectId) -> bool {
        self.namespaces.contains_key(&id)
    }

    /// How good an end of a path an object is; `None` when no root holds it.
    fn rank(&self, id: ObjectId) -> Option<u8> {
        if self.is_namespace(id) {
            return Some(0);
        }
        self.roots.refs_to(id).iter().filter_map(|r| self.roots.group_of(r)).map(|g| roots::rank(g.kind)).min()
    }

    pub fn paths(&self, id: ObjectId, limit: u64, progress: &Progress) -> Result<Vec<Vec<PathStep>>, Cancelled> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        // the next object on the way to the one that was asked for
        let mut next = vec![NONE; self.heap.objects().len()];
        let Some(start) = next.get_mut(id.0 as usize) else { return Ok(found) };
        *start = id.0;
        let mut level = vec![id];
        // namespaces, with what they hold of what was gone through
        let mut variables: Vec<(ObjectId, ObjectId)> = Vec::new();
        let mut seen = 0usize;
        while !(level.is_empty() && variables.is_empty()) && found.len() < limit {
            variables.sort_unstable();
            variables.dedup();
            let mut ends: Vec<(u8, ObjectId, Option<ObjectId>)> =
                level.iter().filter_map(|id| Some((self.rank(*id)?, *id, None))).collect();
            ends.extend(variables.drain(..).map(|(namespace, held)| (0, namespace, Some(held))));
            ends.sort_unstable();
            for (_, end, held) in ends.iter().take(limit - found.len()) {
                found.push(self.steps(*end, *held, &next));
            }
            let mut above = Vec::new();
            for held in level {
                // what holds something that a root holds is not asked for, unless it is the object itself
                if held != id && self.rank(held).is_some() {
                    continue;
                }
                for (holder, kind) in self.edges.referrers_by_kind(held) {
                    if kind != EdgeKind::Weak && holder != id && self.is_namespace(holder) {
                        variables.push((holder, held));
                    } else if kind != EdgeKind::Weak
                        && let Some(slot) = next.get_mut(holder.0 as usize).filter(|slot| **slot == NONE)
                    {
                        *slot = held.0;
                        above.push(holder);
                    }
                }
                seen += 1;
                if seen.is_multiple_of(CHECK) {
                    progress.check()?;
                }
            }
            level = above;
        }
        Ok(found)
    }

    /// From the object that a root holds to the one that was asked for; `held`: the next one, where it is not the one by
    /// which the walk came to the first.
    fn steps(&self, end: ObjectId, held: Option<ObjectId>, next: &[u32]) -> Vec<PathStep> {
        let memory = self.heap.memory();
        let mut steps = Vec::new();
        let address = |id: ObjectId| self.heap.objects().address(id);
        if let Some(module) = self.namespaces.get(&end) {
            let of =
                if module.interpreter == 0 { String::new() } else { format!(" of interpreter {}", module.interpreter) };
            let key = edge_name(&memory, self.heap.types(), EdgeName::Value(module.key));
            let named = [
                (module.modules, format!("sys.modules{of}")),
                (module.module, key),
                (address(end), ".__dict__".into()),
            ];
            steps.extend(named.into_iter().map(|(at, edge)| self.step(at, edge, EdgeKind::Strong)));
        } else {
            // what never dies needs nobody else to hold it
            let dies = |kind| !matches!(kind, RootKind::StaticTypes | RootKind::Immortal);
            let kind = |r: &RootRef| self.roots.group_of(r).map(|g| (dies(g.kind), roots::rank(g.kind)));
            let best = self.roots.refs_to(end).iter().min_by_key(|r| kind(r));
            let name = best.map_or_else(String::new, |root| roots::name(self.heap, self.roots, root));
            steps.push(self.step(address(end), name, EdgeKind::Strong));
        }
        let mut at = end;
        if let Some(held) = held {
            let (edge, kind) = self.edge(end, held);
            steps.push(self.step(address(held), edge, kind));
            at = held;
        }
        while let Some(held) = next.get(at.0 as usize).copied().filter(|n| *n != NONE && *n != at.0).map(ObjectId) {
            let (edge, kind) = self.edge(at, held);
            steps.push(self.step(address(held), edge, kind));
            at = held;
        }
        steps
    }

    fn step(&self, address: Addr, edge: String, kind: EdgeKind) -> PathStep {
        let memory = self.heap.memory();
        let (type_name, summary) = self.heap.object_at(address).map_or_else(Default::default, |(_, ty)| {
            (ty.name.clone(), describe(&memory, self.heap.types(), address, ty, DEFAULT_WIDTH))
        });
        PathStep { address, type_name, edge, kind, summary }
    }

    /// The reference by which one object holds another; of several the one that says most.
    pub fn edge(&self, holder: ObjectId, held: ObjectId) -> (String, EdgeKind) {
        let memory = self.heap.memory();
        let mut best: Option<(u8, String, EdgeKind)> = None;
        if let Some((_, ty)) = self.heap.type_of(holder) {
            let mut each = |name: EdgeName<'_>, kind: EdgeKind, target: Addr| {
                let rank = match (kind, name) {
                    (EdgeKind::Weak, _) => 3,
                    (EdgeKind::Guessed, _) => 2,
                    (_, EdgeName::Key | EdgeName::Class) => 1,
                    _ => 0,
                };
                if best.as_ref().is_none_or(|b| rank < b.0) && self.heap.objects().object_at(target) == Some(held) {
                    best = Some((rank, edge_name(&memory, self.heap.types(), name), kind));
                }
            };
            memory.visit_edges(self.heap.objects().address(holder), ty, self.heap.types(), &mut each);
        }
        best.map_or_else(|| ("?".into(), EdgeKind::Strong), |(_, name, kind)| (name, kind))
    }
}
