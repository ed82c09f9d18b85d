//! The state of the explorer: all that a screen is drawn from.
//!
//! It changes only in [`update`](super::update). It holds answers and wishes, no terminal and no thread.

use super::arrange::RetainedByType;
use super::ask::{Desk, Slot};
use super::deck::Company;
use super::history::History;
use super::input::Input;
use super::keymap::Context;
use super::palette::Palette;
use super::panes::overview::OverviewPane;
use super::panes::tree::NodeId;
use super::panes::{Pane, Sight};
use super::theme::Theme;
use super::view::layout::Layout;
use crate::analysis::answers::{Aspect, Diff, Finding, Footprint, Retaining, Severity, SnapshotInfo, Types};
use crate::progress::Reading;
use crate::worker::protocol::{Answer, Request, SourceId, Stage, Ticket};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a message stays.
const MESSAGE: Duration = Duration::from_secs(6);

/// What is being typed.
#[derive(Debug)]
pub enum Prompt {
    /// The filter or search of the pane.
    Filter {
        /// The line.
        input: Input,
        /// The filter as it was, for Esc.
        before: String,
    },
    /// A command.
    Palette(Palette),
    /// The index of a child.
    Index {
        /// The line.
        input: Input,
        /// Whose child.
        node: NodeId,
        /// How many there are.
        total: u64,
    },
}

/// What lies over the pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// The keys, and what the columns mean.
    Help,
    /// What was wrong with the snapshot.
    Problems,
}

/// What the worker is busy with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Doing what.
    pub stage: Stage,
    /// How far.
    pub reading: Reading,
    /// Bytes a second.
    pub rate: Option<f64>,
}

/// A sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The sentence.
    pub text: String,
    /// Whether something went wrong.
    pub warning: bool,
    until: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct App {
    /// The snapshot shown.
    pub source: SourceId,
    /// Its head line, once it is open.
    pub info: Option<SnapshotInfo>,
    /// What was wrong with it.
    pub problems: Vec<String>,
    /// Why there is nothing to show.
    pub failed: Option<String>,
    /// The type table, as far as it is known.
    pub types: Arc<Types>,
    /// Whether every object is indexed.
    pub complete: bool,
    /// The scan was cancelled.
    pub unfinished: bool,
    /// What stands out, more important findings first.
    pub findings: Vec<Finding>,
    /// Where the memory went, once that is added up.
    pub footprint: Option<Arc<Footprint>>,
    /// Waits for it.
    pub adding_up: Slot,
    /// What types keep alive, once it is known.
    pub retained: RetainedByType,
    /// Waits for it.
    pub dominating: Slot,
    /// What tasks and threads keep alive, once it is known.
    pub retaining: Option<Arc<Retaining>>,
    /// Waits for it.
    pub weighing: Slot,
    /// Wait for the findings of each aspect.
    pub asked: [Slot; Aspect::ALL.len()],
    /// What the worker does now.
    pub work: Option<Work>,
    /// Where the person is and was.
    pub history: History<Pane>,
    /// What is being typed.
    pub prompt: Option<Prompt>,
    /// What lies over the pane, and its first line.
    pub overlay: Option<(Overlay, u16)>,
    /// Commands run before, oldest first.
    pub commands: Vec<String>,
    /// The latest message.
    pub message: Option<Message>,
    /// Whether the person wants the side panel; `None`: when there is room.
    pub side: Option<bool>,
    /// Whether the mouse is captured.
    pub mouse: bool,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Time since the start; the loop keeps it.
    pub clock: Duration,
    /// The last click: when and where.
    pub click: Option<(Duration, u16, u16)>,
    /// Colours.
    pub theme: Theme,
    /// Collects effects.
    pub desk: Desk,
    /// An address on its way to a pane.
    pub going: Slot,
    /// A snapshot being saved.
    pub saving: Slot,
    /// What is different in the newer snapshot.
    pub diff: Option<Arc<Diff>>,
    /// A newer snapshot being taken and compared.
    pub comparing: Slot,
    /// A graph being drawn.
    pub drawing: Slot,
    /// The other snapshot of the two.
    pub other: Option<Box<App>>,
    /// Whether this is the newer one.
    pub is_newer: bool,
    /// A newer snapshot is to be compared as soon as this one is indexed.
    pub wants_newer: bool,
    /// Every process that is open, this one too.
    pub company: Company,
    /// Which of them this is.
    pub place: usize,
    /// Whether the picture is out of date.
    pub dirty: bool,
}

impl App {
    /// An explorer that has not heard from its worker yet.
    pub fn new(source: SourceId, theme: Theme, mouse: bool, size: (u16, u16)) -> App {
        App {
            source,
            info: None,
            problems: Vec::new(),
            failed: None,
            types: Arc::default(),
            complete: false,
            unfinished: false,
            findings: Vec::new(),
            footprint: None,
            adding_up: Slot::default(),
            retained: RetainedByType::default(),
            dominating: Slot::default(),
            retaining: None,
            weighing: Slot::default(),
            asked: Default::default(),
            work: None,
            history: History::new(Pane::Overview(OverviewPane::default()), "Overview"),
            prompt: None,
            overlay: None,
            commands: Vec::new(),
            message: None,
            side: None,
            mouse,
            size,
            clock: Duration::ZERO,
            click: None,
            theme,
            desk: Desk::new(source),
            going: Slot::default(),
            saving: Slot::default(),
            diff: None,
            comparing: Slot::default(),
            drawing: Slot::default(),
            other: None,
            is_newer: false,
            wants_newer: false,
            company: Company::default(),
            place: 0,
            dirty: true,
        }
    }

    /// The pane the person sees.
    pub fn pane(&self) -> &Pane {
        &self.history.here().pane
    }

