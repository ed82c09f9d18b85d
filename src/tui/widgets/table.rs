//! A table whose numbers line up: columns of fixed width and one that takes the rest.
//!
//! It draws one row at a time, so a list of millions costs what is visible.

use super::line;
use crate::tui::theme::{BOLD, DIM, SELECTED};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns between columns.
const GAP: u16 = 2;
/// The place of the mark before the selected row.
const MARK: u16 = 1;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its head.
    pub title: &'static str,
    /// So wide; `None`: what the others leave.
    pub width: Option<u16>,
    /// Numbers end at the right.
    pub right: bool,
}

/// Where each column begins and how wide it is, in a row of this width.
pub fn places(columns: &[Column], width: u16) -> Vec<(u16, u16)> {
    let gaps = GAP * (columns.len() as u16).saturating_sub(1);
    let fixed: u16 = columns.iter().filter_map(|c| c.width).sum();
    let rest = width.saturating_sub(fixed + gaps + MARK);
    let mut x = MARK;
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let w = column.width.unwrap_or(rest).min(width.saturating_sub(x));
        places.push((x, w));
        x = (x + w + GAP).min(width);
    }
    places
}

/// Draws the heads; `sorted` is the column the rows are in the order of, and whether descending.
pub fn header(buffer: &mut Buffer, area: Rect, columns: &[Column], sorted: Option<(usize, bool)>) {
    let mut cells = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let arrow = match sorted {
            Some((at, descending)) if at == i => {
                if descending {
                    " ▼"
                } else {
                    " ▲"
                }
            }
            _ => "",
        };
        let style = if arrow.is_empty() { DIM } else { BOLD };
        cells.push(Line::from(Span::styled(format!("{}{arrow}", column.title), style)));
    }
    row(buffer, area, columns, &cells, Look::Plain);
}

/// How a row stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    Plain,
    /// Under the cursor.
    Selected,
    /// About to be replaced.
    Stale,
}

impl Look {
    /// The look of a row.
    pub fn of(selected: bool, stale: bool) -> Look {
        match (selected, stale) {
            (true, _) => Look::Selected,
            (false, true) => Look::Stale,
            (false, false) => Look::Plain,
        }
    }
}

/// Draws one row; the cells are already as narrow as their columns.
pub fn row(buffer: &mut Buffer, area: Rect, columns: &[Column], cells: &[Line<'_>], look: Look) {
    if area.height == 0 {
        return;
    }
    for ((column, cell), (x, width)) in columns.iter().zip(cells).zip(places(columns, area.width)) {
        let shift = if column.right { width.saturating_sub(cell.width().min(usize::from(width)) as u16) } else { 0 };
        line(buffer, Rect { x: area.x + x + shift, width: width - shift, ..area }, cell);
    }
    finish(buffer, area, look);
}

/// Puts the mark and the style of a look on a row that is drawn.
pub fn finish(buffer: &mut Buffer, area: Rect, look: Look) {
    match look {
        Look::Plain => {}
        Look::Selected => {
            buffer.set_style(area, SELECTED);
            buffer.set_string(area.x, area.y, "▌", SELECTED);
        }
        Look::Stale => buffer.set_style(area, DIM),
    }
}
