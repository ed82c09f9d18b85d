//! Opening what a command is asked about: a path, a stream on standard input, or a running process.

use super::watch;
use crate::capture::{self, Captured, Destination};
use crate::cli::{Common, Source};
use crate::progress::Progress;
use crate::report;
use crate::snapshot::{self, Snapshot};
use crate::text;
use anyhow::bail;
use std::io::IsTerminal;
use std::path::Path;

/// Opens the source of a command.
pub(super) fn open(source: &Source, common: &Common) -> anyhow::Result<Snapshot> {
    match (&source.source, source.pid) {
        (_, Some(pid)) => Ok(take(pid, Destination::Temporary, common)?.open()?),
        (Some(path), None) if path == Path::new("-") => from_standard_input(common),
        (Some(path), None) => from_path(path, common),
        (None, None) => bail!("give a snapshot or --pid PID"),
    }
}

/// Captures with progress and the sentence that tells the pause.
pub(super) fn take(pid: i32, destination: Destination, common: &Common) -> anyhow::Result<Captured> {
    let options = common.threads.map_or_else(capture::Options::default, |n| capture::Options { threads: n.into() });
    let label = format!("capturing {pid}");
    let captured =
        watch::cancellable(&label, common.quiet, |progress| capture::capture(pid, destination, &options, progress))?;
    Ok(captured)
}

/// Tells on standard error what was captured, when that is not the command's own answer.
pub(super) fn tell(captured: &Captured, common: &Common) {
    if !common.quiet {
        let pause = report::pause(captured.pause.as_secs_f64() * 1e3);
        let place = captured.path().map(|p| format!(" in {}", p.display())).unwrap_or_default();
        eprintln!("paused {pause} ms, {}{}", text::size(captured.metadata.bytes), text::sanitize(&place));
    }
}

fn from_path(path: &Path, common: &Common) -> anyhow::Result<Snapshot> {
    let label = "unpacking";
    if let Some(unpacking) = snapshot::unpacking(path).filter(|_| !common.quiet && std::io::stderr().is_terminal()) {
        let into = unpacking.unpacked.map(|bytes| format!(" to {}", text::size(bytes))).unwrap_or_default();
        let name = text::sanitize(&path.to_string_lossy()).into_owned();
        eprintln!("{name} ({}, {}) is unpacked{into}, on disk", unpacking.form, text::size(unpacking.packed));
    }
    Ok(watch::cancellable(label, common.quiet, |progress| Snapshot::open_with(path, progress))?)
}

fn from_standard_input(common: &Common) -> anyhow::Result<Snapshot> {
    let input = std::io::stdin();
    if input.is_terminal() {
        bail!("standard input is a terminal; pipe a stream into it: pymem-tui capture --pid PID -o - | …");
    }
    // read to its end into a file of ours, even when it is a file: its position may be anywhere
    let read = |progress: &Progress| Snapshot::open_reader(&mut std::io::stdin(), Path::new("-"), progress);
    Ok(watch::cancellable("reading standard input", common.quiet, read)?)
}
