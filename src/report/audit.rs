//! The audit: the sums, the types, then the objects, lost references first.

use super::lists::refcount;
use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::Audit;
use crate::text::count;
use std::io;

/// Types that are shown as text.
const MAX_TYPES: usize = 10;

impl Report for Audit {
    const SCHEMA: &'static str = "audit/1";

    fn truncate(&mut self, rows: usize) {
        self.types.truncate(rows);
        self.rows.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        page.line(&format!(
            "{} objects: {} have a reference that nothing explains, {} are held by C code, {} are accounted for",
            count(self.objects),
            count(self.unexplained),
            count(self.held_by_c),
            count(self.accounted),
        ))?;
        if self.overcounted > 0 {
            page.line(&format!(
                "{} have fewer references counted than found: what is said of their types may be wrong",
                count(self.overcounted)
            ))?;
        }
        for excluded in &self.excluded {
            page.line(&format!("left out: {} {}", count(excluded.count), excluded.reason))?;
        }
        if self.types.iter().all(|t| t.objects == 0) {
            return Ok(());
        }
        page.line("")?;
        let mut table = Table::new(&[">OBJECTS", ">HELD BY C", ">UNEXPLAINED", "TYPE"]);
        for t in self.types.iter().filter(|t| t.objects > 0).take(MAX_TYPES) {
            table.row([count(t.objects), count(t.unaccounted), count(t.unexplained), t.name.clone()]);
        }
        table.print(page)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        page.line("")?;
        let heads = ["ADDRESS", ">REFS", ">FOUND", ">UNEXPLAINED", "TYPE", "VALUE", "POINTERS IN"];
        let mut table = Table::new(&heads);
        for row in &self.rows {
            table.row([
                row.address.to_string(),
                refcount(row.refcount),
                count(row.found),
                count(row.unexplained),
                row.type_name.clone(),
                row.summary.clone(),
                row.places.join(", "),
            ]);
        }
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.rows_total
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }
}
