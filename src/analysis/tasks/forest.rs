//! The unfinished tasks as trees, in the order a person reads them: cycles, then who waits, then crowds.
//!
//! A tree hangs from a task that nobody awaits. Futures between two tasks are left out. A task that is awaited twice
//! stands below the first, and is a line that says so below the others; tasks that hang from the same task, stand at the
//! same place and await the same are one line. Numbers only: names are read for the lines that are shown.

use super::graph::{Graph, Lists};
use super::roles::Primitive;
use super::world::{Node, World};
use rayon::prelude::*;
use std::cmp::Reverse;
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
    /// Groups tasks by where their coroutines stand, the kind of what they wait for, their state and cycle; the groups
    /// in the order of their first tasks. `O(n)`.
    pub fn new(world: &World<'_, '_>, graph: &Graph, tasks: &[u32]) -> Places {
        type Key = ([u64; 2], Primitive, u8, u32);
        let key = |i: u32| -> Key {
            let Some(node) = world.nodes.get(i as usize) else { return Key::default() };
            let cycle = graph.cycle_of.get(&i).map_or(NONE, |c| *c as u32);
            let place = if node.is_pending() { node.place } else { [node.coroutine_code(world), 0] };
            (place, graph.wait(&world.nodes, i as usize).kind, node.state as u8, cycle)
        };
        let mut places = Places { of: vec![NONE; world.nodes.len()], groups: Vec::new() };
        let mut known: HashMap<Key, u32> = HashMap::new();
        // most stand where the one before them stands
        let mut last = None;
        for i in tasks {
            let key = key(*i);
            let group = match last {
                Some((same, group)) if same == key => group,
                _ => *known.entry(key).or_insert(places.groups.len() as u32),
            };
            last = Some((key, group));
            match places.groups.get_mut(group as usize) {
                Some(tasks) => tasks.push(*i),
                None => places.groups.push(vec![*i]),
            }
            if let Some(slot) = places.of.get_mut(*i as usize) {
                *slot = group;
            }
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
    // most await a future that nothing else is behind
    let nodes: &[Node] = &world.nodes;
    let leads_on = |j: &u32| nodes.get(*j as usize).is_none_or(|n| n.task) || !graph.awaits.of(*j as usize).is_empty();
    let tasks = tasks.par_iter().filter(|i| graph.awaits.of(**i as usize).iter().any(leads_on));
    let tasks: Vec<u32> = tasks.copied().collect();
    if tasks.is_empty() {
        return Lists::new(nodes.len(), &pairs);
    }
    let mut met = vec![NONE; graph.awaits.len()];
    let mut work: Vec<u32> = Vec::new();
    for from in &tasks {
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
    let roots = of_cycles.chain(tasks.iter().copied().filter(|i| !awaited[*i as usize]));
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
                let (at, of, awaits) = last.0;
                // nothing is compared that mostly is not there
                let same = at == key.0 && of == key.1 && awaits.len() == below.len();
                if !same || !below.is_empty() && awaits != below || forest.lines.is_empty() {
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

impl Forest {
    /// Puts the trees whose roots keep most alive first, after those of cycles; which lines a tree has stays. `of`: what
    /// several tasks keep.
    pub fn sort(&mut self, of: impl Fn(&[u32]) -> u64, in_cycle: impl Fn(u32) -> bool) {
        let sum = |line: &Line| {
            let crowd = line.crowd.and_then(|c| self.crowds.get(c as usize));
            of(crowd.map_or(std::slice::from_ref(&line.node), Vec::as_slice))
        };
        let mut trees: Vec<&[Line]> = self.lines.chunk_by(|_, next| next.depth > 0).collect();
        trees.sort_by_cached_key(|tree| {
            let first = tree.first();
            (!first.is_some_and(|line| in_cycle(line.node)), Reverse(first.map(sum)))
        });
        self.lines = trees.concat();
    }
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
