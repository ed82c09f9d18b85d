//! Who is inside an `async with` of a lock or a semaphore: the tasks whose suspended coroutines are.
//!
//! The lock itself knows only that it is held (`Lib/asyncio/locks.py`). One that somebody took with a bare `acquire()`
//! has no holder that is known.

use super::roles::Primitive;
use super::world::World;
use crate::cpython::{ASYNC_EXIT, ExceptionTables, StackFrame};
use crate::snapshot::Addr;
use std::collections::HashMap;

/// Managers within managers are followed so far.
const MAX_NESTED: usize = 8;

/// A task inside a `with` block.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    pub task: u32,
    /// The frame whose block it is.
    pub frame: StackFrame,
    /// The line of the `with`.
    pub line: Option<u32>,
}

/// By the lock, the semaphore, or whatever else has been entered. `exit`: the name of the way out. Managers of
/// `contextlib` stand for what their generators have entered.
pub fn inside(world: &World<'_, '_>, exit: &str) -> HashMap<Addr, Vec<Inside>> {
    let read = &world.read;
    let mut tables = ExceptionTables::default();
    let mut found: HashMap<Addr, Vec<Inside>> = HashMap::new();
    for (task, coroutine) in &world.deep {
        let Some(frame) = &read.memory.generator_frame(*coroutine) else { continue };
        for entered in read.memory.entered(frame, read.types(), &mut tables, exit) {
            let inside = Inside { task: *task, frame: *frame, line: entered.line };
            let mut locks = Vec::new();
            behind(world, &mut tables, *task, entered.manager, 0, exit, &mut locks);
            for lock in locks {
                let all = found.entry(lock).or_default();
                if !all.iter().any(|i| i.task == *task) {
                    all.push(inside);
                }
            }
        }
    }
    found
}

/// The locks that a manager stands for.
fn behind(
    world: &World<'_, '_>,
    tables: &mut ExceptionTables,
    task: u32,
    manager: Addr,
    nested: usize,
    exit: &str,
    out: &mut Vec<Addr>,
) {
    let read = &world.read;
    let generator = || {
        let made = ["contextlib._AsyncGeneratorContextManager", "contextlib._GeneratorContextManager"];
        let ty = read.type_of(manager)?;
        read.types().bases(ty).any(|b| made.contains(&b.name.as_str())).then(|| read.attribute(manager, "gen"))?
    };
    match world.primitive(manager) {
        // a condition lets go of its lock while it waits
        Some(Primitive::Condition) if !waits_for(world, task, manager) => out.extend(read.attribute(manager, "_lock")),
        Some(Primitive::Condition) => {}
        Some(_) => out.push(manager),
        None => match generator().filter(|_| nested < MAX_NESTED) {
            Some(generator) => {
                let frame = read.memory.generator_frame(generator);
                let inner = frame.map(|f| read.memory.entered(&f, read.types(), tables, exit));
                for inner in inner.unwrap_or_default() {
                    behind(world, tables, task, inner.manager, nested + 1, exit, out);
                }
            }
            None => out.push(manager),
        },
    }
}

/// Whether a task is in the `wait()` of a condition.
fn waits_for(world: &World<'_, '_>, task: u32, condition: Addr) -> bool {
    const FIRST: usize = 4;
    let read = &world.read;
    let Some(node) = world.nodes.get(task as usize) else { return false };
    read.frames(node.coroutine).iter().any(|frame| {
        let name = read.memory.reader.pointer(frame.code + read.memory.layout.structs.code.co_name);
        let waits = name.is_some_and(|n| read.memory.str_is(n, "wait"));
        let slots = read.memory.stack_slots(frame).filter(|_| waits);
        let locals = slots.map(|s| read.memory.locals(&s, read.types(), FIRST)).unwrap_or_default();
        locals.into_iter().any(|(name, value)| value == condition && read.memory.str_is(name, "self"))
    })
}

/// The tasks inside an `async with` of the locks and semaphores of asyncio.
pub fn of_asyncio(world: &World<'_, '_>) -> HashMap<Addr, Vec<Inside>> {
    inside(world, ASYNC_EXIT)
}

/// Whether those inside a semaphore are all that have it. Only a bounded one knows how many there were.
pub fn are_all(world: &World<'_, '_>, semaphore: Addr, inside: usize) -> bool {
    let number = |name| world.read.attribute(semaphore, name).and_then(|a| world.read.int(a));
    let taken = number("_bound_value").zip(number("_value")).map(|(all, left)| all - left);
    taken.and_then(|n| usize::try_from(n).ok()) == Some(inside)
}
