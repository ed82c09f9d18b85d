//! The values of objects, compared with what the interpreter that holds them says, on every interpreter found.

mod support;
#[path = "values/check.rs"]
mod check;

use check::{Check, OPAQUE};
use pymem_tui::analysis::describe::{describe, properties};
use pymem_tui::cpython::Memory;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot};
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
    let writable = heap.snapshot().regions().iter().filter(|r| r.is_writable());
    let pieces: Vec<(Addr, Vec<u8>)> = writable.map(|r| (r.start, r.bytes().to_vec())).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for one_in in [64, 16, 4] {
        let mut pieces = pieces.clone();
        for word in pieces.iter_mut().flat_map(|(_, bytes)| bytes.chunks_exact_mut(8)) {
            // xorshift: reproducible noise
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state.is_multiple_of(one_in) {
                let noise = if state & 256 == 0 { state } else { state >> 56 };
                word.copy_from_slice(&noise.to_le_bytes());
            }
        }
        let damaged = Snapshot::from_memory(pieces, None);
        let memory = Memory { reader: damaged.reader(), layout: heap.interpreter().layout };
        for (_, addr, ty) in heap.objects().iter().step_by(7) {
            let line = describe(&memory, heap.types(), addr, heap.types().get(ty), 80);
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let ty = heap.types().get(ty);
            for (name, value) in properties(&memory, heap.types(), addr, ty) {
                assert!(!value.text().chars().any(char::is_control), "{name}: {value:?}");
            }
            memory.native_bytes(addr, ty, heap.types());
        }
    }
}
