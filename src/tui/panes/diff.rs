//! What a newer snapshot has that this one has not: the types by growth, and below a type its new or gone objects.
//!
//! The comparison itself belongs to the explorer and is given to the pane; only lists of objects are asked for here.

use super::{Scroll, Sight, State, Subject};
use crate::analysis::answers::{ChangedObject, Diff, TypeChange, Which};
use crate::analysis::query::QueryError;
use crate::analysis::query::lists::{CHANGE_FIELDS, CHANGED_FIELDS, of_change, of_changed};
use crate::tui::arrange::contains;
use crate::tui::ask::{Desk, Slot};
use crate::tui::filter::Filter;
use crate::tui::keymap::Context;
use crate::worker::protocol::{Answer, Request, Ticket};
use std::sync::Arc;

/// Objects that are asked for.
const LIMIT: u64 = 5_000;

/// See the module.
#[derive(Debug, Default)]
pub struct DiffPane {
    /// What is different, once it is known.
    pub diff: Option<Arc<Diff>>,
    /// The objects of one type; `None`: the types.
    pub objects: Option<Changes>,
    /// Cursor.
    pub scroll: Scroll,
    /// A text or a query.
    pub filter: Filter,
    /// The rows that it leaves; `None`: all.
    kept: Option<Vec<usize>>,
}

/// New, kept or gone objects of a type.
#[derive(Debug)]
pub struct Changes {
    /// The type's name.
    pub name: String,
    /// Which of them.
    pub which: Which,
    /// The first of them.
    pub rows: Vec<ChangedObject>,
    /// How many there are, once it is known.
    pub total: Option<u64>,
    /// Waits for them.
    pub slot: Slot,
}

impl DiffPane {
    /// The objects of a type; those that stay when that is known, gone ones when it has only such.
    pub fn of_type(diff: Option<Arc<Diff>>, row: &TypeChange) -> DiffPane {
        let gone = row.created == Some(0) && row.freed > Some(0);
        let which = match row.kept {
            Some(1..) => Which::Kept,
            _ if gone => Which::Freed,
            _ => Which::Created,
        };
        let (name, rows, slot) = (row.name.clone(), Vec::new(), Slot::default());
        DiffPane { diff, objects: Some(Changes { name, which, rows, total: None, slot }), ..DiffPane::default() }
    }

    /// The type at a place of the list.
    pub fn type_at(&self, at: u64) -> Option<&TypeChange> {
        self.diff.as_ref().filter(|_| self.objects.is_none())?.types.get(self.place(at)?)
    }

    /// The object at a place of the list.
    pub fn object_at(&self, at: u64) -> Option<&ChangedObject> {
        self.objects.as_ref()?.rows.get(self.place(at)?)
    }

    /// Shows a comparison, once there is one.
    pub fn show(&mut self, diff: Option<&Arc<Diff>>) {
        self.diff = diff.cloned();
        self.narrow();
    }

    /// Which row stands at a place of the list.
    fn place(&self, at: u64) -> Option<usize> {
        let at = usize::try_from(at).ok()?;
        match &self.kept {
            Some(kept) => kept.get(at).copied(),
            None => Some(at),
        }
    }

    fn narrow(&mut self) {
        let wanted = self.filter.wanted();
        if self.filter.is_empty() {
            self.kept = None;
            return;
        }
        let (mut types, mut objects): (&[TypeChange], &[ChangedObject]) = (&[], &[]);
        match (&self.objects, &self.diff) {
            (Some(changes), _) => objects = &changes.rows,
            (None, Some(diff)) => types = &diff.types,
            (None, None) => {}
        }
        let types = types.iter().map(|row| wanted.keeps(|t| contains(&row.name, t), |field| of_change(row, field)));
        let objects =
            objects.iter().map(|row| wanted.keeps(|t| contains(&row.summary, t), |field| of_changed(row, field)));
        self.kept = Some(types.chain(objects).enumerate().filter_map(|(i, keeps)| keeps.then_some(i)).collect());
    }

    fn total(&self) -> u64 {
        if let Some(kept) = &self.kept {
            return kept.len() as u64;
        }
        match &self.objects {
            Some(changes) => changes.rows.len() as u64,
            None => self.diff.as_ref().map_or(0, |diff| diff.types.len() as u64),
        }
    }
}

impl State for DiffPane {
    fn context(&self) -> Context {
        Context::DIFF
    }

    fn list(&mut self) -> Option<(&mut Scroll, u64)> {
        let total = self.total();
        Some((&mut self.scroll, total))
    }

    /// New objects, those that are gone, or those that a third snapshot still has.
    fn sort(&mut self, by: isize, _: &mut Desk) {
        let third = self.diff.as_ref().is_some_and(|diff| diff.kept.is_some());
        let Some(changes) = self.objects.as_mut().filter(|_| by != 0) else { return };
        changes.which = match (changes.which, third) {
            (Which::Created, _) => Which::Freed,
            (Which::Freed, true) => Which::Kept,
            _ => Which::Created,
        };
        (changes.rows, changes.total) = (Vec::new(), None);
        self.scroll = Scroll::default();
        self.narrow();
    }

    fn filter(&self) -> &str {
        self.filter.text()
    }

    fn wrong(&self) -> Option<&QueryError> {
        self.filter.wrong()
    }

    fn set_filter(&mut self, filter: &str, _: &mut Desk) {
        let fields = if self.objects.is_some() { CHANGED_FIELDS } else { CHANGE_FIELDS };
        if self.filter.set(filter, fields) {
            self.scroll = Scroll::default();
            self.narrow();
        }
    }

    fn subject(&self) -> Option<Subject> {
        // a new object is not in the snapshot that is shown
        let gone = self.objects.as_ref().is_some_and(|changes| changes.which == Which::Freed);
        let row = self.object_at(self.scroll.row).filter(|_| gone)?;
        Some(Subject { address: row.address, name: format!("{} {}", row.type_name, row.address) })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.scroll.settle(self.total(), sight.rows);
        if let Some(changes) = self.objects.as_mut().filter(|changes| changes.total.is_none()) {
            let request = Request::Changes { which: changes.which, type_name: changes.name.clone(), limit: LIMIT };
            changes.slot.want(request, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let (Answer::Changes(rows, total), Some(changes)) = (answer, &mut self.objects) else { return false };
        let mine = changes.slot.accept(ticket, true).is_some();
        if mine {
            (changes.rows, changes.total) = (rows, Some(total));
            self.narrow();
        }
        mine
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.objects.as_mut().is_some_and(|changes| changes.slot.refuse(ticket, reason))
    }

    fn resume(&mut self) {
        if let Some(changes) = &mut self.objects {
            changes.slot.forget_open();
        }
    }
}
