//! State → picture. Reads state only: no target memory, no waiting, and only the rows that are visible.
//!
//! Every string that comes from a snapshot passes through [`foreign`] or [`foreign_end`] here, although the worker
//! sanitised it already: the second wall between a hostile heap and the terminal.

mod chrome;
mod diff;
mod help;
mod hex;
pub mod layout;
mod map;
mod memory;
mod objects;
mod overview;
mod paths;
mod processes;
mod retained;
mod side;
mod tasks;
mod threads;
pub mod tree;
mod types;
mod weight;

pub use chrome::tab_at;
pub use hex::word_at as hex_word_at;
pub use overview::item_at as overview_item_at;
pub use tree::line_at as tree_line_at;

use super::app::App;
use super::panes::Pane;
use super::theme::{BOLD, DIM};
use super::widgets::table::{Column, places};
use crate::text;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Widget};

/// Draws everything.
pub fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    let layout = app.layout_at((area.width, area.height));
    if layout.too_small {
        let (columns, rows) = layout::SMALLEST;
        let said = format!("too small: {columns} columns and {rows} rows are needed");
        let said = text::keep_start(&said, usize::from(area.width)).into_owned();
        frame.render_widget(Line::from(said), area);
        return;
    }
    let buffer = frame.buffer_mut();
    chrome::head(buffer, layout.head, app);
    chrome::tabs(buffer, layout.tabs, app);
    if let Some(reason) = &app.failed {
        failed(buffer, layout.body, reason);
    } else {
        match app.pane() {
            Pane::Overview(pane) => overview::draw(buffer, &layout, app, pane),
            Pane::Types(pane) => types::draw(buffer, &layout, app, pane),
            Pane::Objects(pane) => objects::draw(buffer, &layout, app, pane),
            Pane::Tree(pane) => tree::draw(buffer, &layout, app, pane),
            Pane::Tasks(pane) => tasks::draw(buffer, &layout, app, pane),
            Pane::Threads(pane) => threads::draw(buffer, &layout, app, pane),
            Pane::Retained(pane) => retained::draw(buffer, &layout, app, pane),
            Pane::Paths(pane) => paths::draw(buffer, &layout, app, pane),
            Pane::Memory(pane) => memory::draw(buffer, &layout, app, pane),
            Pane::Diff(pane) => diff::draw(buffer, &layout, app, pane),
            Pane::Processes(pane) => processes::draw(buffer, &layout, app, pane),
            Pane::Hex(pane) => hex::draw(buffer, &layout, app, pane),
        }
        if let Some(area) = layout.side {
            side::draw(buffer, area, app);
        }
    }
    chrome::crumbs(buffer, layout.crumbs, app);
    let cursor = chrome::status(buffer, layout.status, app);
    chrome::keys(buffer, layout.keys, app);
    chrome::offers(buffer, layout.status, app);
    if let Some((overlay, top)) = app.overlay {
        help::draw(buffer, area, app, overlay, top);
    }
    if let Some(position) = cursor {
        frame.set_cursor_position(position);
    }
}

fn failed(buffer: &mut Buffer, area: Rect, reason: &str) {
    let block = Block::bordered().border_style(DIM);
    let inner = block.inner(area);
    block.render(area, buffer);
    for (i, line) in wrap(reason, usize::from(inner.width.saturating_sub(2))).iter().enumerate() {
        let mark = if i == 0 { "✗ " } else { "  " };
        let line = Line::from(vec![Span::raw(mark), Span::raw(line.clone())]);
        super::widgets::line(buffer, super::widgets::row_of(inner, i as u16), &line);
    }
}

