//! What a newer snapshot has that this one has not: the types by growth, and below a type its new or gone objects.
//!
//! The comparison itself belongs to the explorer and is given to the pane; only lists of objects are asked for here.

use super::{Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{ChangedObject, Diff, TypeChange, Which};
use crate::tui::ask::{Desk, Slot};
use crate::tui::keymap::{Action, Context};
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
}

/// New or gone objects of a type.
#[derive(Debug)]
pub struct Changes {
    /// The type's name.
    pub name: String,
    /// New or gone.
    pub which: Which,
    /// The first of them.
    pub rows: Vec<ChangedObject>,
    /// How many there are, once it is known.
    pub total: Option<u64>,
    /// Waits for them.
    pub slot: Slot,
}

impl DiffPane {
    /// The objects of a type; gone ones when it has only such.
    pub fn of_type(diff: Option<Arc<Diff>>, row: &TypeChange) -> DiffPane {
        let gone = row.created == Some(0) && row.freed > Some(0);
        let which = if gone { Which::Freed } else { Which::Created };
        let (name, rows, slot) = (row.name.clone(), Vec::new(), Slot::default());
        DiffPane { diff, objects: Some(Changes { name, which, rows, total: None, slot }), scroll: Scroll::default() }
    }

    /// The type at a place of the list.
    pub fn type_at(&self, at: u64) -> Option<&TypeChange> {
        self.diff.as_ref().filter(|_| self.objects.is_none())?.types.get(usize::try_from(at).ok()?)
    }

    /// The object at a place of the list.
    pub fn object_at(&self, at: u64) -> Option<&ChangedObject> {
        self.objects.as_ref()?.rows.get(usize::try_from(at).ok()?)
    }

    fn total(&self) -> u64 {
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

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            self.go(motion);
        }
    }

    fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.total());
    }

    fn choose(&mut self, line: u64) -> bool {
        self.scroll.choose(line, self.total())
    }

    /// New objects, or those that are gone.
    fn sort(&mut self, by: isize, _: &mut Desk) {
        let Some(changes) = self.objects.as_mut().filter(|_| by != 0) else { return };
        changes.which = if changes.which == Which::Created { Which::Freed } else { Which::Created };
        (changes.rows, changes.total) = (Vec::new(), None);
        self.scroll = Scroll::default();
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
