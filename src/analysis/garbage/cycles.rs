//! What holds garbage together: its strongly connected components, and what hangs on each.
//!
//! A component of more than one object, or of one that holds itself, is a cycle. All other garbage is held by cycles; it
//! is counted with the first that leads to it, the biggest cycles first, and so is what is no garbage of the collector's
//! and dies with it: texts, numbers, untracked containers whose every counted reference comes from there.

use super::traverse::Rules;
use crate::analysis::ownership::{self, Role};
use crate::cpython::Count;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use std::collections::HashMap;

/// The references between garbage objects, which are numbered in the order of `members`.
pub(super) struct Graph {
    ends: Vec<u32>,
    targets: Vec<u32>,
}

impl Graph {
    /// As the collector is shown them. `O(references)`.
    pub(super) fn of(
        heap: &Heap,
        rules: &Rules,
        members: &[ObjectId],
        progress: &Progress,
    ) -> Result<Graph, Cancelled> {
        let memory = heap.memory();
        let (mut ends, mut targets) = (Vec::with_capacity(members.len()), Vec::new());
        for (i, id) in members.iter().enumerate() {
            if i % (1 << 12) == 0 {
                progress.check()?;
            }
            if let Some((_, ty)) = heap.type_of(*id) {
                rules.visit(heap, &memory, heap.objects().address(*id), ty, |target, _| {
                    targets.extend(members.binary_search(&target).ok().map(|n| n as u32));
                });
            }
            ends.push(targets.len() as u32);
        }
        Ok(Graph { ends, targets })
    }

