//! `--where` and the filter line: which rows a query means, compared with a plain reading of the whole answer about live
//! targets, field by field and operator by operator.

#[path = "where/commands.rs"]
mod commands;
#[path = "where/lists.rs"]
mod lists;
#[path = "where/plain.rs"]
mod plain;
mod support;

use plain::{Plain, Row, compare, number, result, row, text, unseen};
use pymem_tui::analysis::answers::{Task, Tasks, Thread, Threads};
use pymem_tui::analysis::query::{ListQuery, parse};
use pymem_tui::analysis::{retained::retaining, tasks, threads};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::{Target, on_every_interpreter};

/// `pause`, on x86-64.
const PAUSE: u32 = 34;

fn of_task(all: &Tasks, task: &Task) -> Row {
    let functions: Vec<&str> = task.stack.iter().map(|f| f.function.as_str()).collect();
    let wait = task.waits_in.as_ref();
    let holder = wait.and_then(|w| all.tasks.iter().find(|t| Some(t.address) == w.holder));
    let last = task.stack.last();
    let deadlock = task.cycle.filter(|c| all.verdicts[*c].deadlock);
    row(vec![
        ("name", text(task.name.as_deref())),
        ("type", text(Some(&task.type_name))),
        ("state", text(task.state)),
        ("running", Some(Plain::Flag(task.running))),
        ("coro", text(task.coro.as_deref())),
        ("stack", text((!functions.is_empty()).then(|| functions.join(" > ")).as_deref())),
        ("function", text(last.map(|f| f.function.as_str()))),
        ("file", text(last.map(|f| f.file.as_str()))),
        ("line", number(last.and_then(|f| f.line).map(u64::from))),
        ("waits", text(wait.map(|w| w.kind))),
        ("holder", text(holder.and_then(|t| t.name.as_deref()))),
        ("until", wait.and_then(|w| w.until).map(Plain::Number)),
        ("fd", number(wait.and_then(|w| w.fd).map(|fd| fd as u64))),
        ("awaits", number(Some(task.awaits.len() as u64))),
        ("awaiters", number(Some(task.awaited_by.len() as u64))),
        ("cycle", number(task.cycle.map(|c| c as u64 + 1))),
        ("deadlock", number(deadlock.map(|c| c as u64 + 1))),
        ("result", text(task.result.as_ref().map(|r| r.summary.as_str()))),
        ("exception", text(task.exception.as_ref().map(|r| r.summary.as_str()))),
        ("retained", number(task.retained_bytes)),
        ("interpreter", number(task.interpreter.map(|i| i as u64))),
        ("thread", number(task.thread)),
        ("loop", number(task.event_loop.map(|a| a.0))),
        ("address", number(Some(task.address.0))),
    ])
}

fn of_thread(all: &Threads, thread: &Thread) -> Row {
    let functions: Vec<&str> = thread.frames.iter().rev().map(|f| f.function.as_str()).collect();
    let wait = thread.waits_for.as_ref();
    let holder = wait.and_then(|w| all.threads.iter().find(|t| w.holder.is_some() && t.native_id == w.holder));
    let first = thread.frames.first();
    let deadlock = all.deadlocks.iter().position(|members| members.iter().any(|m| Some(*m) == thread.native_id));
    let gil = if thread.holds_gil { Some("holds") } else { thread.waits_for_gil.filter(|w| *w).map(|_| "waits") };
    row(vec![
        ("name", text(thread.name.as_deref())),
        ("kernel_name", text(thread.kernel_name.as_deref())),
        ("ident", number(thread.ident)),
        ("native_id", number(thread.native_id)),
        ("interpreter", number(thread.interpreter.map(|i| i as u64))),
        ("daemon", thread.daemon.map(Plain::Flag)),
        ("state", text(thread.state)),
        ("syscall", text(thread.syscall.as_deref())),
        ("gil", text(gil)),
        ("waits", text(wait.map(|w| w.what.as_str()))),
        ("lock", number(wait.map(|w| w.address.0))),
        ("timeout", wait.map(|w| Plain::Flag(w.timeout))),
        ("holder", text(holder.and_then(|t| t.name.as_deref()))),
        ("holds", number(Some(thread.holds.len() as u64))),
        ("deadlock", number(deadlock.map(|d| d as u64 + 1))),
        ("handling", text(thread.handling.first().map(|e| e.summary.as_str()))),
        ("stack", text((!functions.is_empty()).then(|| functions.join(" > ")).as_deref())),
        ("frames", number(thread.ident.map(|_| thread.frames.len() as u64))),
        ("function", text(first.map(|f| f.function.as_str()))),
        ("file", text(first.map(|f| f.file.as_str()))),
        ("line", number(first.and_then(|f| f.line).map(u64::from))),
        ("retained", number(thread.retained_bytes)),
    ])
}

