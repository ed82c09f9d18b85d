//! What changed, by type; the objects that were asked for.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{Change, Diff, TypeChange};
use crate::text::{count, size};
use std::io;

impl Report for Diff {
    const SCHEMA: &'static str = "diff/1";

    fn truncate(&mut self, rows: usize) {
        self.types.truncate(rows);
        if let Some(objects) = &mut self.objects {
            objects.truncate(rows);
        }
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        if let (Some(survivors), Some(created), Some(freed), Some(sure)) =
            (self.survivors, self.created, self.freed, self.confidence)
        {
            page.line(&format!(
                "{} new objects, {} gone, {} in both (sure of {}, likely {}, weak {})",
                count(created),
                count(freed),
                count(survivors),
                count(sure.exact),
                count(sure.likely),
                count(sure.weak),
            ))?;
        }
        if let Some(kept) = self.kept {
            page.line(&format!("{} made between the first two are still in the third", count(kept)))?;
        }
        match &self.objects {
            None => self.types(page),
            Some(objects) => {
                let mut table = Table::new(&["ADDRESS", ">SIZE", "CONFIDENCE", "TYPE", "VALUE"]);
                for o in objects {
                    table.row([
                        o.address.to_string(),
                        size(o.shallow_bytes),
                        o.confidence.to_owned(),
                        o.type_name.clone(),
                        o.summary.clone(),
                    ]);
                }
                table.print(page)
            }
        }
    }

    fn total(&self) -> u64 {
        self.objects_total.unwrap_or(self.types.len() as u64)
    }

    fn rows(&self) -> u64 {
        self.objects.as_ref().map_or(self.types.len(), Vec::len) as u64
    }
}

impl Diff {
    fn types(&self, page: &mut Page) -> io::Result<()> {
        let mut heads = vec![">OLD", ">NEW", ">GROWTH", ">BYTES"];
        let objects = self.survivors.is_some();
        if objects {
            heads.extend([">CREATED", ">FREED"]);
        }
        if self.kept.is_some() {
            heads.push(">KEPT");
        }
        heads.push("TYPE");
        let mut table = Table::new(&heads);
        let mut add = |row: &TypeChange| {
            let c = &row.change;
            let mut cells =
                vec![count(c.old_count), count(c.new_count), signed(c.delta_count, count), signed(c.delta_bytes, size)];
            let number = |n: Option<u64>| n.map_or_else(String::new, count);
            if objects {
                cells.extend([number(row.created), number(row.freed)]);
            }
            if self.kept.is_some() {
                cells.push(number(row.kept));
            }
            cells.push(row.name.clone());
            table.row(cells);
        };
        self.types.iter().for_each(&mut add);
        let same = &self.unchanged;
        if same.types > 0 {
            let row = (same.count, same.bytes);
            let number = |n: Option<u64>| n.map(|_| 0);
            add(&TypeChange {
                name: format!("({} types that did not change)", count(same.types)),
                change: Change::new(row, row),
                survivors: None,
                created: number(self.created),
                freed: number(self.freed),
                kept: number(self.kept),
            });
        }
        let total = TypeChange {
            name: "total".into(),
            change: self.total,
            survivors: self.survivors,
            created: self.created,
            freed: self.freed,
            kept: self.kept,
        };
        add(&total);
        table.print(page)
    }
}

/// A change with its sign.
fn signed(change: i64, text: fn(u64) -> String) -> String {
    let sign = match change {
        0 => return "0".to_owned(),
        n if n < 0 => "−",
        _ => "+",
    };
    format!("{sign}{}", text(change.unsigned_abs()))
}
