//! The objects of a type.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::{ObjectRow, RefCount};
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::objects::{ObjectColumn, ObjectsPane};
use crate::tui::theme::DIM;
use crate::tui::widgets::table::{self, Column, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

/// Whether what objects keep alive is known.
fn has_retained(pane: &ObjectsPane) -> bool {
    pane.window.iter().any(|row| row.retained_bytes.is_some())
}

pub(super) fn columns(pane: &ObjectsPane, width: u16) -> Vec<Column> {
    let mut columns = vec![
        Column { title: "address", width: Some(14), right: false },
        Column { title: "refs", width: Some(9), right: true },
        Column { title: "size", width: Some(9), right: true },
    ];
    if has_retained(pane) {
        columns.push(Column { title: "retained", width: Some(9), right: true });
    }
    if pane.type_address.is_none() {
        columns.push(Column { title: "type", width: Some((width / 5).clamp(12, 40)), right: false });
    }
    columns.push(Column { title: "value", width: None, right: false });
    columns
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &ObjectsPane) {
    boxed(buffer, layout.body, &title(pane, usize::from(layout.body.width)));
    let area = layout.content;
    let columns = columns(pane, area.width);
    let sorted = ObjectColumn::ALL.iter().position(|c| *c == pane.column).map(|at| (at, pane.descending));
    if let Some(header) = layout.header {
        table::header(buffer, header, &columns, sorted);
    }
    if pane.total == 0 || (pane.window.is_empty() && pane.refusal().is_some()) {
        let said = match pane.refusal() {
            Some(reason) => format!(" {}", foreign(reason, usize::from(area.width).saturating_sub(2))),
            None if pane.is_waiting() => " …".into(),
            None if !pane.filter.is_empty() => " no object matches; Esc shows all".into(),
            None => " no objects".into(),
        };
        line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
        return;
    }
    let places = table::places(&columns, area.width);
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        if index >= pane.total {
            break;
        }
        let cells = match pane.row(index) {
            Some(row) => cells(pane, row, &places, app),
            None => vec![Line::from(Span::styled("…", DIM))],
        };
        let look = Look::of(index == pane.scroll.row, !pane.fresh);
        table::row(buffer, row_of(area, at), &columns, &cells, look);
    }
}

fn cells(pane: &ObjectsPane, row: &ObjectRow, places: &[(u16, u16)], app: &App) -> Vec<Line<'static>> {
    let theme = &app.theme;
    let width = |column: usize| places.get(column).map_or(0, |(_, width)| usize::from(*width));
    let mut cells = vec![
        Line::from(Span::styled(row.address.to_string(), theme.addresses)),
        Line::from(Span::styled(references(row.refcount), theme.numbers)),
        Line::from(Span::styled(size(row.shallow_bytes, row.estimated), theme.numbers)),
    ];
    if has_retained(pane) {
        let bytes = row.retained_bytes.map(text::size).unwrap_or_default();
        cells.push(Line::from(Span::styled(bytes, theme.numbers)));
    }
    if pane.type_address.is_none() {
        let name = foreign_end(&row.type_name, width(cells.len()));
        cells.push(Line::from(Span::styled(name, theme.types)));
    }
    let value = foreign(&row.summary, width(cells.len()));
    let style = theme.value(&value);
    cells.push(Line::from(Span::styled(value, style)));
    cells
}

pub(super) fn references(count: RefCount) -> String {
    match count {
        RefCount::Count(count @ 0..) => text::count(count as u64),
        RefCount::Count(count) => count.to_string(), // no live object has one below zero; shown as it is
        RefCount::Immortal => "immortal".into(),
    }
}

/// A size; `~` when it is an estimate.
pub(super) fn size(bytes: u64, estimated: bool) -> String {
    format!("{}{}", if estimated { "~" } else { "" }, text::size(bytes))
}

fn title(pane: &ObjectsPane, width: usize) -> String {
    let name = if pane.type_address.is_none() { "all objects" } else { &pane.type_name };
    let mut rest = format!(" · {}", text::count(pane.total));
    if !pane.filter.is_empty() {
        let so_far = if pane.is_waiting() { " so far" } else { "" };
        rest += &format!("{so_far} · / {}", foreign(pane.filter.text(), 30));
    }
    foreign_end(name, width.saturating_sub(rest.chars().count() + 6).max(12)) + &rest
}
