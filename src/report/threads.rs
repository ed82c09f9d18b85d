//! Threads: one after the other, the stack below each, from the innermost frame out.

use super::{Page, Report};
use crate::analysis::answers::{Frame, Local, Thread, Threads};
use crate::text::count;
use serde::Serialize;
use std::io;

/// The same answer with the variables of each frame.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Stacks(pub Threads);

impl Report for Threads {
    const SCHEMA: &'static str = "threads/1";

    fn truncate(&mut self, rows: usize) {
        let mut seen = 0;
        self.keep(|_| {
            seen += 1;
            seen <= rows
        });
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        print(page, self, false)
    }

    fn total(&self) -> u64 {
        self.threads.len() as u64
    }

    fn rows(&self) -> u64 {
        self.threads.len() as u64
    }
}

impl Report for Stacks {
    const SCHEMA: &'static str = Threads::SCHEMA;

    fn truncate(&mut self, rows: usize) {
        Report::truncate(&mut self.0, rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        print(page, &self.0, true)
    }

    fn total(&self) -> u64 {
        self.0.total()
    }

    fn rows(&self) -> u64 {
        self.0.rows()
    }
}

fn print(page: &mut Page, all: &Threads, locals: bool) -> io::Result<()> {
    for sentence in &all.explained {
        let mark = page.styled("✗ deadlock", "1;31");
        page.line(&format!("{mark}: {sentence}"))?;
    }
    if !all.explained.is_empty() {
        page.line("")?;
    }
    if all.threads.is_empty() {
        page.dim("no thread is like that")?;
    }
    all.threads.iter().try_for_each(|t| thread(page, t, all, locals))
}

fn thread(page: &mut Page, thread: &Thread, all: &Threads, locals: bool) -> io::Result<()> {
    let name = page.styled(thread.name.as_deref().unwrap_or("unnamed"), "1");
    let mark = if all.is_deadlocked(thread) { page.styled("✗ deadlock ", "1;31") } else { String::new() };
    page.line(&format!("{mark}{name}  {}", thread.about(all.common_name()).join(" · ")))?;
    if let Some(wait) = &thread.waits_for {
        page.line(&format!("  {}", all.waits(wait)))?;
    }
    for Local { type_name, summary, address, .. } in &thread.handling {
        let tail = page.styled(&format!("{type_name} {address}"), "2");
        page.line(&format!("  handling {summary}  {tail}"))?;
    }
    let mut i = 0;
    while let Some(one) = thread.frames.get(i) {
        frame(page, one, locals)?;
        // a recursion is one line, and how often
        let same = thread.frames[i + 1..].iter().take_while(|f| f.is_at_the_place_of(one)).count();
        if same > 1 {
            page.dim(&format!("  … {} more at the same place", count(same as u64)))?;
            i += same;
        }
        i += 1;
    }
    if !thread.whole {
        page.dim("  … the rest of the stack is damaged")?;
    }
    Ok(())
}

fn frame(page: &mut Page, frame: &Frame, locals: bool) -> io::Result<()> {
    let file = page.styled(&format!("{}{}", frame.file, frame.line_and_column()), "2");
    page.line(&format!("  {}  {file}", frame.function))?;
    for Local { name, type_name, summary, address } in frame.locals.iter().filter(|_| locals) {
        let tail = page.styled(&format!("{type_name} {address}"), "2");
        page.line(&format!("      {name} = {summary}  {tail}"))?;
    }
    Ok(())
}
