//! `--where` of `regions`, `waste` and `strings`, asked of the program: the rows that it leaves are those of a plain
//! reading of the JSON without it.

use crate::plain::{Plain, Row, compare, number, result, row, text, unseen};
use crate::support::{Target, interpreters};
use crate::{heap_of, told};
use pymem_tui::analysis::detail::{self, Depth};
use pymem_tui::snapshot::Addr;
use serde_json::Value;
use std::collections::BTreeSet;

fn of_region(r: &Value) -> Row {
    row(vec![
        ("kind", text(r["kind"].as_str())),
        ("file", text(r["file"].as_str())),
        ("permissions", text(r["permissions"].as_str())),
        ("start", number(address(&r["start"]))),
        ("end", number(address(&r["end"]))),
        ("size", number(r["bytes"].as_u64())),
        ("resident", number(r["resident_bytes"].as_u64())),
        ("captured", r["captured"].as_bool().map(Plain::Flag)),
    ])
}

fn of_waste(r: &Value) -> Row {
    row(vec![
        ("kind", text(r["kind"].as_str())),
        ("count", number(r["count"].as_u64())),
        ("bytes", number(r["bytes"].as_u64())),
        ("sentence", text(r["sentence"].as_str())),
    ])
}

/// `value`: as the object with this address has it.
fn of_duplicate(r: &Value, value: impl Fn(u64) -> Option<String>) -> Row {
    let at = address(&r["address"]);
    row(vec![
        ("value", text(at.and_then(value).as_deref())),
        ("len", number(r["length"].as_u64())),
        ("count", number(r["count"].as_u64())),
        ("wasted", number(r["wasted_bytes"].as_u64())),
        ("address", number(at)),
    ])
}

fn address(of: &Value) -> Option<u64> {
    u64::from_str_radix(of.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// The places of rows among all, which come in the same order and are not alike.
fn places(all: &[Value], rows: &[Value]) -> Result<BTreeSet<usize>, String> {
    let (mut next, mut found) = (0, BTreeSet::new());
    for row in rows {
        let at = all[next..].iter().position(|other| other == row).ok_or("a row is another, or elsewhere")?;
        found.insert(next + at);
        next += at + 1;
    }
    Ok(found)
}

#[test]
fn rows_that_commands_leave_are_those_of_a_plain_reading() {
    let mut all = interpreters();
    // the language is the same on every version
    let preferred = all.iter().position(|i| i.name.starts_with("3.12")).unwrap_or(0);
    let interpreter = all.swap_remove(preferred);
    let target = Target::start(&interpreter, "waste.py", &[]);
    let dump = target.path("dump");
    let dump = dump.to_str().expect("a path");
    told(&["capture", "--pid", &target.pid.to_string(), "-o", dump, "-q"], "unreadable").expect("a capture");
    let heap = heap_of(&target).expect("a heap");
    let value = |at: u64| {
        let id = heap.objects().object_at(Addr(at))?;
        detail::object(&heap, id, Depth { levels: 0, entries: 0, chars: 1 << 20 }).map(|object| object.value)
    };
    let check = |command: &[&str], list: &str, fields: &[&'static str], of: &dyn Fn(&Value) -> Row| {
        let command = [&command[..1], &[dump, "-q"], &command[1..]].concat();
        let rows = told(&command, list).expect("all rows");
        let plain: Vec<Row> = rows.iter().map(of).collect();
        let mut wrong = unseen(&plain, fields, &[]);
        wrong.extend(compare(&plain, fields, |query| {
            places(&rows, &told(&[&command[..], &["--where", query]].concat(), list)?)
        }));
        result(command[0], plain.len(), wrong).expect("the rows of a plain reading");
    };
    const REGION: [&str; 8] = ["kind", "file", "permissions", "start", "end", "size", "resident", "captured"];
    check(&["regions", "--all"], "regions", &REGION, &of_region);
    check(&["waste"], "rows", &["kind", "count", "bytes", "sentence"], &of_waste);
    let duplicate = ["value", "len", "count", "wasted", "address"];
    check(&["strings"], "duplicates", &duplicate, &|row| of_duplicate(row, value));
    // lengths are those of all strings, whatever was asked for
    let lengths = |options: &[&str]| told(&[&["strings", dump, "-q"], options].concat(), "histogram").expect("lengths");
    assert_eq!(lengths(&["--where", "wasted > 1GB"]), lengths(&[]));
}
