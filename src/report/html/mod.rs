//! A page to attach to a ticket: what stands out, types, deadlocks, stacks, memory.
//!
//! One file that asks for nothing outside of itself and runs nothing (a policy in it forbids both). Everything that
//! comes from a snapshot goes through `Html::text`, which escapes it; tags are written by this module alone.

mod map;
mod parts;

use crate::analysis::answers::{Finding, Footprint, Leaks, SnapshotInfo, Tasks, Threads, Types};
use crate::text::{count, sanitize, size};
use std::fmt::Display;
use std::io::{self, Write};

/// What the page shows.
pub struct Page<'a> {
    /// The snapshot.
    pub info: &'a SnapshotInfo,
    /// What could not be read, as sentences.
    pub problems: &'a [String],
    /// What stands out.
    pub findings: &'a [Finding],
    /// Every type.
    pub types: &'a Types,
    /// Every thread.
    pub threads: &'a Threads,
    /// Every task.
    pub tasks: &'a Tasks,
    /// Where the memory went.
    pub memory: &'a Footprint,
    /// What looks like a leak.
    pub leaks: &'a Leaks,
    /// Whether variables are shown.
    pub locals: bool,
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="pymem-tui">
"#;

const STYLE: &str = "<style>
:root { color-scheme: light dark; --line: #8886; --dim: #777; --bar: #4a7dbd; --stuck: #c0392b; --warning: #b9770e; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid var(--line); }
h3 { font-size: 1em; margin: 1.2em 0 .2em; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: normal; }
td, th { padding: .15em .8em .15em 0; vertical-align: top; } td.n, th.n { text-align: right; } td.n { white-space: nowrap; }
body, td.c, td.w { overflow-wrap: anywhere; word-break: normal; } td, th { overflow-wrap: normal; }
code, pre, td.c, p.path { font: .87em/1.4 ui-monospace, monospace; }
ul.findings { list-style: none; padding: 0; } ul.findings li { margin: .3em 0; padding-left: 1.6em; text-indent: -1.6em; }
.stuck { color: var(--stuck); font-weight: 600; } .warning { color: var(--warning); font-weight: 600; } .dim { color: var(--dim); }
pre { margin: 0 0 0 1em; white-space: pre-wrap; } svg { display: block; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.key { display: inline-block; width: .8em; height: .8em; margin-right: .3em; }
@media print { :root { color-scheme: light; } body { margin: 0; max-width: none; font-size: 11px; }
  h2, h3 { break-after: avoid; } tr, svg, li { break-inside: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
</style>
</head>
<body>
";

/// Writes the page.
pub fn write(page: &Page<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut html = Html { out };
    let name = page.info.program.as_deref().unwrap_or(&page.info.source);
    html.raw(HEAD)?;
    html.element("title", "", &format!("pymem-tui: {name}"))?;
    html.raw("\n")?;
    html.raw(STYLE)?;
    html.element("h1", "", name)?;
    parts::facts(&mut html, page)?;
    parts::findings(&mut html, page)?;
    parts::suspects(&mut html, page.leaks)?;
    parts::types(&mut html, page.types)?;
    parts::deadlocks(&mut html, page)?;
    parts::tasks(&mut html, page.tasks)?;
    map::memory(&mut html, page.memory)?;
    parts::stacks(&mut html, page)?;
    parts::problems(&mut html, page.problems)?;
    html.raw("</body>\n</html>\n")
}

/// Where the page goes: tags as they are, text escaped.
struct Html<'w> {
    out: &'w mut dyn Write,
}

impl Html<'_> {
    /// This module's own words and tags.
    fn raw(&mut self, markup: &str) -> io::Result<()> {
        self.out.write_all(markup.as_bytes())
    }

    /// Text of any origin.
    fn text(&mut self, text: &str) -> io::Result<()> {
        let text = sanitize(text);
        let mut rest: &str = &text;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, tail) = rest.split_at(at);
            self.raw(plain)?;
            let mut chars = tail.chars();
            self.raw(match chars.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = chars.as_str();
        }
        self.raw(rest)
    }

    /// An element with text in it; `attributes` are this module's own.
    fn element(&mut self, tag: &str, attributes: &str, text: &str) -> io::Result<()> {
        let space = if attributes.is_empty() { "" } else { " " };
        self.raw(&format!("<{tag}{space}{attributes}>"))?;
        self.text(text)?;
        self.raw(&format!("</{tag}>"))
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        self.element("h2", "", text)?;
        self.raw("\n")
    }

    fn paragraph(&mut self, text: &str) -> io::Result<()> {
        self.element("p", "", text)?;
        self.raw("\n")
    }

    /// A table's beginning, said again on each page that it is printed on; a name that begins with `>` heads numbers.
    fn table(&mut self, names: &[&str]) -> io::Result<()> {
        self.raw("<table>\n<thead><tr>")?;
        for name in names {
            match name.strip_prefix('>') {
                Some(name) => self.element("th", "class=\"n\"", name)?,
                None => self.element("th", "", name)?,
            }
        }
        self.raw("</tr></thead>\n")
    }

    fn number(&mut self, n: impl Display) -> io::Result<()> {
        self.element("td", "class=\"n\"", &n.to_string())
    }

    /// `… 12 more`.
    fn more(&mut self, all: usize, shown: usize) -> io::Result<()> {
        match all.saturating_sub(shown) {
            0 => Ok(()),
            more => self.element("p", "class=\"dim\"", &format!("… {} more", count(more as u64))),
        }
    }
}

fn maybe_size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut out = Vec::new();
        let mut html = Html { out: &mut out };
        html.element("p", "", "<script>alert('&amp;\"')</script>\x1b[31m\u{202e}").unwrap();
        let text = String::from_utf8(out).unwrap();
        let inner = text.strip_prefix("<p>").unwrap().strip_suffix("</p>").unwrap();
        assert_eq!(inner, "&lt;script&gt;alert(&#39;&amp;amp;&quot;&#39;)&lt;/script&gt;\\x1b[31m\\u{202e}");
    }
}
