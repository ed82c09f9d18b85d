//! pymem-tui: a terminal explorer for the heap of running CPython processes.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! process ──capture──▶ snapshot ──cpython──▶ heap ──analysis──▶ answers ──▶ tui   (a person)
//!                                                                     └──▶ report (a script)
//! ```

pub mod alloc;
pub mod analysis;
pub mod capture;
pub mod cli;
pub mod command;
pub mod cpython;
pub mod heap;
pub mod image;
pub mod progress;
pub mod report;
pub mod snapshot;
pub mod sys;
pub mod text;
pub mod tui;
pub mod worker;
