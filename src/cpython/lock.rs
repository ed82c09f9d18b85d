//! Locks of the module `_thread`: on which words threads wait for them, who owns them, which ones a frame has entered.
//!
//! Guides: `Modules/_threadmodule.c`, `Python/thread_pthread.h`, `Python/parking_lot.c` (3.13) and
//! `Objects/exception_handling_notes.txt` (3.11). Reads one object or one frame at a time; which threads wait for what,
//! and what that means, is worked out elsewhere.

use super::layout::FrameVariant;
use super::memory::Memory;
use super::thread::StackFrame;
use super::types::TypeTable;
use crate::snapshot::Addr;
use std::collections::HashMap;
use std::ops::Range;

/// Exception tables longer than this are damage: a function of a million lines needs less.
const MAX_TABLE: usize = 1 << 20;

/// `CO_MAXBLOCKS` (`Include/cpython/code.h`): the compiler nests no more blocks. An exception table leads through a few
/// more, as handlers have handlers.
const MAX_BLOCKS: usize = 20;
const MAX_HANDLERS: usize = 4 * MAX_BLOCKS;

/// More slots on a frame's stack are damage.
const MAX_DEPTH: u64 = 1 << 16;

/// Characters of a C function's name that are compared.
const MAX_NAME: usize = 16;

const EXIT: &str = "__exit__";

/// The word a lock is waited for at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// A semaphore: the address that the kernel is given.
    Semaphore(Addr),
    /// A mutex, an event: the address that the parking lot keeps waiters of.
    Parked(Addr),
}

/// A range of instructions and what handles its exceptions.
#[derive(Debug, Clone, Copy)]
struct Handler {
    start: u64,
    end: u64,
    target: u64,
    depth: u64,
}

/// The exception tables of the code objects that were met.
#[derive(Debug, Default)]
pub struct ExceptionTables(HashMap<Addr, Vec<Handler>>);

