//! Threads and their stacks, compared with what the threads' own interpreter says of them.

mod support;

use pymem_tui::analysis::answers::{Direction, Frame, Thread};
use pymem_tui::analysis::threads::threads as threads_of;
use pymem_tui::cpython::{Memory, StackFrame, ThreadState};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Region, Snapshot};
use pymem_tui::worker;
use pymem_tui::worker::protocol::{Answer, Request, SourceId, Ticket, Update};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use support::{Interpreter, Target, on_every_interpreter, on_every_version};

/// `pause`, on x86-64.
const PAUSE: u32 = 34;

/// A healthy answer takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `thread` line of `tests/targets/threads.py`.
#[derive(Debug, Deserialize)]
struct Told {
    ident: u64,
    native_id: u64,
    name: String,
    /// Those of a thread that is in two interpreters, or tells of itself, are not told.
    frames: Option<Vec<ToldFrame>>,
    handled: Option<u64>,
    /// 0 is the main one.
    #[serde(default)]
    interpreter: i64,
    daemon: Option<bool>,
}

/// A `tree` line: an object and what it holds.
#[derive(Debug, Deserialize)]
struct Tree(u64, Vec<Tree>);

#[derive(Debug, Deserialize, PartialEq)]
struct ToldFrame {
    function: String,
    qualified: Option<String>,
    file: String,
    line: Option<u32>,
    /// The line of the expression's end, its columns.
    position: Option<[Option<u32>; 3]>,
    locals: Option<BTreeMap<String, u64>>,
}

struct Found<'a> {
    heap: &'a Heap,
    memory: Memory<'a>,
    threads: Vec<ThreadState>,
}

impl Found<'_> {
    fn text(&self, code: Addr, offset: Option<u64>) -> Option<String> {
        Some(self.memory.text(self.memory.reader.pointer(code + offset?)?, 1000)?.0)
    }

    /// What the frame is, as the target tells it; line and locals only where the target tells them.
    fn frame(&self, frame: &StackFrame, told: &ToldFrame) -> ToldFrame {
        let c = &self.memory.layout.structs.code;
        let slots = self.memory.stack_slots(frame);
        let locals = slots.map(|s| self.memory.locals(&s, self.heap.types(), usize::MAX)).unwrap_or_default();
        // code that is not optimised (bit 0 of co_flags) keeps its names in a dict
        let optimised = self.memory.reader.u32(frame.code + c.co_flags).is_some_and(|flags| flags & 1 != 0);
        let locals = locals.into_iter().filter(|_| optimised);
        let named = locals.map(|(name, value)| (self.memory.text(name, 1000).unwrap_or_default().0, value.0));
        ToldFrame {
            function: self.text(frame.code, Some(c.co_name)).unwrap_or_default(),
            qualified: self.text(frame.code, c.co_qualname),
            file: self.text(frame.code, Some(c.co_filename)).unwrap_or_default(),
            line: told.line.and_then(|_| self.memory.stack_line(frame)),
            position: told.position.map(|_| {
                let at = self.memory.position(frame.code, frame.instruction);
                [at.end_line, at.column, at.end_column]
            }),
            locals: told.locals.is_some().then(|| named.collect()),
        }
    }

    fn differences(&self, told: &Told) -> Vec<String> {
        let of = |t: &&ThreadState| (t.ident, t.interpreter) == (told.ident, told.interpreter);
        // a subinterpreter may keep a state of the thread that made it, in which nothing runs
        let depth = |t: &&ThreadState| self.memory.stack(t.address).frames.len();
        let Some(thread) = self.threads.iter().filter(of).max_by_key(depth) else {
            return vec![format!("{}: its thread state is not found", told.name)];
        };
        let mut wrong = Vec::new();
        if thread.native_id != Some(told.native_id) {
            wrong.push(format!("{}: native id {:?}, not {}", told.name, thread.native_id, told.native_id));
        }
        let stack = self.memory.stack(thread.address);
        if !stack.whole || told.frames.as_ref().is_some_and(|frames| frames.len() != stack.frames.len()) {
            wrong.push(format!("{}: {} frames, not {:?}", told.name, stack.frames.len(), told.frames));
        }
        for (i, (frame, told_frame)) in stack.frames.iter().zip(told.frames.iter().flatten()).enumerate() {
            let found = self.frame(frame, told_frame);
            if found != *told_frame {
                wrong.push(format!("{}: frame {i} is {found:?} and should be {told_frame:?}", told.name));
            }
            let of_generator = ["generate", "<genexpr>", "awaited", "awaiting", "asynchronous_generator"];
            let owner = frame.generator.and_then(|g| self.heap.object_at(g)).map(|(_, ty)| ty.name.as_str());
            let is_owned = matches!(owner, Some("generator" | "coroutine" | "async_generator"));
            if is_owned != of_generator.contains(&told_frame.function.as_str()) {
                wrong.push(format!("{}: frame {i} ({}) belongs to {owner:?}", told.name, told_frame.function));
            }
        }
        let is_exception = |a: &Addr| self.heap.object_at(*a).is_some_and(|(_, ty)| ty.name.ends_with("Error"));
        let handled = self.memory.handled_exceptions(thread.address).into_iter().find(is_exception).map(|a| a.0);
        if handled != told.handled {
            wrong.push(format!("{}: handles {handled:?}, not {:?}", told.name, told.handled));
        }
        wrong
    }
}

