//! Tasks, their awaits, their cycles and the holders of their locks, compared with what the target says of them.

mod support;
#[path = "tasks/times.rs"]
mod times;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pymem_tui::analysis::answers::{Task, Tasks, WaitsIn};
use pymem_tui::analysis::tasks::{Ask, tasks};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter, on_every_version};

/// A `task` line of `tests/targets/tasks.py`.
#[derive(Debug, Deserialize, PartialEq)]
struct Told {
    id: u64,
    name: String,
    state: String,
    coroutine: Option<String>,
    frames: Vec<ToldFrame>,
    fut_waiter: Option<u64>,
    r#loop: u64,
    /// Of the thread that runs the loop.
    thread: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct ToldFrame {
    id: u64,
    function: String,
    line: u32,
    columns: [Option<u32>; 2],
    locals: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Deserialize, PartialEq, PartialOrd, Eq, Ord)]
struct Cycle {
    tasks: BTreeSet<u64>,
    ends: bool,
    /// At a time that is known.
    timed: bool,
}

#[derive(Debug, Deserialize)]
struct Lock {
    lock: u64,
    holder: Option<u64>,
    /// Of the holder's `async with`.
    line: Option<u32>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Semaphore {
    semaphore: u64,
    inside: Vec<u64>,
    holder: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ToldWait {
    task: u64,
    kind: Option<String>,
    fd: Option<i64>,
}

/// A circle through tasks and threads.
#[derive(Debug, Deserialize, PartialEq, PartialOrd, Eq, Ord)]
struct Mixed {
    tasks: BTreeSet<u64>,
    threads: BTreeSet<String>,
}

fn lines<T: for<'a> Deserialize<'a>>(target: &Target, kind: &str) -> Vec<T> {
    let of_kind = target.said.iter().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
    of_kind.map(|json| serde_json::from_str(json).expect("a line of tasks.py")).collect()
}

fn start(interpreter: &Interpreter, arguments: &[&str]) -> (Target, Heap) {
    let target = Target::start(interpreter, "tasks.py", arguments);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    (target, heap)
}

/// `locals`: with the variables.
fn as_told(task: &Task, locals: bool) -> Told {
    let frame = |f: &pymem_tui::analysis::answers::Frame| ToldFrame {
        locals: locals.then(|| f.locals.iter().map(|l| (l.name.clone(), l.address.0)).collect()),
        id: f.generator.map_or(0, |g| g.0),
        function: f.function.clone(),
        line: f.line.unwrap_or(0),
        columns: [f.column, f.end_column],
    };
    Told {
        id: task.address.0,
        name: task.name.clone().unwrap_or_default(),
        state: task.state.unwrap_or("damaged").to_owned(),
        coroutine: task.coro.clone(),
        frames: task.stack.iter().map(frame).collect(),
        fut_waiter: task.fut_waiter.map(|a| a.0),
        r#loop: task.event_loop.map_or(0, |a| a.0),
        thread: task.thread,
    }
}

fn cycles(answer: &Tasks) -> Vec<Cycle> {
    let is_task = |a: &&Addr| answer.tasks.iter().any(|t| t.address == **a);
    let pairs = answer.cycles.iter().zip(&answer.verdicts).filter(|(_, verdict)| verdict.threads.is_empty());
    let mut found: Vec<Cycle> = pairs
        .map(|(members, verdict)| Cycle {
            tasks: members.iter().filter(is_task).map(|a| a.0).collect(),
            ends: !verdict.deadlock,
            timed: verdict.until.is_some(),
        })
        .collect();
    found.sort();
    found
}

/// Circles through threads, all of them deadlocks.
fn mixed(answer: &Tasks, heap: &Heap) -> Vec<Mixed> {
    let threads = pymem_tui::analysis::threads::threads(heap).threads;
    let name = |id: &u64| threads.iter().find(|t| t.native_id == Some(*id)).and_then(|t| t.name.clone());
    let is_task = |a: &&Addr| answer.tasks.iter().any(|t| t.address == **a);
    let pairs = answer.cycles.iter().zip(&answer.verdicts).filter(|(_, v)| !v.threads.is_empty() && v.deadlock);
    let mut found: Vec<Mixed> = pairs
        .map(|(members, verdict)| Mixed {
            tasks: members.iter().filter(is_task).map(|a| a.0).collect(),
            threads: verdict.threads.iter().filter_map(name).collect(),
        })
        .collect();
    found.sort();
    found
}

/// Who awaits whom, and who is awaited by whom: the one without the other.
fn not_inverse(answer: &Tasks) -> Option<String> {
    let tasks = answer.tasks.iter().map(|t| (t.address, &t.awaits, &t.awaited_by));
    let all: Vec<_> = tasks.chain(answer.futures.iter().map(|f| (f.address, &f.awaits, &f.awaited_by))).collect();
    let forward: BTreeSet<(Addr, Addr)> = all.iter().flat_map(|(at, to, _)| to.iter().map(|b| (*at, *b))).collect();
    let back: BTreeSet<(Addr, Addr)> = all.iter().flat_map(|(at, _, by)| by.iter().map(|a| (*a, *at))).collect();
    (forward != back || forward.is_empty()).then(|| format!("{} awaits, {} awaited by", forward.len(), back.len()))
}

/// What a task with this name waits in.
const WAITS_IN: [(&str, &str); 6] = [
    ("in event", "event"),
    ("in condition", "condition"),
    ("in queue", "queue"),
    ("in semaphore", "semaphore"),
    ("in sleep", "sleep"),
    ("in executor", "executor"),
];

/// What the command `threads` and the first page say of circles through threads, and of loops that do not turn.
fn told_of_threads(target: &Target, answer: &Tasks, heap: &Heap) -> Vec<String> {
    let mut wrong = Vec::new();
    let threads = pymem_tui::analysis::threads::threads(heap);
    let name = |id: &u64| threads.threads.iter().find(|t| t.native_id == Some(*id)).and_then(|t| t.name.clone());
    let mut found: Vec<BTreeSet<String>> =
        threads.deadlocks.iter().map(|members| members.iter().filter_map(name).collect()).collect();
    let mut expected: Vec<BTreeSet<String>> = lines::<Mixed>(target, "mixed").into_iter().map(|m| m.threads).collect();
    found.sort();
    expected.sort();
    if found != expected {
        wrong.push(format!("`threads` tells deadlocks of {found:?}, not {expected:?}: {:?}", threads.explained));
    }
    let findings = pymem_tui::analysis::verdict::tasks(answer, &threads);
    let said: BTreeSet<String> =
        findings.iter().map(|f| f.text()).filter(|t| t.contains("the event loop of")).collect();
    let mut told = BTreeSet::new();
    for (thread, task, at) in lines::<(String, String, Option<(String, u32)>)>(target, "blocked") {
        let at = at.map(|(function, line)| {
            // up to 3.10 a code object knows its last name only
            let bare = function.rsplit('.').next().unwrap_or_default().to_owned();
            [function, bare].map(|f| format!("{f}() tasks.py:{line} "))
        });
        let is_it = |s: &&String| {
            let begins = s.starts_with(&format!("the event loop of {thread} is blocked in "));
            let ends = s.ends_with(&format!("in task {task}: no other task of it goes on"));
            begins && ends && at.as_ref().is_none_or(|names| names.iter().any(|n| s.contains(n.as_str())))
        };
        match said.iter().find(is_it) {
            Some(sentence) => drop(told.insert(sentence.clone())),
            None => wrong.push(format!("nothing says that {task} blocks the loop of {thread} at {at:?}: {said:?}")),
        }
    }
    if told != said {
        wrong.push(format!("of blocked loops is told {said:?}, and should be {told:?}"));
    }
    wrong
}

/// Each task of a diamond stands once with what it awaits, the bottom twice, the second time as one that is shared.
fn told_of_diamonds(target: &Target, answer: &Tasks) -> Vec<String> {
    let mut wrong = Vec::new();
    for [top, left, bottom, right] in lines::<[u64; 4]>(target, "diamond") {
        let rows = answer.forest.iter().filter(|r| [top, left, bottom, right].contains(&r.address.0));
        let found: Vec<_> = rows.map(|r| (r.address.0, r.depth, r.shared, r.cycle)).collect();
        let line = |of, depth, shared| (of, depth, shared, None);
        let under = |first, second| {
            vec![
                line(top, 0, false),
                line(first, 1, false),
                line(bottom, 2, false),
                line(second, 1, false),
                line(bottom, 2, true),
            ]
        };
        if found != under(left, right) && found != under(right, left) {
            wrong.push(format!("a diamond is drawn as {found:?}"));
        }
    }
    wrong
}

fn differences(target: &Target, answer: &Tasks, heap: &Heap) -> Vec<String> {
    let by_address: BTreeMap<u64, &Task> = answer.tasks.iter().map(|t| (t.address.0, t)).collect();
    let told: Vec<Told> = lines(target, "task");
    let mut wrong = answer.problems.clone();
    for one in &told {
        let locals = one.frames.iter().any(|f| f.locals.is_some());
        match by_address.get(&one.id).map(|t| as_told(t, locals)) {
            Some(found) if found == *one => {}
            found => wrong.push(format!("{found:?} should be {one:?}")),
        }
    }
    let mut expected: Vec<Cycle> = lines(target, "cycle");
    expected.sort();
    let found = cycles(answer);
    if found != expected {
        wrong.push(format!("the cycles are {found:?} and should be {expected:?}: {:?}", answer.verdicts));
    }
    let mut crossing: Vec<Mixed> = lines(target, "mixed");
    crossing.sort();
    if mixed(answer, heap) != crossing {
        wrong.push(format!("through threads go {:?}, not {crossing:?}: {:?}", mixed(answer, heap), answer.verdicts));
    }
    if let Some(verdict) = answer.verdicts.iter().find(|v| v.sentence.is_empty()) {
        wrong.push(format!("no sentence tells {verdict:?}"));
    }
    for lock in lines::<Lock>(target, "lock") {
        let waits = answer.futures.iter().filter_map(|f| f.waits_in.as_ref()).filter(|w| w.address.0 == lock.lock);
        let held = |w: &WaitsIn| (w.holder.map(|h| h.0), w.held_at.as_ref().and_then(|at| at.line));
        let holders: Vec<_> = waits.map(held).collect();
        if holders.is_empty() || holders.iter().any(|h| *h != (lock.holder, lock.line)) {
            wrong.push(format!("{lock:?} is held by {holders:?}"));
        }
    }
    for told in lines::<Semaphore>(target, "semaphore") {
        let mut waits = answer.futures.iter().filter_map(|f| f.waits_in.as_ref());
        let found = waits.find(|w| w.address.0 == told.semaphore).map(|w| Semaphore {
            semaphore: w.address.0,
            inside: w.holders.iter().map(|a| a.0).collect::<BTreeSet<_>>().into_iter().collect(),
            holder: w.holder.map(|h| h.0),
        });
        if found.as_ref() != Some(&told) {
            wrong.push(format!("{found:?} should be {told:?}"));
        }
    }
    for told in lines::<ToldWait>(target, "waits") {
        let wait = by_address.get(&told.task).and_then(|t| t.waits_in.as_ref());
        if (wait.map(|w| w.kind), wait.and_then(|w| w.fd)) != (told.kind.as_deref(), told.fd) {
            wrong.push(format!("{wait:?} should be {told:?}"));
        }
    }
    for told in lines::<(u64, Option<u64>, Option<u64>)>(target, "outcome") {
        let task = by_address.get(&told.0);
        let result = task.and_then(|t| t.result.as_ref()).map(|l| l.address.0);
        let exception = task.and_then(|t| t.exception.as_ref()).map(|l| l.address.0);
        if (told.0, result, exception) != told {
            wrong.push(format!("{result:?}, {exception:?} should be {told:?}"));
        }
    }
    wrong.extend(times::differences(target, &by_address, heap));
    wrong.extend(not_inverse(answer));
    wrong.extend(told_of_threads(target, answer, heap));
    wrong.extend(told_of_diamonds(target, answer));
    let several = heap.interpreter().interpreters.len() > 1;
    let elsewhere: Vec<(i64, Vec<u64>)> = lines(target, "elsewhere");
    for (interpreter, tasks) in &elsewhere {
        let found: Vec<_> = tasks.iter().map(|t| by_address.get(t).and_then(|t| t.interpreter)).collect();
        if found.iter().any(|i| *i != Some(*interpreter)) {
            wrong.push(format!("tasks of interpreter {interpreter} are told to be of {found:?}"));
        }
    }
    if several == elsewhere.is_empty()
        || told.iter().any(|t| by_address.get(&t.id).is_some_and(|t| t.interpreter != Some(0)))
    {
        wrong.push(format!("{} subinterpreters; the main one's tasks are told to be of others", elsewhere.len()));
    }
    for (name, kind) in WAITS_IN {
        let task = answer.tasks.iter().find(|t| t.name.as_deref() == Some(name));
        let found = task.and_then(|t| t.waits_in.as_ref()).map(|w| w.kind);
        if found != Some(kind) {
            wrong.push(format!("{name} waits in {found:?}"));
        }
    }
    let workers: Vec<u64> = lines(target, "worker");
    let task = answer.tasks.iter().find(|t| t.name.as_deref() == Some("in executor"));
    let found: Vec<u64> = task.and_then(|t| t.waits_in.as_ref()?.thread).into_iter().collect();
    if found != workers || found.len() != 1 {
        wrong.push(format!("the threads {found:?} work for the loop, not {workers:?}"));
    }
    // every unfinished task stands in the forest, alone or in a crowd
    let counted: u64 = answer.forest.iter().filter(|r| !r.shared).map(|r| r.count).sum();
    let pending = answer.tasks.iter().filter(|t| t.state == Some("pending")).count() as u64;
    if counted != pending {
        wrong.push(format!("{counted} tasks are in the forest, not {pending}"));
    }
    wrong.truncate(6);
    wrong
}

fn check(interpreter: &Interpreter, arguments: &[&str]) -> Result<(), String> {
    let (target, heap) = start(interpreter, arguments);
    let answer = tasks(&heap, &Ask::all(true));
    let wrong = differences(&target, &answer, &heap);
    println!(
        "{} {arguments:?}: {} tasks, {} cycles, {} differences",
        interpreter.name,
        answer.tasks.len(),
        answer.cycles.len(),
        wrong.len()
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ").chars().take(3000).collect()) }
}

#[test]
fn tasks_and_cycles_are_what_the_interpreter_says() {
    on_every_interpreter(|interpreter| check(interpreter, &[]));
}

#[test]
fn tasks_of_subinterpreters_are_told_apart() {
    on_every_version(|interpreter| check(interpreter, &["interpreters"]));
}

/// The versions that `.ci/packages` has installed uvloop for.
#[test]
fn tasks_of_uvloop_are_what_the_interpreter_says() {
    let folder = |minor: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages").join(minor);
    let has = |minor: &str| folder(minor).join("uvloop").is_dir();
    let required = std::env::var("PYMEM_TUI_REQUIRE").unwrap_or_default();
    for minor in ["3.10", "3.12", "3.13"].into_iter().filter(|m| required.split(',').any(|r| r == *m)) {
        assert!(has(minor), "uvloop is not installed for {minor}: run .ci/packages");
    }
    on_every_version(|interpreter| match has(&interpreter.minor) {
        true => check(interpreter, &["uvloop", folder(&interpreter.minor).to_str().unwrap()]),
        false => Ok(()),
    });
}

#[test]
fn ten_thousand_sleepers_are_one_line() {
    on_every_interpreter(|interpreter| {
        let (target, heap) = start(interpreter, &["10000"]);
        let answer = tasks(&heap, &Ask::all(false));
        let wrong = differences(&target, &answer, &heap);
        if !wrong.is_empty() {
            return Err(wrong.join("\n  ").chars().take(3000).collect());
        }
        let most = answer.forest.iter().map(|r| r.count).max();
        if most < Some(10_000) { Err(format!("the biggest crowd is of {most:?}")) } else { Ok(()) }
    });
}

#[test]
fn a_chain_of_ten_thousand_awaits_is_followed_to_its_end() {
    on_every_interpreter(|interpreter| {
        let (target, heap) = start(interpreter, &["deep", "10000"]);
        let answer = tasks(&heap, &Ask::all(false));
        let wrong = differences(&target, &answer, &heap);
        if !wrong.is_empty() {
            return Err(wrong.join("\n  ").chars().take(3000).collect());
        }
        match answer.tasks.iter().map(|t| t.stack.len()).max() {
            Some(10_001) => Ok(()),
            other => Err(format!("the longest chain is of {other:?}")),
        }
    });
}

/// Every word of every task, future and coroutine may be anything.
#[test]
fn damaged_tasks_are_told_all_the_same() {
    let Some(interpreter) = support::interpreters().into_iter().next_back() else { return };
    let (target, heap) = start(&interpreter, &[]);
    drop(target);
    let sound = tasks(&heap, &Ask::all(true));
    let mut targets: Vec<Addr> = sound.tasks.iter().map(|t| t.address).collect();
    targets.extend(sound.futures.iter().map(|f| f.address));
    targets.extend(sound.tasks.iter().flat_map(|t| &t.stack).filter_map(|f| f.generator));
    targets.extend(sound.futures.iter().filter_map(|f| f.waits_in.as_ref()).map(|w| w.address));
    let pieces: Vec<(Addr, Vec<u8>)> =
        heap.snapshot().regions().iter().map(|r| (r.start, r.bytes().to_vec())).collect();
    let metadata = heap.snapshot().metadata().cloned();
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let count = targets.len();
    let damage = proptest::collection::vec((0..count, 0u64..24, 0..count, 0u8..4, proptest::num::u64::ANY), 1..200);
    let different = std::cell::Cell::new(0);
    let result = runner.run(&damage, |damage| {
        let mut pieces = pieces.clone();
        for (of, word, other, how, any) in damage {
            // the type stays, so that what is damaged is still looked at
            let at = targets[of] + if word == 1 { 16 } else { word * 8 };
            let value = match how {
                0 => targets[other].0,
                1 => targets[of].0,
                2 => any % 64,
                _ => any,
            };
            let piece =
                pieces.iter_mut().find(|(start, bytes)| at >= *start && at.0 + 8 <= start.0 + bytes.len() as u64);
            if let Some((start, bytes)) = piece {
                let from = (at.0 - start.0) as usize;
                bytes[from..from + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        let snapshot = Snapshot::from_memory(pieces, metadata.clone());
        if let Ok(heap) = Heap::index(Arc::new(snapshot), &Progress::default()) {
            let answer = tasks(&heap, &Ask::all(true));
            different.set(different.get() + u32::from(answer != sound));
        }
        Ok(())
    });
    result.expect("no damage ends the program");
    assert!(different.get() > 12, "the damage was seen in {} of 24 heaps", different.get());
}

/// More than a hundred thousand tasks, each of which waits for the next one, and so do their coroutines: one circle, and
/// chains that are longer than any is followed.
#[test]
fn a_circle_of_all_tasks_is_told_in_bounds() {
    const TASKS: usize = 101_000;
    let Some(interpreter) = support::interpreters().into_iter().next_back() else { return };
    let target = Target::start(&interpreter, "heap.py", &["0", "--tasks", &TASKS.to_string()]);
    let snapshot = target.capture();
    let metadata = snapshot.metadata().cloned();
    let mut pieces: Vec<(Addr, Vec<u8>)> = snapshot.regions().iter().map(|r| (r.start, r.bytes().to_vec())).collect();
    let heap = Heap::index(Arc::new(snapshot), &Progress::default()).expect("the heap is indexed");
    drop(target);
    let fields = heap.types().iter().find(|(_, ty)| ty.name == "_asyncio.Task").and_then(|(_, ty)| ty.fields);
    let (_, waiter) = fields.expect("the layout of a task").refs.iter().find(|(n, _)| n == "_fut_waiter").unwrap();
    let sound = tasks(&heap, &Ask { rows: Some(50), ..Ask::default() });
    assert_eq!(sound.total.pending, TASKS as u64);
    let (Some(crowd), 1) = (sound.forest.first().map(|r| &r.tasks), sound.forest.len()) else {
        panic!("{} lines", sound.forest.len())
    };
    let memory = heap.memory();
    let innermost = |task: Addr| {
        let detail = pymem_tui::analysis::tasks::task(&heap, task).expect("a task");
        detail.stack.last().and_then(|f| f.generator).expect("a coroutine")
    };
    // where the coroutine keeps what it awaits is the same in all
    let first = innermost(crowd[0]);
    let slots = memory.generator_slots(first).expect("slots");
    let awaited = memory.awaited(first).expect("a future");
    // a local variable holds it as well
    let at =
        (0..slots.used).rev().map(|i| slots.first + i * 8).find(|a| memory.stack_ref(*a) == Some(awaited)).unwrap();
    let offset = at.0 - first.0;
    let mut put = |at: Addr, value: Addr| {
        let piece = pieces.iter_mut().find(|(start, b)| at >= *start && at.0 + 8 <= start.0 + b.len() as u64).unwrap();
        let from = (at.0 - piece.0.0) as usize;
        piece.1[from..from + 8].copy_from_slice(&value.0.to_le_bytes());
    };
    let coroutine_of = |task: Addr| memory.reader.pointer(task + coroutine_field(&heap)).expect("a coroutine");
    let inner_of = |task: Addr| memory.awaited(coroutine_of(task)).expect("a coroutine that is awaited");
    for (i, task) in crowd.iter().enumerate() {
        let next = crowd[(i + 1) % crowd.len()];
        put(*task + *waiter, next);
        put(Addr(inner_of(*task).0 + offset), inner_of(next));
    }
    let damaged = Snapshot::from_memory(pieces, metadata);
    let heap = Heap::index(Arc::new(damaged), &Progress::default()).expect("the heap is indexed");
    let answer = tasks(&heap, &Ask { rows: Some(50), ..Ask::default() });
    assert_eq!(answer.cycles.first().map(Vec::len), Some(TASKS));
    assert!(answer.verdicts[0].deadlock && answer.verdicts[0].sentence.len() < 10_000);
    // the first stands below the last once more
    assert!(answer.forest.len() == 50 && answer.total.rows == TASKS as u64 + 1, "{:?}", answer.total);
    assert!(!answer.problems.is_empty(), "chains that were cut are told");
}

fn coroutine_field(heap: &Heap) -> u64 {
    let fields = heap.types().iter().find(|(_, ty)| ty.name == "_asyncio.Task").and_then(|(_, ty)| ty.fields);
    fields.and_then(|f| f.refs.iter().find(|(n, _)| n == "_coro")).expect("the layout of a task").1
}
