//! Roots, and what nothing reaches, compared with what a target knows of itself.

mod support;

use pymem_tui::analysis::leaks::leaks;
use pymem_tui::analysis::paths::paths;
use pymem_tui::analysis::types::types_retained;
use pymem_tui::cpython::EdgeKind;
use pymem_tui::heap::dominators::Node;
use pymem_tui::heap::roots::{Group, Ownership, RootKind, Slot};
use pymem_tui::heap::{Heap, ObjectId, Roots};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter, on_every_version};

fn start(interpreter: &Interpreter) -> (Target, Vec<Value>, Heap) {
    run(interpreter, "roots.py")
}

fn run(interpreter: &Interpreter, program: &str) -> (Target, Vec<Value>, Heap) {
    let target = Target::start(interpreter, program, &[]);
    let lines = target.said.iter().filter_map(|line| line.strip_prefix("fact "));
    let facts = lines.map(|json| serde_json::from_str(json).expect("a line of the target")).collect();
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    (target, facts, heap)
}

fn of_kind<'f>(facts: &'f [Value], kind: &'f str) -> impl Iterator<Item = &'f Value> {
    facts.iter().filter(move |f| f["kind"] == kind)
}

fn object(heap: &Heap, id: &Value) -> ObjectId {
    let addr = Addr(id.as_u64().expect("an id"));
    heap.objects().object_at(addr).unwrap_or_else(|| panic!("the object at {addr} is not found"))
}

fn ids(heap: &Heap, list: &Value) -> BTreeSet<ObjectId> {
    list.as_array().expect("a list of ids").iter().map(|id| object(heap, id)).collect()
}

fn groups(roots: &Roots, id: ObjectId) -> Vec<(&Group, Slot, Ownership)> {
    roots.refs_to(id).iter().filter_map(|r| Some((roots.group_of(r)?, r.slot, r.ownership))).collect()
}

/// The objects of a set by their types, for a failure.
fn by_type(heap: &Heap, ids: impl Iterator<Item = ObjectId>) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for id in ids {
        *found.entry(heap.type_of(id).map_or(String::new(), |(_, t)| t.name.clone())).or_default() += 1;
    }
    found
}

