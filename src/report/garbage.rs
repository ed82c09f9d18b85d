//! Garbage: the sums, the types, then each cycle with a way round.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{Garbage, GarbageCycle};
use crate::text::{count, size};
use std::io;

/// Types that are shown, and cycles, when no limit is given.
const MAX_TYPES: usize = 10;

impl Report for Garbage {
    const SCHEMA: &'static str = "garbage/1";

    fn truncate(&mut self, rows: usize) {
        self.types.truncate(rows);
        self.cycles.truncate(rows);
        if let Some(objects) = &mut self.objects {
            objects.truncate(rows);
        }
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        if self.garbage.count == 0 {
            page.line("no garbage: the collector would find nothing")?;
        } else {
            page.line(&format!(
                "{} objects ({}) are kept alive by {} only, and {} more ({}) with them",
                count(self.garbage.count),
                size(self.garbage.shallow_bytes),
                match self.cycles_total {
                    1 => "a cycle".to_owned(),
                    n => format!("{} cycles", count(n)),
                },
                count(self.dependants.count),
                size(self.dependants.shallow_bytes),
            ))?;
            if self.finalizers > 0 {
                page.line(&format!("{} of them have a finalizer", count(self.finalizers)))?;
            }
        }
        let mut table = Table::new(&["GENERATION", ">WATCHED", ">GARBAGE", ">SIZE"]);
        for (n, (all, lost)) in self.watched.iter().zip(&self.generations).enumerate() {
            table.row([n.to_string(), count(all.count), count(lost.count), size(lost.shallow_bytes)]);
        }
        table.row(["frozen".to_owned(), count(self.frozen.count), String::new(), String::new()]);
        table.print(page)?;
        if let Some(objects) = &self.objects {
            page.line("")?;
            let mut table = Table::new(&["ADDRESS", ">SIZE", ">GEN", ">CYCLE", "TYPE", "VALUE"]);
            for o in objects {
                table.row([
                    o.address.to_string(),
                    size(o.shallow_bytes),
                    o.generation.to_string(),
                    o.cycle.map(|c| count(c + 1)).unwrap_or_default(),
                    o.type_name.clone(),
                    o.summary.clone(),
                ]);
            }
            return table.print(page);
        }
        if !self.types.is_empty() {
            page.line("")?;
            let mut table = Table::new(&[">COUNT", ">SIZE", "TYPE"]);
            for t in self.types.iter().take(MAX_TYPES) {
                let finalizer = if t.finalizers > 0 { " (finalizer)" } else { "" };
                table.row([count(t.count), size(t.shallow_bytes), format!("{}{finalizer}", t.name)]);
            }
            table.print(page)?;
        }
        self.cycles.iter().enumerate().try_for_each(|(n, cycle)| cycle.text(page, n + 1))
    }

    fn total(&self) -> u64 {
        // (a query may have left out objects)
        self.objects.as_ref().map_or(self.cycles_total, |objects| objects.len() as u64)
    }

    fn rows(&self) -> u64 {
        self.objects.as_ref().map_or(self.cycles.len(), Vec::len) as u64
    }
}

impl GarbageCycle {
    fn text(&self, page: &mut Page, number: usize) -> io::Result<()> {
        page.line("")?;
        let freed = self.garbage.shallow_bytes.saturating_add(self.dependants.shallow_bytes);
        let head = page.styled(&format!("cycle {number}"), "1");
        let types: Vec<String> = self.types.iter().take(4).map(|t| format!("{} {}", count(t.count), t.name)).collect();
        page.line(&format!(
            "{head}: {} members in generation {} hold {} ({} objects): {}",
            count(self.members),
            self.generation,
            size(freed),
            count(self.garbage.count + self.dependants.count),
            types.join(", "),
        ))?;
        self.round.iter().try_for_each(|step| {
            let tail = page.styled(&step.address.to_string(), "2");
            page.line(&format!("  {}  {}  {tail}", step.edge, step.summary))
        })
    }
}
