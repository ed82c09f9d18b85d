//! The background thread: requests in, streamed answers out.
//!
//! It owns the snapshot and the index, runs the scans, and speaks only in [`protocol`]'s plain messages over bounded
//! channels. It draws nothing and knows no terminal.

pub mod protocol;

use protocol::{Request, SourceId, Ticket, Update};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

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
}
