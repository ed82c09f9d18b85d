//! What is behind a plain future: a lock or a queue that has it among its waiters, a timer, a socket, a thread pool.
//!
//! The other half is what wakes: a handle of the event loop whose function finishes a future or cancels a task. Both
//! come from the objects of the classes themselves, so no event loop has to be found. uvloop's are read elsewhere.

use super::read::Reading;
use super::roles::{HandleFields, Primitive, Role};
use super::world::{Finder, World};
use crate::cpython::Value;
use crate::cpython::types::TypeId;
use crate::snapshot::Addr;
use crate::sys::memory::roomy;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;

/// Handles that are read at a time.
const CHUNK: usize = 2048;

/// Arguments of a handle's function that are looked at.
const MAX_ARGS: u64 = 64;

/// What `run_coroutine_threadsafe` lets the loop call.
pub(super) const SCHEDULED: &str = "run_coroutine_threadsafe.<locals>.callback";

/// What a future stands for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wait {
    pub kind: Primitive,
    /// The lock, the queue, the handle.
    pub object: Addr,
}

/// What wakes a node, besides those that it awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waker {
    /// A `TimerHandle`.
    Timer(Addr),
    /// A `Timeout` that is active.
    Timeout(Addr),
    /// A `Handle`: the loop is about to make the call, or makes it when a file is ready.
    Call,
}

/// Attributes of the classes that hold futures, and whether they hold one or many.
const HOLDERS: &[(Primitive, &[&str], &[&str])] = &[
    (Primitive::Lock, &["_waiters"], &[]),
    (Primitive::Event, &["_waiters"], &[]),
    (Primitive::Condition, &["_waiters"], &[]),
    (Primitive::Semaphore, &["_waiters"], &[]),
    (Primitive::Queue, &["_getters", "_putters"], &[]),
    (Primitive::Stream, &["_drain_waiters"], &["_waiter", "_drain_waiter", "_closed"]),
    (Primitive::Subprocess, &["_exit_waiters"], &[]),
];

/// By the number of a node.
pub struct Waits {
    /// Empty where nothing is behind any future.
    pub of: Vec<Wait>,
    pub wakers: Vec<(u32, Waker)>,
    /// Futures of thread pools that are not done, and the nodes that they finish.
    pub concurrent: Vec<(Addr, Vec<u32>)>,
    /// What an event loop is going to call, and it finishes a future of a thread pool: that future, and the loop.
    pub scheduled: Vec<(Addr, Addr)>,
}

pub fn waits(world: &World<'_, '_>) -> Waits {
    let read = &world.read;
    let mut found = Waits { of: Vec::new(), wakers: Vec::new(), concurrent: Vec::new(), scheduled: Vec::new() };
    // a barrier's condition, and the event that Queue.join waits for, are the barrier and the queue to people
    let mut owners: HashMap<Addr, (Addr, Primitive)> = HashMap::new();
    for (at, kind) in &world.primitives {
        let inner = match kind {
            Primitive::Barrier => read.attribute(*at, "_cond"),
            Primitive::Queue => read.attribute(*at, "_finished"),
            _ => None,
        };
        owners.extend(inner.map(|i| (i, (*at, *kind))));
    }
    for (at, kind) in &world.primitives {
        let Some((_, many, one)) = HOLDERS.iter().find(|(k, ..)| k == kind) else {
            if *kind == Primitive::Executor {
                found.executor(world, *at);
            }
            continue;
        };
        let (object, kind) = owners.get(at).copied().unwrap_or((*at, *kind));
        for future in many.iter().flat_map(|name| read.items_of(*at, name)) {
            found.set(world, future, Wait { kind, object });
        }
        for future in one.iter().filter_map(|name| read.attribute(*at, name)) {
            found.set(world, future, Wait { kind, object });
        }
    }
    let (handles, finder, source) = (&world.handles, &world.finder, read.source);
    let share = |len: usize| len as f64 / handles.len().max(1) as f64;
    let parts: Vec<Calls> = handles
        .par_chunks(CHUNK)
        .map(|handles| {
            let read = Reading::new(source, share(handles.len()));
            let (mut functions, mut calls) = (HashMap::new(), Calls::default());
            for (at, ty) in handles {
                call(&read, finder, *at, *ty, &mut functions, &mut calls);
            }
            calls
        })
        .collect();
    found.wakers = roomy(parts.iter().map(|part| part.reached.len()).sum());
    for part in parts {
        part.calls.iter().for_each(|call| found.call(world, call, &part.reached));
        found.scheduled.extend(part.scheduled);
    }
    world.foreign.iter().for_each(|(at, what)| found.foreign(world, *at, *what));
    world.timeouts.iter().for_each(|t| found.timeout(world, *t));
    found
}

