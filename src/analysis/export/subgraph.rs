//! Objects as numbered nodes with named edges, for formats that hold a graph.
//!
//! Nodes are chosen breadth first, so that a part of a big heap hangs together; they are numbered in address order
//! behind a few nodes that are no objects, from which everything begins. Edges are found again whenever they are asked
//! for, so that none of them is held.

use crate::analysis::describe::{describe, edge_name};
use crate::cpython::types::Type;
use crate::cpython::{EdgeKind, EdgeName, Kind, Memory};
use crate::heap::roots::RootKind;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use std::collections::{BTreeSet, VecDeque};

/// Columns of the value of a str.
const WIDTH: usize = 100;

/// What a node is to a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No object: a group of roots.
    Group,
    /// A str.
    Text,
    /// A number.
    Number,
    /// A function, method or generator.
    Closure,
    /// A code object.
    Code,
    /// Any other object.
    Object,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub class: Class,
    /// Its type's name, the value of a str, or what a group is called; sanitised.
    pub name: String,
    /// Its shallow size, with the bytes it owns beside.
    pub bytes: u64,
    /// How many edges it has.
    pub edges: u64,
}

/// What an edge is called.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// An index.
    Index(u64),
    /// As Python writes it, without the brackets or the dot.
    Name(String),
    /// It keeps nothing alive.
    Weak(String),
}

/// Where everything begins: these stand before all objects. The first holds the others.
const GROUPS: [&str; 8] = [
    "",
    "(asked for)",
    "(interpreters)",
    "(threads)",
    "(static objects)",
    "(C variables)",
    "(held by C)",
    "(held by cycles only)",
];
const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// A part of a heap, or all of it.
pub struct Subgraph<'h> {
    heap: &'h Heap,
    memory: Memory<'h>,
    /// Each object's node, or [`NONE`].
    numbers: Vec<u32>,
    /// The objects, in the order of their nodes.
    chosen: Vec<ObjectId>,
    /// What the groups hold, by node.
    held: [Vec<u32>; GROUPS.len()],
    /// Objects that the limit left out.
    pub left_out: u64,
}

impl<'h> Subgraph<'h> {
    /// What `from` reaches, or everything from the roots on, as far as `limit` objects. 4 bytes an object of the heap, 4 an
    /// object that is chosen, and the roots when there is no `from`.
    pub fn choose(
        heap: &'h Heap,
        from: Option<ObjectId>,
        limit: usize,
        progress: &Progress,
    ) -> Result<Self, Cancelled> {
        let len = heap.objects().len();
        let mut graph = Subgraph {
            heap,
            memory: heap.memory(),
            numbers: vec![NONE; len],
            chosen: Vec::new(),
            held: Default::default(),
            left_out: 0,
        };
        let groups = match from {
            Some(id) => std::iter::once((1, id)).collect(),
            None => beginnings(heap, progress)?,
        };
        let limit = limit.min(NONE as usize - GROUPS.len());
        let mut waiting = VecDeque::new();
        for (_, id) in &groups {
            graph.take(*id, limit, &mut waiting);
        }
        graph.spread(&mut waiting, limit, progress)?;
        if from.is_none() {
            graph.left_out = (len - graph.chosen.len()) as u64;
        }
        graph.chosen.sort_unstable();
        for (number, id) in graph.chosen.iter().enumerate() {
            if let Some(slot) = graph.numbers.get_mut(id.0 as usize) {
                *slot = (number + GROUPS.len()) as u32;
            }
        }
        for (group, id) in groups {
            let number = graph.number(id);
            if let Some(held) = graph.held.get_mut(group) {
                held.extend(number);
            }
        }
        let used = (1..GROUPS.len() as u32)
            .filter(|g| graph.held.get(*g as usize).is_some_and(|held| !held.is_empty()))
            .collect::<Vec<_>>();
        if let Some(root) = graph.held.first_mut() {
            root.extend(used);
        }
        Ok(graph)
    }

    fn take(&mut self, id: ObjectId, limit: usize, waiting: &mut VecDeque<ObjectId>) {
        if let Some(slot @ &mut NONE) = self.numbers.get_mut(id.0 as usize)
            && self.chosen.len() < limit
        {
            *slot = 0;
            self.chosen.push(id);
            waiting.push_back(id);
        }
    }