    #[cfg(test)]
    fn from_lists(lists: &[Vec<u32>]) -> Graph {
        let ends = lists.iter().scan(0, |end, l| {
            *end += l.len() as u32;
            Some(*end)
        });
        Graph { ends: ends.collect(), targets: lists.concat() }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn referents(&self, i: u32) -> &[u32] {
        let end = self.ends.get(i as usize).copied().unwrap_or(0) as usize;
        let start = i.checked_sub(1).and_then(|b| self.ends.get(b as usize)).copied().unwrap_or(0) as usize;
        self.targets.get(start..end).unwrap_or(&[])
    }

    /// The cycles, each with its members in order, biggest first (Tarjan's algorithm, without recursion). `O(references)`.
    pub(super) fn cycles(&self) -> Vec<Vec<u32>> {
        const NEW: u32 = u32::MAX;
        let n = self.len();
        let (mut order, mut low) = (vec![NEW; n], vec![0u32; n]);
        let mut open = vec![false; n];
        let (mut stack, mut path, mut next) = (Vec::new(), Vec::new(), 0u32);
        let mut cycles = Vec::new();
        for root in 0..n as u32 {
            if order[root as usize] != NEW {
                continue;
            }
            path.push((root, 0usize));
            while let Some((i, at)) = path.last_mut() {
                let v = *i as usize;
                if *at == 0 && order[v] == NEW {
                    (order[v], low[v]) = (next, next);
                    next += 1;
                    stack.push(*i);
                    open[v] = true;
                }
                if let Some(w) = self.referents(*i).get(*at).copied() {
                    *at += 1;
                    if order[w as usize] == NEW {
                        path.push((w, 0));
                    } else if open[w as usize] {
                        low[v] = low[v].min(order[w as usize]);
                    }
                    continue;
                }
                let i = *i;
                path.pop();
                if let Some((parent, _)) = path.last() {
                    low[*parent as usize] = low[*parent as usize].min(low[v]);
                }
                if low[v] == order[v] {
                    let mut component = Vec::new();
                    while let Some(w) = stack.pop() {
                        open[w as usize] = false;
                        component.push(w);
                        if w == i {
                            break;
                        }
                    }
                    if component.len() > 1 || self.referents(i).contains(&i) {
                        component.sort_unstable();
                        cycles.push(component);
                    }
                }
            }
        }
        cycles.sort_by_key(|c| (std::cmp::Reverse(c.len()), c.first().copied()));
        cycles
    }

    /// A shortest way from a cycle's first member round to it, without that last step.
    pub(super) fn round(&self, cycle: &[u32]) -> Vec<u32> {
        let Some(first) = cycle.first().copied() else { return Vec::new() };
        let mut from: HashMap<u32, u32> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([first]);
        while let Some(i) = queue.pop_front() {
            for w in self.referents(i) {
                if *w == first {
                    let back = |i: &u32| if *i == first { None } else { from.get(i).copied() };
                    let mut way: Vec<u32> = std::iter::successors(Some(i), back).collect();
                    way.reverse();
                    return way;
                }
                if !from.contains_key(w) && cycle.binary_search(w).is_ok() {
                    from.insert(*w, i);
                    queue.push_back(*w);
                }
            }
        }
        vec![first]
    }

    /// For each object, the number of the cycle it belongs to, or that leads to it first.
    pub(super) fn owners(&self, cycles: &[Vec<u32>]) -> Vec<Option<u32>> {
        let mut owner: Vec<Option<u32>> = vec![None; self.len()];
        for (number, cycle) in cycles.iter().enumerate() {
            for i in cycle {
                owner[*i as usize] = Some(number as u32);
            }
        }
        for (number, cycle) in cycles.iter().enumerate() {
            let mut left = cycle.clone();
            while let Some(i) = left.pop() {
                for w in self.referents(i) {
                    if let Some(owner @ None) = owner.get_mut(*w as usize) {
                        *owner = Some(number as u32);
                        left.push(*w);
                    }
                }
            }
        }
        owner
    }
}

/// What dies with garbage although the collector does not watch it, each with the cycle that it goes with.
pub(super) fn dependants(heap: &Heap, members: &[ObjectId], owners: &[Option<u32>]) -> Vec<(ObjectId, Option<u32>)> {
    let memory = heap.memory();
    let index = heap.objects();
    let mut missing: HashMap<ObjectId, u32> = HashMap::new();
    let mut left: Vec<(ObjectId, Option<u32>)> = members.iter().copied().zip(owners.iter().copied()).collect();
    let mut found = Vec::new();
    while let Some((holder, owner)) = left.pop() {
        let Some((_, ty)) = heap.type_of(holder) else { continue };
        ownership::visit(heap, &memory, index.address(holder), ty, |_, role, target, address| {
            if role != Role::Counted || members.binary_search(&target).is_ok() {
                return;
            }
            let Some(Count::Live(count)) = memory.count(address) else { return };
            let left_over = missing.entry(target).or_insert(count);
            *left_over = left_over.saturating_sub(1);
            if *left_over == 0 {
                // one that is counted too often is not counted twice
                *left_over = u32::MAX;
                found.push((target, owner));
                left.push((target, owner));
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against reachability both ways, which is what a component is.
        #[test]
        fn cycles_are_what_reaches_itself(lists in prop::collection::vec(prop::collection::vec(0u32..12, 0..4), 12)) {
            let graph = Graph::from_lists(&lists);
            let n = lists.len();
            let mut reaches = vec![vec![false; n]; n];
            for (i, list) in lists.iter().enumerate() {
                list.iter().for_each(|w| reaches[i][*w as usize] = true);
            }
            for k in 0..n {
                for i in 0..n {
                    for j in 0..n {
                        reaches[i][j] |= reaches[i][k] && reaches[k][j];
                    }
                }
            }
            let mut expected: Vec<Vec<u32>> = Vec::new();
            for i in (0..n).filter(|i| reaches[*i][*i]) {
                let same: Vec<u32> = (0..n).filter(|j| reaches[i][*j] && reaches[*j][i]).map(|j| j as u32).collect();
                if same[0] == i as u32 {
                    expected.push(same);
                }
            }
            expected.sort_by_key(|c| (std::cmp::Reverse(c.len()), c[0]));
            let cycles = graph.cycles();
            for cycle in &cycles {
                let round = graph.round(cycle);
                let next = round.iter().skip(1).chain(round.first());
                prop_assert!(round.iter().zip(next).all(|(a, b)| lists[*a as usize].contains(b)));
                prop_assert!(round.iter().all(|i| cycle.contains(i)));
            }
            prop_assert_eq!(&cycles, &expected);
            for (i, owner) in graph.owners(&cycles).iter().enumerate() {
                let held = cycles.iter().any(|c| c.contains(&(i as u32)) || reaches[c[0] as usize][i]);
                prop_assert_eq!(owner.is_some(), held);
            }
        }
    }
}
