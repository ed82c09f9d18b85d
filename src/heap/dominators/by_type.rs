//! What several objects retain together, those of each type or any: nothing is counted twice, where one dominates
//! another of them.

use super::{Dominators, NONE};
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use std::collections::{HashMap, HashSet};

/// Objects between two looks at whether somebody cancelled.
const CHECK: usize = 1 << 16;

impl Dominators {
    /// Bytes and objects that would go with these. Time is the number of nodes above them, each looked at once.
    pub fn retained_together(&self, ids: &[ObjectId]) -> (u64, u64) {
        let given: HashSet<u32> = ids.iter().map(|id| id.0).collect();
        // for nodes above them: whether one of the given is that node or above it
        let mut known: HashMap<u32, bool> = HashMap::new();
        let above = |node: u32| self.idom.get(node as usize).copied().filter(|above| *above != node);
        let mut sum = (0u64, 0u64);
        for id in &given {
            let (mut way, mut at) = (Vec::new(), above(*id));
            let is_below = loop {
                let Some(node) = at else { break false };
                if let Some(is_below) = given.contains(&node).then_some(true).or_else(|| known.get(&node).copied()) {
                    break is_below;
                }
                way.push(node);
                at = above(node);
            };
            known.extend(way.into_iter().map(|node| (node, is_below)));
            if !is_below {
                let (bytes, count) = (self.retained.get(*id as usize), self.counts.get(*id as usize));
                sum.0 = sum.0.saturating_add(bytes.copied().unwrap_or(0));
                sum.1 = sum.1.saturating_add(count.map_or(0, |n| u64::from(*n)));
            }
        }
        sum
    }

    /// Bytes by type, by the types' numbers. Walks the whole tree once; 12 bytes an object while it does.
    pub fn by_type(&self, heap: &Heap, progress: &Progress) -> Result<Vec<u64>, Cancelled> {
        let mut sums = vec![0u64; heap.types().len()];
        // how many objects of each type stand above where the walk is
        let mut above = vec![0u32; heap.types().len()];
        let nodes = self.idom.len();
        // children as lists: the first of each node, the next of each child
        let (mut first, mut next) = (vec![NONE; nodes], vec![NONE; nodes]);
        for (node, above) in self.idom.iter().enumerate().rev().filter(|(node, above)| **above as usize != *node) {
            if let (Some(head), Some(tail)) = (first.get_mut(*above as usize), next.get_mut(node)) {
                *tail = std::mem::replace(head, node as u32);
            }
        }
        let type_of = |node: u32| if node < self.objects { heap.objects().type_of(ObjectId(node)) } else { None };
        let mut seen = 0;
        let mut at = nodes as u32 - 1;
        loop {
            // down to the first child; where there is none, on to the next one of the nearest that has one
            if let Some(ty) = type_of(at).map(|t| t.0 as usize)
                && let (Some(count), Some(sum)) = (above.get_mut(ty), sums.get_mut(ty))
            {
                if *count == 0 {
                    *sum = sum.saturating_add(self.retained.get(at as usize).copied().unwrap_or(0));
                }
                *count += 1;
            }
            seen += 1;
            if seen % CHECK == 0 {
                progress.check()?;
            }
            let mut down = first.get(at as usize).copied().unwrap_or(NONE);
            while down == NONE {
                if let Some(count) = type_of(at).and_then(|t| above.get_mut(t.0 as usize)) {
                    *count = count.saturating_sub(1);
                }
                let up = self.idom.get(at as usize).copied().unwrap_or(at);
                if up == at {
                    return Ok(sums);
                }
                down = next.get(at as usize).copied().unwrap_or(NONE);
                at = up;
            }
            at = down;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the union of what lies below each, node by node.
        #[test]
        fn what_several_retain_counts_each_object_once(
            above in prop::collection::vec((any::<prop::sample::Index>(), 1u64..100), 1..60),
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            // numbers go down towards the root, the last one, which is its own
            let objects = above.len() as u32;
            let parent = |n: usize, i: &prop::sample::Index| (n + 1 + i.index(objects as usize - n)) as u32;
            let mut idom: Vec<u32> = above.iter().enumerate().map(|(n, (i, _))| parent(n, i)).collect();
            idom.push(objects);
            let own: Vec<u64> = above.iter().map(|(_, bytes)| *bytes).chain([0]).collect();
            let ways: Vec<HashSet<u32>> = (0..=objects)
                .map(|n| std::iter::successors(Some(n), |n| idom.get(*n as usize).copied().filter(|a| a != n)).collect())
                .collect();
            let below = |node: u32| {
                let ways = &ways;
                (0..objects).filter(move |n| ways[*n as usize].contains(&node))
            };
            let retained = (0..=objects).map(|n| below(n).map(|m| own[m as usize]).sum()).collect();
            let counts = (0..=objects).map(|n| below(n).count() as u32).collect();
            let tree = Dominators { objects, idom, retained, counts };
            let ids: Vec<ObjectId> = picked.iter().map(|i| ObjectId(i.index(objects as usize) as u32)).collect();
            let union: HashSet<u32> = ids.iter().flat_map(|id| below(id.0)).collect();
            let bytes = union.iter().map(|n| own[*n as usize]).sum::<u64>();
            prop_assert_eq!(tree.retained_together(&ids), (bytes, union.len() as u64));
        }
    }
}
