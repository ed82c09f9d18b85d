//! Raw memory: captures, regions, hex dumps, places where bytes were found.

use super::table::Table;
use super::{Page, Report};
use crate::analysis::answers::{CaptureReport, Captures, Found, Hex, Regions};
use crate::snapshot::Addr;
use crate::text::{count, sanitize, size};
use std::io;

const BYTES_A_LINE: usize = 16;

impl Report for CaptureReport {
    const SCHEMA: &'static str = "capture/1";

    fn truncate(&mut self, _: usize) {}

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let pause = self.pause_ms.map(|ms| format!("paused {} ms, ", pause(ms))).unwrap_or_default();
        let path = sanitize(&self.path);
        let way = if self.mode == "plain" { String::new() } else { format!(" ({})", sanitize(&self.mode)) };
        let threads = if self.threads == 1 { "1 thread".into() } else { format!("{} threads", count(self.threads)) };
        page.line(&format!("{pause}{} in {path}, {threads}{way}", size(self.bytes)))?;
        for range in &self.unreadable {
            page.line(&format!("not readable: {}-{} ({})", range.start, range.end, sanitize(&range.reason)))?;
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        0
    }

    fn rows(&self) -> u64 {
        0
    }
}

impl Report for Captures {
    const SCHEMA: &'static str = "captures/1";

    fn truncate(&mut self, rows: usize) {
        self.captures.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table =
            Table::new(&[">PID", ">PAUSE MS", "MODE", ">COPIED", ">PRIVATE", ">SHARED", ">THREADS", "PATH"]);
        let or_unknown = |bytes: Option<u64>| bytes.map_or_else(|| "?".into(), size);
        for capture in &self.captures {
            table.row([
                capture.pid.to_string(),
                capture.pause_ms.map_or_else(|| "?".into(), pause),
                sanitize(&capture.mode).into_owned(),
                size(capture.bytes),
                or_unknown(capture.private_bytes),
                or_unknown(capture.shared_bytes),
                count(capture.threads),
                sanitize(&capture.path).into_owned(),
            ]);
        }
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.captures.len() as u64
    }

    fn rows(&self) -> u64 {
        self.captures.len() as u64
    }
}

/// Milliseconds in two to three digits.
pub(crate) fn pause(ms: f64) -> String {
    if ms < 9.95 { format!("{ms:.1}") } else { count(ms.round() as u64) }
}

impl Report for Regions {
    const SCHEMA: &'static str = "regions/1";

    fn truncate(&mut self, rows: usize) {
        self.regions.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&["START", "END", ">SIZE", ">RESIDENT", "PERM", "KIND", "FILE"]);
        for row in &self.regions {
            table.row([
                row.start.to_string(),
                row.end.to_string(),
                size(row.bytes),
                row.resident_bytes.map_or("?".into(), size),
                row.permissions.as_deref().map_or("?".into(), |p| sanitize(p).into_owned()),
                if row.captured { row.kind.into() } else { format!("{} (not captured)", row.kind) },
                row.file.as_deref().map_or(String::new(), |f| sanitize(f).into_owned()),
            ]);
        }
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.regions.len() as u64
    }

    fn rows(&self) -> u64 {
        self.regions.len() as u64
    }
}

impl Report for Found {
    const SCHEMA: &'static str = "find/1";

    fn truncate(&mut self, rows: usize) {
        self.hits.truncate(rows);
    }

    fn text(&self, page: &mut Page) -> io::Result<()> {
        let mut table = Table::new(&["ADDRESS", "REGION", "OBJECT", "TEXT"]);
        for hit in &self.hits {
            let object = match (&hit.object, &hit.type_name) {
                (Some(object), Some(name)) => format!("{name} {object}"),
                (Some(object), None) => object.to_string(),
                _ => String::new(),
            };
            let region = hit.file.as_deref().map_or_else(|| hit.region.to_string(), |f| sanitize(f).into_owned());
            table.row([hit.address.to_string(), region, object, hit.summary.clone()]);
        }
        table.print(page)
    }

    fn total(&self) -> u64 {
        self.total.max(self.hits.len() as u64)
    }

    fn rows(&self) -> u64 {
        self.hits.len() as u64
    }
}

impl Report for Hex {
    const SCHEMA: &'static str = "hex/1";

    fn truncate(&mut self, _: usize) {} // --length says how much

    fn text(&self, page: &mut Page) -> io::Result<()> {
        if !self.region.is_empty() {
            page.dim(&sanitize(&self.region))?;
        }
        if let Some((address, type_name, summary)) = &self.object {
            page.line(&format!("in {type_name} at {address}: {summary}"))?;
        }
        for (i, bytes) in self.bytes.chunks(BYTES_A_LINE).enumerate() {
            let at = self.start + (i * BYTES_A_LINE) as u64;
            let line = self.hex_line(page, at, bytes);
            page.line(&line)?;
        }
        Ok(())
    }

    fn total(&self) -> u64 {
        0
    }

    fn rows(&self) -> u64 {
        0
    }
}

impl Hex {
    /// `0x7f00  64 65 …  de…  → dict 0x7f01`: what is pointed to stands behind the line.
    fn hex_line(&self, page: &Page, at: Addr, bytes: &[u8]) -> String {
        use std::fmt::Write;
        let mut line = format!("{at}  ");
        for i in 0..BYTES_A_LINE {
            let _ = match bytes.get(i) {
                Some(byte) => write!(line, "{byte:02x} "),
                None => write!(line, "   "),
            };
            if i == BYTES_A_LINE / 2 - 1 {
                line.push(' ');
            }
        }
        let shown = |b: &u8| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' };
        let text: String = bytes.iter().map(shown).collect();
        let _ = write!(line, " {text:<BYTES_A_LINE$}");
        let end = at + bytes.len() as u64;
        for word in self.words.iter().filter(|w| at <= w.address && w.address < end) {
            let arrow = page.styled(&format!("→ {} {}", word.type_name, word.object), "36");
            let _ = write!(line, "  {arrow}");
        }
        line.truncate(line.trim_end().len());
        line
    }
}
