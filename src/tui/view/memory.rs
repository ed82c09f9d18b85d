//! Where the memory went, with bars; what it consists of below.

use super::layout::Layout;
use super::side::fact;
use super::{boxed, foreign, foreign_end, map, wrap};
use crate::analysis::answers::{Footprint, MemoryRow};
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::memory::{MemoryPane, Row, Section};
use crate::tui::theme::{BOLD, DIM, Theme};
use crate::tui::widgets::bar::{bar, percent};
use crate::tui::widgets::table::{self, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Columns of a size, and of a share in figures.
const SIZE: usize = 9;
const PERCENT: usize = 6;

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &MemoryPane) {
    boxed(
        buffer,
        layout.body,
        &pane.footprint.as_ref().map_or_else(|| "Memory".into(), |of| title(of) + &filtered(pane)),
    );
    let area = layout.content;
    let Some(of) = &pane.footprint else {
        let said = match pane.slot.refusal() {
            Some(reason) => reason,
            None if !app.complete => "memory is added up once every object is found …",
            None => "adding up …",
        };
        let said = format!(" {}", foreign(said, usize::from(area.width)));
        line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
        return;
    };
    if pane.rows.is_empty() && pane.filter.narrows() {
        line(buffer, row_of(area, 0), &Line::from(Span::styled(" no line matches; Esc shows all", DIM)));
    }
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let Some(row) = pane.row(index) else { break };
        let place = row_of(area, at);
        line(buffer, place, &content(pane, of, row, usize::from(area.width), &app.theme));
        table::finish(buffer, place, Look::of(index == pane.scroll.row, false));
    }
}

/// What the rows add up to.
pub(super) fn title(of: &Footprint) -> String {
    format!("Memory · {}", total(of).1)
}

fn filtered(pane: &MemoryPane) -> String {
    if pane.filter.is_empty() { String::new() } else { format!(" · / {}", foreign(pane.filter.text(), 30)) }
}

/// Bytes that the rows add up to, and what they are.
pub(super) fn total(of: &Footprint) -> (u64, String) {
    match of.resident_bytes {
        Some(bytes) => (bytes, format!("{} resident", text::size(bytes))),
        None => {
            let bytes = of.rows.iter().map(|row| row.bytes).sum();
            (bytes, format!("{} of address space (what is resident is not known)", text::size(bytes)))
        }
    }
}

/// The label, the size, a bar, the share: the same on the start page. `width` columns.
pub(super) fn share(mark: &str, row: &MemoryRow, all: u64, width: usize, theme: &Theme) -> Vec<Span<'static>> {
    let bytes = row.resident_bytes.unwrap_or(row.bytes);
    spans(&format!("{mark}{}", row.label), Style::new(), bytes, all, width, theme)
}

fn spans(label: &str, style: Style, bytes: u64, all: u64, width: usize, theme: &Theme) -> Vec<Span<'static>> {
    let bar_width = if width < 64 { 6 } else { (width / 4).min(30) };
    let room = width.saturating_sub(bar_width + SIZE + PERCENT + 3);
    let label = foreign(label, room);
    let gap = " ".repeat(room.saturating_sub(label.width()));
    let part = bytes as f64 / all.max(1) as f64;
    vec![
        Span::styled(label + &gap, style),
        Span::styled(format!(" {:>SIZE$}", text::size(bytes)), theme.numbers),
        Span::raw(format!("  {}{:>PERCENT$}", bar(part, bar_width, false), percent(bytes, all))),
    ]
}

fn content(pane: &MemoryPane, of: &Footprint, row: Row, width: usize, theme: &Theme) -> Line<'static> {
    let mark = match pane.fold(row) {
        Some(true) => "▾ ",
        Some(false) => "▸ ",
        None => "  ",
    };
    let all = total(of).0;
    let left = if width < 100 { width } else { width * 3 / 5 }; // the panel has the details as well
    match row {
        Row::Finding(i) => {
            let said = of.findings.get(i).map_or("", |f| &f.sentence);
            Line::from(vec![Span::styled(" ● ", theme.warning), Span::raw(foreign(said, width.saturating_sub(3)))])
        }
        Row::Problem(i) => {
            let said = of.problems.get(i).map_or("", |s| s);
            Line::from(Span::styled(format!(" ▲ {}", foreign(said, width.saturating_sub(3))), theme.warning))
        }
        Row::Kind(i) => {
            let Some(kind) = of.rows.get(i) else { return Line::default() };
            let mut spans = vec![Span::raw(" ")];
            spans.extend(share(mark, kind, all, left - 1, theme));
            let detail = foreign(&kind.detail, width.saturating_sub(left + 2));
            spans.push(Span::styled(format!("  {detail}"), DIM));
            Line::from(spans)
        }
        Row::Part(i, j) => {
            let part = of.rows.get(i).and_then(|kind| kind.parts.get(j));
            let Some(part) = part else { return Line::default() };
            let bytes = part.resident_bytes.unwrap_or(part.bytes);
            let mut out = vec![Span::raw(" ")];
            let label = format!("     {}", foreign_end(&part.name, left / 2));
            out.extend(spans(&label, DIM, bytes, all, left - 1, theme));
            out.push(Span::styled(format!("  {}", text::count(part.count)), DIM));
            Line::from(out)
        }
        Row::Sum => {
            let mut out = vec![Span::raw(" ")];
            let label = if of.resident_bytes.is_some() { "  resident set" } else { "  address space" };
            out.extend(spans(label, BOLD, all, all, left - 1, theme));
            Line::from(out)
        }
        Row::Section(section) => {
            let mut n = text::count(section.len(of) as u64);
            if pane.filter.narrows() {
                n = format!("{} of {n}", text::count(pane.left(section) as u64));
            }
            let mut spans = vec![Span::styled(format!(" {mark}{} · {n}", name(section)), BOLD)];
            if section == Section::Regions && pane.fold(row) == Some(true) {
                spans.extend(map::legend(theme));
            }
            Line::from(spans)
        }
        Row::Item(section, i) => Line::from(item(pane, of, section, i, width, theme)),
    }
}

