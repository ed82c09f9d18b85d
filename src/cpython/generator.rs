//! Generators, coroutines and async generators: state, code, frame, locals, and what they wait for.
//!
//! Follows one object; chains of awaiters are put together elsewhere.

use super::frame::FrameSlots;
use super::layout::{FrameStateVariant, FrameVariant, LineTableVariant};
use super::memory::Memory;
use super::thread::StackFrame;
use super::types::TypeTable;
use crate::snapshot::Addr;

/// How far a generator or coroutine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GeneratorState {
    /// Nothing of it ran yet.
    Created,
    /// It waits at a `yield` or `await`.
    Suspended,
    /// It is on a thread's stack.
    Running,
    /// It returned, raised, or was closed.
    Finished,
}

impl GeneratorState {
    /// `suspended` and the like.
    pub fn name(self) -> &'static str {
        match self {
            GeneratorState::Created => "created",
            GeneratorState::Suspended => "suspended",
            GeneratorState::Running => "running",
            GeneratorState::Finished => "finished",
        }
    }
}

/// What a chain of awaits needs of one that is part of it.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// How far it is.
    pub state: GeneratorState,
    /// `None` once it has finished.
    pub frame: Option<StackFrame>,
    /// The slots of the frame.
    pub slots: Option<FrameSlots>,
    /// What it awaits or yields from, when it is suspended.
    pub awaited: Option<Addr>,
}

/// `co_localspluskinds` (`Include/internal/pycore_code.h`).
const KIND_HIDDEN: u8 = 0x10;
const KIND_CELL_OR_FREE: u8 = 0x40 | 0x80;
/// `Include/opcode.h` of 3.8 to 3.10.
const YIELD_FROM: u8 = 72;
/// `Include/opcode.h` of 3.11 and 3.12, and the quickened form of 3.11.
const RESUME: u8 = 151;
const RESUME_QUICK: u8 = 150;

