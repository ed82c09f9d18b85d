//! Small parts that more than one pane draws: share bars, table rows, cells.
//!
//! They know styles and columns, not what the rows mean.

pub mod bar;
pub mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Draws a line into one row, cut at its width.
pub fn line(buffer: &mut Buffer, area: Rect, line: &Line<'_>) {
    if area.height > 0 {
        buffer.set_line(area.x, area.y, line, area.width);
    }
}

/// The row of an area so many rows down; empty below its end.
pub fn row_of(area: Rect, row: u16) -> Rect {
    if row < area.height {
        Rect { y: area.y + row, height: 1, ..area }
    } else {
        Rect { y: area.bottom(), height: 0, ..area }
    }
}
