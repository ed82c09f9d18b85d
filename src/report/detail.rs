//! One object, one module: fields below each other, what they hold indented.

use super::lists::refcount;
use super::{Page, Report};
use crate::analysis::answers::{Field, ModuleReport, ObjectDetail};
use crate::text::{count, sanitize};
use std::io;

impl Report for ObjectDetail {
    const SCHEMA: &'static str = "object/1";

    fn truncate(&mut self, rows: usize) {
        self.fields.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let about = if self.estimated { "about " } else { "" };
        let bytes = format!("{about}{} bytes", count(self.shallow_bytes));
        let name = page.styled(&self.type_name, "1");
        page.line(&format!("{name} at {}, {bytes}, {} references", self.address, refcount(self.refcount)))?;
        for (name, value) in &self.facts {
            page.line(&format!("{}: {}", sanitize(name), sanitize(value)))?;
        }
        if let Some(reachable) = self.reachable {
            page.line(if reachable { "a root reaches it" } else { "no root reaches it: garbage" })?;
        }
        // line by line: a text of many lines reads as one, and nothing in a line reaches the terminal raw
        for line in self.value.split('\n') {
            page.line(&sanitize(line))?;
        }
        fields(page, &self.fields, 1)
    }

    fn total(&self) -> u64 {
        self.fields_total.max(self.fields.len() as u64)
    }

    fn rows(&self) -> u64 {
        self.fields.len() as u64
    }
}

impl Report for ModuleReport {
    const SCHEMA: &'static str = "module/1";

    fn truncate(&mut self, rows: usize) {
        self.fields.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let name = page.styled(&sanitize(&self.name), "1");
        let file = self.file.as_deref().map(|f| format!(", {}", sanitize(f))).unwrap_or_default();
        let of = self.interpreter.map(|id| format!(", interpreter {id}")).unwrap_or_default();
        page.line(&format!("{name} at {}{file}{of}", self.address))?;
        fields(page, &self.fields, 1)
    }

    fn total(&self) -> u64 {
        self.fields_total.max(self.fields.len() as u64)
    }

    fn rows(&self) -> u64 {
        self.fields.len() as u64
    }
}

fn fields(page: &mut Page, all: &[Field], depth: usize) -> io::Result<()> {
    for field in all {
        let indent = "  ".repeat(depth.min(40));
        let tail = page.styled(&format!("{} {}", field.type_name, field.address), "2");
        page.line(&format!("{indent}{} = {}  {tail}", sanitize(&field.name), field.summary))?;
        fields(page, &field.fields, depth + 1)?;
    }
    Ok(())
}
