//! Ground truth: what a target wrote down of its own heap, compared with what is found from outside.
//!
//! The target (`tests/targets/zoo.py`) holds instances of everything, has made and freed a hundred thousand more, and
//! records every object that can be reached. Everything is compared, address by address.

mod support;

use pymem_tui::cpython::runtime::Interpreter as Interpreted;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::compare::{compare, finish};
use support::truth::Truth;
use support::{Interpreter, Target, on_every_build, on_every_interpreter, on_every_version};

fn heap_and_truth(interpreter: &Interpreter, env: &[(&str, &str)]) -> (Heap, Truth) {
    let target = Target::start_with(interpreter, "zoo.py", &["--threads", "2"], env);
    let snapshot = Arc::new(target.capture());
    let truth = Truth::read(&target.path("zoo.truth"));
    let heap = Heap::index(snapshot, &Progress::default()).expect("the snapshot is indexed");
    (heap, truth)
}

#[test]
fn every_object_is_in_the_index_with_its_type_and_size() {
    on_every_build(|interpreter| holds(interpreter, &[]));
}

/// Of the types that a table names, each has one of the size that the table tells: a release that has it otherwise has
/// an overlay in its table.
#[test]
fn every_type_has_the_size_that_its_table_tells() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "zoo.py", &["--free", "1000"]);
        let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
        let mut sizes: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (_, ty) in heap.types().iter() {
            sizes.entry(&ty.name).or_default().push(ty.basicsize as i64);
        }
        let entries = &heap.interpreter().layout.objects;
        // a module may have a twin in Python beside its type in C; one of them is the table's
        let differs =
            |(name, sizes): &(&&str, &Vec<i64>)| entries.get(**name).is_some_and(|e| !sizes.contains(&e.size));
        let tell = |(name, sizes): (&&str, &Vec<i64>)| format!("{name}: {sizes:?}, not {}", entries[*name].size);
        let wrong: Vec<String> = sizes.iter().filter(differs).map(tell).collect();
        finish([(!wrong.is_empty()).then(|| wrong.join("; "))])
    });
}

/// Everything that a target recorded of itself is what is found, and nothing more.
fn holds(interpreter: &Interpreter, env: &[(&str, &str)]) -> Result<(), String> {
    let (heap, truth) = heap_and_truth(interpreter, env);
    assert!(truth.objects.len() > 50_000, "the record holds {} objects", truth.objects.len());
    // each build's own offsets are those of its table
    assert_eq!(heap.problems(), [] as [String; 0], "{} {env:?}", interpreter.name);
    compare(&heap, &truth)?;
    println!("{} {env:?}: {} objects compared, 0 differences", interpreter.name, truth.objects.len());
    Ok(())
}

/// Every small object in a chunk of malloc's.
#[test]
fn the_same_holds_without_pymalloc() {
    on_every_version(|interpreter| match interpreter.free_threaded {
        true => Ok(()), // "unknown allocator", it says: there is mimalloc only
        false => holds(interpreter, &[("PYTHONMALLOC", "malloc")]),
    });
}

/// Blocks that malloc has back, and keeps linked in its bins, hold no object, wherever the heap lies.
#[test]
fn nothing_lives_in_the_bins_of_malloc() {
    on_every_interpreter(|interpreter| {
        if interpreter.free_threaded {
            return Ok(()); // it has no objects in malloc's blocks
        }
        let target = Target::start_with(interpreter, "freed.py", &["1000"], &[("PYTHONMALLOC", "malloc")]);
        let snapshot = target.capture();
        let told = |what: &str| -> Vec<Addr> {
            let line = target.said.iter().find_map(|l| l.strip_prefix(what)).expect("the target tells addresses");
            line.split_whitespace().map(|id| Addr(id.parse().expect("an address"))).collect()
        };
        let heap = Heap::index(Arc::new(snapshot), &Progress::default()).map_err(|e| e.to_string())?;
        let is_float = |addr: &&Addr| heap.object_at(**addr).is_some_and(|(_, t)| t.name == "float");
        let (dead, live) = (told("dead "), told("live "));
        let (found, kept) = (dead.iter().filter(is_float).count(), live.iter().filter(is_float).count());
        let reused = told("reused ").into_iter().filter_map(|addr| heap.object_at(addr)).map(|(_, ty)| &ty.name);
        let reused: BTreeSet<_> = reused.collect();
        let wrong = found > 0 || kept < live.len() || !reused.is_empty();
        if wrong {
            let (dead, live) = (dead.len(), live.len());
            return Err(format!("{found} of {dead} dead are found, {kept} of {live} living, {reused:?} in arrays"));
        }
        Ok(())
    });
}

