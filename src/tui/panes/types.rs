//! The type table: order, filter and cursor.
//!
//! Sorting and filtering themselves are [`arrange`](crate::tui::arrange)'s; here is only which arrangement is shown
//! and which one is wanted.

use super::{Detail, Motion, Scroll, Sight};
use crate::analysis::answers::{TypeRow, Types};
use crate::snapshot::Addr;
use crate::tui::arrange::{AT_ONCE, Arrangement, Job, TypeColumn};
use crate::tui::ask::Desk;
use crate::tui::event::Effect;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct TypesPane {
    /// Sorted by.
    pub column: TypeColumn,
    /// Biggest first, or Z to A.
    pub descending: bool,
    /// As typed.
    pub filter: String,
    /// Cursor.
    pub scroll: Scroll,
    /// The table that `rows` points into.
    pub types: Arc<Types>,
    /// The rows shown, in order.
    pub rows: Arc<Vec<u32>>,
    /// About the selected type.
    pub detail: Detail,
    /// The type the cursor sticks to, once the person moved it; before that it stays at the top.
    selected: Option<Addr>,
    wanted: u64,
    shown: u64,
}

impl TypesPane {
    /// An empty table, biggest first.
    pub fn new() -> TypesPane {
        TypesPane {
            column: TypeColumn::Size,
            descending: true,
            filter: String::new(),
            scroll: Scroll::default(),
            types: Arc::default(),
            rows: Arc::default(),
            detail: Detail::default(),
            selected: None,
            wanted: 0,
            shown: 0,
        }
    }

    /// The row at a place on the screen list.
    pub fn row(&self, at: u64) -> Option<&TypeRow> {
        let index = *self.rows.get(usize::try_from(at).ok()?)?;
        self.types.types.get(index as usize)
    }

    /// The selected row.
    pub fn current(&self) -> Option<&TypeRow> {
        self.row(self.scroll.row)
    }

    /// Whether a newer arrangement is under way.
    pub fn is_stale(&self) -> bool {
        self.wanted != self.shown
    }

    /// Shows another table, keeping order, filter and the selected type.
    pub fn replace(&mut self, types: &Arc<Types>, desk: &mut Desk) {
        self.arrange(types.clone(), desk);
    }

    /// Moves the cursor.
    pub fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.rows.len() as u64);
        self.selected = self.current().map(|row| row.address);
    }

    /// Filters.
    pub fn set_filter(&mut self, filter: &str, desk: &mut Desk) {
        if self.filter != filter {
            self.filter = filter.to_owned();
            if !filter.is_empty() {
                self.selected = None;
                self.scroll = Scroll::default();
            }
            self.arrange(self.types.clone(), desk);
        }
    }

    /// Sorts by a column; by the same one again: the other way round.
    pub fn sort(&mut self, column: TypeColumn, desk: &mut Desk) {
        // Names begin at A, numbers at the biggest
        self.descending = if column == self.column { !self.descending } else { column != TypeColumn::Name };
        self.column = column;
        self.arrange(self.types.clone(), desk);
    }

    fn arrange(&mut self, types: Arc<Types>, desk: &mut Desk) {
        self.wanted = desk.number();
        let job = Job {
            generation: self.wanted,
            column: self.column,
            descending: self.descending,
            filter: self.filter.clone(),
            selected: self.selected,
            types,
        };
        if job.types.types.len() > AT_ONCE {
            desk.push(Effect::Arrange(job));
        } else if let Some(done) = job.run(|| false) {
            self.arranged(done);
        }
    }

    /// Shows an arrangement, if it is still the wanted one.
    pub fn arranged(&mut self, arrangement: Arrangement) {
        if arrangement.generation != self.wanted {
            return;
        }
        self.shown = arrangement.generation;
        self.types = arrangement.types;
        self.rows = arrangement.rows;
        if let Some(row) = arrangement.selected_row {
            // On the same line of the screen, so that a growing table does not jump under the eye
            let line = self.scroll.row.saturating_sub(self.scroll.top);
            self.scroll.row = row as u64;
            self.scroll.top = self.scroll.row.saturating_sub(line);
        }
    }

    pub(super) fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.scroll.settle(self.rows.len() as u64, sight.rows);
        if sight.side && sight.indexed {
            self.detail.want(self.current().map(|row| row.address), desk);
        }
    }
}
