//! How far long work has come, and how it is asked to stop.
//!
//! A [`Progress`] is shared between the thread that works and whoever shows or cancels the work. It holds counters
//! only: who draws them, and when, is not decided here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Counters of one piece of work, and its cancellation token. Cheap to update from many threads.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    objects: AtomicU64,
    cancelled: AtomicBool,
}

/// The work was cancelled by whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// What [`Progress`] showed at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Bytes worked through.
    pub done: u64,
    /// Bytes there are; 0 while unknown.
    pub total: u64,
    /// Objects found.
    pub objects: u64,
}

impl Progress {
    /// Starts a stage of `total` bytes from zero; objects found so far are kept.
    pub fn begin(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// Adds bytes worked through.
    pub fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Relaxed);
    }

    /// Adds objects found.
    pub fn found(&self, objects: u64) {
        self.objects.fetch_add(objects, Relaxed);
    }

    /// Asks the work to stop at its next check.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// `Err` once [`cancel`](Self::cancel) was called. Workers call this between chunks.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.cancelled.load(Relaxed) { Err(Cancelled) } else { Ok(()) }
    }

    /// The counters now.
    pub fn read(&self) -> Reading {
        Reading { done: self.done.load(Relaxed), total: self.total.load(Relaxed), objects: self.objects.load(Relaxed) }
    }
}

impl Reading {
    /// Per cent done, when the total is known.
    pub fn percent(&self) -> Option<u8> {
        (self.total > 0).then(|| (self.done.min(self.total) as u128 * 100 / self.total as u128) as u8)
    }
}
