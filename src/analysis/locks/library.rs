//! Which function of the standard library a thread waits in, by the frames nearest to the lock.
//!
//! Guides: `Lib/threading.py`, `Lib/queue.py`, `Lib/concurrent/futures/_base.py`, `Lib/importlib/_bootstrap.py` of 3.8
//! to 3.15. Only names: who holds what is not worked out here.

use crate::analysis::answers::{Frame, Thread};
use crate::snapshot::Addr;

/// Where a thread waits, and the `self` of that function.
pub(super) struct Waits {
    pub what: &'static str,
    pub of: Option<Addr>,
}

/// Module, qualified name, what people call it. The outermost of those around a lock is told.
const PLACES: &[(&str, &str, &str)] = &[
    ("threading", "Condition.wait", "Condition.wait"),
    ("threading", "Condition.wait_for", "Condition.wait"),
    ("threading", "Event.wait", "Event.wait"),
    ("threading", "Semaphore.acquire", "Semaphore.acquire"),
    ("threading", "Barrier.wait", "Barrier.wait"),
    ("threading", "Thread.join", "Thread.join"),
    ("threading", "Thread.start", "Thread.start"),
    ("threading", "_RLock.acquire", "RLock"),
    ("threading", "_shutdown", "Thread.join"),
    ("queue", "Queue.get", "Queue.get"),
    ("queue", "Queue.put", "Queue.put"),
    ("queue", "Queue.join", "Queue.join"),
    ("_base", "Future.result", "Future.result"),
    ("_base", "Future.exception", "Future.exception"),
    ("_base", "wait", "concurrent.futures.wait"),
    ("_base", "as_completed", "concurrent.futures.as_completed"),
    ("_bootstrap", "_ModuleLock.acquire", "import"),
];

/// `/usr/lib/python3.12/queue.py` and `<frozen queue>` are both `queue`.
fn module(file: &str) -> &str {
    let name = file.strip_prefix("<frozen ").and_then(|f| f.strip_suffix('>')).map(|f| f.rsplit('.').next());
    name.flatten().unwrap_or_else(|| file.rsplit('/').next().unwrap_or(file).trim_end_matches(".py"))
}

fn own_self(frame: &Frame) -> Option<Addr> {
    local(frame, "self")
}

fn local(frame: &Frame, name: &str) -> Option<Addr> {
    frame.locals.iter().find(|l| l.name == name).map(|l| l.address)
}

/// The library's function that the innermost frames are in.
pub(super) fn place(frames: &[Frame]) -> Option<Waits> {
    let inside = frames.iter().take_while(|f| PLACES.iter().any(|(m, ..)| *m == module(&f.file)));
    let known = inside.filter_map(|f| {
        let (.., what) = PLACES.iter().find(|(m, name, _)| *m == module(&f.file) && *name == f.function)?;
        Some(Waits { what, of: own_self(f) })
    });
    known.last()
}

/// `Condition.wait`, and its condition; the caller looks at its type.
pub(super) fn condition_wait(frame: &Frame) -> Option<Addr> {
    let is_wait = module(&frame.file) == "threading" && frame.function == "Condition.wait";
    is_wait.then(|| own_self(frame))?
}

/// Whether a lock is the one that `Condition.wait` made to be woken by: nobody has it, whoever notifies releases it.
pub(super) fn is_signal(frames: &[Frame], lock: Addr) -> bool {
    let wait = frames.first().filter(|f| condition_wait(f).is_some());
    wait.is_some_and(|f| local(f, "waiter") == Some(lock))
}

/// Whether a thread waits for this semaphore, and so refers to it without having it.
pub(super) fn is_in_acquire(rows: &[Thread], native_id: u64, semaphore: Addr) -> bool {
    let row = rows.iter().find(|t| t.native_id == Some(native_id));
    let waits = row.and_then(|t| place(&t.frames));
    waits.is_some_and(|w| w.what == "Semaphore.acquire" && w.of == Some(semaphore))
}

/// A lock of Python code around a plain one: itself, the attribute that is waited at, the attribute with the ident of
/// the thread that has it.
pub(super) fn owned(frame: &Frame) -> Option<(Addr, &'static str, &'static str)> {
    let (guard, owner) = match (module(&frame.file), frame.function.as_str()) {
        ("_bootstrap", "_ModuleLock.acquire") => ("wakeup", "owner"),
        ("threading", "_RLock.acquire") => ("_block", "_owner"),
        _ => return None,
    };
    Some((own_self(frame)?, guard, owner))
}

/// Whether a frame is in the import system's lock of a module.
pub(super) fn is_import(frame: &Frame) -> bool {
    module(&frame.file) == "_bootstrap"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_its_file() {
        assert_eq!(module("/usr/lib/python3.12/queue.py"), "queue");
        assert_eq!(module("<frozen importlib._bootstrap>"), "_bootstrap");
        assert_eq!(module("<frozen threading>"), "threading");
        assert_eq!((module(""), module("<string>"), module("queue")), ("", "<string>", "queue"));
    }

    #[test]
    fn the_outermost_function_of_the_library_is_told() {
        let frame =
            |function: &str, file: &str| Frame { function: function.into(), file: file.into(), ..Frame::default() };
        let frames = [
            frame("Condition.wait", "/lib/threading.py"),
            frame("Event.wait", "/lib/threading.py"),
            frame("work", "/home/program.py"),
            frame("Thread.join", "/lib/threading.py"),
        ];
        assert_eq!(place(&frames).map(|p| p.what), Some("Event.wait"));
        assert!(place(&frames[2..]).is_none());
    }
}
