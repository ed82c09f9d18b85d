//! References that only C code holds, compared with what the target made; and what is left unexplained elsewhere.

mod support;

use pymem_tui::analysis::answers::Audit;
use pymem_tui::analysis::audit::audit;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter};

/// Unexplained objects of a million.
const MOST: u64 = 1000;

fn start(interpreter: &Interpreter, arguments: &[&str]) -> (Target, Audit) {
    let target = Target::start(interpreter, "audit.py", arguments);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    let answer = audit(&heap, u64::MAX, &Progress::default()).expect("nobody cancels it");
    (target, answer)
}

/// What the target says that it leaked: an id, and how many references.
fn leaked(target: &Target) -> BTreeMap<u64, u64> {
    let lines = target.said.iter().filter_map(|line| line.strip_prefix("leaked "));
    let pair = |line: &str| line.split_once(' ').and_then(|(id, n)| Some((id.parse().ok()?, n.parse().ok()?)));
    lines.filter_map(pair).collect()
}

fn check(interpreter: &Interpreter, arguments: &[&str], at_least: u64) -> Result<(), String> {
    let (target, answer) = start(interpreter, arguments);
    let told = leaked(&target);
    let mut wrong = Vec::new();
    for (id, times) in &told {
        let row = answer.rows.iter().find(|r| r.address.0 == *id);
        if row.is_none_or(|r| r.unexplained != *times) {
            wrong.push(format!("{id:#x} leaked {times} times: {row:?}"));
        }
    }
    if told.len() < 10 {
        wrong.push(format!("the target leaks only {} objects", told.len()));
    }
    let others = answer.unexplained.saturating_sub(told.len() as u64);
    let bound = answer.objects * MOST / 1_000_000;
    if others > bound {
        wrong.push(format!("{others} objects are unexplained, more than {bound}"));
    }
    if answer.overcounted > bound {
        wrong.push(format!("{} objects have more references than are counted, more than {bound}", answer.overcounted));
    }
    if answer.objects < at_least {
        wrong.push(format!("only {} objects were compared", answer.objects));
    }
    println!(
        "{} {arguments:?}: {} objects, {} held by C, {others} others unexplained, {} overcounted",
        interpreter.name, answer.objects, answer.held_by_c, answer.overcounted
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ").chars().take(3000).collect()) }
}

#[test]
fn lost_references_are_found_and_nearly_nothing_else() {
    on_every_interpreter(|interpreter| check(interpreter, &[], 10_000));
}

/// Two million objects of a service.
#[test]
fn a_big_heap_is_explained() {
    support::on_every_version(|interpreter| check(interpreter, &["2000000"], 1_500_000));
}
