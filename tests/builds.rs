//! Which interpreter, in every kind of build and place: subinterpreters, programs that embed Python with and without
//! symbols, containers.
//!
//! Targets record what they hold (`tests/targets/builds.py`), as those of `tests/truth.rs` do; here each interpreter of
//! a process makes a record, and all together have to be what is found.

mod support;

use pymem_tui::cpython::{EdgeKind, EdgeName};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::compare::compare;
use support::truth::Truth;
use support::{Target, on_every_interpreter};

/// What an interpreter said of itself (`OUT_PREFIX.N.own`).
#[derive(Debug)]
struct Own {
    id: i64,
    /// The module `builds` there.
    module: u64,
    /// Static types and their dicts there.
    statics: Vec<(u64, u64)>,
}

fn own(path: &Path) -> Own {
    let text = std::fs::read_to_string(path).expect("the interpreter said what it has");
    let mut own = Own { id: -1, module: 0, statics: Vec::new() };
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().expect("a number");
        match words[0] {
            "interpreter" => own.id = number(1) as i64,
            "module" => own.module = number(1),
            "static" => own.statics.push((number(1), number(2))),
            other => panic!("{other} is unknown"),
        }
    }
    own
}

/// What the interpreters of a target said, in the order of their ids, and their records taken together.
fn said(target: &Target) -> (Vec<Own>, Truth) {
    let files = (0..20).map(|n| target.path(&format!("zoo.{n}.own"))).filter(|path| path.exists());
    let owns: Vec<Own> = files.map(|path| own(&path)).collect();
    let records = owns.iter().map(|o| Truth::read(&target.path(&format!("zoo.{}.truth", o.id))));
    let all = records.reduce(Truth::with).expect("there is a record");
    (owns, all)
}

fn indexed(snapshot: pymem_tui::snapshot::Snapshot) -> Heap {
    Heap::index(Arc::new(snapshot), &Progress::default()).expect("the snapshot is indexed")
}

/// The interpreters found are those that there are, and static types hold the dict of each.
fn check_interpreters(heap: &Heap, owns: &[Own]) -> Result<(), String> {
    let found: Vec<i64> = heap.interpreter().interpreters.iter().map(|i| i.id).collect();
    let told: Vec<i64> = owns.iter().map(|o| o.id).collect();
    if found != told {
        return Err(format!("interpreters {found:?}, not {told:?}"));
    }
    let mut wrong = Vec::new();
    let mut expected: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
    let shared = owns.windows(2).any(|w| w[0].statics == w[1].statics);
    for own in owns.iter().filter(|o| o.id == 0 || !shared) {
        for (ty, dict) in &own.statics {
            let name =
                if own.id == 0 { ".__dict__".to_owned() } else { format!(".__dict__ in interpreter {}", own.id) };
            expected.entry(*ty).or_default().insert(name, *dict);
        }
    }
    let memory = heap.memory();
    for (ty, dicts) in &expected {
        let Some((_, metatype)) = heap.object_at(Addr(*ty)) else {
            wrong.push(format!("{ty:#x} is no object"));
            continue;
        };
        let mut held = BTreeMap::new();
        memory.visit_edges(Addr(*ty), metatype, heap.types(), &mut |name: EdgeName<'_>, _: EdgeKind, target: Addr| {
            if matches!(name, EdgeName::Dict | EdgeName::InInterpreter("__dict__", _)) {
                held.insert(pymem_tui::analysis::describe::edge_name(&memory, heap.types(), name), target.0);
            }
        });
        if &held != dicts {
            wrong.push(format!("{ty:#x} holds {held:x?}, not {dicts:x?}"));
        }
    }
    let modules = pymem_tui::analysis::modules::interpreters(heap);
    for own in owns.iter().filter(|_| owns.len() > 1) {
        let of = modules.get(&Addr(own.module)).copied();
        if of != Some(own.id) {
            wrong.push(format!("the module of interpreter {} is said to be of {of:?}", own.id));
        }
        let report = pymem_tui::analysis::detail::module(heap, "builds", Some(own.id), 10);
        if own.id > 0 && report.as_ref().map(|r| (r.address.0, r.interpreter)) != Some((own.module, Some(own.id))) {
            wrong.push(format!("module builds of interpreter {} is {report:?}", own.id));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n    ")) }
}

fn check(target: &Target, pid: i32, interpreters: usize) -> Result<(), String> {
    let heap = indexed(target.capture_as(pid));
    let (owns, truth) = said(target);
    if owns.len() != interpreters || truth.objects.len() < 10_000 * interpreters {
        return Err(format!("{} interpreters recorded {} objects", owns.len(), truth.objects.len()));
    }
    let results = [check_interpreters(&heap, &owns), compare(&heap, &truth)];
    let problems: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n    ")) }
}

#[test]
fn every_interpreter_of_a_process_is_read() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "builds.py", &["--interpreters"]);
        // legacy and isolated ones, see start_others in builds.py
        let threads_of_its_own = ["3.13", "3.14", "3.15"].contains(&interpreter.minor.as_str());
        check(&target, target.pid, if threads_of_its_own { 4 } else { 3 })
    });
}
