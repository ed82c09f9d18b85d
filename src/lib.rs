//! pymem-tui: a terminal explorer for the heap of running CPython processes.
//!
//! Data flows one way, and the modules stand in that order:
//!
//! ```text
//! process ──capture──▶ snapshot ──cpython──▶ heap ──analysis──▶ answers ──▶ tui   (a person)
//!                                                                     └──▶ report (a script)
//! ```
//!
//! - [`capture`]: a live process becomes a snapshot: stop, copy, let go.
//! - [`snapshot`]: bytes by address, whatever the source; one bounds-checked reader.
//! - [`image`]: ELF images as they lie in memory: symbols and writable data.
//! - [`alloc`]: which blocks of memory live: pymalloc pools, glibc chunks.
//! - [`cpython`]: what the bytes mean: which interpreter, its layout table, types, one decoder per kind of object.
//! - [`heap`]: every object at once: survey, scan, index, references both ways.
//! - [`analysis`]: the questions people ask, answered as plain data.
//! - [`worker`]: the background thread: requests in, streamed answers out.
//! - [`tui`]: the explorer.
//! - [`report`]: answers as text and JSON.
//! - [`cli`], [`command`]: arguments to options; one file a subcommand.
//! - [`text`], [`progress`], [`sys`]: leaves that several of them need.
//!
//! # Invariants (`tests/layers.rs` holds them)
//!
//! - `capture → snapshot → {image, alloc, cpython} → heap → analysis → {worker → tui, report → command}`; nothing
//!   points back. (`alloc` takes the offsets of a pool's header from `cpython`'s tables.)
//! - Only `tui` names ratatui or crossterm; only `capture` touches another process; `unsafe` only in `capture`,
//!   `snapshot` and `sys`.
//! - `tui` sees the worker's messages and plain answers, never a snapshot. Drawing reads no target memory and never
//!   waits; the scans' threads run at lower priority.
//! - A snapshot is hostile input: every read is bounds-checked, every loop over the target's pointers is bounded, every
//!   string is sanitised before a terminal sees it.
//! - Offsets are data. A version's table chooses among named decoder variants; a new version is a new table.
//! - One object set: every count, size and edge comes from the same index.
//! - One traversal: the visitor that fills the edge arrays without names names one object's edges on demand.

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
