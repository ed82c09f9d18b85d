//! The unfinished tasks as trees, in the order a person reads them: cycles, then who waits, then crowds.
//!
//! A tree hangs from a task that nobody awaits. Futures between two tasks are left out. A task that is awaited twice
//! stands below the first, and is a line that says so below the others; tasks without branches that stand at the same
//! place are one line.

use super::World;
use super::graph::Graph;
use crate::analysis::answers::{Task, TreeRow};
use std::collections::{HashMap, HashSet};

/// Deeper than this the indent says nothing any more.
const MAX_DEPTH: u64 = 1 << 20;

pub fn forest(world: &World<'_>, graph: &Graph, tasks: &[Task]) -> Vec<TreeRow> {
    let numbers = world.nodes.iter().enumerate().filter(|(_, n)| n.task).map(|(i, _)| i);
    let by_node: HashMap<usize, &Task> = numbers.zip(tasks).collect();
    let shown = |i: usize| world.nodes[i].task && world.nodes[i].is_pending();
    // the tasks that each task awaits, through futures; many may await one gather of many
    let mut steps = (graph.awaits.iter().map(Vec::len).sum::<usize>() * 8).max(1 << 20);
    let mut through = |lists: &[Vec<usize>], from: usize| {
        let (mut out, mut seen) = (Vec::new(), HashSet::new());
        let mut work: Vec<usize> = lists[from].iter().rev().copied().collect();
        while let Some(j) = work.pop() {
            if !seen.insert(j) || steps == 0 {
                continue;
            }
            steps -= 1;
            match world.nodes[j].task {
                true if shown(j) => out.push(j),
                true => {}
                false if world.nodes[j].is_pending() => work.extend(lists[j].iter().rev()),
                false => {}
            }
        }
        out
    };
    let all: Vec<usize> = (0..world.nodes.len()).filter(|i| shown(*i)).collect();
    let branches: HashMap<usize, Vec<usize>> = all.iter().map(|i| (*i, through(&graph.awaits, *i))).collect();
    let awaited: HashSet<usize> = branches.values().flatten().copied().collect();
    let mut roots: Vec<usize> = Vec::new();
    for (members, _) in &graph.cycles {
        roots.extend(members.iter().copied().find(|i| shown(*i)));
    }
    roots.extend(all.iter().copied().filter(|i| !awaited.contains(i)));
    let row = |i: usize| TreeRow {
        address: world.nodes[i].address,
        count: 1,
        cycle: graph.cycle_of[i],
        label: by_node.get(&i).map(|t| label(t)).unwrap_or_default(),
        ..TreeRow::default()
    };
    let (mut rows, mut seen): (Vec<TreeRow>, HashSet<usize>) = (Vec::new(), HashSet::new());
    let mut crowds: HashMap<[String; 3], usize> = HashMap::new();
    let leaf = |i: usize| branches.get(&i).is_none_or(Vec::is_empty);
    for root in roots {
        if seen.contains(&root) {
            continue;
        }
        if leaf(root) {
            seen.insert(root);
            let task = by_node.get(&root).copied();
            let kind = task.and_then(|t| t.waits_in.as_ref()).map_or("", |w| w.kind);
            let places = task.map(|t| t.stack.iter().map(|f| format!("{} {:?} ", f.file, f.line)).collect::<String>());
            let coro = task.and_then(|t| t.coro.clone()).unwrap_or_default();
            let at = *crowds.entry([coro, places.unwrap_or_default(), kind.to_owned()]).or_insert(rows.len());
            match rows.get_mut(at) {
                Some(first) => first.count += 1,
                None => rows.push(row(root)),
            }
            continue;
        }
        let mut work = vec![(root, 0u64)];
        while let Some((i, depth)) = work.pop() {
            let shared = !seen.insert(i);
            rows.push(TreeRow { depth, shared, ..row(i) });
            if !shared && depth < MAX_DEPTH {
                let below = branches.get(&i).map_or(&[][..], Vec::as_slice);
                work.extend(below.iter().rev().map(|j| (*j, depth + 1)));
            }
        }
    }
    rows
}

/// Name, coroutine, place, what it waits in.
fn label(task: &Task) -> [String; 4] {
    let place = task.stack.last().map(|f| {
        let file = f.file.rsplit('/').next().unwrap_or(&f.file);
        format!("{}() {file}{}", f.function, f.line.map(|n| format!(":{n}")).unwrap_or_default())
    });
    let waits = match (&task.waits_in, task.running) {
        (_, true) => "running".to_owned(),
        (Some(wait), _) => wait.about(),
        (None, _) if task.fut_waiter.is_none() => "about to run".to_owned(),
        (None, _) => String::new(),
    };
    let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "?".to_owned());
    [text(&task.name), text(&task.coro), place.unwrap_or_default(), waits]
}
