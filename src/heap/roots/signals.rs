//! The functions that run on signals: the array `Handlers` of Modules/signalmodule.c, in `_PyRuntime` from 3.12 on.
//!
//! It has no symbol where a build was stripped. It is known by its shape: an entry for each signal, of an int that is 0
//! or 1 (whether it came) and an object, which for most signals is the one int that stands for the default.

use super::{Found, GroupId, Ownership, RootKind, Slot};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use nix::sys::signal::Signal;
use std::collections::HashMap;

/// Signals of Linux, from 1 on. There is an entry 0, which has no object.
const SIGNALS: usize = 64;

/// Bytes of an entry: an int, then the object.
const ENTRY: u64 = 16;

/// As many signals any program leaves as they are.
const DEFAULTS: usize = 8;

/// The table among the words of an image's data that are objects, in address order: the object of each signal.
pub(super) fn table(heap: &Heap, words: &[(Addr, ObjectId)]) -> Option<Vec<(Addr, ObjectId)>> {
    [0, 8].into_iter().find_map(|phase| {
        let same: Vec<_> = words.iter().copied().filter(|(at, _)| at.0 % ENTRY == phase).collect();
        let runs = same.chunk_by(|(a, _), (b, _)| b.0 - a.0 == ENTRY);
        runs.filter(|run| run.len() >= SIGNALS).find_map(|run| {
            let run = run.get(..SIGNALS)?;
            (run.iter().all(|(at, _)| is_flag(heap, *at - 8)) && has_defaults(heap, run)).then(|| run.to_vec())
        })
    })
}

fn is_flag(heap: &Heap, at: Addr) -> bool {
    // what pads the int was never written
    heap.memory().reader.u64(at).is_some_and(|word| word <= 1)
}

fn has_defaults(heap: &Heap, run: &[(Addr, ObjectId)]) -> bool {
    let mut counts: HashMap<ObjectId, usize> = HashMap::new();
    run.iter().for_each(|(_, id)| *counts.entry(*id).or_default() += 1);
    counts.into_iter().any(|(id, count)| count >= DEFAULTS && type_name(heap, id) == Some("int"))
}

fn type_name(heap: &Heap, id: ObjectId) -> Option<&str> {
    heap.type_of(id).map(|(_, ty)| ty.name.as_str())
}

/// What was set for a signal belongs to a group of its own; what stands for the default, for nothing and for a handler
/// that is not Python's are variables of the `image` like others.
pub(super) fn collect(found: &mut Found<'_>, image: GroupId, table: &[(Addr, ObjectId)]) {
    let group = found.roots.group(RootKind::Signals, None, None);
    for (signal, (at, id)) in (1..).zip(table) {
        if matches!(type_name(found.heap, *id), Some("int" | "NoneType")) {
            found.add(image, *id, Slot::Word(*at), Ownership::Owned);
        } else {
            let name = found.field(&name(signal));
            found.add(group, *id, Slot::Field(name, *at), Ownership::Owned);
        }
    }
}

/// As `kill -l` has it.
fn name(signal: i32) -> String {
    /// glibc keeps two for itself.
    const RTMIN: i32 = 34;
    match Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) if signal >= RTMIN => format!("SIGRTMIN+{}", signal - RTMIN),
        Err(_) => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn signals_have_their_names() {
        assert_eq!(
            [1, 10, 15, 31, 32, 34, 64].map(name),
            ["SIGHUP", "SIGUSR1", "SIGTERM", "SIGSYS", "32", "SIGRTMIN+0", "SIGRTMIN+30"]
        );
    }
}
