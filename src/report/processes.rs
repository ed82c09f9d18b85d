//! The Python processes of a machine.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{ProcessRow, Processes};
use crate::text::{age, count, sanitize, size};
use std::io;

impl Report for Processes {
    const SCHEMA: &'static str = "processes/1";

    fn truncate(&mut self, rows: usize) {
        self.processes.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        if self.processes.is_empty() {
            return page.line("no Python process was found");
        }
        let mut table = Table::new(&[">PID", "USER", ">AGE", ">RESIDENT", ">THREADS", "PYTHON", "COMMAND"]);
        for row in &self.processes {
            table.row(columns(row));
        }
        table.print(page)?;
        for row in &self.processes {
            if let Some(why) = &row.why_not {
                page.dim(&sanitize(why))?;
            }
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        self.processes.len() as u64
    }

    fn rows(&self) -> u64 {
        self.processes.len() as u64
    }
}

/// What is told of a process in a line.
fn columns(row: &ProcessRow) -> [String; 7] {
    let command = row.command_line.join(" ");
    [
        row.pid.to_string(),
        sanitize(&row.user).into_owned(),
        row.age_s.map_or_else(String::new, age),
        size(row.resident_bytes),
        count(row.threads),
        row.version.clone().unwrap_or_default(),
        sanitize(&command).into_owned(),
    ]
}
