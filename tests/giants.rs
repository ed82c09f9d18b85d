//! A program whose objects are as none should have them (`tests/targets/giants.py`): every command ends in time and
//! within bounds of memory, with an answer or one sentence, and so does the explorer; nothing reaches a terminal raw.

#[path = "contract/ask.rs"]
mod ask;
#[path = "hostile/attack.rs"]
mod attack;
mod support;
#[path = "explore/terminal.rs"]
mod terminal;

use ask::run;
use attack::attack;
use rayon::prelude::*;
use std::process::{Command, Output, Stdio};
use support::{Interpreter, Target, interpreters};
use terminal::Terminal;

/// Bytes of addresses that a command may take: the snapshot's 70 MB and as much again for each way to look at it.
const ROOM: &str = "--as=2000000000";

/// Bytes of an answer: a row each of the objects that were asked for.
const MOST_OUTPUT: usize = 200_000_000;

/// Seconds of a command, on a machine that does other things too; each takes one or two.
const PATIENCE: &str = "60";

fn bounded(arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "prlimit", ROOM, env!("CARGO_BIN_EXE_pymem-tui")]).args(arguments).stdin(Stdio::null());
    command.output().expect("prlimit is there")
}

/// Bytes of a line, and of one object's JSON, which is one line: names and texts are cut, however long they are.
const LONGEST_LINE: usize = 20_000;
const LONGEST_JSON: usize = 1_000_000;

/// The same where all fields that may be told are told.
const MOST_JSON: usize = 20_000_000;

/// The target, and a snapshot of it in a folder; names and addresses of its objects.
fn captured(interpreter: &Interpreter, size: &[&str]) -> (Vec<(String, String)>, tempfile::TempDir, String) {
    let target = Target::start(interpreter, "giants.py", size);
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump").to_str().unwrap().to_owned();
    let out = run(&["capture", "-q", "--pid", &target.pid.to_string(), "-o", &dump]);
    assert!(out.status.success(), "{}: {}", interpreter.name, String::from_utf8_lossy(&out.stderr));
    let objects = target.said.iter().filter_map(|line| {
        let (name, address) = line.strip_prefix("object ")?.split_once(' ')?;
        Some((name.to_owned(), address.to_owned()))
    });
    (objects.collect(), folder, dump)
}

fn address<'o>(objects: &'o [(String, String)], name: &str) -> &'o str {
    &objects.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no object {name}")).1
}

fn questions<'q>(dump: &'q str, objects: &'q [(String, String)], report: &'q str) -> Vec<Vec<&'q str>> {
    let whole: [&[&str]; 18] = [
        &["types"],
        &["types", "--retained"],
        &["objects", "--limit", "100000"],
        &["strings"],
        &["strings", "--bytes"],
        &["leaks"],
        &["garbage"],
        &["audit"],
        &["waste"],
        &["memory"],
        &["retained"],
        &["retained", "--by", "local"],
        &["tasks"],
        &["threads"],
        &["regions", "--all"],
        &["find", "giant", "--limit", "1000"],
        &["diff", dump],
        &["report", "-o", report],
    ];
    // more digits than anybody waits for
    let whole_int = vec!["show", dump, address(objects, "int"), "--max-string", "4000000000"];
    let of_one: [&[&str]; 5] = [
        &["show", "--depth", "4000000000", "--max-entries", "2"],
        &["referents"],
        &["referrers"],
        &["path", "--all", "3"],
        &["graph", "--paths"],
    ];
    let whole = whole.into_iter().map(|words| [&[words[0], dump], &words[1..]].concat());
    let of_one = objects.iter().flat_map(|(_, at)| {
        of_one.into_iter().map(move |words| [&[words[0], dump, at.as_str()], &words[1..]].concat())
    });
    whole.chain(of_one).chain([whole_int]).collect()
}

