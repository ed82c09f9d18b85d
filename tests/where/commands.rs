//! `--where` of `regions`, `waste`, `strings`, `leaks`, `garbage`, `audit` and `referrers`, asked of the program: the rows that it leaves are those of a plain
//! reading of the JSON without it.

use crate::plain::{Plain, Row, compare, number, result, row, text, unseen};
use crate::support::{Interpreter, Target, interpreters};
use crate::{heap_of, told};
use pymem_tui::analysis::detail::{self, Depth};
use pymem_tui::snapshot::Addr;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

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

fn of_leak(r: &Value) -> Row {
    row(vec![
        ("kind", text(r["kind"].as_str())),
        ("type", text(r["type"].as_str())),
        ("name", text(r["name"].as_str())),
        ("retained", number(r["retained_bytes"].as_u64())),
        ("count", number(r["retained_count"].as_u64())),
        ("reason", text(r["reason"].as_str())),
        ("path", text(r["path_text"].as_str())),
        ("address", number(address(&r["address"]))),
    ])
}

fn of_garbage(r: &Value) -> Row {
    row(vec![
        ("type", text(r["type"].as_str())),
        ("size", number(r["shallow_bytes"].as_u64())),
        ("generation", number(r["generation"].as_u64())),
        ("cycle", number(r["cycle"].as_u64())),
        ("finalizer", r["finalizer"].as_bool().map(Plain::Flag)),
        ("value", text(r["summary"].as_str())),
        ("address", number(address(&r["address"]))),
    ])
}

fn of_audit(r: &Value) -> Row {
    row(vec![
        ("type", text(r["type"].as_str())),
        ("size", number(r["shallow_bytes"].as_u64())),
        ("refcount", number(r["refcount"].as_u64())),
        ("found", number(r["found"].as_u64())),
        ("unaccounted", number(r["unaccounted"].as_u64())),
        ("pointers", number(r["pointers"].as_u64())),
        ("unexplained", number(r["unexplained"].as_u64())),
        ("value", text(r["summary"].as_str())),
        ("address", number(address(&r["address"]))),
    ])
}

fn of_hit(r: &Value) -> Row {
    row(vec![
        ("address", number(address(&r["address"]))),
        ("region", number(address(&r["region"]))),
        ("file", text(r["file"].as_str())),
        ("object", number(address(&r["object"]))),
        ("type", text(r["type"].as_str())),
        ("summary", text(r["summary"].as_str())),
    ])
}

/// The preferred interpreter: the language is the same on every version.
fn one() -> Interpreter {
    let mut all = interpreters();
    let preferred = all.iter().position(|i| i.name.starts_with("3.12")).unwrap_or(0);
    all.swap_remove(preferred)
}

