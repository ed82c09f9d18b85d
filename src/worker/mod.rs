//! The background thread: requests in, streamed answers out.
//!
//! It owns the snapshot and the index, runs the scans, and speaks only in [`protocol`]'s plain messages over bounded
//! channels. It draws nothing and knows no terminal.

pub mod protocol;