fn heap_of(target: &Target) -> Result<Heap, String> {
    Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())
}

#[test]
fn tasks_that_a_query_means_are_those_of_a_plain_reading() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "tasks.py", &[]);
        let heap = heap_of(&target)?;
        let kept = Some(Arc::new(retaining(&heap, &Progress::default()).map_err(|e| e.to_string())?));
        let all = tasks::tasks(&heap, &tasks::Ask { retaining: kept.clone(), ..tasks::Ask::default() });
        let rows: Vec<Row> = all.tasks.iter().map(|t| of_task(&all, t)).collect();
        let fields: Vec<&'static str> = tasks::FIELDS.iter().map(|f| f.name).collect();
        let place: BTreeMap<Addr, usize> = all.tasks.iter().enumerate().map(|(i, t)| (t.address, i)).collect();
        let select = |text: &str| -> Result<BTreeSet<usize>, String> {
            let query = Some(ListQuery::parse(text, tasks::FIELDS).map_err(|e| e.to_string())?);
            let ask = tasks::Ask { query, retaining: kept.clone(), brief: true, ..tasks::Ask::default() };
            let found = tasks::tasks(&heap, &ask);
            if found.total.tasks != all.total.tasks || found.cycles != all.cycles {
                return Err("totals and cycles are those of all".into());
            }
            let found: BTreeSet<usize> = found.tasks.iter().map(|t| place[&t.address]).collect();
            // the explorer asks the answers
            let told = parse(text, tasks::FIELDS).map_err(|e| e.to_string())?;
            let says = |t: &Task| told.matches(&|field| tasks::of_task(&all, t, t.retained_bytes, field));
            let shown: BTreeSet<usize> = (0..rows.len()).filter(|i| says(&all.tasks[*i])).collect();
            if shown == found { Ok(found) } else { Err(format!("the explorer shows {}", shown.len())) }
        };
        let mut wrong = unseen(&rows, &fields, &[]);
        wrong.extend(compare(&rows, &fields, select));
        result(&interpreter.name, rows.len(), wrong)
    });
}

#[test]
fn threads_that_a_query_means_are_those_of_a_plain_reading() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "locks.py", &[]);
        target.wait_until_in(PAUSE);
        let heap = heap_of(&target)?;
        let mut all = threads::threads(&heap);
        retaining(&heap, &Progress::default()).map_err(|e| e.to_string())?.order(&mut all);
        let rows: Vec<Row> = all.threads.iter().map(|t| of_thread(&all, t)).collect();
        let fields: Vec<&'static str> = threads::FIELDS.iter().map(|f| f.name).collect();
        let place: BTreeMap<Option<u64>, usize> =
            all.threads.iter().enumerate().map(|(i, t)| (t.native_id, i)).collect();
        let select = |query: &str| -> Result<BTreeSet<usize>, String> {
            let mut found = all.clone();
            let query = ListQuery::parse(query, threads::FIELDS).map_err(|e| e.to_string())?;
            threads::narrow(&query, &mut found);
            // what they wait for names others still
            for thread in &found.threads {
                let wait = thread.waits_for.as_ref();
                if wait.is_some_and(|w| found.waits(w) != all.waits(w)) || found.common_name() != all.common_name() {
                    return Err("those that are left out have lost their names".into());
                }
            }
            Ok(found.threads.iter().map(|t| place[&t.native_id]).collect())
        };
        // nobody handles an exception there, and who has the GIL at the stop is chance
        let mut wrong = unseen(&rows, &fields, &["handling", "gil"]);
        wrong.extend(compare(&rows, &fields, select));
        result(&interpreter.name, rows.len(), wrong)
    });
}

