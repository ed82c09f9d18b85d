//! The panel that explains the selected row.

use super::objects::{references, size};
use super::{boxed, foreign, foreign_end, wrap};
use crate::analysis::answers::ObjectDetail;
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::types::TypesPane;
use crate::tui::panes::{Detail, Pane};
use crate::tui::theme::{DIM, Theme};
use crate::tui::widgets::bar::percent;
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Columns of the names of facts.
const NAME: usize = 11;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, app: &App) {
    let width = usize::from(area.width.saturating_sub(4));
    let (title, lines, stale) = match app.pane() {
        Pane::Types(pane) => {
            let title = pane.current().map_or("type", |row| &row.name);
            (title.to_owned(), about_type(pane, &app.theme, width), false)
        }
        Pane::Overview(_) | Pane::Diff(_) | Pane::Processes(_) => Default::default(), // they have no panel
        Pane::Tasks(pane) if !pane.current().is_some_and(|row| pane.is_object(row)) => {
            let (title, lines) = super::tasks::about(pane, &app.theme, width);
            (title, lines, false)
        }
        Pane::Tasks(pane) => about(&pane.detail, &app.theme, width),
        Pane::Objects(pane) => about(&pane.detail, &app.theme, width),
        Pane::Tree(pane) => about(&pane.detail, &app.theme, width),
        Pane::Threads(pane) if !pane.current().is_some_and(|row| pane.is_object(row)) => {
            let (title, lines) = super::threads::about(pane, &app.theme, width);
            (title, lines, false)
        }
        Pane::Threads(pane) => about(&pane.detail, &app.theme, width),
        Pane::Retained(pane) => about(&pane.detail, &app.theme, width),
        Pane::Paths(pane) => about(&pane.detail, &app.theme, width),
        Pane::Memory(pane) if pane.object().is_none() => {
            let (title, lines) = super::memory::about(pane, &app.theme, width);
            (title, lines, false)
        }
        Pane::Memory(pane) => about(&pane.detail, &app.theme, width),
        Pane::Hex(pane) => about(&pane.detail, &app.theme, width),
    };
    let inner = boxed(buffer, area, &foreign_end(&title, width));
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    for (at, content) in (0..inner.height).zip(&lines) {
        line(buffer, row_of(inner, at), content);
    }
    if stale {
        buffer.set_style(inner, DIM);
    }
}

fn about_type(pane: &TypesPane, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let Some(row) = pane.current() else { return Vec::new() };
    let total = pane.types.total;
    let mut lines: Vec<_> =
        wrap(&row.name, width).into_iter().map(|l| Line::from(Span::styled(l, theme.types))).collect();
    lines.push(Line::default());
    let number = |name: &str, value: String| fact(name, &value, theme.numbers, width);
    lines.push(number("objects", format!("{} ({})", text::count(row.count), percent(row.count, total.count))));
    let share = percent(row.shallow_bytes, total.shallow_bytes);
    lines.push(number("size", format!("{} ({share})", text::size(row.shallow_bytes))));
    if let Some(each) = row.shallow_bytes.checked_div(row.count) {
        lines.push(number("on average", text::size(each)));
    }
    lines.push(fact("type at", &row.address.to_string(), theme.addresses, width));
    if let Some((object, true)) = pane.detail.object() {
        facts(object, theme, width, &mut lines);
    }
    lines
}

fn about(detail: &Detail, theme: &Theme, width: usize) -> (String, Vec<Line<'static>>, bool) {
    let Some((object, current)) = detail.object() else {
        let said = match (&detail.shown, detail.slot.refusal()) {
            (_, Some(reason)) => reason,
            (Some(Err(_)), _) if !detail.slot.is_waiting() => "no object begins here",
            _ if detail.wanted.is_none() => "no object here",
            _ => "…",
        };
        let lines = wrap(said, width).into_iter().map(|l| Line::from(Span::styled(l, DIM))).collect();
        return ("object".into(), lines, false);
    };
    let mut lines = Vec::new();
    let style = theme.value(&object.summary);
    for part in wrap(&object.summary, width).into_iter().take(6) {
        lines.push(Line::from(Span::styled(part, style)));
    }
    lines.push(Line::default());
    lines.push(fact("address", &object.address.to_string(), theme.addresses, width));
    lines.push(fact("size", &size(object.shallow_bytes, object.estimated), theme.numbers, width));
    lines.push(fact("references", &references(object.refcount), theme.numbers, width));
    if let Some(reachable) = object.reachable {
        lines.push(fact("reachable", if reachable { "yes" } else { "no" }, Style::new(), width));
    }
    facts(object, theme, width, &mut lines);
    let stale = !current && detail.wanted.is_some();
    (object.type_name.clone(), lines, stale)
}

/// The facts, then the fields with their values.
fn facts(object: &ObjectDetail, theme: &Theme, width: usize, lines: &mut Vec<Line<'static>>) {
    for (name, value) in &object.facts {
        lines.push(fact(name, value, Style::new(), width));
    }
    if object.fields.is_empty() {
        return;
    }
    lines.push(Line::default());
    for field in &object.fields {
        let name = foreign(&field.name, width / 2);
        let value = foreign(&field.summary, width.saturating_sub(name.chars().count() + 3));
        let style = theme.value(&value);
        lines.push(Line::from(vec![Span::raw(name), Span::styled(" = ", DIM), Span::styled(value, style)]));
    }
    let more = object.fields_total.saturating_sub(object.fields.len() as u64);
    if more > 0 {
        lines.push(Line::from(Span::styled(format!("… {} more", text::count(more)), DIM)));
    }
}

pub(super) fn fact(name: &str, value: &str, style: Style, width: usize) -> Line<'static> {
    let name = foreign(name, NAME);
    let value = foreign(value, width.saturating_sub(NAME + 1));
    Line::from(vec![Span::styled(format!("{name:<NAME$} "), DIM), Span::styled(value, style)])
}