/// A frame with a title; gives what is inside.
fn boxed(buffer: &mut Buffer, area: Rect, title: &str) -> Rect {
    let room = usize::from(area.width.saturating_sub(4));
    let title = format!(" {} ", text::keep_start(title, room.saturating_sub(2)));
    let block = Block::bordered().border_style(DIM).title(Span::styled(title, BOLD));
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// Text from a snapshot, safe for the terminal and at most `width` columns wide; its end gives way.
pub fn foreign(said: &str, width: usize) -> String {
    let end = said.char_indices().nth(width * 2 + 16).map_or(said.len(), |(i, _)| i);
    text::keep_start(&text::sanitize(&said[..end]), width).into_owned()
}

/// The same, but the beginning gives way: for names that differ at their end.
pub fn foreign_end(said: &str, width: usize) -> String {
    let start = said.char_indices().rev().nth(width * 2 + 16).map_or(0, |(i, _)| i);
    text::keep_end(&text::sanitize(&said[start..]), width).into_owned()
}

/// Text from a snapshot in lines of at most `width` columns, broken at blanks where there are some.
fn wrap(said: &str, width: usize) -> Vec<String> {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    let end = said.char_indices().nth(4000).map_or(said.len(), |(i, _)| i);
    let said = text::sanitize(&said[..end]);
    let mut lines = vec![String::new()];
    for word in said.split_inclusive(' ') {
        let used = lines.last().map_or(0, |line| line.width());
        if used > 0 && used + word.trim_end().width() > width {
            lines.push(String::new());
        }
        for c in word.chars() {
            let Some(line) = lines.last_mut() else { break };
            if line.width() + c.width().unwrap_or(0) > width.max(2) && c != ' ' {
                lines.push(c.to_string());
            } else {
                line.push(c);
            }
        }
    }
    lines.iter().map(|line| text::keep_start(line.trim_end(), width).into_owned()).collect()
}

/// The selected line as text, for the clipboard.
pub fn line_text(app: &App) -> Option<String> {
    let line = match app.pane() {
        Pane::Overview(pane) => match (pane.current_finding(), pane.current_type()) {
            (Some(finding), _) => finding.text(),
            (None, row) => types::line_text(row?),
        },
        Pane::Types(pane) => types::line_text(pane.current()?),
        Pane::Tasks(pane) => tasks::line_text(pane)?,
        Pane::Objects(pane) => {
            let row = pane.current()?;
            format!("{}\t{}\t{}\t{}", row.address, row.type_name, row.shallow_bytes, row.summary)
        }
        Pane::Tree(pane) => tree::line_text(pane)?,
        Pane::Threads(pane) => threads::line_text(pane)?,
        Pane::Retained(pane) => retained::line_text(pane)?,
        Pane::Paths(pane) => paths::line_text(pane)?,
        Pane::Memory(pane) => memory::line_text(pane)?,
        Pane::Diff(pane) => diff::line_text(pane)?,
        Pane::Processes(pane) => processes::line_text(pane)?,
        Pane::Hex(pane) => hex::line_text(pane)?,
    };
    let parts: Vec<_> = line.split('\t').map(text::sanitize).collect();
    Some(parts.join("\t"))
}

/// The sortable column whose head is at `x`.
pub fn column_at(app: &App, x: u16) -> Option<usize> {
    let area = app.layout().header?;
    let at = |columns: &[Column]| {
        let places = places(columns, area.width);
        let x = x.checked_sub(area.x)?;
        places.iter().position(|(start, width)| (*start..start + width + 1).contains(&x))
    };
    match app.pane() {
        Pane::Types(pane) => {
            let last = pane.columns() - 1; // the share is of the sizes
            Some(at(&types::columns(area.width, !pane.retained.is_empty()))?.min(last))
        }
        Pane::Objects(pane) => at(&objects::columns(pane, area.width)).filter(|i| *i < 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_and_harmless() {
        assert_eq!(foreign("\x1b]0;x\x07 and more", 10), "\\x1b]0;x\\…");
        assert_eq!(foreign_end("a.b.\u{202e}Name", 20), "a.b.\\u{202e}Name");
        let long = "é".repeat(1_000_000);
        assert_eq!(foreign(&long, 5), "éééé…");
        assert_eq!(foreign_end(&long, 5), "…éééé");
        assert_eq!(foreign("x", 0), "");
    }

    #[test]
    fn text_wraps_at_blanks_and_within_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("世界世界", 3), ["世", "界", "世", "界"]);
    }
}
