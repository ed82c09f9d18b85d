//! The unfinished tasks as trees, in the order a person reads them: cycles, then who waits, then crowds.
//!
//! A tree hangs from a task that nobody awaits. Futures between two tasks are left out. A task that is awaited twice
//! stands below the first, and is a line that says so below the others; tasks that stand at the same place and await the
//! same are one line.

use super::graph::Graph;
use super::{Filter, World};
use crate::analysis::answers::{Group, Place, Task, TreeRow};
use crate::snapshot::Addr;
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
        state: world.nodes[i].raw.state,
        label: by_node.get(&i).map(|t| label(t)).unwrap_or_default(),
        ..TreeRow::default()
    };
    let (mut rows, mut seen): (Vec<TreeRow>, HashSet<usize>) = (Vec::new(), HashSet::new());
    // tasks that are alike and await the same are one line, at the place of the first, among those that hang from the
    // same task
    let mut crowds: HashMap<(Option<usize>, Key<'_>, &[usize]), usize> = HashMap::new();
    let mut work: Vec<(usize, u64, Option<usize>)> = roots.iter().rev().map(|i| (*i, 0, None)).collect();
    while let Some((i, depth, parent)) = work.pop() {
        if parent.is_none() && seen.contains(&i) {
            continue;
        }
        let shared = !seen.insert(i);
        let below = branches.get(&i).map_or(&[][..], Vec::as_slice);
        // what they await stands below the first of them
        if !shared && graph.cycle_of[i].is_none() && below.iter().all(|j| *j != i) {
            let key = by_node.get(&i).map(|t| key(t)).unwrap_or_default();
            let at = *crowds.entry((parent, key, below)).or_insert(rows.len());
            if let Some(first) = rows.get_mut(at) {
                join(first, world.nodes[i].address);
                continue;
            }
        }
        rows.push(TreeRow { depth, shared, ..row(i) });
        if !shared && depth < MAX_DEPTH {
            work.extend(below.iter().rev().map(|j| (*j, depth + 1, Some(i))));
        }
    }
    rows
}

/// Coroutine, places, kind of wait.
type Key<'t> = (&'t str, Vec<(&'t str, Option<u32>)>, &'static str);

fn key(task: &Task) -> Key<'_> {
    let places = task.stack.iter().map(|f| (f.file.as_str(), f.line)).collect();
    (task.coro.as_deref().unwrap_or_default(), places, task.waits_in.as_ref().map_or("", |w| w.kind))
}

fn join(row: &mut TreeRow, other: Addr) {
    if row.count == 1 {
        row.tasks.push(row.address);
    }
    row.tasks.push(other);
    row.count += 1;
}

/// Tasks that match, those that are alike in one line.
pub fn matching(tasks: &[Task], filter: &Filter) -> Vec<TreeRow> {
    let (mut rows, mut crowds): (Vec<TreeRow>, HashMap<_, usize>) = (Vec::new(), HashMap::new());
    for task in tasks.iter().filter(|t| filter.matches(t)) {
        let at = *crowds.entry((task.state, task.cycle, key(task))).or_insert(rows.len());
        match rows.get_mut(at) {
            Some(first) => join(first, task.address),
            None => rows.push(TreeRow {
                address: task.address,
                count: 1,
                cycle: task.cycle,
                state: task.state,
                label: label(task),
                ..TreeRow::default()
            }),
        }
    }
    rows
}

/// Unfinished tasks at the same place, where there are several.
pub fn groups(tasks: &[Task]) -> Vec<Group> {
    let mut found: HashMap<Key<'_>, Vec<&Task>> = HashMap::new();
    for task in tasks.iter().filter(|t| t.state == Some("pending")) {
        found.entry(key(task)).or_default().push(task);
    }
    let mut groups: Vec<Group> = found
        .into_values()
        .filter(|all| all.len() > 1)
        .filter_map(|all| {
            let first = all.first()?;
            let place =
                first.stack.last().map(|f| Place { function: f.function.clone(), file: f.file.clone(), line: f.line });
            Some(Group {
                count: all.len() as u64,
                coro: first.coro.clone().unwrap_or_default(),
                place,
                waits_in: first.waits_in.as_ref().map(|w| w.kind),
                tasks: all.iter().map(|t| t.address).collect(),
            })
        })
        .collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.tasks.cmp(&b.tasks)));
    groups
}

/// Name, coroutine, place, what it waits in.
fn label(task: &Task) -> [String; 4] {
    let place = task.stack.last().map(|f| {
        let file = f.file.rsplit('/').next().unwrap_or(&f.file);
        format!("{}() {file}{}", f.function, f.line_and_column())
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
