//! What would go with each object: the dominator tree of the heap, and the retained size of every object.
//!
//! The graph is all objects, the groups of roots above them, and one super-root above these. Weak references are no
//! part of it; guessed ones are. An object's retained size is the sum of its own and of what it alone keeps alive:
//! shallow sizes, and memory that objects own outside of them. What a type retains together is worked out here as well; names
//! and rows are not.

mod by_type;
mod nearest;
mod tree;

use super::edges::Edges;
use super::roots::{Bits, GroupId, Roots};
use super::{Heap, ObjectId};
use crate::cpython::layout::DecoderName;
use crate::cpython::types::{Type, TypeTable};
use crate::cpython::{EdgeKind, Memory};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;
use tree::{Graph, NONE, Tree};

/// A node of the dominator tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// An object.
    Object(ObjectId),
    /// A group of roots.
    Group(GroupId),
    /// The super-root, which dominates everything.
    All,
}

/// The dominator tree. 16 bytes an object; while it is made at most 32, with the walk's stack,
/// which holds the widest fans that the walk is below of.
#[derive(Debug)]
pub struct Dominators {
    objects: u32,
    /// By node: objects, groups, the super-root. Its own number where nothing leads to the node.
    idom: Vec<u32>,
    retained: Vec<u64>,
    counts: Vec<u32>,
}

/// For each node the child that retains most.
#[derive(Debug)]
pub struct Heaviest {
    child: Vec<u32>,
}

impl Heaviest {
    /// That of a node of the tree it was made of.
    pub fn child(&self, tree: &Dominators, node: Node) -> Option<Node> {
        let child = self.child.get(tree.number(node) as usize).copied().filter(|c| *c != NONE)?;
        Some(tree.node(child))
    }
}

/// Nodes that are dealt with at a time.
const CHUNK: usize = 1 << 16;

impl Dominators {
    /// Finds them. Time is that of following every reference twice, in an order that memory does not like.
    pub fn build(heap: &Heap, progress: &Progress) -> Result<Dominators, Cancelled> {
        let (edges, roots) = (heap.edges(progress)?, heap.roots(progress)?);
        let objects = heap.objects().len();
        let groups = roots.groups().len();
        // their sum is one more than the last number: the index has no more objects than numbers
        let root = u32::try_from(objects + groups).unwrap_or(NONE - 1);
        let graph = HeapGraph::new(heap, edges, roots, root);
        progress.begin(graph.len() as u64 * 2);
        let Tree { vertex, number, idom } = tree::dominators(&graph, root, progress)?;
        drop(graph);
        // only now: the sizes would be the largest array beside those of the search
        let mut retained = sizes(heap, progress)?;
        retained.resize(number.len(), 0);
        let mut counts: Vec<u32> = (0..number.len()).map(|node| u32::from(node < objects)).collect();
        add_up(&vertex, &idom, &mut retained, &mut counts);
        progress.check()?;
        let pairs = number.par_iter().zip(retained.par_iter_mut()).zip(counts.par_iter_mut()).enumerate();
        let of = |(node, ((place, retained), count)): (usize, ((&u32, &mut u64), &mut u32))| -> u32 {
            if *place == NONE {
                (*retained, *count) = (0, 0);
            }
            let above = idom.get(*place as usize).and_then(|d| vertex.get(*d as usize));
            above.copied().unwrap_or(node as u32)
        };
        let by_node: Vec<u32> = pairs.map(of).collect();
        Ok(Dominators { objects: objects as u32, idom: by_node, retained, counts })
    }

    fn number(&self, node: Node) -> u32 {
        match node {
            Node::Object(id) => id.0,
            Node::Group(group) => self.objects.saturating_add(group.0),
            Node::All => self.idom.len() as u32 - 1,
        }
    }

    fn node(&self, number: u32) -> Node {
        match number.checked_sub(self.objects) {
            None => Node::Object(ObjectId(number)),
            Some(_) if number as usize + 1 == self.idom.len() => Node::All,
            Some(group) => Node::Group(GroupId(group)),
        }
    }

    /// The immediate dominator; none for the super-root.
    pub fn parent(&self, node: Node) -> Option<Node> {
        let number = self.number(node);
        let above = self.idom.get(number as usize).copied().filter(|above| *above != number)?;
        Some(self.node(above))
    }

