//! What each pane remembers, and how it moves and asks.
//!
//! A pane owns its position, filter, order and the answers it shows. It says which question its screen leaves open;
//! it draws nothing and reads no memory. How it looks is in [`view`](super::view).

mod detail;
pub mod diff;
pub mod hex;
pub mod memory;
pub mod objects;
pub mod overview;
pub mod paths;
pub mod processes;
pub mod retained;
mod scroll;
pub mod task_lines;
pub mod tasks;
pub mod threads;
pub mod tree;
mod tree_lines;
pub mod types;

pub use detail::Detail;
pub use scroll::{Motion, Scroll};

use super::ask::Desk;
use super::keymap::{Action, Context};
use crate::analysis::query::QueryError;
use crate::snapshot::Addr;
use crate::worker::protocol::{Answer, Ticket};
use std::ops::{Deref, DerefMut};

/// How much of a pane the person can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Rows of content.
    pub rows: u64,
    /// Whether the panel beside it is shown.
    pub side: bool,
    /// Whether every object is indexed, so that questions about one are answered soon.
    pub indexed: bool,
}

/// What the selected row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Where it is.
    pub address: Addr,
    /// What to call it in the breadcrumbs.
    pub name: String,
}

/// What every pane can do.
pub trait State {
    /// Which keys count here.
    fn context(&self) -> Context;

    /// The cursor and the number of rows, where the pane is a list and nothing else moves with the cursor.
    fn list(&mut self) -> Option<(&mut Scroll, u64)> {
        None
    }

    /// A key that means something within the pane: movements, folding, searching on.
    fn act(&mut self, action: Action, rows: u64, _desk: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            self.go(motion);
        }
    }

    /// Moves the cursor, as the wheel does.
    fn go(&mut self, motion: Motion) {
        if let Some((scroll, total)) = self.list() {
            scroll.go(motion, total);
        }
    }

    /// Puts the cursor on a line of the visible content; false when nothing is there.
    fn choose(&mut self, line: u64) -> bool {
        self.list().is_some_and(|(scroll, total)| scroll.choose(line, total))
    }

    /// Asks for what the screen misses, and keeps the position within what there is.
    fn ask(&mut self, sight: Sight, desk: &mut Desk);

    /// Takes an answer; false when nothing here waits for it.
    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool;

    /// Takes a refusal; false when nothing here waits for it.
    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool;

    /// The person comes back: answers that were under way went elsewhere.
    fn resume(&mut self);

    /// What the selected row is about.
    fn subject(&self) -> Option<Subject>;

    /// The filter or search text, for editing.
    fn filter(&self) -> &str {
        ""
    }

    /// Why the filter is not what the list is narrowed by.
    fn wrong(&self) -> Option<&QueryError> {
        None
    }

    /// The text is being typed.
    fn set_filter(&mut self, _text: &str, _desk: &mut Desk) {}

    /// Sorts by the column so many places to the right; 0: the other way round.
    fn sort(&mut self, _by: isize, _desk: &mut Desk) {}
}

/// One of the panes.
#[derive(Debug)]
pub enum Pane {
    /// What stands out.
    Overview(overview::OverviewPane),
    /// The type table.
    Types(types::TypesPane),
    /// The objects of a type.
    Objects(objects::ObjectsPane),
    /// An object and its references.
    Tree(Box<tree::TreePane>),
    /// Tasks and who awaits whom.
    Tasks(Box<tasks::TasksPane>),
    /// Threads and their stacks.
    Threads(Box<threads::ThreadsPane>),
    /// What keeps how much alive.
    Retained(Box<retained::RetainedPane>),
    /// Why an object is alive.
    Paths(Box<paths::PathsPane>),
    /// Where the memory went.
    Memory(Box<memory::MemoryPane>),
    /// What a newer snapshot has that this one has not.
    Diff(Box<diff::DiffPane>),
    /// Several processes beside each other.
    Processes(Box<processes::ProcessesPane>),
    /// Raw memory.
    Hex(Box<hex::HexPane>),
}

/// The one place where the kinds of panes are told apart for what all of them can do.
impl Deref for Pane {
    type Target = dyn State;

    fn deref(&self) -> &(dyn State + 'static) {
        match self {
            Pane::Overview(pane) => pane,
            Pane::Types(pane) => pane,
            Pane::Objects(pane) => pane,
            Pane::Tree(pane) => &**pane,
            Pane::Tasks(pane) => &**pane,
            Pane::Threads(pane) => &**pane,
            Pane::Retained(pane) => &**pane,
            Pane::Paths(pane) => &**pane,
            Pane::Memory(pane) => &**pane,
            Pane::Diff(pane) => &**pane,
            Pane::Processes(pane) => &**pane,
            Pane::Hex(pane) => &**pane,
        }
    }
}

impl DerefMut for Pane {
    fn deref_mut(&mut self) -> &mut (dyn State + 'static) {
        match self {
            Pane::Overview(pane) => pane,
            Pane::Types(pane) => pane,
            Pane::Objects(pane) => pane,
            Pane::Tree(pane) => &mut **pane,
            Pane::Tasks(pane) => &mut **pane,
            Pane::Threads(pane) => &mut **pane,
            Pane::Retained(pane) => &mut **pane,
            Pane::Paths(pane) => &mut **pane,
            Pane::Memory(pane) => &mut **pane,
            Pane::Diff(pane) => &mut **pane,
            Pane::Processes(pane) => &mut **pane,
            Pane::Hex(pane) => &mut **pane,
        }
    }
}

/// Panes with a number key, from left to right. A number stays with its pane when others join.
pub const TABS: [(u8, &str); 9] = [
    (1, "Overview"),
    (2, "Types"),
    (3, "Tasks"),
    (4, "Threads"),
    (5, "Retained"),
    (6, "Memory"),
    (7, "Diff"),
    (8, "Hex"),
    (9, "All"),
];

impl Pane {
    /// The tab that a pane belongs to.
    pub fn tab(&self) -> u8 {
        match self {
            Pane::Overview(_) => 1,
            Pane::Types(_) | Pane::Objects(_) | Pane::Tree(_) | Pane::Paths(_) => 2,
            Pane::Tasks(_) => 3,
            Pane::Threads(_) => 4,
            Pane::Retained(_) => 5,
            Pane::Memory(_) => 6,
            Pane::Diff(_) => 7,
            Pane::Hex(_) => 8,
            Pane::Processes(_) => 9,
        }
    }

    /// A query that its filter line takes, if it takes any.
    pub fn query_example(&self) -> Option<&'static str> {
        match self {
            Pane::Types(_) => Some("count > 10"),
            Pane::Objects(_) => Some("size > 1MB"),
            Pane::Diff(_) => Some("growth > 1MB"),
            Pane::Tasks(_) => Some("awaiters > 10"),
            Pane::Threads(_) => Some("gil = waits"),
            Pane::Retained(_) => Some("retained > 1MB"),
            Pane::Memory(_) => Some("resident > 1MB"),
            Pane::Overview(_) | Pane::Tree(_) | Pane::Paths(_) | Pane::Processes(_) | Pane::Hex(_) => None,
        }
    }

    /// Whether its own text narrows what it lists, so that it can be left; each such list takes queries as well.
    pub fn is_list(&self) -> bool {
        self.query_example().is_some()
    }
}