impl Memory<'_> {
    /// Where threads wait for the `_thread.lock` at `lock`.
    pub fn lock_word(&self, lock: Addr) -> Option<Word> {
        let l = &self.layout.structs.lock;
        match (l.lock_lock, l.lock) {
            (Some(offset), _) => Some(Word::Semaphore(self.reader.pointer(lock + offset)?)),
            (None, offset) => Some(Word::Parked(lock + offset?)),
        }
    }

    /// The same for a `_thread.RLock`.
    pub fn rlock_word(&self, lock: Addr) -> Option<Word> {
        let l = &self.layout.structs.rlock;
        match (l.rlock_lock, l.lock) {
            (Some(offset), _) => Some(Word::Semaphore(self.reader.pointer(lock + offset)?)),
            (None, offset) => Some(Word::Parked(lock + offset?)),
        }
    }

    /// The same for a `_queue.SimpleQueue`, whose lock says that it is empty.
    pub fn simple_queue_word(&self, queue: Addr) -> Option<Word> {
        let q = &self.layout.structs.simplequeue;
        match (q.lock, q.has_threads_waiting) {
            (Some(offset), _) => Some(Word::Semaphore(self.reader.pointer(queue + offset)?)),
            (None, offset) => Some(Word::Parked(queue + offset?)),
        }
    }

    /// Whether somebody has the `_thread.lock` at `lock`: a flag beside the semaphore, or bit 0 of a mutex.
    pub fn lock_is_held(&self, lock: Addr) -> Option<bool> {
        let l = &self.layout.structs.lock;
        match (l.locked, l.lock) {
            (Some(offset), _) => Some(self.reader.u8(lock + offset)? != 0),
            (None, offset) => Some(self.reader.u8(lock + offset?)? & 1 != 0),
        }
    }

    /// The ident of the thread that has the `_thread.RLock` at `lock`; `None` when nobody has it.
    pub fn rlock_owner(&self, lock: Addr) -> Option<u64> {
        let l = &self.layout.structs.rlock;
        let held = match (l.rlock_count, l.lock) {
            (Some(offset), _) => self.reader.u64(lock + offset)? > 0,
            (None, offset) => self.reader.u8(lock + offset?)? & 1 != 0,
        };
        let owner = self.reader.u64(lock + l.rlock_owner.or(l.lock_thread)?)?;
        (held && owner != 0).then_some(owner)
    }

    /// The `ThreadHandle` of a `_thread._ThreadHandle` (3.13), in which a thread is waited for, and that thread's ident.
    pub fn thread_handle(&self, object: Addr) -> Option<(Range<Addr>, u64)> {
        let s = &self.layout.structs;
        let handle = self.reader.pointer(object + s.thread_handle_object.handle?).filter(|h| !h.is_null())?;
        let ident = self.reader.u64(handle + s.thread_handle.ident?)?;
        Some((handle..handle + s.thread_handle.size, ident))
    }

    /// What a thread waits for whose semaphore, the one at `futex`, is that of an entry of the parking lot.
    pub fn parked_on(&self, futex: Addr) -> Option<Addr> {
        let w = &self.layout.structs.wait_entry;
        let entry = Addr(futex.0.checked_sub(w.sema?)?);
        self.reader.pointer(entry + w.addr?).filter(|at| !at.is_null())
    }

    /// The globals of a frame.
    pub fn frame_globals(&self, frame: &StackFrame) -> Option<Addr> {
        let s = &self.layout.structs;
        let at = match self.layout.variants.frame {
            FrameVariant::Object => s.frame_object.f_globals?,
            FrameVariant::Embedded => s.frame.f_globals,
        };
        self.reader.pointer(frame.address + at).filter(|dict| !dict.is_null())
    }

    /// The context managers whose `with` blocks a frame is in, the innermost first: those whose `__enter__` has
    /// returned, and whose `__exit__` was not called yet.
    pub fn entered(&self, frame: &StackFrame, types: &TypeTable, tables: &mut ExceptionTables) -> Vec<Addr> {
        let (base, depths) = match self.layout.structs.frame_object.f_blockstack {
            Some(_) => self.block_depths(frame),
            None => self.handler_depths(frame, tables),
        }
        .unwrap_or_default();
        depths.into_iter().filter_map(|depth| self.manager_at(base, depth, types)).collect()
    }

    /// Up to 3.10 a frame keeps a stack of its blocks: where its value stack begins, and how deep it was at each.
    fn block_depths(&self, frame: &StackFrame) -> Option<(Addr, Vec<u64>)> {
        let f = &self.layout.structs.frame_object;
        let b = &self.layout.structs.try_block;
        let base = self.reader.pointer(frame.address + f.f_valuestack?)?;
        let count = usize::try_from(self.reader.i32(frame.address + f.f_iblock?)?).ok()?.min(MAX_BLOCKS);
        let first = frame.address + f.f_blockstack?;
        let level = |i: usize| self.reader.i32(first + i as u64 * b.size + b.b_level?);
        let mut depths: Vec<u64> = (0..count).rev().filter_map(|i| u64::try_from(level(i)?).ok()).collect();
        depths.retain(|d| (1..MAX_DEPTH).contains(d));
        depths.dedup(); // a `try` begins at the depth that a `with` left
        Some((base, depths))
    }

    /// From 3.11 on the exception table tells: the depth to which the stack is unwound for the handler of the current
    /// instruction, then for the handler's own handler, and so on outwards.
    fn handler_depths(&self, frame: &StackFrame, tables: &mut ExceptionTables) -> Option<(Addr, Vec<u64>)> {
        let slots = self.stack_slots(frame)?;
        let table = tables.0.entry(frame.code).or_insert_with(|| self.exception_table(frame.code).unwrap_or_default());
        let mut at = u64::try_from(frame.instruction).ok()? / 2;
        let (mut depths, mut least) = (Vec::new(), MAX_DEPTH);
        for _ in 0..MAX_HANDLERS {
            let Some(handler) = table.iter().find(|h| (h.start..h.end).contains(&at)) else { break };
            if (1..least).contains(&handler.depth) {
                least = handler.depth;
                depths.push(handler.depth);
            }
            at = handler.target;
        }
        Some((slots.first + slots.locals * 8, depths))
    }

    /// `co_exceptiontable`: four numbers an entry, of 6 bits a byte, the most significant first, bit 6 set when more
    /// follow; bit 7 marks an entry's first byte.
    fn exception_table(&self, code: Addr) -> Option<Vec<Handler>> {
        let bytes = self.reader.pointer(code + self.layout.structs.code.co_exceptiontable?)?;
        let len = usize::try_from(self.ob_size(bytes)?).ok().filter(|n| *n <= MAX_TABLE)?;
        let mut left = self.reader.slice(bytes + self.layout.structs.bytes.ob_sval, len)?.iter();
        let mut number = || {
            let mut value = 0u64;
            for _ in 0..6 {
                let byte = left.next()?;
                value = value << 6 | u64::from(byte & 0x3f);
                if byte & 0x40 == 0 {
                    return Some(value);
                }
            }
            None
        };
        let mut table = Vec::new();
        while let (Some(start), Some(length), Some(target), Some(depth)) = (number(), number(), number(), number()) {
            // bit 0 of the depth: whether the instruction's number is pushed as well
            table.push(Handler { start, end: start + length, target, depth: depth >> 1 });
        }
        Some(table)
    }

    /// The context manager whose `__exit__` a frame's stack has on top at this depth: a bound method (up to 3.13), or
    /// a function with its receiver above it, null for a function that needs none (`LOAD_SPECIAL`, 3.14).
    fn manager_at(&self, base: Addr, depth: u64, types: &TypeTable) -> Option<Addr> {
        let slot = |below: u64| self.stack_ref(base + depth.checked_sub(below)? * 8);
        let top = slot(1)?;
        if top.is_null() {
            return self.bound_exit(slot(2)?, types);
        }
        self.bound_exit(top, types).or_else(|| self.is_exit(slot(2)?, types).then_some(top))
    }

    fn bound_exit(&self, method: Addr, types: &TypeTable) -> Option<Addr> {
        let s = &self.layout.structs;
        let receiver = match self.type_name(method, types)? {
            "method" => {
                let function = self.reader.pointer(method + s.method.im_func)?;
                self.is_exit(function, types).then(|| self.reader.pointer(method + s.method.im_self))?
            }
            "builtin_function_or_method" => {
                let definition = self.reader.pointer(method + s.cfunction.m_ml)?;
                let name = self.reader.c_string(self.reader.pointer(definition + s.method_def.ml_name)?, MAX_NAME)?;
                (name == EXIT.as_bytes()).then(|| self.reader.pointer(method + s.cfunction.m_self))?
            }
            _ => None,
        };
        receiver.filter(|r| !r.is_null())
    }

    /// Whether an unbound function is called `__exit__`.
    fn is_exit(&self, function: Addr, types: &TypeTable) -> bool {
        let s = &self.layout.structs;
        let name = match self.type_name(function, types) {
            Some("function") => self.reader.pointer(function + s.function.func_name),
            Some("method_descriptor") => self.reader.pointer(function + s.descr.d_name),
            _ => None,
        };
        name.is_some_and(|name| self.str_is(name, EXIT))
    }

    fn type_name<'t>(&self, object: Addr, types: &'t TypeTable) -> Option<&'t str> {
        Some(&types.get(types.id_of(self.type_of(object)?)?).name)
    }
}
