//! The dominator tree of a graph: for each node the nearest one that every path from the root goes through.
//!
//! Semi-NCA (L. Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", 2005): a depth-first walk
//! numbers the nodes, semidominators are found in the reverse of that order over compressed paths, and each node's
//! dominator is the nearest ancestor of its parent's chain that its semidominator does not lie below. Nothing recurses;
//! 24 bytes a node. What the nodes are is not known here.

use crate::progress::{Cancelled, Progress};

/// A directed graph whose nodes are numbers below [`len`](Graph::len).
pub trait Graph {
    /// How many nodes there are.
    fn len(&self) -> usize;
    /// Calls `each` for every node that `node` leads to.
    fn successors(&self, node: u32, each: impl FnMut(u32));
    /// Calls `each` for every node that leads to `node`.
    fn predecessors(&self, node: u32, each: impl FnMut(u32));
}

/// The node is not reached from the root.
pub const NONE: u32 = u32::MAX;

/// Nodes between two looks at whether somebody cancelled.
const CHECK: usize = 1 << 16;

/// The tree, by the order in which a depth-first walk came to its nodes: a dominator stands before what it dominates.
#[derive(Debug)]
pub struct Tree {
    /// The nodes in that order, the root first.
    pub vertex: Vec<u32>,
    /// Each node's place in it; [`NONE`] when nothing leads there.
    pub number: Vec<u32>,
    /// For each place, that of the immediate dominator; the root's is its own.
    pub idom: Vec<u32>,
}

/// Finds the dominators of everything that `root` reaches.
pub fn dominators(graph: &impl Graph, root: u32, progress: &Progress) -> Result<Tree, Cancelled> {
    let Walk { vertex, number, parent } = walk(graph, root, progress)?;
    let n = vertex.len();
    let mut ancestor = parent.clone();
    // the smallest semidominator on the compressed path that ends at each place; its own number before it is known
    let mut best: Vec<u32> = (0..n as u32).collect();
    let mut semi = vec![0u32; n];
    let mut path = Vec::new();
    for i in (1..n).rev() {
        if i.is_multiple_of(CHECK) {
            progress.check()?;
            progress.advance(CHECK as u64);
        }
        let mut least = at(&parent, i as u32);
        graph.predecessors(at(&vertex, i as u32), |p| {
            let v = at(&number, p);
            if v != NONE {
                least = least.min(evaluate(&mut ancestor, &mut best, &mut path, v, i as u32 + 1));
            }
        });
        set(&mut semi, i as u32, least);
        set(&mut best, i as u32, least);
    }
    drop((ancestor, best));
    // in the walk's order all that stands before a node has its dominator already
    let mut idom = parent;
    for i in 1..n as u32 {
        let limit = at(&semi, i);
        let mut candidate = at(&idom, i);
        while candidate > limit {
            candidate = at(&idom, candidate);
        }
        set(&mut idom, i, candidate);
    }
    Ok(Tree { vertex, number, idom })
}

/// The smallest semidominator of `v` and its ancestors down to place `linked`; shortens the way for the next time.
#[inline]
fn evaluate(ancestor: &mut [u32], best: &mut [u32], path: &mut Vec<u32>, v: u32, linked: u32) -> u32 {
    if at(ancestor, v) < linked {
        return at(best, v);
    }
    let mut top = v;
    while at(ancestor, top) >= linked {
        path.push(top);
        top = at(ancestor, top);
    }
    let beyond = at(ancestor, top);
    let mut least = at(best, top);
    while let Some(u) = path.pop() {
        least = least.min(at(best, u));
        set(best, u, least);
        set(ancestor, u, beyond);
    }
    least
}

#[inline]
fn at(array: &[u32], i: u32) -> u32 {
    array.get(i as usize).copied().unwrap_or(0)
}

#[inline]
fn set(array: &mut [u32], i: u32, value: u32) {
    if let Some(slot) = array.get_mut(i as usize) {
        *slot = value;
    }
}

struct Walk {
    vertex: Vec<u32>,
    number: Vec<u32>,
    /// By place, the place it was come from.
    parent: Vec<u32>,
}

