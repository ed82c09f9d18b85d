//! Strongly connected components: who waits for itself, directly or through others.
//!
//! Tarjan's algorithm without recursion, as a chain of awaits may be as long as there are tasks. Knows numbers only.

/// The components that hold a cycle, among the nodes below `n` that `is_part`. `O(n + m)`.
pub fn components<'e>(n: usize, is_part: impl Fn(u32) -> bool, edges: impl Fn(usize) -> &'e [u32]) -> Vec<Vec<u32>> {
    const NEW: u32 = u32::MAX;
    /// No way on: it is in no cycle.
    const DONE: u32 = u32::MAX - 1;
    // most wait for what waits for nothing, and are in no cycle
    let leads_on = |v: &u32| edges(*v as usize).iter().any(|w| !edges(*w as usize).is_empty());
    let roots: Vec<u32> = (0..n as u32).filter(|v| leads_on(v) && is_part(*v)).collect();
    if roots.is_empty() {
        return Vec::new();
    }
    let mut order = vec![NEW; n];
    let mut low = vec![0u32; n];
    let mut on_stack = vec![false; n];
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    let mut work: Vec<(u32, u32)> = Vec::new();
    for root in roots {
        if order[root as usize] != NEW {
            continue;
        }
        work.push((root, 0));
        while let Some((v, i)) = work.last_mut() {
            let at = *v as usize;
            if *i == 0 {
                if edges(at).is_empty() {
                    order[at] = DONE;
                    work.pop();
                    continue;
                }
                order[at] = next;
                low[at] = next;
                next += 1;
                stack.push(*v);
                on_stack[at] = true;
            }
            if let Some(w) = edges(at).get(*i as usize).copied() {
                *i += 1;
                let to = w as usize;
                if to >= n || !is_part(w) {
                    continue;
                }
                if order[to] == NEW && !leads_on(&w) {
                    order[to] = DONE;
                } else if order[to] == NEW {
                    work.push((w, 0));
                } else if on_stack[to] {
                    low[at] = low[at].min(order[to]);
                }
                continue;
            }
            work.pop();
            if let Some((parent, _)) = work.last() {
                low[*parent as usize] = low[*parent as usize].min(low[at]);
            }
            if low[at] == order[at] && stack.last() == Some(&(at as u32)) && !edges(at).contains(&(at as u32)) {
                // by itself, as most are
                stack.pop();
                on_stack[at] = false;
            } else if low[at] == order[at] {
                let from = stack.iter().rposition(|w| *w as usize == at).unwrap_or(0);
                let members = stack.split_off(from);
                members.iter().for_each(|w| on_stack[*w as usize] = false);
                if members.len() > 1 || edges(at).contains(&(at as u32)) {
                    found.push(members);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn components(edges: &[Vec<u32>]) -> Vec<Vec<u32>> {
        super::components(edges.len(), |_| true, |i| &edges[i])
    }

    /// Which nodes each node reaches, by going everywhere.
    fn reached(edges: &[Vec<u32>]) -> Vec<Vec<bool>> {
        let n = edges.len();
        let mut all = vec![vec![false; n]; n];
        for (from, row) in all.iter_mut().enumerate() {
            let mut work = edges[from].clone();
            while let Some(at) = work.pop() {
                if !std::mem::replace(&mut row[at as usize], true) {
                    work.extend(&edges[at as usize]);
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn members_are_those_that_reach_each_other(
            edges in (1usize..12).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(0..n as u32, 0..3), n))
        ) {
            let reach = reached(&edges);
            let mut expected: Vec<Vec<u32>> = Vec::new();
            for (v, own) in reach.iter().enumerate() {
                if own[v] && !expected.iter().any(|c| c.contains(&(v as u32))) {
                    expected.push((0..edges.len() as u32).filter(|w| own[*w as usize] && reach[*w as usize][v]).collect());
                }
            }
            let mut found = components(&edges);
            found.iter_mut().for_each(|c| c.sort_unstable());
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_chain_may_be_long() {
        let mut edges: Vec<Vec<u32>> = (1..=200_000).map(|i| vec![i]).collect();
        edges.push(vec![]);
        assert!(components(&edges).is_empty());
        edges[200_000].push(0);
        assert_eq!(components(&edges)[0].len(), 200_001);
    }
}
