//! Threads whose frames refer to a lock: the candidates for one that was taken by a bare `acquire()`.
//!
//! A frame refers to what its variables name, what those hold directly, and to the globals that its code names. Longer
//! ways are not followed, so that a candidate may be missing.

use super::{Locks, Seen};
use crate::analysis::answers::Thread;
use crate::cpython::types::Type;
use crate::cpython::{EdgeKind, EdgeName, StackFrame};
use crate::snapshot::Addr;
use std::collections::HashMap;

/// Frames of a thread that are looked at.
const MAX_FRAMES: usize = 200;

/// An object larger than this is not searched for the lock.
const MAX_OBJECT: u64 = 64 << 10;

/// Attributes of an object that are looked at.
const MAX_ATTRIBUTES: usize = 100;

/// Names of a code object that are looked at.
const MAX_NAMES: u64 = 1 << 12;

impl Locks<'_> {
    /// The native ids of the threads that refer to a lock, but for the one that waits for it.
    pub(super) fn candidates(&self, lock: Addr, waiter: &Seen<'_>, all: &[Seen<'_>], rows: &[Thread]) -> Vec<u64> {
        let mut search = Search { locks: self, lock, objects: HashMap::new(), globals: HashMap::new() };
        let others = all.iter().zip(rows).filter(|(s, _)| s.thread.address != waiter.thread.address);
        let refer = others.filter(|(s, row)| {
            let mut frames = s.frames.iter().zip(&row.frames).take(MAX_FRAMES);
            frames
                .any(|(at, frame)| frame.locals.iter().any(|l| search.leads_from(l.address)) || search.is_named_in(at))
        });
        refer.filter_map(|(_, row)| row.native_id).collect()
    }
}

struct Search<'l, 'h> {
    locks: &'l Locks<'h>,
    lock: Addr,
    objects: HashMap<Addr, bool>,
    /// The names of the lock in a dict of globals, as addresses of str objects.
    globals: HashMap<Addr, Vec<Addr>>,
}

impl Search<'_, '_> {
    /// Whether an object is the lock or holds it.
    fn leads_from(&mut self, object: Addr) -> bool {
        if object == self.lock {
            return true;
        }
        if let Some(known) = self.objects.get(&object) {
            return *known;
        }
        let holds = self.locks.heap.object_at(object).is_some_and(|(_, ty)| self.holds(object, ty));
        self.objects.insert(object, holds);
        holds
    }

    fn holds(&self, object: Addr, ty: &Type) -> bool {
        let memory = &self.locks.memory;
        // a module holds everything
        if ty.name == "module" || memory.shallow_size(object, ty).is_none_or(|size| size > MAX_OBJECT) {
            return false;
        }
        let mut found = memory.dict_attributes(object, ty, MAX_ATTRIBUTES).items.iter().any(|a| a.value == self.lock);
        memory.visit_edges(object, ty, self.locks.heap.types(), &mut |_: EdgeName<'_>, kind, target| {
            found |= kind == EdgeKind::Strong && target == self.lock;
        });
        found
    }

    /// Whether a frame's code names the lock as a global.
    fn is_named_in(&mut self, frame: &StackFrame) -> bool {
        self.named_in(frame).unwrap_or(false)
    }

    fn named_in(&mut self, frame: &StackFrame) -> Option<bool> {
        let memory = &self.locks.memory;
        let globals = memory.frame_globals(frame)?;
        let lock = self.lock;
        let keys = self.globals.entry(globals).or_insert_with(|| {
            let mut keys = Vec::new();
            let _ = memory.dict_entries(globals, |_, key, value| {
                keys.extend((value == lock).then_some(key));
                true
            });
            keys
        });
        if keys.is_empty() {
            return Some(false);
        }
        let names = memory.reader.pointer(frame.code + memory.layout.structs.code.co_names)?;
        let count = memory.ob_size(names)?.unsigned_abs().min(MAX_NAMES);
        // names in code are interned, as are those that code has stored under
        let name = |i: u64| memory.reader.pointer(names + memory.layout.structs.tuple.ob_item + i * 8);
        Some((0..count).filter_map(name).any(|n| keys.contains(&n)))
    }
}
