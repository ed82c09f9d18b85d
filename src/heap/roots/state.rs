//! What interpreters and threads hold in their own structs: every word of them that is an object's address.
//!
//! Words are named by the version's table (`[roots]`); one that it does not name counts as holding, and its count as
//! unknown. Parts that own nothing (caches of borrowed pointers, static types' states) are left out.

use super::{Found, GroupId, Ownership, RootKind, Slot, object_words, stacks};
use crate::cpython::interpreters::InterpreterState;
use crate::cpython::layout::NamedWords;
use crate::heap::Heap;
use crate::snapshot::Addr;

/// More callbacks of atexit's than this are damage.
const MAX_CALLBACKS: u64 = 1 << 20;

/// Words of an entry of the method cache: version, name, value (`struct type_cache_entry`, `pycore_typeobject.h`).
pub(super) const CACHE_ENTRY: u64 = 24;

pub(super) fn collect(found: &mut Found<'_>) {
    let heap = found.heap;
    let interpreter = heap.interpreter();
    let layout = interpreter.layout;
    let memory = heap.memory();
    for state in &interpreter.interpreters {
        let group = found.roots.group(RootKind::Interpreter(state.id), None, Some(state.id));
        let end = state.address + layout.structs.interpreter.size;
        let (mut skip, roots) = (layout.roots.interpreter_skip.clone(), &layout.roots);
        if let Some((at, bytes)) = roots.lookup_cache {
            skip.push(NamedWords(String::new(), at, bytes));
            method_cache(found, group, state.address + at, state.address + at + bytes);
        }
        structure(found, group, (state.address, end), &roots.interpreter, &skip);
        atexit(found, group, state);
        let (threads, whole) = memory.threads(state);
        if !whole {
            let problem = "the list of threads is damaged: what other threads hold is not among the roots";
            found.roots.problems.push(problem.into());
        }
        for thread in threads {
            let group = found.roots.group(RootKind::Thread(thread), None, Some(state.id));
            let end = thread.address + roots.thread_size;
            structure(found, group, (thread.address, end), &roots.thread, &roots.thread_skip);
            stacks::frames(found, group, &thread);
        }
    }
    if let Some(runtime) = interpreter.runtime {
        let group = found.roots.group(RootKind::Runtime, None, None);
        let end = runtime + layout.structs.runtime.size;
        found.covered.sort_unstable();
        // the main interpreter lies in it, and objects that are roots by themselves
        let before = found.covered.clone();
        let inside = |at: Addr| before.iter().any(|(start, end)| (*start..*end).contains(&at));
        let named = |at: Addr| layout.roots.runtime.iter().any(|f| f.contains(at.0.wrapping_sub(runtime.0)));
        let words: Vec<_> = object_words(heap, runtime, end).filter(|(at, _)| named(*at) && !inside(*at)).collect();
        for (at, id) in words {
            if !is_taken_off(heap, &layout.roots.runtime, at, runtime) {
                let slot = field(found, &layout.roots.runtime, at, runtime);
                found.add(group, id, slot, Ownership::Owned);
            }
            found.covered.push((at, at + 8));
        }
    }
}

/// The words of one struct.
fn structure(
    found: &mut Found<'_>,
    group: GroupId,
    (start, end): (Addr, Addr),
    names: &[NamedWords],
    skip: &[NamedWords],
) {
    let words: Vec<_> = object_words(found.heap, start, end).collect();
    for (at, id) in words {
        let offset = at.0.wrapping_sub(start.0);
        if skip.iter().any(|f| f.contains(offset)) {
            continue;
        }
        // what a free list's array names beyond its length was taken off it and lives: that is held by others
        let free = |f: &NamedWords| f.contains(offset) && (f.0.contains("free_list") || f.0.contains("freelist"));
        if names.iter().any(free) || is_taken_off(found.heap, names, at, start) {
            continue;
        }
        let slot = field(found, names, at, start);
        let ownership = if matches!(slot, Slot::Word(_)) { Ownership::Presumed } else { Ownership::Owned };
        found.add(group, id, slot, ownership);
    }
    found.covered.push((start, end));
}

