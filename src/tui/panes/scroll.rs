//! A cursor in a list and the part of the list that is visible.

use crate::tui::keymap::Action;

/// Which row is selected, and which one is drawn first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scroll {
    /// Selected.
    pub row: u64,
    /// Drawn first.
    pub top: u64,
}

/// A movement within a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// So many rows down.
    By(i64),
    /// To this row.
    To(u64),
}

impl Motion {
    /// The movement that a key means where `rows` are visible.
    pub fn of(action: Action, rows: u64) -> Option<Motion> {
        let page = rows.saturating_sub(1).max(1) as i64; // one row stays, for the eye
        let half = (rows / 2).max(1) as i64;
        Some(match action {
            Action::Up => Motion::By(-1),
            Action::Down => Motion::By(1),
            Action::PageUp => Motion::By(-page),
            Action::PageDown => Motion::By(page),
            Action::HalfUp => Motion::By(-half),
            Action::HalfDown => Motion::By(half),
            Action::Top => Motion::To(0),
            Action::Bottom => Motion::To(u64::MAX),
            _ => return None,
        })
    }
}

impl Scroll {
    /// Moves the cursor in a list of `total` rows.
    pub fn go(&mut self, motion: Motion, total: u64) {
        let row = match motion {
            Motion::By(rows) => self.row.saturating_add_signed(rows),
            Motion::To(row) => row,
        };
        self.row = row.min(total.saturating_sub(1));
    }

    /// Puts the cursor on a visible line; false below the end of the list.
    pub fn choose(&mut self, line: u64, total: u64) -> bool {
        let row = self.top.saturating_add(line);
        let there = row < total;
        if there {
            self.row = row;
        }
        there
    }

    /// Brings cursor and visible part into the list and together.
    pub fn settle(&mut self, total: u64, rows: u64) {
        self.row = self.row.min(total.saturating_sub(1));
        self.top = self.top.min(total.saturating_sub(rows)).min(self.row);
        if self.row - self.top >= rows.max(1) {
            self.top = self.row + 1 - rows.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_in_the_list_and_in_sight() {
        let mut scroll = Scroll::default();
        scroll.go(Motion::By(30), 100);
        scroll.settle(100, 10);
        assert_eq!(scroll, Scroll { row: 30, top: 21 });
        scroll.go(Motion::To(u64::MAX), 100);
        scroll.settle(100, 10);
        assert_eq!(scroll, Scroll { row: 99, top: 90 });
        scroll.settle(5, 10);
        assert_eq!(scroll, Scroll { row: 4, top: 0 });
        scroll.go(Motion::By(-9), 5);
        scroll.settle(0, 0);
        assert_eq!(scroll, Scroll::default());
    }
}
