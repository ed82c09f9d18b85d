//! One level of what keeps how much alive, with bars for the share of the level above.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::RetainedRow;
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::retained::{GROUPINGS, RetainedPane};
use crate::tui::theme::{DIM, Theme};
use crate::tui::widgets::bar::{bar, percent};
use crate::tui::widgets::table::{self, Column, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

/// Columns of the figure behind a share bar.
const PERCENT: u16 = 5;

fn columns(width: u16) -> Vec<Column> {
    let share = (width / 8).clamp(6, 24) + PERCENT;
    let mut columns = vec![
        Column { title: "retained", width: Some(9), right: true },
        Column { title: "share", width: Some(share), right: false },
        Column { title: "objects", width: Some(11), right: true },
    ];
    if width >= 90 {
        columns.push(Column { title: "own size", width: Some(9), right: true });
    }
    columns.push(Column { title: "type", width: Some((width / 5).clamp(12, 36)), right: false });
    columns.push(Column { title: "what", width: None, right: false });
    columns
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &RetainedPane) {
    boxed(buffer, layout.body, &title(pane, usize::from(layout.body.width)));
    let area = layout.content;
    let columns = columns(area.width);
    if let Some(header) = layout.header {
        table::header(buffer, header, &columns, Some((0, true)));
    }
    if pane.total.unwrap_or(0) == 0 {
        let said = match (pane.refusal(), pane.total) {
            (Some(reason), _) => reason,
            (None, Some(_)) if pane.filter.narrows() && pane.is_waiting() => "looking …",
            (None, Some(_)) if pane.filter.narrows() => "no row matches; Esc shows all",
            (None, Some(_)) => "nothing: no object goes with it",
            (None, None) if !app.complete => "what keeps what alive is worked out once every object is found …",
            (None, None) => "working out what keeps what alive …",
        };
        let said = format!(" {}", foreign(said, usize::from(area.width)));
        line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
        return;
    }
    let places = table::places(&columns, area.width);
    let all = pane.bytes_above().unwrap_or(pane.heap_bytes);
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        if index >= pane.total.unwrap_or(0) {
            break;
        }
        let cells = match pane.row(index) {
            Some(row) => cells(row, all, &places, &app.theme),
            None => vec![Line::from(Span::styled("…", DIM))],
        };
        let look = Look::of(index == pane.scroll.row, pane.is_waiting());
        table::row(buffer, row_of(area, at), &columns, &cells, look);
    }
}

fn title(pane: &RetainedPane, width: usize) -> String {
    let mut n = pane.total.map(|n| format!(" · {}", text::count(n))).unwrap_or_default();
    if !pane.filter.is_empty() {
        n += &format!(" · / {}", foreign(pane.filter.text(), 30));
    }
    match (&pane.above, pane.grouping().and_then(|at| GROUPINGS.get(at))) {
        (Some(above), _) => {
            let of = foreign_end(&above.type_name, width / 3);
            let at = above.address.map_or_else(|| foreign(&above.summary, width / 3), |at| at.to_string());
            let size = pane.bytes_above().map(|bytes| format!(" · {}", text::size(bytes))).unwrap_or_default();
            let name = if of.is_empty() { at } else { format!("{of} {at}") };
            format!("goes with {name}{n}{size}")
        }
        (None, Some((_, name))) => {
            let all = if pane.heap_bytes > 0 { format!(" · {}", text::size(pane.heap_bytes)) } else { String::new() };
            format!("Retained {name}{n}{all} · > groups otherwise")
        }
        (None, None) => format!("Retained{n}"),
    }
}

fn cells(row: &RetainedRow, all: u64, places: &[(u16, u16)], theme: &Theme) -> Vec<Line<'static>> {
    let width = |at: usize| usize::from(places.get(at).map_or(0, |place| place.1));
    let share = row.retained_bytes as f64 / all.max(1) as f64;
    let bar = bar(share, width(1).saturating_sub(usize::from(PERCENT)), false);
    let number = |said: String| Line::from(Span::styled(said, theme.numbers));
    let mut cells = vec![
        number(text::size(row.retained_bytes)),
        Line::from(format!("{bar}{:>5}", percent(row.retained_bytes, all))),
        number(text::count(row.retained_count)),
    ];
    if places.len() > 5 {
        cells.push(number(text::size(row.shallow_bytes)));
    }
    cells.push(Line::from(Span::styled(foreign_end(&row.type_name, width(cells.len())), theme.types)));
    let what = foreign(&row.summary, width(cells.len()));
    let style = theme.value(&what);
    cells.push(Line::from(Span::styled(what, style)));
    cells
}

/// The selected line as text.
pub(super) fn line_text(pane: &RetainedPane) -> Option<String> {
    let row = pane.current()?;
    let address = row.address.map(|at| at.to_string()).unwrap_or_default();
    Some(format!("{address}\t{}\t{}\t{}\t{}", row.type_name, row.retained_bytes, row.retained_count, row.summary))
}
