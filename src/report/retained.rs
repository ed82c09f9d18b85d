//! Paths, retained sizes and suspects.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{Leaks, Paths, Retained, RetainedType, RetainedTypes};
use crate::text::{count, size};
use std::io;

impl Report for Paths {
    const SCHEMA: &'static str = "path/1";

    fn truncate(&mut self, rows: usize) {
        self.paths.truncate(rows);
        self.text.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        if self.paths.is_empty() {
            page.line("nothing that is known of holds it")?;
        }
        for (path, text) in self.paths.iter().zip(&self.text) {
            let head = page.styled(text, "1");
            page.line(&head)?;
            let mut table = Table::new(&["", "EDGE", "ADDRESS", "TYPE", "VALUE"]);
            for step in path {
                let edge = format!("{}{}", step.edge, super::lists::kind(step.kind));
                table.row([
                    String::new(),
                    edge,
                    step.address.to_string(),
                    step.type_name.clone(),
                    step.summary.clone(),
                ]);
            }
            table.print(page)?;
            page.line("")?;
        }
        if self.weak_total > 0 {
            page.dim(&format!("{} weak references, which do not keep it alive:", count(self.weak_total)))?;
            for row in &self.weak {
                page.dim(&format!("  {} {} {}", row.address, row.edge, row.summary))?;
            }
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        self.paths.len() as u64
    }

    fn rows(&self) -> u64 {
        self.paths.len() as u64
    }
}

impl Report for Retained {
    const SCHEMA: &'static str = "retained/1";

    fn truncate(&mut self, rows: usize) {
        self.objects.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&["ADDRESS", ">RETAINED", ">SHARE", ">OBJECTS", ">SIZE", "TYPE", "VALUE"]);
        for row in &self.objects {
            let share = row.retained_bytes as f64 * 100.0 / (self.heap_bytes as f64).max(1.0);
            table.row([
                row.address.map_or_else(String::new, |a| a.to_string()),
                size(row.retained_bytes),
                format!("{share:.1}%"),
                count(row.retained_count),
                size(row.shallow_bytes),
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

impl Report for RetainedTypes {
    const SCHEMA: &'static str = "types/1";

    fn truncate(&mut self, rows: usize) {
        self.types.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&[">COUNT", ">SIZE", ">RETAINED", ">SHARE", "TYPE"]);
        for RetainedType { row, retained_bytes } in &self.types {
            let share = *retained_bytes as f64 * 100.0 / (self.total.shallow_bytes as f64).max(1.0);
            let (bytes, kept) = (size(row.shallow_bytes), size(*retained_bytes));
            table.row([count(row.count), bytes, kept, format!("{share:.1}%"), row.name.clone()]);
        }
        let none = String::new;
        table.row([count(self.total.count), size(self.total.shallow_bytes), none(), none(), "total".into()]);
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.types.len() as u64
    }

    fn rows(&self) -> u64 {
        self.types.len() as u64
    }
}

impl Report for Leaks {
    const SCHEMA: &'static str = "leaks/1";

    fn truncate(&mut self, rows: usize) {
        self.suspects.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        if self.suspects.is_empty() {
            page.line(&match self.left_out {
                0 => "nothing looks like a leak".to_owned(),
                n => format!("no suspect is like that; {} are not", count(n)),
            })?;
        }
        for (i, suspect) in self.suspects.iter().enumerate() {
            let head = page.styled(&format!("{}. {}", i + 1, suspect.reason), "1");
            page.line(&head)?;
            page.line(&format!("   {} {}", suspect.address, suspect.path_text))?;
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        self.suspects.len() as u64
    }

    fn rows(&self) -> u64 {
        self.suspects.len() as u64
    }
}
