//! pymem-tui: a terminal explorer for the heap of running CPython processes.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! process ──capture──▶ snapshot ──cpython──▶ heap ──analysis──▶ answers ──▶ tui   (a person)
//!                                                                     └──▶ report (a script)
//! ```

pub mod analysis;
pub mod progress;
pub mod snapshot;
pub mod text;
pub mod tui;
pub mod worker;
