//! What tests share: interpreters, live targets, their memory, and the records that targets write of themselves.
#![allow(dead_code)] // each test uses some of it

use pymem_tui::snapshot::meta::{Mapping, Metadata};
use pymem_tui::snapshot::{Addr, Snapshot};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A build of CPython to run targets with; a line of `target/interpreters.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Build {
    pub name: String,
    pub minor: String,
    pub free_threaded: bool,
    pub argv: Vec<String>,
    pub env: HashMap<String, String>,
}

/// The builds that were found. `PYMEM_TUI_INTERPRETERS` names another list; versions in `PYMEM_TUI_REQUIRE`
/// (`3.10,3.11`) must be among them, as a shared and as a static build.
pub fn builds() -> Vec<Build> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interpreters.json");
    let path = std::env::var_os("PYMEM_TUI_INTERPRETERS").map_or(default, PathBuf::from);
    let builds: Vec<Build> = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        Err(e) => {
            println!("skipped: {}: {e}; .ci/interpreters writes it", path.display());
            Vec::new()
        }
    };
    let required = std::env::var("PYMEM_TUI_REQUIRE").unwrap_or_default();
    for minor in required.split(',').filter(|m| !m.is_empty()) {
        for kind in ["shared", "static"] {
            let found = builds.iter().any(|b| b.minor == minor && b.name.contains(kind));
            assert!(found, "a {kind} build of {minor} is required and not in {}", path.display());
        }
    }
    builds.into_iter().filter(|b| !b.free_threaded).collect()
}

/// A running target; ends with the test.
pub struct Target {
    child: Child,
    pub pid: i32,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    /// Runs a script of tests/targets until it prints `ready PID`.
    pub fn start(build: &Build, script: &str, arguments: &[&str]) -> Target {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(script);
        let mut child = Command::new(&build.argv[0])
            .args(&build.argv[1..])
            .arg(script)
            .args(arguments)
            .envs(&build.env)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", build.name));
        let output = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("the target's output can be read");
        let pid = line.strip_prefix("ready ").and_then(|p| p.trim().parse().ok());
        let target = Target { pid: pid.unwrap_or(0), child };
        assert!(pid.is_some(), "{}: the target said {line:?} in place of `ready PID`", build.name);
        target
    }
}

/// The memory of a process that stands still, read without stopping it: a stand-in for a capture.
pub fn snapshot_of_waiting_process(pid: i32) -> Snapshot {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps can be read");
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("memory can be read");
    let (mut pieces, mut regions) = (Vec::new(), Vec::new());
    for line in maps.lines() {
        let mut parts = line.split_ascii_whitespace();
        let (range, permissions, offset) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let file = parts.nth(2).map(str::to_owned);
        let (start, end) = range.split_once('-').expect("a range has two ends");
        let (start, end) = (Addr::parse(start).unwrap(), Addr::parse(end).unwrap());
        let mut bytes = vec![0; (end.0 - start.0) as usize];
        let captured = permissions.starts_with('r')
            && !file.as_deref().is_some_and(|f| f.starts_with("[v"))
            && memory.read_exact_at(&mut bytes, start.0).is_ok();
        if captured {
            pieces.push((start, bytes));
        }
        let offset = u64::from_str_radix(offset, 16).unwrap();
        let permissions = permissions.to_owned();
        regions.push(Mapping { start, end, permissions, offset, file, resident_bytes: None, captured });
    }
    Snapshot::from_memory(pieces, Some(Metadata { regions, ..Metadata::default() }))
}

/// A type in a truth file.
#[derive(Debug)]
pub struct TruthType {
    pub address: Addr,
    pub name: String,
}

/// An object in a truth file.
#[derive(Debug)]
pub struct TruthObject {
    pub address: Addr,
    pub type_address: Addr,
    pub size: u64,
    pub flags: u32,
    pub referents: Vec<Addr>,
}

/// What a target wrote down with tests/targets/truth.py.
#[derive(Debug)]
pub struct Truth {
    pub types: Vec<TruthType>,
    pub objects: Vec<TruthObject>,
}

impl Truth {
    pub fn read(path: &Path) -> Truth {
        let bytes = std::fs::read(path).expect("the truth can be read");
        let mut rest = bytes.strip_prefix(b"PYTRUTH1").expect("a truth file");
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at(n);
            rest = tail;
            head
        };
        macro_rules! number {
            ($type:ty) => {
                <$type>::from_le_bytes(take(size_of::<$type>()).try_into().unwrap())
            };
        }
        let mut types = Vec::new();
        for _ in 0..number!(u64) {
            let address = Addr(number!(u64));
            take(3 * 8); // flags, basicsize, itemsize
            let len = number!(u32) as usize;
            let name = String::from_utf8_lossy(take(len)).into_owned();
            types.push(TruthType { address, name });
        }
        let mut objects = Vec::new();
        for _ in 0..number!(u64) {
            let (address, type_address, size) = (Addr(number!(u64)), Addr(number!(u64)), number!(u64));
            let (flags, n) = (number!(u32), number!(u32));
            let referents = (0..n).map(|_| Addr(number!(u64))).collect();
            objects.push(TruthObject { address, type_address, size, flags, referents });
        }
        Truth { types, objects }
    }
}

/// One line of an expect file (tests/targets/expect.py).
#[derive(Debug, Deserialize)]
pub struct Expected {
    pub id: u64,
    pub name: Option<String>,
    pub r#type: String,
    pub type_id: u64,
    pub kind: String,
    pub value: Json,
    pub attrs: Option<Vec<(String, u64)>>,
    pub slots: Option<Vec<(String, u64)>>,
}

pub fn read_expected(path: &Path) -> Vec<Expected> {
    let text = std::fs::read_to_string(path).expect("the expected values can be read");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}
