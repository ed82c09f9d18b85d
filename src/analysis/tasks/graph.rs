//! The graph of tasks and futures: who must finish before whom, and which circles never end.
//!
//! An edge leads from one that is pending to one that it awaits. Most need all that they await; those of
//! `wait(FIRST_COMPLETED)` and `as_completed`, and those that wait for a semaphore, need any one. A circle is a deadlock
//! when nothing that is known of wakes a member: no timer, no socket, no way out through one that needs any. Threads and
//! futures of thread pools are nodes as well, where there are some that matter.

use super::between::{Between, Loops};
use super::locks::{self, Inside};
use super::roles::Primitive;
use super::waits::{Wait, Waits, Waker};
use super::world::{NONE, Node, World};
use super::{cycles, waits};
use crate::cpython::Value;
use crate::snapshot::Addr;
use std::collections::{HashMap, HashSet};

/// Lists of numbers, one for each node, in one piece.
#[derive(Default)]
pub struct Lists {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Lists {
    /// From pairs in any order. `O(n + m)`.
    pub fn new(n: usize, pairs: &[(u32, u32)]) -> Lists {
        let mut starts = vec![0u32; n + 2];
        for (from, _) in pairs {
            if let Some(count) = starts.get_mut(*from as usize + 2) {
                *count += 1;
            }
        }
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut targets = vec![0u32; pairs.len()];
        for (from, to) in pairs {
            if let Some(at) = starts.get_mut(*from as usize + 1) {
                if let Some(slot) = targets.get_mut(*at as usize) {
                    *slot = *to;
                }
                *at += 1;
            }
        }
        starts.truncate(n + 1);
        Lists { starts, targets }
    }

    pub fn of(&self, i: usize) -> &[u32] {
        let range = self.starts.get(i).zip(self.starts.get(i + 1));
        range.and_then(|(from, to)| self.targets.get(*from as usize..*to as usize)).unwrap_or(&[])
    }

    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
}

/// A circle.
pub struct Cycle {
    /// In the order in which they await one another, as far as that goes.
    pub members: Vec<u32>,
    /// What wakes them.
    pub wakers: Vec<Waker>,
    /// One outside, by its number, whose end is enough for a member.
    pub ways_out: Vec<u32>,
}

/// By the number of the node.
pub struct Graph {
    pub awaits: Lists,
    pub waits: Vec<Wait>,
    pub between: Between,
    /// Who is inside the locks and semaphores of asyncio that are waited for.
    pub inside: HashMap<Addr, Vec<Inside>>,
    /// Timers and timeouts that end a node's wait, whatever it waits for; in the order of the nodes.
    timeouts: Vec<(u32, Addr)>,
    /// Whether no edge was left out.
    pub whole: bool,
    pub cycle_of: HashMap<u32, usize>,
    /// Deadlocks first.
    pub cycles: Vec<Cycle>,
}

/// What finishes when a future does.
struct Woken {
    futures: Vec<Addr>,
    /// Whether others that lead to the same futures would do as well.
    any: bool,
}

impl Graph {
    pub fn build(world: &World<'_, '_>, loops: &Loops) -> Graph {
        let found = waits::waits(world);
        let between = Between::collect(world, &found, loops);
        let (mut pairs, mut any) = (Vec::with_capacity(world.nodes.len()), HashSet::new());
        for (i, node) in world.nodes.iter().enumerate() {
            if node.fut_waiter != NONE && node.is_pending() {
                pairs.push((i as u32, node.fut_waiter));
            }
        }
        let whole = called_back(world, &between, &mut pairs, &mut any);
        pairs.extend(&between.edges);
        any.extend(&between.queued);
        let inside = entered(world, &found, &mut pairs, &mut any);
        let awaits = Lists::new(world.nodes.len() + between.len(), &pairs);
        let timeouts = timeouts(world, &found);
        let (cycle_of, cycles) = (HashMap::new(), Vec::new());
        let mut graph = Graph { awaits, waits: found.of, between, inside, timeouts, whole, cycle_of, cycles };
        graph.find_cycles(world, &any, &found.wakers);
        graph
    }

    /// What ends the wait of a node whatever it waits for: its own timers, and those of the future that it waits for. A
    /// timeout of another task ends that one's wait alone. More than a few of one node are damage.
    pub fn timeouts(&self, nodes: &[Node], i: u32) -> impl Iterator<Item = Addr> + '_ {
        const MOST: usize = 64;
        let behind = nodes.get(i as usize).map(|n| n.fut_waiter);
        let behind = behind.filter(|j| nodes.get(*j as usize).is_some_and(|n| !n.task));
        let of = |i: u32| {
            let from = self.timeouts.partition_point(|(j, _)| *j < i);
            self.timeouts.iter().skip(from).take_while(move |(j, _)| *j == i).take(MOST).map(|(_, of)| *of)
        };
        of(i).chain(behind.into_iter().flat_map(of))
    }

