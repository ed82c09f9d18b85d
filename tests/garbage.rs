//! What only cycles keep alive, compared with what the interpreter's own collector then finds.

mod support;

use pymem_tui::analysis::answers::Garbage;
use pymem_tui::analysis::garbage::{GarbageError, garbage};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter, signalled};

#[derive(Deserialize)]
struct Collected {
    /// Id to the type's name, and whether it has a `__del__`.
    garbage: BTreeMap<u64, (String, bool)>,
    generations: BTreeMap<u8, BTreeSet<u64>>,
    frozen: u64,
    held: Vec<u64>,
}

fn start(interpreter: &Interpreter) -> (Target, Heap) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = interpreter.command("garbage.py");
    command.arg(dir.path());
    let target = Target::run(command, dir, &interpreter.name);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed");
    (target, heap)
}

fn by_type<'t>(names: impl Iterator<Item = &'t str>) -> BTreeMap<&'t str, usize> {
    names.fold(BTreeMap::new(), |mut sums, name| {
        *sums.entry(name).or_default() += 1;
        sums
    })
}

/// What does not lead round a cycle: each step is a reference of the one before, and the first of the last, or one of its
/// `__dict__`, whose values lie in the instance. A bounded cache leads to its entries through links that are no objects
/// to the collector.
fn rounds(heap: &Heap, answer: &Garbage) -> Vec<String> {
    let edges = heap.edges(&Progress::default()).expect("nobody cancels it");
    let id = |address| heap.objects().object_at(address).expect("a member is an object");
    let mut wrong = Vec::new();
    for cycle in &answer.cycles {
        let (Some(last), cut) = (cycle.round.last(), cycle.round.len() as u64 == 12) else { continue };
        let before = std::iter::once(last).chain(&cycle.round);
        for (at, (holder, step)) in before.zip(&cycle.round).enumerate() {
            let held = edges.referents(heap, id(holder.address));
            let is_dict = |id| heap.type_of(id).is_some_and(|(_, ty)| ty.name == "dict");
            let by_dict = || held.iter().any(|d| is_dict(*d) && edges.referents(heap, *d).contains(&id(step.address)));
            let holds = held.contains(&id(step.address)) || by_dict();
            if !(holds || at == 0 && cut) && step.edge != "cached entry" {
                wrong.push(format!("{holder:?} does not hold {step:?}"));
            }
        }
    }
    wrong
}

/// Sums over rows agree with the whole.
fn sums(answer: &Garbage) -> Vec<String> {
    let mut wrong = Vec::new();
    let objects = answer.objects.as_deref().unwrap_or_default();
    let counts = [
        ("types", answer.types.iter().map(|t| t.count).sum::<u64>()),
        ("generations", answer.generations.iter().map(|t| t.count).sum()),
        ("cycles", answer.cycles.iter().map(|c| c.garbage.count).sum()),
        ("objects", objects.len() as u64),
    ];
    for (what, count) in counts.iter().filter(|(_, count)| *count != answer.garbage.count) {
        wrong.push(format!("the {what} hold {count} objects, not {}", answer.garbage.count));
    }
    for (number, cycle) in answer.cycles.iter().enumerate() {
        let of_it = objects.iter().filter(|o| o.cycle == Some(number as u64)).count() as u64;
        let members: u64 = cycle.types.iter().map(|t| t.count).sum();
        if of_it != cycle.garbage.count || members != cycle.members || cycle.round.is_empty() {
            wrong.push(format!("cycle {number} does not add up: {of_it} objects, {cycle:?}"));
        }
        if let Some(step) = cycle.round.iter().find(|step| step.edge.is_empty()) {
            wrong.push(format!("no reference leads to {step:?}"));
        }
    }
    if answer.generations.iter().filter(|g| g.count > 0).count() < 2 {
        wrong.push(format!("garbage is in these generations only: {:?}", answer.generations));
    }
    wrong
}

#[test]
fn garbage_is_what_the_collector_finds() {
    on_every_interpreter(|interpreter| {
        let (target, heap) = start(interpreter);
        let answer = match garbage(&heap, true, &Progress::default()) {
            Err(GarbageError::FreeThreaded) if interpreter.free_threaded => return Ok(()),
            other => other.map_err(|e| e.to_string())?,
        };
        let told: Collected = signalled(&target, "collected.json");
        let objects = answer.objects.as_deref().unwrap_or_default();
        let found: BTreeMap<u64, &str> = objects.iter().map(|o| (o.address.0, o.type_name.as_str())).collect();
        let missing = told.garbage.iter().filter(|(id, _)| !found.contains_key(id)).map(|(_, (name, _))| name.as_str());
        // what a finalizer clears, as that of a suspended generator does, is freed then and never saved
        let goes_with_finalizer = |id: &u64| {
            let cycle = objects.iter().find(|o| o.address.0 == *id).and_then(|o| o.cycle);
            cycle.is_some_and(|c| answer.cycles[c as usize].finalizers > 0)
        };
        let invented = found.iter().filter(|(id, _)| !told.garbage.contains_key(id) && !goes_with_finalizer(id));
        let invented = invented.map(|(_, name)| *name);
        let (missing, invented) = (by_type(missing), by_type(invented));
        let mut wrong = sums(&answer);
        wrong.extend(rounds(&heap, &answer));
        let elsewhere = objects.iter().filter(|o| {
            let told = told.generations.get(&o.generation);
            told.is_none_or(|ids| !ids.contains(&o.address.0))
        });
        let elsewhere = by_type(elsewhere.map(|o| o.type_name.as_str()));
        if !elsewhere.is_empty() {
            wrong.push(format!("of another generation are {elsewhere:?}"));
        }
        wrong.extend(answer.problems.iter().cloned());
        if !missing.is_empty() || !invented.is_empty() {
            wrong.push(format!("missing {missing:?}, invented {invented:?}"));
        }
        if told.garbage.len() < 3000 {
            wrong.push(format!("the target tells only {} objects", told.garbage.len()));
        }
        if answer.frozen.count != told.frozen {
            wrong.push(format!("{} objects are frozen, not {}", answer.frozen.count, told.frozen));
        }
        let del: BTreeSet<u64> = told.garbage.iter().filter(|(_, (_, del))| *del).map(|(id, _)| *id).collect();
        let said = |id: &u64| objects.iter().any(|o| o.address.0 == *id && o.finalizer);
        if del.is_empty() || !del.iter().all(said) {
            wrong.push(format!("{} objects have a __del__, which is not said", del.len()));
        }
        if told.held.is_empty() || told.held.iter().any(|id| found.contains_key(id)) {
            wrong.push("what C code holds is no garbage".into());
        }
        println!(
            "{}: {} garbage objects in {} cycles, {} dependants, {} frozen, {} differences",
            interpreter.name,
            answer.garbage.count,
            answer.cycles_total,
            answer.dependants.count,
            answer.frozen.count,
            wrong.len()
        );
        wrong.truncate(8);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ").chars().take(3000).collect()) }
    });
}