fn name(section: Section) -> &'static str {
    match section {
        Section::Large => "largest blocks",
        Section::Arenas => "pymalloc's arenas, those that hold least first",
        Section::Heaps => "malloc's heaps",
        Section::Regions => "mappings",
    }
}

fn item(
    pane: &MemoryPane,
    of: &Footprint,
    section: Section,
    i: usize,
    width: usize,
    theme: &Theme,
) -> Vec<Span<'static>> {
    let mut stripe = Vec::new();
    let (address, bytes, said) = match section {
        Section::Large => {
            let Some(block) = of.large.get(i) else { return Vec::new() };
            let owner = match (&block.type_name, block.owner) {
                (Some(name), Some(at)) => format!("{name} {at}"),
                _ => "whose it is is not known".into(),
            };
            (block.address, block.resident_bytes.unwrap_or(block.bytes), owner)
        }
        Section::Arenas => {
            let Some(arena) = of.arenas.as_ref().and_then(|a| a.arenas.get(i)) else { return Vec::new() };
            let held = arena.holder.map(|at| format!(", kept by {at} alone")).unwrap_or_default();
            let blocks = text::count(arena.live_blocks);
            let said = format!("{blocks} blocks of {} in use{held}", text::size(arena.live_bytes));
            (arena.start, arena.resident_bytes.unwrap_or(arena.live_bytes), said)
        }
        Section::Heaps => {
            let Some(heap) = of.heaps.get(i) else { return Vec::new() };
            let parts = [
                ("Python", heap.python_bytes),
                ("others", heap.other_bytes),
                ("free", heap.free_bytes),
                ("cached", heap.cached_bytes),
                ("top", heap.top_bytes),
            ];
            let said: Vec<String> = parts.iter().map(|(what, n)| format!("{what} {}", text::size(*n))).collect();
            let bytes = heap.resident_bytes.unwrap_or(heap.end.0.saturating_sub(heap.start.0));
            (heap.start, bytes, said.join(" · "))
        }
        Section::Regions => {
            let Some(region) = of.regions.get(i) else { return Vec::new() };
            let label =
                |kind: &str| of.rows.iter().find(|row| row.kind == kind).map_or(kind.to_owned(), |r| r.label.into());
            let columns = if width < 64 { 8 } else { (width / 4).min(40) };
            stripe.push(Span::raw("  "));
            stripe.extend(map::stripe(region, pane.longest, columns, theme));
            let mostly = label(region.kind);
            let said = region.file.as_ref().map_or(mostly.clone(), |file| format!("{mostly} · {file}"));
            (region.start, region.resident_bytes.unwrap_or(region.end.0.saturating_sub(region.start.0)), said)
        }
    };
    let room = width.saturating_sub(32 + stripe.iter().map(Span::width).sum::<usize>());
    let mut spans = vec![
        Span::raw("     "),
        Span::styled(format!("{:<14}", address.to_string()), theme.addresses),
        Span::styled(format!("  {:>SIZE$}", text::size(bytes)), theme.numbers),
    ];
    spans.extend(stripe);
    spans.push(Span::raw(format!("  {}", foreign(&said, room))));
    spans
}

/// What the side panel says of a line that names no object.
pub(super) fn about(pane: &MemoryPane, theme: &Theme, width: usize) -> (String, Vec<Line<'static>>) {
    let (Some(of), Some(row)) = (&pane.footprint, pane.current()) else { return ("memory".into(), Vec::new()) };
    let plain = |said: &str| wrap(said, width).into_iter().map(Line::from).collect::<Vec<_>>();
    match row {
        Row::Finding(i) => ("what it means".into(), plain(of.findings.get(i).map_or("", |f| &f.sentence))),
        Row::Problem(i) => ("not read".into(), plain(of.problems.get(i).map_or("", |s| s))),
        Row::Kind(i) | Row::Part(i, _) => {
            let Some(kind) = of.rows.get(i) else { return Default::default() };
            let mut lines = plain(&kind.detail);
            lines.push(Line::default());
            let resident = kind.resident_bytes.map_or("not known".into(), text::size);
            lines.push(fact("resident", &resident, theme.numbers, width));
            lines.push(fact("addresses", &text::size(kind.bytes), theme.numbers, width));
            lines.push(fact("count", &text::count(kind.count), theme.numbers, width));
            (kind.label.into(), lines)
        }
        _ => {
            let mut lines = Vec::new();
            let facts = [
                ("resident", of.resident_bytes),
                ("VmRSS", of.rss_before_stop),
                ("Pss", of.pss_bytes),
                ("shared", of.shared_bytes),
                ("in swap", of.swap_bytes),
                ("page tables", of.page_tables_bytes),
            ];
            for (what, bytes) in facts {
                lines.extend(bytes.map(|bytes| fact(what, &text::size(bytes), theme.numbers, width)));
            }
            ("the process".into(), lines)
        }
    }
}

/// The selected line as text.
pub(super) fn line_text(pane: &MemoryPane) -> Option<String> {
    let of = pane.footprint.as_ref()?;
    let content = content(pane, of, pane.current()?, 400, &Theme::choose(Default::default(), |_| None));
    let text: String = content.spans.iter().map(|span| span.content.as_ref()).collect();
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}
