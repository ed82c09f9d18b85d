//! What tasks and threads keep alive, threads without Python state, and who waits for the GIL, on live targets.

mod support;

use pymem_tui::analysis::answers::{Tasks, Thread, Threads};
use pymem_tui::analysis::retained::retaining;
use pymem_tui::analysis::tasks::{Ask, tasks};
use pymem_tui::analysis::threads::threads;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::sync::Arc;
use support::{Interpreter, Target, on_every_version};

/// `pause`, on x86-64.
const PAUSE: u32 = 34;

/// What a coroutine, its frame and its future take beside the big object, and what a thread does.
const BESIDE: u64 = 64 << 10;

fn start(interpreter: &Interpreter) -> Target {
    let target = Target::start(interpreter, "waits.py", &[]);
    target.wait_until_in(PAUSE);
    target
}

fn captured(target: &Target) -> Result<Heap, String> {
    Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())
}

/// The numbers of a line that begins with a word.
fn told(target: &Target, word: &str) -> Vec<u64> {
    let line = target.said.iter().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.expect(word).split(' ').map(|number| number.parse().expect("a number")).collect()
}

fn row(answer: &Threads, native_id: u64) -> Result<&Thread, String> {
    let row = answer.threads.iter().find(|t| t.native_id == Some(native_id));
    row.ok_or_else(|| format!("{native_id} is not among the threads"))
}

fn fits(what: &str, found: Option<u64>, payload: u64) -> Result<(), String> {
    match found {
        Some(bytes) if (payload..payload + BESIDE).contains(&bytes) => Ok(()),
        other => Err(format!("the {what} retains {other:?}, and holds {payload}")),
    }
}

/// A line of tasks that keep each other: what an inner one keeps is counted with the outer one alone.
fn nested(answer: &Tasks, told: &[u64]) -> Result<(), String> {
    let [one, other, count, each] = *told else { return Err(format!("{told:?}")) };
    let line = answer.forest.iter().find(|row| row.tasks.contains(&Addr(one)));
    let line = line.ok_or("the nested tasks are no crowd")?;
    let kept = |id: u64| answer.tasks.iter().find(|t| t.address == Addr(id)).and_then(|t| t.retained_bytes);
    fits("outer task", kept(one), count * each)?;
    let together = kept(one).zip(kept(other)).map(|(a, b)| a + b);
    let singly: u64 = line.tasks.iter().filter_map(|t| kept(t.0)).sum();
    if line.count != 2 * count || line.retained_bytes != together || Some(singly) <= together {
        return Err(format!("{} nested tasks keep {:?}, not {together:?}", line.count, line.retained_bytes));
    }
    Ok(())
}

#[test]
fn tasks_and_threads_are_told_with_what_they_keep_alive() {
    on_every_version(|interpreter| {
        let target = start(interpreter);
        let heap = captured(&target)?;
        let found = retaining(&heap, &Progress::default()).map_err(|e| e.to_string())?;
        let (heavy, light) = (told(&target, "task"), told(&target, "light"));
        let answer = tasks(&heap, &Ask { retaining: Some(Arc::new(found.clone())), ..Ask::default() });
        let of = |id: u64| answer.tasks.iter().find(|t| t.address == Addr(id)).and_then(|t| t.retained_bytes);
        fits("heavy task", of(heavy[0]), heavy[1])?;
        fits("light task", of(light[0]), 0)?;
        let first = answer.forest.first().map(|r| (r.address.0, r.retained_bytes));
        if first != Some((heavy[0], of(heavy[0]))) {
            return Err(format!("the first line is of {first:x?}, not {:x}", heavy[0]));
        }
        if !answer.forest.is_sorted_by_key(|r| std::cmp::Reverse(r.retained_bytes)) {
            return Err(format!("the lines are not in order: {:?}", answer.forest));
        }
        let mut without = tasks(&heap, &Ask::default()).forest.into_iter().map(|r| r.retained_bytes);
        if without.len() < 3 || without.any(|bytes| bytes.is_some()) {
            return Err("what nobody asked for is told".into());
        }
        nested(&answer, &told(&target, "nested"))?;
        let mut answer = threads(&heap);
        found.order(&mut answer);
        let keeps = told(&target, "thread");
        fits("heavy thread", row(&answer, keeps[0])?.retained_bytes, keeps[1])?;
        match answer.threads.first().map(|t| t.native_id) {
            Some(Some(id)) if id == keeps[0] => Ok(()),
            other => Err(format!("the first thread is {other:?}, not {}", keeps[0])),
        }
    });
}

#[test]
fn threads_without_python_and_those_that_wait_for_the_gil_are_told() {
    on_every_version(|interpreter| {
        let target = start(interpreter);
        let native = told(&target, "native")[0];
        let wants = told(&target, "wants")[0];
        let main = u64::try_from(target.pid).unwrap();
        // the wait is a sequence of short ones, with a moment between them
        let mut seen = Vec::new();
        for _ in 0..20 {
            let answer = threads(&captured(&target)?);
            let one = row(&answer, native)?;
            let facts = (one.ident, one.interpreter, one.name.as_deref(), one.syscall.as_deref(), one.frames.len());
            if facts != (None, None, Some("native-one"), Some("pause"), 0) || one.retained_bytes.is_some() {
                return Err(format!("the native thread is told as {facts:?}"));
            }
            let main = row(&answer, main)?;
            let one = row(&answer, wants)?;
            let facts = (one.name.as_deref(), one.kernel_name.as_deref(), one.daemon, one.holds_gil);
            if facts != (Some("wants"), Some("kernel-name"), Some(true), false) || !main.holds_gil {
                return Err(format!("{facts:?} is told of a thread, {} of the main one", main.holds_gil));
            }
            if main.waits_for_gil == Some(true) || main.syscall.as_deref() != Some("pause") {
                return Err(format!(
                    "the main thread is in {:?}, waits for the GIL: {:?}",
                    main.syscall, main.waits_for_gil
                ));
            }
            seen.push(one.waits_for_gil);
            if one.waits_for_gil == Some(true) {
                return Ok(());
            }
        }
        Err(format!("the thread that wants the GIL is told as {seen:?}"))
    });
}
