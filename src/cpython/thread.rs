//! Threads of an interpreter and their stacks: thread states, frames from the innermost out, who holds the GIL.
//!
//! A stack is followed as the interpreter itself does (`Python/pystate.c`, `Python/ceval.c`): frame objects up to 3.10,
//! `_PyInterpreterFrame` from 3.11 on. Names of threads, what the kernel says of them, and what they wait for are put
//! together elsewhere.

use super::frame::FrameSlots;
use super::generator::GeneratorState;
use super::interpreters::InterpreterState;
use super::layout::{FrameVariant, LineTableVariant};
use super::memory::Memory;
use crate::snapshot::Addr;
use std::collections::HashSet;
use std::ops::Range;

/// More threads than this are a damaged list: Linux allows four million of all processes together.
const MAX_THREADS: usize = 1 << 16;

/// Deeper stacks are cut, and say so. A frame takes some hundred bytes; `sys.setrecursionlimit` allows any number.
const MAX_FRAMES: usize = 1 << 20;

/// Exceptions being handled one within the other.
const MAX_HANDLED: usize = 1 << 10;

/// Who owns an embedded frame (`enum _frameowner`, `Include/internal/pycore_frame.h`). From 3.12 on there are frames
/// without Python code: 3 and 4.
const OWNED_BY_GENERATOR: u8 = 1;
const NO_PYTHON_CODE: u8 = 3;

/// One `PyThreadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadState {
    /// Where it lies.
    pub address: Addr,
    /// The id of its interpreter.
    pub interpreter: i64,
    /// `threading.get_ident()`: the address of glibc's `struct pthread`. 0 for one that no thread has taken yet.
    pub ident: u64,
    /// `threading.get_native_id()`, as the process's own pid namespace numbers it; `None` where it cannot be read.
    pub native_id: Option<u64>,
}

/// A frame on a thread's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackFrame {
    /// The `PyFrameObject` (up to 3.10) or `_PyInterpreterFrame`.
    pub address: Addr,
    /// Its code object.
    pub code: Addr,
    /// The instruction it is at, in bytes from the code's first; below 0 when nothing ran yet.
    pub instruction: i64,
    /// The generator, coroutine or async generator that it belongs to.
    pub generator: Option<Addr>,
}

/// The frames of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Innermost first.
    pub frames: Vec<StackFrame>,
    /// Whether the last one is the outermost: the links were not damaged, and there were not too many.
    pub whole: bool,
}

