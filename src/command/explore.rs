//! Without a command: open, or capture and open, then hand over to the explorer.

use super::{processes, source};
use crate::capture::Destination;
use crate::cli::{ColorWhen, Common, Entry, Source};
use crate::cpython::runtime::Interpreter;
use crate::snapshot::Snapshot;
use crate::sys::signals::Interrupts;
use crate::tui::{self, ThemeChoice};
use crate::worker;
use anyhow::Context;

pub(super) fn run(entry: Entry, common: &Common) -> anyhow::Result<()> {
    let pid = match (entry.pid, &entry.snapshot) {
        (None, None) => match processes::choose(common)? {
            Some(pid) => Some(pid),
            None => return Ok(()),
        },
        (pid, _) => pid,
    };
    let snapshot = match (pid, entry.output) {
        (Some(pid), output) => {
            let destination = output.map_or(Destination::Temporary, Destination::Directory);
            let captured = source::take(pid, destination, common)?;
            source::tell(&captured, common);
            captured.open()?
        }
        (None, _) => source::open(&Source { source: entry.snapshot, pid: None }, common)?,
    };
    explore(snapshot, common)
}

/// Opens the explorer on a snapshot; returns when the person leaves it.
pub(super) fn explore(snapshot: Snapshot, common: &Common) -> anyhow::Result<()> {
    // what is no Python process is told here, not on a screen that has nothing to show
    Interpreter::find(&snapshot).with_context(|| format!("{} cannot be read", snapshot.source().display()))?;
    let theme = match common.color {
        ColorWhen::Never => ThemeChoice::Plain,
        _ => ThemeChoice::Auto,
    };
    let worker = worker::start(snapshot).context("the worker's thread cannot be started")?;
    // told to end, the explorer leaves as if by `q`, so that its temporary things go as well
    let interrupts = Interrupts::note();
    tui::run(worker, tui::Options { theme, ..tui::Options::default() }, &|| interrupts.came())
}
