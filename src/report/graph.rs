//! Graphs as DOT, the language of Graphviz.
//!
//! Everything that comes from a snapshot stands between quotes, where a quote, a backslash and the ampersand of an
//! entity mean something; each is escaped, so that no value ends its label or becomes markup in an SVG.

use super::{Page, Report};
use crate::analysis::answers::{Direction, EdgeKind, Graph, GraphEdge, GraphNode};
use crate::text::{count, keep_end, sanitize, size};
use std::io;

/// Columns of a type's name.
const WIDTH: usize = 48;

impl Report for Graph {
    const SCHEMA: &'static str = "graph/1";

    /// A graph without some of its rows would say something else: it is made small by its own limits.
    fn truncate(&mut self, _: usize) {}

    fn text(&self, page: &mut Page) -> io::Result<()> {
        page.line("digraph pymem_tui {")?;
        page.line("  graph [rankdir=LR, charset=\"UTF-8\"];")?;
        page.line(
            "  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\", fontsize=10];",
        )?;
        page.line("  edge [fontname=\"sans-serif\", fontsize=9];")?;
        for node in &self.nodes {
            page.line(&self.node(node))?;
        }
        for edge in &self.edges {
            page.line(&line_of(edge))?;
        }
        for fold in &self.folded {
            let (name, from, to) = match fold.direction {
                Direction::Referents => {
                    let name = format!("{} more", fold.address);
                    (name.clone(), fold.address.to_string(), name)
                }
                Direction::Referrers => {
                    let name = format!("{} more holders", fold.address);
                    (name.clone(), name, fold.address.to_string())
                }
            };
            let label = format!("… {} more", count(fold.count));
            page.line(&format!("  {} [label={}, shape=plaintext, style=\"\"];", quoted(&name), quoted(&label)))?;
            page.line(&format!("  {} -> {} [style=dotted, arrowhead=none];", quoted(&from), quoted(&to)))?;
        }
        for (i, root) in self.roots.iter().enumerate() {
            let name = quoted(&format!("root {i}"));
            page.line(&format!("  {name} [label={}, shape=ellipse, style=\"\"];", quoted(&root.name)))?;
            page.line(&format!("  {name} -> {};", quoted(&root.address.to_string())))?;
        }
        if let Some(n) = self.paths_left_out {
            let label = quoted(&format!("… {} more paths", count(n)));
            let centre = quoted(&self.centre.to_string());
            page.line(&format!("  \"more paths\" [label={label}, shape=plaintext, style=\"\"];"))?;
            page.line(&format!("  \"more paths\" -> {centre} [style=dotted, arrowhead=none];"))?;
        }
        page.line("}")
    }

    fn total(&self) -> u64 {
        self.nodes.len() as u64
    }

    fn rows(&self) -> u64 {
        self.nodes.len() as u64
    }
}

impl Graph {
    fn node(&self, node: &GraphNode) -> String {
        let name = keep_end(&node.type_name, WIDTH).into_owned();
        let place = format!("{}, {}", node.address, size(node.shallow_bytes));
        // `\n` between the lines is DOT's own, so it is put in after each was escaped
        let label = [name.as_str(), &node.summary, &place].map(escaped).join("\\n");
        let colour = if node.highlighted { ", fillcolor=\"#ffd75f\"" } else { "" };
        let border = if node.address == self.centre { ", penwidth=2.5" } else { "" };
        format!("  {} [label=\"{label}\"{colour}{border}];", quoted(&node.address.to_string()))
    }
}

fn line_of(edge: &GraphEdge) -> String {
    let mut label = edge.names.join(", ");
    let more = edge.count.saturating_sub(edge.names.len() as u64);
    if more > 0 {
        label.push_str(&format!(", … {} more", count(more)));
    }
    let style = match edge.kind {
        EdgeKind::Strong => "",
        EdgeKind::Weak => ", style=dashed",
        EdgeKind::Guessed => ", style=dotted",
    };
    let (from, to) = (quoted(&edge.from.to_string()), quoted(&edge.to.to_string()));
    format!("  {from} -> {to} [label={}{style}];", quoted(&label))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Text as it stands between the quotes of a label.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_label_or_becomes_markup() {
        assert_eq!(quoted(r#"a"b"#), r#""a\"b""#);
        assert_eq!(quoted("\\"), r#""\\""#);
        assert_eq!(quoted("\\N &lt;x\n"), r#""\\N &amp;lt;x\\n""#);
        assert_eq!(quoted("<b>"), "\"<b>\"");
    }
}
