//! A query over threads: which of them a person means, in the language of [`query`](crate::analysis::query).
//!
//! The fields are read from the answer, so that none of them can differ from what is shown. What they mean is in
//! `docs/cli.md`.

use crate::analysis::answers::{Thread, Threads, Wait};
use crate::analysis::query::{Cell, Field, ListQuery, Sort, Spec, name_of, spec};

/// The fields of threads.
pub const FIELDS: &[Spec] = &[
    spec("name", Sort::Text),
    spec("kernel_name", Sort::Text),
    spec("ident", Sort::Number),
    spec("native_id", Sort::Number),
    spec("interpreter", Sort::Number),
    spec("daemon", Sort::Any),
    spec("state", Sort::Text),
    spec("syscall", Sort::Text),
    spec("gil", Sort::Text),
    spec("waits", Sort::Text),
    spec("lock", Sort::Number),
    spec("timeout", Sort::Any),
    spec("holder", Sort::Text),
    spec("holds", Sort::Number),
    spec("deadlock", Sort::Number),
    spec("handling", Sort::Text),
    spec("stack", Sort::Text),
    spec("frames", Sort::Number),
    spec("function", Sort::Text),
    spec("file", Sort::Text),
    spec("line", Sort::Number),
    spec("retained", Sort::Number),
];

/// Leaves the threads that a query means.
pub fn narrow(query: &ListQuery, threads: &mut Threads) {
    let means = |thread| query.matches(&|name| cell(threads, thread, name));
    let mut meant: Vec<bool> = threads.threads.iter().map(means).collect();
    meant.reverse();
    threads.keep(|_| meant.pop().unwrap_or(false));
}

/// A field of a thread, one of all of these.
pub fn of_thread<'t>(all: &'t Threads, thread: &'t Thread, field: &Field) -> Cell<'t> {
    cell(all, thread, name_of(field, FIELDS))
}

fn cell<'t>(all: &'t Threads, thread: &'t Thread, field: &str) -> Cell<'t> {
    fn text(text: Option<&str>) -> Cell<'_> {
        text.map_or(Cell::Missing, |text| Cell::Text(text.into()))
    }
    fn number<'t>(n: Option<impl Into<i128>>) -> Cell<'t> {
        n.map_or(Cell::Missing, |n| Cell::Int(n.into()))
    }
    let wait = thread.waits_for.as_ref();
    let innermost = thread.frames.first();
    match field {
        "name" => text(thread.name.as_deref()),
        "kernel_name" => text(thread.kernel_name.as_deref()),
        "ident" => number(thread.ident),
        "native_id" => number(thread.native_id),
        "interpreter" => number(thread.interpreter),
        "daemon" => thread.daemon.map_or(Cell::Missing, Cell::Bool),
        "state" => text(thread.state),
        "syscall" => text(thread.syscall.as_deref()),
        "gil" => text(match (thread.holds_gil, thread.waits_for_gil) {
            (true, _) => Some("holds"),
            (_, Some(true)) => Some("waits"),
            _ => None,
        }),
        "waits" => text(wait.map(|w| w.what.as_str())),
        "lock" => number(wait.map(|w| w.address.0)),
        "timeout" => wait.map_or(Cell::Missing, |w| Cell::Bool(w.timeout)),
        "holder" => text(wait.and_then(|w: &Wait| all.name_of(w.holder?))),
        "holds" => number(Some(thread.holds.len() as u64)),
        "deadlock" => {
            let is_in = |members: &Vec<u64>| thread.native_id.is_some_and(|id| members.contains(&id));
            number(all.deadlocks.iter().position(is_in).map(|i| i as u64 + 1))
        }
        "handling" => text(thread.handling.first().map(|e| e.summary.as_str())),
        "stack" => {
            let names: Vec<&str> = thread.frames.iter().rev().map(|f| f.function.as_str()).collect();
            if names.is_empty() { Cell::Missing } else { Cell::Text(names.join(" > ").into()) }
        }
        "frames" => number(thread.ident.map(|_| thread.frames.len() as u64)),
        "function" => text(innermost.map(|f| f.function.as_str())),
        "file" => text(innermost.map(|f| f.file.as_str())),
        "line" => number(innermost.and_then(|f| f.line)),
        "retained" => number(thread.retained_bytes),
        _ => Cell::Missing,
    }
}
