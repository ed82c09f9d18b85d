//! The Python processes of a machine.

use serde::Serialize;

/// Which Python processes there are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Processes {
    /// In the order of their ids.
    pub processes: Vec<ProcessRow>,
}

/// One Python process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessRow {
    /// Process id.
    pub pid: i32,
    /// Its parent's; 0 when that is not known.
    pub parent: i32,
    /// The user it runs as.
    pub user: String,
    /// Seconds since it started.
    pub age_s: Option<u64>,
    /// Resident bytes.
    pub resident_bytes: u64,
    /// Of them, bytes that no other process has.
    pub private_bytes: Option<u64>,
    /// Of the others, pages that a fork shares until somebody writes to them.
    pub copy_on_write_bytes: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// `3.12`, as far as names of files tell.
    pub version: Option<String>,
    /// As it was started.
    pub command_line: Vec<String>,
    /// Whether it may be captured.
    pub capturable: bool,
    /// Why not.
    pub why_not: Option<String>,
}
