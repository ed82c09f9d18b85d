//! Lists of types, objects, references and strings.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{EdgeKind, Edges, Objects, RefCount, Strings, Types};
use crate::text::{count, size};
use std::io;

impl Report for Types {
    const SCHEMA: &'static str = "types/1";

    fn truncate(&mut self, rows: usize) {
        self.types.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&[">COUNT", ">SIZE", ">SHARE", "TYPE"]);
        for row in &self.types {
            let share = row.shallow_bytes as f64 * 100.0 / (self.total.shallow_bytes as f64).max(1.0);
            table.row([count(row.count), size(row.shallow_bytes), format!("{share:.1}%"), row.name.clone()]);
        }
        table.row([count(self.total.count), size(self.total.shallow_bytes), String::new(), "total".into()]);
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.types.len() as u64
    }

    fn rows(&self) -> u64 {
        self.types.len() as u64
    }
}

/// A reference count as people read it.
pub(super) fn refcount(refs: RefCount) -> String {
    match refs {
        RefCount::Count(n) if n < 0 => n.to_string(),
        RefCount::Count(n) => count(n.unsigned_abs()),
        RefCount::Immortal => "∞".into(),
    }
}

impl Report for Objects {
    const SCHEMA: &'static str = "objects/1";

    fn truncate(&mut self, rows: usize) {
        self.objects.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&["ADDRESS", ">SIZE", ">REFS", "TYPE", "VALUE"]);
        for row in &self.objects {
            let about = if row.estimated { "~" } else { "" };
            table.row([
                row.address.to_string(),
                format!("{about}{}", size(row.shallow_bytes)),
                refcount(row.refcount),
                row.type_name.clone(),
                row.summary.clone(),
            ]);
        }
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn rows(&self) -> u64 {
        self.objects.len() as u64
    }
}

/// What is said of a reference that is not simply owned.
pub(super) fn kind(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Strong => "",
        EdgeKind::Weak => " (weak)",
        EdgeKind::Guessed => " (guessed)",
    }
}

impl Report for Edges {
    const SCHEMA: &'static str = "edges/1";

    fn truncate(&mut self, rows: usize) {
        self.edges.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&["ADDRESS", "EDGE", "TYPE", "VALUE"]);
        for row in &self.edges {
            let edge = format!("{}{}", row.edge, kind(row.kind));
            table.row([row.address.to_string(), edge, row.type_name.clone(), row.summary.clone()]);
        }
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn rows(&self) -> u64 {
        self.edges.len() as u64
    }
}

impl Report for Strings {
    const SCHEMA: &'static str = "strings/1";

    fn truncate(&mut self, rows: usize) {
        self.duplicates.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut lengths = Table::new(&[">LENGTH UP TO", ">COUNT", ">SIZE"]);
        for row in &self.histogram {
            lengths.row([count(row.max_length), count(row.count), size(row.bytes)]);
        }
        lengths.print(page)?;
        page.line("")?;
        let mut duplicates = Table::new(&[">WASTED", ">COUNT", "VALUE"]);
        for row in &self.duplicates {
            duplicates.row([size(row.wasted_bytes), count(row.count), row.summary.clone()]);
        }
        duplicates.print(page)
    }

    fn total(&self) -> u64 {
        self.duplicates.len() as u64
    }

    fn rows(&self) -> u64 {
        self.duplicates.len() as u64
    }
}
