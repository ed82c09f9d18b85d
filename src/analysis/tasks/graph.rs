//! The graph of tasks and futures: who must finish before whom, and which circles never end.
//!
//! An edge leads from one that is pending to one that it awaits. Most need all that they await; those of
//! `wait(FIRST_COMPLETED)` and `as_completed` need any one. A circle is a deadlock when nothing that is known of wakes
//! a member: no timer, no socket, no way out through one that needs any.

use super::waits::{Wakers, waits};
use super::{World, cycles, locks};
use crate::analysis::answers::WaitsIn;
use crate::cpython::Value;
use crate::snapshot::Addr;
use std::collections::{HashMap, HashSet};

/// By the number of the node.
pub struct Graph {
    pub awaits: Vec<Vec<usize>>,
    pub awaited_by: Vec<Vec<usize>>,
    pub waits: Vec<Option<WaitsIn>>,
    pub cycle_of: Vec<Option<usize>>,
    /// Members, and what wakes them.
    pub cycles: Vec<(Vec<usize>, Vec<String>)>,
    fut_waiter: Vec<Option<usize>>,
}

/// What finishes when a future does.
struct Woken {
    futures: Vec<Addr>,
    /// Whether others that lead to the same futures would do as well.
    any: bool,
}

impl Graph {
    pub fn build(world: &World<'_>) -> Graph {
        let n = world.nodes.len();
        let mut awaits: Vec<Vec<usize>> = vec![Vec::new(); n];
        let mut any = vec![false; n];
        let mut fut_waiter = vec![None; n];
        // the same function is the callback of all that one gather or wait is about
        let mut known: HashMap<Addr, Option<Woken>> = HashMap::new();
        for (i, node) in world.nodes.iter().enumerate() {
            if node.is_pending() {
                if let Some(j) = node.raw.fut_waiter.and_then(|f| world.find(f)) {
                    fut_waiter[i] = Some(j);
                    awaits[i].push(j);
                }
                awaits[i].extend(children(world, i));
            }
            for callback in &node.raw.callbacks {
                let Some(woken) = known.entry(*callback).or_insert_with(|| woken_by(world, *callback)) else {
                    continue;
                };
                for j in woken.futures.iter().filter_map(|f| world.find(*f)) {
                    if j != i && world.nodes[j].is_pending() {
                        awaits[j].push(i);
                        any[j] |= woken.any;
                    }
                }
            }
        }
        let (mut waits, wakers) = waits(world);
        locks::holders(world, &mut waits);
        for (i, wait) in waits.iter().enumerate() {
            let holder = wait.as_ref().and_then(|w| w.holder).and_then(|h| world.find(h));
            awaits[i].extend(holder.filter(|_| world.nodes[i].is_pending()));
        }
        let mut awaited_by = vec![Vec::new(); n];
        for (i, list) in awaits.iter_mut().enumerate() {
            list.sort_unstable();
            list.dedup();
            list.iter().for_each(|j| awaited_by[*j].push(i));
        }
        let mut graph = Graph { awaits, awaited_by, waits, cycle_of: vec![None; n], cycles: Vec::new(), fut_waiter };
        graph.find_cycles(world, &any, &wakers);
        graph
    }

    /// What the node waits in: its own, or that of the future that a task waits for.
    pub fn waits_in(&self, i: usize) -> Option<WaitsIn> {
        let of = |i: usize| self.waits.get(i).cloned().flatten();
        of(i).or_else(|| self.fut_waiter.get(i).copied().flatten().and_then(of))
    }