    /// Bytes that would go with a node, its own included.
    pub fn retained(&self, node: Node) -> u64 {
        self.retained.get(self.number(node) as usize).copied().unwrap_or(0)
    }

    /// Objects that would go with a node, itself included.
    pub fn retained_count(&self, node: Node) -> u32 {
        self.counts.get(self.number(node) as usize).copied().unwrap_or(0)
    }

    /// What a node immediately dominates, biggest first: a window of it, and how much there is. Time is that of
    /// looking at 4 bytes of every object.
    pub fn children(&self, node: Node, offset: u64, limit: u64) -> (Vec<Node>, u64) {
        self.window(self.children_of(|above| above == self.number(node)), offset, limit)
    }

    /// Objects that no other object dominates, biggest first.
    pub fn top(&self, offset: u64, limit: u64) -> (Vec<Node>, u64) {
        let mut found = self.children_of(|above| above >= self.objects);
        found.retain(|number| *number < self.objects);
        self.window(found, offset, limit)
    }

    fn children_of(&self, above: impl Fn(u32) -> bool + Sync) -> Vec<u32> {
        let chunks = self.idom.par_chunks(CHUNK).enumerate();
        let of_chunk = |(i, chunk): (usize, &[u32])| {
            let first = (i * CHUNK) as u32;
            let numbered = chunk.iter().enumerate().map(move |(n, above)| (first + n as u32, *above));
            numbered.filter(|(n, a)| a != n && above(*a)).map(|(n, _)| n).collect::<Vec<_>>()
        };
        chunks.flat_map_iter(of_chunk).collect()
    }

    fn window(&self, mut found: Vec<u32>, offset: u64, limit: u64) -> (Vec<Node>, u64) {
        let total = found.len();
        let size = |n: &u32| (std::cmp::Reverse(self.retained.get(*n as usize).copied().unwrap_or(0)), *n);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(total);
        let to = from.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(total);
        if to < total {
            found.select_nth_unstable_by_key(to, size);
            found.truncate(to);
        }
        found.sort_unstable_by_key(size);
        (found.iter().skip(from).map(|n| self.node(*n)).collect(), total as u64)
    }

    /// The child of each node that retains most. Time is that of looking at every node once; 4 bytes an object.
    pub fn heaviest(&self) -> Heaviest {
        let mut child = vec![NONE; self.idom.len()];
        let size = |node: u32| self.retained.get(node as usize).copied().unwrap_or(0);
        for (node, above) in self.idom.iter().enumerate().filter(|(node, above)| **above as usize != *node) {
            if let Some(best) = child.get_mut(*above as usize)
                && (*best == NONE || size(*best) < size(node as u32))
            {
                *best = node as u32;
            }
        }
        Heaviest { child }
    }

    /// Whether every way to `node` leads through `above`. Time is the depth of the tree.
    pub fn dominates(&self, above: Node, node: Node) -> bool {
        let mut at = Some(node);
        // the tree has no cycles: each step goes to one that the walk came to earlier
        std::iter::from_fn(|| {
            let here = at?;
            at = self.parent(here);
            Some(here)
        })
        .any(|here| here == above)
    }

    /// Bytes this takes.
    pub fn heap_bytes(&self) -> usize {
        self.idom.len() * 4 + self.retained.len() * 8 + self.counts.len() * 4
    }
}

/// Adds to what each node takes by itself what all that it dominates takes; `bytes` and `counts` are by node.
fn add_up(vertex: &[u32], idom: &[u32], bytes: &mut [u64], counts: &mut [u32]) {
    // in the reverse of the walk's order a node comes after all that it dominates; the root dominates itself
    for (node, above) in vertex.iter().zip(idom).skip(1).rev() {
        let Some(above) = vertex.get(*above as usize).map(|v| *v as usize) else { continue };
        let (b, c) = (bytes.get(*node as usize).copied(), counts.get(*node as usize).copied());
        if let (Some(sum), Some(count)) = (bytes.get_mut(above), counts.get_mut(above)) {
            *sum = sum.saturating_add(b.unwrap_or(0));
            *count = count.saturating_add(c.unwrap_or(0));
        }
    }
}

