//! Queries over the objects of real processes: what the parallel selection gives is what asking each object gives, and
//! what the process itself recorded.

#[path = "contract/ask.rs"]
mod ask;
mod support;

use pymem_tui::analysis::query::objects::{Query, is_meant};
use pymem_tui::heap::{Heap, ObjectId};
use pymem_tui::progress::Progress;
use std::collections::BTreeSet;
use std::sync::Arc;
use support::truth::Truth;
use support::{Interpreter, Target, on_every_version};

const QUERIES: [&str; 19] = [
    "type = dict and size > 1kB",
    "not type = str and len = 3",
    "size >= 100 and size < 200 or type ~ zoo*",
    "refcount = 1 and type != int",
    "not refcount",
    "size > 100 or len > 10 or refcount > 5",
    "len = 0 or not len and size > 40",
    "value = 3 or value ~ *zoo* and type = str",
    "type = float and value < 1",
    "attr.x or attr.name",
    "attr.name = \"zoo\" or not (len or size < 100)",
    "module = builtins and size < 40 or module ~ zoo_*",
    "module = zoo_classes and type = type",
    "type = str and value ~ *é* or type = bytes and value ~ PK",
    "referrers = 1 and type = list",
    "referents > 10 and not type = module",
    "native > 0",
    "retained > 1kB and size < 100",
    "address >= 0x1000 and type ~ ?nt",
];

#[test]
fn a_selection_is_what_asking_each_object_gives() {
    on_every_version(compare);
}

#[test]
fn a_comparison_of_snapshots_is_narrowed_by_its_rows() {
    let zoo = ask::zoo();
    let every = ask::ask(&["diff", &zoo.path, &zoo.path, "--where", "new_count >= 0"]);
    let asked =
        ask::ask(&["diff", &zoo.path, &zoo.path, "--where", "new_count > 1000 and growth = 0 and not type ~ d*"]);
    let rows = every["types"].as_array().unwrap().iter();
    let fits = |row: &&serde_json::Value| {
        row["new_count"].as_u64() > Some(1000) && !row["name"].as_str().unwrap().to_lowercase().starts_with('d')
    };
    let expected: Vec<_> = rows.filter(fits).cloned().collect();
    assert!(expected.len() > 5, "{}", expected.len());
    assert_eq!(asked["types"], serde_json::Value::Array(expected));
    let out = ask::run(&["diff", &zoo.path, &zoo.path, "--where", "growth > 0 and colour = red"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--where: column 16: there is no field colour"));
}

#[test]
fn what_goes_with_objects_is_narrowed_by_its_rows() {
    let zoo = ask::zoo();
    let list = |options: &[&str]| ask::ask(&[&["retained", &zoo.path, "-q"], options].concat());
    for by in [&[][..], &["--by", "type"], &["--by", "module"]] {
        let every = list(by);
        let narrowed = list(&[by, &["--where", "retained > 2kB and count >= 3 and not type ~ tup"]].concat());
        let fits = |row: &&serde_json::Value| {
            row["retained_bytes"].as_u64() > Some(2000)
                && row["retained_count"].as_u64() >= Some(3)
                && !row["type"].as_str().unwrap().to_lowercase().contains("tup")
        };
        let all = every["objects"].as_array().unwrap();
        let expected: Vec<_> = all.iter().filter(fits).cloned().collect();
        assert!((3..all.len()).contains(&expected.len()), "{by:?}: {}", expected.len());
        assert_eq!(narrowed["total"].as_u64(), Some(expected.len() as u64), "{by:?}");
        assert_eq!(narrowed["objects"], serde_json::Value::Array(expected), "{by:?}");
    }
}

fn select(heap: &Heap, text: &str, among: Option<&[ObjectId]>) -> Result<Vec<ObjectId>, String> {
    let query = Query::parse(text).map_err(|e| e.to_string())?;
    query.select(heap, among, &Progress::default()).map_err(|e| e.to_string())
}

fn compare(interpreter: &Interpreter) -> Result<(), String> {
    let target = Target::start(interpreter, "zoo.py", &["--free", "1000"]);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
    heap.edges(&Progress::default()).map_err(|e| e.to_string())?;
    heap.dominators(&Progress::default()).map_err(|e| e.to_string())?;
    let all: Vec<ObjectId> = (0..heap.objects().len() as u32).map(ObjectId).collect();
    // a fifth of all, spread, so that the test stays short; those in another order
    let some: Vec<ObjectId> = all.iter().rev().step_by(5).copied().collect();
    let mut empty = Vec::new();
    for text in QUERIES {
        let query = Query::parse(text).map_err(|e| e.to_string())?;
        let found = select(&heap, text, None)?;
        let meant: BTreeSet<ObjectId> = found.iter().copied().collect();
        if !found.is_sorted() || meant.len() != found.len() {
            return Err(format!("{text}: not in order"));
        }
        let expected: Vec<ObjectId> = some.iter().copied().filter(|id| is_meant(&heap, &query, *id)).collect();
        if let Some(id) = some.iter().find(|id| meant.contains(id) != expected.contains_sorted(id)) {
            return Err(format!("{text}: {} is another", heap.objects().address(*id)));
        }
        if select(&heap, text, Some(&some))? != expected {
            return Err(format!("{text}: among some, others are found"));
        }
        empty.extend(found.is_empty().then_some(text));
    }
    println!("{}: {} objects", interpreter.name, all.len());
    // no object was immortal before 3.12
    let mortal = matches!(interpreter.minor.as_str(), "3.8" | "3.9" | "3.10" | "3.11");
    let expected: &[&str] = if mortal { &["not refcount"] } else { &[] };
    if empty != expected {
        return Err(format!("only what nothing is like may be without a hit: {empty:?}"));
    }
    against_the_record(&heap, &Truth::read(&target.path("zoo.truth")))
}

trait Descending {
    fn contains_sorted(&self, id: &ObjectId) -> bool;
}

impl Descending for Vec<ObjectId> {
    fn contains_sorted(&self, id: &ObjectId) -> bool {
        self.binary_search_by(|other| id.cmp(other)).is_ok()
    }
}

/// What the target itself recorded: types, sizes.
fn against_the_record(heap: &Heap, truth: &Truth) -> Result<(), String> {
    for (text, name, least, most) in [
        ("type = dict and size > 1000", "dict", 1001, u64::MAX),
        ("size <= 120 and type = tuple", "tuple", 0, 120),
        ("type = set and not (size < 300 or size >= 10kB)", "set", 300, 9_999),
    ] {
        let found: BTreeSet<u64> = select(heap, text, None)?.iter().map(|id| heap.objects().address(*id).0).collect();
        let of_type = |o: &&support::truth::TruthObject| truth.types[&o.type_address].name == name;
        let fits = |o: &&support::truth::TruthObject| o.size.is_some_and(|s| (least..=most).contains(&s));
        let recorded: BTreeSet<u64> = truth.objects.iter().filter(of_type).filter(fits).map(|o| o.address).collect();
        let others: BTreeSet<u64> =
            truth.objects.iter().filter(|o| !(of_type(o) && fits(o))).map(|o| o.address).collect();
        if !recorded.is_subset(&found) || !found.is_disjoint(&others) || recorded.is_empty() {
            return Err(format!("{text}: {} recorded, {} found", recorded.len(), found.len()));
        }
    }
    Ok(())
}
