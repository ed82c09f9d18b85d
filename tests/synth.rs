//! Synthetic processes: memory laid out by hand holds exactly the objects that were put there, and no trap is one.
//!
//! The builder in `tests/synth/` shares nothing with the decoder but CPython itself. Each version gets the same
//! objects in the encodings of its own; each trap is one way in which memory looks like an object and is none.

#[path = "synth/image.rs"]
mod image;
#[path = "synth/process.rs"]
mod process;

use process::{ARENA, HEAP, LOW, Made, Process};
use pymem_tui::analysis::types::rows;
use pymem_tui::cpython::layout;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const MINORS: [u8; 4] = [10, 11, 12, 13];

fn index(space: &image::Space) -> Heap {
    Heap::index(Arc::new(space.snapshot()), &Progress::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The index holds these objects and no other, with these types, sizes and references.
fn check(what: &str, heap: &Heap, made: &BTreeMap<u64, Made>) {
    let name = |addr: u64| heap.object_at(Addr(addr)).map(|(_, t)| t.name.clone());
    let found: BTreeMap<u64, String> =
        heap.objects().iter().map(|(_, addr, ty)| (addr.0, heap.types().get(ty).name.clone())).collect();
    let told: BTreeMap<u64, String> = made.iter().map(|(addr, m)| (*addr, m.of.clone())).collect();
    let differs = |a: &BTreeMap<u64, String>, b: &BTreeMap<u64, String>| -> Vec<String> {
        a.iter().filter(|(at, of)| b.get(at) != Some(of)).map(|(at, of)| format!("{of} {at:#x}")).collect()
    };
    assert!(found == told, "{what}: missing {:?}, too many {:?}", differs(&told, &found), differs(&found, &told));
    let ids: Vec<_> = heap.objects().iter().map(|(id, ..)| id).collect();
    for row in rows(heap, &ids, 0, u64::MAX).objects {
        if let Some(size) = made[&row.address.0].size {
            assert_eq!(row.shallow_bytes, size, "{what}: size of {} {}", row.type_name, row.address);
        }
    }
    let edges = heap.edges(&Progress::default()).unwrap();
    for (at, object) in made.iter().filter(|(_, m)| m.of != "type") {
        let id = heap.objects().object_at(Addr(*at)).unwrap();
        let held = edges.referents(heap, id).iter().map(|id| heap.objects().address(*id).0);
        let held: BTreeSet<u64> = held.filter(|h| name(*h).as_deref() != Some("type")).collect();
        assert_eq!(held, object.holds, "{what}: what {} {at:#x} holds", object.of);
        for target in &object.holds {
            let back = edges.referrers(heap.objects().object_at(Addr(*target)).unwrap());
            assert!(back.contains(&id), "{what}: {target:#x} is held by {} {at:#x}", object.of);
        }
    }
}

/// One of everything.
fn furnish(p: &mut Process) {
    let numbers: Vec<u64> = (1000..1020).map(|n| p.int(n)).collect();
    let text = p.str("some text that is long enough to lie in a block of a size of its own");
    let tuple = p.tuple(&[numbers[0], text, numbers[1]]);
    let (list, _) = p.list(&numbers, 24);
    let dict = p.dict(&[("list", list), ("tuple", tuple), ("number", numbers[3])]);
    p.tuple(&[]);
    p.list(&[dict, dict], 2);
    p.class("Point", &["x", "y"], &[]);
    p.class("Bag", &[], &["name", "items", "rest"]);
    for n in 0..40 {
        let point = p.slotted("app.Point", &[numbers[n % 20], text]);
        p.instance("app.Bag", &[text, list, point][..1 + n % 3]);
    }
    p.tuple(&vec![text; 200]); // too large for a pool
    p.str(&"x".repeat(3000));
}

#[test]
fn exactly_the_objects_that_were_made_are_found() {
    for minor in MINORS {
        for symbols in [true, false] {
            let mut p = Process::new(minor);
            furnish(&mut p);
            let (space, made) = p.finish(symbols);
            let heap = index(&space);
            assert_eq!(heap.interpreter().version.minor, (3, minor));
            assert!(heap.problems().is_empty(), "{:?}", heap.problems());
            check(&format!("3.{minor}, symbols: {symbols}"), &heap, &made);
        }
    }
}

/// Versions that recombine known encodings with other offsets need a table each, and nothing else.
#[test]
fn a_version_to_come_is_a_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/made-up");
    let added = layout::add_folder(&folder).unwrap();
    assert!(added.len() >= 2, "{added:?}");
    for version in added {
        let table: toml::Table =
            std::fs::read_to_string(folder.join(format!("{version}.toml"))).unwrap().parse().unwrap();
        let combination = table["variants"].as_table().unwrap();
        let real = layout::known_versions().into_iter().filter(|v| *v != version).filter_map(layout::table_text);
        let mut real = real.map(|text| text.parse::<toml::Table>().unwrap());
        assert!(real.all(|t| t["variants"].as_table() != Some(combination)), "{version} is no new combination");
        for symbols in [true, false] {
            let mut p = Process::made_up(&table);
            furnish(&mut p);
            let number = p.int(7);
            let gone: Vec<u64> = (0..20).map(|_| p.tuple(&[number, number])).collect();
            gone.iter().step_by(2).for_each(|g| p.free(g - 16));
            let (space, made) = p.finish(symbols);
            let heap = index(&space);
            assert_eq!(heap.interpreter().layout.version, version);
            assert!(heap.problems().is_empty(), "{:?}", heap.problems());
            check(&format!("{version}, symbols: {symbols}"), &heap, &made);
        }
    }
}

/// The scan goes over an image in windows of 1 MiB: what lies across a border is found, and once.
#[test]
fn a_static_object_may_lie_across_a_windows_border() {
    for minor in MINORS {
        for before in [8, 16, 24] {
            let mut p = Process::new(minor);
            furnish(&mut p);
            p.static_int((1 << 20) - before, 7);
            let (space, made) = p.finish(true);
            check(&format!("3.{minor}, {before} bytes before"), &index(&space), &made);
        }
    }
}

#[test]
fn what_was_freed_or_lies_within_an_object_is_none() {
    for minor in MINORS {
        let mut p = Process::new(minor);
        furnish(&mut p);
        let (int, list) = (p.type_named("int"), p.type_named("list"));
        let number = p.int(7);
        // freed blocks keep count and type: the free list overwrites the word before them
        for _ in 0..20 {
            let gone = p.tuple(&[number]);
            p.free(gone - 16);
        }
        let gone: Vec<u64> = (0..5).map(|_| p.tuple(&[number, number])).collect();
        gone.iter().step_by(2).for_each(|g| p.free(g - 16));
        // a tuple's size and an item that is a type look like a header
        p.tuple(&[int, number, int, number]);
        p.tuple(&[list, int, list, int, number]);
        // a block of items that begins with an address and a type
        p.list(&[number, int, number, list], 4);
        // in low memory an address looks like a count, and items like a GC header
        p.pools_from(LOW);
        let low = p.slotted("app.Point", &[number, number]);
        let items = [low, int, low, list, low, int, low, low];
        assert!(p.list(&items, 8).1 < 1 << 32);
        let (space, made) = p.finish(true);
        check(&format!("3.{minor}"), &index(&space), &made);
    }
}

/// The state of an interpreter lies in memory of its own: the head of an empty list, a number and a type in a row.
#[test]
fn an_empty_list_before_a_type_is_no_object() {
    for minor in MINORS {
        let mut p = Process::new(minor);
        furnish(&mut p);
        let list = p.type_named("list");
        let (mut space, made) = p.finish(true);
        let state = 0x7f10_0000_0000;
        space.map(state, 0x4000);
        let head = state + 0x850;
        for (at, word) in [(0, head), (8, head), (16, 4), (24, list)] {
            space.put(head + at, word);
        }
        check(&format!("3.{minor}"), &index(&space), &made);
    }
}

#[test]
fn chunks_at_borders_and_free_chunks() {
    for minor in MINORS {
        let mut p = Process::new(minor);
        furnish(&mut p);
        let number = p.int(7);
        let items = vec![number; 100];
        // a block that ends its chunk's window: the object itself begins on the border of the next
        for (mib, before) in [(1, 16), (2, 0), (3, 8 * 16)] {
            let user = HEAP + (mib << 20) - before;
            let chunk = p.chunk_at(user, 16 + 24 + 800);
            p.tuple_at(chunk + 16, &items);
        }
        // a chunk that came back: what was in it is as it was, but for the two words of the bin's list
        let gone = p.chunk(16 + 24 + 800);
        p.tuple_at(gone + 16, &items);
        p.made.remove(&(gone + 16));
        let after = p.chunk(16 + 24 + 800);
        p.tuple_at(after + 16, &items);
        let (mut space, made) = p.finish(true);
        let size = space.get(after - 8);
        space.put(after - 8, size & !1); // "the one before me is free"
        check(&format!("3.{minor}"), &index(&space), &made);
    }
}

#[test]
fn a_process_stopped_in_an_allocation_is_told() {
    for minor in MINORS {
        let mut p = Process::new(minor);
        furnish(&mut p);
        let gone = p.tuple(&[]);
        p.free(gone - 16);
        let (mut space, made) = p.finish(true);
        // the block was taken from the list, and the count is not yet raised
        let pool = (gone - 16) & !((16 << 10) - 1);
        assert_eq!(space.get(pool + 8), gone - 16);
        space.put(pool + 8, 0);
        let heap = index(&space);
        assert!(heap.problems()[0].contains("1 pools"), "3.{minor}: {:?}", heap.problems());
        let found: BTreeSet<u64> = heap.objects().iter().map(|(_, addr, _)| addr.0).collect();
        assert!(made.keys().all(|at| found.contains(at)), "3.{minor}: what lives is found all the same");
    }
}

#[test]
fn overlaps_and_holes_are_told_and_lose_nothing_else() {
    for minor in MINORS {
        let mut p = Process::new(minor);
        furnish(&mut p);
        let (space, made) = p.finish(true);
        let arena = space.runs.iter().position(|(start, _)| *start == ARENA).unwrap();
        let mut doubled = space.clone();
        doubled.runs.push((ARENA + 4096, space.runs[arena].1[4096..8192].to_vec()));
        let heap = index(&doubled);
        let problem = &heap.snapshot().problems()[0];
        assert!(problem.contains("overlaps"), "3.{minor}: {problem}");
        check(&format!("3.{minor}, doubled"), &heap, &made);
        // some of the pools were not captured, then all of them: what lies elsewhere is found all the same, but for
        // the objects of classes whose names are lost
        let used = made.keys().filter(|at| (ARENA..ARENA + (2 << 20)).contains(at)).max().unwrap() - ARENA;
        for keep in [(used * 3 / 4) & !0x3fff, 0] {
            let mut cut = space.clone();
            cut.runs[arena].1.truncate(keep as usize);
            let heap = index(&cut);
            let there = |at: u64| !(ARENA + keep..ARENA + (2 << 20)).contains(&at);
            let found: BTreeSet<u64> = heap.objects().iter().map(|(_, addr, _)| addr.0).collect();
            assert!(found.iter().all(|at| there(*at)), "3.{minor}: objects in memory that is not there");
            let lost: Vec<_> = made
                .iter()
                .filter(|(at, m)| there(**at) && !m.of.starts_with("app.") && m.of != "dict" && !found.contains(at))
                .collect();
            assert!(lost.is_empty(), "3.{minor}, {keep:#x} bytes of pools: {lost:?}");
            heap.edges(&Progress::default()).unwrap();
        }
    }
}
