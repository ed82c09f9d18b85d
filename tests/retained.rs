//! What goes with a module, thread, frame, variable, task and type, compared with structures of known size.

mod support;

use pymem_tui::analysis::answers::RetainedRow;
use pymem_tui::analysis::retained::{Which, retaining, rows};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use support::{Target, on_every_interpreter};

/// The one row of that name: bytes and objects. Of what is not named nothing is kept.
fn of(rows: &[RetainedRow], by: &str, name: &Value) -> Result<(u64, u64), String> {
    let Some(name) = name.as_str() else { return Ok((0, 0)) };
    let is = |row: &&RetainedRow| match by {
        "type" => row.type_name == name,
        "local" => row.summary.starts_with(name),
        _ => row.summary == name,
    };
    let found: Vec<_> = rows.iter().filter(is).collect();
    match found.as_slice() {
        [row] => Ok((row.retained_bytes, row.retained_count)),
        _ => Err(format!("{} rows of {by} are {name}: {:?}", found.len(), rows.iter().take(5).collect::<Vec<_>>())),
    }
}

#[test]
fn what_goes_with_each_is_what_one_keeps_more_than_its_twin() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "retained.py", &[]);
        let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
        let progress = Progress::default();
        let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
        for line in target.said.iter().filter_map(|line| line.strip_prefix("fact ")) {
            let fact: Value = serde_json::from_str(line).expect("a line of retained.py");
            let by = fact["by"].as_str().expect("what it is by").to_owned();
            let which = match by.as_str() {
                "module" => Which::Modules,
                "thread" => Which::Threads,
                "frame" => Which::Frames,
                "local" => Which::Locals,
                "task" => Which::Tasks,
                "type" => Which::Types,
                other => panic!("{other}"),
            };
            let all = rows(&heap, which, 0, u64::MAX, &progress).expect("nobody cancels it").objects;
            let (heavy, light) = match (of(&all, &by, &fact["heavy"]), of(&all, &by, &fact["light"])) {
                (Ok(heavy), Ok(light)) => (heavy, light),
                (heavy, light) => {
                    wrong.extend(heavy.err().into_iter().chain(light.err()));
                    continue;
                }
            };
            let more = (heavy.0.wrapping_sub(light.0), heavy.1.wrapping_sub(light.1));
            let told = (fact["bytes"].as_u64().expect("bytes"), fact["objects"].as_u64().expect("objects"));
            if more != told {
                wrong.push(format!("{fact}: {heavy:?} and {light:?}"));
            }
            seen.insert(by);
        }
        // the columns of tasks and threads say the same
        let columns = retaining(&heap, &progress).expect("nobody cancels it");
        for (which, sum) in [
            (Which::Tasks, columns.tasks.values().sum::<u64>()),
            (Which::Threads, columns.threads.values().sum::<u64>()),
        ] {
            let all = rows(&heap, which, 0, u64::MAX, &progress).expect("nobody cancels it").objects;
            if all.iter().map(|row| row.retained_bytes).sum::<u64>() != sum {
                wrong.push(format!("{which:?}: the columns hold {sum}"));
            }
        }
        println!("{}: by {seen:?}, {} differences", interpreter.name, wrong.len());
        if seen.len() != 6 {
            wrong.push(format!("only {seen:?} were compared"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
    });
}
