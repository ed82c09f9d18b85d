//! The values of objects, compared with what the interpreter that holds them says, on every interpreter found.

#[path = "values/check.rs"]
mod check;
mod support;

use check::{Check, OPAQUE};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use support::truth::Truth;
use support::{Interpreter, Target, on_every_interpreter};

/// Objects that looking makes (a bound method, say) are few.
const MAX_MADE: u32 = 3;

#[test]
fn values_are_what_the_interpreter_says() {
    on_every_interpreter(check_values);
}

fn check_values(interpreter: &Interpreter) -> Result<(), String> {
    let target = Target::start(interpreter, "zoo.py", &["--free", "1000"]);
    let snapshot = Arc::new(target.capture());
    let truth = Truth::read(&target.path("zoo.truth"));
    let expected = support::read_expected(&target.path("zoo.expect"));
    drop(target);
    let heap = Heap::index(snapshot, &Progress::default()).map_err(|e| e.to_string())?;
    let memory = heap.memory();
    let held: HashSet<u64> = truth.objects.iter().map(|o| o.address).collect();
    let check = Check { memory: &memory, types: heap.types() };
    let (mut wrong, mut made, mut counts) = (String::new(), 0, BTreeMap::new());
    for line in &expected {
        *counts.entry(line.kind.as_str()).or_insert(0u32) += 1;
        let problems = check.line(line);
        if !problems.is_empty() && !held.contains(&line.id) && line.name.is_none() {
            made += 1; // by the child that looked: the process itself has never held it
            continue;
        }
        for problem in problems {
            let _ = writeln!(wrong, "  {:#x} {} {:?} ({}): {problem}", line.id, line.r#type, line.name, line.kind);
        }
    }
    let opaque: Vec<_> = counts.iter().filter(|(kind, _)| OPAQUE.contains(kind)).collect();
    let compared: u32 = counts.values().sum::<u32>() - opaque.iter().map(|(_, n)| **n).sum::<u32>();
    println!(
        "{}: {} lines, {compared} values of {} kinds compared, {made} made by looking, by type and attributes only: {opaque:?}",
        interpreter.name,
        expected.len(),
        counts.len() - opaque.len(),
    );
    if made > MAX_MADE {
        let _ = writeln!(wrong, "  {made} lines are of objects that nobody holds");
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("\n{wrong}")) }
}

#[test]
fn damaged_memory_has_values_and_lines_all_the_same() {
    let Some(interpreter) = support::interpreters().into_iter().next_back() else { return };
    let target = Target::start(&interpreter, "zoo.py", &["--free", "1000"]);
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).unwrap();
    drop(target);
    check::survives_damage(&heap);
}
