//! What is different in the newer snapshot: types by growth, or the new and gone objects of one.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::{ChangedObject, TypeChange, Which};
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::diff::{Changes, DiffPane};
use crate::tui::theme::{DIM, Theme};
use crate::tui::widgets::table::{self, Column, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

/// From this width on there is room for both sizes and for the survivors.
const WIDE: u16 = 110;

const fn column(title: &'static str, width: u16) -> Column {
    Column { title, width: Some(width), right: true }
}

fn columns(pane: &DiffPane, width: u16) -> Vec<Column> {
    let name = Column { title: "type", width: None, right: false };
    if pane.objects.is_some() {
        let what = Column { title: "what", width: None, right: false };
        return vec![Column { title: "address", width: Some(14), right: false }, column("size", 9), what];
    }
    let mut columns = vec![name, column("growth", 10), column("count", 11), column("new", 10), column("gone", 10)];
    if pane.diff.as_ref().is_some_and(|diff| diff.kept.is_some()) {
        columns.push(column("kept", 10));
    }
    if width >= WIDE {
        columns.insert(2, column("size then", 10));
        columns.insert(3, column("size now", 10));
        columns.insert(4, column("count then", 11));
        columns.push(column("both", 11));
    }
    columns
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &DiffPane) {
    boxed(buffer, layout.body, &title(pane));
    let area = layout.content;
    let columns = columns(pane, area.width);
    if let Some(header) = layout.header {
        let sorted = columns.iter().position(|c| c.title == "kept").unwrap_or(1);
        table::header(buffer, header, &columns, pane.objects.is_none().then_some((sorted, true)));
    }
    let places = table::places(&columns, area.width);
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let cells = match (pane.type_at(index), pane.object_at(index)) {
            (Some(row), _) => type_cells(row, &columns, &places, &app.theme),
            (_, Some(row)) => object_cells(row, &places, &app.theme),
            _ if index > 0 => break,
            _ => {
                let said = format!(" {}", foreign(nothing(pane), usize::from(area.width)));
                line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
                break;
            }
        };
        table::row(buffer, row_of(area, at), &columns, &cells, Look::of(index == pane.scroll.row, false));
    }
}

/// Why there are no rows.
fn nothing(pane: &DiffPane) -> &str {
    let there = |changes: &Changes| !changes.rows.is_empty();
    if !pane.filter.is_empty() && pane.objects.as_ref().map_or(pane.diff.is_some(), there) {
        return "no row matches; Esc shows all";
    }
    match &pane.objects {
        Some(changes) => match (changes.slot.refusal(), changes.total) {
            (Some(reason), _) => reason,
            (None, Some(_)) => "none; > shows the others",
            (None, None) => "looking for them …",
        },
        None if pane.diff.is_some() => "no type changed",
        None => "there is no newer snapshot yet: R captures the process again",
    }
}

fn title(pane: &DiffPane) -> String {
    let Some(diff) = &pane.diff else { return "Diff".into() };
    let filter = match pane.filter.text() {
        "" => String::new(),
        text => format!(" · / {}", foreign(text, 30)),
    };
    let title = match &pane.objects {
        Some(changes) => {
            let which = match changes.which {
                Which::Created => "new",
                Which::Kept => "kept",
                Which::Freed | Which::Survivors => "gone",
            };
            let others = if diff.kept.is_some() { "new, gone or kept" } else { "new or gone" };
            let shown = changes.rows.len() as u64;
            let n = match changes.total {
                Some(total) if total > shown => format!("{}, the first {}", text::count(total), text::count(shown)),
                Some(total) => text::count(total),
                None => "…".into(),
            };
            format!("{} · {which} · {n} · > {others}", foreign_end(&changes.name, 40))
        }
        None => {
            let growth = signed(diff.total.delta_bytes, &|n| text::size(n));
            let counts = match (diff.created, diff.freed) {
                (Some(new), Some(gone)) => format!("{} new · {} gone", text::count(new), text::count(gone)),
                _ => "two processes: types only".into(),
            };
            let kept = diff.kept.map(|n| format!(" · {} kept", text::count(n))).unwrap_or_default();
            let same = match diff.unchanged.types {
                0 => String::new(),
                n => format!(" · {} types unchanged", text::count(n)),
            };
            format!("Diff · {growth} · {counts}{kept}{same}")
        }
    };
    title + &filter
}

fn signed(n: i64, form: &dyn Fn(u64) -> String) -> String {
    let sign = match n {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", form(n.unsigned_abs()))
}

fn type_cells(row: &TypeChange, columns: &[Column], places: &[(u16, u16)], theme: &Theme) -> Vec<Line<'static>> {
    let number = |said: String| Line::from(Span::styled(said, theme.numbers));
    let some = |n: Option<u64>| number(n.map_or_else(|| "?".into(), text::count));
    let name = foreign_end(&row.name, usize::from(places.first().map_or(0, |place| place.1)));
    let c = row.change;
    let mut cells = vec![
        Line::from(Span::styled(name, theme.types)),
        number(signed(c.delta_bytes, &|n| text::size(n))),
        number(signed(c.delta_count, &|n| text::count(n))),
        some(row.created),
        some(row.freed),
    ];
    let has = |title| columns.iter().any(|column: &Column| column.title == title);
    if has("kept") {
        cells.push(some(row.kept));
    }
    if has("both") {
        let [then, now] = [c.old_bytes, c.new_bytes].map(|n| number(text::size(n)));
        cells.splice(2..3, [then, now, number(text::count(c.old_count)), number(text::count(c.new_count))]);
        cells.push(some(row.survivors));
    }
    cells
}

fn object_cells(row: &ChangedObject, places: &[(u16, u16)], theme: &Theme) -> Vec<Line<'static>> {
    let what = foreign(&row.summary, usize::from(places.last().map_or(0, |place| place.1)));
    let style = theme.value(&what);
    vec![
        Line::from(row.address.to_string()),
        Line::from(Span::styled(text::size(row.shallow_bytes), theme.numbers)),
        Line::from(Span::styled(what, style)),
    ]
}

/// The selected line as text.
pub(super) fn line_text(pane: &DiffPane) -> Option<String> {
    if let Some(row) = pane.object_at(pane.scroll.row) {
        return Some(format!("{}\t{}\t{}\t{}", row.address, row.type_name, row.shallow_bytes, row.summary));
    }
    let row = pane.type_at(pane.scroll.row)?;
    Some(format!("{}\t{}\t{}", row.name, row.change.delta_count, row.change.delta_bytes))
}
