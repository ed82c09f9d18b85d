//! Asking the real program, and checking that an answer has the contract's shape.
#![allow(dead_code)] // each test binary uses its part

use crate::support::{Expected, Interpreter, Target, interpreters, read_expected, truth::Truth};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

pub fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    command.args(arguments).stdin(Stdio::null()).output().expect("the program starts")
}

/// The JSON of a command that must answer.
#[track_caller]
pub fn ask(arguments: &[&str]) -> Value {
    let out = run(&[arguments, &["--json"]].concat());
    let error = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{arguments:?}: {error}");
    assert_eq!(error, "", "{arguments:?}: nothing on standard error when all is well");
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{arguments:?} is not one JSON object: {e}"))
}

/// A command that must fail: exit code 1, one sentence on standard error, nothing on standard output.
#[track_caller]
pub fn refused(arguments: &[&str]) -> String {
    let out = run(arguments);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{arguments:?}: {error}{}", String::from_utf8_lossy(&out.stdout));
    assert!(out.stdout.is_empty(), "{arguments:?} printed {}", String::from_utf8_lossy(&out.stdout));
    assert!(error.starts_with("pymem-tui: ") && error.lines().count() == 1, "{arguments:?}: {error}");
    assert!(error.trim_end().chars().all(pymem_tui::text::is_plain), "{arguments:?}: {error:?}");
    error
}

/// Whether `value` is what `shape` says. A shape is JSON: `"address"`, `"string"`, `"count"`, `"number"`, `"bool"`,
/// `"any"`, one of them after `"null|"`; a list of one shape; or an object whose named fields are there and fit.
#[track_caller]
pub fn fits(value: &Value, shape: &Value, at: &str) {
    match shape {
        Value::String(kind) => {
            let fits = |kind: &str| match kind {
                "address" => value.as_str().is_some_and(|s| {
                    s.strip_prefix("0x").is_some_and(|hex| hex == "0" || u64::from_str_radix(hex, 16).is_ok())
                }),
                "string" => value.is_string(),
                "count" => value.is_u64(),
                "number" => value.is_number(),
                "bool" => value.is_boolean(),
                "null" => value.is_null(),
                "any" => true,
                other => panic!("{other} is no kind"),
            };
            assert!(kind.split('|').any(fits), "{at} is {value}, not {kind}");
        }
        Value::Array(of) => {
            let items = value.as_array().unwrap_or_else(|| panic!("{at} is {value}, not a list"));
            items.iter().enumerate().for_each(|(i, item)| fits(item, &of[0], &format!("{at}[{i}]")));
        }
        Value::Object(fields) => {
            for (name, shape) in fields {
                fits(
                    value.get(name).unwrap_or_else(|| panic!("{at} has no {name}: {value}")),
                    shape,
                    &format!("{at}.{name}"),
                );
            }
        }
        _ => panic!("{shape} is no shape"),
    }
}

/// The head that every answer has.
pub fn head() -> Value {
    json!({
        "schema": "string", "problems": ["string"],
        "snapshot": {
            "pid": "null|count", "python": "null|string", "implementation": "string", "free_threaded": "bool",
            "captured_at": "null|string", "bytes": "count", "source": "string",
        },
    })
}

/// A captured zoo, on disk.
pub struct Zoo {
    pub interpreter: Interpreter,
    pub pid: i32,
    pub path: String,
    /// What `capture --json` said.
    pub captured: Value,
    pub truth: Truth,
    pub expected: Vec<Expected>,
    _folder: tempfile::TempDir,
}

/// Captured once for all tests: the contract does not depend on the version, which `tests/values.rs` goes through.
pub fn zoo() -> &'static Zoo {
    static ZOO: OnceLock<Zoo> = OnceLock::new();
    ZOO.get_or_init(|| {
        let mut all = interpreters();
        let preferred = all.iter().position(|i| i.name.starts_with("3.12")).unwrap_or(all.len() - 1);
        let interpreter = all.swap_remove(preferred);
        let target = Target::start(&interpreter, "zoo.py", &["--free", "2000"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump").to_str().unwrap().to_owned();
        let captured = ask(&["capture", "--pid", &target.pid.to_string(), "-o", &path]);
        let truth = Truth::read(&target.path("zoo.truth"));
        let expected = read_expected(&target.path("zoo.expect"));
        Zoo { interpreter, pid: target.pid, path, captured, truth, expected, _folder: folder }
    })
}

impl Zoo {
    /// The first registered object of a kind that fulfils a condition.
    pub fn of_kind(&self, kind: &str, condition: impl Fn(&Expected) -> bool) -> &Expected {
        let found = self.expected.iter().find(|e| e.name.is_some() && e.kind == kind && condition(e));
        found.unwrap_or_else(|| panic!("the zoo of {} has no such {kind}", self.interpreter.name))
    }
}

/// A copy of a snapshot directory that may be damaged; files are copied, holes stay holes where the system can.
pub fn copy(from: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("copy");
    let copied = Command::new("cp").args(["-r", "--sparse=auto", from]).arg(&to).status().unwrap();
    assert!(copied.success());
    (folder, to)
}

/// The region files of a directory, biggest first.
pub fn region_files(path: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "bin")).collect();
    files.sort_by_key(|p| std::cmp::Reverse(p.metadata().unwrap().len()));
    files
}

pub fn hex(address: u64) -> String {
    format!("{address:#x}")
}
