//! The verdict: what stands out in a process, in plain sentences.
//!
//! It reads answers, never memory: each function takes what another analysis found and says what a person should know
//! of it. What is sure is said as sure, what is a guess as a guess. Who shows the sentences, and where they lead, is
//! the reader's business.

use super::answers::{
    Aspect, Finding, Footprint, Leaks, Phrase, Severity, Subject, Task, Tasks, Thread, Threads, Types,
};
use crate::snapshot::Addr;
use crate::text;
use std::collections::HashMap;

/// Sentences of one kind; the rest is told as a number.
const MOST: usize = 8;
/// Names told of a cycle.
const NAMES: usize = 6;
/// So many tasks at one place are worth a sentence, and so many are a warning.
const CROWD: u64 = 100;
const THRONG: u64 = 1_000;
/// A type with at least this share of all bytes is worth a sentence, in per cent.
const BIG: u64 = 20;

/// Suspects that are told, and the share of the heap from which on one is a warning, in per cent.
const SUSPECTS: usize = 5;
const LEAK: u64 = 20;
/// So much of the resident memory for one of the usual causes is a warning, in per cent.
const MUCH: u64 = 25;

/// A sentence as it is put together.
#[derive(Default)]
struct Sentence(Vec<Phrase>);

impl Sentence {
    fn words(mut self, text: impl Into<String>) -> Self {
        self.0.push(Phrase::Words(text.into()));
        self
    }
    fn number(mut self, text: impl Into<String>) -> Self {
        self.0.push(Phrase::Number(text.into()));
        self
    }
    fn name(mut self, text: impl Into<String>) -> Self {
        self.0.push(Phrase::Name(text.into()));
        self
    }
    fn place(mut self, text: impl Into<String>) -> Self {
        self.0.push(Phrase::Place(text.into()));
        self
    }
    fn kind(mut self, text: impl Into<String>) -> Self {
        self.0.push(Phrase::Type(text.into()));
        self
    }
    fn finding(self, severity: Severity, aspect: Aspect, subject: Option<Subject>) -> Finding {
        Finding { severity, aspect, sentence: self.0, subject }
    }
}

/// A type that takes a good part of all bytes.
pub fn types(types: &Types) -> Vec<Finding> {
    let total = types.total.shallow_bytes;
    let Some(first) = types.types.first().filter(|row| row.shallow_bytes.saturating_mul(100) >= total * BIG) else {
        return Vec::new();
    };
    if total == 0 {
        return Vec::new();
    }
    let share = (first.shallow_bytes as f64 * 100.0 / total as f64).round();
    let objects = if first.count == 1 { "object" } else { "objects" };
    let sentence = Sentence::default()
        .number(text::count(first.count))
        .words(format!(" {objects} of type "))
        .kind(&first.name)
        .words(" take ")
        .number(format!("{} ({share} %)", text::size(first.shallow_bytes)))
        .words(" of all Python objects");
    vec![sentence.finding(Severity::Note, Aspect::Types, Some(Subject::Type(first.address)))]
}

/// Deadlocks of threads.
pub fn threads(threads: &Threads) -> Vec<Finding> {
    let mut found = Vec::new();
    for (members, sentence) in threads.deadlocks.iter().zip(&threads.explained).take(MOST) {
        let subject = members.first().map(|id| Subject::Thread(*id));
        let text = Sentence::default().words("deadlock of threads: ").words(sentence);
        found.push(text.finding(Severity::Stuck, Aspect::Threads, subject));
    }
    more(&mut found, threads.deadlocks.len(), "deadlocks of threads", Severity::Stuck, Aspect::Threads);
    found
}

/// Tasks that wait for each other, loops that do not turn, crowds at one place.
pub fn tasks(tasks: &Tasks, threads: &Threads) -> Vec<Finding> {
    let by_address: HashMap<Addr, &Task> = tasks.tasks.iter().map(|t| (t.address, t)).collect();
    let mut found = cycles(tasks, &by_address);
    found.extend(blocked_loops(tasks, threads));
    found.extend(crowds(tasks, &by_address));
    found
}

