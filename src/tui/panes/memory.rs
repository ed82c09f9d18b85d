//! Where the resident memory went: rows that add up to it, what each consists of, and the biggest blocks.
//!
//! A list that unfolds: kinds of memory to what they consist of, then large blocks, arenas, heaps and mappings. The
//! numbers are the answer's; how a line looks is [`view`](crate::tui::view)'s. With a filter the lists are unfolded, and
//! only lines that have a size of their own are there: what is told of the whole would not be true of them.

use super::{Detail, Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{Footprint, MapRow};
use crate::analysis::memory::{FIELDS, Line, of_line};
use crate::analysis::query::QueryError;
use crate::snapshot::Addr;
use crate::tui::arrange::contains;
use crate::tui::ask::{Desk, Slot};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Request, Ticket};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Lists below the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// The largest blocks.
    Large,
    /// pymalloc's arenas.
    Arenas,
    /// malloc's heaps.
    Heaps,
    /// Mappings.
    Regions,
}

impl Section {
    /// In the order of the screen.
    pub const ALL: [Section; 4] = [Section::Large, Section::Arenas, Section::Heaps, Section::Regions];

    /// How many lines it has.
    pub fn len(self, of: &Footprint) -> usize {
        match self {
            Section::Large => of.large.len(),
            Section::Arenas => of.arenas.as_ref().map_or(0, |a| a.arenas.len()),
            Section::Heaps => of.heaps.len(),
            Section::Regions => of.regions.len(),
        }
    }

    /// One of its lines.
    pub fn line(self, of: &Footprint, i: usize) -> Option<Line<'_>> {
        match self {
            Section::Large => of.large.get(i).map(Line::Large),
            Section::Arenas => of.arenas.as_ref()?.arenas.get(i).map(Line::Arena),
            Section::Heaps => of.heaps.get(i).map(Line::Heap),
            Section::Regions => of.regions.get(i).map(Line::Region),
        }
    }
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// A usual cause that applies, in a sentence.
    Finding(usize),
    /// What could not be read, in a sentence.
    Problem(usize),
    /// A kind of memory.
    Kind(usize),
    /// What it consists of.
    Part(usize, usize),
    /// The sum of the kinds.
    Sum,
    /// The head of a list.
    Section(Section),
    /// A line of it.
    Item(Section, usize),
}

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryPane {
    /// Waits for the answer.
    pub slot: Slot,
    /// The answer.
    pub footprint: Option<Arc<Footprint>>,
    /// A text or a query.
    pub filter: Filter,
    /// Cursor.
    pub scroll: Scroll,
    /// About the selected object.
    pub detail: Detail,
    /// What is shown, from the top.
    pub rows: Vec<Row>,
    /// Bytes of the largest mapping.
    pub longest: u64,
    left: HashMap<Section, usize>,
    unfolded: HashSet<Row>,
    /// Lists that are folded in spite of the filter.
    folded: HashSet<Row>,
    /// The kind of a finding that the cursor goes to once it is there.
    wanted: Option<&'static str>,
}

impl MemoryPane {
    /// Puts the cursor on a finding, now or when the answer is there.
    pub fn go_to(&mut self, kind: &'static str) {
        self.wanted = Some(kind);
        self.filter = Filter::default();
        self.arrange();
        self.seek();
    }

