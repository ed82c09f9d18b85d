//! What changed between captures, compared with what the target says it made and freed.

mod support;

use pymem_tui::analysis::answers::{Diff, Which};
use pymem_tui::analysis::diff::{Comparison, Relation, relation, report};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Interpreter, Target, on_every_interpreter, signalled};

type Told = BTreeMap<u64, String>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    survivors: Told,
    changed: Told,
    freed: Told,
    created: Told,
    kept: Told,
}

fn start(interpreter: &Interpreter) -> Target {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = interpreter.command("diff.py");
    command.arg(dir.path());
    Target::run(command, dir, &interpreter.name)
}

fn capture(target: &Target) -> Heap {
    Heap::index(Arc::new(target.capture()), &Progress::default()).expect("the heap is indexed")
}

fn whole(old: &Heap, new: &Heap, later: Option<&Heap>, which: Which) -> (Diff, BTreeSet<u64>) {
    let answer =
        report(old, new, later, Some((which, None)), u64::MAX, &Progress::default()).expect("nobody cancels it").answer;
    let found = answer.objects.iter().flatten().map(|o| o.address.0).collect();
    (answer, found)
}

/// Those of `told` that are not in `found`, by type; or that are, with `present` false.
fn missing(what: &str, told: &Told, found: &BTreeSet<u64>, present: bool) -> Vec<String> {
    let mut types: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (id, name) in told.iter().filter(|(id, _)| found.contains(id) != present) {
        types.entry(name).or_default().push(*id);
    }
    types.iter().map(|(name, ids)| format!("{what}: {} of {name}, {:#x} one", ids.len(), ids[0])).collect()
}

#[test]
fn what_is_new_gone_and_still_there_is_what_the_target_says() {
    on_every_interpreter(|interpreter| {
        let target = start(interpreter);
        let old = capture(&target);
        let first: Step = signalled(&target, "step1.json");
        let new = capture(&target);
        let second: Step = signalled(&target, "step2.json");
        let later = capture(&target);
        let (answer, created) = whole(&old, &new, None, Which::Created);
        let (_, freed) = whole(&old, &new, None, Which::Freed);
        let (_, survivors) = whole(&old, &new, None, Which::Survivors);
        let (third, kept) = whole(&old, &new, Some(&later), Which::Kept);
        let mut wrong = Vec::new();
        for (what, told, found) in [
            ("created", &first.created, &created),
            ("freed", &first.freed, &freed),
            ("survivors", &first.survivors, &survivors),
            ("changed survivors", &first.changed, &survivors),
            ("kept", &second.kept, &kept),
        ] {
            if told.is_empty() {
                wrong.push(format!("the target tells nothing of {what}"));
            }
            wrong.extend(missing(what, told, found, true));
        }
        wrong.extend(missing("created for the third, and taken for kept", &second.created, &kept, false));
        wrong.extend(missing("created taken for a survivor", &first.created, &survivors, false));
        let again = first.freed.iter().filter(|(id, name)| first.created.get(id) == Some(name)).count();
        if again < first.freed.len() / 20 {
            wrong.push(format!("only {again} of {} addresses were given away again", first.freed.len()));
        }
        // the sums agree with each other, and each type's with the lists
        let counted = |n: Option<u64>| n.unwrap_or(u64::MAX);
        if counted(answer.created) + counted(answer.survivors) != new.objects().len() as u64
            || counted(answer.freed) + counted(answer.survivors) != old.objects().len() as u64
            || counted(answer.created) != created.len() as u64
            || counted(third.kept) != kept.len() as u64
        {
            wrong.push(format!("the sums are {answer:?}").chars().take(400).collect());
        }
        if answer.types.iter().map(|t| t.change.new_count).sum::<u64>() + answer.unchanged.count
            != answer.total.new_count
            || answer.unchanged.types == 0
        {
            wrong.push(format!("the rows and {:?} are not {:?}", answer.unchanged, answer.total));
        }
        for row in &answer.types {
            if !row.is_change() {
                wrong.push(format!("{row:?} did not change"));
            }
            let c = &row.change;
            let delta = counted(row.created) as i64 - counted(row.freed) as i64;
            let whole = counted(row.survivors) + counted(row.created) == c.new_count;
            if delta != c.delta_count || !whole || c.delta_bytes != c.new_bytes as i64 - c.old_bytes as i64 {
                wrong.push(format!("{row:?} does not add up"));
            }
        }
        println!(
            "{}: {again} of {} addresses given away again, {:?}, {} differences",
            interpreter.name,
            first.freed.len(),
            answer.confidence,
            wrong.len()
        );
        wrong.truncate(20);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
    });
}

#[test]
fn a_restarted_process_is_compared_by_type() {
    on_every_interpreter(|interpreter| {
        let (one, other) = (start(interpreter), start(interpreter));
        let old = capture(&one);
        let _: Step = signalled(&other, "step1.json");
        let new = capture(&other);
        let Relation::Different(why) = relation(&old, &new) else { return Err("taken for one process".into()) };
        let (answer, objects) = whole(&old, &new, None, Which::Created);
        // as many of each type as there are in each, and no row for a type of which both have as many and as big ones
        let totals = |heap: &Heap| {
            let mut totals: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            for (id, ty) in heap.types().iter() {
                let (count, bytes) = heap.tally().get(id);
                let of_name = totals.entry(ty.name.clone()).or_default();
                *of_name = (of_name.0 + count, of_name.1 + bytes);
            }
            totals.retain(|_, total| total.0 > 0);
            totals
        };
        let (was, is) = (totals(&old), totals(&new));
        let mut rows: BTreeMap<String, [(u64, u64); 2]> = BTreeMap::new();
        for row in &answer.types {
            let c = &row.change;
            let of_name = rows.entry(row.name.clone()).or_default();
            of_name[0] = (of_name[0].0 + c.old_count, of_name[0].1 + c.old_bytes);
            of_name[1] = (of_name[1].0 + c.new_count, of_name[1].1 + c.new_bytes);
        }
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let of = |totals: &BTreeMap<String, (u64, u64)>, name| totals.get(name).copied().unwrap_or_default();
        for name in names {
            let both = [of(&was, name), of(&is, name)];
            if rows.get(name).is_some_and(|row| *row != both) || (!rows.contains_key(name) && both[0] != both[1]) {
                return Err(format!("{name}: {both:?} in the processes, told {:?}", rows.get(name)));
            }
        }
        if !was.contains_key("__main__.Row") || rows.is_empty() {
            return Err("nothing was compared".into());
        }
        if answer.survivors.is_some() || !objects.is_empty() || answer.only_types.as_ref() != Some(&why) {
            return Err(format!("objects of two processes were compared: {:?}", answer.survivors));
        }
        if answer.problems.is_empty() { Err("it does not say so".into()) } else { Ok(()) }
    });
}

#[test]
fn a_snapshot_is_equal_to_itself() {
    let Some(interpreter) = support::interpreters().into_iter().next_back() else { return };
    let target = start(&interpreter);
    let heap = capture(&target);
    let same = Comparison::of(&heap, &heap, &Progress::default()).expect("nobody cancels it");
    for (id, address, _) in heap.objects().iter() {
        assert!(same.fate(id).survived(), "{address}: {:?}", same.fate(id));
    }
}
