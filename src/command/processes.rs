//! `processes`, and the choice among them when `pymem-tui` is called without arguments.

use super::print;
use crate::analysis::answers::{ProcessRow, Processes, SnapshotInfo};
use crate::capture::processes::{self, PythonProcess};
use crate::cli::{self, Common};
use crate::report;
use anyhow::bail;
use std::io::{self, BufRead, IsTerminal, Write};

pub(super) fn run(args: &cli::Processes, common: &Common) -> anyhow::Result<()> {
    let mut rows: Vec<_> = processes::list().into_iter().map(row).collect();
    if args.mine {
        rows.retain(|r| r.capturable);
    }
    print(Processes { processes: rows }, &SnapshotInfo::default(), &[], common)
}

/// Asks on the terminal which process to explore; `None` when nobody was chosen.
pub(super) fn choose(common: &Common) -> anyhow::Result<Option<i32>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("give a snapshot, --pid PID, or a command; `pymem-tui processes` lists what may be captured");
    }
    let processes: Vec<_> = processes::list().into_iter().filter(|p| p.why_not.is_none()).collect();
    let pids: Vec<i32> = processes.iter().map(|p| p.pid).collect();
    if pids.is_empty() {
        bail!("no Python process that may be captured was found; for a first look: pymem-tui demo leak");
    }
    let mut out = io::stderr().lock();
    let rows = Processes { processes: processes.into_iter().map(row).collect() };
    report::print(
        rows,
        &SnapshotInfo::default(),
        &[],
        report::Options { json: false, ..super::report_options(common) },
        &mut out,
    )?;
    loop {
        write!(out, "capture which PID (nothing to leave)? ")?;
        out.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let word = line.trim();
        if word.is_empty() {
            return Ok(None);
        }
        match word.parse() {
            Ok(pid) if pids.contains(&pid) => return Ok(Some(pid)),
            _ => writeln!(out, "give one of the numbers under PID")?,
        }
    }
}

fn row(process: PythonProcess) -> ProcessRow {
    ProcessRow {
        pid: process.pid,
        parent: process.parent,
        user: process.user,
        age_s: process.age_s,
        resident_bytes: process.resident_bytes,
        private_bytes: process.private_bytes,
        threads: process.threads,
        version: process.version,
        command_line: process.command_line,
        capturable: process.why_not.is_none(),
        why_not: process.why_not,
    }
}