#[test]
fn roots_are_what_the_target_says_and_the_rest_is_told_apart() {
    on_every_interpreter(|interpreter| {
        let (_target, facts, heap) = start(interpreter);
        let progress = Progress::default();
        let (edges, roots) = (heap.edges(&progress).unwrap(), heap.roots(&progress).unwrap());
        let tree = heap.dominators(&progress).unwrap();
        let mut wrong: Vec<String> = roots.problems().to_vec();
        for state in of_kind(&facts, "state") {
            let field = state["field"].as_str().unwrap();
            let held = groups(roots, object(&heap, &state["id"]));
            let ours = |(group, slot, _): &(&Group, Slot, Ownership)| {
                let named = matches!(slot, Slot::Field(f, _) if roots.field(*f).rsplit('.').next() == Some(field));
                group.kind == RootKind::Interpreter(0) && named
            };
            if !held.iter().any(ours) {
                wrong.push(format!("{state} is held by {held:?}"));
            }
        }
        for frame in of_kind(&facts, "frame") {
            for (name, id) in frame["locals"].as_object().unwrap() {
                let id = object(&heap, id);
                let memory = heap.memory();
                let is_frame = |holder: ObjectId| heap.type_of(holder).is_some_and(|(_, t)| t.name == "frame");
                let direct = groups(roots, id).iter().any(|(group, slot, _)| {
                    let named = matches!(slot, Slot::Local(at) if memory.text(*at, 99).is_some_and(|t| t.0 == *name));
                    named && matches!(group.kind, RootKind::Frame(_))
                });
                let by_frame = edges.referrers(id).iter().any(|holder| {
                    is_frame(*holder)
                        && groups(roots, *holder)
                            .iter()
                            .any(|(g, _, own)| matches!(g.kind, RootKind::Frame(_)) && *own == Ownership::Owned)
                });
                if !direct && !by_frame {
                    wrong.push(format!("{name} of {frame} is held by {:?}", groups(roots, id)));
                }
            }
        }
        for on_stack in of_kind(&facts, "stack") {
            let held = groups(roots, object(&heap, &on_stack["id"]));
            let ours = |(group, slot, _): &(&Group, Slot, Ownership)| {
                matches!((group.kind, slot), (RootKind::Frame(_), Slot::Stack(_)))
            };
            if !held.iter().any(ours) {
                wrong.push(format!("the list on the value stack is held by {held:?}"));
            }
        }
        for callback in of_kind(&facts, "atexit") {
            for id in ids(&heap, &callback["ids"]) {
                let found = paths(&heap, id, 1, &progress).unwrap();
                let named = found.text.first().is_some_and(|text| text.starts_with("atexit callback"));
                let mut group = tree.parent(Node::Object(id));
                while let Some(Node::Object(above)) = group {
                    group = tree.parent(Node::Object(above));
                }
                let kind = group.map(|g| if let Node::Group(g) = g { roots.groups().get(g.0 as usize) } else { None });
                if !named || kind.flatten().is_none_or(|g| g.kind != RootKind::Atexit) {
                    wrong.push(format!("{id:?} of {callback} is held by {:?}, {kind:?}", found.text));
                }
            }
        }
        let mut allowed = BTreeSet::new();
        for garbage in of_kind(&facts, "garbage") {
            let expected = ids(&heap, &garbage["ids"]);
            let missing = expected.iter().filter(|id| !roots.unreachable().contains(**id));
            let missing = by_type(&heap, missing.copied());
            if !missing.is_empty() {
                wrong.push(format!("no garbage are {missing:?}"));
            }
            allowed.extend(expected);
        }
        // what garbage holds alone is garbage as well: instances' dicts, parts of code
        let parts = |id: &ObjectId| {
            edges.referrers_by_kind(*id).any(|(h, k)| k == EdgeKind::Strong && roots.unreachable().contains(h))
        };
        let more = roots.unreachable().iter().filter(|id| !allowed.contains(id) && !parts(id));
        let more = by_type(&heap, more);
        if !more.is_empty() {
            wrong.push(format!("invented garbage: {more:?}"));
        }
        for held in of_kind(&facts, "held") {
            for part in ["id", "part"] {
                if !roots.held_by_c().contains(object(&heap, &held[part])) {
                    wrong.push(format!(
                        "{part} of {held} is not held by C: {:?}",
                        groups(roots, object(&heap, &held[part]))
                    ));
                }
            }
        }
        let cycles =
            roots.refs().iter().filter(|r| roots.group_of(r).is_some_and(|g| g.kind == RootKind::Cycles)).count();
        println!(
            "{}: {} objects, {} references from roots, {} unreachable in {cycles} structures, {} held by C: {:?}",
            interpreter.name,
            heap.objects().len(),
            roots.refs().len(),
            roots.unreachable().len(),
            roots.held_by_c().len(),
            by_type(
                &heap,
                roots
                    .refs()
                    .iter()
                    .filter(|r| roots.group_of(r).is_some_and(|g| g.kind == RootKind::HeldByC))
                    .map(|r| r.target)
            ),
        );
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });
}

/// What only a table of the interpreter's holds is named by what it is there for.
#[test]
fn what_is_called_later_says_when() {
    on_every_interpreter(|interpreter| {
        let (_target, facts, heap) = run(interpreter, "called_later.py");
        let progress = Progress::default();
        let roots = heap.roots(&progress).unwrap();
        let mut wrong = Vec::new();
        let expected = |fact: &Value| match fact["kind"].as_str() {
            Some("signal") => format!("signal handler {}", fact["name"].as_str().unwrap()),
            _ => "pending call".to_owned(),
        };
        for fact in of_kind(&facts, "signal").chain(of_kind(&facts, "pending")) {
            let expected = expected(fact);
            for part in ["id", "part"] {
                let found = paths(&heap, object(&heap, &fact[part]), 3, &progress).unwrap();
                // no other root holds it, presumed or not
                let named = |text: &String| {
                    text.strip_prefix(&expected)
                        .is_some_and(|rest| !rest.starts_with(' ') || rest.starts_with(" of") || rest.starts_with(" →"))
                };
                if found.text.is_empty() || !found.text.iter().all(named) {
                    wrong.push(format!("{part} of {fact}, expected {expected}: {:?}", found.text));
                }
            }
            if roots.refs_to(object(&heap, &fact["id"])).len() != 1 {
                wrong.push(format!("{fact} is held by {:?}", groups(roots, object(&heap, &fact["id"]))));
            }
        }
        for called in of_kind(&facts, "called") {
            let held = groups(roots, object(&heap, &called["id"]));
            if !held.is_empty() {
                wrong.push(format!("{called} was called already, and is held by {held:?}"));
            }
        }
        let pending = of_kind(&facts, "pending").count();
        println!(
            "{}: 2 signals, {pending} pending calls{}",
            interpreter.name,
            if pending == 0 { ": not covered" } else { "" }
        );
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });
}

