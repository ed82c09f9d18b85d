//! The small tables, made of the answers that are printed elsewhere.

use crate::analysis::answers::{
    Batch, Frame, Regions, RetainedTypes, SnapshotInfo, Tasks, Threads, TypeRow, Types, Values,
};
use crate::snapshot::Addr;
use std::iter::once;
use std::sync::Arc;

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn texts<'t>(rows: impl Iterator<Item = &'t str>) -> Values {
    Values::Text(rows.map(Arc::from).collect())
}

fn maybe_texts<'t>(rows: impl Iterator<Item = Option<&'t str>>) -> Values {
    Values::MaybeText(rows.map(|t| t.map(Arc::from)).collect())
}

/// What is known of the snapshot as a whole: one row.
pub fn snapshot(info: &SnapshotInfo, problems: &[String]) -> Batch {
    let problems = problems.join("\n");
    Batch {
        columns: vec![
            ("pid", Values::MaybeInt(vec![info.pid.map(i64::from)])),
            ("python", maybe_texts(once(info.python.as_deref()))),
            ("free_threaded", Values::Bool(vec![info.free_threaded])),
            ("captured_at", maybe_texts(once(info.captured_at.as_deref()))),
            ("program", maybe_texts(once(info.program.as_deref()))),
            ("source", texts(once(info.source.as_str()))),
            ("bytes", Values::Int(vec![signed(info.bytes)])),
            ("problems", texts(once(problems.as_str()))),
        ],
    }
}

/// One row a type.
pub fn types(types: &Types) -> Batch {
    type_rows(types.types.iter())
}

/// The same with what the objects of each keep alive.
pub fn types_retained(types: &RetainedTypes) -> Batch {
    let mut batch = type_rows(types.types.iter().map(|t| &t.row));
    let retained = types.types.iter().map(|t| signed(t.retained_bytes)).collect();
    batch.columns.push(("retained_bytes", Values::Int(retained)));
    batch
}

fn type_rows<'t>(rows: impl Iterator<Item = &'t TypeRow> + Clone) -> Batch {
    Batch {
        columns: vec![
            ("address", Values::Address(rows.clone().map(|r| r.address).collect())),
            ("name", texts(rows.clone().map(|r| r.name.as_str()))),
            ("count", Values::Int(rows.clone().map(|r| signed(r.count)).collect())),
            ("shallow_bytes", Values::Int(rows.map(|r| signed(r.shallow_bytes)).collect())),
        ],
    }
}

/// One row a task; where it stands is in `frames`.
pub fn tasks(tasks: &Tasks) -> Batch {
    let rows = &tasks.tasks;
    Batch {
        columns: vec![
            ("address", Values::Address(rows.iter().map(|r| r.address).collect())),
            ("type", texts(rows.iter().map(|r| r.type_name.as_str()))),
            ("name", maybe_texts(rows.iter().map(|r| r.name.as_deref()))),
            ("state", maybe_texts(rows.iter().map(|r| r.state))),
            ("coro", maybe_texts(rows.iter().map(|r| r.coro.as_deref()))),
            ("fut_waiter", Values::MaybeAddress(rows.iter().map(|r| r.fut_waiter).collect())),
            ("waits_in", maybe_texts(rows.iter().map(|r| r.waits_in.as_ref().map(|w| w.kind)))),
            ("awaits", Values::Int(rows.iter().map(|r| r.awaits.len() as i64).collect())),
            ("awaited_by", Values::Int(rows.iter().map(|r| r.awaited_by.len() as i64).collect())),
            ("cycle", Values::MaybeInt(rows.iter().map(|r| r.cycle.map(|c| c as i64)).collect())),
            ("deadlock", Values::Bool(rows.iter().map(|r| is_deadlocked(tasks, r.cycle)).collect())),
        ],
    }
}

fn is_deadlocked(tasks: &Tasks, cycle: Option<usize>) -> bool {
    cycle.and_then(|c| tasks.verdicts.get(c)).is_some_and(|v| v.deadlock)
}

/// Thread, its or the task's name, task, depth, frame.
type FrameRow<'a> = (Option<u64>, Option<&'a str>, Option<Addr>, usize, &'a Frame);

/// One row a frame: of a thread (`task` is missing) or of a task (`thread` is missing); depth 0 is the innermost.
pub fn frames(threads: &Threads, tasks: &Tasks) -> Batch {
    let of_threads = threads.threads.iter().flat_map(|t| {
        let rows = t.frames.iter().enumerate();
        rows.map(move |(depth, f)| (t.native_id, t.name.as_deref(), None::<Addr>, depth, f))
    });
    let of_tasks = tasks.tasks.iter().flat_map(|t| {
        let rows = t.stack.iter().rev().enumerate();
        rows.map(move |(depth, f)| (None, t.name.as_deref(), Some(t.address), depth, f))
    });
    let rows: Vec<FrameRow<'_>> = of_threads.chain(of_tasks).collect();
    Batch {
        columns: vec![
            ("thread", Values::MaybeInt(rows.iter().map(|r| r.0.map(signed)).collect())),
            ("task", Values::MaybeAddress(rows.iter().map(|r| r.2).collect())),
            ("name", maybe_texts(rows.iter().map(|r| r.1))),
            ("depth", Values::Int(rows.iter().map(|r| r.3 as i64).collect())),
            ("function", texts(rows.iter().map(|r| r.4.function.as_str()))),
            ("file", texts(rows.iter().map(|r| r.4.file.as_str()))),
            ("line", Values::MaybeInt(rows.iter().map(|r| r.4.line.map(i64::from)).collect())),
        ],
    }
}

/// One row a mapping, those that were not captured included.
pub fn regions(regions: &Regions) -> Batch {
    let rows = &regions.regions;
    Batch {
        columns: vec![
            ("start", Values::Address(rows.iter().map(|r| r.start).collect())),
            ("end", Values::Address(rows.iter().map(|r| r.end).collect())),
            ("bytes", Values::Int(rows.iter().map(|r| signed(r.bytes)).collect())),
            ("resident_bytes", Values::MaybeInt(rows.iter().map(|r| r.resident_bytes.map(signed)).collect())),
            ("permissions", maybe_texts(rows.iter().map(|r| r.permissions.as_deref()))),
            ("file", maybe_texts(rows.iter().map(|r| r.file.as_deref()))),
            ("kind", texts(rows.iter().map(|r| r.kind))),
            ("captured", Values::Bool(rows.iter().map(|r| r.captured).collect())),
        ],
    }
}