/// A depth-first walk. A node that several lead to is numbered when it is taken from the stack, which holds it under the
/// last one of them on top.
fn walk(graph: &impl Graph, root: u32, progress: &Progress) -> Result<Walk, Cancelled> {
    let mut walk = Walk {
        vertex: Vec::with_capacity(graph.len()),
        number: vec![NONE; graph.len()],
        parent: Vec::with_capacity(graph.len()),
    };
    let mut stack = vec![(root, 0)];
    while let Some((node, from)) = stack.pop() {
        if at(&walk.number, node) != NONE {
            continue;
        }
        let place = walk.vertex.len() as u32;
        set(&mut walk.number, node, place);
        walk.vertex.push(node);
        walk.parent.push(from);
        graph.successors(node, |next| {
            if walk.number.get(next as usize) == Some(&NONE) {
                stack.push((next, place));
            }
        });
        if walk.vertex.len().is_multiple_of(CHECK) {
            progress.check()?;
            progress.advance(CHECK as u64);
        }
    }
    Ok(walk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Plain {
        forward: Vec<Vec<u32>>,
        backward: Vec<Vec<u32>>,
    }

    impl Plain {
        fn new(nodes: usize, edges: &[(usize, usize)]) -> Plain {
            let mut plain = Plain { forward: vec![Vec::new(); nodes], backward: vec![Vec::new(); nodes] };
            for (from, to) in edges {
                let (from, to) = (from % nodes, to % nodes);
                plain.forward[from].push(to as u32);
                plain.backward[to].push(from as u32);
            }
            plain
        }

        /// What node 0 reaches without going through one node.
        fn reached_without(&self, without: Option<u32>) -> Vec<bool> {
            let mut seen = vec![false; self.forward.len()];
            let mut stack = if without == Some(0) { vec![] } else { vec![0] };
            while let Some(node) = stack.pop() {
                if !std::mem::replace(&mut seen[node as usize], true) {
                    stack.extend(self.forward[node as usize].iter().filter(|n| Some(**n) != without));
                }
            }
            seen
        }
    }

    impl Graph for Plain {
        fn len(&self) -> usize {
            self.forward.len()
        }
        fn successors(&self, node: u32, each: impl FnMut(u32)) {
            self.forward[node as usize].iter().copied().for_each(each);
        }
        fn predecessors(&self, node: u32, each: impl FnMut(u32)) {
            self.backward[node as usize].iter().copied().for_each(each);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]
        #[test]
        fn dominators_and_what_they_retain_are_those_of_the_definition(
            nodes in 1usize..40,
            edges in prop::collection::vec((0usize..1000, 0usize..1000), 0..120),
            sizes in prop::collection::vec(0u64..1000, 40),
        ) {
            let graph = Plain::new(nodes, &edges);
            let tree = dominators(&graph, 0, &Progress::default()).unwrap();
            let reached = graph.reached_without(None);
            let (mut retained, mut counts) = (sizes[..nodes].to_vec(), vec![1; nodes]);
            super::super::add_up(&tree.vertex, &tree.idom, &mut retained, &mut counts);
            let mut dominated = vec![vec![false; nodes]; nodes];
            for node in 0..nodes {
                prop_assert_eq!(tree.number[node] != NONE, reached[node], "node {} is reached", node);
                let without = graph.reached_without(Some(node as u32));
                dominated[node] = (0..nodes).map(|n| reached[n] && !without[n]).collect();
            }
            for node in (0..nodes).filter(|n| reached[*n]) {
                let mine: Vec<usize> = (0..nodes).filter(|n| dominated[node][*n]).collect();
                let place = tree.number[node] as usize;
                prop_assert_eq!(retained[node], mine.iter().map(|n| sizes[*n]).sum::<u64>());
                prop_assert_eq!(counts[node] as usize, mine.len());
                // the immediate dominator is the strict one that all other strict ones dominate
                let strict: Vec<usize> = (0..nodes).filter(|d| *d != node && reached[*d] && dominated[*d][node]).collect();
                let nearest = strict.iter().find(|d| strict.iter().all(|other| dominated[*other][**d]));
                let found = tree.vertex[tree.idom[place] as usize] as usize;
                prop_assert_eq!(found, nearest.copied().unwrap_or(node));
            }
        }
    }

    #[test]
    fn long_chains_and_wide_fans_take_no_stack() {
        let nodes = 300_000;
        let chain: Vec<_> = (0..nodes - 1).map(|n| (n, n + 1)).collect();
        let tree = dominators(&Plain::new(nodes, &chain), 0, &Progress::default()).unwrap();
        assert!(tree.idom.iter().enumerate().skip(1).all(|(i, d)| *d as usize == i - 1));
        let fan: Vec<_> = (1..nodes).flat_map(|n| [(0, n), (n, nodes - 1)]).collect();
        let tree = dominators(&Plain::new(nodes, &fan), 0, &Progress::default()).unwrap();
        assert!(tree.idom.iter().all(|d| *d == 0));
    }

    #[test]
    fn it_ends_when_it_is_asked_to() {
        let chain: Vec<_> = (0..200_000).map(|n| (n, n + 1)).collect();
        let progress = Progress::default();
        progress.cancel();
        assert!(dominators(&Plain::new(200_001, &chain), 0, &progress).is_err());
    }
}
