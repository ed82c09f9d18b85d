//! What `export` asks: every object and reference, row by row or as a graph.

use super::{Asked, watch};
use crate::analysis::answers::Tasks;
use crate::analysis::export::{self, ExportError, Extra, Sink};
use crate::analysis::tasks;
use crate::snapshot::{Addr, Snapshot};
use anyhow::Result;

pub(in crate::command) use crate::analysis::export::subgraph::{Class, Label, Subgraph};

impl Asked {
    pub(in crate::command) fn snapshot(&self) -> &Snapshot {
        self.heap.snapshot()
    }
}

pub(in crate::command) fn all_tasks(asked: &Asked) -> Tasks {
    tasks::tasks(&asked.heap, &tasks::Ask::all(false))
}

pub(in crate::command) fn export_objects(asked: &Asked, extra: Extra, sink: &mut Sink<'_>) -> Result<()> {
    let work = |progress: &_| export::objects(&asked.heap, extra, progress, sink);
    Ok(watch::cancellable("exporting objects", asked.quiet, work)?)
}

pub(in crate::command) fn export_edges(asked: &Asked, names: bool, sink: &mut Sink<'_>) -> Result<()> {
    let work = |progress: &_| export::edges(&asked.heap, names, progress, sink);
    Ok(watch::cancellable("exporting references", asked.quiet, work)?)
}

/// What `from` reaches, or all, given to `each`.
pub(in crate::command) fn subgraph<T>(
    asked: &Asked,
    from: Option<Addr>,
    limit: u32,
    each: impl FnOnce(&Subgraph<'_>) -> Result<T, ExportError>,
) -> Result<T> {
    let from = from.map(|address| asked.object(address)).transpose()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let work = |progress: &_| each(&Subgraph::choose(&asked.heap, from, limit, progress)?);
    Ok(watch::cancellable("exporting", asked.quiet, work)?)
}
