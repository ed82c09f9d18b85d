//! Strongly connected components: who waits for itself, directly or through others.
//!
//! Tarjan's algorithm without recursion, as a chain of awaits may be as long as there are tasks. Knows numbers only.

/// The components that hold a cycle, each in the order its members await one another as far as that goes. `O(n + m)`.
pub fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let n = edges.len();
    let mut order = vec![NEW; n];
    let mut low = vec![0usize; n];
    let mut on_stack = vec![false; n];
    let (mut stack, mut found, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..n {
        if order[root] != NEW {
            continue;
        }
        let mut work: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((v, i)) = work.last_mut() {
            let v = *v;
            if *i == 0 {
                order[v] = next;
                low[v] = next;
                next += 1;
                stack.push(v);
                on_stack[v] = true;
            }
            if let Some(w) = edges[v].get(*i).copied().filter(|w| *w < n) {
                *i += 1;
                if order[w] == NEW {
                    work.push((w, 0));
                } else if on_stack[w] {
                    low[v] = low[v].min(order[w]);
                }
                continue;
            }
            work.pop();
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[v]);
            }
            if low[v] == order[v] {
                let at = stack.iter().rposition(|w| *w == v).unwrap_or(0);
                let members = stack.split_off(at);
                members.iter().for_each(|w| on_stack[*w] = false);
                if members.len() > 1 || edges[v].contains(&v) {
                    found.push(members);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::components;
    use proptest::prelude::*;

    /// Which nodes each node reaches, by going everywhere.
    fn reached(edges: &[Vec<usize>]) -> Vec<Vec<bool>> {
        let n = edges.len();
        let mut all = vec![vec![false; n]; n];
        for (from, row) in all.iter_mut().enumerate() {
            let mut work = edges[from].clone();
            while let Some(at) = work.pop() {
                if !std::mem::replace(&mut row[at], true) {
                    work.extend(&edges[at]);
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn members_are_those_that_reach_each_other(
            edges in (1usize..12).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(0..n, 0..3), n))
        ) {
            let reach = reached(&edges);
            let mut expected: Vec<Vec<usize>> = Vec::new();
            for (v, own) in reach.iter().enumerate() {
                if own[v] && !expected.iter().any(|c| c.contains(&v)) {
                    expected.push((0..edges.len()).filter(|w| own[*w] && reach[*w][v]).collect());
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
        let mut edges: Vec<Vec<usize>> = (1..=200_000).map(|i| vec![i]).collect();
        edges.push(vec![]);
        assert!(components(&edges).is_empty());
        edges[200_000].push(0);
        assert_eq!(components(&edges)[0].len(), 200_001);
    }
}