/// The answer that people get says the same, and adds what the kernel knows.
fn answered(heap: &Heap, told: &[Told]) -> Vec<String> {
    let answer = threads_of(heap);
    let mut wrong = answer.problems.clone();
    for one in told {
        let of = |t: &&Thread| (t.ident, t.interpreter) == (Some(one.ident), Some(one.interpreter));
        let Some(row) = answer.threads.iter().filter(of).max_by_key(|t| t.frames.len()) else {
            wrong.push(format!("{} is not among the threads", one.name));
            continue;
        };
        let main = one.name == "MainThread" && one.interpreter == 0;
        let syscall = if main { Some("pause") } else { Some("futex") };
        let facts = (row.name.as_deref(), row.native_id, row.interpreter, row.daemon, row.whole);
        let daemon = one.daemon.unwrap_or(!main);
        if facts != (Some(&one.name), Some(one.native_id), Some(one.interpreter), Some(daemon), true) {
            wrong.push(format!("{} is described as {facts:?}", one.name));
        }
        if one.name != "busy" && row.syscall.as_deref() != syscall {
            wrong.push(format!("{} is in {:?}", one.name, row.syscall));
        }
        let handling = row.handling.first().map(|h| (h.address.0, h.type_name.as_str()));
        if handling != one.handled.map(|at| (at, "ZeroDivisionError")) {
            wrong.push(format!("{} handles {handling:?}", one.name));
        }
        let Some(told_frames) = &one.frames else {
            let stands = row.frames.first().map(|f| f.function.as_str());
            if stands != Some(if one.interpreter == 0 { "run_string" } else { "stand" }) {
                wrong.push(format!("{} stands in {stands:?}", one.name));
            }
            continue;
        };
        let named = |f: &ToldFrame| f.qualified.as_ref().unwrap_or(&f.function).clone();
        let position = |f: &Frame| [f.end_line, f.column, f.end_column];
        let same = row.frames.iter().zip(told_frames).all(|(f, t)| {
            f.function.ends_with(&named(t)) && f.file == t.file && t.position.is_none_or(|at| at == position(f))
        });
        if !same || row.frames.len() != told_frames.len() {
            wrong.push(format!("{}: {:?}", one.name, row.frames.iter().map(|f| &f.function).collect::<Vec<_>>()));
        }
        // the body of a class keeps its variables in a dict
        let body = row.frames.iter().find(|f| f.function.ends_with("Body"));
        if body.is_some_and(|b| b.locals.iter().all(|l| l.name != "attribute" || l.summary != "[1]")) {
            wrong.push(format!("{body:?} has no attribute"));
        }
    }
    wrong
}

