//! What is behind a plain future: a lock or a queue that has it among its waiters, a timer, a socket, a thread pool.
//!
//! The other half is what wakes: a handle of the event loop whose function finishes a future or cancels a task. Both
//! come from the objects of the classes themselves, so no event loop has to be found. Loops that are not written in
//! Python keep their timers in C, where they are not seen; `Timeout` objects are.

use super::graph::waiters;
use super::{Role, World};
use crate::analysis::answers::WaitsIn;
use crate::analysis::variables;
use crate::cpython::Value;
use crate::snapshot::Addr;
use std::collections::HashMap;

/// By the number of a node: what wakes it, as sentences.
pub type Wakers = HashMap<usize, Vec<String>>;

/// Attributes of the classes that hold futures, and whether they hold one or many.
const HOLDERS: &[(&str, &[&str], &[&str])] = &[
    ("lock", &["_waiters"], &[]),
    ("event", &["_waiters"], &[]),
    ("condition", &["_waiters"], &[]),
    ("semaphore", &["_waiters"], &[]),
    ("queue", &["_getters", "_putters"], &[]),
    ("stream", &[], &["_waiter"]),
    ("subprocess", &["_exit_waiters"], &[]),
];

pub fn waits(world: &World<'_>) -> (Vec<Option<WaitsIn>>, Wakers) {
    let read = &world.read;
    let mut found = Found { world, waits: vec![None; world.nodes.len()], wakers: Wakers::new() };
    // a barrier's condition, and the event that Queue.join waits for, are the barrier and the queue to people
    let mut owners: HashMap<Addr, (Addr, &'static str)> = HashMap::new();
    for (at, kind) in &world.primitives {
        let inner = match *kind {
            "barrier" => read.attribute(*at, "_cond"),
            "queue" => read.attribute(*at, "_finished"),
            _ => None,
        };
        owners.extend(inner.map(|i| (i, (*at, *kind))));
    }
    let executors = world.primitives.iter().any(|(_, kind)| *kind == "executor");
    let workers = if executors { workers(world) } else { HashMap::new() };
    for (at, kind) in &world.primitives {
        let Some((_, many, one)) = HOLDERS.iter().find(|(k, ..)| k == kind) else {
            if *kind == "executor" {
                found.executor(*at, &workers);
            }
            continue;
        };
        let (shown, shown_kind) = owners.get(at).copied().unwrap_or((*at, *kind));
        let futures = many.iter().flat_map(|name| waiters(world, *at, name));
        let futures: Vec<Addr> = futures.chain(one.iter().filter_map(|name| read.attribute(*at, name))).collect();
        if futures.is_empty() {
            continue;
        }
        let mut wait = found.wait(shown_kind, shown);
        if *kind == "stream" {
            wait.fd = read.attribute(*at, "_transport").and_then(|t| found.fd_of(t));
        }
        futures.iter().for_each(|f| found.set(*f, &wait));
    }
    world.handles.iter().for_each(|h| found.handle(*h));
    world.timeouts.iter().for_each(|t| found.timeout(*t));
    (found.waits, found.wakers)
}

struct Found<'w, 'h> {
    world: &'w World<'h>,
    waits: Vec<Option<WaitsIn>>,
    wakers: Wakers,
}

impl Found<'_, '_> {
    fn wait(&self, kind: &'static str, address: Addr) -> WaitsIn {
        let type_name = variables::type_name(self.world.read.heap, address);
        WaitsIn { kind, address, type_name, ..WaitsIn::default() }
    }

    /// The first that is found of a future stays: what holds it among its waiters says more than a timer.
    fn set(&mut self, future: Addr, wait: &WaitsIn) {
        let node = self.world.find(future).filter(|i| !self.world.nodes[*i].task);
        if let Some(slot) = node.and_then(|i| self.waits.get_mut(i)) {
            slot.get_or_insert_with(|| wait.clone());
        }
    }

    fn wakes(&mut self, address: Addr, how: &str) {
        if let Some(i) = self.world.find(address) {
            self.wakers.entry(i).or_default().push(how.to_owned());
        }
    }

    fn fd_of(&self, of: Addr) -> Option<i64> {
        const PIPE: [&str; 2] = ["_sock_fd", "_fileno"];
        let read = &self.world.read;
        PIPE.iter().find_map(|name| read.int(read.attribute(of, name)?))
    }

    /// `asyncio.events.Handle` and `TimerHandle`: a function that the loop is going to call.
    fn handle(&mut self, handle: Addr) {
        let read = &self.world.read;
        if read.is_true(handle, "_cancelled") {
            return;
        }
        let Some(callback) = read.attribute(handle, "_callback") else { return };
        let args = read.attribute(handle, "_args").map(|a| read.items(a)).unwrap_or_default();
        let until = read.attribute(handle, "_when").and_then(|w| read.float(w));
        let name = read.function_name(callback).map(|(_, name)| name);
        let how = match until {
            Some(until) => format!("a timer at {until:.3} of the loop's clock"),
            None => "a call that the loop is about to make, or makes when a file is ready".to_owned(),
        };
        let fd = args.iter().find_map(|a| self.socket_fd(*a));
        let kind = match (until, name.as_deref()) {
            (Some(_), Some("_set_result_unless_cancelled")) => Some("sleep"),
            (Some(_), _) => Some("timer"),
            (None, _) if fd.is_some() => Some("socket"),
            (None, _) => None,
        };
        let mut reached = args;
        self.reached(callback, 0, &mut reached);
        // a timeout of wait() and of wait_for() up to 3.11 is a way out, not what is waited for
        let kind = kind.filter(|_| name.as_deref() != Some("_release_waiter"));
        for address in reached {
            self.wakes(address, &how);
            if let Some(kind) = kind {
                let wait = WaitsIn { until, fd, ..self.wait(kind, handle) };
                self.set(address, &wait);
            }
        }
    }

    /// What a function holds that it may act on.
    fn reached(&self, callback: Addr, depth: u32, out: &mut Vec<Addr>) {
        const MAX_DEPTH: u32 = 4;
        let read = &self.world.read;
        if depth > MAX_DEPTH {
            return;
        }
        match read.value(callback) {
            Some(Value::Partial { function, args }) => {
                out.extend(args.map(|a| read.items(a)).unwrap_or_default());
                self.reached(function, depth + 1, out);
            }
            Some(Value::Method { receiver, .. }) => {
                out.push(receiver);
                if self.world.role(receiver).is_none() {
                    out.extend(read.attribute(receiver, "_task"));
                }
            }
            Some(Value::Builtin { receiver, .. }) => out.extend(receiver),
            Some(Value::Function { .. }) => out.extend(read.closure(callback).into_iter().map(|(_, held)| held)),
            _ => {}
        }
    }

    fn socket_fd(&self, addr: Addr) -> Option<i64> {
        let read = &self.world.read;
        let ty = read.type_of(addr)?;
        if !read.types().bases(ty).any(|b| b.name == "_socket.socket") {
            return None;
        }
        read.memory.reader.i32(addr + read.memory.layout.structs.socket.sock_fd).map(i64::from).filter(|fd| *fd >= 0)
    }

    /// `asyncio.timeout`, and `wait_for` from 3.12 on: cancels its task.
    fn timeout(&mut self, timeout: Addr) {
        let read = &self.world.read;
        let ended =
            |t| read.attribute(t, "_state").and_then(|s| read.attribute(s, "_value_")).and_then(|v| read.text(v));
        let Some(when) = read.attribute(timeout, "_when").and_then(|w| read.float(w)) else { return };
        if let (Some("active"), Some(task)) = (ended(timeout).as_deref(), read.attribute(timeout, "_task")) {
            self.wakes(task, &format!("a timeout at {when:.3} of the loop's clock"));
        }
    }

    /// A future of a thread pool tells the loop's future when it is done (`asyncio.futures._chain_future`).
    fn executor(&mut self, future: Addr, workers: &HashMap<Addr, Option<u64>>) {
        let read = &self.world.read;
        let pending = read.attribute(future, "_state").and_then(|s| read.text(s));
        if !matches!(pending.as_deref(), Some("PENDING" | "RUNNING")) {
            return;
        }
        let wait = WaitsIn { thread: workers.get(&future).copied().flatten(), ..self.wait("executor", future) };
        for callback in waiters(self.world, future, "_done_callbacks") {
            let chained =
                read.function_name(callback).is_some_and(|(_, n)| n == "_chain_future.<locals>._call_set_state");
            let Some(destination) = read.closed_over(callback, "destination").filter(|_| chained) else { continue };
            self.set(destination, &wait);
            self.wakes(destination, "a thread of an executor finishes");
        }
    }
}

/// The native ids of the threads that work on futures of thread pools: `_WorkItem.run` is on their stacks
/// (`Lib/concurrent/futures/thread.py`).
fn workers(world: &World<'_>) -> HashMap<Addr, Option<u64>> {
    const FIRST: usize = 4;
    let read = &world.read;
    let mut found = HashMap::new();
    for interpreter in &read.heap.interpreter().interpreters {
        for thread in read.memory.threads(interpreter).0 {
            for frame in read.memory.stack(thread.address).frames {
                let slots = read.memory.stack_slots(&frame);
                let locals = slots.map(|s| read.memory.locals(&s, read.types(), FIRST)).unwrap_or_default();
                let work =
                    locals.into_iter().find(|(name, _)| read.memory.str_is(*name, "self")).map(|(_, value)| value);
                let work = work.filter(|w| read.is(*w, "concurrent.futures.thread._WorkItem"));
                found.extend(work.and_then(|w| read.attribute(w, "future")).map(|f| (f, thread.native_id)));
            }
        }
    }
    found
}

impl World<'_> {
    /// Whether the object at an address is a lock or a condition.
    pub(super) fn is_lock(&self, address: Addr) -> bool {
        matches!(self.role(address), Some(Role::Primitive("lock" | "condition")))
    }
}
