//! Planted waste of known sizes is found, with its bytes; what a fresh interpreter has of its own is taken off.

mod support;

use pymem_tui::analysis::answers::Waste;
use pymem_tui::analysis::waste::waste;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Interpreter, Target, on_every_version};

fn found(target: &Target) -> Result<Waste, String> {
    let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
    waste(&heap, &Progress::default()).map_err(|e| e.to_string())
}

fn sums(waste: &Waste) -> BTreeMap<&str, (u64, u64)> {
    waste.rows.iter().map(|r| (r.kind, (r.bytes, r.count))).collect()
}

#[test]
fn planted_waste_is_found_with_its_bytes() {
    on_every_version(compare);
}

fn compare(interpreter: &Interpreter) -> Result<(), String> {
    let target = Target::start(interpreter, "waste.py", &[]);
    let mut planted: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for line in target.said.iter().filter_map(|l| l.strip_prefix("planted ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |i: usize| words[i].parse::<u64>().expect("a number");
        let sum = planted.entry(words[0]).or_default();
        *sum = (sum.0 + number(1), sum.1 + number(2));
    }
    let waste = found(&target)?;
    let found = sums(&waste);
    let own = self::found(&Target::start(interpreter, "waste.py", &["bare"]))?;
    let own = sums(&own);
    let mut wrong = Vec::new();
    for (kind, (bytes, count)) in &planted {
        let (all, many) = found.get(kind).copied().unwrap_or_default();
        let (own, own_many) = own.get(kind).copied().unwrap_or_default();
        // the interpreter's own differs a little; of empty containers fewer than a thousand of a type are not told
        let slack = own / 10 + bytes / 25 + 2000;
        println!("{} {kind}: {bytes} planted in {count}, {all} found in {many}, {own} without", interpreter.name);
        if (bytes + own).abs_diff(all) > slack {
            wrong.push(format!("{kind}: {bytes} planted, {own} were there, {all} found"));
        }
        if (count + own_many).abs_diff(many) > own_many / 10 + count / 25 + 20 {
            wrong.push(format!("{kind}: {count} planted, {own_many} were there, {many} found"));
        }
    }
    let classes = waste.rows.iter().filter(|r| r.kind == "no_slots").flat_map(|r| &r.examples);
    let classes: Vec<_> = classes.map(|e| (e.type_name.as_str(), e.count)).collect();
    if classes.first() != Some(&("__main__.Plain", 6000)) || classes.iter().any(|c| c.0.ends_with("Loose")) {
        wrong.push(format!("classes that would shrink: {classes:?}"));
    }
    if !waste.rows.is_sorted_by_key(|r| std::cmp::Reverse(r.bytes)) {
        wrong.push("rows are not in order".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