/// Whether this version keeps columns.
fn told_columns(interpreter: &Interpreter) -> bool {
    !matches!(interpreter.minor.as_str(), "3.8" | "3.9" | "3.10")
}

fn check(interpreter: &Interpreter, arguments: &[&str]) -> Result<(), String> {
    let target = Target::start(interpreter, "threads.py", arguments);
    target.wait_until_in(PAUSE);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
    let told: Vec<Told> = target
        .said
        .iter()
        .filter_map(|line| line.strip_prefix("thread "))
        .map(|json| serde_json::from_str(json).expect("a thread"))
        .collect();
    let memory = heap.memory();
    let mut wrong = Vec::new();
    let mut threads = Vec::new();
    for one in &heap.interpreter().interpreters {
        let (found, whole) = memory.threads(one);
        threads.extend(found);
        wrong.extend((!whole).then(|| "the list of threads is damaged".to_owned()));
    }
    let idle = threads.iter().filter(|t| t.interpreter != 0 && memory.stack(t.address).frames.is_empty()).count();
    if threads.len() != told.len() + idle {
        wrong.push(format!("{} threads, not {}", threads.len(), told.len() + idle));
    }
    let holder = memory.gil_holder(heap.interpreter().runtime, &heap.interpreter().interpreters[0]);
    let holder = threads.iter().find(|t| Some(t.address) == holder).map(|t| t.ident);
    let busy = told.iter().find(|t| t.name == "busy").map(|t| t.ident);
    // a thread gives the GIL up for a moment now and then; nobody else could have it
    if holder.is_some() && holder != busy {
        wrong.push(format!("{holder:?} holds the GIL, not {busy:?}"));
    }
    let found = Found { heap: &heap, memory, threads };
    wrong.extend(told.iter().flat_map(|t| found.differences(t)));
    wrong.extend(answered(&heap, &told));
    let frames: usize = told.iter().flat_map(|t| &t.frames).map(Vec::len).sum();
    let columns = told
        .iter()
        .flat_map(|t| t.frames.iter().flatten())
        .filter(|f| f.position.is_some_and(|at| at[1].is_some()))
        .count();
    if (columns > 10) != (told_columns(interpreter)) {
        wrong.push(format!("{columns} frames have columns"));
    }
    println!(
        "{} {arguments:?}: {} threads, {frames} frames, {} differences",
        interpreter.name,
        told.len(),
        wrong.len()
    );
    wrong.truncate(6);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ").chars().take(3000).collect()) }
}

#[test]
fn threads_and_stacks_are_what_the_interpreter_says() {
    on_every_interpreter(|interpreter| check(interpreter, &[]));
}

#[test]
fn a_busy_thread_and_a_stack_ten_thousand_deep() {
    on_every_interpreter(|interpreter| check(interpreter, &["busy", "deep", "10000"]));
}

#[test]
fn threads_of_subinterpreters_are_told_apart() {
    on_every_interpreter(|interpreter| check(interpreter, &["interpreters"]));
}

