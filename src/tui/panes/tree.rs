//! An object and what it holds, or what holds it, unfolded step by step.
//!
//! A node keeps at most [`PAGE`] of its children and pages through the rest, so what a million-entry dict costs is
//! bounded. Children are asked for when a node is unfolded, so cycles are no danger. Which lines that makes is in
//! [`tree_lines`](super::tree_lines).

use super::tree_lines::Side;
use super::{Detail, Motion, Sight, State, Subject};
use crate::analysis::answers::Direction;
use crate::snapshot::Addr;
use crate::tui::arrange::contains;
use crate::tui::ask::Desk;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Ticket};

pub use super::tree_lines::{Line, NodeId, PAGE, ROOT};

/// See the module.
#[derive(Debug)]
pub struct TreePane {
    /// The object at the top.
    pub root: Addr,
    /// Which way is shown.
    pub direction: Direction,
    /// The tree in each direction; the second one begins to exist when the person turns round.
    sides: [Side; 2],
    /// About the root, for its line.
    pub head: Detail,
    /// About the selected object.
    pub detail: Detail,
    /// What `n` looks for.
    pub search: String,
}

impl TreePane {
    /// A tree that begins at an object, unfolded once.
    pub fn new(root: Addr, direction: Direction) -> TreePane {
        TreePane {
            root,
            direction,
            sides: [Side::new(root), Side::new(root)],
            head: Detail::default(),
            detail: Detail::default(),
            search: String::new(),
        }
    }

    /// The tree that is shown.
    pub fn side(&self) -> &Side {
        &self.sides[usize::from(self.direction == Direction::Referrers)]
    }

    pub(super) fn side_mut(&mut self) -> &mut Side {
        &mut self.sides[usize::from(self.direction == Direction::Referrers)]
    }

    /// The root is selected: turning round keeps the place.
    pub fn root_selected(&self) -> bool {
        self.side().selected == Line::Node(ROOT)
    }

    /// Shows the root's references the other way.
    pub fn turn_round(&mut self) {
        self.direction = self.direction.reversed();
    }

    /// On a `… more` line: whose, and how many there are.
    pub fn paged(&self) -> Option<(NodeId, u64)> {
        let side = self.side();
        match side.selected {
            Line::Before(id) | Line::After(id) => Some((id, side.node(id)?.total?)),
            _ => None,
        }
    }

    /// Loads the page that the selected `…` line announces.
    pub fn page(&mut self) {
        let side = self.side_mut();
        side.page(side.selected);
    }

    /// Puts the cursor on a line.
    pub fn choose_line(&mut self, line: Line) {
        self.side_mut().select(line);
    }

    /// Goes to a child by its index.
    pub fn go_to_index(&mut self, parent: NodeId, index: u64) {
        self.side_mut().go_to_index(parent, index);
    }

    /// The next unfolded line with the text searched for, round the end.
    fn find(&mut self, backwards: bool) {
        let side = self.side();
        let (lines, len) = (side.lines(), side.lines().len());
        let here = side.position();
        if self.search.is_empty() || len == 0 {
            return;
        }
        let found = (1..=len)
            .map(|step| lines[if backwards { here + len - step } else { here + step } % len])
            .find(|line| side.text_of(*line).is_some_and(|text| hit(&text, &self.search)));
        if let Some(line) = found {
            self.side_mut().select(line);
        }
    }
}

impl State for TreePane {
    fn context(&self) -> Context {
        Context::TREE
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        let side = self.side_mut();
        match action {
            Action::Right => match side.selected {
                Line::Node(id) if side.is_open(id) => side.go(Motion::By(1)),
                Line::Node(id) => side.set_open(id, true),
                _ => {}
            },
            Action::Left => match side.selected {
                Line::Node(id) if side.is_open(id) => side.set_open(id, false),
                line => side.select_parent(line),
            },
            Action::Toggle => match side.selected {
                Line::Node(id) => side.set_open(id, !side.is_open(id)),
                line => side.page(line),
            },
            Action::Next => self.find(false),
            Action::Previous => self.find(true),
            other => {
                if let Some(motion) = Motion::of(other, rows) {
                    side.go(motion);
                }
            }
        }
    }

    fn go(&mut self, motion: Motion) {
        self.side_mut().go(motion);
    }

    /// Its lines are the widget's: the view knows which one is where.
    fn choose(&mut self, _: u64) -> bool {
        false
    }

    fn filter(&self) -> &str {
        &self.search
    }

    /// Sets what to look for, and goes to the nearest hit.
    fn set_filter(&mut self, text: &str, _: &mut Desk) {
        self.search = text.to_owned();
        let (side, search) = (self.side(), &self.search);
        if !search.is_empty() && !side.text_of(side.selected).is_some_and(|t| hit(&t, search)) {
            self.find(false);
        }
    }

    fn subject(&self) -> Option<Subject> {
        let side = self.side();
        let Line::Node(id) = side.selected else { return None };
        let node = side.node(id)?;
        let name = match &node.edge {
            Some(edge) if !edge.edge.is_empty() => edge.edge.clone(),
            _ => node.address.to_string(),
        };
        Some(Subject { address: node.address, name })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.head.want(Some(self.root), desk);
        let direction = self.direction;
        self.side_mut().ask(direction, desk);
        if sight.side {
            let address = self.subject().map(|s| s.address);
            self.detail.want(address, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        match answer {
            Answer::Edges(edges) => {
                let [a, b] = &mut self.sides;
                match a.accept(ticket, edges) {
                    Err(edges) => b.accept(ticket, edges).is_ok(),
                    Ok(()) => true,
                }
            }
            Answer::Object(object) => {
                let again = Answer::Object(object.clone());
                let head = self.head.answer(ticket, again);
                if head {
                    self.sides.iter_mut().for_each(Side::touch); // the root's line says more now
                }
                head || self.detail.answer(ticket, Answer::Object(object))
            }
            _ => false,
        }
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.sides.iter_mut().any(|side| side.refuse(ticket, reason))
            || self.head.slot.refuse(ticket, reason)
            || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.sides.iter_mut().for_each(Side::resume);
        self.head.slot.forget_open();
        self.detail.slot.forget_open();
    }
}

fn hit(text: &str, search: &str) -> bool {
    match search.strip_prefix('!') {
        Some(rest) => !contains(text, rest),
        None => contains(text, search),
    }
}
