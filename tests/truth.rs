//! Ground truth: what a target wrote down of its own heap, compared with what is found from outside.
//!
//! The target (`tests/targets/zoo.py`) holds instances of everything, has made and freed a hundred thousand more, and
//! records every object that can be reached. Everything is compared, address by address.

mod support;

use pymem_tui::cpython::runtime::Interpreter as Interpreted;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Snapshot;
use std::sync::Arc;
use support::compare::compare;
use support::truth::Truth;
use support::{Interpreter, Target, on_every_build};

fn heap_and_truth(interpreter: &Interpreter) -> (Heap, Truth) {
    let target = Target::start(interpreter, "zoo.py", &["--threads", "2"]);
    let snapshot = Arc::new(target.capture());
    let truth = Truth::read(&target.path("zoo.truth"));
    let heap = Heap::index(snapshot, &Progress::default()).expect("the snapshot is indexed");
    (heap, truth)
}

#[test]
fn every_object_is_in_the_index_with_its_type_and_size() {
    on_every_build(|interpreter| {
        let (heap, truth) = heap_and_truth(interpreter);
        assert!(truth.objects.len() > 50_000, "the record holds {} objects", truth.objects.len());
        // each build's own offsets are those of its table
        assert_eq!(heap.interpreter().notes, [] as [String; 0], "{}", interpreter.name);
        compare(&heap, &truth)
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
