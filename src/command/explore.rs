//! Without a command: open, or capture and open, then hand over to the explorer.

use super::source;
use crate::capture::Destination;
use crate::cli::{Common, Entry, Source};
use crate::snapshot::Snapshot;

pub(super) fn run(entry: Entry, common: &Common) -> anyhow::Result<()> {
    let snapshot = match (entry.pid, entry.output) {
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
pub(super) fn explore(snapshot: Snapshot, _common: &Common) -> anyhow::Result<()> {
    // the explorer is wired here
    eprintln!(
        "{} is open: {} regions; the explorer is not built in yet",
        snapshot.source().display(),
        snapshot.regions().len()
    );
    Ok(())
}