fn cycles(tasks: &Tasks, by_address: &HashMap<Addr, &Task>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (members, verdict) in tasks.cycles.iter().zip(&tasks.verdicts).take(MOST) {
        let named: Vec<&Task> = members.iter().filter_map(|a| by_address.get(a).copied()).collect();
        let sentence = match named.len() {
            0 => Sentence::default().number(text::count(members.len() as u64)).words(" futures wait for each other"),
            1 => Sentence::default().words("one task waits for itself"),
            n => Sentence::default().number(text::count(n as u64)).words(" tasks wait for each other"),
        };
        let mut sentence = match verdict.wakers.first() {
            _ if verdict.deadlock => sentence.words(" and will never finish: "),
            Some(waker) => sentence.words(format!(" until {waker}: ")),
            None => sentence.words(": "),
        };
        for (i, task) in named.iter().take(NAMES).enumerate() {
            let name = task.name.as_deref().or(task.coro.as_deref()).unwrap_or("?");
            sentence = if i == 0 { sentence } else { sentence.words(" → ") }.name(name);
        }
        if named.len() > NAMES {
            sentence = sentence.words(format!(" → … {} more", text::count((named.len() - NAMES) as u64)));
        }
        if let Some(first) = named.first() {
            sentence = sentence.words(" → ").name(first.name.as_deref().or(first.coro.as_deref()).unwrap_or("?"));
        }
        let severity = if verdict.deadlock { Severity::Stuck } else { Severity::Note };
        let subject = named.first().map(|t| t.address).or(members.first().copied()).map(Subject::Task);
        found.push(sentence.finding(severity, Aspect::Tasks, subject));
    }
    let deadlocks = tasks.verdicts.iter().any(|v| v.deadlock);
    let severity = if deadlocks { Severity::Stuck } else { Severity::Note };
    more(&mut found, tasks.cycles.len(), "cycles of tasks", severity, Aspect::Tasks);
    found
}

/// Threads that are inside a task's or a callback's own code, so that nothing else of their loop goes on. A thread
/// that the kernel saw asleep there blocks its loop; one that runs was merely caught at work.
fn blocked_loops(tasks: &Tasks, threads: &Threads) -> Vec<Finding> {
    let running: HashMap<Addr, &Task> =
        tasks.tasks.iter().filter(|t| t.running).filter_map(|t| Some((t.coroutine?, t))).collect();
    let mut found = Vec::new();
    for thread in &threads.threads {
        let task = thread.frames.iter().find_map(|f| running.get(&f.generator?).copied());
        let callback = || thread.frames.iter().any(|f| f.function.ends_with("Handle._run") && is_asyncio(&f.file));
        if task.is_none() && !callback() {
            continue;
        }
        let Some(frame) = thread.frames.first() else { continue };
        let asleep = matches!(thread.state, Some("sleeping" | "waiting for a device")) && !is_waiting_for_gil(thread);
        let line = frame.line.map(|n| format!(":{n}")).unwrap_or_default();
        let mut sentence = Sentence::default()
            .words("the event loop of ")
            .name(thread.name.as_deref().unwrap_or("a thread"))
            .words(if asleep { " is blocked in " } else { " is running " })
            .place(format!("{}() {}{line}", frame.function, base(&frame.file)));
        if let Some(call) = thread.syscall.as_ref().filter(|_| asleep) {
            sentence = sentence.words(format!(" ({call})"));
        }
        if let Some(task) = task {
            sentence = sentence.words(", in task ").name(task.name.as_deref().or(task.coro.as_deref()).unwrap_or("?"));
        }
        if asleep {
            sentence = sentence.words(": no other task of it goes on");
        }
        let severity = if asleep { Severity::Warning } else { Severity::Note };
        found.push(sentence.finding(severity, Aspect::Tasks, thread.native_id.map(Subject::Thread)));
    }
    let all = found.len();
    found.truncate(MOST);
    more(&mut found, all, "threads inside their loops' callbacks", Severity::Note, Aspect::Tasks);
    found
}

fn is_waiting_for_gil(thread: &Thread) -> bool {
    thread.waits_for_gil == Some(true)
}

fn is_asyncio(file: &str) -> bool {
    file.ends_with("asyncio/events.py")
}

fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Many tasks that stand at one place, the largest crowds first.
fn crowds(tasks: &Tasks, by_address: &HashMap<Addr, &Task>) -> Vec<Finding> {
    let mut found = Vec::new();
    for group in tasks.groups.iter().filter(|group| group.count >= CROWD).take(3) {
        let first = group.tasks.first().copied();
        let place = group.place.as_ref().map_or_else(
            || group.coro.clone(),
            |p| format!("{}() {}{}", p.function, base(&p.file), p.line.map(|n| format!(":{n}")).unwrap_or_default()),
        );
        let mut sentence =
            Sentence::default().number(text::count(group.count)).words(" tasks wait at the same place: ").place(place);
        if !group.coro.is_empty() && group.place.as_ref().is_some_and(|p| p.function != group.coro) {
            sentence = sentence.words(" in ").place(&group.coro);
        }
        let waits_in = first.and_then(|a| by_address.get(&a)).and_then(|t| t.waits_in.as_ref());
        if let Some(kind) = group.waits_in {
            sentence = sentence.words(format!(", for a {kind}"));
        }
        if let Some(holder) = waits_in.and_then(|w| w.holder) {
            let name = by_address.get(&holder).and_then(|t| t.name.as_deref()).unwrap_or("?");
            sentence = sentence.words(" held by ").name(name);
        }
        let severity = if group.count >= THRONG { Severity::Warning } else { Severity::Note };
        found.push(sentence.finding(severity, Aspect::Tasks, first.map(Subject::Task)));
    }
    found
}

/// What looks like a leak, the most bytes first.
pub fn leaks(leaks: &Leaks) -> Vec<Finding> {
    let mut found = Vec::new();
    for suspect in leaks.suspects.iter().take(SUSPECTS) {
        let big = suspect.retained_bytes.saturating_mul(100) >= leaks.heap_bytes.saturating_mul(LEAK);
        let severity = if big { Severity::Warning } else { Severity::Note };
        // its name stands out where the sentence has it
        let name = suspect.name.as_deref().filter(|name| !name.is_empty());
        let sentence = match name.and_then(|name| suspect.reason.split_once(name).map(|around| (around, name))) {
            Some(((before, after), name)) => Sentence::default().words(before).name(name).words(after),
            None => Sentence::default().words(&suspect.reason),
        };
        found.push(sentence.finding(severity, Aspect::Leaks, Some(Subject::Retained(suspect.address))));
    }
    found
}

/// Where the memory went, as far as a usual cause explains it. That objects take it is no news here.
pub fn memory(footprint: &Footprint) -> Vec<Finding> {
    let all = footprint.resident_bytes.unwrap_or_else(|| footprint.rows.iter().map(|row| row.bytes).sum());
    let told = footprint.findings.iter().filter(|finding| finding.kind != "objects");
    let finding = |finding: &super::answers::MemoryFinding| {
        let big = finding.bytes.saturating_mul(100) >= all.saturating_mul(MUCH);
        let severity = if big && finding.kind != "files" { Severity::Warning } else { Severity::Note };
        let sentence = Sentence::default().words(&finding.sentence);
        sentence.finding(severity, Aspect::Memory, Some(Subject::Memory(finding.kind)))
    };
    told.take(3).map(finding).collect()
}

