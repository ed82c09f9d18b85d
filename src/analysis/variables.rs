//! Named objects in one line each, as stacks of threads and of tasks show them.
//!
//! How a value becomes a line is [`describe`](super::describe)'s business; which frame the variables are of, and where
//! they lie, is the asker's.

use super::answers::Local;
use super::describe::describe_at;
use crate::cpython::Memory;
use crate::heap::Heap;
use crate::snapshot::Addr;
use crate::text::sanitize;

/// Characters of a value.
const SUMMARY: usize = 80;

/// Characters of a name.
pub(super) const MAX_NAME: usize = 200;

/// Variables shown of a frame; a function has a few, a module's body has many.
pub(super) const MAX_LOCALS: usize = 256;

/// The name of an object's type; `?` where no object begins.
pub(super) fn type_name(heap: &Heap, address: Addr) -> String {
    heap.object_at(address).map_or_else(|| "?".into(), |(_, ty)| ty.name.clone())
}

/// One object under a name that is sanitised already.
pub(super) fn local(heap: &Heap, memory: &Memory<'_>, name: String, address: Addr) -> Local {
    let summary = describe_at(memory, heap.types(), address, SUMMARY);
    Local { name, address, type_name: type_name(heap, address), summary }
}

/// Variables by the str objects that name them; those whose name cannot be read are left out.
pub(super) fn locals(heap: &Heap, memory: &Memory<'_>, named: Vec<(Addr, Addr)>) -> Vec<Local> {
    let name = |at| memory.text(at, MAX_NAME).map(|(text, _)| sanitize(&text).into_owned());
    named.into_iter().filter_map(|(n, value)| Some(local(heap, memory, name(n)?, value))).collect()
}

/// The variables of a suspended generator or coroutine; empty when it has finished, or is none.
pub fn of_generator(heap: &Heap, generator: Addr) -> Vec<Local> {
    let memory = heap.memory();
    let slots = heap.object_at(generator).and_then(|_| memory.generator_slots(generator));
    slots.map(|s| locals(heap, &memory, memory.locals(&s, heap.types(), MAX_LOCALS))).unwrap_or_default()
}
