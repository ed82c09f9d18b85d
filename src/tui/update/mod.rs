//! What an event does: state in, state and effects out.
//!
//! Nothing here waits, draws or touches the terminal, so every behaviour can be tested by handing in events.

pub(super) mod go;
mod keys;
mod mouse;
mod newer;

use super::app::App;
use super::event::{Effect, Event};
use super::panes::Pane;
use crate::worker::protocol::{Answer, Update};

/// Lets an event happen.
pub fn update(app: &mut App, event: Event) -> Vec<Effect> {
    match event {
        Event::Tick => {
            if !app.expire() {
                return app.desk.take(); // nothing changed: the picture stays
            }
        }
        Event::Key(key) => keys::key(app, key),
        Event::Mouse(event) => mouse::mouse(app, event),
        Event::Paste(text) => keys::paste(app, &text),
        Event::Shown => app.refresh(),
        Event::Resize(columns, rows) => app.size = (columns, rows),
        Event::Worker(update) => told(app, *update),
        Event::InputGone => app.desk.push(Effect::Quit),
        Event::WorkerGone => {
            app.work = None;
            if app.failed.is_none() {
                let said = "the background thread stopped: what is on the screen is all there is";
                app.problems.push(said.into());
                app.warn(said);
            }
        }
        Event::Arranged(arrangement) => {
            if let Pane::Types(pane) = app.history.here_mut() {
                pane.arranged(arrangement);
            }
        }
    }
    settle(app);
    app.dirty = true;
    app.desk.take()
}

/// Lets an event happen to an explorer that nobody sees: it takes what is told and asks for nothing.
pub fn unseen(app: &mut App, event: Event) -> Vec<Effect> {
    match event {
        Event::Worker(update) => told(app, *update),
        Event::Arranged(_) | Event::WorkerGone => return update(app, event),
        _ => {}
    }
    app.desk.take()
}

/// Asks for what the screen misses now.
fn settle(app: &mut App) {
    let sight = app.sight();
    app.history.here_mut().ask(sight, &mut app.desk);
    app.ask_findings();
    if let Pane::Hex(pane) = app.history.here_mut()
        && let Some(text) = pane.told.take()
    {
        app.say(text);
    }
}

/// What the worker says about the snapshot that is shown; others are not shown yet.
fn told(app: &mut App, update: Update) {
    let shown = app.source;
    let about = match &update {
        Update::Opened { source, .. } | Update::Types { source, .. } => Some(*source),
        Update::Answered { ticket, .. } | Update::Refused { ticket, .. } => Some(ticket.source),
        _ => None, // one worker works for all
    };
    if let Some(source) = about.filter(|source| *source != shown) {
        if matches!(update, Update::Opened { .. }) {
            newer::opened(app, source);
        }
        return newer::within(app, source, |app| told(app, update));
    }
    match update {
        Update::Opened { source, info, problems } if source == shown => {
            app.info = Some(info);
            app.problems.extend(problems);
        }
        Update::Progress { stage, reading, rate, .. } => {
            app.work = Some(super::app::Work { stage, reading, rate });
        }
        Update::Idle { .. } => app.work = None,
        Update::Types { source, types, complete, problems } if source == shown => {
            app.types = types;
            app.problems.extend(problems);
            if complete && !app.complete {
                app.history.here_mut().resume(); // what was refused for want of an index may be answered now
            }
            app.complete = complete;
            if complete && std::mem::take(&mut app.wants_newer) {
                newer::take(app);
            }
            app.refresh();
        }
        Update::Answered { ticket, answer } if ticket.source == shown => {
            let rest = app.found(ticket, answer);
            let rest = rest.and_then(|answer| newer::answered(app, ticket, answer));
            if let Some(answer) = rest.and_then(|answer| go::answered(app, ticket, answer)) {
                app.history.here_mut().answer(ticket, answer);
            }
        }
        Update::Refused { ticket, reason } if ticket.source == shown => {
            if app.asked.iter_mut().any(|slot| slot.refuse(ticket, &reason)) {
                return; // the start page says so
            }
            let asked = app.going.refuse(ticket, &reason)
                || app.adding_up.refuse(ticket, &reason)
                || app.dominating.refuse(ticket, &reason)
                || app.saving.refuse(ticket, &reason)
                || app.comparing.refuse(ticket, &reason)
                || app.drawing.refuse(ticket, &reason);
            if asked || app.history.here_mut().refuse(ticket, &reason) {
                app.warn(reason);
            }
        }
        Update::Unfinished { source } if source == shown => {
            app.unfinished = true;
            app.say("the scan was cancelled: what was found so far is shown; R begins it anew");
        }
        Update::Failed { source, reason } if source == shown => {
            app.work = None;
            app.failed = Some(reason);
        }
        _ => {}
    }
}

/// Whether an answer is to a question of the explorer as a whole.
type Left = Option<Answer>;
