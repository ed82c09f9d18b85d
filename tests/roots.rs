//! Roots, and what nothing reaches, compared with what a target knows of itself.

mod support;

use pymem_tui::cpython::EdgeKind;
use pymem_tui::heap::roots::{Group, Ownership, RootKind, Slot};
use pymem_tui::heap::{Heap, ObjectId, Roots};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter};

fn start(interpreter: &Interpreter) -> (Target, Vec<Value>, Heap) {
    let target = Target::start(interpreter, "roots.py", &[]);
    let lines = target.said.iter().filter_map(|line| line.strip_prefix("fact "));
    let facts = lines.map(|json| serde_json::from_str(json).expect("a line of roots.py")).collect();
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
