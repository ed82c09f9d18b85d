//! Locks of the module `_thread`: on which words threads wait for them, who owns them, which ones a frame has entered.
//!
//! Guides: `Modules/_threadmodule.c`, `Python/thread_pthread.h`, `Python/parking_lot.c` (3.13) and
//! `Objects/exception_handling_notes.txt` (3.11). Reads one object or one frame at a time; which threads wait for what,
//! and what that means, is worked out elsewhere.

use super::layout::{FrameVariant, LineTableVariant};
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

/// The way out of a `with` block, and of an `async with` block.
pub const EXIT: &str = "__exit__";
pub const ASYNC_EXIT: &str = "__aexit__";

/// `Include/opcode.h` of 3.8 to 3.10.
const SETUP_WITH: u8 = 143;
const EXTENDED_ARG: u8 = 144;
const SETUP_ASYNC_WITH: u8 = 154;

/// A context manager whose `with` block a frame is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// The manager.
    pub manager: Addr,
    /// The line of the `with`; `None` where it cannot be told.
    pub line: Option<u32>,
}

/// How deep the value stack was when a block began, and where the handler of its exceptions is, as the frame tells it.
type Block = (u64, i64);

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
    /// returned, and whose way out (`exit`: [`EXIT`] or [`ASYNC_EXIT`]) was not taken yet.
    pub fn entered(
        &self,
        frame: &StackFrame,
        types: &TypeTable,
        tables: &mut ExceptionTables,
        exit: &str,
    ) -> Vec<Entered> {
        let (base, blocks) = match self.layout.structs.frame_object.f_blockstack {
            Some(_) => self.blocks(frame),
            None => self.handlers(frame, tables),
        }
        .unwrap_or_default();
        let with = |(depth, handler): Block| {
            let manager = self.manager_at(base, depth, types, exit)?;
            Some(Entered { manager, line: self.with_line(frame.code, handler) })
        };
        blocks.into_iter().filter_map(with).collect()
    }

    /// Up to 3.10 a frame keeps a stack of its blocks: where its value stack begins, and the blocks.
    fn blocks(&self, frame: &StackFrame) -> Option<(Addr, Vec<Block>)> {
        let f = &self.layout.structs.frame_object;
        let b = &self.layout.structs.try_block;
        let base = self.reader.pointer(frame.address + f.f_valuestack?)?;
        let count = usize::try_from(self.reader.i32(frame.address + f.f_iblock?)?).ok()?.min(MAX_BLOCKS);
        let first = frame.address + f.f_blockstack?;
        let block = |i: usize| {
            let at = first + i as u64 * b.size;
            let depth = u64::try_from(self.reader.i32(at + b.b_level?)?).ok()?;
            Some((depth, i64::from(self.reader.i32(at + b.b_handler?)?)))
        };
        let mut blocks: Vec<Block> = (0..count).rev().filter_map(block).collect();
        blocks.retain(|(depth, _)| (1..MAX_DEPTH).contains(depth));
        // a `try` begins at the depth that a `with` left: the outer one of the two is the `with`
        blocks.reverse();
        blocks.dedup_by_key(|(depth, _)| *depth);
        blocks.reverse();
        Some((base, blocks))
    }

    /// From 3.11 on the exception table tells: the depth to which the stack is unwound for the handler of the current
    /// instruction, then for the handler's own handler, and so on outwards.
    fn handlers(&self, frame: &StackFrame, tables: &mut ExceptionTables) -> Option<(Addr, Vec<Block>)> {
        let slots = self.stack_slots(frame)?;
        let table = tables.0.entry(frame.code).or_insert_with(|| self.exception_table(frame.code).unwrap_or_default());
        let mut at = u64::try_from(frame.instruction).ok()? / 2;
        let (mut blocks, mut least) = (Vec::<Block>::new(), MAX_DEPTH);
        for _ in 0..MAX_HANDLERS {
            let Some(handler) = table.iter().find(|h| (h.start..h.end).contains(&at)) else { break };
            let block = (handler.depth, i64::try_from(handler.target).ok()?);
            if handler.depth < least {
                least = handler.depth;
                blocks.push(block);
            } else if let Some(last) = blocks.last_mut().filter(|(depth, _)| *depth == handler.depth) {
                *last = block; // a `try` inside the `with`
            }
            at = handler.target;
        }
        blocks.retain(|(depth, _)| *depth > 0);
        Some((slots.first + slots.locals * 8, blocks))
    }

    /// The line of the `with` that a handler belongs to. From 3.11 on the handler has the place of the `with`
    /// (`Python/compile.c`, `Python/codegen.c`); before, it is the target of the instruction that began the block.
    fn with_line(&self, code: Addr, handler: i64) -> Option<u32> {
        let c = &self.layout.structs.code;
        if c.co_exceptiontable.is_some() {
            return self.line_at(code, handler.checked_mul(2)?);
        }
        // jumps and blocks count in units of two bytes from 3.10 on
        let unit = if self.layout.variants.line_table == LineTableVariant::Lnotab { 1 } else { 2 };
        let bytes = self.reader.pointer(code + c.co_code?)?;
        let len = usize::try_from(self.ob_size(bytes)?).ok().filter(|n| *n <= MAX_TABLE)?;
        let text = self.reader.slice(bytes + self.layout.structs.bytes.ob_sval, len)?;
        let mut argument = 0i64;
        for (i, pair) in text.chunks_exact(2).enumerate() {
            argument = (argument << 8 | i64::from(pair[1])) & 0xffff_ffff;
            let at = i as i64 * 2;
            match pair[0] {
                EXTENDED_ARG => continue,
                SETUP_WITH | SETUP_ASYNC_WITH if at + 2 + argument * unit == handler * unit => {
                    return self.line_at(code, at);
                }
                _ => argument = 0,
            }
        }
        None
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
    fn manager_at(&self, base: Addr, depth: u64, types: &TypeTable, exit: &str) -> Option<Addr> {
        let slot = |below: u64| self.stack_ref(base + depth.checked_sub(below)? * 8);
        let top = slot(1)?;
        if top.is_null() {
            return self.bound_exit(slot(2)?, types, exit);
        }
        self.bound_exit(top, types, exit).or_else(|| self.is_exit(slot(2)?, types, exit).then_some(top))
    }

    fn bound_exit(&self, method: Addr, types: &TypeTable, exit: &str) -> Option<Addr> {
        let s = &self.layout.structs;
        let receiver = match self.type_name(method, types)? {
            "method" => {
                let function = self.reader.pointer(method + s.method.im_func)?;
                self.is_exit(function, types, exit).then(|| self.reader.pointer(method + s.method.im_self))?
            }
            "builtin_function_or_method" => {
                let definition = self.reader.pointer(method + s.cfunction.m_ml)?;
                let name = self.reader.c_string(self.reader.pointer(definition + s.method_def.ml_name)?, MAX_NAME)?;
                (name == exit.as_bytes()).then(|| self.reader.pointer(method + s.cfunction.m_self))?
            }
            _ => None,
        };
        receiver.filter(|r| !r.is_null())
    }

    /// Whether an unbound function is called so.
    fn is_exit(&self, function: Addr, types: &TypeTable, exit: &str) -> bool {
        let s = &self.layout.structs;
        let name = match self.type_name(function, types) {
            Some("function") => self.reader.pointer(function + s.function.func_name),
            Some("method_descriptor") => self.reader.pointer(function + s.descr.d_name),
            _ => None,
        };
        name.is_some_and(|name| self.str_is(name, exit))
    }

    fn type_name<'t>(&self, object: Addr, types: &'t TypeTable) -> Option<&'t str> {
        Some(&types.get(types.id_of(self.type_of(object)?)?).name)
    }
}
