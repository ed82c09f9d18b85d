//! Which lock each thread waits for, who has it, and what is a deadlock, compared with what the program built.

mod support;

use pymem_tui::analysis::answers::{Certainty, Threads};
use pymem_tui::analysis::threads::threads;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Snapshot;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::{Interpreter, Target, on_every_interpreter, on_every_version};

/// `pause`, on x86-64.
const PAUSE: u32 = 34;

/// A healthy answer takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// The line of the holder's `with`.
    held_at: Option<u32>,
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
            held_at: w.held_at.as_ref().and_then(|at| at.line),
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

/// Words of objects and of stacks get other values, with a fixed seed: an answer must come, in time, without a panic.
#[test]
fn damaged_locks_and_frames_are_answered_about() {
    on_every_version(|interpreter| {
        let target = Target::start(interpreter, "locks.py", &[]);
        target.wait_until_in(PAUSE);
        let snapshot = target.capture();
        let metadata = snapshot.metadata().cloned();
        let pieces: Vec<_> = snapshot.regions().iter().map(|r| (r.start, r.bytes().to_vec())).collect();
        let heap = Heap::index(Arc::new(snapshot), &Progress::default()).map_err(|e| e.to_string())?;
        let memory = heap.memory();
        // what the answer is made of: locks, what has them, and the frames
        let of_interest = ["_thread.", "threading.", "contextlib.", "builtin_function", "method", "code", "frame"];
        let named = heap.objects().iter().filter(|(.., ty)| {
            let name = &heap.types().get(*ty).name;
            of_interest.iter().any(|n| name.starts_with(n)) || name == "generator" || name == "dict"
        });
        let mut places: Vec<u64> = named.map(|(_, at, _)| at.0).collect();
        let threads_of = |i: &_| memory.threads(i).0;
        let all: Vec<_> = heap.interpreter().interpreters.iter().flat_map(threads_of).collect();
        let frames = all.iter().flat_map(|t| memory.stack(t.address).frames).map(|f| f.address.0);
        let frames: Vec<u64> = frames.chain(all.iter().map(|t| t.address.0)).collect();
        assert!(places.len() > 1000 && frames.len() > 100, "{} objects, {} frames", places.len(), frames.len());
        // as likely as all objects together
        let copies = places.len() / frames.len();
        (0..copies).for_each(|_| places.extend(&frames));
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..6 {
            let mut damaged = pieces.clone();
            for _ in 0..50 << round {
                let at = places[(next() % places.len() as u64) as usize] + next() % 16 * 8;
                let value = match next() % 4 {
                    0 => places[(next() % places.len() as u64) as usize],
                    1 => next(),
                    2 => next() % 100,
                    _ => u64::MAX >> (next() % 64),
                };
                let piece = damaged.iter_mut().find(|(s, b)| s.0 <= at && at + 8 <= s.0 + b.len() as u64);
                if let Some((start, bytes)) = piece {
                    bytes[(at - start.0) as usize..][..8].copy_from_slice(&value.to_le_bytes());
                }
            }
            let snapshot = Arc::new(Snapshot::from_memory(damaged, metadata.clone()));
            let (done, ended) = mpsc::channel();
            std::thread::spawn(move || {
                let answer = Heap::index(snapshot, &Progress::default()).map(|heap| threads(&heap));
                let _ = done.send(answer.map(|a| (a.deadlocks.len(), a.explained.len())).ok());
            });
            // a panic closes the channel
            match ended.recv_timeout(PATIENCE) {
                Ok(None) => {}
                Ok(Some((deadlocks, explained))) if deadlocks == explained => {}
                other => return Err(format!("round {round}: {other:?}")),
            }
        }
        Ok(())
    });
}
