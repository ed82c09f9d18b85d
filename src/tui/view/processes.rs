//! Several processes beside each other: a column for each, what is told of it as a whole, then the types.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::{BesideRow, Measure};
use crate::text;
use crate::tui::app::App;
use crate::tui::deck::Companion;
use crate::tui::panes::processes::{Fact, ProcessesPane};
use crate::tui::theme::{BOLD, DIM, Theme};
use crate::tui::widgets::table::{self, Column, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};
use std::ops::Range;

/// Columns of a process: its number and the beginning of its name.
const WIDTH: u16 = 14;
/// The name of a type has this much room at least.
const NAME: u16 = 24;
/// Between columns.
const GAP: u16 = 2;

/// Which processes have a column on a screen of this width: the chosen one among them.
fn visible(pane: &ProcessesPane, width: u16) -> Range<usize> {
    let n = pane.company.len();
    let fits = usize::from(width.saturating_sub(NAME + GAP + WIDTH) / (WIDTH + GAP)).clamp(1, n.max(1));
    let first = (pane.column + 1).saturating_sub(fits).min(n.saturating_sub(fits));
    first..(first + fits).min(n)
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &ProcessesPane) {
    let area = layout.content;
    let shown = visible(pane, area.width);
    boxed(buffer, layout.body, &title(pane, &shown));
    let mut columns = vec![Column { title: "", width: None, right: false }];
    columns.resize(shown.len() + 1, Column { title: "", width: Some(WIDTH), right: true });
    columns.push(Column { title: "", width: Some(WIDTH), right: true });
    let name_width = table::places(&columns, area.width).first().map_or(0, |place| usize::from(place.1));
    if let Some(header) = layout.header {
        let mut cells = vec![Line::from(Span::styled("", DIM))];
        cells.extend(shown.clone().filter_map(|at| Some(head(pane.company.get(at)?, at == pane.column))));
        cells.push(Line::from(Span::styled("difference ▼", BOLD)));
        table::row(buffer, header, &columns, &cells, Look::Plain);
    }
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let fact = usize::try_from(index).ok().and_then(|i| Fact::ALL.get(i));
        let cells = match (fact, pane.type_at(index)) {
            (Some(fact), _) => fact_cells(*fact, pane, &shown, &app.theme),
            (_, Some(row)) => type_cells(row, pane, &shown, name_width, &app.theme),
            _ => {
                if let Some(said) = waiting(pane) {
                    let said = format!(" {}", foreign(said, usize::from(area.width)));
                    line(buffer, row_of(area, at), &Line::from(Span::styled(said, DIM)));
                }
                break;
            }
        };
        table::row(buffer, row_of(area, at), &columns, &cells, Look::of(index == pane.scroll.row, false));
    }
}

/// What is still to come below the rows.
fn waiting(pane: &ProcessesPane) -> Option<&str> {
    match pane.slot.refusal() {
        Some(reason) => Some(reason),
        None if pane.beside.types.is_empty() => Some("looking for objects …"),
        None => None,
    }
}

fn title(pane: &ProcessesPane, shown: &Range<usize>) -> String {
    let (n, by) = (pane.company.len(), if pane.by == Measure::Size { "sizes" } else { "numbers of objects" });
    let part = if shown.len() < n { format!(", {} to {} shown", shown.start + 1, shown.end) } else { String::new() };
    format!("All {n} processes{part} · types by difference · {by}, > changes")
}

/// Number and name; the chosen one is marked.
fn head(of: &Companion, chosen: bool) -> Line<'static> {
    let said = match &of.info {
        Some(info) => {
            let name = info.program.as_deref().map(|p| p.rsplit('/').next().unwrap_or(p)).unwrap_or(&info.source);
            let pid = info.pid.map(|pid| pid.to_string()).unwrap_or_default();
            let room = usize::from(WIDTH).saturating_sub(pid.len() + 2);
            format!("{} {pid}", foreign(name, room))
        }
        None => "…".into(),
    };
    let mark = if chosen { "▸" } else { "" };
    Line::from(Span::styled(format!("{mark}{}", said.trim()), if chosen { BOLD } else { DIM }))
}

fn fact_cells(fact: Fact, pane: &ProcessesPane, shown: &Range<usize>, theme: &Theme) -> Vec<Line<'static>> {
    let name = match fact {
        Fact::Resident => "resident memory",
        Fact::Private => "  of it private",
        Fact::CopyOnWrite => "  shared since a fork",
        Fact::Objects => "Python objects",
        Fact::Size => "  their sizes",
    };
    let value = |of: &Companion| match fact {
        Fact::Resident => of.info.as_ref()?.resident_bytes,
        Fact::Private => of.info.as_ref()?.private_bytes,
        Fact::CopyOnWrite => of.info.as_ref()?.copy_on_write_bytes,
        Fact::Objects => Some(of.types.as_ref()?.total.count),
        Fact::Size => Some(of.types.as_ref()?.total.shallow_bytes),
    };
    let form = |n| if fact == Fact::Objects { text::count(n) } else { text::size(n) };
    let cell = |of: &Companion| match value(of) {
        Some(n) => Line::from(Span::styled(form(n), theme.numbers)),
        None if of.failed => Line::from(Span::styled("unreadable", theme.warning)),
        None if of.types.is_none() && matches!(fact, Fact::Objects | Fact::Size) => Line::from(Span::styled("…", DIM)),
        None => Line::from(Span::styled("?", DIM)),
    };
    let mut cells = vec![Line::from(Span::styled(name, BOLD))];
    cells.extend(shown.clone().filter_map(|at| pane.company.get(at)).map(cell));
    let values = || pane.company.iter().filter_map(value);
    let spread = values().max().unwrap_or(0) - values().min().unwrap_or(0);
    cells.push(Line::from(Span::styled(form(spread), theme.numbers)));
    cells
}

fn type_cells(
    row: &BesideRow,
    pane: &ProcessesPane,
    shown: &Range<usize>,
    width: usize,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let form = |n| if pane.by == Measure::Size { text::size(n) } else { text::count(n) };
    let mut cells = vec![Line::from(Span::styled(foreign_end(&row.name, width), theme.types))];
    cells.extend(shown.clone().map(|at| match row.cells.get(at) {
        Some(Some(cell)) if cell.count > 0 => Line::from(Span::styled(form(cell.measured(pane.by)), theme.numbers)),
        Some(Some(_)) => Line::from(Span::styled("-", DIM)),
        _ => Line::from(Span::styled("…", DIM)),
    }));
    cells.push(Line::from(Span::styled(form(row.spread), theme.numbers)));
    cells
}

/// The selected line as text.
pub(super) fn line_text(pane: &ProcessesPane) -> Option<String> {
    let row = pane.type_at(pane.scroll.row)?;
    let cells = row.cells.iter().map(|cell| cell.map_or_else(String::new, |c| format!("\t{}", c.measured(pane.by))));
    Some(format!("{}{}", row.name, cells.collect::<String>()))
}
