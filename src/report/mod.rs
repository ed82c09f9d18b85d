//! Answers as a person or a script reads them: aligned text, or JSON as `docs/cli.md` has it.
//!
//! An answer comes in whole and goes out to a writer. Nothing is asked of a snapshot here, and no terminal is known:
//! whether to colour is told.

mod audit;
mod detail;
mod diff;
pub mod export;
mod footprint;
mod garbage;
mod graph;
pub mod html;
mod json;
mod lists;
mod memory;
mod processes;
mod retained;
mod table;
mod tasks;
mod threads;

pub use json::ObjectWriter;
pub(crate) use memory::pause;
pub use threads::Stacks;

use crate::analysis::answers::SnapshotInfo;
use serde::Serialize;
use std::io::{self, Write};

/// Rows of text without `--limit`.
pub const TEXT_ROWS: u64 = 50;

/// How to print.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// JSON instead of text.
    pub json: bool,
    /// At most so many rows.
    pub limit: Option<u64>,
    /// Use colour.
    pub color: bool,
}

impl Options {
    /// How many rows are going to be printed at most; `None`: all.
    pub fn rows(&self) -> Option<u64> {
        self.limit.or((!self.json).then_some(TEXT_ROWS))
    }
}

/// An answer that can be printed.
pub trait Report: Serialize {
    /// `types/1`.
    const SCHEMA: &'static str;
    /// Keeps the first `rows` rows.
    fn truncate(&mut self, rows: usize);
    /// Prints it as text, every row that is left.
    fn text(&self, page: &mut Page) -> io::Result<()>;
    /// How many rows there are, those not among the answer's included.
    fn total(&self) -> u64;
    /// How many rows are among the answer's.
    fn rows(&self) -> u64;
}

/// Prints an answer.
pub fn print<R: Report>(
    mut answer: R,
    info: &SnapshotInfo,
    problems: &[String],
    options: Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let total = answer.total();
    if let Some(rows) = options.rows() {
        answer.truncate(usize::try_from(rows).unwrap_or(usize::MAX));
    }
    if options.json {
        return json::envelope(out, R::SCHEMA, info, problems, &answer);
    }
    let mut page = Page { out, color: options.color };
    answer.text(&mut page)?;
    match total.saturating_sub(answer.rows()) {
        0 => Ok(()),
        more => page.dim(&format!("… {} more (--limit N)", crate::text::count(more))),
    }
}

/// Where text goes.
pub struct Page<'w> {
    out: &'w mut dyn Write,
    color: bool,
}

impl Page<'_> {
    /// A line as it is.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    fn dim(&mut self, line: &str) -> io::Result<()> {
        let line = self.styled(line, "2");
        self.line(&line)
    }

    fn styled(&self, text: &str, code: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests;
