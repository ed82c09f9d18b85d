//! Which locks a thread has entered by `with`, as its frames show it.
//!
//! The context manager of a `with` block is the lock itself, a condition around it, or a function made with
//! `contextlib.contextmanager` whose generator is inside a `with` block in its turn. Others are not looked into.

use super::{Kind, Locks, Seen, library};
use crate::analysis::answers::{Frame, Thread};
use crate::cpython::{EXIT, Entered, ExceptionTables, StackFrame};
use crate::snapshot::Addr;
use std::collections::HashSet;

/// Managers within managers are followed so far.
const MAX_NESTED: usize = 8;

/// Locks held by one thread: a frame has at most some twenty, and deep recursion does not enter more of them.
const MAX_HELD: usize = 1 << 16;

/// A lock that a thread has, or a semaphore that it has entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub lock: Addr,
    /// The index of the frame; `None` for an RLock that only names the thread as its owner.
    pub frame: Option<usize>,
    /// The line of its `with`.
    pub line: Option<u32>,
    /// A semaphore has no one holder: it is only known that the thread is inside.
    semaphore: bool,
}

/// The locks of a thread, each once.
pub(super) fn addresses(held: &[Held]) -> Vec<Addr> {
    let mut seen = HashSet::new();
    held.iter().filter(|h| !h.semaphore && seen.insert(h.lock)).map(|h| h.lock).collect()
}

/// The native ids of the threads that are inside a semaphore.
pub(super) fn inside(held: &[Vec<Held>], semaphore: Option<Addr>, rows: &[Thread]) -> Vec<u64> {
    let of = |all: &&Vec<Held>| all.iter().any(|h| Some(h.lock) == semaphore);
    let rows = held.iter().zip(rows).filter(|(all, _)| of(all)).map(|(_, row)| row);
    rows.filter_map(|row| row.native_id).collect()
}

impl Locks<'_> {
    /// For each thread the locks it has, the innermost first; then those that only name it as their owner.
    pub(super) fn held(&self, seen: &[Seen<'_>], rows: &[Thread]) -> Vec<Vec<Held>> {
        let mut tables = ExceptionTables::default();
        let mut held: Vec<Vec<Held>> =
            seen.iter().zip(rows).map(|(s, row)| self.entered_by(s, &row.frames, &mut tables)).collect();
        let mut rlocks: Vec<Addr> = self.kinds.iter().filter(|(_, k)| **k == Kind::RLock).map(|(at, _)| *at).collect();
        rlocks.sort_unstable();
        for lock in rlocks {
            let owner = self.memory.rlock_owner(lock).and_then(|ident| self.threads.get(&ident));
            if let Some(all) = owner.and_then(|i| held.get_mut(*i))
                && !all.iter().any(|h| h.lock == lock)
            {
                all.push(Held { lock, frame: None, line: None, semaphore: false });
            }
        }
        held
    }

    fn entered_by(&self, seen: &Seen<'_>, frames: &[Frame], tables: &mut ExceptionTables) -> Vec<Held> {
        // a condition lets go of its lock while it waits, and takes it again before it returns
        let waits = frames.iter().filter_map(|f| self.condition(Some(f)));
        let released: HashSet<Addr> = waits.filter_map(|c| self.attribute(c, "_lock")).collect();
        let mut held = Vec::new();
        for (frame, at) in seen.frames.iter().enumerate() {
            if held.len() >= MAX_HELD {
                break;
            }
            for Entered { manager, line } in self.memory.entered(at, self.heap.types(), tables, EXIT) {
                for (lock, semaphore) in self.locks_of(manager, tables, 0) {
                    // an RLock knows better than any frame
                    let owner = || self.memory.rlock_owner(lock) == Some(seen.thread.ident);
                    let is_rlock = self.kinds.get(&lock) == Some(&Kind::RLock);
                    if !released.contains(&lock) && (!is_rlock || owner()) {
                        held.push(Held { lock, frame: Some(frame), line, semaphore });
                    }
                }
            }
        }
        held
    }

    /// The locks and semaphores whose `with` blocks a frame is in.
    fn entered(&self, frame: &StackFrame, tables: &mut ExceptionTables, nested: usize) -> Vec<(Addr, bool)> {
        let entered = self.memory.entered(frame, self.heap.types(), tables, EXIT);
        entered.into_iter().flat_map(|with| self.locks_of(with.manager, tables, nested)).collect()
    }

    fn locks_of(&self, manager: Addr, tables: &mut ExceptionTables, nested: usize) -> Vec<(Addr, bool)> {
        if matches!(self.kinds.get(&manager), Some(Kind::Lock | Kind::RLock)) {
            return vec![(manager, false)];
        }
        if nested >= MAX_NESTED {
            return Vec::new();
        }
        if self.is_a(manager, "threading.Condition") {
            let lock = self.attribute(manager, "_lock").filter(|lock| self.kinds.contains_key(lock));
            return lock.map(|lock| (lock, false)).into_iter().collect();
        }
        if self.is_a(manager, "threading.Semaphore") {
            return vec![(manager, true)];
        }
        if self.is_a(manager, "contextlib._GeneratorContextManager") {
            let frame = self.attribute(manager, "gen").and_then(|g| {
                let is_generator = self.heap.object_at(g).is_some_and(|(_, ty)| ty.name == "generator");
                is_generator.then(|| self.memory.generator_frame(g))?
            });
            return frame.map(|f| self.entered(&f, tables, nested + 1)).unwrap_or_default();
        }
        Vec::new()
    }

    /// The condition that a frame of `Condition.wait` waits for.
    pub(super) fn condition(&self, frame: Option<&Frame>) -> Option<Addr> {
        library::condition_wait(frame?).filter(|c| self.is_a(*c, "threading.Condition"))
    }
}