/// A call that a loop is going to make.
struct Call {
    handle: Addr,
    kind: Primitive,
    timer: bool,
    /// The nodes that it may act on, in [`Calls::reached`].
    reached: Range<u32>,
}

/// Several calls.
#[derive(Default)]
struct Calls {
    calls: Vec<Call>,
    reached: Vec<u32>,
    /// As [`Waits::scheduled`].
    scheduled: Vec<(Addr, Addr)>,
}

/// What a function is, as far as all calls of it are alike.
#[derive(Clone, Default)]
struct Function {
    name: String,
    reached: Vec<u32>,
    /// The future and the loop of `run_coroutine_threadsafe`.
    scheduled: Option<(Addr, Addr)>,
}

/// `asyncio.events.Handle` and `TimerHandle`. Functions that many handles share are looked at once.
fn call(
    read: &Reading<'_>,
    finder: &Finder<'_>,
    handle: Addr,
    ty: TypeId,
    functions: &mut HashMap<Addr, Function>,
    calls: &mut Calls,
) -> Option<()> {
    let Some(Role::Handle(fields)) = read.roles.of(ty) else { return None };
    let HandleFields { callback, args, cancelled, when } = fields;
    let pointer = |offset: u64| read.not_none(read.memory.reader.pointer(handle + offset));
    if read.is_truth(pointer(cancelled)) {
        return None;
    }
    let callback = pointer(callback)?;
    let function = functions.entry(callback).or_insert_with(|| {
        let name = read.function_name(callback).map(|(_, name)| name).unwrap_or_default();
        let mut function = Function { name, ..Function::default() };
        let mut reached = Vec::new();
        reach(read, callback, 0, &mut reached);
        function.reached.extend(reached.into_iter().filter_map(|a| finder.find(a)));
        if function.name == SCHEDULED {
            let held = |name: &str| read.closed_over(callback, name);
            function.scheduled = held("future").zip(held("loop"));
        }
        function
    });
    let reached = &mut calls.reached;
    let from = reached.len() as u32;
    reached.extend(&function.reached);
    let mut socket = false;
    if let Some(args) = pointer(args) {
        let count = read.memory.ob_size(args).map_or(0, i64::unsigned_abs).min(MAX_ARGS);
        let first = args + read.memory.layout.structs.tuple.ob_item;
        let items = (0..count).map_while(|i| read.memory.reader.pointer(first + i * 8));
        for item in items.filter(|a| read.not_none(Some(*a)).is_some()) {
            socket |= when.is_none() && read.socket_fd(item).is_some();
            reached.extend(finder.find(item));
        }
    }
    let kind = match (when.is_some(), function.name.as_str()) {
        (true, "_set_result_unless_cancelled") => Primitive::Sleep,
        // a timeout of wait() and of wait_for() up to 3.11 is a way out, not what is waited for
        (_, "_release_waiter") => Primitive::Unknown,
        (true, _) => Primitive::Timer,
        (false, _) if socket => Primitive::Socket,
        (false, _) => Primitive::Unknown,
    };
    let reached = from..reached.len() as u32;
    calls.calls.push(Call { handle, kind, timer: when.is_some(), reached });
    calls.scheduled.extend(function.scheduled);
    Some(())
}

