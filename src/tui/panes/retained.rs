//! What keeps how much alive, as a disk-usage explorer would show it: a window on one level of the dominator tree.
//!
//! A level is a pane of its own, so that going in and out walks the history. At the top the rows can be grouped. The
//! worker filters, and tells queries from texts by the same fields.

use super::{Detail, Scroll, Sight, State, Subject};
use crate::analysis::answers::RetainedRow;
use crate::analysis::query::QueryError;
use crate::analysis::retained::FIELDS;
use crate::tui::ask::{Desk, Slot};
use crate::tui::filter::Filter;
use crate::tui::keymap::Context;
use crate::worker::protocol::{Answer, Request, RetainedBy, Ticket};

/// Groupings of the top level, in the order of the keys, with what they are called.
pub const GROUPINGS: [(RetainedBy, &str); 8] = [
    (RetainedBy::Objects, "by object"),
    (RetainedBy::Types, "by type"),
    (RetainedBy::Modules, "by module"),
    (RetainedBy::Threads, "by thread"),
    (RetainedBy::Frames, "by frame"),
    (RetainedBy::Locals, "by local variable"),
    (RetainedBy::Tasks, "by task"),
    (RetainedBy::Roots, "by root"),
];

/// See the module.
#[derive(Debug)]
pub struct RetainedPane {
    /// Which level.
    pub by: RetainedBy,
    /// The row that this level is below.
    pub above: Option<RetainedRow>,
    /// A text or a query.
    pub filter: Filter,
    /// Cursor.
    pub scroll: Scroll,
    /// How many rows there are.
    pub total: Option<u64>,
    /// Bytes of the whole heap.
    pub heap_bytes: u64,
    /// The rows that are here.
    pub window: Vec<RetainedRow>,
    /// About the selected object.
    pub detail: Detail,
    /// Whether the window belongs to the filter that is set.
    fresh: bool,
    offset: u64,
    slot: Slot,
}

impl RetainedPane {
    /// A level; `above`: the row that it is below.
    pub fn new(by: RetainedBy, above: Option<RetainedRow>) -> RetainedPane {
        RetainedPane {
            by,
            above,
            filter: Filter::default(),
            scroll: Scroll::default(),
            total: None,
            heap_bytes: 0,
            window: Vec::new(),
            detail: Detail::default(),
            fresh: false,
            offset: 0,
            slot: Slot::default(),
        }
    }

    /// Whether this is the top level, which can be grouped.
    pub fn is_top(&self) -> bool {
        self.grouping().is_some()
    }

    /// Bytes of the row above, where they are known.
    pub fn bytes_above(&self) -> Option<u64> {
        self.above.as_ref().map(|above| above.retained_bytes).filter(|bytes| *bytes > 0)
    }

    /// The number of the grouping.
    pub fn grouping(&self) -> Option<usize> {
        GROUPINGS.iter().position(|(by, _)| *by == self.by)
    }

    /// The row at a place in the list, when it is here.
    pub fn row(&self, at: u64) -> Option<&RetainedRow> {
        self.window.get(usize::try_from(at.checked_sub(self.offset)?).ok()?)
    }

    /// The selected row, when it is here.
    pub fn current(&self) -> Option<&RetainedRow> {
        self.row(self.scroll.row)
    }

    /// The level below the selected row; `None`: nothing goes with it, or it is a sum over a type.
    pub fn below(&self) -> Option<RetainedBy> {
        let row = self.current().filter(|row| row.retained_count > 1 && self.by != RetainedBy::Types)?;
        row.group.map(RetainedBy::Group).or(row.address.map(RetainedBy::Object))
    }

    /// Whether rows are still coming.
    pub fn is_waiting(&self) -> bool {
        self.slot.is_waiting()
    }

    /// Why there are no rows.
    pub fn refusal(&self) -> Option<&str> {
        self.slot.refusal()
    }

    fn total(&self) -> u64 {
        self.total.unwrap_or(0)
    }
}

impl State for RetainedPane {
    fn context(&self) -> Context {
        Context::RETAINED
    }

    fn list(&mut self) -> Option<(&mut Scroll, u64)> {
        let total = self.total();
        Some((&mut self.scroll, total))
    }

    fn filter(&self) -> &str {
        self.filter.text()
    }

    fn wrong(&self) -> Option<&QueryError> {
        self.filter.wrong()
    }

    fn set_filter(&mut self, filter: &str, _: &mut Desk) {
        if self.filter.set(filter, FIELDS) {
            self.scroll = Scroll::default();
            self.fresh = false;
        }
    }

    /// Another grouping.
    fn sort(&mut self, by: isize, _: &mut Desk) {
        let Some(at) = self.grouping().filter(|_| by != 0) else { return };
        let next = (at as isize + by).rem_euclid(GROUPINGS.len() as isize) as usize;
        if let Some((by, _)) = GROUPINGS.get(next) {
            let filter = std::mem::take(&mut self.filter);
            *self = RetainedPane { filter, ..RetainedPane::new(*by, None) };
        }
    }

    fn subject(&self) -> Option<Subject> {
        let row = self.current()?;
        let address = row.address?;
        Some(Subject { address, name: format!("{} {address}", row.type_name) })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.scroll.settle(self.total(), sight.rows);
        let first = self.scroll.top;
        let last = self.scroll.top.saturating_add(sight.rows).min(self.total());
        let here = self.fresh && first >= self.offset && last <= self.offset + self.window.len() as u64;
        // what the first answer takes long for serves every filter: it is not asked for anew
        let is_first = self.total.is_none() && self.slot.is_waiting();
        if sight.indexed && !here && !is_first {
            let page = sight.rows.max(10);
            let offset = first.saturating_sub(page) / page * page;
            let filter = self.filter.wanted().typed().to_owned();
            self.slot.want(Request::Retained { by: self.by, filter, offset, limit: page * 4 }, desk);
        }
        if sight.side && sight.indexed && self.fresh {
            let address = self.current().and_then(|row| row.address);
            self.detail.want(address, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let Answer::Retained(rows) = answer else { return self.detail.answer(ticket, answer) };
        let Some(Request::Retained { filter, .. }) = self.slot.accept(ticket, true) else { return false };
        self.fresh = filter == self.filter.wanted().typed();
        self.total = Some(rows.total);
        self.heap_bytes = rows.heap_bytes;
        self.offset = rows.offset;
        self.window = rows.objects;
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