/// Asks every query of a command that lists `list`.
fn check(dump: &str, command: &[&str], list: &str, fields: &[&'static str], of: &dyn Fn(&Value) -> Row) {
    let command = [&command[..1], &[dump, "-q"], &command[1..]].concat();
    let rows = told(&command, list).expect("all rows");
    let plain: Vec<Row> = rows.iter().map(of).collect();
    let mut wrong = unseen(&plain, fields, &[]);
    wrong.extend(compare(&plain, fields, |query| {
        places(&rows, &told(&[&command[..], &["--where", query]].concat(), list)?)
    }));
    result(command[0], plain.len(), wrong).expect("the rows of a plain reading");
}

/// What a command says to a person.
fn text_of(arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_pymem-tui")).args(arguments).output().expect("the program starts");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Where a capture of the target is, for as long as that lives.
fn captured(target: &Target) -> String {
    let dump = target.path("dump").to_str().expect("a path").to_owned();
    told(&["capture", "--pid", &target.pid.to_string(), "-o", &dump, "-q"], "unreadable").expect("a capture");
    dump
}

#[test]
fn suspects_garbage_and_unexplained_references_are_narrowed_likewise() {
    let interpreter = one();
    let target = Target::start(&interpreter, "leaks.py", &[]);
    let leak = ["kind", "type", "name", "retained", "count", "reason", "path", "address"];
    let dump = captured(&target);
    check(&dump, &["leaks"], "suspects", &leak, &of_leak);
    let said = text_of(&["leaks", &dump, "-q", "--where", "retained > 1TB"]);
    assert!(said.contains("no suspect is like that; ") && !said.contains("nothing looks"), "{said}");

    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut command = interpreter.command("garbage.py");
    command.arg(folder.path());
    let target = Target::run(command, folder, "garbage.py");
    let garbage = ["type", "size", "generation", "cycle", "finalizer", "value", "address"];
    let dump = captured(&target);
    check(&dump, &["garbage", "--objects"], "objects", &garbage, &of_garbage);
    // what was left out is not what a limit would show
    let said = text_of(&[
        "garbage",
        &dump,
        "-q",
        "--objects",
        "--where",
        "type ~ *.Node and finalizer = false",
        "--limit",
        "100000",
    ]);
    assert!(said.contains("__main__.Node") && !said.contains("more (--limit"), "{said}");

    let target = Target::start(&interpreter, "audit.py", &[]);
    let audit = ["type", "size", "refcount", "found", "unaccounted", "pointers", "unexplained", "value", "address"];
    let dump = captured(&target);
    check(&dump, &["audit"], "rows", &audit, &of_audit);

    let hit = ["address", "region", "file", "object", "type", "summary"];
    check(&dump, &["find", "Leaked"], "hits", &hit, &of_hit);

    // the other ends of references are objects, with the fields of objects
    let types = told(&["types", &dump, "-q"], "types").expect("types");
    let class = types.iter().find(|row| row["name"] == "str").and_then(|row| row["address"].as_str()).expect("a class");
    let holders =
        |query: &[&str]| told(&[&["referrers", &dump, class, "-q"], query].concat(), "edges").expect("holders");
    let tuples: Vec<Value> = holders(&[])
        .into_iter()
        .filter(|row| row["type"] == "tuple" && row["shallow_bytes"].as_u64() > Some(48))
        .collect();
    assert!(!tuples.is_empty(), "str is in tuples of bases and of annotations");
    assert_eq!(holders(&["--where", "type = tuple and size > 48"]), tuples);
    assert_eq!(holders(&["--where", "type = tuple and size > 48", "--limit", "1"]), tuples[..1]);
    let held =
        |query: &[&str]| told(&[&["referents", &dump, class, "-q"], query].concat(), "edges").expect("referents");
    let strings: Vec<Value> = held(&[]).into_iter().filter(|row| row["type"] != "tuple").collect();
    assert!(!strings.is_empty());
    assert_eq!(held(&["--where", "type != tuple"]), strings);

    // more places than are looked at together
    let places = text_of(&["find", &dump, "e", "-q", "--where", "type = str", "--limit", "3"]);
    let all = told(&["find", &dump, "e", "-q"], "hits").expect("hits");
    let meant = all.iter().filter(|hit| hit["type"] == "str").count();
    assert!(all.len() > 3 * 4096 && meant > 4096, "{} places", all.len());
    let more = pymem_tui::text::count(meant as u64 - 3);
    assert!(places.contains(&format!("{more} more")), "{meant} of {}: {places}", all.len());
}

#[test]
fn rows_that_commands_leave_are_those_of_a_plain_reading() {
    let interpreter = one();
    let target = Target::start(&interpreter, "waste.py", &[]);
    let dump = &captured(&target);
    let heap = heap_of(&target).expect("a heap");
    let value = |at: u64| {
        let id = heap.objects().object_at(Addr(at))?;
        detail::object(&heap, id, Depth { levels: 0, entries: 0, chars: 1 << 20 }).map(|object| object.value)
    };
    const REGION: [&str; 8] = ["kind", "file", "permissions", "start", "end", "size", "resident", "captured"];
    check(dump, &["regions", "--all"], "regions", &REGION, &of_region);
    check(dump, &["waste"], "rows", &["kind", "count", "bytes", "sentence"], &of_waste);
    let duplicate = ["value", "len", "count", "wasted", "address"];
    check(dump, &["strings"], "duplicates", &duplicate, &|row| of_duplicate(row, value));
    // lengths are those of all strings, whatever was asked for
    let lengths = |options: &[&str]| told(&[&["strings", dump, "-q"], options].concat(), "histogram").expect("lengths");
    assert_eq!(lengths(&["--where", "wasted > 1GB"]), lengths(&[]));
}
