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
        self.threads.truncate(rows);
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
        self.0.truncate(rows);
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
    // a thread that nobody named has the name of the first
    let common = all.threads.first().and_then(|t| t.kernel_name.as_deref());
    all.threads.iter().try_for_each(|t| thread(page, t, common, locals))
}

fn thread(page: &mut Page, thread: &Thread, common: Option<&str>, locals: bool) -> io::Result<()> {
    let name = page.styled(thread.name.as_deref().unwrap_or("unnamed"), "1");
    page.line(&format!("{name}  {}", about(thread, common).join(" · ")))?;
    for Local { type_name, summary, address, .. } in &thread.handling {
        let tail = page.styled(&format!("{type_name} {address}"), "2");
        page.line(&format!("  handling {summary}  {tail}"))?;
    }
    let mut i = 0;
    while let Some(one) = thread.frames.get(i) {
        frame(page, one, locals)?;
        // a recursion is one line, and how often
        let same = thread.frames[i + 1..].iter().take_while(|f| place(f) == place(one)).count();
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

/// What is known of a thread besides its name and its stack. `common`: the name that the kernel has for most.
fn about(thread: &Thread, common: Option<&str>) -> Vec<String> {
    let mut parts: Vec<String> = thread.native_id.iter().map(u64::to_string).collect();
    parts.extend(match (thread.state, &thread.syscall) {
        (state, Some(call)) => Some(format!("{} in {call}", state.unwrap_or("blocked"))),
        (state, None) => state.map(str::to_owned),
    });
    let marks = [
        (thread.holds_gil, "holds the GIL"),
        (thread.waits_for_gil == Some(true), "waits for the GIL"),
        (thread.daemon == Some(true), "daemon"),
        (thread.ident.is_none(), "no Python state"),
    ];
    parts.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| (*mark).to_owned()));
    let own = thread.kernel_name.as_deref().filter(|n| Some(*n) != common && Some(*n) != thread.name.as_deref());
    parts.extend(own.map(|name| format!("“{name}”")));
    parts.extend(thread.interpreter.filter(|id| *id != 0).map(|id| format!("interpreter {id}")));
    parts
}

fn place(frame: &Frame) -> (&str, &str, Option<u32>) {
    (&frame.function, &frame.file, frame.line)
}

fn frame(page: &mut Page, frame: &Frame, locals: bool) -> io::Result<()> {
    let line = frame.line.map(|n| format!(":{n}")).unwrap_or_default();
    let file = page.styled(&format!("{}{line}", frame.file), "2");
    page.line(&format!("  {}  {file}", frame.function))?;
    for Local { name, type_name, summary, address } in frame.locals.iter().filter(|_| locals) {
        let tail = page.styled(&format!("{type_name} {address}"), "2");
        page.line(&format!("      {name} = {summary}  {tail}"))?;
    }
    Ok(())
}
