//! JSON: the envelope every answer travels in, and answers too long to be held.

use crate::analysis::answers::{Objects, SnapshotInfo};
use crate::text;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io::{self, Write};

#[derive(Serialize)]
struct Envelope<'a, A> {
    schema: String,
    snapshot: &'a SnapshotInfo,
    problems: &'a [String],
    #[serde(flatten)]
    answer: A,
}

fn schema(name: &str) -> String {
    format!("pymem-tui.{name}")
}

/// One object on one line.
pub(super) fn envelope<A: Serialize>(
    out: &mut dyn Write,
    name: &str,
    info: &SnapshotInfo,
    problems: &[String],
    answer: &A,
) -> io::Result<()> {
    write(out, &Envelope { schema: schema(name), snapshot: info, problems, answer })?;
    writeln!(out)
}

fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Inert);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Escapes, as JSON lets one, every character a terminal could act on: the value is the same, and harmless to look at.
struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // most of it, and nothing to look for
        if fragment.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| !text::is_plain(*c)) {
            let (plain, tail) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = tail.get(c.len_utf8()..).unwrap_or("");
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// Objects as they come, window by window: millions of them need no memory here.
pub struct ObjectWriter<'w> {
    out: &'w mut dyn Write,
    lines: bool,
    written: u64,
}

impl<'w> ObjectWriter<'w> {
    /// Begins the envelope; with `lines`, there is none and each object is a line of its own.
    pub fn begin(
        out: &'w mut dyn Write,
        lines: bool,
        info: &SnapshotInfo,
        problems: &[String],
    ) -> io::Result<ObjectWriter<'w>> {
        if !lines {
            let mut head = Vec::new();
            let answer = std::collections::BTreeMap::<(), ()>::new();
            write(&mut head, &Envelope { schema: schema("objects/1"), snapshot: info, problems, answer })?;
            head.pop(); // the brace that closes it comes last
            out.write_all(&head)?;
            out.write_all(b",\"objects\":[")?;
        }
        Ok(ObjectWriter { out, lines, written: 0 })
    }

    /// The next window.
    pub fn rows(&mut self, window: &Objects) -> io::Result<()> {
        for row in &window.objects {
            if !self.lines && self.written > 0 {
                self.out.write_all(b",")?;
            }
            write(self.out, row)?;
            if self.lines {
                self.out.write_all(b"\n")?;
            }
            self.written += 1;
        }
        Ok(())
    }

    /// The end.
    pub fn end(self, total: u64) -> io::Result<()> {
        if self.lines { Ok(()) } else { writeln!(self.out, "],\"total\":{total}}}") }
    }
}