/// What each object takes by itself: its shallow size, and what it owns outside of that.
fn sizes(heap: &Heap, progress: &Progress) -> Result<Vec<u64>, Cancelled> {
    // straight into one array: pieces that are freed would stay with the allocator while the rest is worked out
    let mut all = vec![0u64; heap.objects().len()];
    let mut left = all.as_mut_slice();
    let mut windows = Vec::with_capacity(heap.objects().window_count());
    for i in 0..heap.objects().window_count() {
        let (here, others) = left.split_at_mut(heap.objects().window_ids(i).len().min(left.len()));
        windows.push((i, here));
        left = others;
    }
    windows.into_par_iter().try_for_each(|(i, here)| -> Result<(), Cancelled> {
        progress.check()?;
        let (memory, types) = (heap.memory(), heap.types());
        let objects = heap.objects().window(i).zip(heap.objects().window_sizes(i));
        for (size, ((_, addr, ty), kept)) in here.iter_mut().zip(objects) {
            *size = own_size(&memory, types, addr, types.get(ty), kept.get());
        }
        Ok(())
    })?;
    Ok(all)
}

/// What one object takes by itself; `shallow`: its shallow size, where it is known.
pub fn own_size(memory: &Memory<'_>, types: &TypeTable, addr: Addr, ty: &Type, shallow: Option<u64>) -> u64 {
    let native = memory.native_bytes(addr, ty, types).unwrap_or(0);
    let shallow = shallow.or_else(|| memory.shallow_size(addr, ty)).unwrap_or(0);
    // from 3.15 on a bytearray's buffer is an object of its own, which `getsizeof` counts as well
    if ty.decoder == DecoderName::Bytearray && memory.layout.structs.bytearray.ob_bytes_object.is_some() {
        return shallow.min(ty.head + ty.basicsize);
    }
    shallow.saturating_add(native)
}

/// The heap with its roots as one graph.
struct HeapGraph<'h> {
    heap: &'h Heap,
    edges: &'h Edges,
    roots: &'h Roots,
    root: u32,
    objects: u32,
    /// Objects that roots refer to.
    rooted: Bits,
    /// The targets of each group's references, one group after the other.
    targets: Vec<u32>,
    ends: Vec<u32>,
}

impl<'h> HeapGraph<'h> {
    fn new(heap: &'h Heap, edges: &'h Edges, roots: &'h Roots, root: u32) -> Self {
        let rooted = Bits::of(heap.objects().len(), roots.refs().iter().map(|r| r.target));
        let mut by_group: Vec<(u32, u32)> = roots.refs().iter().map(|r| (r.group.0, r.target.0)).collect();
        by_group.sort_unstable();
        let groups = 0..roots.groups().len() as u32;
        let ends = groups.map(|g| by_group.partition_point(|(of, _)| *of <= g) as u32).collect();
        let targets = by_group.into_iter().map(|(_, target)| target).collect();
        let objects = heap.objects().len() as u32;
        HeapGraph { heap, edges, roots, root, objects, rooted, targets, ends }
    }
}

impl Graph for HeapGraph<'_> {
    fn len(&self) -> usize {
        self.root as usize + 1
    }

    #[inline]
    fn successors(&self, node: u32, mut each: impl FnMut(u32)) {
        if node < self.objects {
            for (target, kind) in self.edges.referents_by_kind(self.heap, ObjectId(node)) {
                if kind != EdgeKind::Weak {
                    each(target.0);
                }
            }
            return;
        }
        let of = (node != self.root).then_some(GroupId(node - self.objects));
        for (i, _) in self.roots.groups().iter().enumerate().filter(|(_, g)| g.parent == of) {
            each(self.objects + i as u32);
        }
        if let Some(GroupId(group)) = of {
            let end = self.ends.get(group as usize).copied().unwrap_or(0) as usize;
            let start = group.checked_sub(1).and_then(|g| self.ends.get(g as usize)).map_or(0, |s| *s as usize);
            self.targets.get(start..end).unwrap_or(&[]).iter().copied().for_each(each);
        }
    }

    #[inline]
    fn predecessors(&self, node: u32, mut each: impl FnMut(u32)) {
        if node < self.objects {
            let id = ObjectId(node);
            for (holder, kind) in self.edges.referrers_by_kind(id) {
                if kind != EdgeKind::Weak {
                    each(holder.0);
                }
            }
            if self.rooted.contains(id) {
                self.roots.refs_to(id).iter().for_each(|r| each(self.objects + r.group.0));
            }
            return;
        }
        if node != self.root {
            let parent = self.roots.groups().get((node - self.objects) as usize).and_then(|g| g.parent);
            each(parent.map_or(self.root, |p| self.objects + p.0));
        }
    }
}