    /// What the node waits in: its own, or that of the future that a task waits for.
    pub fn wait(&self, nodes: &[Node], i: usize) -> Wait {
        let of = |i: usize| self.waits.get(i).copied().unwrap_or_default();
        let own = of(i);
        match nodes.get(i) {
            Some(node) if own.kind == Primitive::Unknown && node.fut_waiter != NONE => of(node.fut_waiter as usize),
            _ => own,
        }
    }

    /// Whether one may still finish: a thread does not, and is no answer to anything.
    pub fn is_pending(&self, world: &World<'_, '_>, i: u32) -> bool {
        world.nodes.get(i as usize).is_none_or(|n| n.is_pending())
    }

    fn find_cycles(&mut self, world: &World<'_, '_>, any: &HashSet<u32>, wakers: &[(u32, Waker)]) {
        let mut found = Vec::new();
        // one that is finished waits for nobody, and nobody waits for it any longer
        for members in cycles::components(self.awaits.len(), |i| self.is_pending(world, i), |i| self.awaits.of(i)) {
            let within: HashSet<u32> = members.iter().copied().collect();
            // what a loop would do, whose own thread is part of the circle, does not come
            let comes = |i: u32| !self.between.blocked.get(&i).is_some_and(|thread| within.contains(thread));
            let of_members = wakers.iter().filter(|(i, _)| within.contains(i) && comes(*i));
            let mut cycle = Cycle {
                members: self.in_order(members),
                wakers: of_members.map(|(_, waker)| *waker).collect(),
                ways_out: Vec::new(),
            };
            for i in cycle.members.iter().filter(|i| any.contains(i)) {
                let away = self.awaits.of(*i as usize).iter().find(|j| !within.contains(j));
                cycle.ways_out.extend(away);
            }
            cycle.wakers.sort_unstable();
            cycle.wakers.dedup();
            found.push(cycle);
        }
        found.sort_by_key(|c| (!c.is_deadlock(), c.members.first().copied()));
        for (number, cycle) in found.iter().enumerate() {
            self.cycle_of.extend(cycle.members.iter().map(|i| (*i, number)));
        }
        self.cycles = found;
    }

    /// Where a task, a future, or a future of a thread pool lies.
    pub fn address(&self, world: &World<'_, '_>, i: u32) -> Option<Addr> {
        let concurrent = || self.between.concurrent.get(i.checked_sub(self.between.first)? as usize).copied();
        world.nodes.get(i as usize).map(|n| n.address).or_else(concurrent)
    }

    /// From the task with the lowest address along the awaits, as far as they lead to members that are left.
    fn in_order(&self, mut members: Vec<u32>) -> Vec<u32> {
        members.sort_unstable();
        let mut left: HashSet<u32> = members.iter().copied().collect();
        let mut out = Vec::with_capacity(members.len());
        for start in members {
            let mut at = Some(start);
            while let Some(i) = at.filter(|i| left.remove(i)) {
                out.push(i);
                at = self.awaits.of(i as usize).iter().copied().find(|j| left.contains(j));
            }
        }
        out
    }
}

impl Cycle {
    /// Nothing that is known of ends it.
    pub fn is_deadlock(&self) -> bool {
        self.wakers.is_empty() && self.ways_out.is_empty()
    }
}

/// Those wakers that are no sleep, and nothing else that is waited for.
fn timeouts(world: &World<'_, '_>, found: &Waits) -> Vec<(u32, Addr)> {
    let is_waited_for = |i: u32| found.of.get(i as usize).is_some_and(|w| w.kind != Primitive::Unknown);
    let timeouts = found.wakers.iter().filter_map(|(i, waker)| match waker {
        Waker::Timeout(of) => Some((*i, *of)),
        Waker::Timer(of) => (!is_waited_for(*i)).then_some((*i, *of)),
        Waker::Call => None,
    });
    let mut timeouts: Vec<_> =
        timeouts.filter(|(i, _)| world.nodes.get(*i as usize).is_some_and(|n| n.is_pending())).collect();
    timeouts.sort_unstable();
    timeouts
}

