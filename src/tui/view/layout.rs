//! Where everything is on the screen: the same for drawing and for mouse and paging.

use crate::tui::keymap::Context;
use ratatui::layout::Rect;

/// Below this there is no picture, only a sentence.
pub const SMALLEST: (u16, u16) = (64, 12);

/// From this width on, the side panel stands beside the pane unasked.
const ROOMY: u16 = 100;
/// The hex pane is wider than the others, and tree lines lose too much when they are cut.
const ROOMY_FOR_HEX: u16 = 116;
const ROOMY_FOR_TASKS: u16 = 116;
const ROOMY_FOR_TREE: u16 = 130;
/// Columns of hex, ASCII and address, with the border.
const HEX_WIDTH: u16 = 80;

/// These need the whole width.
const ALONE: Context = Context::OVERVIEW.or(Context::DIFF).or(Context::PROCESSES);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The terminal is too small for a picture.
    pub too_small: bool,
    /// What is open.
    pub head: Rect,
    /// Panes with their number keys.
    pub tabs: Rect,
    /// The pane with its border.
    pub body: Rect,
    /// The panel that explains the selected row.
    pub side: Option<Rect>,
    /// Column heads.
    pub header: Option<Rect>,
    /// Rows.
    pub content: Rect,
    /// The word under the cursor, below the rows.
    pub inspector: Option<Rect>,
    /// Where the person is.
    pub crumbs: Rect,
    /// Progress, message, or what is typed.
    pub status: Rect,
    /// Keys that matter here.
    pub keys: Rect,
    /// How many rows of content fit.
    pub rows: u64,
}

/// Whether a terminal of this size shows nothing but that it is too small.
pub fn is_too_small((columns, rows): (u16, u16)) -> bool {
    columns < SMALLEST.0 || rows < SMALLEST.1
}

impl Layout {
    /// The layout for a terminal of this size.
    pub fn of((columns, rows): (u16, u16), pane: Context, side: Option<bool>) -> Layout {
        let too_small = is_too_small((columns, rows));
        let line = |y: u16| Rect { x: 0, y: y.min(rows), width: columns, height: u16::from(y < rows) };
        let middle = Rect { x: 0, y: 2.min(rows), width: columns, height: rows.saturating_sub(5) };
        let hex = pane.meets(Context::HEX);
        let roomy = match pane {
            Context::TASKS | Context::PATHS | Context::RETAINED => columns >= ROOMY_FOR_TASKS,
            Context::HEX => columns >= ROOMY_FOR_HEX,
            Context::TREE => columns >= ROOMY_FOR_TREE,
            _ => columns >= ROOMY,
        };
        let wanted = side.unwrap_or(roomy) && !pane.meets(ALONE);
        let (body, side) = match (wanted, roomy) {
            (false, _) => (middle, None),
            (true, true) => {
                let most = if hex { columns - HEX_WIDTH } else { columns };
                let width = (columns / 3).clamp(34, 64).min(most);
                let body = Rect { width: columns - width, ..middle };
                (body, Some(Rect { x: body.right(), width, ..middle }))
            }
            (true, false) => {
                // Too narrow for both side by side: below the rows
                let height = middle.height / 5 * 2;
                let body = Rect { height: middle.height - height, ..middle };
                (body, Some(Rect { y: body.bottom(), height, ..middle }))
            }
        };
        let inner = Rect {
            x: body.x + 1,
            y: body.y + 1,
            width: body.width.saturating_sub(2),
            height: body.height.saturating_sub(2),
        };
        let has_header = pane.meets(Context::DIFF.or(Context::PROCESSES))
            || pane.meets(Context::TYPES)
            || pane.meets(Context::OBJECTS)
            || pane.meets(Context::RETAINED);
        let above = u16::from(has_header).min(inner.height);
        let below = if hex { 3.min(inner.height) } else { 0 };
        let content = Rect { y: inner.y + above, height: inner.height.saturating_sub(above + below), ..inner };
        Layout {
            too_small,
            head: line(0),
            tabs: line(1),
            body,
            side,
            header: has_header.then_some(Rect { height: above, ..inner }),
            content,
            inspector: hex.then_some(Rect { y: content.bottom(), height: below, ..inner }),
            crumbs: line(rows.saturating_sub(3)),
            status: line(rows.saturating_sub(2)),
            keys: line(rows.saturating_sub(1)),
            rows: u64::from(content.height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_a_layout_within_the_screen() {
        for columns in [0, 1, 2, 59, 60, 80, 100, 116, 200, u16::MAX] {
            for rows in [0, 1, 5, 11, 12, 24, 50, u16::MAX] {
                for pane in [Context::TYPES, Context::TREE, Context::HEX, Context::OVERVIEW] {
                    for side in [None, Some(true), Some(false)] {
                        let l = Layout::of((columns, rows), pane, side);
                        if l.too_small {
                            continue;
                        }
                        for area in [Some(l.body), l.side, l.header, Some(l.content), l.inspector, Some(l.keys)] {
                            let area = area.unwrap_or_default();
                            assert!(area.right() <= columns && area.bottom() <= rows, "{columns}x{rows} {area:?}");
                        }
                    }
                }
            }
        }
    }
}
