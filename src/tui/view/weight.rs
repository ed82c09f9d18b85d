//! The column `retained` at the right of tasks and threads, there once it is known what they keep alive.

use crate::text;
use crate::tui::theme::{DIM, Theme};
use crate::tui::widgets::line;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// As wide as its heading and a blank at either side.
const WIDTH: u16 = 10;

/// Writes the heading into the upper border of a box; how many columns the rows have to leave.
pub(super) fn heading(buffer: &mut Buffer, body: Rect, known: bool) -> u16 {
    if !known {
        return 0;
    }
    cell(buffer, Rect { y: body.y, height: 1, ..inside(body) }, "retained", DIM);
    WIDTH
}

/// What a row keeps alive, at the right of it; nothing for one that is no task or thread.
pub(super) fn bytes(buffer: &mut Buffer, row: Rect, bytes: Option<u64>, theme: &Theme) {
    if let Some(bytes) = bytes {
        cell(buffer, row, &text::size(bytes), theme.numbers);
    }
}

fn inside(body: Rect) -> Rect {
    Rect { x: body.x + 1, width: body.width.saturating_sub(2), ..body }
}

fn cell(buffer: &mut Buffer, row: Rect, said: &str, style: Style) {
    let width = WIDTH.min(row.width);
    let place = Rect { x: row.right() - width, width, ..row };
    line(buffer, place, &Line::from(Span::styled(format!(" {said:>8} "), style)));
}
