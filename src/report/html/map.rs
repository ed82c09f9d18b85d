//! The memory: where it went as a table and one bar, and the mappings as bars, in SVG that is part of the page.

use super::{Html, maybe_size};
use crate::analysis::answers::{Footprint, MapRow};
use crate::text::{count, keep_end, size};
use std::io;

/// Colours that are told apart in print too; a kind that has none of its own shares the last.
const COLOURS: [&str; 12] = [
    "#4a7dbd", "#e1812c", "#3a923a", "#c03d3e", "#9372b2", "#845b53", "#d684bd", "#7f7f7f", "#a9aa35", "#2aa198",
    "#1f3b66", "#c9c9c9",
];

/// Mappings that are drawn, those that take most.
const REGIONS: usize = 60;

/// Mappings of one picture: a page break falls between pictures, never within one.
const PICTURE: usize = 15;

const WIDTH: f64 = 1000.0;
/// Where bars begin, behind the names.
const LEFT: f64 = 330.0;
const LINE: f64 = 16.0;

pub(super) fn memory(html: &mut Html<'_>, memory: &Footprint) -> io::Result<()> {
    html.heading("Memory")?;
    let resident = memory
        .resident_bytes
        .map(|bytes| format!("{} of memory were resident when the process was stopped.", size(bytes)));
    html.paragraph(
        &resident.unwrap_or_else(|| "How much was resident is not known; these are bytes of address space.".to_owned()),
    )?;
    let of =
        |resident: Option<u64>, bytes: u64| if memory.resident_bytes.is_some() { resident.unwrap_or(0) } else { bytes };
    let rows: Vec<_> = memory.rows.iter().map(|r| (r.kind, of(r.resident_bytes, r.bytes))).collect();
    html.raw("<svg viewBox=\"0 0 1000 24\" role=\"img\" aria-label=\"where the memory went\">")?;
    bar(html, memory, &rows, (0.0, WIDTH), (0.0, 24.0), rows.iter().map(|(_, b)| *b).sum())?;
    html.raw("</svg>\n")?;
    html.table(&["", "WHAT", ">RESIDENT", ">ADDRESS SPACE", ">COUNT", "MOST OF IT"])?;
    for row in &memory.rows {
        html.raw(&format!(
            "<tr><td><span class=\"key\" style=\"background:{}\"></span></td>",
            colour(memory, row.kind)
        ))?;
        html.element("td", "", row.label)?;
        html.number(maybe_size(row.resident_bytes))?;
        html.number(size(row.bytes))?;
        html.number(count(row.count))?;
        html.element("td", "class=\"w\"", &row.detail)?;
        html.raw("</tr>\n")?;
    }
    html.raw("</table>\n")?;
    map(html, memory)
}

fn map(html: &mut Html<'_>, memory: &Footprint) -> io::Result<()> {
    let mut largest: Vec<&MapRow> = memory.regions.iter().filter(|r| row_bytes(r) > 0).collect();
    let all = largest.len();
    largest.sort_by_key(|r| std::cmp::Reverse(row_bytes(r)));
    largest.truncate(REGIONS);
    largest.sort_by_key(|r| r.start);
    let longest = largest.iter().map(|r| row_bytes(r)).max().unwrap_or(0);
    html.element("h3", "", "Mappings, in address order")?;
    html.raw("\n")?;
    for (i, part) in largest.chunks(PICTURE).enumerate() {
        let (height, first) = (LINE * part.len() as f64, i * PICTURE + 1);
        let label = format!("mappings {first} to {}", first + part.len() - 1);
        html.raw(&format!("<svg class=\"map\" viewBox=\"0 0 1000 {height}\" role=\"img\" aria-label=\"{label}\">\n"))?;
        for (i, row) in part.iter().enumerate() {
            mapping(html, memory, row, LINE * i as f64, longest)?;
        }
        html.raw("</svg>\n")?;
    }
    html.more(all, REGIONS)
}

/// One mapping: its name, a bar of what lives in it, its size.
fn mapping(html: &mut Html<'_>, memory: &Footprint, row: &MapRow, top: f64, longest: u64) -> io::Result<()> {
    let name = row.file.as_deref().unwrap_or("anonymous");
    html.raw(&format!("<text x=\"0\" y=\"{}\">", top + 11.0))?;
    html.text(&format!("{} {}", row.start, keep_end(name, 26)))?;
    html.raw("</text>")?;
    let parts: Vec<_> = row.parts.iter().map(|p| (p.kind, p.bytes)).collect();
    bar(html, memory, &parts, (LEFT, WIDTH - 80.0), (top + 2.0, LINE - 4.0), longest)?;
    html.raw(&format!("<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">", top + 11.0))?;
    html.text(&size(row_bytes(row)))?;
    html.raw("</text>\n")
}

fn row_bytes(row: &MapRow) -> u64 {
    row.parts.iter().map(|p| p.bytes).sum()
}

/// Parts beside each other, in a bar between two places that stands for `whole` bytes.
fn bar(
    html: &mut Html<'_>,
    memory: &Footprint,
    parts: &[(&str, u64)],
    (from, to): (f64, f64),
    (top, height): (f64, f64),
    whole: u64,
) -> io::Result<()> {
    let mut at = from;
    for (kind, bytes) in parts {
        let width = *bytes as f64 * (to - from) / whole.max(1) as f64;
        if width < 0.05 {
            continue; // no printer shows it
        }
        let fill = colour(memory, kind);
        html.raw(&format!(
            "<rect x=\"{at:.2}\" y=\"{top}\" width=\"{width:.2}\" height=\"{height}\" fill=\"{fill}\"><title>"
        ))?;
        let label = memory.rows.iter().find(|r| r.kind == *kind).map_or(*kind, |r| r.label);
        html.text(&format!("{label}: {}", size(*bytes)))?;
        html.raw("</title></rect>")?;
        at += width;
    }
    Ok(())
}

/// The colour of a kind, by its place among the rows.
fn colour(memory: &Footprint, kind: &str) -> &'static str {
    let place = memory.rows.iter().position(|r| r.kind == kind).unwrap_or(usize::MAX);
    COLOURS.get(place).copied().unwrap_or(COLOURS[COLOURS.len() - 1])
}
