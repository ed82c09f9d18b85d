//! Processes to capture, and conditions to wait for.

#![allow(dead_code)] // each test program uses its part

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_pymem-tui");

/// Answers lines on standard input for ever, so that a test can tell whether it runs.
const ANSWER: &str = "
import sys
print('ready', flush=True)
for line in sys.stdin:
    print('answer', line.strip(), flush=True)
";

/// A process that ends with the test.
pub struct Target {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    lines: Vec<String>,
    asked: u64,
}

impl Target {
    /// Python that has run `code` and answers now.
    pub fn python(code: &str) -> Target {
        Target::of(Command::new(interpreter()), code)
    }

    /// As above, with a command that starts the interpreter.
    pub fn of(command: Command, code: &str) -> Target {
        Target::with_loop(command, code, ANSWER)
    }

    /// As above, with another loop that answers.
    pub fn with_loop(mut command: Command, code: &str, answer: &str) -> Target {
        command.args(["-c", &format!("{code}{answer}")]);
        let mut target = Target::start(command);
        loop {
            let line = target.read();
            if line.ends_with("ready") {
                return target;
            }
            target.lines.push(line);
        }
    }

    /// A script, whose first lines are its own.
    pub fn script(command: Command) -> Target {
        Target::start(command)
    }

    /// Says a line and gives back the next one it says.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.read()
    }

    /// Any other program.
    pub fn other(program: &str, arguments: &[&str]) -> Target {
        let mut command = Command::new(program);
        command.args(arguments);
        Target::start(command)
    }

    fn start(mut command: Command) -> Target {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Target { child, input, output, lines: Vec::new(), asked: 0 }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the target ended");
        line.trim_end().to_owned()
    }

    /// The next line that the code printed.
    pub fn line(&mut self) -> String {
        if self.lines.is_empty() { self.read() } else { self.lines.remove(0) }
    }

    /// It runs: a line goes in and its answer comes out.
    pub fn answers(&mut self) {
        self.asked += 1;
        writeln!(self.input.as_mut().unwrap(), "{}", self.asked).unwrap();
        let wanted = format!("answer {}", self.asked);
        while self.read() != wanted {}
    }

    pub fn signal(&self, name: &str) {
        let signal = format!("SIG{name}").parse::<nix::sys::signal::Signal>().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that may be captured: the newest one at hand.
pub fn interpreter() -> String {
    let pyenv = std::fs::read_dir("/root/.pyenv/versions").into_iter().flatten().flatten();
    let newest = pyenv
        .filter_map(|e| Some((e.file_name().to_str()?.strip_prefix("3.")?.split('.').next()?.parse::<u32>().ok()?, e)))
        .max_by_key(|(minor, _)| *minor)
        .map(|(minor, e)| e.path().join(format!("bin/python3.{minor}")))
        .filter(|p| p.exists());
    newest.map_or("python3".into(), |p| p.to_string_lossy().into_owned())
}

/// Waits for a condition; the bound is for a test that would hang.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn status(pid: i32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':').map(|v| v.trim().to_owned()))
}

/// The state letter of a process or thread.
pub fn state(pid: i32) -> Option<char> {
    status(pid, "State")?.chars().next()
}

/// Who traces it; 0 for nobody.
pub fn tracer(pid: i32) -> i32 {
    status(pid, "TracerPid").and_then(|t| t.parse().ok()).unwrap_or(0)
}

/// Whether every thread is free to run.
pub fn all_run(pid: i32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let tids = tasks.map(|t| t.unwrap().file_name().to_str().unwrap().parse::<i32>().unwrap());
    tids.into_iter().all(|tid| tracer(tid) == 0 && !matches!(state(tid), Some('T' | 't')))
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub fn has(program: &str) -> bool {
    let found = |folder| std::path::Path::new(&folder).join(program).exists();
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(found))
}

pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
