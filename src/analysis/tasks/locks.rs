//! Who holds an asyncio.Lock: the suspended coroutine that is inside its `async with`.
//!
//! The lock itself knows only that it is held (`Lib/asyncio/locks.py`). A frame inside `async with` keeps the way out,
//! the lock's `__aexit__`, on its value stack; so does one that still waits to get in, which the coroutine below it
//! tells. A lock that somebody took with a bare `acquire()` has no holder that is known.

use super::World;
use crate::analysis::answers::WaitsIn;
use crate::cpython::Value;
use crate::snapshot::Addr;
use std::collections::HashMap;

/// Slots of a frame's value stack that are looked at.
const MAX_STACK: u64 = 1 << 12;

/// Fills in the holders of locks that are waited for.
pub fn holders(world: &World<'_>, waits: &mut [Option<WaitsIn>]) {
    if !waits.iter().flatten().any(|w| w.kind == "lock") {
        return;
    }
    let held = held(world);
    for wait in waits.iter_mut().flatten().filter(|w| w.kind == "lock") {
        let locked = world.read.is_true(wait.address, "_locked");
        if let Some(task) = held.get(&wait.address).filter(|_| locked) {
            wait.holder = *task;
            wait.certainty = task.map(|_| "frame");
        }
    }
}

/// The task inside each lock; `None` when there seem to be two, so that neither is believed.
fn held(world: &World<'_>) -> HashMap<Addr, Option<Addr>> {
    let mut held: HashMap<Addr, Option<Addr>> = HashMap::new();
    for node in world.nodes.iter().filter(|n| n.task && n.is_pending()) {
        for (depth, frame) in node.chain.frames.iter().enumerate() {
            for lock in entered(world, *frame) {
                if gets_in(world, &node.chain.frames[depth + 1..], lock) {
                    continue;
                }
                let lock = match world.primitive(lock) {
                    Some("condition") => world.read.attribute(lock, "_lock"),
                    _ => Some(lock),
                };
                let Some(lock) = lock else { continue };
                let task = held.entry(lock).or_insert(Some(node.address));
                if *task != Some(node.address) {
                    *task = None;
                }
            }
        }
    }
    held
}

/// Locks and conditions whose `__aexit__` is on the value stack of a suspended coroutine: a bound method up to 3.13,
/// the function beside its `self` since (`Python/bytecodes.c`).
fn entered(world: &World<'_>, frame: Addr) -> Vec<Addr> {
    let read = &world.read;
    let Some(slots) = read.memory.generator_slots(frame) else { return Vec::new() };
    let count = slots.used.saturating_sub(slots.locals).min(MAX_STACK);
    let stack: Vec<Addr> =
        (0..count).map_while(|i| read.memory.stack_ref(slots.first + (slots.locals + i) * 8)).collect();
    let is_exit = |a: Addr| read.function_name(a).is_some_and(|(_, name)| name.ends_with(".__aexit__"));
    let mut found = Vec::new();
    for (i, at) in stack.iter().enumerate().filter(|(_, a)| !a.is_null()) {
        if let Some(Value::Method { function, receiver }) = read.value(*at).filter(|_| read.is(*at, "method")) {
            found.extend(Some(receiver).filter(|r| is_exit(function) && world.is_lock(*r)));
        } else if world.is_lock(*at) {
            let before = i.checked_sub(1).and_then(|b| stack.get(b));
            let beside = before.into_iter().chain(stack.get(i + 1)).any(|a| is_exit(*a));
            found.extend(Some(*at).filter(|_| beside));
        }
    }
    found
}

/// Whether the coroutines below one that uses a lock are those that still wait to get in, or back in.
fn gets_in(world: &World<'_>, below: &[Addr], lock: Addr) -> bool {
    const WAITING: [&str; 3] = ["__aenter__", "acquire", "wait"];
    let read = &world.read;
    below.iter().take(4).any(|frame| {
        let name = read.field(*frame, "__name__").and_then(|n| read.text(n));
        let waiting = name.is_some_and(|n| WAITING.contains(&n.as_str()));
        let slots = read.memory.generator_slots(*frame).filter(|_| waiting);
        let locals = slots.map(|s| read.memory.locals(&s, read.types(), 4)).unwrap_or_default();
        locals.into_iter().any(|(name, value)| value == lock && read.memory.str_is(name, "self"))
    })
}
