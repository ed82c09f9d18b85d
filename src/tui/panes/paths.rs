//! Why an object is alive: the paths from roots to it, each of which unfolds to its steps.
//!
//! Weak references, which keep nothing alive, come last and are called so.

use super::{Detail, Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{EdgeRow, PathStep, Paths};
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Request, Ticket};
use std::collections::HashSet;

/// Paths that are asked for.
const PATHS: u64 = 8;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// A path in one line.
    Path(usize),
    /// A step of it.
    Step(usize, usize),
    /// The head of the weak references.
    Weak,
    /// One of them.
    Weakly(usize),
}

/// See the module.
#[derive(Debug)]
pub struct PathsPane {
    /// To which object.
    pub address: Addr,
    /// What it was called where the person came from.
    pub name: String,
    /// Waits for the answer.
    pub slot: Slot,
    /// The answer.
    pub paths: Option<Box<Paths>>,
    /// Cursor.
    pub scroll: Scroll,
    /// About the selected object.
    pub detail: Detail,
    /// What is shown, from the top.
    pub rows: Vec<Row>,
    unfolded: HashSet<usize>,
}

impl PathsPane {
    /// The paths to an object.
    pub fn new(address: Addr, name: String) -> PathsPane {
        PathsPane {
            address,
            name,
            slot: Slot::default(),
            paths: None,
            scroll: Scroll::default(),
            detail: Detail::default(),
            rows: Vec::new(),
            unfolded: HashSet::from([0]), // the shortest says most
        }
    }

    /// The selected line.
    pub fn current(&self) -> Option<Row> {
        self.row(self.scroll.row)
    }

    /// The line at a place of the list.
    pub fn row(&self, at: u64) -> Option<Row> {
        self.rows.get(usize::try_from(at).ok()?).copied()
    }

    /// A step of a path.
    pub fn step(&self, row: Row) -> Option<&PathStep> {
        let Row::Step(path, step) = row else { return None };
        self.paths.as_ref()?.paths.get(path)?.get(step)
    }

    /// A weak reference.
    pub fn weak(&self, row: Row) -> Option<&EdgeRow> {
        let Row::Weakly(i) = row else { return None };
        self.paths.as_ref()?.weak.get(i)
    }

    /// Whether a path's steps are shown.
    pub fn is_unfolded(&self, path: usize) -> bool {
        self.unfolded.contains(&path)
    }

    /// Folds or unfolds a path.
    pub fn toggle(&mut self, row: Row) {
        let Row::Path(path) = row else { return };
        if !self.unfolded.remove(&path) {
            self.unfolded.insert(path);
        }
        self.arrange();
        self.select(row);
    }

    fn select(&mut self, row: Row) {
        if let Some(at) = self.rows.iter().position(|r| *r == row) {
            self.go(Motion::To(at as u64));
        }
    }

    fn arrange(&mut self) {
        self.rows.clear();
        let Some(paths) = &self.paths else { return };
        for (i, path) in paths.paths.iter().enumerate() {
            self.rows.push(Row::Path(i));
            if self.unfolded.contains(&i) {
                self.rows.extend((0..path.len()).map(|step| Row::Step(i, step)));
            }
        }
        if !paths.weak.is_empty() {
            self.rows.push(Row::Weak);
            self.rows.extend((0..paths.weak.len()).map(Row::Weakly));
        }
    }
}

impl State for PathsPane {
    fn context(&self) -> Context {
        Context::PATHS
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            return self.go(motion);
        }
        match (action, self.current()) {
            (Action::Toggle, Some(row)) => self.toggle(row),
            (Action::Right, Some(row @ Row::Path(path))) if !self.is_unfolded(path) => self.toggle(row),
            (Action::Left, Some(row @ Row::Path(path))) if self.is_unfolded(path) => self.toggle(row),
            (Action::Left, Some(Row::Step(path, _))) => self.select(Row::Path(path)),
            (Action::Left, Some(Row::Weakly(_))) => self.select(Row::Weak),
            (Action::Right, _) => self.go(Motion::By(1)),
            _ => {}
        }
    }

    fn list(&mut self) -> Option<(&mut Scroll, u64)> {
        let total = self.rows.len() as u64;
        Some((&mut self.scroll, total))
    }

    fn subject(&self) -> Option<Subject> {
        let row = self.current()?;
        if let Some(step) = self.step(row) {
            return Some(Subject { address: step.address, name: step.edge.clone() });
        }
        let address = self.weak(row).map_or(self.address, |edge| edge.address);
        Some(Subject { address, name: address.to_string() })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        if sight.indexed && self.paths.is_none() {
            self.slot.want(Request::Paths { address: self.address, limit: PATHS }, desk);
        }
        self.scroll.settle(self.rows.len() as u64, sight.rows);
        if sight.side && sight.indexed {
            self.detail.want(self.subject().map(|subject| subject.address), desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let Answer::Paths(paths) = answer else { return self.detail.answer(ticket, answer) };
        let mine = self.slot.accept(ticket, true).is_some();
        if mine {
            self.paths = Some(paths);
            self.arrange();
        }
        mine
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.slot.refuse(ticket, reason) || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
        self.detail.slot.forget_open();
    }
}
