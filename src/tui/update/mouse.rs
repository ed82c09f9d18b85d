//! The mouse: wheel, click to select, click on a tab or a column, double click as Enter.

use super::go;
use crate::tui::app::App;
use crate::tui::arrange::TypeColumn;
use crate::tui::panes::objects::ObjectColumn;
use crate::tui::panes::{Motion, Pane, State};
use crate::tui::view;
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;
use std::time::Duration;

const DOUBLE: Duration = Duration::from_millis(400);
const WHEEL: i64 = 3;

pub(super) fn mouse(app: &mut App, event: MouseEvent) {
    if app.prompt.is_some() {
        return;
    }
    if app.overlay.is_some() {
        if matches!(event.kind, MouseEventKind::Down(_)) {
            app.overlay = None;
        }
        return;
    }
    match event.kind {
        MouseEventKind::ScrollUp => wheel(app, -WHEEL),
        MouseEventKind::ScrollDown => wheel(app, WHEEL),
        MouseEventKind::Down(MouseButton::Left) => click(app, event.column, event.row),
        _ => {}
    }
}

fn wheel(app: &mut App, rows: i64) {
    app.history.here_mut().go(Motion::By(rows));
}

fn click(app: &mut App, x: u16, y: u16) {
    let last = app.click.replace((app.clock, x, y));
    let double = last.is_some_and(|(at, lx, ly)| (lx, ly) == (x, y) && app.clock - at <= DOUBLE);
    let layout = app.layout();
    if y == layout.tabs.y {
        if let Some(number) = view::tab_at(app, x) {
            go::tab(app, number);
        }
        return;
    }
    if layout.header.is_some_and(|header| header.contains(Position { x, y })) {
        sort_at(app, x);
        return;
    }
    if !layout.content.contains(Position { x, y }) {
        return;
    }
    let line = u64::from(y - layout.content.y);
    let item = view::overview_item_at(app, x, y);
    let hit = match app.history.here_mut() {
        Pane::Tree(pane) => view::tree_line_at(pane, x, y).is_some_and(|hit| {
            pane.choose_line(hit);
            true
        }),
        Pane::Hex(pane) => {
            let word = view::hex_word_at(layout.content, x);
            pane.move_to(pane.top + line * crate::tui::panes::hex::ROW + word * crate::tui::panes::hex::WORD);
            true
        }
        Pane::Overview(pane) => item.is_some_and(|item| pane.choose(item)),
        pane => pane.choose(line),
    };
    if hit && double {
        app.click = None;
        go::open(app);
    }
}

fn sort_at(app: &mut App, x: u16) {
    let Some(column) = view::column_at(app, x) else { return };
    match app.history.here_mut() {
        Pane::Types(pane) => pane.sort_by(TypeColumn::ALL[column.min(pane.columns() - 1)], &mut app.desk),
        Pane::Objects(pane) => pane.sort_by(ObjectColumn::ALL[column.min(2)]),
        _ => {}
    }
}
