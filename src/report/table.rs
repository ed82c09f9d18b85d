//! Aligned columns of text.

use super::Page;
use std::io;
use unicode_width::UnicodeWidthStr;

/// Rows under a head, each column as wide as its widest cell.
pub(super) struct Table {
    heads: Vec<&'static str>,
    numbers: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A head that begins with `>` stands over numbers, which are aligned to the right.
    pub(super) fn new(heads: &[&'static str]) -> Table {
        Table {
            heads: heads.iter().map(|h| h.trim_start_matches('>')).collect(),
            numbers: heads.iter().map(|h| h.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    pub(super) fn print(&self, page: &mut Page) -> io::Result<()> {
        let width = |column: usize, head: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0).max(head.width())
        };
        let widths: Vec<_> = self.heads.iter().enumerate().map(|(i, head)| width(i, head)).collect();
        let heads: Vec<_> = self.heads.iter().map(|h| (*h).to_owned()).collect();
        let head = page.styled(&self.aligned(&heads, &widths), "1");
        page.line(&head)?;
        self.rows.iter().try_for_each(|row| page.line(&self.aligned(row, &widths)))
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), number) in cells.iter().zip(widths).zip(&self.numbers) {
            let pad = " ".repeat(width.saturating_sub(cell.width()));
            let (before, after) = if *number { (pad.as_str(), "") } else { ("", pad.as_str()) };
            line.extend([before, cell, after, "  "]);
        }
        line.truncate(line.trim_end().len());
        line
    }
}
