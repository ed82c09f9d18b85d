//! What the objects of each type retain together: nothing is counted twice, where one dominates another of its type.

use super::{Dominators, NONE};
use crate::heap::Heap;
use crate::progress::{Cancelled, Progress};

/// Objects between two looks at whether somebody cancelled.
const CHECK: usize = 1 << 16;

impl Dominators {
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
        let type_of =
            |node: u32| if node < self.objects { heap.objects().type_of(crate::heap::ObjectId(node)) } else { None };
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
