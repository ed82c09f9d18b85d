//! Tasks, their awaits, their cycles and the holders of their locks, compared with what the target says of them.

mod support;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pymem_tui::analysis::answers::{Task, Tasks};
use pymem_tui::analysis::tasks::{Ask, tasks};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter};

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
}

#[derive(Debug, Deserialize, PartialEq)]
struct ToldFrame {
    id: u64,
    function: String,
    line: u32,
    columns: [Option<u32>; 2],
}

#[derive(Debug, Deserialize, PartialEq, PartialOrd, Eq, Ord)]
struct Cycle {
    tasks: BTreeSet<u64>,
    ends: bool,
}

#[derive(Debug, Deserialize)]
struct Lock {
    lock: u64,
    holder: Option<u64>,
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

fn as_told(task: &Task) -> Told {
    let frame = |f: &pymem_tui::analysis::answers::Frame| ToldFrame {
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
    }
}

fn cycles(answer: &Tasks) -> Vec<Cycle> {
    let is_task = |a: &&Addr| answer.tasks.iter().any(|t| t.address == **a);
    let pairs = answer.cycles.iter().zip(&answer.verdicts);
    let mut found: Vec<Cycle> = pairs
        .map(|(members, verdict)| Cycle {
            tasks: members.iter().filter(is_task).map(|a| a.0).collect(),
            ends: !verdict.deadlock,
        })
        .collect();
    found.sort();
    found
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

fn differences(target: &Target, answer: &Tasks) -> Vec<String> {
    let by_address: BTreeMap<u64, &Task> = answer.tasks.iter().map(|t| (t.address.0, t)).collect();
    let told: Vec<Told> = lines(target, "task");
    let mut wrong = answer.problems.clone();
    for one in &told {
        match by_address.get(&one.id).map(|t| as_told(t)) {
            Some(found) if found == *one => {}
            found => wrong.push(format!("{found:?} should be {one:?}")),
        }
    }
    let mut expected: Vec<Cycle> = lines(target, "cycle");
    expected.sort();
    let found = cycles(answer);
    if found != expected {
        wrong.push(format!("the cycles are {found:?} and should be {expected:?}"));
    }
    for lock in lines::<Lock>(target, "lock") {
        let waits = answer.futures.iter().filter_map(|f| f.waits_in.as_ref()).filter(|w| w.address.0 == lock.lock);
        let holders: Vec<Option<u64>> = waits.map(|w| w.holder.map(|h| h.0)).collect();
        if holders.is_empty() || holders.iter().any(|h| *h != lock.holder) {
            wrong.push(format!("{lock:?} is held by {holders:?}"));
        }
    }
    for (name, kind) in WAITS_IN {
        let task = answer.tasks.iter().find(|t| t.name.as_deref() == Some(name));
        let found = task.and_then(|t| t.waits_in.as_ref()).map(|w| w.kind);
        if found != Some(kind) {
            wrong.push(format!("{name} waits in {found:?}"));
        }
    }
    let workers: Vec<u64> = lines(target, "worker");
    let waits = answer.futures.iter().filter_map(|f| f.waits_in.as_ref()).filter(|w| w.kind == "executor");
    let found: Vec<u64> = waits.filter_map(|w| w.thread).collect();
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
    let answer = tasks(&heap, &Ask::all(false));
    let wrong = differences(&target, &answer);
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
fn ten_thousand_sleepers_are_one_line() {
    on_every_interpreter(|interpreter| {
        let (target, heap) = start(interpreter, &["10000"]);
        let answer = tasks(&heap, &Ask::all(false));
        let wrong = differences(&target, &answer);
        if !wrong.is_empty() {
            return Err(wrong.join("\n  ").chars().take(3000).collect());
        }
        let most = answer.forest.iter().map(|r| r.count).max();
        if most < Some(10_000) { Err(format!("the biggest crowd is of {most:?}")) } else { Ok(()) }
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