/// Edges that callbacks tell: what finishes when a node does.
/// `false` when there are so many that it is damage: the rest is left out.
fn called_back(world: &World<'_, '_>, between: &Between, pairs: &mut Vec<(u32, u32)>, any: &mut HashSet<u32>) -> bool {
    let most = (world.callbacks().count() * 8).max(1 << 20) + pairs.len();
    // the same function is the callback of all that one gather or wait is about
    let mut known: HashMap<Addr, (Vec<u32>, bool)> = HashMap::new();
    let mut last = (Addr::NULL, (Vec::new(), false));
    for (i, callback) in world.callbacks() {
        if last.0 != callback {
            let woken = known.entry(callback).or_insert_with(|| {
                let Some(woken) = woken_by(world, callback) else { return (Vec::new(), false) };
                let find = |f: &Addr| world.finder.find(*f).or_else(|| between.find(*f));
                (woken.futures.iter().filter_map(find).collect(), woken.any)
            });
            last = (callback, woken.clone());
        }
        let (futures, needs_any) = &last.1;
        if pairs.len() >= most {
            return false;
        }
        for j in futures.iter().filter(|j| **j != i && world.nodes.get(**j as usize).is_none_or(|n| n.is_pending())) {
            pairs.push((*j, i));
            if *needs_any {
                any.insert(*j);
            }
        }
    }
    true
}

/// Edges to the tasks inside a lock, and inside a semaphore when they are certain to be all that have it.
fn entered(
    world: &World<'_, '_>,
    found: &Waits,
    pairs: &mut Vec<(u32, u32)>,
    any: &mut HashSet<u32>,
) -> HashMap<Addr, Vec<Inside>> {
    let is_waited_for = |w: &Wait| matches!(w.kind, Primitive::Lock | Primitive::Semaphore);
    if !found.of.iter().any(is_waited_for) {
        return HashMap::new();
    }
    let mut inside = locks::of_asyncio(world);
    let mut trusted: HashMap<Addr, bool> = HashMap::new();
    for (i, wait) in found.of.iter().enumerate().filter(|(_, w)| is_waited_for(w)) {
        let Some(all) = inside.get_mut(&wait.object) else { continue };
        let trust = *trusted.entry(wait.object).or_insert_with(|| match wait.kind {
            Primitive::Semaphore => locks::are_all(world, wait.object, all.len()),
            _ => {
                // two that seem to be inside a lock are no answer, nor is one when the lock says that it is free
                if all.len() > 1 || !world.read.is_true(wait.object, "_locked") {
                    all.clear();
                }
                true
            }
        });
        if trust && world.nodes.get(i).is_some_and(|n| n.is_pending()) {
            pairs.extend(all.iter().map(|holder| (i as u32, holder.task)));
            if all.len() > 1 {
                any.insert(i as u32);
            }
        }
    }
    inside
}

/// The futures that a callback of asyncio's own finishes. `Lib/asyncio/{tasks,futures,taskgroups}.py`; each name is
/// the same in all versions that have the function, but for one.
fn woken_by(world: &World<'_, '_>, callback: Addr) -> Option<Woken> {
    let read = &world.read;
    let of_asyncio = |function: Addr| {
        let (module, name) = read.function_name(function)?;
        module.starts_with("asyncio.").then_some(name)
    };
    let one = |future: Option<Addr>| Some(Woken { futures: vec![future?], any: false });
    match read.value(callback)? {
        // wait_for up to 3.11, and what waits for a cancelled task to end
        Value::Partial { function, args } if of_asyncio(function)? == "_release_waiter" => {
            one(read.items(args?).first().copied())
        }
        Value::Function { .. } => match of_asyncio(callback)?.as_str() {
            // later 3.9 has the second half of gather() in a function of its own
            "shield.<locals>._inner_done_callback"
            | "gather.<locals>._done_callback"
            | "_gather.<locals>._done_callback" => one(read.closed_over(callback, "outer")),
            "_chain_future.<locals>._call_set_state" => one(read.closed_over(callback, "destination")),
            "_wait.<locals>._on_completion" => {
                let when = read.closed_over(callback, "return_when").and_then(|w| read.text(w));
                let futures = vec![read.closed_over(callback, "waiter")?];
                Some(Woken { futures, any: when.as_deref() != Some("ALL_COMPLETED") })
            }
            "as_completed.<locals>._on_completion" => {
                let futures = read.items_of(read.closed_over(callback, "done")?, "_getters");
                Some(Woken { futures, any: true })
            }
            _ => None,
        },
        Value::Method { function, receiver } => match of_asyncio(function)?.as_str() {
            "_AsCompletedIterator._handle_completion" => {
                let futures = read.items_of(read.attribute(receiver, "_done")?, "_getters");
                Some(Woken { futures, any: true })
            }
            "TaskGroup._on_task_done" => one(read.attribute(receiver, "_on_completed_fut")),
            _ => None,
        },
        _ => None,
    }
}
