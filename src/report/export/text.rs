//! CSV, and one JSON object a line. Addresses are text (`0x7f…`), what is missing is empty or null.

use super::TableWriter;
use crate::analysis::answers::{Batch, Values};
use std::io::{self, Write};

/// Comma-separated, as RFC 4180 has it, but for lines that end in a line feed alone.
pub(super) struct Csv<W> {
    out: W,
    begun: bool,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W) -> Csv<W> {
        Csv { out, begun: false }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if !text.contains([',', '"', '\n', '\r']) {
            return self.out.write_all(text.as_bytes());
        }
        write!(self.out, "\"{}\"", text.replace('"', "\"\""))
    }

    fn value(&mut self, values: &Values, row: usize) -> io::Result<()> {
        match values {
            Values::Address(v) => v.get(row).map_or(Ok(()), |a| write!(self.out, "{a}")),
            Values::MaybeAddress(v) => v.get(row).copied().flatten().map_or(Ok(()), |a| write!(self.out, "{a}")),
            Values::Int(v) => v.get(row).map_or(Ok(()), |n| write!(self.out, "{n}")),
            Values::MaybeInt(v) => v.get(row).copied().flatten().map_or(Ok(()), |n| write!(self.out, "{n}")),
            Values::Text(v) => v.get(row).map_or(Ok(()), |t| self.text(t)),
            Values::MaybeText(v) => v.get(row).and_then(Option::as_deref).map_or(Ok(()), |t| self.text(t)),
            Values::Bool(v) => v.get(row).map_or(Ok(()), |b| write!(self.out, "{b}")),
        }
    }
}

impl<W: Write> TableWriter for Csv<W> {
    fn rows(&mut self, batch: &Batch) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            let names: Vec<_> = batch.columns.iter().map(|(name, _)| *name).collect();
            writeln!(self.out, "{}", names.join(","))?;
        }
        for row in 0..batch.rows() {
            for (i, (_, values)) in batch.columns.iter().enumerate() {
                if i > 0 {
                    self.out.write_all(b",")?;
                }
                self.value(values, row)?;
            }
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}

/// One JSON object a line.
pub(super) struct Lines<W> {
    out: W,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Lines<W> {
        Lines { out }
    }

    fn value(&mut self, values: &Values, row: usize) -> io::Result<()> {
        match values {
            Values::Address(v) => write!(self.out, "\"{}\"", v.get(row).copied().unwrap_or_default()),
            Values::MaybeAddress(v) => match v.get(row).copied().flatten() {
                Some(address) => write!(self.out, "\"{address}\""),
                None => self.out.write_all(b"null"),
            },
            Values::Int(v) => write!(self.out, "{}", v.get(row).copied().unwrap_or_default()),
            Values::MaybeInt(v) => match v.get(row).copied().flatten() {
                Some(number) => write!(self.out, "{number}"),
                None => self.out.write_all(b"null"),
            },
            Values::Text(v) => self.json(&v.get(row).map(AsRef::as_ref)),
            Values::MaybeText(v) => self.json(&v.get(row).and_then(Option::as_deref)),
            Values::Bool(v) => write!(self.out, "{}", v.get(row).copied().unwrap_or_default()),
        }
    }

    fn json(&mut self, text: &Option<&str>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, text).map_err(io::Error::from)
    }
}

impl<W: Write> TableWriter for Lines<W> {
    fn rows(&mut self, batch: &Batch) -> io::Result<()> {
        for row in 0..batch.rows() {
            for (i, (name, values)) in batch.columns.iter().enumerate() {
                write!(self.out, "{}\"{name}\":", if i == 0 { '{' } else { ',' })?;
                self.value(values, row)?;
            }
            self.out.write_all(b"}\n")?;
        }
        Ok(())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}
