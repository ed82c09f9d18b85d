//! Texts in memory that attack a terminal reach no output of any command, as text, in colour, or as JSON.
//!
//! The target's strings, bytes and names (of types, modules, attributes, keys, functions, files, exceptions) hold
//! escape sequences, 8-bit controls, bidirectional overrides and invisible characters.

#[path = "contract/ask.rs"]
mod ask;
#[path = "hostile/attack.rs"]
mod attack;
mod support;

use ask::run;
use attack::attack;
use std::process::{Command, Stdio};
use support::{Interpreter, on_every_interpreter};

/// Starts the target; the numbers after its pid are the addresses of its objects.
fn start(interpreter: &Interpreter) -> (std::process::Child, i32, Vec<u64>) {
    use std::io::BufRead;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/targets/hostile.py");
    let (program, first) = interpreter.argv.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(first).arg(script).envs(&interpreter.env).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the interpreter starts");
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut numbers = line.split_whitespace().skip(1).map(|n| n.parse::<u64>().unwrap());
    let pid = numbers.next().unwrap_or_else(|| panic!("{}: hostile.py said {line:?}", interpreter.name));
    (child, pid as i32, numbers.collect())
}

fn check(interpreter: &Interpreter) -> Result<(), String> {
    if interpreter.build == "static" {
        return Ok(()); // the same program; one build of each version says it all
    }
    let (mut child, pid, objects) = start(interpreter);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    let dump = path.to_str().unwrap();
    let captured = run(&["capture", "--pid", &pid.to_string(), "-o", dump]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(captured.status.success(), "{}: {}", interpreter.name, String::from_utf8_lossy(&captured.stderr));
    let objects: Vec<String> = objects.iter().map(|o| format!("{o:#x}")).collect();
    let types = run(&["types", dump, "--json"]);
    let types: serde_json::Value = serde_json::from_slice(&types.stdout).unwrap();
    let evil =
        types["types"].as_array().unwrap().iter().find(|t| t["name"].as_str().unwrap().contains("hostile-qualname"));
    let evil = evil.ok_or("the hostile type has no objects")?;
    let (evil_name, evil_at) = (evil["name"].as_str().unwrap(), evil["address"].as_str().unwrap());

    let mut questions: Vec<Vec<&str>> = vec![
        vec!["types", dump, "--limit", "10000"],
        vec!["objects", dump, "--type", evil_at],
        vec!["objects", dump, "--type", evil_name],
        vec!["objects", dump, "--type", "str", "--limit", "100000"],
        vec!["objects", dump, "--type", "bytes", "--limit", "100000"],
        vec!["objects", dump, "--type", "code", "--limit", "100000"],
        vec!["objects", dump, "--type", "module"],
        vec!["regions", dump, "--limit", "1000"],
        vec!["find", dump, "hostile-", "--limit", "1000"],
        vec!["module", dump, "hostile_plain"],
        vec!["module", dump, "__main__"],
        vec!["strings", dump, "--limit", "1000"],
        vec!["strings", dump, "--bytes", "--limit", "1000"],
    ];
    for object in &objects {
        questions.push(vec!["show", dump, object, "--depth", "3"]);
        questions.push(vec!["referents", dump, object]);
        questions.push(vec!["referrers", dump, object]);
        questions.push(vec!["hex", dump, object, "--length", "512"]);
    }
    let mut failures = Vec::new();
    let mut seen = 0;
    for question in questions {
        for form in [&[][..], &["--json"], &["--color", "always"]] {
            if form.contains(&"always") && !matches!(question[0], "types" | "hex") {
                continue; // colour is for heads and arrows; the rest of the text is the same
            }
            let out = run(&[&question[..], form].concat());
            let what =
                format!("{} {form:?}", question.iter().filter(|w| **w != dump).copied().collect::<Vec<_>>().join(" "));
            if out.status.code() != Some(0) {
                failures.push(format!("{what}: {}", String::from_utf8_lossy(&out.stderr)));
            }
            seen += usize::from(String::from_utf8_lossy(&out.stdout).contains("hostile-"));
            for stream in [&out.stdout, &out.stderr] {
                failures.extend(attack(stream, form.contains(&"always")).map(|why| format!("{what}: {why}")));
            }
        }
    }
    // an attack that is not there at all would not be a test
    assert!(seen > 50, "{}: the hostile texts were in {seen} answers only", interpreter.name);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

#[test]
fn no_text_of_a_heap_reaches_the_terminal_raw() {
    on_every_interpreter(check);
}

#[test]
fn an_attack_would_be_noticed() {
    assert!(attack(b"\x1b[31mred", true).is_some() && attack(b"\x1b[2mdim\x1b[0m\n", true).is_none());
    assert!(attack("\u{9b}2J".as_bytes(), false).is_some() && attack("\u{202e}".as_bytes(), false).is_some());
}
