//! What the tests share: interpreters, targets with a record of their own heap, captures.
#![allow(dead_code)] // each test binary uses its part

pub mod compare;
pub mod truth;

use pymem_tui::capture::{self, Destination, Options};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One interpreter of `target/interpreters.json`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Interpreter {
    pub name: String,
    pub minor: String,
    pub build: String,
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub free_threaded: bool,
}

/// The minor versions this test run must cover (`PYMEM_TUI_REQUIRE`), or may cover.
pub const COVERED: [&str; 8] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The interpreters that are there, of the covered versions: shared and static builds. Fails when a required one is
/// missing, in either build.
pub fn interpreters() -> Vec<Interpreter> {
    let all = every_build().into_iter().filter(|i| i.is_plain()).collect::<Vec<_>>();
    assert!(!all.is_empty(), "no interpreter of {COVERED:?} was found: run .ci/interpreters --install");
    all
}

/// The same with their stripped copies and the C programs that embed Python.
pub fn every_build() -> Vec<Interpreter> {
    let list = root().join("target/interpreters.json");
    if !list.exists() {
        let status = Command::new("python3").arg(root().join(".ci/interpreters")).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|s| s.success()), ".ci/interpreters could not look for interpreters");
    }
    let text = std::fs::read_to_string(&list).expect("target/interpreters.json is readable");
    let mut all: Vec<Interpreter> = serde_json::from_str(&text).expect("target/interpreters.json is a list");
    if let Ok(only) = std::env::var("PYMEM_TUI_ONLY") {
        all.retain(|i| only.split(',').any(|o| i.name.starts_with(o)));
        return all;
    }
    // `3.10`: a shared and a static build; `3.8:stripped`: this one
    for required in std::env::var("PYMEM_TUI_REQUIRE").unwrap_or_default().split(',').filter(|r| !r.is_empty()) {
        let (minor, build) = required.split_once(':').unwrap_or((required, ""));
        for build in if build.is_empty() { vec!["shared", "static"] } else { vec![build] } {
            let there = all.iter().any(|i| i.minor == minor && i.build == build);
            assert!(there, "a {build} build of CPython {minor} is required and was not found");
        }
    }
    let threaded = std::env::var("PYMEM_TUI_FREE_THREADED").is_ok_and(|asked| asked == "1");
    all.retain(|i| if i.free_threaded { threaded } else { COVERED.contains(&i.minor.as_str()) });
    let names: Vec<_> = all.iter().map(|i| i.name.as_str()).collect();
    println!("interpreters: {}", names.join(", "));
    all
}

impl Interpreter {
    /// Whether it is one that people install: nothing was taken from it, and it runs every script.
    pub fn is_plain(&self) -> bool {
        matches!(self.build.as_str(), "shared" | "static")
    }

    /// Whether a C program that embeds Python: it may not be able to load extension modules.
    pub fn is_embedded(&self) -> bool {
        self.build.starts_with("embedded")
    }

