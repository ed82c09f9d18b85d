//! The objects of a type: a window on a list that may be millions long.
//!
//! It holds the rows it shows and a margin, never the list. Ordering and filtering are the worker's.

use super::{Detail, Scroll, Sight, State, Subject};
use crate::analysis::answers::ObjectRow;
use crate::analysis::query::{OBJECT_FIELDS, QueryError};
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::tui::filter::Filter;
use crate::tui::keymap::Context;
use crate::worker::protocol::{Answer, ObjectOrder, Request, Ticket};

/// What the list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectColumn {
    /// Where it is.
    Address,
    /// Reference count.
    RefCount,
    /// Shallow size.
    Size,
}

impl ObjectColumn {
    /// Left to right, as on the screen.
    pub const ALL: [ObjectColumn; 3] = [ObjectColumn::Address, ObjectColumn::RefCount, ObjectColumn::Size];

    /// The column so many places to the right, round the edge.
    pub fn step(self, by: isize) -> ObjectColumn {
        let at = Self::ALL.iter().position(|c| *c == self).unwrap_or(0) as isize;
        Self::ALL[(at + by).rem_euclid(Self::ALL.len() as isize) as usize]
    }
}

/// See the module.
#[derive(Debug)]
pub struct ObjectsPane {
    /// Of which type; `None`: all objects.
    pub type_address: Option<Addr>,
    /// That type's name.
    pub type_name: String,
    /// Sorted by.
    pub column: ObjectColumn,
    /// Highest or biggest first.
    pub descending: bool,
    /// A text or a query; the worker tells them apart as it does.
    pub filter: Filter,
    /// Cursor.
    pub scroll: Scroll,
    /// How many rows there are; before the first answer what the type table says.
    pub total: u64,
    /// The rows that are here.
    pub window: Vec<ObjectRow>,
    /// Index of the first of them.
    pub offset: u64,
    /// Whether the window belongs to the order and filter that are set.
    pub fresh: bool,
    /// About the selected object.
    pub detail: Detail,
    pub(super) slot: Slot,
}

impl ObjectsPane {
    /// The list of a type's objects (`count` of them, as far as is known), in address order.
    pub fn new(type_address: Option<Addr>, type_name: &str, count: u64) -> ObjectsPane {
        ObjectsPane {
            type_address,
            type_name: type_name.to_owned(),
            column: ObjectColumn::Address,
            descending: false,
            filter: Filter::default(),
            scroll: Scroll::default(),
            total: count,
            window: Vec::new(),
            offset: 0,
            fresh: false,
            detail: Detail::default(),
            slot: Slot::default(),
        }
    }

    /// The row at a place in the list, when it is here.
    pub fn row(&self, at: u64) -> Option<&ObjectRow> {
        self.window.get(usize::try_from(at.checked_sub(self.offset)?).ok()?)
    }

    /// The selected row, when it is here.
    pub fn current(&self) -> Option<&ObjectRow> {
        self.row(self.scroll.row)
    }

    /// Whether rows are still coming.
    pub fn is_waiting(&self) -> bool {
        self.slot.is_waiting()
    }

    /// Why there are no rows.
    pub fn refusal(&self) -> Option<&str> {
        self.slot.refusal()
    }

    /// Sorts by a column; by the same one again: the other way round.
    pub fn sort_by(&mut self, column: ObjectColumn) {
        self.descending = if column == self.column { !self.descending } else { column != ObjectColumn::Address };
        self.column = column;
        self.restart();
    }

    fn restart(&mut self) {
        self.scroll = Scroll::default();
        self.fresh = false;
        self.slot = Slot::default();
    }

    fn order(&self) -> ObjectOrder {
        let descending = self.descending;
        match self.column {
            ObjectColumn::Address => ObjectOrder::Address { descending },
            ObjectColumn::RefCount => ObjectOrder::RefCount { descending },
            ObjectColumn::Size => ObjectOrder::Size { descending },
        }
    }
}

impl State for ObjectsPane {
    fn context(&self) -> Context {
        Context::OBJECTS
    }

    fn list(&mut self) -> Option<(&mut Scroll, u64)> {
        let total = self.total;
        Some((&mut self.scroll, total))
    }

    fn filter(&self) -> &str {
        self.filter.text()
    }

    fn wrong(&self) -> Option<&QueryError> {
        self.filter.wrong()
    }

    fn set_filter(&mut self, filter: &str, _: &mut Desk) {
        if self.filter.set(filter, OBJECT_FIELDS) {
            self.restart();
        }
    }

    fn sort(&mut self, by: isize, _: &mut Desk) {
        self.sort_by(self.column.step(by));
    }

    fn subject(&self) -> Option<Subject> {
        self.current().map(|row| Subject { address: row.address, name: row.address.to_string() })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.scroll.settle(self.total, sight.rows);
        let margin = sight.rows / 2;
        let first = self.scroll.top.saturating_sub(margin);
        let last = self.scroll.top.saturating_add(sight.rows + margin).min(self.total);
        let here = self.fresh && first >= self.offset && last <= self.offset + self.window.len() as u64;
        if !here {
            // In steps of a page, so that scrolling on while rows are coming does not ask anew with each row
            let page = sight.rows.max(10);
            let offset = self.scroll.top.saturating_sub(page) / page * page;
            let limit = page * 4;
            let (type_address, order) = (self.type_address, self.order());
            let filter = self.filter.wanted().typed().to_owned();
            self.slot.want(Request::Objects { type_address, order, filter, offset, limit }, desk);
        }
        if sight.side && self.fresh {
            self.detail.want(self.current().map(|row| row.address), desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let Answer::Objects { objects, done } = answer else { return self.detail.answer(ticket, answer) };
        if self.slot.accept(ticket, done).is_none() {
            return false;
        }
        self.total = objects.total;
        self.offset = objects.offset;
        self.window = objects.objects;
        self.fresh = true;
        true
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.slot.refuse(ticket, reason) || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
        self.detail.slot.forget_open();
    }
}