    fn seek(&mut self) {
        let (Some(kind), Some(footprint)) = (self.wanted, &self.footprint) else { return };
        self.wanted = None;
        if let Some(at) = footprint.findings.iter().position(|finding| finding.kind == kind) {
            self.select(Row::Finding(at));
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

    /// Whether what belongs to a line is shown below it; `None`: nothing does.
    pub fn fold(&self, row: Row) -> Option<bool> {
        let footprint = self.footprint.as_ref()?;
        let has = match row {
            Row::Kind(i) => footprint.rows.get(i).is_some_and(|kind| !kind.parts.is_empty()),
            Row::Section(section) => section.len(footprint) > 0,
            _ => false,
        };
        has.then(|| self.is_unfolded(row))
    }

    fn is_unfolded(&self, row: Row) -> bool {
        match row {
            Row::Section(_) if self.filter.narrows() => !self.folded.contains(&row),
            row => self.unfolded.contains(&row),
        }
    }

    /// How many lines of a list the filter leaves.
    pub fn left(&self, section: Section) -> usize {
        self.left.get(&section).copied().unwrap_or(0)
    }

    fn keeps(&self, line: Line<'_>) -> bool {
        self.filter.wanted().keeps(|typed| says(line, typed), |field| of_line(line, field))
    }

    /// The object that the selected line is about.
    pub fn object(&self) -> Option<Addr> {
        let footprint = self.footprint.as_ref()?;
        match self.current()? {
            Row::Item(Section::Large, i) => footprint.large.get(i)?.owner,
            Row::Item(Section::Arenas, i) => footprint.arenas.as_ref()?.arenas.get(i)?.holder,
            _ => None,
        }
    }

    /// The address that the selected line is about.
    pub fn place(&self) -> Option<Addr> {
        let footprint = self.footprint.as_ref()?;
        let Row::Item(section, i) = self.current()? else { return None };
        match section {
            Section::Large => footprint.large.get(i).map(|block| block.address),
            Section::Arenas => footprint.arenas.as_ref()?.arenas.get(i).map(|arena| arena.start),
            Section::Heaps => footprint.heaps.get(i).map(|heap| heap.start),
            Section::Regions => footprint.regions.get(i).map(|region| region.start),
        }
    }

    /// Folds or unfolds a line.
    pub fn toggle(&mut self, row: Row) {
        if self.fold(row).is_none() {
            return;
        }
        let by_filter = self.filter.narrows() && matches!(row, Row::Section(_));
        let turned = if by_filter { &mut self.folded } else { &mut self.unfolded };
        if !turned.remove(&row) {
            turned.insert(row);
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
        let Some(footprint) = self.footprint.clone() else { return };
        let whole = !self.filter.narrows();
        if whole {
            self.rows.extend((0..footprint.findings.len()).map(Row::Finding));
            self.rows.extend((0..footprint.problems.len()).map(Row::Problem));
        }
        for (i, kind) in footprint.rows.iter().enumerate() {
            if !self.keeps(Line::Kind(kind)) {
                continue;
            }
            self.rows.push(Row::Kind(i));
            if self.unfolded.contains(&Row::Kind(i)) {
                self.rows.extend((0..kind.parts.len()).map(|part| Row::Part(i, part)));
            }
        }
        self.rows.extend(whole.then_some(Row::Sum));
        for section in Section::ALL {
            let kept = |i: &usize| section.line(&footprint, *i).is_some_and(|line| self.keeps(line));
            let items: Vec<Row> = (0..section.len(&footprint)).filter(kept).map(|i| Row::Item(section, i)).collect();
            self.left.insert(section, items.len());
            if items.is_empty() {
                continue;
            }
            self.rows.push(Row::Section(section));
            if self.is_unfolded(Row::Section(section)) {
                self.rows.extend(items);
            }
        }
    }
}

/// Whether a line has a text somewhere: upper case is exact.
fn says(line: Line<'_>, text: &str) -> bool {
    let said = |said: Option<&str>| said.is_some_and(|said| contains(said, text));
    said(line.label())
        || match line {
            Line::Kind(row) => {
                said(Some(row.kind)) || said(Some(&row.detail)) || row.parts.iter().any(|p| said(Some(&p.name)))
            }
            Line::Large(block) => said(block.type_name.as_deref()),
            Line::Region(region) => said(Some(region.kind)) || said(region.file.as_deref()),
            Line::Arena(_) | Line::Heap(_) => false,
        }
}

impl State for MemoryPane {
    fn context(&self) -> Context {
        Context::MEMORY
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            return self.go(motion);
        }
        let Some(row) = self.current() else { return };
        match (action, self.fold(row), row) {
            (Action::Toggle, ..) | (Action::Right, Some(false), _) | (Action::Left, Some(true), _) => self.toggle(row),
            (Action::Right, ..) => self.go(Motion::By(1)),
            (Action::Left, _, Row::Part(kind, _)) => self.select(Row::Kind(kind)),
            (Action::Left, _, Row::Item(section, _)) => self.select(Row::Section(section)),
            _ => {}
        }
    }

    fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.rows.len() as u64);
    }

    fn choose(&mut self, line: u64) -> bool {
        self.scroll.choose(line, self.rows.len() as u64)
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
            self.folded.clear();
            self.arrange();
        }
    }

    fn subject(&self) -> Option<Subject> {
        let address = self.object().or(self.place())?;
        Some(Subject { address, name: address.to_string() })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        if sight.indexed && self.footprint.is_none() {
            self.slot.want(Request::Memory, desk);
        }
        self.scroll.settle(self.rows.len() as u64, sight.rows);
        if sight.side && sight.indexed {
            let object = self.object();
            self.detail.want(object, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        match answer {
            Answer::Memory(footprint) => {
                let mine = self.slot.accept(ticket, true).is_some();
                if mine {
                    let bytes =
                        |region: &MapRow| region.parts.iter().fold(0, |sum: u64, p| sum.saturating_add(p.bytes));
                    self.longest = footprint.regions.iter().map(bytes).max().unwrap_or(0);
                    self.footprint = Some(footprint);
                    self.arrange();
                    self.seek();
                }
                mine
            }
            other => self.detail.answer(ticket, other),
        }
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.slot.refuse(ticket, reason) || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
        self.detail.slot.forget_open();
    }
}
