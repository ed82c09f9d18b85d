//! Objects of NumPy, pandas and attrs, compared with what their own interpreter says, for each version that
//! `.ci/packages` has installed them for.

#[path = "values/check.rs"]
mod check;
mod support;

use check::Check;
use pymem_tui::cpython::{EdgeKind, EdgeName};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use support::{Interpreter, Target};

/// Both major versions of NumPy are installed for one of these; a run that requires interpreters requires them.
const REQUIRED: [&str; 4] = ["3.8", "3.10", "3.12", "3.13"];

#[test]
fn objects_of_packages_are_what_the_interpreter_says() {
    let mut all = support::interpreters();
    all.retain(|i| i.build == "shared" && folder(&i.minor).join("installed.txt").exists());
    let mut seen = HashSet::new();
    all.retain(|i| seen.insert(i.minor.clone()));
    let names: Vec<_> = all.iter().map(|i| i.name.as_str()).collect();
    println!("with packages: {names:?}");
    if std::env::var("PYMEM_TUI_REQUIRE").is_ok_and(|r| !r.is_empty()) && std::env::var("PYMEM_TUI_ONLY").is_err() {
        let missing: Vec<_> = REQUIRED.iter().filter(|r| !seen.contains(**r)).collect();
        assert!(missing.is_empty(), "packages are not installed for {missing:?}: run .ci/packages");
    }
    let failed: String = all.iter().filter_map(|i| Some(format!("{}: {}\n", i.name, look(i).err()?))).collect();
    assert!(failed.is_empty(), "{failed}");
}

fn folder(minor: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages").join(minor)
}

fn look(interpreter: &Interpreter) -> Result<(), String> {
    let target = Target::start(interpreter, "packages.py", &[folder(&interpreter.minor).to_str().unwrap()]);
    let snapshot = Arc::new(target.capture());
    let expected = support::read_expected(&target.path("zoo.expect"));
    let paths = std::fs::read_to_string(target.path("zoo.paths")).unwrap();
    let paths: Vec<(String, u64, u64)> = serde_json::from_str(&paths).unwrap();
    drop(target);
    let heap = Heap::index(snapshot, &Progress::default()).map_err(|e| e.to_string())?;
    let memory = heap.memory();
    let check = Check { memory: &memory, types: heap.types() };
    let (mut wrong, mut kinds) = (String::new(), BTreeMap::new());
    let ours = |kind: &str, name: &Option<String>| name.is_some() || kind == "ndarray";
    for line in expected.iter().filter(|l| ours(&l.kind, &l.name)) {
        *kinds.entry(line.kind.as_str()).or_insert(0u32) += 1;
        for problem in check.line(line) {
            let _ = writeln!(wrong, "  {:#x} {} {:?} ({}): {problem}", line.id, line.r#type, line.name, line.kind);
        }
    }
    for (name, from, to) in &paths {
        if !leads(&heap, Addr(*from), Addr(*to)) {
            let _ = writeln!(wrong, "  {name}: no strong references lead from {from:#x} to {to:#x}");
        }
    }
    println!("{}: {kinds:?} compared, {} paths", interpreter.name, paths.len());
    if kinds.get("ndarray").is_none_or(|n| *n < 20) || paths.len() < 10 {
        wrong.push_str("  too little was compared");
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("\n{wrong}")) }
}

#[test]
fn damaged_arrays_have_values_and_lines_all_the_same() {
    let there = |i: &Interpreter| i.build == "shared" && folder(&i.minor).join("installed.txt").exists();
    let Some(interpreter) = support::interpreters().into_iter().rfind(there) else { return };
    let target = Target::start(&interpreter, "packages.py", &[folder(&interpreter.minor).to_str().unwrap()]);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).unwrap();
    drop(target);
    check::survives_damage(&heap);
}

/// Whether references that are sure lead from one object to the other, classes and modules left out.
fn leads(heap: &Heap, from: Addr, to: Addr) -> bool {
    const MAX_SEEN: usize = 100_000;
    let memory = heap.memory();
    let mut seen = HashSet::from([from]);
    let mut next = VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        let Some((_, ty)) = heap.object_at(at) else { continue };
        if at == to {
            return true;
        }
        if ty.is_metatype() || ty.name == "module" || seen.len() > MAX_SEEN {
            continue;
        }
        memory.visit_edges(at, ty, heap.types(), &mut |name: EdgeName<'_>, kind: EdgeKind, target: Addr| {
            if kind == EdgeKind::Strong && name != EdgeName::Class && seen.insert(target) {
                next.push_back(target);
            }
        });
    }
    false
}
