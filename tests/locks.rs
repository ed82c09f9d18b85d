//! Which lock each thread waits for, who has it, and what is a deadlock, compared with what the program built.

mod support;

use pymem_tui::analysis::answers::{Certainty, Threads};
use pymem_tui::analysis::threads::threads;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter};

/// `pause`, on x86-64.
const PAUSE: u32 = 34;

/// A `thread` line of `tests/targets/locks.py`.
#[derive(Debug, Deserialize)]
struct Told {
    name: String,
    native_id: u64,
    waits: Option<ToldWait>,
    holds: Vec<u64>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct ToldWait {
    what: String,
    lock: Option<u64>,
    holder: Option<String>,
    certainty: Option<String>,
    candidates: Vec<String>,
    timeout: bool,
}

fn differences(answer: &Threads, told: &[Told], deadlocks: &BTreeSet<Vec<String>>) -> Vec<String> {
    let mut names: BTreeMap<u64, &str> = told.iter().map(|t| (t.native_id, t.name.as_str())).collect();
    names.extend(answer.threads.iter().filter_map(|t| Some((t.native_id?, t.name.as_deref()?))));
    let name = |id: &u64| names.get(id).map_or_else(|| id.to_string(), |n| (*n).to_owned());
    let mut wrong = answer.problems.clone();
    for one in told {
        let Some(row) = answer.threads.iter().find(|t| t.native_id == Some(one.native_id)) else {
            wrong.push(format!("{} is not among the threads", one.name));
            continue;
        };
        let found = row.waits_for.as_ref().map(|w| ToldWait {
            what: w.what.clone(),
            // what the program cannot name is not compared
            lock: one.waits.as_ref().and_then(|t| t.lock).map(|_| w.address.0),
            holder: w.holder.as_ref().map(name),
            certainty: w.certainty.map(|c| if c == Certainty::Owner { "owner" } else { "frame" }.to_owned()),
            candidates: w.candidates.iter().map(name).collect::<BTreeSet<_>>().into_iter().collect(),
            timeout: w.timeout,
        });
        if found != one.waits {
            wrong.push(format!("{}: {found:?}\n    should be {:?} ({:?})", one.name, one.waits, row.syscall));
        }
        let holds: BTreeSet<u64> = row.holds.iter().map(|a| a.0).collect();
        if holds != one.holds.iter().copied().collect() {
            wrong.push(format!("{}: holds {holds:x?}, not {:x?}", one.name, one.holds));
        }
    }
    let mut found = BTreeSet::new();
    for (cycle, sentence) in answer.deadlocks.iter().zip(&answer.explained) {
        let mut members: Vec<String> = cycle.iter().map(name).collect();
        if !members.iter().all(|m| sentence.contains(m.as_str())) {
            wrong.push(format!("{members:?} are not all named in: {sentence}"));
        }
        members.sort();
        found.insert(members);
    }
    if found != *deadlocks || answer.deadlocks.len() != deadlocks.len() {
        wrong.push(format!("the deadlocks are {found:?}\n    and should be {deadlocks:?}"));
    }
    let stuck: usize = deadlocks.iter().map(Vec::len).sum();
    let first = answer.threads.iter().take(stuck).filter_map(|t| t.name.clone());
    let listed: BTreeSet<String> = first.collect();
    if listed != deadlocks.iter().flatten().cloned().collect() {
        wrong.push(format!("the first {stuck} threads are {listed:?}"));
    }
    wrong
}

fn check(interpreter: &Interpreter, arguments: &[&str]) -> Result<(), String> {
    let target = Target::start(interpreter, "locks.py", arguments);
    target.wait_until_in(PAUSE);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
    let lines = |prefix: &'static str| target.said.iter().filter_map(move |line| line.strip_prefix(prefix));
    let told: Vec<Told> = lines("thread ").map(|json| serde_json::from_str(json).expect("a thread")).collect();
    let deadlocks = lines("deadlock ").map(|json| serde_json::from_str(json).expect("names")).collect();
    let answer = threads(&heap);
    let mut wrong = differences(&answer, &told, &deadlocks);
    println!(
        "{} {arguments:?}: {} threads, {} deadlocks, {} differences; {}",
        interpreter.name,
        told.len(),
        deadlocks.len(),
        wrong.len(),
        answer.explained.first().map_or("none", String::as_str)
    );
    wrong.truncate(12);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ").chars().take(6000).collect()) }
}

#[test]
fn locks_holders_and_deadlocks_are_those_of_the_program() {
    on_every_interpreter(|interpreter| check(interpreter, &[]));
}

#[test]
fn a_busy_thread_holds_its_lock_and_is_no_deadlock() {
    on_every_interpreter(|interpreter| check(interpreter, &["busy"]));
}