/// The rows of a list in the JSON of a command.
fn told(arguments: &[&str], list: &str) -> Result<Vec<serde_json::Value>, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    let out = command.args(arguments).arg("--json").stdin(Stdio::null()).output().expect("the program starts");
    if !out.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&out.stderr)));
    }
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    Ok(answer[list].as_array().expect("a list").clone())
}

/// Whether a row is one of those that are wanted.
type Wanted<'w> = &'w dyn Fn(&serde_json::Value) -> bool;

fn chosen(
    dump: &str,
    command: &str,
    all: &[serde_json::Value],
    key: &str,
    (options, wanted): (&[&str], Wanted),
) -> Result<usize, String> {
    let list = if command == "tasks" { "tasks" } else { "threads" };
    let found = told(&[&[command, dump, "-q"], options].concat(), list)?;
    let ids = |rows: &[serde_json::Value]| rows.iter().map(|r| r[key].to_string()).collect::<BTreeSet<_>>();
    let expected: Vec<_> = all.iter().filter(|row| wanted(row)).cloned().collect();
    if ids(&found) == ids(&expected) && !found.is_empty() {
        return Ok(found.len());
    }
    Err(format!("{command} {options:?}: {} rows, not {}", found.len(), expected.len()))
}

/// `--state`, `--name`, `--coro` and `--where` of the program itself.
#[test]
fn the_program_leaves_out_what_was_not_asked_for() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "tasks.py", &[]);
        let dump = target.path("dump");
        let dump = dump.to_str().expect("a path");
        told(&["capture", "--pid", &target.pid.to_string(), "-o", dump, "-q"], "unreadable")?;
        let all = told(&["tasks", dump, "-q"], "tasks")?;
        let is = |row: &serde_json::Value, field: &str, text: &str| row[field] == text;
        let has = |row: &serde_json::Value, field: &str, part: &str| {
            row[field].as_str().is_some_and(|t| t.to_lowercase().contains(part))
        };
        let on_stack = |row: &serde_json::Value, part: &str| {
            row["stack"].as_array().is_some_and(|s| s.iter().any(|f| has(f, "function", part)))
        };
        let tasks: [(&[&str], Wanted); 6] = [
            (&["--state", "pending"], &|r| is(r, "state", "pending")),
            (&["--state", "finished"], &|r| is(r, "state", "finished")),
            (&["--name", "in "], &|r| has(r, "name", "in ")),
            (&["--coro", "later", "--state", "pending"], &|r| {
                is(r, "state", "pending") && (has(r, "coro", "later") || on_stack(r, "later"))
            }),
            (&["--where", "waits = sleep and awaiters > 1 and name = bottom"], &|r| is(r, "name", "bottom")),
            (&["--where", "state = cancelled or name ~ in", "--coro", "sleep"], &|r| {
                (is(r, "state", "cancelled") || has(r, "name", "in"))
                    && (has(r, "coro", "sleep") || on_stack(r, "sleep"))
            }),
        ];
        let mut counts = Vec::new();
        for one in tasks {
            counts.push(chosen(dump, "tasks", &all, "address", one)?);
        }
        let tasks = all.len();
        let all = told(&["threads", dump, "-q"], "threads")?;
        let query = "name ~ threadpool* or name = MainThread";
        for command in ["threads", "stacks"] {
            let wanted: &dyn Fn(&serde_json::Value) -> bool = &|r| {
                is(r, "name", "MainThread")
                    || r["name"].as_str().is_some_and(|n| n.to_lowercase().starts_with("threadpool"))
            };
            counts.push(chosen(dump, command, &all, "native_id", (&["--where", query], wanted))?);
        }
        println!("{}: {tasks} tasks, {} threads, chosen {counts:?}", interpreter.name, all.len());
        Ok(())
    });
}
