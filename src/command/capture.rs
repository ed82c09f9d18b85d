//! `capture --pid PID -o PATH`.

use super::{ask, source, warn};
use crate::analysis::answers::CaptureReport;
use crate::capture::Destination;
use crate::cli::{Capture, Common, StreamFormat};
use crate::report;
use crate::snapshot::save;
use crate::snapshot::stream::Packing;
use crate::text::sanitize;
use anyhow::Context;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(args: Capture, common: &Common) -> anyhow::Result<()> {
    if args.output == Path::new("-") {
        return stream(args.pid, args.stream_format, common);
    }
    let captured = source::take(args.pid, Destination::Directory(args.output), common)?;
    let path = captured.path().map(|p| sanitize(&p.to_string_lossy()).into_owned()).unwrap_or_default();
    let metadata = captured.metadata;
    warn(&metadata.problems, common);
    let answer = CaptureReport {
        path: path.clone(),
        mode: metadata.mode.clone(),
        pause_ms: metadata.pause_ms,
        bytes: metadata.bytes,
        pages_skipped: metadata.pages_skipped,
        threads: metadata.threads.len() as u64,
        unreadable: metadata.unreadable.clone(),
    };
    let mut info = crate::analysis::info::of_metadata(Some(&metadata));
    let captured = metadata.regions.iter().filter(|m| m.captured);
    info.bytes = captured.map(|m| m.end.0.saturating_sub(m.start.0)).sum();
    info.source = path;
    let mut out = io::stdout().lock();
    report::print(answer, &info, &super::harmless(&metadata.problems), super::report_options(common), &mut out)?;
    Ok(out.flush()?)
}

/// To standard output, once the process runs again: a slow reader must not hold it.
fn stream(pid: i32, format: StreamFormat, common: &Common) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        anyhow::bail!("a stream of memory is nothing for a terminal; redirect standard output or give -o PATH");
    }
    let packing = match format {
        StreamFormat::Zstd => Packing::Zstd,
        StreamFormat::Raw => Packing::Raw,
        StreamFormat::Plain => {
            let captured = source::take(pid, Destination::Temporary, common)?;
            source::tell(&captured, common);
            let snapshot = captured.open()?;
            save::write_stream(&snapshot, &mut io::stdout().lock()).context("standard output cannot be written")?;
            return ask::unharmed(&snapshot);
        }
    };
    // past the buffer of io::stdout, which looks for the ends of lines
    let out = io::stdout().as_fd().try_clone_to_owned().context("standard output cannot be written")?;
    let captured = source::take(pid, Destination::Stream { to: Arc::new(out.into()), packing }, common)?;
    source::tell(&captured, common);
    Ok(())
}