/// Objects of threads that have ended, larger than a segment of mimalloc's, or freed by another thread than their own's.
#[test]
fn pages_of_mimalloc_are_those_of_all_threads() {
    on_every_interpreter(|interpreter| {
        if !interpreter.free_threaded {
            return Ok(()); // its threads share pymalloc's pools
        }
        let target = Target::start(interpreter, "mimalloc.py", &[]);
        let snapshot = target.capture();
        let told = |what: &str| -> Vec<(Addr, String)> {
            let words = target.said.iter().filter_map(|l| l.strip_prefix(what)).flat_map(str::split_whitespace);
            let pairs = words.map(|w| w.split_once(':').expect("an address and a type's name"));
            pairs.map(|(id, name)| (Addr(id.parse().expect("an address")), name.to_owned())).collect()
        };
        let heap = Heap::index(Arc::new(snapshot), &Progress::default()).map_err(|e| e.to_string())?;
        let is = |addr: Addr, name: &str| heap.object_at(addr).is_some_and(|(_, t)| t.name.ends_with(name));
        let (live, mut dead) = (told("live "), told("dead "));
        dead.retain(|(_, name)| matches!(name.as_str(), "Plain" | "Slotted")); // others are made anew
        let missing = live.iter().filter(|(addr, name)| !is(*addr, name)).count();
        let risen = dead.iter().filter(|(addr, name)| is(*addr, name)).count();
        let large = live.iter().rev().take(3).map(|(addr, _)| {
            let ty = heap.object_at(*addr).map(|(_, t)| t)?;
            Some((heap.memory().shallow_size(*addr, ty)?, heap.object_around(*addr + 0x10_0000)?.1 == *addr))
        });
        let around = large.flatten().filter(|(size, around)| *size > 4 << 20 && *around).count();
        println!("{}: {} live, {} dead objects compared", interpreter.name, live.len(), dead.len());
        let fine = (missing, risen, around) == (0, 0, 3) && live.len() > 20_000 && dead.len() > 5_000;
        let why = || format!("{missing} of {} are missing, {risen} of {} are found", live.len(), dead.len());
        if fine { Ok(()) } else { Err(format!("{}; {around} of 3 large ones; {:?}", why(), heap.problems())) }
    });
}

/// Every block within a header and a trailer of the debug hooks, over pymalloc and over malloc.
#[test]
fn the_same_holds_under_the_debug_allocator() {
    on_every_version(|interpreter| {
        let hooks: &[&str] = if interpreter.free_threaded { &["debug"] } else { &["debug", "malloc_debug"] };
        hooks.iter().try_for_each(|m| holds(interpreter, &[("PYTHONMALLOC", m)]))
    });
}

/// 3.15 that calls itself 3.16: read with the newest table, and said.
#[test]
fn a_later_version_is_read_with_the_newest_table() {
    let newest = support::interpreters().into_iter().rfind(|i| i.minor == "3.15");
    let Some(interpreter) = newest else {
        println!("not covered: no CPython 3.15");
        return;
    };
    let target = Target::start(&interpreter, "zoo.py", &["--free", "1000"]);
    let snapshot = target.capture();
    drop(target);
    let reader = snapshot.reader();
    let real = Interpreted::find(&snapshot).expect("the interpreter is found");
    let runtime = real.runtime.expect("_PyRuntime is found");
    let hex = reader.u64(runtime + 8).expect("its version is there");
    let later = 0x0310_00f0u64;
    let mut pieces = Vec::new();
    for region in snapshot.regions() {
        for extent in region.extents() {
            let mut bytes = region.bytes()[extent.start as usize..extent.end as usize].to_vec();
            for word in bytes.chunks_exact_mut(8).filter(|w| *w == hex.to_le_bytes()) {
                word.copy_from_slice(&later.to_le_bytes());
            }
            pieces.push((region.start + extent.start, bytes));
        }
    }
    let renamed = Arc::new(Snapshot::from_memory(pieces, None));
    let heap = Heap::index(renamed, &Progress::default()).expect("it is indexed all the same");
    assert_eq!(heap.interpreter().version.text, "3.16.0");
    assert_eq!(heap.interpreter().layout.version, "3.15");
    let problems = heap.problems();
    assert!(problems.iter().any(|p| p.contains("3.16.0 is not known")), "{problems:?}");
    let before = Heap::index(Arc::new(snapshot), &Progress::default()).expect("it is indexed");
    let missing = before.objects().iter().filter(|(_, addr, _)| heap.object_at(*addr).is_none()).count();
    assert!(before.objects().len() > 50_000 && missing * 100 < before.objects().len(), "{missing} are missing");
}