    fn spread(&mut self, waiting: &mut VecDeque<ObjectId>, limit: usize, progress: &Progress) -> Result<(), Cancelled> {
        let heap = self.heap;
        let mut targets = Vec::new();
        while let Some(id) = waiting.pop_front() {
            if id.0 % 4096 == 0 {
                progress.check()?;
            }
            if let Some((_, ty)) = heap.type_of(id) {
                let mut each = |_: EdgeName<'_>, kind: EdgeKind, target: Addr| {
                    if kind != EdgeKind::Weak {
                        targets.extend(heap.objects().object_at(target));
                    }
                };
                self.memory.visit_edges(heap.objects().address(id), ty, heap.types(), &mut each);
            }
            for target in targets.drain(..) {
                self.take(target, limit, waiting);
            }
        }
        Ok(())
    }

    fn number(&self, id: ObjectId) -> Option<u32> {
        self.numbers.get(id.0 as usize).copied().filter(|n| *n != NONE)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        GROUPS.len() + self.chosen.len()
    }

    /// Whether there are none, which is never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Each node in its order.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        let groups = GROUPS.iter().zip(&self.held).map(|(name, held)| Node {
            class: Class::Group,
            name: (*name).to_owned(),
            bytes: 0,
            edges: held.len() as u64,
        });
        groups.chain(self.chosen.iter().map(|id| self.node(*id)))
    }

    fn node(&self, id: ObjectId) -> Node {
        let address = self.heap.objects().address(id);
        let Some((_, ty)) = self.heap.type_of(id) else {
            return Node { class: Class::Object, name: String::new(), bytes: 0, edges: 0 };
        };
        let types = self.heap.types();
        let class = match types.kind(ty, self.memory.layout) {
            Kind::Str => Class::Text,
            Kind::Int | Kind::Float | Kind::Complex => Class::Number,
            Kind::Function | Kind::Method | Kind::Generator => Class::Closure,
            Kind::Code => Class::Code,
            _ => Class::Object,
        };
        let name = match class {
            Class::Text => describe(&self.memory, types, address, ty, WIDTH),
            _ => ty.name.clone(),
        };
        let own = self.memory.shallow_size(address, ty).unwrap_or(0);
        let bytes = own.saturating_add(self.memory.native_bytes(address, ty, types).unwrap_or(0));
        let mut edges = 0;
        self.visit(address, ty, |_, _, _| edges += 1);
        Node { class, name, bytes, edges }
    }

    /// Hands the edges of every node on, node by node in their order: label, and the node at the other end.
    pub fn edges<E>(&self, mut each: impl FnMut(Label, u32) -> Result<(), E>) -> Result<(), E> {
        for (group, held) in self.held.iter().enumerate() {
            for (i, number) in held.iter().enumerate() {
                let label = match group as u32 {
                    ROOT => Label::Name(GROUPS.get(*number as usize).map_or("from", |name| name).to_owned()),
                    _ => Label::Index(i as u64),
                };
                each(label, *number)?;
            }
        }
        for id in &self.chosen {
            let Some((_, ty)) = self.heap.type_of(*id) else { continue };
            let mut result = Ok(());
            self.visit(self.heap.objects().address(*id), ty, |name, kind, number| {
                if result.is_ok() {
                    result = each(self.label(name, kind), number);
                }
            });
            result?;
        }
        Ok(())
    }

    fn visit(&self, address: Addr, ty: &Type, mut each: impl FnMut(EdgeName<'_>, EdgeKind, u32)) {
        let mut edge = |name: EdgeName<'_>, kind: EdgeKind, target: Addr| {
            if let Some(number) = self.heap.objects().object_at(target).and_then(|id| self.number(id)) {
                each(name, kind, number);
            }
        };
        self.memory.visit_edges(address, ty, self.heap.types(), &mut edge);
    }

    fn label(&self, name: EdgeName<'_>, kind: EdgeKind) -> Label {
        if let (EdgeName::Index(i), true) = (name, kind != EdgeKind::Weak) {
            return Label::Index(i);
        }
        let text = edge_name(&self.memory, self.heap.types(), name);
        let plain = text.strip_prefix('.').map(str::to_owned).unwrap_or(text);
        if kind == EdgeKind::Weak { Label::Weak(plain) } else { Label::Name(plain) }
    }
}

/// What the roots hold, by group, each object once in a group.
fn beginnings(heap: &Heap, progress: &Progress) -> Result<BTreeSet<(usize, ObjectId)>, Cancelled> {
    let roots = heap.roots(progress)?;
    let group = |root| match roots.group_of(root).map(|g| g.kind) {
        Some(RootKind::Interpreter(_) | RootKind::Atexit | RootKind::Signals | RootKind::Runtime) => 2,
        Some(RootKind::Thread(_) | RootKind::Frame(_)) => 3,
        Some(RootKind::StaticTypes | RootKind::Immortal) => 4,
        Some(RootKind::Globals(_)) => 5,
        Some(RootKind::HeldByC) => 6,
        Some(RootKind::Cycles) | None => 7,
    };
    Ok(roots.refs().iter().map(|root| (group(root), root.target)).collect())
}
