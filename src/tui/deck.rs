//! The explorers of several processes, one of which is seen.
//!
//! Each has a worker and a state of its own, and knows nothing of the others but what a [`Companion`] tells. What
//! happens goes to the one that is seen, what a worker says to its own; what belongs to the terminal goes along.

use super::app::App;
use super::event::{Effect, Event, Turn};
use super::update::{go, unseen, update};
use crate::analysis::answers::{SnapshotInfo, Types};
use crate::worker::protocol::Update;
use std::sync::Arc;

/// What is told of a process beside others.
#[derive(Debug, Clone, Default)]
pub struct Companion {
    /// Its head line, once it is open.
    pub info: Option<SnapshotInfo>,
    /// Its type table, once that is complete.
    pub types: Option<Arc<Types>>,
    /// It cannot be read.
    pub failed: bool,
}

/// All processes that are open, in the order of the command line.
pub type Company = Arc<Vec<Companion>>;

/// See the module.
pub struct Deck {
    apps: Vec<App>,
    at: usize,
}

impl Deck {
    /// The first one is seen; `apps` has one at least.
    pub fn new(apps: Vec<App>) -> Deck {
        let mut deck = Deck { apps, at: 0 };
        for (place, app) in deck.apps.iter_mut().enumerate() {
            app.place = place;
        }
        deck.introduce();
        let n = deck.apps.len();
        if let Some(app) = deck.apps.first_mut().filter(|_| n > 1) {
            app.say(format!("{n} processes: }} shows the next one, 9 compares all"));
        }
        deck
    }

    /// The one that is seen.
    pub fn seen(&mut self) -> &mut App {
        &mut self.apps[self.at]
    }

    /// Lets an event happen to the explorer at a place, or to the one that is seen; what should happen, and for whom.
    pub fn update(&mut self, place: Option<usize>, event: Event) -> Vec<(usize, Effect)> {
        let place = place.unwrap_or(self.at);
        let Some(app) = self.apps.get_mut(place) else { return Vec::new() };
        let news = match &event {
            Event::Worker(update) => match &**update {
                Update::Types { complete, .. } => *complete,
                Update::Opened { .. } | Update::Failed { .. } => true,
                _ => false,
            },
            _ => false,
        };
        let effects = if place == self.at { update(app, event) } else { unseen(app, event) };
        let mut all: Vec<_> = effects.into_iter().map(|effect| (place, effect)).collect();
        if news && self.apps.len() > 1 {
            self.introduce();
            // the pane that compares asks anew
            all.extend(self.show());
        }
        let turned =
            all.iter().find_map(|(_, effect)| if let Effect::Turn(turn) = effect { Some(*turn) } else { None });
        all.retain(|(_, effect)| !matches!(effect, Effect::Turn(_)));
        if let Some(turn) = turned {
            all.extend(self.turn(turn));
        }
        all
    }

    /// Tells every explorer of all.
    fn introduce(&mut self) {
        let told = |app: &App| Companion {
            info: app.info.clone(),
            types: app.complete.then(|| app.types.clone()),
            failed: app.failed.is_some(),
        };
        // of two snapshots of a process the first one counts
        let first = |app: &App| match &app.other {
            Some(other) if app.is_newer => told(other),
            _ => told(app),
        };
        let company: Company = Arc::new(self.apps.iter().map(first).collect());
        for app in &mut self.apps {
            app.company.clone_from(&company);
            if let Some(other) = &mut app.other {
                other.company.clone_from(&company);
                other.place = app.place;
            }
        }
    }

    fn show(&mut self) -> Vec<(usize, Effect)> {
        let at = self.at;
        update(self.seen(), Event::Shown).into_iter().map(|effect| (at, effect)).collect()
    }

    fn turn(&mut self, turn: Turn) -> Vec<(usize, Effect)> {
        let n = self.apps.len();
        let (to, of_type) = match turn {
            Turn::By(by) => ((self.at as isize + isize::from(by)).rem_euclid(n as isize) as usize, None),
            Turn::To(to, of_type) => (to.min(n - 1), of_type),
        };
        if to != self.at {
            let from = self.seen();
            let (size, clock, mouse, side) = (from.size, from.clock, from.mouse, from.side);
            let commands = std::mem::take(&mut from.commands);
            let in_comparison = from.pane().tab() == 9 && of_type.is_none() && matches!(turn, Turn::By(_));
            self.at = to;
            let app = self.seen();
            (app.size, app.clock, app.mouse, app.side, app.commands) = (size, clock, mouse, side, commands);
            if in_comparison {
                go::tab(app, 9); // the comparison stays in sight
            }
        }
        if let Some(address) = of_type {
            go::objects_at(self.seen(), address);
        } else if matches!(turn, Turn::To(..)) && self.seen().pane().tab() == 9 {
            go::tab(self.seen(), 1);
        }
        self.show()
    }
}
