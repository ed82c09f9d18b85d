//! The type table.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::TypeRow;
use crate::text;
use crate::tui::app::App;
use crate::tui::arrange::{Pattern, TypeColumn};
use crate::tui::panes::types::TypesPane;
use crate::tui::theme::{DIM, MATCHED, Theme};
use crate::tui::widgets::bar::{bar, percent};
use crate::tui::widgets::table::{self, Column, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Below this width there are no bars.
const NARROW: u16 = 56;
/// Columns of the figure behind a share bar.
const PERCENT: u16 = 5;

/// `retained`: with what types keep alive.
pub(super) fn columns(width: u16, retained: bool) -> Vec<Column> {
    let narrow = width < NARROW; // names matter more than bars
    let share = if narrow { PERCENT } else { (width / 6).clamp(8, 30) + PERCENT };
    let count = if narrow { 10 } else { 12 };
    let mut columns = vec![
        Column { title: "type", width: None, right: false },
        Column { title: "count", width: Some(count), right: true },
        Column { title: "size", width: Some(9), right: true },
        Column { title: "share", width: Some(share), right: false },
    ];
    if retained {
        columns.insert(3, Column { title: "retained", width: Some(10), right: true });
    }
    columns
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &TypesPane) {
    boxed(buffer, layout.body, &title(app, pane));
    let area = layout.content;
    let retained = !pane.retained.is_empty();
    let columns = columns(area.width, retained);
    let sorted = TypeColumn::ALL.iter().position(|c| *c == pane.column).map(|at| (at, pane.descending));
    if let Some(header) = layout.header {
        table::header(buffer, header, &columns, sorted);
    }
    if pane.rows.is_empty() {
        let said = match (app.complete, pane.is_stale()) {
            _ if !pane.filter.is_empty() && !pane.is_stale() => "no type matches; Esc shows all",
            (true, false) => "no Python objects were found",
            _ => "looking for objects …",
        };
        line(buffer, row_of(area, 0), &Line::from(Span::styled(format!(" {said}"), DIM)));
        return;
    }
    let pattern = Pattern::of(pane.filter.wanted());
    let places = table::places(&columns, area.width);
    let total = pane.types.total.shallow_bytes;
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let Some(row) = pane.row(index) else { break };
        let retained = retained.then(|| pane.retained.get(&row.address).copied().unwrap_or(0));
        let cells = cells(row, retained, total, pattern, &places, &app.theme);
        let look = Look::of(index == pane.scroll.row, pane.is_stale());
        table::row(buffer, row_of(area, at), &columns, &cells, look);
    }
}

/// A row's cells, as wide as their columns; `total`: the bytes of all types.
pub(super) fn cells(
    row: &TypeRow,
    retained: Option<u64>,
    total: u64,
    pattern: Pattern<'_>,
    places: &[(u16, u16)],
    theme: &Theme,
) -> Vec<Line<'static>> {
    let width = |at: usize| places.get(at).map_or(0, |place| place.1);
    let share = row.shallow_bytes as f64 / total.max(1) as f64;
    let bar = bar(share, usize::from(width(places.len().saturating_sub(1)).saturating_sub(PERCENT)), false);
    let mut cells = vec![
        name(&row.name, usize::from(width(0)), pattern, theme),
        Line::from(Span::styled(text::count(row.count), theme.numbers)),
        Line::from(Span::styled(text::size(row.shallow_bytes), theme.numbers)),
    ];
    cells.extend(retained.map(|bytes| Line::from(Span::styled(text::size(bytes), theme.numbers))));
    cells.push(Line::from(format!("{bar}{:>5}", percent(row.shallow_bytes, total))));
    cells
}

/// A row as text.
pub(super) fn line_text(row: &TypeRow) -> String {
    format!("{}\t{}\t{}", row.name, row.count, row.shallow_bytes)
}

fn title(app: &App, pane: &TypesPane) -> String {
    let mut title = format!("Types · {}", text::count(pane.rows.len() as u64));
    if !pane.filter.is_empty() {
        title += &format!(" of {} · / {}", text::count(pane.types.types.len() as u64), foreign(pane.filter.text(), 30));
    }
    if !app.complete {
        title += " so far";
    }
    title
}

/// A type's name with the characters that the filter matched underlined.
fn name(full: &str, width: usize, pattern: Pattern<'_>, theme: &Theme) -> Line<'static> {
    let shown = foreign_end(full, width);
    let matched = pattern.matched(full);
    if matched.is_empty() {
        return Line::from(Span::styled(shown, theme.types));
    }
    // Indices count from the name's beginning, of which the front may be cut
    let (full, cut) = (full.chars().count(), shown.chars().count());
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (i, c) in shown.chars().enumerate() {
        let hit = c != '…' && matched.contains(&(i + full.saturating_sub(cut)));
        let style: Style = if hit { theme.types.patch(MATCHED) } else { theme.types };
        match spans.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push(c),
            _ => spans.push(Span::styled(c.to_string(), style)),
        }
    }
    Line::from(spans)
}