/// What a function holds that it may act on.
pub(super) fn reach(read: &Reading<'_>, callback: Addr, depth: u32, out: &mut Vec<Addr>) {
    const MAX_DEPTH: u32 = 4;
    if depth > MAX_DEPTH {
        return;
    }
    match read.value(callback) {
        Some(Value::Partial { function, args }) => {
            out.extend(args.map(|a| read.items(a)).unwrap_or_default());
            reach(read, function, depth + 1, out);
        }
        Some(Value::Method { receiver, .. }) => {
            out.push(receiver);
            if read.role(receiver).is_none() {
                out.extend(read.attribute(receiver, "_task"));
            }
        }
        Some(Value::Builtin { receiver, .. }) => out.extend(receiver),
        Some(Value::Function { .. }) => out.extend(read.closure(callback).into_iter().map(|(_, held)| held)),
        _ => {}
    }
}

impl Waits {
    /// The first that is found of a future stays: what holds it among its waiters says more than a timer.
    pub(super) fn set(&mut self, world: &World<'_, '_>, future: Addr, wait: Wait) {
        if let Some(i) = world.finder.find(future) {
            self.set_node(world, i, wait);
        }
    }

    fn set_node(&mut self, world: &World<'_, '_>, i: u32, wait: Wait) {
        if self.of.is_empty() {
            self.of = roomy(world.nodes.len());
            rayon::iter::repeat_n(Wait::default(), world.nodes.len()).collect_into_vec(&mut self.of);
        }
        if world.nodes.get(i as usize).is_some_and(|n| !n.task)
            && let Some(slot) = self.of.get_mut(i as usize).filter(|w| w.kind == Primitive::Unknown)
        {
            *slot = wait;
        }
    }

    pub(super) fn wakes(&mut self, world: &World<'_, '_>, address: Addr, how: Waker) {
        self.wakers.extend(world.finder.find(address).map(|i| (i, how)));
    }

    fn call(&mut self, world: &World<'_, '_>, call: &Call, reached: &[u32]) {
        let how = if call.timer { Waker::Timer(call.handle) } else { Waker::Call };
        for i in reached.get(call.reached.start as usize..call.reached.end as usize).unwrap_or_default().iter().copied()
        {
            self.wakers.push((i, how));
            if call.kind != Primitive::Unknown {
                self.set_node(world, i, Wait { kind: call.kind, object: call.handle });
            }
        }
    }

    /// `asyncio.timeout`, and `wait_for` from 3.12 on: cancels its task.
    fn timeout(&mut self, world: &World<'_, '_>, timeout: Addr) {
        let read = &world.read;
        let state = read.attribute(timeout, "_state").and_then(|s| read.attribute(s, "_value_"));
        let active = state.and_then(|v| read.text(v)).is_some_and(|v| v == "active");
        let ends = read.attribute(timeout, "_when").is_some();
        if let Some(task) = read.attribute(timeout, "_task").filter(|_| active && ends) {
            self.wakes(world, task, Waker::Timeout(timeout));
        }
    }

    /// A future of a thread pool tells the loop's future when it is done (`asyncio.futures._chain_future`).
    fn executor(&mut self, world: &World<'_, '_>, future: Addr) {
        let read = &world.read;
        let pending = read.attribute(future, "_state").and_then(|s| read.text(s));
        if !matches!(pending.as_deref(), Some("PENDING" | "RUNNING")) {
            return;
        }
        let mut finishes = Vec::new();
        for callback in read.items_of(future, "_done_callbacks") {
            let chained =
                read.function_name(callback).is_some_and(|(_, n)| n == "_chain_future.<locals>._call_set_state");
            let Some(destination) = read.closed_over(callback, "destination").filter(|_| chained) else { continue };
            self.set(world, destination, Wait { kind: Primitive::Executor, object: future });
            finishes.extend(world.find(destination).map(|i| i as u32));
        }
        self.concurrent.push((future, finishes));
    }
}
