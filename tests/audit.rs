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

fn start(interpreter: &Interpreter, arguments: &[&str]) -> (Target, Heap, Audit) {
    let target = Target::start(interpreter, "audit.py", arguments);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    let answer = audit(&heap, u64::MAX, &Progress::default()).expect("nobody cancels it");
    (target, heap, answer)
}

/// What the target says that it leaked: an id, and how many references.
fn leaked(target: &Target) -> BTreeMap<u64, u64> {
    let lines = target.said.iter().filter_map(|line| line.strip_prefix("leaked "));
    let pair = |line: &str| line.split_once(' ').and_then(|(id, n)| Some((id.parse().ok()?, n.parse().ok()?)));
    lines.filter_map(pair).collect()
}

fn check(interpreter: &Interpreter, arguments: &[&str], at_least: u64) -> Result<(), String> {
    let (target, heap, answer) = start(interpreter, arguments);
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
    if std::env::var_os("PYMEM_TUI_AUDIT_SHOW").is_some() {
        println!("{:?}", answer.excluded);
        for t in answer.types.iter().take(25) {
            println!("  {t:?}");
        }
        for r in answer.overcounted_rows.iter().filter(|r| r.type_name != "dict" || r.found > 3).take(60) {
            let id = heap.objects().object_at(r.address).unwrap();
            let roots = heap.roots(&Progress::default()).unwrap();
            let held: Vec<_> = roots
                .refs_to(id)
                .iter()
                .map(|x| format!("{:?} {:?} {:?}", roots.group_of(x).map(|g| g.kind), x.slot, x.ownership))
                .collect();
            println!(
                "  over {} {} rc {:?} found {} {} {:?}",
                r.address, r.type_name, r.refcount, r.found, r.summary, held
            );
        }
        for r in answer.rows.iter().filter(|r| !told.contains_key(&r.address.0)).take(40) {
            println!(
                "  {} {} rc {:?} found {} unacc {} ptr {} unexpl {} {:?} {}",
                r.address,
                r.type_name,
                r.refcount,
                r.found,
                r.unaccounted,
                r.pointers,
                r.unexplained,
                r.places,
                r.summary
            );
        }
    }
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
