//! Opening what a command is asked about: a path, a stream on standard input, or a running process.

use super::watch;
use crate::capture::{self, Captured, Destination, Expectation, Mode};
use crate::cli::{Common, ModeArg, Source};
use crate::progress::Progress;
use crate::report;
use crate::snapshot::store::check_absent;
use crate::snapshot::{self, Snapshot, Unpacking};
use crate::text;
use anyhow::bail;
use std::io::IsTerminal;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

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
    if let Destination::Directory(path) = &destination {
        check_absent(path)?; // before the process is looked at
    }
    let prepared = capture::prepare(pid, &options(common))?;
    foretell(pid, prepared.expectation(), common);
    let label = format!("capturing {pid}");
    Ok(watch::cancellable(&label, common.quiet, |progress| prepared.take(destination, progress))?)
}

/// How to capture, as the arguments say.
pub(super) fn options(common: &Common) -> capture::Options {
    let taking = &common.taking;
    let default = capture::Options::default();
    capture::Options {
        threads: common.threads.map_or(default.threads, usize::from),
        mode: match taking.mode {
            ModeArg::Auto => Mode::Auto,
            ModeArg::Plain => Mode::Plain,
            ModeArg::Fork => Mode::Fork,
        },
        limits: capture::Limits {
            max_buffer: taking.max_buffer,
            max_pause: taking.max_pause.map(Duration::from_millis),
            max_memory: taking.max_memory,
        },
    }
}

/// Tells what is going to happen, before anything is stopped.
fn foretell(pid: i32, expectation: &Expectation, common: &Common) {
    // what nobody would notice is told where somebody looks only
    const NOTICEABLE: Duration = Duration::from_millis(100);
    if common.quiet || !std::io::stderr().is_terminal() && expectation.plain.max(expectation.pause()) < NOTICEABLE {
        return;
    }
    let pause = |d: Duration| format!("{} ms", report::pause(d.as_secs_f64() * 1e3));
    let other = match &expectation.fork {
        Ok(_) if expectation.forks => format!("through a fork; plainly {}", pause(expectation.plain)),
        Ok(fork) => format!("plainly; through a fork {}", pause(*fork)),
        Err(_) if common.taking.mode == ModeArg::Plain => "plainly".into(),
        Err(why) => format!("plainly; no fork: {}", text::sanitize(why)),
    };
    let bytes = text::size(expectation.bytes);
    let expected = pause(expectation.pause());
    text::tell(format_args!("process {pid}: {bytes} to copy, a pause of about {expected} ({other})"));
}

/// Tells on standard error what was captured, when that is not the command's own answer.
pub(super) fn tell(captured: &Captured, common: &Common) {
    if !common.quiet {
        let pause = report::pause(captured.pause.as_secs_f64() * 1e3);
        let place = captured.path().map(|p| format!(" in {}", p.display())).unwrap_or_default();
        let bytes = text::size(captured.metadata.bytes);
        text::tell(format_args!("paused {pause} ms, {bytes}{}", text::sanitize(&place)));
    }
}

fn from_path(path: &Path, common: &Common) -> anyhow::Result<Snapshot> {
    tell_unpacking(path, common);
    Ok(watch::cancellable("unpacking", common.quiet, |progress| Snapshot::open_with(path, common.root(), progress))?)
}

/// Tells how much is going to be written, before a compressed source is unpacked.
pub(super) fn tell_unpacking(path: &Path, common: &Common) {
    if common.quiet {
        return;
    }
    let name = text::sanitize(&path.to_string_lossy()).into_owned();
    match snapshot::unpacking(path) {
        Some(Unpacking { form, packed, unpacked }) if is_noticed(packed.max(unpacked.hoped())) => {
            text::tell(format_args!("{name} ({form}, {}) is unpacked to {unpacked}, on disk", text::size(packed)));
        }
        None if path.metadata().is_ok_and(|info| info.file_type().is_fifo()) && is_noticed(0) => {
            text::tell(format_args!("{name} is read from a pipe, of unknown size, to disk"));
        }
        _ => {}
    }
}

/// What takes no time is told where somebody looks only.
fn is_noticed(bytes: u64) -> bool {
    const NOTICEABLE: u64 = 64 << 20;
    bytes >= NOTICEABLE || std::io::stderr().is_terminal()
}

fn from_standard_input(common: &Common) -> anyhow::Result<Snapshot> {
    let input = std::io::stdin();
    if input.is_terminal() {
        bail!("standard input is a terminal; pipe a stream into it: pymem-tui capture --pid PID -o - | …");
    }
    if !common.quiet && is_noticed(0) {
        let file = std::fs::metadata("/dev/stdin").ok().filter(std::fs::Metadata::is_file);
        let from =
            file.map_or("a pipe, of unknown size".into(), |file| format!("a file of {}", text::size(file.len())));
        text::tell(format_args!("standard input is read from {from}, to disk"));
    }
    // read to its end into a file of ours, even when it is a file: its position may be anywhere
    let read =
        |progress: &Progress| Snapshot::open_reader(&mut std::io::stdin(), Path::new("-"), common.root(), progress);
    Ok(watch::cancellable("reading standard input", common.quiet, read)?)
}