fn check(interpreter: &Interpreter) -> Result<(), String> {
    let (objects, folder, dump) = captured(interpreter, &[]);
    let report = folder.path().join("report.html");
    let questions = questions(&dump, &objects, report.to_str().unwrap());
    let failures: Vec<String> = questions
        .into_par_iter()
        .flat_map_iter(|question| {
            // what is deep in text is deeper in JSON
            let form: &[&str] = if question[0] == "show" { &["--json"] } else { &[] };
            let out = bounded(&[&question[..], form].concat());
            let error = String::from_utf8_lossy(&out.stderr);
            let sentence =
                out.status.code() == Some(1) && error.starts_with("pymem-tui: ") && error.lines().count() == 1;
            // of all objects, only one whose type is gone cannot be shown
            let orphan = question.get(2) == Some(&address(&objects, "orphan"));
            let what = question.join(" ");
            let ended = (!(out.status.success() || (sentence && orphan)))
                .then(|| format!("{what} {form:?}: {} {error}", out.status));
            let much = (out.stdout.len() > MOST_OUTPUT).then(|| format!("{what}: {} bytes", out.stdout.len()));
            let shared = question.get(2) == Some(&address(&objects, "shared"));
            let most = if form.is_empty() { LONGEST_LINE } else { [LONGEST_JSON, MOST_JSON][usize::from(shared)] };
            let longest = out.stdout.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            let long = (longest > most).then(|| format!("{what}: a line of {longest} bytes"));
            let attacks = attack(&out.stdout, false).into_iter().chain(attack(&out.stderr, false));
            let attacks: Vec<String> = attacks.map(|a| format!("{what}: {a}")).collect();
            ended.into_iter().chain(much).chain(long).chain(attacks)
        })
        .collect();
    let changed = ask::ask(&["show", &dump, address(&objects, "changed")]);
    assert_eq!(changed["type"], "__main__.Became", "{}: the class an object was given later", interpreter.name);
    let orphan = run(&["show", &dump, address(&objects, "orphan")]);
    assert!(
        !String::from_utf8_lossy(&orphan.stdout).contains("GoneType"),
        "{}: a type that was freed",
        interpreter.name
    );
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

#[test]
fn every_command_ends_within_bounds() {
    let all = interpreters();
    let shared = || all.iter().filter(|i| i.build == "shared");
    let (oldest, newest) = (shared().next().unwrap_or(&all[0]), shared().next_back().unwrap_or(&all[0]));
    for interpreter in [oldest, newest] {
        check(interpreter).unwrap_or_else(|why| panic!("{}: {why}", interpreter.name));
    }
}

/// A list of 33 million references to itself takes 268 MB; a name for each took 2.5 GB.
#[test]
fn a_list_full_of_itself_is_shown_within_bounds() {
    let all = interpreters();
    let interpreter = all.iter().rfind(|i| i.build == "shared").unwrap_or(&all[0]);
    let (objects, _folder, dump) = captured(interpreter, &["32000000"]);
    let itself = address(&objects, "itself");
    for question in [&["show"][..], &["referents", "--limit", "9"], &["referrers", "--limit", "9"], &["graph"]] {
        let out = bounded(&[&[question[0], &dump, itself], &question[1..]].concat());
        assert!(out.status.success(), "{question:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let rows = ask::ask(&["referrers", &dump, itself, "--limit", "9"]);
    let total = rows["total"].as_u64().unwrap();
    assert!(total > 32_000_000 && rows["edges"].as_array().unwrap().len() == 9, "{rows}");
}

#[test]
fn the_explorer_shows_them_all() {
    let all = interpreters();
    let interpreter = all.iter().rfind(|i| i.build == "shared").unwrap_or(&all[0]);
    let (objects, _folder, dump) = captured(interpreter, &[]);
    let mut terminal = Terminal::start(&[&dump], (80, 24));
    terminal.wait("the start page", |s| s.contains("[1 Overview") && s.contains(" str "));
    for (name, at) in objects.iter().filter(|(name, _)| name != "orphan") {
        terminal.keys(&format!(":{at}\r"));
        // (keys that come before its row is known have nothing to act on)
        terminal.wait(name, |s| {
            let row = s.lines().any(|l| l.starts_with('│') && l.contains(at.as_str()));
            s.contains(&format!("{at} holds")) && row && (name != "text" || s.contains("giant "))
        });
        terminal.keys("r");
        terminal.wait(&format!("who holds {name}"), |s| s.contains(&format!("{at} is held by")));
        terminal.keys("x");
        terminal.wait(&format!("the memory of {name}"), |s| s.contains("Hex]"));
    }
    for tab in ["1", "2", "3", "4", "5", "6"] {
        terminal.keys(tab);
        terminal.wait("a tab", |s| s.contains(&format!("[{tab} ")));
    }
    let seen = terminal.seen();
    let text = String::from_utf8_lossy(&seen);
    assert!(
        !text.contains("\x1b]") && !text.contains('\u{9b}') && !text.contains('\u{202e}'),
        "a text came through raw"
    );
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
}
