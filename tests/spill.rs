//! References that are too many for memory lie in a file, and nobody who asks sees a difference.

#[path = "contract/ask.rs"]
mod ask;
mod support;

use ask::{ask, zoo};
use pymem_tui::heap::{Edges, Heap, ObjectId};
use pymem_tui::progress::Progress;
use std::sync::Arc;
use support::{Target, interpreters};

/// How many files without a name this program has mapped.
fn nameless_files() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.ends_with(" (deleted)")).count()
}

#[test]
fn references_in_a_file_are_those_in_memory() {
    let target = Target::start(&interpreters().pop().unwrap(), "zoo.py", &[]);
    let progress = Progress::default();
    let heap = Heap::index(Arc::new(target.capture()), &progress).unwrap();
    let files = nameless_files();
    let here = Edges::build_within(&heap, u64::MAX, &progress).unwrap();
    assert_eq!((here.spilled_bytes(), nameless_files()), (0, files));
    let all = here.len() as usize * 4;
    for allowed in [0, all as u64, all as u64 * 3 / 2] {
        let there = Edges::build_within(&heap, allowed, &progress).unwrap();
        // forwards and backwards
        assert!(there.spilled_bytes() as u64 >= 2 * all as u64 - allowed, "{allowed}: {}", there.spilled_bytes());
        assert!(nameless_files() > files);
        assert!(there.heap_bytes() + there.spilled_bytes() <= here.heap_bytes() + all / 10);
        assert_eq!(there.len(), here.len());
        for id in (0..heap.objects().len() as u32).map(ObjectId) {
            assert!(there.referents_by_kind(&heap, id).eq(here.referents_by_kind(&heap, id)), "{id:?}");
            // in the order of their addresses, whatever the parts
            assert!(there.referrers_by_kind(id).eq(here.referrers_by_kind(id)), "{id:?}");
        }
        println!("{allowed} bytes allowed: {} of {} lie in files", there.spilled_bytes(), 2 * all);
    }
    assert_eq!(nameless_files(), files, "they are gone with the references");
}

#[test]
fn a_limit_on_memory_changes_no_answer() {
    let zoo = zoo();
    for question in
        [&["retained", &zoo.path][..], &["leaks", &zoo.path], &["referrers", &zoo.path, &types_address(&zoo.path)]]
    {
        assert_eq!(ask(question), ask(&[question, &["--max-memory", "64K"]].concat()), "{question:?}");
    }
}

/// An object with many referrers: the type of all strings.
fn types_address(snapshot: &str) -> String {
    let types = ask(&["types", snapshot]);
    let row = types["types"].as_array().unwrap().iter().find(|t| t["name"] == "str").unwrap();
    row["address"].as_str().unwrap().to_owned()
}
