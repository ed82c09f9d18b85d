//! Leaks of every kind but accumulation, compared with what the target made; and none where it made few.

mod support;

use pymem_tui::analysis::answers::Suspect;
use pymem_tui::analysis::leaks::leaks;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use serde_json::Value;
use std::sync::Arc;
use support::{Interpreter, Target, on_every_version};

/// What the target says of itself, and the suspects that are no accumulation points.
fn suspects(interpreter: &Interpreter, arguments: &[&str]) -> (Vec<Value>, Vec<Suspect>) {
    let target = Target::start(interpreter, "leaks.py", arguments);
    let lines = target.said.iter().filter_map(|line| line.strip_prefix("fact "));
    let facts = lines.map(|json| serde_json::from_str(json).expect("a line of leaks.py")).collect();
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    let mut found = leaks(&heap, &Progress::default()).expect("nobody cancels it").suspects;
    found.retain(|s| s.kind != "accumulation");
    (facts, found)
}

/// Whether a suspect is what a fact tells of.
fn fits(fact: &Value, suspect: &Suspect) -> bool {
    let gathered = suspect.accumulates.as_ref().map(|a| a.count);
    let is = |id: &Value| id.as_u64() == Some(suspect.address.0);
    let says = |field: &str| {
        let number = fact[field].as_u64().expect("a number of leaks.py");
        suspect.reason.contains(&pymem_tui::text::count(number))
    };
    match suspect.kind {
        "tasks" => {
            let ids = fact["ids"].as_array().expect("a list of ids");
            gathered == Some(ids.len() as u64) && ids.iter().any(is) && suspect.reason.contains("forgotten")
        }
        "finalizers" => {
            let of = suspect.accumulates.as_ref().map(|a| a.type_name.as_str());
            gathered == fact["count"].as_u64() && of == fact["type"].as_str() && says("count")
        }
        "garbage" => is(&fact["id"]) && says("count"),
        "modules" => gathered == fact["count"].as_u64() && suspect.reason.contains("plugin"),
        "cache" => is(&fact["id"]) && ["entries", "hits", "misses"].into_iter().all(says),
        _ => is(&fact["id"]),
    }
}

#[test]
fn each_kind_of_leak_is_told_once_and_no_other() {
    on_every_version(|interpreter| {
        let (facts, found) = suspects(interpreter, &[]);
        let mut wrong = Vec::new();
        for fact in &facts {
            let told = found.iter().filter(|s| fact["kind"] == s.kind && fits(fact, s)).count();
            if told != 1 {
                wrong.push(format!("{fact} is told {told} times"));
            }
        }
        if found.len() != facts.len() {
            wrong.push(format!("{} suspects, {} leaks", found.len(), facts.len()));
        }
        println!("{}: {} leaks are told", interpreter.name, found.len());
        let told: Vec<_> = found.iter().map(|s| (s.kind, s.address, &s.reason)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{told:#?}", wrong.join("\n"))) }
    });
}

#[test]
fn a_healthy_target_has_no_suspects_of_these_kinds() {
    on_every_version(|interpreter| {
        let (facts, found) = suspects(interpreter, &["healthy"]);
        let told: Vec<_> = found.iter().map(|s| (s.kind, &s.reason)).collect();
        if facts.len() == 8 && told.is_empty() { Ok(()) } else { Err(format!("{} facts; {told:#?}", facts.len())) }
    });
}
