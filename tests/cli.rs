//! The program as scripts see it: exit codes, streams, JSON.

#[path = "capture/target.rs"]
mod target;

use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use target::{BINARY, Target};

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn answer(out: &Output) -> Value {
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn a_query_that_cannot_be_read_is_wrong_usage() {
    for (command, sound) in [
        ("objects", "size > 1MB"),
        ("types", "size > 1MB"),
        ("tasks", "awaits > 1"),
        ("threads", "daemon = 1"),
        ("stacks", "holds >= 1"),
        ("retained", "count > 10"),
        ("strings", "len > 10"),
        ("waste", "bytes > 1"),
        ("regions", "size > 1kB"),
    ] {
        // the field that there is not comes at column 16 of each
        let query = format!("{sound:<10} and colour = red");
        let out = run(&[command, "/no/such/snapshot", "--where", &query]);
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{error}");
        assert!(error.contains("column 16") && error.contains("colour") && error.lines().count() == 1, "{error}");
    }
}

/// A python whose memory holds one remarkable text, and where.
fn python() -> (Target, String, String) {
    let mut python = Target::python(
        "import ctypes\ntext = ctypes.create_string_buffer(b'needle-' + b'in-a-haystack')\n\
         print(hex(ctypes.addressof(text)))\n",
    );
    let at = python.line();
    let pid = python.pid().to_string();
    (python, pid, at)
}

#[test]
fn a_capture_answers_in_json_and_its_snapshot_is_asked() {
    let (_python, pid, at) = python();
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    let dump = dump.to_str().unwrap();
    let captured = answer(&run(&["capture", "--pid", &pid, "-o", dump, "--json"]));
    assert_eq!(captured["schema"], "pymem-tui.capture/1");
    assert_eq!(captured["snapshot"]["pid"].to_string(), pid);
    assert_eq!(captured["path"], dump);
    assert_eq!(captured["mode"], "plain");
    assert!(captured["pause_ms"].as_f64().unwrap() > 0.0 && captured["bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!((&captured["threads"], &captured["unreadable"]), (&1.into(), &Value::Array(vec![])));

    let regions = answer(&run(&["regions", dump, "--json"]));
    let rows = regions["regions"].as_array().unwrap();
    let kinds: Vec<_> = rows.iter().map(|r| r["kind"].as_str().unwrap()).collect();
    for kind in ["heap", "stack", "anonymous", "image"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert!(rows.iter().all(|r| r["resident_bytes"].as_u64() <= r["bytes"].as_u64()));

    let hex = answer(&run(&["hex", dump, &at, "--length", "7", "--json"]));
    assert_eq!((&hex["bytes"], &hex["start"]), (&"6e6565646c652d".into(), &at.as_str().into()));
    let upper = at.trim_start_matches("0x").to_uppercase();
    assert_eq!(answer(&run(&["context", dump, &upper, "--length", "7", "--json"]))["bytes"], hex["bytes"]);

    let found = answer(&run(&["find", dump, "needle-in-a-haystack", "--json"]));
    assert!(found["hits"].as_array().unwrap().iter().any(|h| h["address"] == at.as_str()), "{found}");
    assert_eq!(found["total"].as_u64(), Some(found["hits"].as_array().unwrap().len() as u64));
    let bytes = answer(&run(&["find", dump, "--hex", "6e6565646c652d696e2d612d686179", "--limit", "1", "--json"]));
    assert_eq!(bytes["hits"].as_array().unwrap().len(), 1);
}

#[test]
fn a_process_is_asked_without_a_snapshot_on_disk() {
    let (mut python, pid, at) = python();
    for arguments in [["hex", "--pid", &pid, &at], ["hex", &at, "--pid", &pid]] {
        let out = run(&arguments);
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("needle-in-a-hays"), "{text}");
    }
    python.answers();
}

#[test]
fn a_stream_goes_through_a_pipe() {
    let (_python, pid, at) = python();
    let stream = run(&["capture", "--pid", &pid, "-o", "-"]);
    assert!(stream.status.success());
    assert!(String::from_utf8_lossy(&stream.stderr).contains("paused "));
    let mut asked = Command::new(BINARY)
        .args(["hex", "-", &at, "--json", "--length", "6"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    asked.stdin.take().unwrap().write_all(&stream.stdout).unwrap();
    let hex = answer(&asked.wait_with_output().unwrap());
    assert_eq!(hex["bytes"], "6e6565646c65");
    let number: Value = pid.parse::<u64>().unwrap().into();
    assert_eq!((&hex["snapshot"]["source"], &hex["snapshot"]["pid"]), (&"-".into(), &number));
}

#[test]
fn failures_are_one_sentence_and_tell_wrong_usage_apart() {
    for (arguments, code, words) in [
        (&["types", "/nonexistent"][..], 1, "cannot be opened"),
        (&["hex", "--pid", "2147483647", "0"], 1, "there is no process"),
        (&["demo", "nothing"], 1, "there are leak, async-deadlock, lock-deadlock, big"),
        (&["demo", "leak", "much"], 1, "takes a number of requests"),
        (&["regions", "-"], 1, "it is empty"),
        (&["nonsense", "x", "y", "z"], 2, "Usage"),
        (&["nonsense", "x"], 1, "nonsense cannot be opened"),
        (&[], 1, "give a snapshot"),
        (&["show", "x", "zz"], 2, "hex digits"),
    ] {
        let out = run(arguments);
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(out.stdout.is_empty());
        if code == 1 {
            assert!(error.starts_with("pymem-tui: ") && error.lines().count() == 1, "{error}");
        }
    }
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let (_python, pid, _) = python();
    let mut asked = Command::new(BINARY)
        .args(["find", "-q", "--pid", &pid, "e", "--limit", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    asked.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap(); // and drops it
    let out = asked.wait_with_output().unwrap();
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_demos_are_listed() {
    let out = run(&["demo"]);
    let text = String::from_utf8_lossy(&out.stdout);
    for name in ["leak", "async-deadlock", "lock-deadlock", "big"] {
        assert!(text.lines().any(|l| l.starts_with(name)), "{text}");
    }
}

#[test]
fn a_missing_interpreter_is_said() {
    let empty = tempfile::tempdir().unwrap();
    let out =
        Command::new(BINARY).args(["demo", "leak"]).env("PATH", empty.path()).env_remove("PYTHON").output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{error}");
    assert!(error.contains("no python3 on PATH") && error.lines().count() == 1, "{error}");
}
