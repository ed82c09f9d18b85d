//! pymem-tui: a terminal explorer for the heap of running CPython processes.
//!
//! It copies the memory of a process from outside, finds every Python object in the copy, and lets a person walk from
//! one to the next. Data flows one way:
//!
//! ```text
//! process ──capture──▶ snapshot ──cpython──▶ heap ──analysis──▶ answers ──▶ worker ──▶ tui   (a person)
//!                                  alloc ────▲                       └──▶ command ──▶ report (a script)
//! ```
//!
//! # The modules
//!
//! From the process to the answers; each one's opening paragraph says what it does and what it leaves to others.
//!
//! - [`capture`]: a live process → a snapshot: stop every thread, copy, let go, write.
//! - [`snapshot`]: bytes by address, whatever the source; opening, bounds-checked reading, writing.
//! - [`image`]: ELF images as they lie in a process's memory: their symbols and writable data.
//! - [`cpython`]: what the bytes mean: which interpreter, its layout table, types, one object's size, value and edges.
//! - [`alloc`]: allocators: which blocks of pymalloc, mimalloc and glibc live, and what debug hooks put around them.
//! - [`heap`]: every object at once: survey → scan → index → edges → roots → dominators; compact arrays, typed ids.
//! - [`analysis`]: the questions people ask, one file each; what they are answered with is plain data.
//!
//! From the answers to a reader:
//!
//! - [`worker`]: the background thread of the explorer: requests in, streamed answers out, cancellation, progress.
//! - [`tui`]: the explorer: terminal, keys, state, update, panes, view.
//! - [`report`]: answers → text or JSON.
//! - [`cli`]: arguments → options that were checked as far as their text goes.
//! - [`command`]: one file per subcommand: open a source, ask an analysis, hand the answer to a report.
//!
//! Leaves that know nothing of the others:
//!
//! - [`text`]: sanitised strings, sizes, numbers, Python's literals.
//! - [`progress`]: how far long work has come, and how it is asked to stop.
//! - [`sys`]: the few unsafe wrappers that several modules share.
//!
//! # Invariants
//!
//! The first three, and that no module panics by intent, are held by `tests/layers.rs`; the others by the tests of the
//! modules that they concern.
//!
//! - Nothing points back: a module uses only those that stand above it in the table of `tests/layers.rs`.
//! - Only `tui` names ratatui or crossterm. Only `capture` touches another process, with `sys` for the calls behind it,
//!   and only `capture::fork` writes to one: below a stopped thread's stack, and that thread's registers for as long as
//!   it makes the calls of a fork. Nothing of Python runs, and the process goes on as it was should we be killed. `unsafe` is only in `capture`, `snapshot` and `sys`.
//! - `tui` sees the worker's messages and plain answers, never a snapshot. Drawing reads no target memory and never
//!   waits; every answer carries the ticket of its question, and one that nobody waits for any more is dropped.
//! - A snapshot is hostile input. Every read is bounds-checked, every loop over the target's pointers is bounded and
//!   safe against cycles, every string is sanitised before a terminal sees it. Nothing a snapshot holds can panic the
//!   program.
//! - Offsets are data. A version's table (`assets/layouts/`) gives offsets and chooses among named decoder variants. A
//!   new version is a new table; a new variant is needed only where an encoding is new.
//! - One object set. Every pane, count, size and edge comes from the same index, so no two screens disagree.
//! - One traversal. `cpython` hands each edge to a visitor; the edge arrays and the names of one object's edges come
//!   from the same walk.
//! - Missing is said, never guessed. What could not be read is listed beside the answer; an edge or a size that is an
//!   estimate is marked as one.
//!
//! # Where it differs from the first plan
//!
//! - `alloc` takes the offsets of a pool's header from [`cpython::layout`], instead of standing beside `cpython`:
//!   they change with CPython's version like all others, and there is one table for a version.
//! - `image` is no leaf. It reads through [`snapshot::Reader`], because an image's symbols are taken from captured
//!   memory only, so there was no second source to be independent of.
//! - `cpython` finds the interpreter, `heap` finds the types: candidates for type objects are noticed on the walk over
//!   the allocators' blocks, which spares a pass over all memory.
//! - `_Py_DebugOffsets` wins over the table of the version where it differs, and says so; the table holds many more
//!   offsets than CPython publishes. What patch releases have otherwise is part of the table.
//! - Every message names its snapshot: a worker holds the one that is explored and the one it is compared with. Of
//!   several processes each has a worker, and they scan one after the other.
//! - `tui` evaluates the queries of lists whose rows are answers itself, with [`analysis::query`] and the fields that
//!   stand there; what has to be read from a heap is asked of the worker.
//! - `heap` uses [`sys`] for arrays that lie in a file where memory is short, `analysis` for large tables.

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