    /// The command that runs a script of `tests/targets`.
    pub fn command(&self, script: &str) -> Command {
        let (program, first) = self.argv.split_first().expect("argv is not empty");
        let mut command = Command::new(program);
        command.args(first).arg(root().join("tests/targets").join(script));
        command.envs(&self.env).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// A running Python program, killed when dropped.
pub struct Target {
    child: Child,
    pub pid: i32,
    /// What it said before it was ready, line by line.
    pub said: Vec<String>,
    dir: tempfile::TempDir,
}

impl Target {
    /// Starts `tests/targets/SCRIPT` and waits until it says that it is ready. The first argument is a path in a
    /// directory of its own where it may write its record.
    pub fn start(interpreter: &Interpreter, script: &str, args: &[&str]) -> Target {
        Target::start_with(interpreter, script, args, &[])
    }

    /// The same with more variables in its environment.
    pub fn start_with(interpreter: &Interpreter, script: &str, args: &[&str], env: &[(&str, &str)]) -> Target {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = interpreter.command(script);
        if matches!(script, "zoo.py" | "builds.py" | "packages.py" | "roots.py" | "leaks.py") {
            command.arg(dir.path().join("zoo"));
        }
        command.args(args).envs(env.iter().copied());
        Target::run(command, dir, &format!("{}: {script}", interpreter.name))
    }

    /// Runs a command until it says that it is ready. `what` is its name in a failure.
    pub fn run(mut command: Command, dir: tempfile::TempDir, what: &str) -> Target {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("its output is a pipe");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let ready = lines.find(|l| {
            l.starts_with("ready") || {
                said.push(l.clone());
                false
            }
        });
        let ready = ready.unwrap_or_else(|| panic!("{what} ended before it was ready"));
        let pid = ready.split_whitespace().nth(1).and_then(|p| p.parse().ok());
        let pid = pid.unwrap_or(child.id() as i32);
        Target { child, pid, said, dir }
    }

    /// The process that was started, whatever it calls itself.
    pub fn started(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits until its main thread is in a system call: a thread that wants the GIL comes late to where it stands.
    pub fn wait_until_in(&self, syscall: u32) {
        let path = format!("/proc/{0}/task/{0}/syscall", self.pid);
        for _ in 0..1000 {
            let at = std::fs::read_to_string(&path).expect("the target runs");
            if at.split(' ').next().and_then(|n| n.parse().ok()) == Some(syscall) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the target is not in system call {syscall}");
    }

    /// Where the target wrote a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Captures it from outside.
    pub fn capture(&self) -> Snapshot {
        self.capture_as(self.pid)
    }

    /// The same by another number than that by which it knows itself.
    pub fn capture_as(&self, pid: i32) -> Snapshot {
        let captured = capture::capture(pid, Destination::Temporary, &Options::default(), &Progress::default());
        captured.expect("the target is captured").open().expect("the snapshot opens")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGUSR1 to a target and reads what it then writes: a JSON file that appears when it is complete.
pub fn signalled<T: for<'a> serde::Deserialize<'a>>(target: &Target, name: &str) -> T {
    let sent = Command::new("kill").args(["-USR1", &target.pid.to_string()]).status();
    assert!(sent.is_ok_and(|s| s.success()), "the target gets its signal");
    let path = target.path(name);
    let begun = std::time::Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{} does not appear", path.display());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let text = std::fs::read_to_string(&path).expect("what the target wrote can be read");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Runs `check` on every interpreter and fails with all that failed, by name.
pub fn on_every_interpreter(check: impl Fn(&Interpreter) -> Result<(), String> + Sync) {
    check_each(interpreters().into_iter(), check);
}

/// The same for one build of each minor version.
pub fn on_every_version(check: impl Fn(&Interpreter) -> Result<(), String> + Sync) {
    let mut seen = std::collections::BTreeSet::new();
    check_each(interpreters().into_iter().filter(|i| seen.insert(i.minor.clone())), check);
}

fn check_each(interpreters: impl Iterator<Item = Interpreter>, check: impl Fn(&Interpreter) -> Result<(), String>) {
    let mut failures = Vec::new();
    for interpreter in interpreters {
        if let Err(why) = check(&interpreter) {
            failures.push(format!("{}: {why}", interpreter.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The same on every build that runs all scripts, stripped ones too.
pub fn on_every_build(check: impl Fn(&Interpreter) -> Result<(), String> + Sync) {
    check_each(every_build().into_iter().filter(|i| !i.is_embedded()), check);
}

/// One line of an expect file (tests/targets/expect.py).
#[derive(Debug, serde::Deserialize)]
pub struct Expected {
    pub id: u64,
    pub name: Option<String>,
    pub r#type: String,
    pub type_id: u64,
    pub kind: String,
    pub value: serde_json::Value,
    pub attrs: Option<Vec<(String, u64)>>,
    pub slots: Option<Vec<(String, u64)>>,
}

pub fn read_expected(path: &Path) -> Vec<Expected> {
    let text = std::fs::read_to_string(path).expect("the expected values can be read");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

/// Whether a program that is no part of this one is on PATH. Says that a part of a test is skipped, and fails instead
/// when `PYMEM_TUI_REQUIRE_TOOLS` names it.
pub fn tool(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&folders).any(|folder| folder.join(name).is_file());
    let required = std::env::var("PYMEM_TUI_REQUIRE_TOOLS").unwrap_or_default();
    assert!(there || !required.split(',').any(|r| r == name), "{name} is required and not on PATH");
    if !there {
        println!("{name} is not on PATH: skipped");
    }
    there
}
