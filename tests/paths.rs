//! Why objects are alive, as the target would write it; weak references apart; what nothing reaches.

mod support;

use pymem_tui::analysis::answers::Paths;
use pymem_tui::analysis::detail::{Depth, object as detail};
use pymem_tui::analysis::leaks::leaks;
use pymem_tui::analysis::paths::paths;
use pymem_tui::heap::{Heap, ObjectId};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use support::{Target, on_every_interpreter};

/// More paths than any object of the target has.
const ALL: u64 = 50;

fn ids(list: &Value) -> BTreeSet<u64> {
    list.as_array().expect("a list of ids").iter().map(|id| id.as_u64().expect("an id")).collect()
}

/// What is wrong with what is told of one object.
fn wrong(fact: &Value, heap: &Heap, id: ObjectId, found: &Paths, progress: &Progress) -> Option<String> {
    let texts: BTreeSet<&str> = found.text.iter().map(String::as_str).collect();
    let weak: BTreeSet<u64> = found.weak.iter().map(|row| row.address.0).collect();
    let roots = heap.roots(progress).expect("nobody cancels it");
    let first = || found.paths.first().and_then(|path| path.first());
    let right = match fact["kind"].as_str().expect("a kind") {
        // each way is told, the shortest first, and no other
        "ways" => {
            let ways = fact["ways"].as_array().expect("a list of ways");
            let expected: BTreeSet<&str> = ways.iter().map(|way| way.as_str().expect("a way")).collect();
            expected == texts
                && expected.len() == found.text.len()
                && found.text.first().map(String::as_str) == ways[0].as_str()
        }
        "weak" => {
            weak == ids(&fact["weak"])
                && weak.len() as u64 == found.weak_total
                && weak.len() == 3
                && found.paths.iter().flatten().all(|step| !weak.contains(&step.address.0))
        }
        "garbage" => {
            let kept = roots.unreachable().contains(id);
            let depth = Depth { levels: 0, entries: 0, chars: 0 };
            let said = detail(heap, id, depth).and_then(|d| d.reachable);
            let by_cycle = found.text.iter().all(|text| text.starts_with("nothing but its cycle"));
            kept && said == Some(false) && by_cycle && ids(&fact["weak"]).is_subset(&weak)
        }
        "outside" => {
            let groups = roots.refs_to(id).iter().map(|r| pymem_tui::analysis::roots::group(heap, roots, r.group).0);
            let kinds = fact["kinds"].as_array().expect("a list of kinds");
            let of_list = first().is_some_and(|step| step.edge.contains("codec"));
            of_list || groups.into_iter().any(|kind| kinds.iter().any(|k| k == kind))
        }
        // before 3.12 an interpreter owns its small numbers
        "immortal" => found.text.first().is_some_and(|text| {
            ["never dies", "static type", "interpreter state .small_ints"].iter().any(|root| text.starts_with(root))
        }),
        "local" => found.text.iter().any(|text| text.contains(fact["way"].as_str().expect("a way"))),
        "suspect" => {
            let suspects = leaks(heap, progress).expect("nobody cancels it").suspects;
            let first = suspects.first();
            first.is_some_and(|s| {
                s.name.as_deref() == fact["name"].as_str() && s.reason.starts_with(s.name.as_deref().unwrap_or("?"))
            })
        }
        other => panic!("{other}"),
    };
    (!right).then(|| format!("{fact}: {:?}, {weak:?}", found.text))
}

#[test]
fn the_ways_to_an_object_are_those_that_the_target_tells() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "paths.py", &[]);
        let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
        let progress = Progress::default();
        let (mut told, mut failed) = (0, Vec::new());
        for line in target.said.iter().filter_map(|line| line.strip_prefix("fact ")) {
            let fact: Value = serde_json::from_str(line).expect("a line of paths.py");
            let address = Addr(fact["id"].as_u64().expect("an id"));
            let Some(id) = heap.objects().object_at(address) else {
                failed.push(format!("{fact}: there is no object"));
                continue;
            };
            let found = paths(&heap, id, ALL, &progress).expect("nobody cancels it");
            told += 1;
            failed.extend(wrong(&fact, &heap, id, &found, &progress));
            let depth = Depth { levels: 0, entries: 0, chars: 0 };
            let reached = detail(&heap, id, depth).and_then(|d| d.reachable);
            if reached != Some(fact["kind"] != "garbage") {
                failed.push(format!("{fact}: a root reaches it: {reached:?}"));
            }
        }
        println!("{}: {told} objects, {} differences", interpreter.name, failed.len());
        if told < 14 {
            failed.push(format!("the target tells of {told} objects only"));
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n  ")) }
    });
}