/// Whether this is a word of a ring of pending calls (`struct _pending_calls`) that waits no more: up to 3.11 what was
/// called is left there. Behind the entries are two ints, the first that waits and the next that is free; an entry is
/// `{func, arg}`, and `{func, arg, flags}` from 3.13 on.
fn is_taken_off(heap: &Heap, names: &[NamedWords], at: Addr, start: Addr) -> bool {
    let offset = at.0.wrapping_sub(start.0);
    let Some(NamedWords(_, calls, bytes)) = names.iter().find(|f| f.contains(offset) && is_pending(&f.0)) else {
        return false;
    };
    let entry = if bytes % 24 == 0 { 24 } else { 16 };
    let (count, index) = (bytes / entry, (offset - calls) / entry);
    let word = |i: u64| heap.memory().reader.u32(start + (calls + bytes + 4 * i)).map(u64::from).filter(|n| *n < count);
    let (Some(first), Some(next)) = (word(0), word(1)) else { return false };
    // one of 3.13 may be full, and there nothing is left in an entry that is free
    let full = first == next && entry == 24;
    !full && (index + count - first) % count >= (next + count - first) % count
}

/// Whether a field of this name is a ring of pending calls.
fn is_pending(field: &str) -> bool {
    field.contains("pending") && field.ends_with(".calls")
}

fn field(found: &mut Found<'_>, names: &[NamedWords], at: Addr, start: Addr) -> Slot {
    let offset = at.0.wrapping_sub(start.0);
    match names.iter().find(|f| f.contains(offset)) {
        Some(words) => Slot::Field(found.field(&words.0), at),
        None => Slot::Word(at),
    }
}

/// Names in the method cache are counted from 3.8 on; what they were found to be is borrowed (`Objects/typeobject.c`).
pub(super) fn method_cache(found: &mut Found<'_>, group: GroupId, start: Addr, end: Addr) {
    let words: Vec<_> = object_words(found.heap, start, end).collect();
    let name = found.field("type_cache");
    for (at, id) in words.into_iter().filter(|(at, _)| (at.0 - start.0) % CACHE_ENTRY == 8) {
        found.add(group, id, Slot::Field(name, at), Ownership::Owned);
    }
}

/// What `atexit.register` was given: an array of pointers to `{func, args, kwargs}` (`Modules/atexitmodule.c`), up to 3.9
/// in the state of the newest atexit module, or a list of tuples.
fn atexit(found: &mut Found<'_>, parent: GroupId, state: &InterpreterState) {
    let heap = found.heap;
    let (memory, places) = (heap.memory(), &heap.interpreter().layout.roots.atexit);
    let group = found.roots.group(RootKind::Atexit, Some(parent), Some(state.id));
    let mut one = |name: &str, at: Addr| {
        let target = memory.reader.pointer(at).and_then(|t| heap.objects().object_at(t));
        if let Some(id) = target {
            let name = found.field(name);
            found.add(group, id, Slot::Field(name, at), Ownership::Owned);
        }
    };
    if let Some(list) = places.list {
        one("callbacks", state.address + list);
    }
    let base = match places.module {
        None => Some(state.address),
        Some(module) => memory.reader.pointer(state.address + module).filter(|m| !m.is_null()).and_then(|module| {
            memory.reader.pointer(module + memory.layout.structs.module.md_state).filter(|s| !s.is_null())
        }),
    };
    let (Some(base), Some(array), Some(count)) = (base, places.array, places.count) else { return };
    let array = memory.reader.pointer(base + array).unwrap_or_default();
    let count = memory.reader.u32(base + count).map_or(0, u64::from).min(MAX_CALLBACKS);
    for i in 0..count {
        let Some(entry) = memory.reader.pointer(array + i * 8).filter(|e| !e.is_null()) else { continue };
        one("func", entry);
        one("args", entry + 8);
        one("kwargs", entry + 16);
    }
}