/// A structure that nothing else holds any part of: what is promised is what the interpreter says it takes, and what is
/// free once it is gone.
#[test]
fn what_is_promised_is_what_goes() {
    on_every_interpreter(|interpreter| {
        let (target, facts, heap) = start(interpreter);
        let progress = Progress::default();
        let tree = heap.dominators(&progress).unwrap();
        let mut wrong = Vec::new();
        let exclusive = of_kind(&facts, "exclusive").next().expect("roots.py tells of one");
        let id = object(&heap, &exclusive["id"]);
        let node = Node::Object(id);
        let promised = tree.retained(node);
        if (Some(promised), Some(u64::from(tree.retained_count(node))))
            != (exclusive["bytes"].as_u64(), exclusive["objects"].as_u64())
        {
            wrong.push(format!("{exclusive}: {promised} bytes of {} objects are promised", tree.retained_count(node)));
        }
        let found = paths(&heap, id, 3, &progress).unwrap();
        if found.text.first().map(String::as_str) != Some("sys.modules['__main__'].CACHE → dict") {
            wrong.push(format!("the path to CACHE is {:?}", found.text));
        }
        for path in &found.paths {
            for pair in path.windows(2) {
                let [holder, held] = [&pair[0], &pair[1]].map(|s| heap.objects().object_at(s.address).unwrap());
                if !heap.edges(&progress).unwrap().referents(&heap, holder).contains(&held) {
                    wrong.push(format!("{pair:?} is no reference"));
                }
            }
        }
        let suspects = leaks(&heap, &progress).unwrap().suspects;
        let first = suspects
            .first()
            .map(|s| (s.name.as_deref(), s.accumulates.as_ref().map(|a| (a.type_name.as_str(), a.count))));
        if first != Some((Some("__main__.CACHE"), Some(("tuple", 3000)))) {
            wrong.push(format!(
                "the first suspect is {first:?}: {:?}",
                suspects.first().map(|s| (&s.reason, s.address, &s.path))
            ));
        }
        let types = types_retained(&heap, &progress).unwrap();
        let sum: u64 = types.types.iter().filter(|t| t.row.name == "__main__.Slotted").map(|t| t.retained_bytes).sum();
        let each = |(id, _, ty): (ObjectId, Addr, _)| {
            (heap.types().get(ty).name == "__main__.Slotted").then(|| tree.retained(Node::Object(id)))
        };
        if sum != heap.objects().iter().filter_map(each).sum::<u64>() {
            wrong.push(format!("all Slotted retain {sum}"));
        }
        let before = tree.retained(Node::All);
        let after = gone(&target);
        let freed = before as f64 - after as f64;
        if (freed - promised as f64).abs() > promised as f64 / 100.0 {
            wrong.push(format!("{promised} bytes are promised, {freed} are free afterwards"));
        }
        println!("{}: {promised} bytes are promised, {freed} are free afterwards", interpreter.name);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    });
}

/// Lets the target drop what it accumulated; the bytes of its whole heap afterwards.
fn gone(target: &Target) -> u64 {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(target.pid), nix::sys::signal::SIGUSR1).expect("the target runs");
    let done = target.path("zoo.done");
    for _ in 0..1000 {
        if done.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(done.exists(), "the target did not let go");
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    heap.dominators(&Progress::default()).unwrap().retained(Node::All)
}

/// The bundled program with a leak.
#[test]
fn the_leak_demo_is_recognised() {
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/leak.py");
    on_every_version(|interpreter| {
        let (program, first) = interpreter.argv.split_first().expect("argv is not empty");
        let mut command = std::process::Command::new(program);
        command.args(first).arg(&demo).arg("3000").envs(&interpreter.env);
        let target = Target::run(command, tempfile::tempdir().expect("a temporary directory"), &interpreter.name);
        let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
        let found = leaks(&heap, &Progress::default()).unwrap();
        let first = found.suspects.first().ok_or("nothing is suspected")?;
        let gathers = first.accumulates.as_ref().map(|a| (a.type_name.as_str(), a.count));
        println!("{}: {} | {}", interpreter.name, first.reason, first.path_text);
        let named = first.name.as_deref() == Some("Client.response_futures")
            && first.reason.contains("Client.response_futures");
        if named && gathers == Some(("_asyncio.Future", 3000)) { Ok(()) } else { Err(format!("{first:?}")) }
    });
}
