//! `demo [NAME]`: a bundled program with a problem, started, captured and opened.
//!
//! The programs are within the binary. Each runs from a private folder that goes with it, ends with us, and is left
//! running while it is explored.

use super::{explore, source, watch};
use crate::capture::Destination;
use crate::cli::Common;
use crate::progress::Progress;
use crate::sys::child;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

struct Program {
    name: &'static str,
    about: &'static str,
    file: &'static str,
    text: &'static str,
    /// What its argument means, when it takes one.
    size: Option<&'static str>,
}

const PROGRAMS: [Program; 4] = [
    Program {
        name: "leak",
        about: "a client that never forgets a request (a leak of futures)",
        file: "leak.py",
        text: include_str!("../../demo/leak.py"),
        size: Some("requests"),
    },
    Program {
        name: "async-deadlock",
        about: "tasks of asyncio that wait for each other in a circle",
        file: "async_deadlock.py",
        text: include_str!("../../demo/async_deadlock.py"),
        size: Some("waiting requests"),
    },
    Program {
        name: "lock-deadlock",
        about: "two threads, two locks, taken in opposite order",
        file: "lock_deadlock.py",
        text: include_str!("../../demo/lock_deadlock.py"),
        size: None,
    },
    Program {
        name: "big",
        about: "a big heap, no bug: `demo big 1000000` takes a million orders",
        file: "big.py",
        text: include_str!("../../demo/big.py"),
        size: Some("orders"),
    },
];

/// Even `big` with millions of orders is ready within this.
const PATIENCE: Duration = Duration::from_secs(300);

const OLDEST: (u32, u32) = (3, 8);

pub(super) fn run(name: Option<&str>, size: Option<&str>, common: &Common) -> anyhow::Result<()> {
    let Some(name) = name else {
        let mut out = std::io::stdout().lock();
        for program in &PROGRAMS {
            writeln!(out, "{:<16}{}", program.name, program.about)?;
        }
        return Ok(writeln!(out, "\npymem-tui demo NAME starts one of them, captures it and opens it.")?);
    };
    let Some(program) = PROGRAMS.iter().find(|p| p.name == name || p.file == name) else {
        let names: Vec<_> = PROGRAMS.iter().map(|p| p.name).collect();
        bail!("there is no demo {name}; there are {}", names.join(", "));
    };
    if let Some(size) = size
        && (program.size.is_none() || size.parse::<u64>().is_err())
    {
        match program.size {
            Some(what) => bail!("demo {name} takes a number of {what}, not {size}"),
            None => bail!("demo {name} takes no size"),
        }
    }
    let running = Running::start(program, size, common)?;
    let captured = source::take(running.pid(), Destination::Temporary, common)?;
    source::tell(&captured, common);
    explore::explore(captured.open()?, running.pid(), common)
}

/// A demo program; it ends when this is dropped.
struct Running {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(program: &Program, size: Option<&str>, common: &Common) -> anyhow::Result<Running> {
        let interpreter = interpreter()?;
        let folder = tempfile::Builder::new().prefix("pymem-tui-demo-").tempdir().context("no folder for the demo")?;
        let path = folder.path().join(program.file);
        std::fs::write(&path, program.text).context("the demo cannot be written")?;
        let mut command = Command::new(&interpreter);
        command.arg(&path).args(size).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child::ends_with_us(&mut command).spawn();
        let child = child.with_context(|| format!("{} cannot be started", interpreter.display()))?;
        let mut running = Running { child, _folder: folder };
        // Ctrl-C ends the wait, not us: the folder and the program go when `running` is dropped
        let label = format!("starting demo {}", program.name);
        watch::cancellable(&label, common.quiet, |progress| running.wait_until_ready(program.name, progress))?;
        Ok(running)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Until it prints `ready`; both pipes are read to their end by threads, so that it never blocks on them.
    fn wait_until_ready(&mut self, name: &str, progress: &Progress) -> anyhow::Result<()> {
        let (Some(output), Some(mut errors)) = (self.child.stdout.take(), self.child.stderr.take()) else {
            bail!("demo {name} has no output");
        };
        let (said, ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.trim() == "ready" {
                    let _ = said.send(());
                }
            }
        });
        let (complained, complaints) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.by_ref().take(64 << 10).read_to_end(&mut text);
            let _ = complained.send(String::from_utf8_lossy(&text).into_owned());
            let _ = std::io::copy(&mut errors, &mut std::io::sink());
        });
        let begun = Instant::now();
        loop {
            progress.check()?;
            match ready.recv_timeout(Duration::from_millis(50)) {
                Ok(()) => return Ok(()),
                Err(mpsc::RecvTimeoutError::Timeout) if begun.elapsed() < PATIENCE => {}
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("demo {name} is not ready after {PATIENCE:?}"),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let text = complaints.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
                    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
                    bail!("demo {name} ended before it was ready: {last}")
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of $PYTHON, python3 and python that runs and is new enough.
fn interpreter() -> anyhow::Result<OsString> {
    let wanted = std::env::var_os("PYTHON").filter(|p| !p.is_empty());
    let mut old = None;
    for name in wanted.into_iter().chain(["python3".into(), "python".into()]) {
        let code = "import sys; sys.stdout.write('%d %d' % sys.version_info[:2])";
        let answer = Command::new(&name).args(["-c", code]).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let Ok(answer) = answer else { continue };
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let mut numbers = text.split(' ').map(|n| n.parse::<u32>());
        if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) {
            if (major, minor) >= OLDEST {
                return Ok(name);
            }
            old = Some(format!("{} is Python {major}.{minor}", name.to_string_lossy()));
        }
    }
    let (major, minor) = OLDEST;
    match old {
        Some(old) => bail!("{old}, the demos need {major}.{minor} or newer; name one in PYTHON"),
        None => bail!("there is no python3 on PATH; install Python {major}.{minor} or newer, or name one in PYTHON"),
    }
}
