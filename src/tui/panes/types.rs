//! The type table: order, filter and cursor.
//!
//! Sorting and filtering themselves are [`arrange`](crate::tui::arrange)'s; here is only which arrangement is shown
//! and which one is wanted.

use super::{Detail, Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{TypeRow, Types};
use crate::analysis::query::QueryError;
use crate::analysis::query::lists::TYPE_FIELDS;
use crate::snapshot::Addr;
use crate::tui::arrange::{AT_ONCE, Arrangement, Job, RetainedByType, TypeColumn};
use crate::tui::ask::Desk;
use crate::tui::event::Effect;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Ticket};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct TypesPane {
    /// Sorted by.
    pub column: TypeColumn,
    /// Biggest first, or Z to A.
    pub descending: bool,
    /// A text or a query.
    pub filter: Filter,
    /// Cursor.
    pub scroll: Scroll,
    /// The table that `rows` points into.
    pub types: Arc<Types>,
    /// The rows shown, in order.
    pub rows: Arc<Vec<u32>>,
    /// What types keep alive, once it is known.
    pub retained: RetainedByType,
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
            filter: Filter::default(),
            scroll: Scroll::default(),
            types: Arc::default(),
            rows: Arc::default(),
            retained: Arc::default(),
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

    /// How many columns it can be sorted by.
    pub fn columns(&self) -> usize {
        TypeColumn::ALL.len() - usize::from(self.retained.is_empty())
    }

    /// Whether a newer arrangement is under way.
    pub fn is_stale(&self) -> bool {
        self.wanted != self.shown
    }

    /// Shows another table, keeping order, filter and the selected type.
    pub fn replace(&mut self, types: &Arc<Types>, retained: &RetainedByType, desk: &mut Desk) {
        self.retained.clone_from(retained);
        self.arrange(types.clone(), desk);
    }

    /// Sorts by a column; by the same one again: the other way round.
    pub fn sort_by(&mut self, column: TypeColumn, desk: &mut Desk) {
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
            filter: self.filter.wanted().clone(),
            retained: self.retained.clone(),
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
}

impl State for TypesPane {
    fn context(&self) -> Context {
        Context::TYPES
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            self.go(motion);
        }
    }

    fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.rows.len() as u64);
        self.selected = self.current().map(|row| row.address);
    }

    fn choose(&mut self, line: u64) -> bool {
        let row = self.scroll.top + line;
        self.row(row).is_some().then(|| self.go(Motion::To(row))).is_some()
    }

    fn filter(&self) -> &str {
        self.filter.text()
    }

    fn wrong(&self) -> Option<&QueryError> {
        self.filter.wrong()
    }

    fn set_filter(&mut self, filter: &str, desk: &mut Desk) {
        if self.filter.set(filter, TYPE_FIELDS) {
            if !filter.is_empty() {
                self.selected = None;
                self.scroll = Scroll::default();
            }
            self.arrange(self.types.clone(), desk);
        }
    }

    fn sort(&mut self, by: isize, desk: &mut Desk) {
        self.sort_by(self.column.step(by, self.columns()), desk);
    }

    fn subject(&self) -> Option<Subject> {
        self.current().map(|row| Subject { address: row.address, name: format!("type {}", row.name) })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.scroll.settle(self.rows.len() as u64, sight.rows);
        if sight.side && sight.indexed {
            self.detail.want(self.current().map(|row| row.address), desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        self.detail.answer(ticket, answer)
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.detail.slot.forget_open();
    }
}
