//! The background thread: requests in, streamed answers out.
//!
//! It owns the snapshot and the index, runs the scans, and speaks only in [`protocol`]'s plain messages over bounded
//! channels. It draws nothing and knows no terminal.

mod filter;
mod jobs;
mod known;
mod lanes;
mod newer;
mod outside;
pub mod protocol;
mod retained;
mod run;

pub use known::Gate;
pub use outside::Outside;

use crate::snapshot::Snapshot;
use protocol::{Request, SourceId, Ticket, Update};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// One end of the channel to a worker: all that the explorer knows of it.
pub struct Handle {
    /// Requests; bounded. The explorer only ever uses `try_send` and keeps the newest when it is full.
    pub requests: SyncSender<(Ticket, Request)>,
    /// What the worker tells.
    pub updates: Receiver<Update>,
    /// Stops the work that runs for a source; returns at once.
    pub cancel: Arc<dyn Fn(SourceId) + Send + Sync>,
    /// The snapshots that are open or being opened, in the order of the command line.
    pub sources: Vec<SourceId>,
    /// Ends soon after `requests` and `updates` are dropped, when nothing half-written is left.
    pub thread: JoinHandle<()>,
}

/// Messages that wait in either direction.
const QUEUE: usize = 64;

/// Starts a worker on a snapshot. It ends when the handle's request channel is dropped.
pub fn start(snapshot: Snapshot) -> io::Result<Handle> {
    start_with(snapshot, Arc::new(outside::Nobody), Arc::default())
}

/// The same, with somebody who writes files and captures anew. Workers that share a gate scan one after the other.
pub fn start_with(snapshot: Snapshot, outside: Arc<dyn Outside>, turn: Arc<Gate>) -> io::Result<Handle> {
    let source = SourceId(0);
    let (requests, inbox) = sync_channel(QUEUE);
    let (outbox, updates) = sync_channel(QUEUE);
    let stop = Arc::new(lanes::Stop::default());
    let worker = run::Worker::new(source, Arc::new(snapshot), (outside, turn), (inbox, outbox), stop.clone())?;
    let thread = std::thread::Builder::new().name("worker".into()).spawn(move || worker.run())?;
    let cancel = Arc::new(move |_| stop.cancel());
    Ok(Handle { requests, updates, cancel, sources: vec![source], thread })
}
