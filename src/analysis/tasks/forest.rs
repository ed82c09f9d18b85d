//! The unfinished tasks as trees, in the order a person reads them: cycles, then who waits, then crowds.
//!
//! A tree hangs from a task that nobody awaits. Futures between two tasks are left out. A task that is awaited twice
//! stands below the first, and is a line that says so below the others; tasks that hang from the same task, stand at the
//! same place and await the same are one line. Numbers only: names are read for the lines that are shown.

use super::graph::{Graph, Lists};
use super::roles::Primitive;
use super::world::World;
use rayon::prelude::*;
use std::collections::HashMap;

/// Deeper than this the indent says nothing any more.
const MAX_DEPTH: u32 = 1 << 20;

/// No parent, no group.
const NONE: u32 = u32::MAX;

/// A line.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub node: u32,
    pub depth: u32,
    pub shared: bool,
    /// The crowd in [`Forest::crowds`] that it stands for.
    pub crowd: Option<u32>,
}

/// All lines.
#[derive(Default)]
pub struct Forest {
    pub lines: Vec<Line>,
    /// The tasks of a line that stands for several.
    pub crowds: Vec<Vec<u32>>,
}

/// Tasks at the same place, by the number of the node.
pub struct Places {
    /// The group of a task; `NONE` for what is none of those that were asked for.
    of: Vec<u32>,
    /// The tasks of each group.
    pub groups: Vec<Vec<u32>>,
}

impl Places {
    /// Groups tasks by where their coroutines stand, the kind of what they wait for, their state and cycle.
    /// `O(n log n)`.
    pub fn new(world: &World<'_, '_>, graph: &Graph, tasks: &[u32]) -> Places {
        type Key = ([u64; 2], Primitive, u8, u32);
        let key = |i: &u32| -> (Key, u32) {
            let Some(node) = world.nodes.get(*i as usize) else { return (Key::default(), *i) };
            let cycle = graph.cycle_of.get(i).map_or(NONE, |c| *c as u32);
            let place = if node.is_pending() { node.place } else { [node.coroutine_code(world), 0] };
            ((place, graph.wait(world, *i as usize).kind, node.state as u8, cycle), *i)
        };
        let mut keys: Vec<(Key, u32)> = tasks.iter().map(key).collect();
        keys.par_sort_unstable();
        let mut places = Places { of: vec![NONE; world.nodes.len()], groups: Vec::new() };
        for same in keys.chunk_by(|a, b| a.0 == b.0) {
            for (_, i) in same {
                if let Some(slot) = places.of.get_mut(*i as usize) {
                    *slot = places.groups.len() as u32;
                }
            }
            places.groups.push(same.iter().map(|(_, i)| *i).collect());
        }
        places
    }

    fn of(&self, i: u32) -> u32 {
        self.of.get(i as usize).copied().unwrap_or(NONE)
    }
}

/// The tasks that each task awaits, through futures; many may await one gather of many.
fn branches(world: &World<'_, '_>, graph: &Graph, tasks: &[u32]) -> Lists {
    let mut steps = (world.nodes.len() * 16).max(1 << 20);
    let mut pairs = Vec::new();
    let mut met = vec![NONE; graph.awaits.len()];
    let mut work: Vec<u32> = Vec::new();
    for from in tasks {
        work.extend(graph.awaits.of(*from as usize).iter().rev());
        while let Some(j) = work.pop() {
            let Some(seen) = met.get_mut(j as usize).filter(|seen| **seen != *from) else { continue };
            *seen = *from;
            if steps == 0 {
                work.clear();
                break;
            }
            steps -= 1;
            match world.nodes.get(j as usize) {
                Some(node) if !node.is_pending() => {}
                Some(node) if node.task => pairs.push((*from, j)),
                _ => work.extend(graph.awaits.of(j as usize).iter().rev()),
            }
        }
    }
    Lists::new(world.nodes.len(), &pairs)
}

/// `tasks`: the unfinished ones.
pub fn forest(world: &World<'_, '_>, graph: &Graph, places: &Places, tasks: &[u32]) -> Forest {
    let branches = branches(world, graph, tasks);
    let mut awaited = vec![false; world.nodes.len()];
    for i in tasks {
        branches.of(*i as usize).iter().for_each(|j| awaited[*j as usize] = true);
    }
    let is_task = |i: &u32| world.nodes.get(*i as usize).is_some_and(|n| n.task && n.is_pending());
    let of_cycles = graph.cycles.iter().filter_map(|cycle| cycle.members.iter().copied().find(is_task));
    let roots: Vec<u32> = of_cycles.chain(tasks.iter().copied().filter(|i| !awaited[*i as usize])).collect();
    let mut seen = vec![false; world.nodes.len()];
    let mut forest = Forest::default();
    // tasks that are alike and await the same are one line, at the place of the first
    let mut lines: HashMap<(u32, u32, &[u32]), usize> = HashMap::new();
    let mut last: ((u32, u32, &[u32]), usize) = ((NONE, NONE, &[]), 0);
    let mut work: Vec<(u32, u32, u32)> = Vec::new();
    for root in roots {
        work.push((root, 0, NONE));
        while let Some((i, depth, parent)) = work.pop() {
            let shared = std::mem::replace(&mut seen[i as usize], true);
            if shared && parent == NONE {
                continue;
            }
            let below = branches.of(i as usize);
            // what they await stands below the first of them
            if !shared && (below.is_empty() || !graph.cycle_of.contains_key(&i)) {
                let key = (parent, places.of(i), below);
                if last.0 != key || forest.lines.is_empty() {
                    last = (key, *lines.entry(key).or_insert(forest.lines.len()));
                }
                if let Some(line) = forest.lines.get_mut(last.1) {
                    join(line, &mut forest.crowds, i);
                    continue;
                }
            }
            forest.lines.push(Line { node: i, depth, shared, crowd: None });
            if !shared && depth < MAX_DEPTH {
                work.extend(below.iter().rev().map(|j| (*j, depth + 1, i)));
            }
        }
    }
    forest
}

fn join(line: &mut Line, crowds: &mut Vec<Vec<u32>>, other: u32) {
    let number = *line.crowd.get_or_insert(crowds.len() as u32);
    if number as usize == crowds.len() {
        crowds.push(vec![line.node]);
    }
    if let Some(crowd) = crowds.get_mut(number as usize) {
        crowd.push(other);
    }
}

/// Tasks without their trees, those that are alike in one line.
pub fn flat(places: &Places) -> Forest {
    let mut forest = Forest::default();
    let mut groups: Vec<&Vec<u32>> = places.groups.iter().collect();
    groups.sort_by_key(|tasks| tasks.first().copied());
    for tasks in groups {
        let Some(first) = tasks.first() else { continue };
        let crowd = (tasks.len() > 1).then_some(forest.crowds.len() as u32);
        if crowd.is_some() {
            forest.crowds.push(tasks.clone());
        }
        forest.lines.push(Line { node: *first, depth: 0, shared: false, crowd });
    }
    forest
}