    fn find_cycles(&mut self, world: &World<'_>, any: &[bool], wakers: &Wakers) {
        // one that is finished waits for nobody, and nobody waits for it any longer
        let pending = self.awaits.iter().enumerate().map(|(i, list)| match world.nodes[i].is_pending() {
            true => list.iter().copied().filter(|j| world.nodes[*j].is_pending()).collect(),
            false => Vec::new(),
        });
        let mut found: Vec<(Vec<usize>, Vec<String>)> = Vec::new();
        for members in cycles::components(&pending.collect::<Vec<_>>()) {
            let mut out = Vec::new();
            let inside: HashSet<usize> = members.iter().copied().collect();
            for i in &members {
                out.extend(wakers.get(i).into_iter().flatten().cloned());
                let away = self.awaits[*i].iter().find(|j| !inside.contains(j));
                if let Some(other) = away.filter(|_| any[*i]) {
                    out.push(format!("{} finishes", world.nodes[*other].address));
                }
            }
            out.sort();
            out.dedup();
            found.push((self.in_order(members), out));
        }
        found.sort_by_key(|(members, wakers)| (!wakers.is_empty(), members.first().copied()));
        for (number, (members, _)) in found.iter().enumerate() {
            members.iter().for_each(|i| self.cycle_of[*i] = Some(number));
        }
        self.cycles = found;
    }

    /// From the task with the lowest address along the awaits, as far as they lead to members that are left.
    fn in_order(&self, mut members: Vec<usize>) -> Vec<usize> {
        members.sort_unstable();
        let mut left: HashSet<usize> = members.iter().copied().collect();
        let mut out = Vec::with_capacity(members.len());
        let mut next_start = members.iter().copied();
        while out.len() < members.len() {
            let Some(mut at) = next_start.find(|i| left.contains(i)) else { break };
            left.remove(&at);
            out.push(at);
            while let Some(next) = self.awaits[at].iter().copied().find(|j| left.contains(j)) {
                left.remove(&next);
                out.push(next);
                at = next;
            }
        }
        out
    }
}

/// What a gather waits for (`Lib/asyncio/tasks.py`).
fn children(world: &World<'_>, i: usize) -> Vec<usize> {
    let read = &world.read;
    let node = &world.nodes[i];
    let gathers = read.types().bases(read.types().get(node.ty)).any(|b| b.name == "asyncio.tasks._GatheringFuture");
    if !gathers {
        return Vec::new();
    }
    let list = read.attribute(node.address, "_children");
    list.map(|l| read.items(l)).unwrap_or_default().into_iter().filter_map(|c| world.find(c)).collect()
}

/// The futures that a callback of asyncio's own finishes. `Lib/asyncio/{tasks,futures,taskgroups}.py`; each name is
/// the same in all versions that have the function.
fn woken_by(world: &World<'_>, callback: Addr) -> Option<Woken> {
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
            "shield.<locals>._inner_done_callback" | "gather.<locals>._done_callback" => {
                one(read.closed_over(callback, "outer"))
            }
            "_chain_future.<locals>._call_set_state" => one(read.closed_over(callback, "destination")),
            "_wait.<locals>._on_completion" => {
                let when = read.closed_over(callback, "return_when").and_then(|w| read.text(w));
                let futures = vec![read.closed_over(callback, "waiter")?];
                Some(Woken { futures, any: when.as_deref() != Some("ALL_COMPLETED") })
            }
            "as_completed.<locals>._on_completion" => {
                let futures = waiters(world, read.closed_over(callback, "done")?, "_getters");
                Some(Woken { futures, any: true })
            }
            _ => None,
        },
        Value::Method { function, receiver } => match of_asyncio(function)?.as_str() {
            "_AsCompletedIterator._handle_completion" => {
                let futures = waiters(world, read.attribute(receiver, "_done")?, "_getters");
                Some(Woken { futures, any: true })
            }
            "TaskGroup._on_task_done" => one(read.attribute(receiver, "_on_completed_fut")),
            _ => None,
        },
        _ => None,
    }
}

/// Futures in an attribute that is a deque of them.
pub fn waiters(world: &World<'_>, addr: Addr, name: &str) -> Vec<Addr> {
    world.read.attribute(addr, name).map(|list| world.read.items(list)).unwrap_or_default()
}
