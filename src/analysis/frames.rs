//! One frame of a stack as an answer: function, file, where it stands, its variables.
//!
//! Threads and tasks show their frames through this, so that both say the same of one. Which frames there are, and in
//! which order, is the asker's.

use super::answers::{Frame, Local};
use super::variables::{self, MAX_LOCALS, MAX_NAME};
use crate::cpython::value::Origin;
use crate::cpython::{Memory, Position, StackFrame};
use crate::heap::Heap;
use crate::snapshot::Addr;
use crate::text::sanitize;
use std::collections::HashMap;

/// `CO_OPTIMIZED` (`Include/cpython/code.h`): variables lie in the frame, not in a dict.
const OPTIMIZED: u32 = 1;

/// Writes frames of one heap. What is the same for all frames of a code, or for all at one instruction, is read once.
pub(super) struct Frames<'h> {
    pub heap: &'h Heap,
    pub memory: Memory<'h>,
    /// Qualified names of functions by their code; filled where the code itself does not tell.
    qualified: HashMap<Addr, String>,
    origins: HashMap<Addr, Origin>,
    positions: HashMap<(Addr, i64), Position>,
}

impl<'h> Frames<'h> {
    /// For frames of generators and coroutines, which know their names.
    pub fn new(heap: &'h Heap) -> Self {
        let memory = heap.memory();
        Frames { heap, memory, qualified: HashMap::new(), origins: HashMap::new(), positions: HashMap::new() }
    }

    /// For frames of any kind; up to 3.10 a pass over all functions, whose objects alone know their qualified names.
    pub fn of_all(heap: &'h Heap) -> Self {
        Frames { qualified: qualified_names(heap), ..Frames::new(heap) }
    }

    /// The frame. `locals`: with its variables.
    pub fn frame(&mut self, frame: &StackFrame, locals: bool) -> Frame {
        let at = self.position(frame);
        let function = self.function(frame);
        let file = sanitize(&self.origin(frame.code).file).into_owned();
        Frame {
            function,
            file,
            line: at.line,
            column: at.column,
            end_line: at.end_line,
            end_column: at.end_column,
            generator: frame.generator,
            locals: if locals { self.locals(frame) } else { Vec::new() },
        }
    }

    /// A generator knows its function's name, which a decorator may have changed.
    fn function(&mut self, frame: &StackFrame) -> String {
        if let Some(name) = frame.generator.and_then(|g| self.memory.generator_qualname(g, MAX_NAME)) {
            return sanitize(&name).into_owned();
        }
        match self.qualified.get(&frame.code) {
            Some(name) => sanitize(name).into_owned(),
            None => sanitize(&self.origin(frame.code).name).into_owned(),
        }
    }

    fn origin(&mut self, code: Addr) -> &Origin {
        self.origins.entry(code).or_insert_with(|| self.memory.origin(code))
    }

    fn position(&mut self, frame: &StackFrame) -> Position {
        let key = (frame.code, frame.instruction);
        *self.positions.entry(key).or_insert_with(|| self.memory.position(frame.code, frame.instruction))
    }

    fn locals(&self, frame: &StackFrame) -> Vec<Local> {
        let flags = self.memory.reader.u32(frame.code + self.memory.layout.structs.code.co_flags);
        let named = if flags.is_some_and(|f| f & OPTIMIZED == 0) {
            // the body of a class or a module
            let dict = self.memory.frame_namespace(frame).and_then(|d| self.memory.dict_items(d, MAX_LOCALS));
            dict.map(|part| part.items).unwrap_or_default()
        } else {
            let slots = self.memory.stack_slots(frame);
            slots.map(|s| self.memory.locals(&s, self.heap.types(), MAX_LOCALS)).unwrap_or_default()
        };
        variables::locals(self.heap, &self.memory, named)
    }
}

/// The qualified names of functions by their code, where the code itself does not tell (up to 3.10).
fn qualified_names(heap: &Heap) -> HashMap<Addr, String> {
    let memory = heap.memory();
    let s = &memory.layout.structs;
    if s.code.co_qualname.is_some() {
        return HashMap::new();
    }
    let Some((function, _)) = heap.types().iter().find(|(_, t)| t.name == "function" && !t.is_heap_type()) else {
        return HashMap::new();
    };
    let functions = heap.objects().iter().filter(|(.., ty)| *ty == function);
    let named = functions.filter_map(|(_, at, _)| {
        let code = memory.reader.pointer(at + s.function.func_code)?;
        let name = memory.reader.pointer(at + s.function.func_qualname)?;
        Some((code, memory.text(name, MAX_NAME)?.0))
    });
    named.collect()
}
