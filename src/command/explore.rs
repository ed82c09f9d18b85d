//! Without a command: open, or capture and open, then hand over to the explorer.

use super::several::{self, Member};
use super::{graph, one_sentence, processes, source};
use crate::analysis::answers::{Graph, SnapshotInfo};
use crate::capture::{self, Destination};
use crate::cli::{ColorWhen, Common, Entry, Source};
use crate::cpython::runtime::Interpreter;
use crate::progress::Progress;
use crate::snapshot::{self, Snapshot};
use crate::sys::signals::Interrupts;
use crate::tui::{self, ThemeChoice};
use crate::worker;
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn run(entry: Entry, common: &Common) -> anyhow::Result<()> {
    let pids = match (entry.pid.is_empty(), &entry.snapshot) {
        (true, None) => processes::choose(common)?,
        _ => entry.pid,
    };
    let pids = several::meant(&pids, entry.children);
    let members = match (pids.as_slice(), entry.snapshot) {
        ([], None) => return Ok(()), // nobody was chosen
        ([], Some(path)) if entry.newer.is_empty() && !snapshot::several(&path).is_empty() => {
            several::open(&path, common)?
        }
        ([], path) => vec![Member { snapshot: source::open(&Source { source: path, pid: None }, common)?, pid: None }],
        ([pid], _) if !entry.children => {
            let destination = entry.output.map_or(Destination::Temporary, Destination::Directory);
            let captured = source::take(*pid, destination, common)?;
            source::tell(&captured, common);
            vec![Member { snapshot: captured.open()?, pid: Some(*pid) }]
        }
        (pids, _) => several::take(pids, entry.output.as_deref(), common)?,
    };
    let open = |path: &PathBuf| source::open(&Source { source: Some(path.clone()), pid: None }, common);
    let newer = entry.newer.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    together(members, newer, common)
}

/// What the explorer has done outside of it.
struct Hands {
    /// The process, where it was captured just now, and what tells it from others of this number.
    process: Option<(i32, Option<u64>)>,
    /// Newer snapshots that are there already, at most two.
    newer: Vec<Arc<Snapshot>>,
    common: Common,
}

impl worker::Outside for Hands {
    fn write_graph(&self, graph: Graph, info: &SnapshotInfo) -> Result<PathBuf, String> {
        graph::write(graph, info).map_err(|error| one_sentence(&error))
    }

    fn newer(&self, first: bool, progress: &Progress) -> Result<Arc<Snapshot>, String> {
        if let Some(given) = self.newer.first().filter(|_| first) {
            return Ok(given.clone());
        }
        let Some((pid, incarnation)) = self.process else {
            return Err("this snapshot is no running process, so it cannot be captured again".into());
        };
        let again = || -> anyhow::Result<Arc<Snapshot>> {
            // nobody asked for a stranger to be stopped
            if capture::incarnation(pid).is_some_and(|now| Some(now) != incarnation) {
                anyhow::bail!("it has ended, and another process has its number");
            }
            let prepared = capture::prepare(pid, &source::options(&self.common))?;
            Ok(Arc::new(prepared.take(Destination::Temporary, progress)?.open()?))
        };
        again().map_err(|error| format!("process {pid} cannot be captured again: {}", one_sentence(&error)))
    }

    fn later(&self, first: bool) -> Option<Arc<Snapshot>> {
        self.newer.get(1).filter(|_| first).cloned()
    }
}

/// Opens the explorer on a process that was captured just now.
pub(super) fn explore(snapshot: Snapshot, pid: i32, common: &Common) -> anyhow::Result<()> {
    together(vec![Member { snapshot, pid: Some(pid) }], Vec::new(), common)
}

/// Opens the explorer on snapshots; returns when the person leaves it. `newer`: a snapshot to compare the first with, and
/// a third one that tells what of its is there to stay.
fn together(members: Vec<Member>, newer: Vec<Snapshot>, common: &Common) -> anyhow::Result<()> {
    let theme = match common.color {
        ColorWhen::Never => ThemeChoice::Plain,
        _ => ThemeChoice::Auto,
    };
    let compare = !newer.is_empty();
    let mut newer: Vec<Arc<Snapshot>> = newer.into_iter().map(Arc::new).collect();
    let turn = Arc::default();
    let mut workers = Vec::new();
    for Member { snapshot, pid } in members {
        // what is no Python process is told here, not on a screen that has nothing to show
        Interpreter::find(&snapshot).with_context(|| super::ask::unreadable(&snapshot))?;
        let process = pid.map(|pid| (pid, capture::incarnation(pid)));
        let hands = Arc::new(Hands { process, newer: std::mem::take(&mut newer), common: common.clone() });
        let worker = worker::start_with(snapshot, hands, Arc::clone(&turn));
        workers.push(worker.context("the worker's thread cannot be started")?);
    }
    // told to end, the explorer leaves as if by `q`, so that its temporary things go as well
    let interrupts = Interrupts::note();
    tui::run(workers, tui::Options { theme, compare, ..tui::Options::default() }, &|| interrupts.came())
}
