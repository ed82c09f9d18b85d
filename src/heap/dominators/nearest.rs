//! Which of some objects is the next one above each of them, so that sums count nothing twice.

use super::{Dominators, NONE};
use crate::heap::ObjectId;

/// Not looked at yet.
const UNKNOWN: u32 = NONE - 1;

impl Dominators {
    /// For each of some objects, which are named once each, the next one of them that dominates it. Every node is passed
    /// once, whatever the depth of the tree; 4 bytes an object while it lasts.
    pub fn nearest_above(&self, of: &[ObjectId]) -> Vec<Option<ObjectId>> {
        // by node: the nearest of them that is the node itself or above it
        let mut nearest = vec![UNKNOWN; self.idom.len()];
        for id in of {
            if let Some(own) = nearest.get_mut(id.0 as usize) {
                *own = id.0;
            }
        }
        let mut passed = Vec::new();
        let mut above = |id: &ObjectId| {
            let mut at = id.0;
            let found = loop {
                let up = self.idom.get(at as usize).copied().unwrap_or(at);
                if up == at {
                    break NONE;
                }
                at = up;
                match nearest.get(at as usize) {
                    Some(&UNKNOWN) => passed.push(at),
                    Some(&known) => break known,
                    None => break NONE,
                }
            };
            for node in passed.drain(..) {
                if let Some(slot) = nearest.get_mut(node as usize) {
                    *slot = found;
                }
            }
            (found != NONE).then_some(ObjectId(found))
        };
        of.iter().map(&mut above).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_first_that_a_step_by_step_walk_meets(
            above in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
            chosen in prop::collection::vec(any::<bool>(), 40),
        ) {
            // a node's parent comes later, the last is the root of all
            let n = above.len();
            let mut idom: Vec<u32> = (0..n).map(|i| (i + 1 + above[i].index(n - i)) as u32).collect();
            idom.push(n as u32);
            let tree =
                Dominators { objects: n as u32, retained: vec![0; n + 1], counts: vec![0; n + 1], idom: idom.clone() };
            let of: Vec<ObjectId> = (0..n).filter(|i| chosen[*i]).map(|i| ObjectId(i as u32)).collect();
            let plain = |id: &ObjectId| {
                let mut at = id.0 as usize;
                while idom[at] as usize != at {
                    at = idom[at] as usize;
                    if at < n && chosen[at] {
                        return Some(ObjectId(at as u32));
                    }
                }
                None
            };
            prop_assert_eq!(tree.nearest_above(&of), of.iter().map(plain).collect::<Vec<_>>());
        }
    }
}
