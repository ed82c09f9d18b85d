//! Several processes: which there are, choosing among them, capturing a server with its workers, and exploring them
//! beside each other. The truth is what the processes and `/proc` say themselves.

#[path = "contract/ask.rs"]
mod ask;
mod support;
#[path = "explore/terminal.rs"]
mod terminal;

use ask::{ask, refused, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use support::{Interpreter, Target, interpreters, on_every_version};
use terminal::Terminal;

/// How many markers each Python process of tests/targets/tree.py has.
const MARKERS: [(&str, u64); 5] = [("master", 1), ("worker-a", 11), ("worker-b", 22), ("grandchild", 33), ("leaf", 44)];

/// A server with its workers, and their pids by name.
fn tree(interpreter: &Interpreter) -> (Target, BTreeMap<String, i32>) {
    let target = Target::start(interpreter, "tree.py", &[]);
    let pids: BTreeMap<String, i32> = serde_json::from_str(target.said.last().unwrap()).unwrap();
    assert_eq!(pids["master"], target.pid);
    (target, pids)
}

fn markers(snapshot: &str) -> u64 {
    let types = ask(&["types", snapshot]);
    let all = types["types"].as_array().unwrap();
    let row = all.iter().find(|t| t["name"] == "__main__.Marker");
    row.map_or(0, |row| row["count"].as_u64().unwrap())
}

#[test]
fn a_server_is_captured_with_its_workers() {
    on_every_version(|interpreter| {
        let (_target, pids) = tree(interpreter);
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("tree");
        let told = ask(&["capture", "--pid", &pids["master"].to_string(), "--children", "-q", "-o", text(&dump)]);
        let captures = told["captures"].as_array().unwrap();
        let captured: BTreeSet<i64> = captures.iter().map(|c| c["pid"].as_i64().unwrap()).collect();
        let wanted: BTreeSet<i64> = MARKERS.iter().map(|(name, _)| pids[*name].into()).collect();
        assert_eq!((captured, captures.len()), (wanted, MARKERS.len()), "those that run Python, each once");
        assert_eq!(captures[0]["pid"], pids["master"], "the master first");
        for (name, n) in MARKERS {
            let path = dump.join(pids[name].to_string());
            assert_eq!(markers(text(&path)), n, "{}: {name}", interpreter.name);
        }
        Ok(())
    });
}

#[test]
fn the_processes_that_are_named_are_captured_and_no_other() {
    let (_target, pids) = tree(&interpreters().pop().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("two");
    let [a, c] = ["worker-a", "grandchild"].map(|name| pids[name].to_string());
    // one that is named twice is captured once; one that is none is told
    let gone = i32::MAX.to_string();
    let pairs = ["capture", "--pid", &a, "--pid", &c, "--pid", &a, "--pid", &gone, "-o", text(&dump), "--json"];
    let out = run(&pairs);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(told["captures"].as_array().unwrap().len(), 2, "{told}");
    assert!(told["problems"].to_string().contains(&gone), "{told}");
    assert_eq!((markers(text(&dump.join(&a))), markers(text(&dump.join(&c)))), (11, 33));
    let error = refused(&["capture", "--pid", &a, "--pid", &c, "-o", "-"]);
    assert!(error.contains("a stream holds one process"), "{error}");
    let error = refused(&["capture", "--pid", &a, "--pid", &c, "-o", text(&dump)]);
    assert!(error.contains("exists"), "{error}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What `/proc/PID/smaps` adds up to: resident, private, and of the private mappings what is neither a file's nor
/// private.
fn smaps(pid: i32) -> [u64; 3] {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let [mut resident, mut private, mut shared] = [0; 3];
    let mut of_its_own = false; // MAP_PRIVATE
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(name) = words[0].strip_suffix(':') else {
            of_its_own = words[1].ends_with('p');
            continue;
        };
        let bytes = || words[1].parse::<u64>().unwrap() * 1024;
        match name {
            "Rss" => resident += bytes(),
            "Private_Clean" | "Private_Dirty" => private += bytes(),
            "Shared_Dirty" if of_its_own => shared += bytes(),
            _ => {}
        }
    }
    [resident, private, shared]
}

/// Asks until nothing changed meanwhile: programs that start and end elsewhere share files with the processes.
fn while_it_stands_still<T>(pid: i32, ask: impl Fn() -> T) -> (T, [u64; 3]) {
    for _ in 0..200 {
        let before = smaps(pid);
        let told = ask();
        if smaps(pid) == before {
            return (told, before);
        }
    }
    panic!("the memory of process {pid} changes all the time");
}

#[test]
fn private_and_shared_memory_are_what_smaps_says() {
    let (_target, pids) = tree(&interpreters().pop().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut captures = BTreeMap::new();
    for (name, _) in MARKERS {
        let n = std::cell::Cell::new(0);
        let pid = pids[name].to_string();
        let (told, [resident, private, shared]) = while_it_stands_still(pids[name], || {
            n.set(n.get() + 1);
            let dump = folder.path().join(format!("{name}-{}", n.get()));
            // the other ways make a child, with which everything is shared for a while
            ask(&["capture", "--mode", "plain", "-q", "--pid", &pid, "-o", text(&dump)])
        });
        let number = |field: &str| told[field].as_u64().unwrap();
        assert_eq!(number("private_bytes"), private, "{name}");
        assert_eq!(number("shared_bytes"), resident - private, "{name}");
        assert_eq!(number("copy_on_write_bytes"), shared, "{name}");
        captures.insert(name, (private, shared));
        let (row, [resident, private, shared]) = while_it_stands_still(pids[name], || row(pids[name]));
        assert_eq!(row["resident_bytes"].as_u64().unwrap(), resident, "{name}");
        assert_eq!(row["private_bytes"].as_u64().unwrap(), private, "{name}");
        assert_eq!(row["copy_on_write_bytes"].as_u64().unwrap(), shared, "{name}");
    }
    // of the 40 MiB that the master made, one worker wrote to 16, and forked then
    const MIB: u64 = 1 << 20;
    let (private, shared) = captures["worker-a"];
    assert!(shared > 40 * MIB && private < 16 * MIB, "{captures:?}");
    assert!(captures["worker-b"].1 > 40 * MIB && captures["grandchild"].1 > 40 * MIB, "{captures:?}");
    assert!(captures["leaf"].1 < MIB, "it was not forked: {captures:?}");
}

/// What `processes` says of one.
fn row(pid: i32) -> Value {
    let all = ask(&["processes"]);
    let row = all["processes"].as_array().unwrap().iter().find(|row| row["pid"] == pid).cloned();
    row.unwrap_or_else(|| panic!("{pid} is not in {all}"))
}

#[test]
fn processes_are_told_as_proc_knows_them() {
    on_every_version(|interpreter| {
        let (_target, pids) = tree(interpreter);
        let all = ask(&["processes"]);
        let all = all["processes"].as_array().unwrap();
        let row = |name: &str| all.iter().find(|row| row["pid"] == pids[name]);
        for name in ["shell", "cat"] {
            assert_eq!(row(name), None, "{name} is no Python process");
        }
        let parents = [("worker-a", "master"), ("worker-b", "master"), ("grandchild", "worker-b"), ("leaf", "shell")];
        for (name, parent) in parents {
            assert_eq!(row(name).unwrap()["parent"], pids[parent], "{name}");
        }
        let user = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        for (name, _) in MARKERS {
            let row = row(name).unwrap();
            let proc = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", pids[name])).unwrap();
            let line: Vec<String> = proc("cmdline").split_terminator('\0').map(str::to_owned).collect();
            assert_eq!(row["command_line"], serde_json::json!(line), "{name}");
            assert_eq!(row["user"], user.trim(), "{name}");
            assert_eq!(row["version"], interpreter.minor, "{}: {name}", interpreter.name);
            assert_eq!((&row["capturable"], &row["why_not"]), (&true.into(), &Value::Null), "{name}");
            let threads = if name == "grandchild" { 3 } else { 1 };
            assert_eq!(row["threads"], threads, "{name}");
            // started within the last minutes, and not before this machine was
            let began: u64 =
                proc("stat").rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
            let up: f64 = std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
            let age = up - began as f64 / 100.0;
            let told = row["age_s"].as_f64().unwrap();
            assert!((told - age).abs() < 30.0, "{name}: {told} seconds, not {age}");
        }
        Ok(())
    });
}

/// So many rows that every Python process of this machine fits.
const TALL: (u16, u16) = (160, 120);

#[test]
fn without_arguments_one_is_chosen_at_the_terminal() {
    let interpreter = interpreters().pop().unwrap();
    let (_target, pids) = tree(&interpreter);
    let mut terminal = Terminal::start(&[], TALL);
    let pid = pids["worker-b"].to_string();
    let screen = terminal.wait("the question", |s| s.contains("capture which PID"));
    let line = screen.lines().find(|l| l.trim_start().starts_with(&format!("{pid} "))).expect("its line");
    let user = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    for told in [user.trim(), &interpreter.minor, "tree.py"] {
        assert!(line.contains(told), "{told:?} is not in {line:?}");
    }
    let head = screen.lines().find(|l| l.contains("PID")).unwrap();
    assert!(["USER", "AGE", "RESIDENT", "THREADS", "PYTHON", "COMMAND"].iter().all(|h| head.contains(h)), "{head}");
    terminal.keys("1\r");
    terminal.wait("the refusal", |s| s.contains("give one of the numbers under PID"));
    terminal.keys(&format!("{pid}\r"));
    terminal.wait("the explorer", |s| s.contains("[1 Overview") && s.contains(&format!("pid {pid}")));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    // nobody is chosen
    let mut terminal = Terminal::start(&[], TALL);
    terminal.wait("the question", |s| s.contains("capture which PID"));
    terminal.keys("\r");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn several_are_explored_beside_each_other() {
    let (_target, pids) = tree(&interpreters().pop().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("tree");
    let master = pids["master"].to_string();
    for arguments in [&["--pid", &master, "--children", "-o", text(&dump)][..], &[text(&dump)]] {
        let mut terminal = Terminal::start(arguments, (160, 40));
        // from the folder they come by number, and the leaf may have got a lower one than the grandchild
        let order: Vec<i32> = match arguments.len() {
            1 => {
                let mut all: Vec<i32> = MARKERS.iter().map(|(name, _)| pids[*name]).collect();
                all.sort_unstable();
                all
            }
            _ => ["master", "worker-a", "worker-b", "grandchild", "leaf"].map(|name| pids[name]).to_vec(),
        };
        terminal.wait("the first", |s| s.contains("1 of 5") && s.contains(&format!("pid {}", order[0])));
        terminal.keys("9");
        let is_whole = |s: &str| s.contains("All 5 processes") && !s.contains('…');
        let screen = terminal.wait("all type tables", |s| is_whole(s) && s.contains("bytearray"));
        assert!(order.iter().all(|pid| screen.contains(&pid.to_string())), "{screen}");
        terminal.keys(">");
        terminal.wait("numbers", |s| s.contains("numbers of objects"));
        let numbers = |screen: &str| -> Option<Vec<u64>> {
            let line = screen.lines().find(|l| l.contains("__main__.Marker"))?;
            let words = line.split_once("Marker")?.1.trim_matches(|c: char| c == '│' || c == ' ').split_whitespace();
            words.map(|w| w.parse().ok()).collect()
        };
        let mut wanted: Vec<u64> =
            order.iter().map(|pid| MARKERS.iter().find(|(name, _)| pids[*name] == *pid).unwrap().1).collect();
        wanted.push(43); // from 1 to 44
        // among the first, once they are in the order of their numbers
        terminal.wait("the markers of each", |s| numbers(s).as_ref() == Some(&wanted));
        terminal.keys("}");
        terminal.wait("the second", |s| s.contains("2 of 5") && s.contains(&format!("pid {}", order[1])));
        terminal.keys("q");
        assert_eq!(terminal.ended(), 0);
    }
    for (name, _) in MARKERS {
        assert!(Path::new(&format!("/proc/{}", pids[name])).exists(), "{name} runs");
    }
}
