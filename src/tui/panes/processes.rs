//! Several processes beside each other: what memory is each one's own, and who has more of which type.
//!
//! What the processes are belongs to the explorer and is given to the pane; only their tables are asked to be merged.

use super::{Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{Beside, BesideRow, Measure};
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::tui::deck::Company;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Request, Tables, Ticket};
use std::sync::Arc;

/// What is told of a process as a whole, one row each above the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fact {
    Resident,
    Private,
    CopyOnWrite,
    Objects,
    Size,
}

impl Fact {
    /// From top to bottom.
    pub const ALL: [Fact; 5] = [Fact::Resident, Fact::Private, Fact::CopyOnWrite, Fact::Objects, Fact::Size];
}

/// See the module.
#[derive(Debug)]
pub struct ProcessesPane {
    /// All that are open.
    pub company: Company,
    /// The process whose column is chosen.
    pub column: usize,
    /// What is compared.
    pub by: Measure,
    /// Their types, once they are merged.
    pub beside: Arc<Beside>,
    /// Waits for them.
    pub slot: Slot,
    /// Cursor.
    pub scroll: Scroll,
}

impl ProcessesPane {
    /// The column of one process is chosen.
    pub fn new(column: usize) -> ProcessesPane {
        let beside = Arc::default();
        let (company, by, slot, scroll) = Default::default();
        ProcessesPane { company, column, by, beside, slot, scroll }
    }

    /// The type at a place of the list.
    pub fn type_at(&self, at: u64) -> Option<&BesideRow> {
        self.beside.types.get(usize::try_from(at).ok()?.checked_sub(Fact::ALL.len())?)
    }

    /// The selected type's type object in the chosen process.
    pub fn type_there(&self) -> Option<Addr> {
        self.type_at(self.scroll.row)?.cells.get(self.column)?.as_ref()?.address
    }

    fn total(&self) -> u64 {
        (Fact::ALL.len() + self.beside.types.len()) as u64
    }
}

impl State for ProcessesPane {
    fn context(&self) -> Context {
        Context::PROCESSES
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        let last = self.company.len().saturating_sub(1);
        match action {
            Action::Right => self.column = (self.column + 1).min(last),
            Action::Left => self.column = self.column.saturating_sub(1),
            _ => {
                if let Some(motion) = Motion::of(action, rows) {
                    self.go(motion);
                }
            }
        }
    }

    fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.total());
    }

    fn choose(&mut self, line: u64) -> bool {
        self.scroll.choose(line, self.total())
    }

    /// The other measure.
    fn sort(&mut self, _: isize, _: &mut Desk) {
        self.by = match self.by {
            Measure::Size => Measure::Count,
            Measure::Count => Measure::Size,
        };
    }

    fn subject(&self) -> Option<Subject> {
        None // each row is about all processes
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.scroll.settle(self.total(), sight.rows);
        let tables = Tables(self.company.iter().map(|of| of.types.clone()).collect());
        if tables.0.iter().any(Option::is_some) {
            self.slot.want(Request::Beside { tables, by: self.by }, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let Answer::Beside(beside) = answer else { return false };
        let mine = self.slot.accept(ticket, true).is_some();
        if mine {
            self.beside = beside;
        }
        mine
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
    }
}