/// A variable unfolds into what its object holds, level by level, as the explorer asks for it.
#[test]
fn variables_lead_to_all_that_their_objects_hold() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "threads.py", &[]);
        target.wait_until_in(PAUSE);
        let handle = worker::start(target.capture()).map_err(|e| e.to_string())?;
        let mut generation = 0;
        let mut ask = |request: Request| {
            generation += 1;
            let ticket = Ticket { source: SourceId(0), generation };
            handle.requests.send((ticket, request)).expect("the worker listens");
            loop {
                match handle.updates.recv_timeout(PATIENCE).expect("the worker answers") {
                    Update::Answered { ticket: of, answer } if of == ticket => return answer,
                    Update::Refused { ticket: of, reason } if of == ticket => panic!("refused: {reason}"),
                    _ => {}
                }
            }
        };
        let Answer::Threads(threads) = ask(Request::Threads) else { return Err("no threads".into()) };
        let trees = target.said.iter().filter_map(|line| line.strip_prefix("tree "));
        let mut objects = 0;
        for (thread, name, tree) in trees.map(|json| serde_json::from_str::<(String, String, Tree)>(json).unwrap()) {
            let row = threads.threads.iter().find(|t| t.name.as_ref() == Some(&thread)).ok_or("no such thread")?;
            let local = row.frames.iter().flat_map(|f| &f.locals).find(|l| l.name == name).ok_or("no such variable")?;
            if local.address.0 != tree.0 {
                return Err(format!("{name} is {}, not {:x}", local.address, tree.0));
            }
            let mut open = vec![tree];
            while let Some(Tree(address, held)) = open.pop() {
                objects += 1;
                if held.is_empty() {
                    continue;
                }
                let (address, direction) = (Addr(address), Direction::Referents);
                let Answer::Edges(edges) = ask(Request::Edges { address, direction, offset: 0, limit: 100 }) else {
                    return Err("no references".into());
                };
                let found: BTreeSet<u64> = edges.edges.iter().map(|e| e.address.0).collect();
                let missing = held.iter().find(|tree| !found.contains(&tree.0));
                if let Some(Tree(other, _)) = missing {
                    return Err(format!("{name}: {address} leads to {found:x?}, and not to {other:x}"));
                }
                open.extend(held);
            }
        }
        println!("{}: {objects} objects below variables", interpreter.name);
        if objects > 0 { Ok(()) } else { Err("no variable was told".into()) }
    });
}

/// Thread states and frames whose words are noise, pointers to each other, or absurd: the answer ends and says what it
/// lacks.
#[test]
fn damaged_thread_states_and_frames_are_survived() {
    on_every_version(|interpreter| {
        // frame objects and embedded ones
        let deep = matches!(interpreter.minor.as_str(), "3.8" | "3.15");
        let arguments: &[&str] = if deep { &["deep", "10000"] } else { &[] };
        let target = Target::start(interpreter, "threads.py", arguments);
        target.wait_until_in(PAUSE);
        let snapshot = Arc::new(target.capture());
        let heap = Heap::index(snapshot.clone(), &Progress::default()).map_err(|e| e.to_string())?;
        let memory = heap.memory();
        let threads = memory.threads(&heap.interpreter().interpreters[0]).0;
        let frames = threads.iter().flat_map(|t| memory.stack(t.address).frames);
        let mut structs: Vec<Addr> = frames.flat_map(|f| [f.address, f.code]).collect();
        structs.extend(threads.iter().map(|t| t.address));
        // what was touched alone: most of a thread's stack was not
        let extents = snapshot.regions().iter().flat_map(|r| r.extents().iter().map(move |e| (r, e)));
        let bytes = |r: &Region, e: &Range<u64>| r.bytes()[e.start as usize..e.end as usize].to_vec();
        let pieces: Vec<(Addr, Vec<u8>)> = extents.map(|(r, e)| (r.start + e.start, bytes(r, e))).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            // xorshift: reproducible noise
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let (mut whole, mut cut) = (0, 0);
        for _ in 0..12 {
            let mut pieces = pieces.clone();
            for _ in 0..60 {
                let at = structs[next() as usize % structs.len()] + next() % 45 * 8;
                let word = match next() % 5 {
                    0 => next(),
                    1 => u64::MAX >> (next() % 64),
                    2 => structs[next() as usize % structs.len()].0,
                    3 => at.0,
                    _ => next() % 4,
                };
                if let Some((start, bytes)) =
                    pieces.iter_mut().find(|(s, b)| *s <= at && at.0 + 8 <= s.0 + b.len() as u64)
                {
                    let i = (at.0 - start.0) as usize;
                    bytes[i..i + 8].copy_from_slice(&word.to_le_bytes());
                }
            }
            let damaged = Arc::new(Snapshot::from_memory(pieces, snapshot.metadata().cloned()));
            let Ok(heap) = Heap::index(damaged, &Progress::default()) else { continue };
            let answer = threads_of(&heap);
            let ends = answer.threads.iter().filter(|t| t.whole).count();
            whole += ends;
            cut += answer.threads.len() - ends + answer.problems.len();
        }
        if whole == 0 || cut == 0 { Err(format!("{whole} stacks are whole, {cut} are not")) } else { Ok(()) }
    });
}
