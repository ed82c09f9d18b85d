//! `capture --pid PID … -o PATH`.

use super::{ask, redact, several, source, warn};
use crate::analysis::answers::{CaptureReport, Captures};
use crate::capture::Destination;
use crate::cli::{Capture, Common, StreamFormat};
use crate::report::{self, Report};
use crate::snapshot::store::Stored;
use crate::snapshot::stream::Packing;
use crate::snapshot::{Metadata, save};
use crate::text::sanitize;
use anyhow::{Context, bail};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn run(mut args: Capture, common: &Common) -> anyhow::Result<()> {
    args.pid = several::meant(&args.pid, args.children);
    match args.pid.as_slice() {
        [pid] if args.output == Path::new("-") => stream(*pid, &args, common),
        [pid] if !args.children => {
            let (answer, metadata) = one(*pid, args.output.clone(), &args, common)?;
            warn(&metadata.problems, common);
            print(answer, &metadata, &metadata.problems, common)
        }
        _ => several(&args, common),
    }
}

/// One after the other: each process stands still for its own pause only.
fn several(args: &Capture, common: &Common) -> anyhow::Result<()> {
    if args.output == Path::new("-") {
        bail!("a stream holds one process; give -o PATH for a directory with a snapshot of each");
    }
    several::folder(&args.output)?;
    let (mut captures, mut problems, mut last) = (Vec::new(), Vec::new(), None);
    for pid in &args.pid {
        match one(*pid, args.output.join(pid.to_string()), args, common) {
            Ok((answer, metadata)) => {
                problems.extend(metadata.problems.iter().map(|p| format!("process {pid}: {p}")));
                captures.push(answer);
                last = Some(metadata);
            }
            // a worker that ended meanwhile is no reason to lose the others
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    warn(&problems, common);
    let Some(metadata) = last else {
        let _ = std::fs::remove_dir(&args.output);
        bail!("none of the processes was captured: {}", problems.join("; "));
    };
    print(Captures { captures }, &metadata, &problems, common)
}

fn one(pid: i32, output: PathBuf, args: &Capture, common: &Common) -> anyhow::Result<(CaptureReport, Metadata)> {
    let destination = Destination::Directory(output);
    let (path, metadata) = match args.redact {
        Some(what) => {
            let (stored, metadata) = redact::take(pid, what, &destination, common)?;
            (stored.path().map(Path::to_owned), metadata)
        }
        None => {
            let captured = source::take(pid, destination, common)?;
            (captured.path().map(Path::to_owned), captured.metadata)
        }
    };
    let path = path.map(|p| sanitize(&p.to_string_lossy()).into_owned()).unwrap_or_default();
    let sharing = metadata.process.sharing();
    let answer = CaptureReport {
        pid: metadata.process.pid,
        path,
        mode: metadata.mode.clone(),
        mode_reason: metadata.mode_reason.clone(),
        pause_ms: metadata.pause_ms,
        expected_pause_ms: metadata.expected_pause_ms,
        bytes: metadata.bytes,
        private_bytes: sharing.private,
        shared_bytes: sharing.shared(),
        copy_on_write_bytes: sharing.copy_on_write,
        pages_skipped: metadata.pages_skipped,
        threads: metadata.threads.len() as u64,
        redacted: metadata.redacted.clone(),
        unreadable: metadata.unreadable.clone(),
    };
    Ok((answer, metadata))
}

fn print<R: Report>(answer: R, metadata: &Metadata, problems: &[String], common: &Common) -> anyhow::Result<()> {
    let mut info = crate::analysis::info::of_metadata(Some(metadata));
    let captured = metadata.regions.iter().filter(|m| m.captured);
    info.bytes = captured.map(|m| m.end.0.saturating_sub(m.start.0)).sum();
    let mut out = io::stdout().lock();
    report::print(answer, &info, &super::harmless(problems), super::report_options(common), &mut out)?;
    Ok(out.flush()?)
}

/// To standard output, once the process runs again: a slow reader must not hold it.
fn stream(pid: i32, args: &Capture, common: &Common) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        bail!("a stream of memory is nothing for a terminal; redirect standard output or give -o PATH");
    }
    let destination = match args.stream_format {
        StreamFormat::Plain => Destination::Temporary,
        StreamFormat::Zstd => to_standard_output(Packing::Zstd)?,
        StreamFormat::Raw => to_standard_output(Packing::Raw)?,
    };
    let stored = match args.redact {
        Some(what) => redact::take(pid, what, &destination, common)?.0,
        None => {
            let captured = source::take(pid, destination, common)?;
            source::tell(&captured, common);
            captured.into_stored()
        }
    };
    if let Stored::Streamed = stored {
        return Ok(());
    }
    let snapshot = stored.open()?;
    save::write_stream(&snapshot, &mut io::stdout().lock()).context("standard output cannot be written")?;
    ask::unharmed(&snapshot)
}

/// Past the buffer of io::stdout, which looks for the ends of lines.
fn to_standard_output(packing: Packing) -> anyhow::Result<Destination> {
    let out = io::stdout().as_fd().try_clone_to_owned().context("standard output cannot be written")?;
    Ok(Destination::Stream { to: Arc::new(out.into()), packing })
}
