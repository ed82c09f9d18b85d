//! Frames: where their code, locals and stack lie in each version.
//!
//! Up to 3.10 a frame is an object of its own; from 3.11 it is a `_PyInterpreterFrame` embedded in a generator, in a
//! frame object, or on a thread's data stack. Lines and functions of whole stacks are not worked out here.

use super::layout::{FrameStateVariant, FrameVariant, StackRefsVariant};
use super::memory::{MAX_ITEMS, Memory};
use crate::snapshot::Addr;

/// More locals and stack slots than this are damage.
const MAX_SLOTS: u64 = 1 << 16;

/// The part of a frame that holds references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSlots {
    /// The code object.
    pub code: Addr,
    /// The first slot.
    pub first: Addr,
    /// Locals, cells and free variables.
    pub locals: u64,
    /// Locals and the stack above them.
    pub used: u64,
}

/// A pointer in a frame of 3.14 and later carries two tag bits (`pycore_stackref.h`).
#[inline]
fn untag(variant: StackRefsVariant, word: u64) -> Addr {
    match variant {
        StackRefsVariant::Plain => Addr(word),
        // 3: a small integer, not a pointer
        StackRefsVariant::Tagged if word & 3 == 3 => Addr::NULL,
        StackRefsVariant::Tagged => Addr(word & !3),
    }
}

impl Memory<'_> {
    /// A reference in a frame's slot.
    pub fn stack_ref(&self, at: Addr) -> Option<Addr> {
        self.reader.u64(at).map(|word| untag(self.layout.variants.stack_refs, word))
    }

    /// Whether the reference in a frame's slot is borrowed: somebody else owns it, and it is not counted.
    pub fn stack_ref_is_borrowed(&self, at: Addr) -> bool {
        self.layout.variants.stack_refs == StackRefsVariant::Tagged && self.reader.u64(at).is_some_and(|w| w & 3 == 1)
    }

    /// The part of a frame's stack whose top is in a register of the thread: it may hold references, and what was left
    /// of earlier ones.
    pub fn unsure_slots(&self, slots: &FrameSlots) -> std::ops::Range<Addr> {
        let depth = self.layout.structs.code.co_stacksize.and_then(|o| self.reader.u32(slots.code + o)).unwrap_or(0);
        // a top that is known lies above the locals, unless the stack is empty
        let room = if slots.used > slots.locals { 0 } else { u64::from(depth).min(MAX_SLOTS) };
        let from = slots.first + slots.used * 8;
        from..(from + room * 8)
    }

    /// The code of an embedded frame.
    pub fn frame_code(&self, frame: Addr) -> Option<Addr> {
        let f = &self.layout.structs.frame;
        self.stack_ref(frame + f.f_code.or(f.f_executable)?)
    }

    /// Whether the embedded frame of a generator, coroutine or async generator still holds anything.
    pub fn generator_has_frame(&self, generator: Addr) -> bool {
        let Some(state) = self.layout.structs.generator.gi_frame_state.and_then(|o| self.reader.u8(generator + o))
        else {
            return false;
        };
        match self.layout.variants.frame_state {
            FrameStateVariant::None => false,
            // 1 is completed, 4 cleared
            FrameStateVariant::V311 | FrameStateVariant::V313 => (state as i8) < 4,
            FrameStateVariant::V315 => state < 5,
        }
    }

    /// The slots of an embedded frame. `running`: its stack pointer lives in a register, only the locals count.
    pub fn embedded_slots(&self, frame: Addr) -> Option<FrameSlots> {
        let f = &self.layout.structs.frame;
        let code = self.frame_code(frame)?;
        let locals = u64::from(self.reader.u32(code + self.layout.structs.code.co_nlocalsplus?)?);
        let first = frame + f.localsplus;
        let used = if let Some(offset) = f.stackpointer {
            let top = self.reader.pointer(frame + offset)?;
            top.0.checked_sub(first.0).map(|bytes| bytes / 8)
        } else {
            let top = self.reader.i32(frame + f.stacktop?)?;
            u64::try_from(top).ok()
        };
        let used = used.unwrap_or(locals).max(locals);
        (used <= MAX_SLOTS).then_some(FrameSlots { code, first, locals, used })
    }

    /// The slots of a frame object of 3.10 or earlier.
    pub fn object_slots(&self, frame: Addr) -> Option<FrameSlots> {
        let f = &self.layout.structs.frame_object;
        let c = &self.layout.structs.code;
        let code = self.reader.pointer(frame + f.f_code?)?;
        let tuple = |offset: u64| self.ob_size(self.reader.pointer(code + offset)?).map(i64::unsigned_abs);
        let named = u64::from(self.reader.u32(code + c.co_nlocals?)?)
            + tuple(c.co_cellvars?)?.min(MAX_ITEMS)
            + tuple(c.co_freevars?)?.min(MAX_ITEMS);
        let first = frame + f.f_localsplus?;
        let depth = match (f.f_stackdepth, f.f_stacktop) {
            // -1 while it runs
            (Some(offset), _) => u64::try_from(self.reader.i32(frame + offset)?).unwrap_or(0),
            // null while it runs
            (None, Some(offset)) => {
                let top = self.reader.pointer(frame + offset)?;
                top.0.checked_sub((first + named * 8).0).map_or(0, |bytes| bytes / 8)
            }
            (None, None) => 0,
        };
        let used = named.saturating_add(depth);
        (used <= MAX_SLOTS).then_some(FrameSlots { code, first, locals: named, used })
    }

    /// The slots that a frame object shows, in any version; those of its embedded frame wherever that lies.
    pub fn frame_object_slots(&self, frame: Addr) -> Option<FrameSlots> {
        match self.layout.variants.frame {
            FrameVariant::Object => self.object_slots(frame),
            FrameVariant::Embedded => {
                let inner = self.reader.pointer(frame + self.layout.structs.frame_object.f_frame?)?;
                self.embedded_slots(inner)
            }
        }
    }

    /// The str object that names a frame's `i`th slot; `None` for the stack above the locals.
    pub fn local_name(&self, code: Addr, i: u64) -> Option<Addr> {
        let s = &self.layout.structs;
        let item = |tuple: Addr, i: u64| self.reader.pointer(tuple + s.tuple.ob_item + i * 8);
        let len = |tuple: Addr| self.ob_size(tuple).map(i64::unsigned_abs).filter(|n| *n < MAX_SLOTS);
        if let Some(offset) = s.code.co_localsplusnames {
            let names = self.reader.pointer(code + offset)?;
            return if i < len(names)? { item(names, i) } else { None };
        }
        let mut i = i;
        for offset in [s.code.co_varnames?, s.code.co_cellvars?, s.code.co_freevars?] {
            let names = self.reader.pointer(code + offset)?;
            // all locals have a name in co_varnames, but only the first co_nlocals of it are locals
            let count = len(names)?;
            if i < count {
                return item(names, i);
            }
            i -= count;
        }
        None
    }
}
