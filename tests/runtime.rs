//! The interpreter's own objects: what compilers placed, what caches keep, and classes that only C code leads to.

mod support;

use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Target, on_every_interpreter};

#[test]
fn the_interpreters_own_objects_are_in_the_index() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "runtime.py", &[]);
        let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
        let (mut missing, mut told) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for line in &target.said {
            let mut words = line.split_whitespace();
            let kind = words.next().expect("a kind");
            let mut ids = words.map(|id| Addr(id.parse().expect("an address")));
            let of = ids.next().expect("a type");
            for id in ids {
                *told.entry(kind).or_insert(0) += 1;
                if heap.object_at(id).is_none_or(|(_, ty)| ty.address != of) {
                    missing.entry(kind).or_default().push(id);
                }
            }
        }
        println!("{}: {told:?}", interpreter.name);
        let few = told.get("small").is_none_or(|n| *n < 262) || told.get("class").is_none_or(|n| *n < 200);
        match (missing.is_empty(), few) {
            (_, true) => Err(format!("the target tells too little: {told:?}")),
            (true, _) => Ok(()),
            (false, _) => Err(format!("missing: {missing:?}").chars().take(600).collect()),
        }
    });
}

#[test]
fn a_process_inside_a_garbage_collection_is_recognised() {
    on_every_interpreter(|interpreter| {
        for (argument, expected) in [("stay", 1), ("done", 0)] {
            let target = Target::start(interpreter, "collecting.py", &[argument]);
            let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
            let problems = heap.problems();
            let told = problems.iter().filter(|p| p.contains("garbage collection")).count();
            if told != expected {
                return Err(format!("{argument}: {problems:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn a_process_inside_malloc_is_recognised() {
    on_every_interpreter(|interpreter| {
        for argument in ["main", "thread", "done"] {
            let target = Target::start(interpreter, "allocating.py", &[argument]);
            // in write(2), with the lock of the arena that it tells of; or in futex(2), with none
            target.wait_until_in(if argument == "done" { 202 } else { 1 });
            let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
            let problems = heap.problems();
            let told = problems.iter().filter(|p| p.contains("malloc's arena") && !p.contains("more")).count();
            if told != usize::from(argument != "done") {
                return Err(format!("{argument}: {problems:?}"));
            }
        }
        Ok(())
    });
}
