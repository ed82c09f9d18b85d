//! What the frames on a thread's stack hold: locals, value stacks, code.
//!
//! Up to 3.10 a frame is an object, and the C function that runs it owns a reference to it. From 3.11 on a frame owns
//! its slots. The frame of a generator belongs to the generator, which whoever resumed it holds.

use super::{Found, GroupId, Ownership, RootKind, Slot};
use crate::cpython::layout::FrameVariant;
use crate::cpython::{EdgeName, StackFrame, ThreadState};
use crate::snapshot::Addr;

pub(super) fn frames(found: &mut Found<'_>, thread: GroupId, state: &ThreadState) {
    let stack = found.heap.memory().stack(state.address);
    if !stack.whole {
        found
            .roots
            .problems
            .push("a thread's stack is damaged: what its outer frames hold is not among the roots".into());
    }
    for frame in &stack.frames {
        let group = found.roots.group(RootKind::Frame(*frame), Some(thread), Some(state.interpreter));
        one(found, group, frame);
    }
}

fn one(found: &mut Found<'_>, group: GroupId, frame: &StackFrame) {
    let heap = found.heap;
    let (memory, index) = (heap.memory(), heap.objects());
    match (frame.generator, memory.layout.variants.frame) {
        (Some(generator), _) => {
            if let Some(id) = index.object_at(generator) {
                found.add(group, id, Slot::Whole, Ownership::Borrowed);
            }
        }
        (None, FrameVariant::Object) => {
            if let Some(id) = index.object_at(frame.address) {
                found.add(group, id, Slot::Whole, Ownership::Owned);
            }
        }
        (None, FrameVariant::Embedded) => {
            // what cannot be read ends the frame's slots, nothing else
            let _ = memory.embedded_references(frame.address, |name, at| {
                let target = memory.stack_ref(at).filter(|t| !t.is_null());
                let Some(id) = target.and_then(|t| index.object_at(t)) else { return };
                let borrowed = memory.stack_ref_is_borrowed(at);
                let ownership = if borrowed { Ownership::Borrowed } else { Ownership::Owned };
                let slot = match name {
                    EdgeName::Local(name) => Slot::Local(name),
                    EdgeName::Stack(i) => Slot::Stack(i as u32),
                    EdgeName::Field(name) => Slot::Field(found.field(name), at),
                    _ => Slot::Word(at),
                };
                found.add(group, id, slot, ownership);
            });
        }
    }
    let Some(slots) = memory.stack_slots(frame) else { return };
    let unsure = memory.unsure_slots(&slots);
    let mut at = unsure.start;
    while at < unsure.end {
        let Some(target) = memory.stack_ref(at) else { break };
        if let Some(target) = index.object_at(target) {
            let slot = Slot::Stack(slot_number(slots.first, at));
            found.add(group, target, slot, Ownership::Presumed);
        }
        at = at + 8;
    }
}

fn slot_number(first: Addr, at: Addr) -> u32 {
    u32::try_from(at.0.wrapping_sub(first.0) / 8).unwrap_or(u32::MAX)
}