impl Memory<'_> {
    /// The state of a generator, coroutine or async generator.
    pub fn generator_state(&self, generator: Addr) -> Option<GeneratorState> {
        use GeneratorState::*;
        let g = &self.layout.structs.generator;
        let state = || self.reader.u8(generator + g.gi_frame_state?).map(|s| s as i8);
        Some(match self.layout.variants.frame_state {
            FrameStateVariant::None => self.generator_state_by_frame(generator)?,
            FrameStateVariant::V311 => match state()? {
                -2 => Created,
                -1 => Suspended,
                0 => Running,
                _ => Finished,
            },
            FrameStateVariant::V313 => match state()? {
                -3 => Created,
                -2 | -1 => Suspended,
                0 => Running,
                _ => Finished,
            },
            FrameStateVariant::V315 => match state()? {
                0 => Created,
                1..=3 => Suspended,
                4 => Running,
                _ => Finished,
            },
        })
    }

    fn generator_state_by_frame(&self, generator: Addr) -> Option<GeneratorState> {
        let g = &self.layout.structs.generator;
        let f = &self.layout.structs.frame_object;
        let frame = self.reader.pointer(generator + g.gi_frame?)?;
        if frame.is_null() {
            return Some(GeneratorState::Finished);
        }
        let running = match (g.gi_running, f.f_state) {
            (Some(offset), _) => self.reader.u8(generator + offset)? != 0,
            (None, Some(offset)) => self.reader.u8(frame + offset)? == 0,
            (None, None) => false,
        };
        Some(match self.reader.i32(frame + f.f_lasti?)? {
            _ if running => GeneratorState::Running,
            -1 => GeneratorState::Created,
            _ => GeneratorState::Suspended,
        })
    }

    /// The code of a generator, coroutine or async generator, finished ones included.
    pub fn generator_code(&self, generator: Addr) -> Option<Addr> {
        let g = &self.layout.structs.generator;
        match g.gi_code {
            Some(offset) => self.reader.pointer(generator + offset),
            None => self.frame_code(generator + g.gi_iframe?),
        }
    }

    /// Its own `__qualname__`, which is that of its function; cut after so many characters.
    pub fn generator_qualname(&self, generator: Addr, max: usize) -> Option<String> {
        let name = self.reader.pointer(generator + self.layout.structs.generator.gi_qualname)?;
        self.text(name, max).map(|(text, _)| text)
    }

    /// The slots of its frame; `None` once it has finished.
    pub fn generator_slots(&self, generator: Addr) -> Option<FrameSlots> {
        if self.generator_state(generator)? == GeneratorState::Finished {
            return None;
        }
        self.slots_of(generator)
    }

    fn slots_of(&self, generator: Addr) -> Option<FrameSlots> {
        let g = &self.layout.structs.generator;
        match self.layout.variants.frame {
            FrameVariant::Embedded => self.embedded_slots(generator + g.gi_iframe?),
            FrameVariant::Object => self.object_slots(self.reader.pointer(generator + g.gi_frame?)?),
        }
    }

    /// The line it is at; `None` once it has finished.
    pub fn generator_line(&self, generator: Addr) -> Option<u32> {
        let g = &self.layout.structs.generator;
        if self.generator_state(generator)? == GeneratorState::Finished {
            return None;
        }
        match self.layout.variants.frame {
            FrameVariant::Embedded => self.frame_line(generator + g.gi_iframe?),
            FrameVariant::Object => self.frame_object_line(self.reader.pointer(generator + g.gi_frame?)?),
        }
    }

    /// What a suspended one awaits or yields from (`cr_await`, `gi_yieldfrom`, `ag_await`).
    pub fn awaited(&self, generator: Addr) -> Option<Addr> {
        if self.generator_state(generator)? != GeneratorState::Suspended {
            return None;
        }
        self.awaited_in(generator, &self.generator_slots(generator)?)
    }

    /// State, frame, slots and what is awaited, each read once.
    pub fn step(&self, generator: Addr) -> Option<Step> {
        let state = self.generator_state(generator)?;
        if state == GeneratorState::Finished {
            return Some(Step { state, frame: None, slots: None, awaited: None });
        }
        let frame = self.frame_of(generator);
        let slots = self.slots_of(generator);
        let suspended = slots.filter(|_| state == GeneratorState::Suspended);
        Some(Step { state, frame, slots, awaited: suspended.and_then(|slots| self.awaited_in(generator, &slots)) })
    }

    fn awaited_in(&self, generator: Addr, slots: &FrameSlots) -> Option<Addr> {
        let g = &self.layout.structs.generator;
        let below_top = |n: u64| {
            let i = slots.used.checked_sub(n).filter(|i| *i >= slots.locals)?;
            self.stack_ref(slots.first + i * 8).filter(|a| !a.is_null())
        };
        match self.layout.variants.frame_state {
            FrameStateVariant::None => {
                let frame = self.reader.pointer(generator + g.gi_frame?)?;
                let last = i64::from(self.reader.i32(frame + self.layout.structs.frame_object.f_lasti?)?);
                let unit = if self.layout.variants.line_table == LineTableVariant::Lnotab { 1 } else { 2 };
                let code = self.reader.pointer(slots.code + self.layout.structs.code.co_code?)?;
                let next = (code + self.layout.structs.bytes.ob_sval).offset(last * unit + 2);
                (self.reader.u8(next)? == YIELD_FROM).then(|| below_top(1))?
            }
            FrameStateVariant::V311 => {
                let at = self.reader.pointer(generator + g.gi_iframe? + self.layout.structs.frame.prev_instr?)?;
                let (opcode, argument) = (self.reader.u8(at + 2)?, self.reader.u8(at + 3)?);
                let waits = matches!(opcode, RESUME | RESUME_QUICK) && argument & 3 >= 2;
                waits.then(|| below_top(1))?
            }
            FrameStateVariant::V313 => {
                let state = self.reader.u8(generator + g.gi_frame_state?)? as i8;
                (state == -1).then(|| below_top(1))?
            }
            FrameStateVariant::V315 => {
                let state = self.reader.u8(generator + g.gi_frame_state?)?;
                matches!(state, 2 | 3).then(|| below_top(2))?
            }
        }
    }

    /// The local variables of a frame that have a value, with what cells hold in place of the cells: the str object
    /// that names one, and its value.
    pub fn locals(&self, slots: &FrameSlots, types: &TypeTable, max: usize) -> Vec<(Addr, Addr)> {
        let c = &self.layout.structs.code;
        let kinds = c.co_localspluskinds.and_then(|o| self.reader.pointer(slots.code + o));
        let plain = c.co_nlocals.and_then(|o| self.reader.u32(slots.code + o)).map_or(0, u64::from);
        let mut found = Vec::new();
        for i in 0..slots.locals {
            if found.len() >= max {
                break;
            }
            let Some(mut value) = self.stack_ref(slots.first + i * 8).filter(|v| !v.is_null()) else { continue };
            let Some(name) = self.local_name(slots.code, i) else { continue };
            let celled = match kinds {
                Some(kinds) => {
                    let kind = self.reader.u8(kinds + self.layout.structs.bytes.ob_sval + i).unwrap_or(0);
                    if kind & KIND_HIDDEN != 0 {
                        continue;
                    }
                    kind & KIND_CELL_OR_FREE != 0
                }
                None => i >= plain,
            };
            // an argument that becomes a cell lies bare until the frame's first instructions have run
            let is_cell = |a: Addr| {
                let ty = self.type_of(a).and_then(|t| types.id_of(t));
                ty.is_some_and(|t| types.get(t).name == "cell")
            };
            if celled && is_cell(value) {
                value = self.reader.pointer(value + self.layout.structs.cell.ob_ref).unwrap_or_default();
            }
            if !value.is_null() {
                found.push((name, value));
            }
        }
        found
    }
}