    /// Where keys go.
    pub fn context(&self) -> Context {
        match (&self.prompt, self.overlay) {
            (Some(Prompt::Palette(_)), _) => Context::PALETTE,
            (Some(_), _) => Context::FILTER,
            (None, Some(_)) => Context::OVERLAY,
            (None, None) => self.pane().context(),
        }
    }

    /// Where everything is on the screen.
    pub fn layout(&self) -> Layout {
        self.layout_at(self.size)
    }

    /// Where everything is on a screen of another size: a terminal may shrink before it says so.
    pub fn layout_at(&self, size: (u16, u16)) -> Layout {
        Layout::of(size, self.pane().context(), self.side)
    }

    /// How much of the pane can be seen.
    pub fn sight(&self) -> Sight {
        let layout = self.layout();
        Sight { rows: layout.rows, side: layout.side.is_some(), indexed: self.complete }
    }

    /// Tells the person something.
    pub fn say(&mut self, text: impl Into<String>) {
        self.message = Some(Message { text: text.into(), warning: false, until: self.clock + MESSAGE });
    }

    /// Tells the person what went wrong.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.message = Some(Message { text: text.into(), warning: true, until: self.clock + MESSAGE });
    }

    /// Lets an old message go; true when there was one.
    pub fn expire(&mut self) -> bool {
        let old = self.message.as_ref().is_some_and(|m| m.until <= self.clock);
        if old {
            self.message = None;
        }
        old
    }

    /// Asks what stands out, from every side, once that can be told.
    pub fn ask_findings(&mut self) {
        for (aspect, slot) in Aspect::ALL.iter().zip(&mut self.asked).filter(|_| self.complete) {
            slot.want(Request::Findings(*aspect), &mut self.desk);
        }
    }

    /// Takes findings; gives back what is none that was asked for.
    pub fn found(&mut self, ticket: Ticket, answer: Answer) -> Option<Answer> {
        let (aspect, findings) = match answer {
            Answer::Findings(aspect, findings) => (aspect, findings),
            Answer::Memory(footprint) if self.adding_up.accept(ticket, true).is_some() => {
                self.footprint = Some(footprint);
                self.refresh();
                return None;
            }
            Answer::RetainedTypes(types) if self.dominating.accept(ticket, true).is_some() => {
                let bytes = types.types.iter().map(|of| (of.row.address, of.retained_bytes));
                self.retained = bytes.collect::<HashMap<_, _>>().into();
                self.refresh();
                return None;
            }
            Answer::Retaining(retaining) if self.weighing.accept(ticket, true).is_some() => {
                self.retaining = Some(retaining);
                self.refresh();
                return None;
            }
            other => return Some(other),
        };
        if self.asked.iter_mut().any(|slot| slot.accept(ticket, true).is_some()) {
            if aspect == Aspect::Leaks {
                self.dominating.want(Request::RetainedTypes, &mut self.desk); // likewise
                self.weighing.want(Request::Retaining, &mut self.desk);
            }
            if aspect == Aspect::Memory {
                self.adding_up.want(Request::Memory, &mut self.desk); // it is there now
            }
            self.findings.retain(|finding| finding.aspect != aspect);
            self.findings.extend(findings);
            self.findings.sort_by_key(|finding| (finding.severity, finding.aspect));
            self.refresh();
        }
        None
    }

    /// The sides from which nothing is told yet although it was asked.
    pub fn outstanding(&self) -> impl Iterator<Item = (Aspect, Option<&str>)> {
        let asked = Aspect::ALL.iter().zip(&self.asked);
        asked.filter(|(_, slot)| slot.is_waiting() || slot.refusal().is_some()).map(|(a, slot)| (*a, slot.refusal()))
    }

    /// Gives the pane the newest of what belongs to the explorer as a whole.
    pub fn refresh(&mut self) {
        match self.history.here_mut() {
            Pane::Diff(pane) if pane.objects.is_none() => pane.show(self.diff.as_ref()),
            Pane::Processes(pane) => pane.company.clone_from(&self.company),
            Pane::Types(pane) => pane.replace(&self.types, &self.retained, &mut self.desk),
            Pane::Tasks(pane) => pane.weigh(self.retaining.as_ref()),
            Pane::Threads(pane) => pane.weigh(self.retaining.as_ref()),
            Pane::Overview(pane) => {
                pane.replace(&self.findings, &self.types);
                pane.footprint.clone_from(&self.footprint);
            }
            _ => {}
        }
    }

    /// The mark behind a tab: how many deadlocks its pane has.
    pub fn mark(&self, tab: u8) -> Option<String> {
        let aspect = match tab {
            3 => Aspect::Tasks,
            4 => Aspect::Threads,
            _ => return None,
        };
        let stuck = self.findings.iter().filter(|f| f.aspect == aspect && f.severity == Severity::Stuck);
        // a sentence without a subject tells that there are more
        let (told, more) =
            stuck.fold((0, ""), |(n, more), f| if f.subject.is_some() { (n + 1, more) } else { (n, "+") });
        (told > 0).then(|| format!("✗{told}{more}"))
    }

    /// Whether the pane shows a part of its list.
    pub fn is_filtered(&self) -> bool {
        self.pane().is_list() && !self.pane().filter().is_empty()
    }

    /// Whether Esc cancels the running work rather than leaving a filter or a pane: when there is nothing to leave,
    /// or when a person asked for the work and waits for it. A scan goes on while the person walks about.
    pub fn escape_cancels(&self) -> bool {
        let filtered = self.is_filtered();
        self.work.is_some_and(|work| {
            self.history.at_top() && !filtered
                || matches!(work.stage, Stage::Linking | Stage::Searching | Stage::Saving | Stage::Comparing)
        })
    }
}
