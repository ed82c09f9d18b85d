//! What each pane remembers, and how it moves and asks.
//!
//! A pane owns its position, filter, order and the answers it shows. It says which question its screen leaves open;
//! it draws nothing and reads no memory. How it looks is in [`view`](super::view).

mod detail;
pub mod hex;
pub mod objects;
mod scroll;
pub mod threads;
pub mod tree;
mod tree_lines;
pub mod types;

pub use detail::Detail;
pub use scroll::{Motion, Scroll};

use super::ask::Desk;
use super::keymap::Context;
use crate::snapshot::Addr;
use crate::worker::protocol::{Answer, Ticket};

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

/// One of the panes.
#[derive(Debug)]
pub enum Pane {
    /// The type table.
    Types(types::TypesPane),
    /// The objects of a type.
    Objects(objects::ObjectsPane),
    /// An object and its references.
    Tree(Box<tree::TreePane>),
    /// Threads and their stacks.
    Threads(Box<threads::ThreadsPane>),
    /// Raw memory.
    Hex(Box<hex::HexPane>),
}

impl Pane {
    /// Which keys count here.
    pub fn context(&self) -> Context {
        match self {
            Pane::Types(_) => Context::TYPES,
            Pane::Objects(_) => Context::OBJECTS,
            Pane::Tree(_) => Context::TREE,
            Pane::Threads(_) => Context::THREADS,
            Pane::Hex(_) => Context::HEX,
        }
    }

    /// Asks for what the screen misses, and keeps the position within what there is.
    pub fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        match self {
            Pane::Types(pane) => pane.ask(sight, desk),
            Pane::Objects(pane) => pane.ask(sight, desk),
            Pane::Tree(pane) => pane.ask(sight, desk),
            Pane::Threads(pane) => pane.ask(sight, desk),
            Pane::Hex(pane) => pane.ask(sight, desk),
        }
    }

    /// Takes an answer; false when nothing here waits for it.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        match self {
            Pane::Types(pane) => pane.detail.answer(ticket, answer),
            Pane::Objects(pane) => pane.answer(ticket, answer),
            Pane::Tree(pane) => pane.answer(ticket, answer),
            Pane::Threads(pane) => pane.answer(ticket, answer),
            Pane::Hex(pane) => pane.answer(ticket, answer),
        }
    }

    /// Takes a refusal; false when nothing here waits for it.
    pub fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        match self {
            Pane::Types(pane) => pane.detail.slot.refuse(ticket, reason),
            Pane::Objects(pane) => pane.slot.refuse(ticket, reason) || pane.detail.slot.refuse(ticket, reason),
            Pane::Tree(pane) => pane.refuse(ticket, reason),
            Pane::Threads(pane) => pane.refuse(ticket, reason),
            Pane::Hex(pane) => pane.refuse(ticket, reason),
        }
    }

    /// The person comes back: answers that were under way went elsewhere.
    pub fn resume(&mut self) {
        match self {
            Pane::Types(pane) => pane.detail.slot.forget_open(),
            Pane::Objects(pane) => {
                pane.slot.forget_open();
                pane.detail.slot.forget_open();
            }
            Pane::Tree(pane) => pane.resume(),
            Pane::Threads(pane) => pane.resume(),
            Pane::Hex(pane) => pane.resume(),
        }
    }

    /// What the selected row is about.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Pane::Types(pane) => {
                pane.current().map(|row| Subject { address: row.address, name: format!("type {}", row.name) })
            }
            Pane::Objects(pane) => {
                pane.current().map(|row| Subject { address: row.address, name: row.address.to_string() })
            }
            Pane::Tree(pane) => pane.subject(),
            Pane::Threads(pane) => pane.subject(),
            Pane::Hex(pane) => Some(pane.subject()),
        }
    }

    /// The filter or search text, for editing.
    pub fn filter(&self) -> &str {
        match self {
            Pane::Types(pane) => &pane.filter,
            Pane::Objects(pane) => &pane.filter,
            Pane::Tree(pane) => &pane.search,
            Pane::Threads(pane) => &pane.filter,
            Pane::Hex(pane) => &pane.search,
        }
    }
}
