//! Where the resident memory went, and bytes to win: sentences first, then the rows.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{Footprint, Waste};
use crate::text::{count, size};
use std::io;

impl Report for Footprint {
    const SCHEMA: &'static str = "memory/1";

    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        for finding in &self.findings {
            page.line(&finding.sentence)?;
        }
        if !self.findings.is_empty() {
            page.line("")?;
        }
        let all = self.resident_bytes.unwrap_or_else(|| self.rows.iter().map(|r| r.bytes).sum());
        let mut table = Table::new(&[">RESIDENT", ">SHARE", ">COUNT", "WHAT", "MOST OF IT"]);
        for row in &self.rows {
            let share = row.resident_bytes.unwrap_or(row.bytes) as f64 * 100.0 / (all as f64).max(1.0);
            table.row([
                row.resident_bytes.map_or_else(|| "unknown".into(), size),
                format!("{share:.1}%"),
                count(row.count),
                row.label.into(),
                row.detail.clone(),
            ]);
        }
        let total = self.resident_bytes.map_or_else(|| "unknown".into(), size);
        table.row([total, String::new(), String::new(), "resident set".into(), String::new()]);
        table.print(page)?;
        let beside = [
            ("its own share of what is shared (Pss)", self.pss_bytes),
            ("page tables, beside it", self.page_tables_bytes),
            ("in swap, beside it", self.swap_bytes.filter(|n| *n > 0)),
        ];
        beside
            .iter()
            .filter_map(|(what, n)| n.map(|n| (what, n)))
            .try_for_each(|(what, bytes)| page.dim(&format!("{} {what}", size(bytes))))
    }

    fn total(&self) -> u64 {
        self.rows.len() as u64
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// Examples of each kind of waste that text shows.
const EXAMPLES: usize = 5;

impl Report for Waste {
    const SCHEMA: &'static str = "waste/1";

    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        for (i, row) in self.rows.iter().enumerate() {
            if i > 0 {
                page.line("")?;
            }
            page.line(&row.sentence)?;
            let mut table = Table::new(&[">TO WIN", ">COUNT", "ADDRESS", "TYPE", "WHAT"]);
            for example in row.examples.iter().take(EXAMPLES) {
                table.row([
                    size(example.bytes),
                    count(example.count),
                    example.address.to_string(),
                    example.type_name.clone(),
                    example.summary.clone(),
                ]);
            }
            table.print(page)?;
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        self.rows.len() as u64
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }
}
