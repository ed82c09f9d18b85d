//! The start page: what stands out, and the biggest types; each line leads to its screen.
//!
//! The findings themselves belong to the explorer as a whole, since the tabs tell of them too; here is only where the
//! cursor is.

use super::{Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{Finding, Footprint, TypeRow, Types};
use crate::tui::ask::Desk;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Ticket};
use std::sync::Arc;

/// Types that are listed at most; the type table has all.
pub const TYPES: usize = 40;

/// What a line of the page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A sentence.
    Finding(usize),
    /// A type.
    Type(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub struct OverviewPane {
    /// More important ones first.
    pub findings: Vec<Finding>,
    /// The type table.
    pub types: Arc<Types>,
    /// Where the memory went, once that is added up.
    pub footprint: Option<Arc<Footprint>>,
    /// The cursor among findings and types.
    pub scroll: Scroll,
    /// The person moved the cursor: it stays on its line while others come.
    moved: bool,
}

impl OverviewPane {
    /// How many types are listed.
    pub fn types_shown(&self) -> usize {
        self.types.types.len().min(TYPES)
    }

    /// The line at a place of the page.
    pub fn item(&self, at: u64) -> Option<Item> {
        let at = usize::try_from(at).ok()?;
        match at.checked_sub(self.findings.len()) {
            None => Some(Item::Finding(at)),
            Some(at) if at < self.types_shown() => Some(Item::Type(at)),
            Some(_) => None,
        }
    }

    /// The selected line.
    pub fn current(&self) -> Option<Item> {
        self.item(self.scroll.row)
    }

    /// The selected type.
    pub fn current_type(&self) -> Option<&TypeRow> {
        match self.current()? {
            Item::Type(at) => self.types.types.get(at),
            Item::Finding(_) => None,
        }
    }

    /// The selected sentence.
    pub fn current_finding(&self) -> Option<&Finding> {
        match self.current()? {
            Item::Finding(at) => self.findings.get(at),
            Item::Type(_) => None,
        }
    }

    fn total(&self) -> u64 {
        (self.findings.len() + self.types_shown()) as u64
    }

    /// Shows what is known now; the cursor stays with its line.
    pub fn replace(&mut self, findings: &[Finding], types: &Arc<Types>) {
        let before = self.current_finding().cloned();
        let (old, new) = (self.findings.len() as u64, findings.len() as u64);
        self.findings = findings.to_vec();
        self.types = types.clone();
        if self.moved {
            let at = before.map(|b| self.findings.iter().position(|f| *f == b).map(|at| at as u64));
            self.scroll.row = match at {
                Some(at) => at.unwrap_or(0),
                None => (self.scroll.row + new).saturating_sub(old),
            };
        }
    }
}

impl State for OverviewPane {
    fn context(&self) -> Context {
        Context::OVERVIEW
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            self.go(motion);
        }
    }

    fn go(&mut self, motion: Motion) {
        self.moved = true;
        self.scroll.go(motion, self.total());
    }

    fn choose(&mut self, item: u64) -> bool {
        let there = item < self.total();
        if there {
            self.go(Motion::To(item));
        }
        there
    }

    fn ask(&mut self, _: Sight, _: &mut Desk) {
        self.scroll.settle(self.total(), u64::MAX);
    }

    fn answer(&mut self, _: Ticket, _: Answer) -> bool {
        false
    }

    fn refuse(&mut self, _: Ticket, _: &str) -> bool {
        false
    }

    fn resume(&mut self) {}

    fn subject(&self) -> Option<Subject> {
        use crate::analysis::answers::Subject as About;
        match self.current_finding().map(|finding| finding.subject) {
            Some(Some(About::Object(address) | About::Type(address) | About::Task(address))) => {
                Some(Subject { address, name: address.to_string() })
            }
            Some(_) => None,
            None => self.current_type().map(|row| Subject { address: row.address, name: format!("type {}", row.name) }),
        }
    }
}
