//! Every thread: who it is, what the kernel says of it, its stack with the variables of each frame.
//!
//! Three sources are put together: CPython's thread states, the objects of the module `threading`, and what
//! `snapshot.json` recorded at the stop. What a thread waits for in Python's own terms (locks, conditions, other
//! threads) is worked out in `locks`.

mod query;

use super::answers::{Thread, Threads};
use super::frames::Frames;
use super::locks::{self, Seen};
use super::variables::{self, MAX_NAME};
use crate::cpython::interpreters::InterpreterState;
use crate::cpython::types::{Type, flags};
use crate::cpython::{Memory, Stack, ThreadState};
use crate::heap::Heap;
use crate::snapshot::{Addr, meta};
use crate::text::sanitize;
pub use query::{FIELDS, narrow, of_thread};
use std::collections::HashMap;

/// `futex`, x86-64.
pub(super) const FUTEX: i64 = 202;

/// All threads. Time is proportional to the depth of their stacks; up to 3.10 also to the number of functions, whose
/// objects alone know their qualified names; and to that of asyncio's tasks when a thread waits for what one of them may
/// have to finish.
pub fn threads(heap: &Heap) -> Threads {
    let mut found = by_themselves(heap);
    let open = |t: &Thread| {
        let wait = t.waits_for.as_ref().filter(|w| !w.timeout && w.holder.is_none());
        wait.is_some_and(|w| w.what == "Lock" || w.what.starts_with("Future."))
    };
    if found.threads.iter().any(open) {
        for (threads, sentence) in super::tasks::crossing(heap) {
            found.deadlocks.push(threads);
            found.explained.push(sentence);
        }
    }
    locks::deadlocked_first(&mut found);
    found
}

/// The same without the deadlocks that go through tasks of asyncio.
pub(super) fn by_themselves(heap: &Heap) -> Threads {
    let interpreter = heap.interpreter();
    let recorded = heap.snapshot().metadata().map_or(&[][..], |m| &m.threads);
    let mut walk = Walk { heap, memory: heap.memory(), frames: Frames::of_all(heap), found: Threads::default() };
    let mut matched = vec![false; recorded.len()];
    let mut seen_threads = Vec::new();
    for state in &interpreter.interpreters {
        let (mut threads, whole) = walk.memory.threads(state);
        if !whole {
            let of = if interpreter.interpreters.len() > 1 {
                format!(" of interpreter {}", state.id)
            } else {
                String::new()
            };
            walk.found.problems.push(format!("the list of threads{of} is damaged: some may be missing"));
        }
        threads.reverse(); // the newest comes first
        let known = walk.python_threads(state);
        let gil = walk.memory.gil(interpreter.runtime, state);
        let holder = walk.memory.gil_holder(interpreter.runtime, state);
        for thread in threads {
            let kernel = recorded.iter().position(|k| is_same(k, &thread));
            if let Some(seen) = kernel.and_then(|i| matched.get_mut(i)) {
                *seen = true;
            }
            let kernel = kernel.and_then(|i| recorded.get(i));
            let object = known.get(&thread.ident).copied();
            let stack = walk.memory.stack(thread.address);
            let mut row = walk.thread(&thread, object, &stack);
            row.holds_gil = holder == Some(thread.address);
            row.waits_for_gil = kernel.map(|k| waits_in(k, gil.as_ref()));
            describe_kernel(&mut row, kernel);
            seen_threads.push(Seen { thread, frames: stack.frames, object, kernel });
            walk.found.threads.push(row);
        }
    }
    locks::explain(heap, &seen_threads, &mut walk.found);
    for kernel in recorded.iter().zip(&matched).filter(|(_, seen)| !**seen).map(|(k, _)| k) {
        let mut row = Thread { whole: true, ..Thread::default() };
        describe_kernel(&mut row, Some(kernel));
        walk.found.threads.push(row);
    }
    if interpreter.interpreters.is_empty() {
        walk.found.problems.push("the interpreter's state was not found: Python's threads are unknown".into());
    }
    walk.found
}

/// A thread with Python state, without its stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub ident: u64,
    pub native_id: Option<u64>,
    pub interpreter: i64,
    /// Whether it is blocked in `futex`, as one is that waits for a lock.
    pub in_futex: bool,
}

