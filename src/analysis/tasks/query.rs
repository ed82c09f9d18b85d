//! A query over tasks: which of them a person means, in the language of [`query`](crate::analysis::query).
//!
//! Of each task only what the query asks for is read. What the fields mean is in `docs/cli.md`; the names and texts are
//! those that the answers have, and come from the same [`Writer`]. The explorer has the answers and asks them.

use super::describe::Writer;
use super::roles::Primitive;
use crate::analysis::answers::{Frame, Task, Tasks};
use crate::analysis::query::{Cell, Field, ListQuery, Sort, Spec, name_of, spec};
use std::cell::RefCell;

/// The fields of tasks.
pub const FIELDS: &[Spec] = &[
    spec("name", Sort::Text),
    spec("type", Sort::Text),
    spec("state", Sort::Text),
    spec("running", Sort::Any),
    spec("coro", Sort::Text),
    spec("stack", Sort::Text),
    spec("function", Sort::Text),
    spec("file", Sort::Text),
    spec("line", Sort::Number),
    spec("waits", Sort::Text),
    spec("holder", Sort::Text),
    spec("until", Sort::Number),
    spec("fd", Sort::Number),
    spec("awaits", Sort::Number),
    spec("awaiters", Sort::Number),
    spec("cycle", Sort::Number),
    spec("deadlock", Sort::Number),
    spec("result", Sort::Text),
    spec("exception", Sort::Text),
    spec("retained", Sort::Number),
    spec("interpreter", Sort::Number),
    spec("thread", Sort::Number),
    spec("loop", Sort::Number),
    spec("address", Sort::Number),
];

/// Those that a query means, of tasks by their numbers.
pub(super) fn select(query: &ListQuery, writer: Writer<'_, '_>, among: &[u32]) -> Vec<u32> {
    let writer = RefCell::new(writer);
    let means = |i: u32| query.matches(&|name| cell(&mut writer.borrow_mut(), i, name));
    among.iter().copied().filter(|i| means(*i)).collect()
}

/// A field of a task, one of all of these; `retained`: what it keeps alive, once that is known.
pub fn of_task<'t>(all: &'t Tasks, task: &'t Task, retained: Option<u64>, field: &Field) -> Cell<'t> {
    fn text(text: Option<&str>) -> Cell<'_> {
        text.map_or(Cell::Missing, |text| Cell::Text(text.into()))
    }
    fn number<'t>(n: Option<impl Into<i128>>) -> Cell<'t> {
        n.map_or(Cell::Missing, |n| Cell::Int(n.into()))
    }
    let wait = task.waits_in.as_ref();
    let innermost = task.stack.last();
    let numbered = |cycle: Option<usize>| number(cycle.map(|c| c as u64 + 1));
    match name_of(field, FIELDS) {
        "name" => text(task.name.as_deref()),
        "type" => text(Some(&task.type_name)),
        "state" => text(task.state),
        "running" => Cell::Bool(task.running),
        "coro" => text(task.coro.as_deref()),
        "stack" => {
            let names: Vec<&str> = task.stack.iter().map(|f| f.function.as_str()).collect();
            if names.is_empty() { Cell::Missing } else { Cell::Text(names.join(" > ").into()) }
        }
        "function" => text(innermost.map(|f| f.function.as_str())),
        "file" => text(innermost.map(|f| f.file.as_str())),
        "line" => number(innermost.and_then(|f| f.line)),
        "waits" => text(wait.map(|w| w.kind)),
        "holder" => text(wait.and_then(|w| {
            // they are in the order of their addresses
            let at = all.tasks.binary_search_by_key(&w.holder?, |t| t.address).ok()?;
            all.tasks.get(at)?.name.as_deref()
        })),
        "until" => wait.and_then(|w| w.until).map_or(Cell::Missing, Cell::Float),
        "fd" => number(wait.and_then(|w| w.fd)),
        "awaits" => number(Some(task.awaits.len() as u64)),
        "awaiters" => number(Some(task.awaited_by.len() as u64)),
        "cycle" => numbered(task.cycle),
        "deadlock" => numbered(task.cycle.filter(|c| all.verdicts.get(*c).is_some_and(|v| v.deadlock))),
        "result" => text(task.result.as_ref().map(|r| r.summary.as_str())),
        "exception" => text(task.exception.as_ref().map(|r| r.summary.as_str())),
        "retained" => number(retained),
        "interpreter" => number(task.interpreter),
        "thread" => number(task.thread),
        "loop" => number(task.event_loop.map(|l| l.0)),
        "address" => number(Some(task.address.0)),
        _ => Cell::Missing,
    }
}

fn cell(writer: &mut Writer<'_, '_>, i: u32, field: &str) -> Cell<'static> {
    fn text(text: Option<String>) -> Cell<'static> {
        text.map_or(Cell::Missing, |text| Cell::Text(text.into()))
    }
    fn number(n: Option<impl Into<i128>>) -> Cell<'static> {
        n.map_or(Cell::Missing, |n| Cell::Int(n.into()))
    }
    let Some(node) = writer.world.nodes.get(i as usize).copied() else { return Cell::Missing };
    let cycle = writer.graph.cycle_of.get(&i).copied();
    let innermost = |writer: &mut Writer<'_, '_>, of: fn(Frame) -> Option<String>| writer.innermost(&node).and_then(of);
    match field {
        "name" => text(writer.name(&node)),
        "type" => text(Some(writer.world.read.types().get(node.ty).name.clone())),
        "state" => text(node.state.name().map(str::to_owned)),
        "running" => Cell::Bool(node.is_pending() && node.running),
        "coro" => text(writer.coro(&node)),
        "stack" => text(writer.functions(&node)),
        "function" => text(innermost(writer, |f| Some(f.function))),
        "file" => text(innermost(writer, |f| Some(f.file))),
        "line" => number(writer.innermost(&node).and_then(|f| f.line)),
        "waits" => {
            let kind = writer.graph.wait(&writer.world.nodes, i as usize).kind;
            text((kind != Primitive::Unknown).then(|| kind.name().to_owned()))
        }
        "holder" => text(writer.waits_in(i).and_then(|wait| writer.name_at(wait.holder?))),
        "until" => writer.waits_in(i).and_then(|wait| wait.until).map_or(Cell::Missing, Cell::Float),
        "fd" => number(writer.waits_in(i).and_then(|wait| wait.fd)),
        "awaits" => number(Some(writer.awaits(i).len() as u64)),
        "awaiters" => number(Some(writer.awaiters(i).len() as u64)),
        "cycle" => number(cycle.map(|c| c as u64 + 1)),
        "deadlock" => {
            let is_deadlock = |c: &usize| writer.graph.cycles.get(*c).is_some_and(|cycle| cycle.is_deadlock());
            number(cycle.filter(is_deadlock).map(|c| c as u64 + 1))
        }
        "result" => text(writer.outcome(&node).0.map(|at| writer.local(at).summary)),
        "exception" => text(writer.outcome(&node).1.map(|at| writer.local(at).summary)),
        "retained" => number(writer.retained(node.address)),
        "interpreter" => number(writer.loops.interpreter(node.event_loop)),
        "thread" => number(writer.loops.thread(node.event_loop).and_then(|t| t.native_id)),
        "loop" => number(Some(node.event_loop).filter(|l| !l.is_null()).map(|l| l.0)),
        "address" => number(Some(node.address.0)),
        _ => Cell::Missing,
    }
}
