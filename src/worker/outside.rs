//! What the worker has others do: files are written and processes captured by whoever started it.
//!
//! Each is asked on the thread of a job, never on the worker's loop.

use crate::analysis::answers::{Graph, SnapshotInfo};
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use std::path::PathBuf;
use std::sync::Arc;

/// See the module. An error is one sentence for the person.
pub trait Outside: Send + Sync {
    /// Writes a graph to a new file.
    fn write_graph(&self, graph: Graph, info: &SnapshotInfo) -> Result<PathBuf, String>;

    /// A newer snapshot of what is explored; `first`: none has been compared yet.
    fn newer(&self, first: bool, progress: &Progress) -> Result<Arc<Snapshot>, String>;

    /// A third snapshot, which tells what of that newer one is there to stay; `first` as above.
    fn later(&self, first: bool) -> Option<Arc<Snapshot>>;
}

/// For a worker that is alone.
pub(super) struct Nobody;

impl Outside for Nobody {
    fn write_graph(&self, _: Graph, _: &SnapshotInfo) -> Result<PathBuf, String> {
        Err("no files are written here".into())
    }

    fn newer(&self, _: bool, _: &Progress) -> Result<Arc<Snapshot>, String> {
        Err("there is no process to capture again".into())
    }

    fn later(&self, _: bool) -> Option<Arc<Snapshot>> {
        None
    }
}