/// `… 12 more deadlocks of threads`.
fn more(found: &mut Vec<Finding>, all: usize, what: &str, severity: Severity, aspect: Aspect) {
    let Some(rest) = all.checked_sub(MOST).filter(|n| *n > 0) else { return };
    let sentence = Sentence::default().words("… ").number(text::count(rest as u64)).words(format!(" more {what}"));
    found.push(sentence.finding(severity, aspect, None));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answers::{Frame, Group, Place, Total, TypeRow, Verdict, WaitsIn};

    fn task(address: u64, name: &str) -> Task {
        Task { address: Addr(address), name: Some(name.into()), ..Task::default() }
    }

    fn said(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|f| format!("{} {}", f.severity.mark(), f.text())).collect()
    }

    #[test]
    fn a_cycle_is_told_closed_and_one_that_breaks_is_no_deadlock() {
        let tasks_ = Tasks {
            tasks: vec![task(1, "a"), task(2, "b"), task(3, "c")],
            cycles: vec![vec![Addr(1), Addr(9), Addr(2)], vec![Addr(3)]],
            verdicts: vec![
                Verdict { deadlock: true, ..Verdict::default() },
                Verdict { wakers: vec!["the timeout of c".into()], ..Verdict::default() },
            ],
            ..Tasks::default()
        };
        let found = tasks(&tasks_, &Threads::default());
        assert_eq!(
            said(&found),
            [
                "✗ 2 tasks wait for each other and will never finish: a → b → a",
                "● one task waits for itself until the timeout of c: c → c",
            ]
        );
        assert_eq!(found[0].subject, Some(Subject::Task(Addr(1))));
    }

    #[test]
    fn long_cycles_and_many_of_them_are_cut_and_counted() {
        let tasks_ = Tasks {
            tasks: (0..1000).map(|i| task(i, "t")).collect(),
            cycles: (0..10).map(|_| (0..1000).map(Addr).collect()).collect(),
            verdicts: vec![Verdict { deadlock: true, ..Verdict::default() }; 10],
            ..Tasks::default()
        };
        let found = said(&tasks(&tasks_, &Threads::default()));
        assert_eq!(found.len(), MOST + 1);
        assert!(found[0].ends_with("t → t → t → t → t → t → … 994 more → t"), "{}", found[0]);
        assert_eq!(found[MOST], "✗ … 2 more cycles of tasks");
    }

    #[test]
    fn a_loop_is_blocked_by_what_sleeps_in_it_not_by_what_waits_for_events() {
        let frame = |function: &str, file: &str, generator| Frame {
            function: function.into(),
            file: file.into(),
            line: Some(7),
            generator,
            ..Frame::default()
        };
        let thread = |frames, state| Thread {
            name: Some("main".into()),
            native_id: Some(5),
            state: Some(state),
            frames,
            syscall: Some("read".into()),
            ..Thread::default()
        };
        let run = || frame("Handle._run", "/usr/lib/python3.12/asyncio/events.py", None);
        let of = |frames: Vec<Frame>, state| {
            let threads = Threads { threads: vec![thread(frames, state)], ..Threads::default() };
            let running = Task { running: true, coroutine: Some(Addr(64)), ..task(1, "job") };
            said(&tasks(&Tasks { tasks: vec![running], ..Tasks::default() }, &threads))
        };
        let blocked =
            of(vec![frame("load", "/srv/app.py", None), frame("go", "/srv/app.py", Some(Addr(64))), run()], "sleeping");
        assert_eq!(
            blocked,
            ["▲ the event loop of main is blocked in load() app.py:7 (read), in task job: no other task of it goes on"]
        );
        let callback = of(vec![frame("load", "/srv/app.py", None), run()], "running");
        assert_eq!(callback, ["● the event loop of main is running load() app.py:7"]);
        assert!(of(vec![frame("EpollSelector.select", "/usr/lib/selectors.py", None)], "sleeping").is_empty());
    }

    #[test]
    fn crowds_and_big_types_are_sentences() {
        let place = Place { function: "read".into(), file: "/usr/lib/stream.py".into(), line: Some(41) };
        let group = Group {
            count: 9210,
            coro: "handle".into(),
            place: Some(place),
            waits_in: Some("lock"),
            tasks: vec![Addr(1)],
        };
        let waits_in = Some(WaitsIn { kind: "lock", holder: Some(Addr(2)), ..WaitsIn::default() });
        let tasks_ = Tasks {
            tasks: vec![Task { waits_in, ..task(1, "t") }, task(2, "holder")],
            groups: vec![group.clone(), Group { count: CROWD - 1, ..group }],
            ..Tasks::default()
        };
        assert_eq!(
            said(&tasks(&tasks_, &Threads::default())),
            ["▲ 9,210 tasks wait at the same place: read() stream.py:41 in handle, for a lock held by holder"]
        );
        let big = |bytes| {
            let types = vec![TypeRow { name: "bytes".into(), address: Addr(3), count: 2, shallow_bytes: bytes }];
            said(&super::types(&Types { types, total: Total { count: 9, shallow_bytes: 1000 } }))
        };
        assert_eq!(big(790), ["● 2 objects of type bytes take 790 B (79 %) of all Python objects"]);
        assert!(big(199).is_empty());
        assert!(super::types(&Types::default()).is_empty());
    }
}
