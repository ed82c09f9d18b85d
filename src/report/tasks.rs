//! Tasks: cycles first, each closed; then the trees of who awaits whom, and crowds in one line.

use super::{Page, Report};
use crate::analysis::answers::{Tasks, TreeRow};
use crate::text::{count, size};
use std::io;

/// Levels that are indented.
const MAX_INDENT: u64 = 40;

impl Report for Tasks {
    const SCHEMA: &'static str = "tasks/1";

    fn truncate(&mut self, rows: usize) {
        self.tasks.truncate(rows);
        self.futures.truncate(rows);
        self.forest.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        for (i, (members, verdict)) in self.cycles.iter().zip(&self.verdicts).enumerate() {
            let tasks = members.len();
            if verdict.deadlock {
                let mark = page.styled(&format!("✗ deadlock {}", i + 1), "1;31");
                page.line(&format!(
                    "{mark}: {tasks} tasks and futures wait for each other, and nothing known wakes them"
                ))?;
            } else {
                let mark = page.styled(&format!("▲ cycle {}", i + 1), "1;33");
                page.line(&format!("{mark}: {tasks} tasks and futures wait for each other until {}", wakers(verdict)))?;
            }
        }
        if self.forest.is_empty() {
            page.dim(if self.narrowed { "no task is like that" } else { "no unfinished tasks" })?;
        }
        let retained = self.is_retained();
        if retained {
            page.dim(&format!("{:>10}", "retained"))?;
        }
        self.forest.iter().try_for_each(|row| self.row(page, row, retained))
    }

    fn total(&self) -> u64 {
        self.total.rows
    }

    fn rows(&self) -> u64 {
        self.forest.len() as u64
    }
}

fn wakers(verdict: &crate::analysis::answers::Verdict) -> String {
    const MAX: usize = 3;
    let mut text = verdict.wakers.iter().take(MAX).cloned().collect::<Vec<_>>().join("; or ");
    if verdict.wakers.len() > MAX {
        text.push_str("; or …");
    }
    text
}

impl Tasks {
    fn is_retained(&self) -> bool {
        self.forest.iter().any(|row| row.retained_bytes.is_some())
    }

    fn row(&self, page: &mut Page, row: &TreeRow, retained: bool) -> io::Result<()> {
        let [name, coro, place, waits] = &row.label;
        // a column of its own, before the trees
        let retained = match (retained, row.retained_bytes) {
            (false, _) => String::new(),
            (true, bytes) => format!("{:>10}  ", bytes.map(size).unwrap_or_default()),
        };
        let indent = retained + &"  ".repeat(row.depth.min(MAX_INDENT) as usize);
        let verdict = row.cycle.and_then(|c| Some((c, self.verdicts.get(c)?)));
        let cycle = match verdict {
            Some((c, verdict)) if verdict.deadlock => page.styled(&format!("  ✗ deadlock {}", c + 1), "1;31"),
            Some((c, _)) => page.styled(&format!("  ▲ cycle {}", c + 1), "1;33"),
            None => String::new(),
        };
        let awaits = if row.depth > 0 { "awaits " } else { "" };
        let head = match row.count {
            1 => page.styled(name, "1"),
            n => format!("{} tasks ({name}, …)", page.styled(&count(n), "1")),
        };
        if row.shared {
            return page.line(&format!("{indent}{awaits}{head}  {coro}{cycle}  (shown above)"));
        }
        let waits = if waits.is_empty() { String::new() } else { format!("  {waits}") };
        let tail = page.styled(&row.address.to_string(), "2");
        page.line(&format!("{indent}{awaits}{head}  {coro}  {place}{waits}{cycle}  {tail}"))
    }
}
