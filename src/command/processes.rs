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

/// Asks on the terminal which processes to explore; empty when none was chosen.
pub(super) fn choose(common: &Common) -> anyhow::Result<Vec<i32>> {
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
        // all of them: what is not shown cannot be chosen
        report::Options { json: false, limit: Some(u64::MAX), ..super::report_options(common) },
        &mut out,
    )?;
    loop {
        write!(out, "capture which PID (several: with blanks between; nothing to leave)? ")?;
        out.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let words: Option<Vec<i32>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        match words {
            Some(chosen) if chosen.iter().all(|pid| pids.contains(pid)) => return Ok(chosen),
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
        copy_on_write_bytes: process.copy_on_write_bytes,
        threads: process.threads,
        version: process.version,
        command_line: process.command_line,
        capturable: process.why_not.is_none(),
        why_not: process.why_not,
    }
}