/// Every thread with Python state. `O(threads)`.
pub(super) fn known(heap: &Heap) -> Vec<Known> {
    let recorded = heap.snapshot().metadata().map_or(&[][..], |m| &m.threads);
    let memory = heap.memory();
    let states = heap.interpreter().interpreters.iter().flat_map(|i| memory.threads(i).0);
    let known = |state: ThreadState| {
        let kernel = recorded.iter().find(|k| is_same(k, &state));
        Known {
            ident: state.ident,
            native_id: kernel.and_then(|k| u64::try_from(k.tid).ok()).or(state.native_id),
            interpreter: state.interpreter,
            in_futex: kernel.and_then(|k| k.syscall.as_ref()).is_some_and(|call| call.number == FUTEX),
        }
    };
    states.map(known).collect()
}

/// Whether the kernel's thread is the one of this state: its thread pointer is its `pthread_t`. Without registers, the
/// ids of both worlds are compared; those differ where the process lives in a pid namespace of its own.
fn is_same(kernel: &meta::Thread, thread: &ThreadState) -> bool {
    match kernel.registers.get("fs_base") {
        Some(pointer) => pointer.0 == thread.ident,
        None => u64::try_from(kernel.tid).ok() == thread.native_id,
    }
}

/// Whether a thread is blocked on the mutex or the condition variable of a GIL.
fn waits_in(kernel: &meta::Thread, gil: Option<&std::ops::Range<Addr>>) -> bool {
    let futex = kernel.syscall.as_ref().filter(|s| s.number == FUTEX).and_then(|s| s.args.first());
    futex.is_some_and(|at| gil.is_some_and(|gil| gil.contains(at)))
}

fn describe_kernel(row: &mut Thread, kernel: Option<&meta::Thread>) {
    let Some(kernel) = kernel else { return };
    row.native_id = u64::try_from(kernel.tid).ok();
    let name = Some(sanitize(&kernel.name).into_owned()).filter(|name| !name.is_empty()); // a core file has one name
    row.name = row.name.take().or_else(|| name.clone());
    row.kernel_name = name;
    row.state = Some(match kernel.state.as_str() {
        "R" => "running",
        "S" => "sleeping",
        "D" => "waiting for a device",
        "T" => "stopped",
        "t" => "traced",
        "Z" | "X" => "ended",
        "I" => "idle",
        _ => "unknown",
    });
    row.syscall = kernel.syscall.as_ref().map(|call| {
        let named = usize::try_from(call.number).ok().and_then(syscalls::x86_64::Sysno::new);
        named.map_or_else(|| format!("system call {}", call.number), |s| s.name().to_owned())
    });
}

struct Walk<'h> {
    heap: &'h Heap,
    memory: Memory<'h>,
    frames: Frames<'h>,
    found: Threads,
}

impl Walk<'_> {
    fn thread(&mut self, thread: &ThreadState, object: Option<Addr>, stack: &Stack) -> Thread {
        let handled = self.memory.handled_exceptions(thread.address).into_iter();
        let handling = handled.filter(|a| self.type_of(*a).is_some_and(|t| t.has(flags::BASE_EXC_SUBCLASS)));
        let handling = handling.map(|a| variables::local(self.heap, &self.memory, String::new(), a)).collect();
        let frames = stack.frames.iter().map(|f| self.frames.frame(f, true)).collect();
        let attribute = |name: &str| object.and_then(|o| self.memory.attribute(o, self.type_of(o)?, name));
        let name = attribute("_name").and_then(|n| self.memory.text(n, MAX_NAME));
        let is_true = |a: Addr| self.memory.small_int(a) == Some(1);
        Thread {
            ident: Some(thread.ident),
            native_id: thread.native_id,
            interpreter: Some(thread.interpreter),
            name: name.map(|(text, _)| sanitize(&text).into_owned()),
            daemon: attribute("_daemonic").map(is_true),
            handling,
            frames,
            whole: stack.whole,
            ..Thread::default()
        }
    }

    fn type_of(&self, addr: Addr) -> Option<&Type> {
        self.heap.object_at(addr).map(|(_, ty)| ty)
    }

    /// `threading._active` of an interpreter: the Thread objects by their idents (`Lib/threading.py`).
    fn python_threads(&self, interpreter: &InterpreterState) -> HashMap<u64, Addr> {
        let find = || {
            let s = &self.memory.layout.structs;
            let modules = self.memory.reader.pointer(interpreter.address + s.interpreter.modules)?;
            let threading = self.memory.dict_get(modules, "threading")?;
            let names = self.memory.reader.pointer(threading + s.module.md_dict)?;
            let active = self.memory.dict_get(names, "_active")?;
            let mut found = HashMap::new();
            self.memory.dict_entries(active, |_, ident, thread| {
                if let Some(ident) = self.memory.small_int(ident).and_then(|n| u64::try_from(n).ok()) {
                    found.insert(ident, thread);
                }
                true
            })?;
            Some(found)
        };
        find().unwrap_or_default()
    }
}