impl Memory<'_> {
    /// The threads of an interpreter, the newest first; and whether that is all of them.
    pub fn threads(&self, interpreter: &InterpreterState) -> (Vec<ThreadState>, bool) {
        let t = &self.layout.structs.thread;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut at = self.reader.pointer(interpreter.address + self.layout.structs.interpreter.threads_head);
        while let Some(address) = at.filter(|a| !a.is_null()) {
            // the first fields of a thread state say whose it is
            let ours = self.reader.pointer(address + t.interp) == Some(interpreter.address);
            let Some(ident) = self.reader.u64(address + t.thread_id).filter(|_| ours) else { return (found, false) };
            if found.len() >= MAX_THREADS || !seen.insert(address) {
                return (found, false);
            }
            let native_id = self.native_id(address, ident);
            found.push(ThreadState { address, interpreter: interpreter.id, ident, native_id });
            at = self.reader.pointer(address + t.next);
        }
        (found, at.is_some())
    }

    fn native_id(&self, thread: Addr, ident: u64) -> Option<u64> {
        let s = &self.layout.structs;
        match (s.thread.native_thread_id, s.pthread.tid) {
            (Some(offset), _) => self.reader.u64(thread + offset),
            (None, Some(offset)) => self.reader.u32(Addr(ident) + offset).map(u64::from),
            (None, None) => None,
        }
        .filter(|id| (1..1 << 22).contains(id))
    }

    /// The GIL of an interpreter, with its mutex and condition variable; `runtime` is `_PyRuntime`.
    pub fn gil(&self, runtime: Option<Addr>, interpreter: &InterpreterState) -> Option<Range<Addr>> {
        let s = &self.layout.structs;
        let start = match (s.interpreter.ceval_gil, s.runtime.ceval_gil) {
            (Some(offset), _) => self.reader.pointer(interpreter.address + offset).filter(|gil| !gil.is_null())?,
            (None, Some(offset)) => runtime? + offset,
            (None, None) => return None,
        };
        Some(start..start + s.gil.size)
    }

    /// The thread state that holds the GIL of an interpreter.
    pub fn gil_holder(&self, runtime: Option<Addr>, interpreter: &InterpreterState) -> Option<Addr> {
        let s = &self.layout.structs;
        let gil = self.gil(runtime, interpreter)?.start;
        // -1 before there is any
        let locked = self.reader.i32(gil + s.gil.locked)? == 1;
        self.reader.pointer(gil + s.gil.last_holder).filter(|holder| locked && !holder.is_null())
    }

    /// The stack of the thread state at `thread`.
    pub fn stack(&self, thread: Addr) -> Stack {
        let (mut stack, mut seen) = (Stack::default(), HashSet::new());
        let mut at = self.innermost_frame(thread);
        loop {
            let Some(address) = at else { return stack };
            if address.is_null() {
                stack.whole = true;
                return stack;
            }
            if stack.frames.len() >= MAX_FRAMES || !seen.insert(address) {
                return stack;
            }
            match self.layout.variants.frame {
                FrameVariant::Object => {
                    let Some(frame) = self.object_frame(address) else { return stack };
                    stack.frames.push(frame);
                    at = self.reader.pointer(address + self.layout.structs.frame_object.f_back);
                }
                FrameVariant::Embedded => {
                    if self.is_blank(address) {
                        return stack;
                    }
                    stack.frames.extend(self.embedded_frame(address));
                    at = self.reader.pointer(address + self.layout.structs.frame.previous);
                }
            }
        }
    }

    fn innermost_frame(&self, thread: Addr) -> Option<Addr> {
        let s = &self.layout.structs;
        // 3.11 and 3.12 have it one step further away (`_PyCFrame`)
        match (s.thread.current_frame.or(s.thread.frame), s.thread.cframe) {
            (Some(offset), _) => self.reader.pointer(thread + offset),
            (None, Some(offset)) => {
                self.reader.pointer(self.reader.pointer(thread + offset)? + s.cframe.current_frame?)
            }
            (None, None) => None,
        }
    }

    /// A frame object of 3.10 or earlier.
    fn object_frame(&self, address: Addr) -> Option<StackFrame> {
        let f = &self.layout.structs.frame_object;
        let code = self.reader.pointer(address + f.f_code?)?;
        let last = i64::from(self.reader.i32(address + f.f_lasti?)?);
        // counted in units of two bytes from 3.10 on
        let unit = if self.layout.variants.line_table == LineTableVariant::Lnotab || last < 0 { 1 } else { 2 };
        let generator = f.f_gen.and_then(|offset| self.reader.pointer(address + offset)).filter(|g| !g.is_null());
        Some(StackFrame { address, code, instruction: last * unit, generator })
    }

    /// Whether an embedded frame lies in memory that holds nothing: some lie on the C stack, which gdb leaves as zeros in a
    /// core file where it cannot read it.
    fn is_blank(&self, address: Addr) -> bool {
        let code = self.frame_code(address);
        let owner = self.reader.u8(address + self.layout.structs.frame.owner);
        code == Some(Addr::NULL) && owner.is_some_and(|owner| owner < NO_PYTHON_CODE)
    }

    /// An embedded frame with Python code that has begun to run (`_PyFrame_IsIncomplete`).
    fn embedded_frame(&self, address: Addr) -> Option<StackFrame> {
        let (f, c) = (&self.layout.structs.frame, &self.layout.structs.code);
        let owner = self.reader.u8(address + f.owner)?;
        if owner >= NO_PYTHON_CODE {
            return None;
        }
        let code = self.frame_code(address).filter(|code| !code.is_null())?;
        let at = self.reader.pointer(address + f.prev_instr.or(f.instr_ptr)?)?;
        let instruction = at.0.wrapping_sub(code.0.wrapping_add(c.co_code_adaptive?)) as i64;
        let first = i64::from(self.reader.u32(code + c._co_firsttraceable?)?) * 2;
        let generator = (owner == OWNED_BY_GENERATOR)
            .then(|| Some(Addr(address.0.checked_sub(self.layout.structs.generator.gi_iframe?)?)))
            .flatten();
        let complete = generator.is_some() || instruction >= first;
        complete.then_some(StackFrame { address, code, instruction, generator })
    }

    /// The frame of a generator, coroutine or async generator, wherever it stands; `None` once it has finished.
    pub fn generator_frame(&self, generator: Addr) -> Option<StackFrame> {
        if self.generator_state(generator)? == GeneratorState::Finished {
            return None;
        }
        self.frame_of(generator)
    }

    /// The frame of one that has not finished.
    pub(super) fn frame_of(&self, generator: Addr) -> Option<StackFrame> {
        let g = &self.layout.structs.generator;
        match self.layout.variants.frame {
            FrameVariant::Object => self.object_frame(self.reader.pointer(generator + g.gi_frame?)?),
            FrameVariant::Embedded => self.embedded_frame(generator + g.gi_iframe?),
        }
    }

    /// The line a frame is at; `None` where its table has none.
    pub fn stack_line(&self, frame: &StackFrame) -> Option<u32> {
        self.line_at(frame.code, frame.instruction)
    }

    /// The slots of a frame on a stack.
    pub fn stack_slots(&self, frame: &StackFrame) -> Option<FrameSlots> {
        match self.layout.variants.frame {
            FrameVariant::Object => self.object_slots(frame.address),
            FrameVariant::Embedded => self.embedded_slots(frame.address),
        }
    }

    /// The dict that a frame keeps its variables in, when it is that of a class or a module.
    pub fn frame_namespace(&self, frame: &StackFrame) -> Option<Addr> {
        let s = &self.layout.structs;
        let at = match self.layout.variants.frame {
            FrameVariant::Object => frame.address + s.frame_object.f_locals?,
            FrameVariant::Embedded => frame.address + s.frame.f_locals,
        };
        self.stack_ref(at).filter(|dict| !dict.is_null())
    }

    /// The exceptions that a thread is handling, the innermost first (`sys.exc_info`).
    pub fn handled_exceptions(&self, thread: Addr) -> Vec<Addr> {
        let e = &self.layout.structs.exc_item;
        let mut found = Vec::new();
        let mut at = self.reader.pointer(thread + self.layout.structs.thread.exc_info);
        for _ in 0..MAX_HANDLED {
            let Some(item) = at.filter(|i| !i.is_null()) else { break };
            found.extend(self.reader.pointer(item + e.exc_value).filter(|v| !v.is_null()));
            at = self.reader.pointer(item + e.previous_item);
        }
        found
    }
}
