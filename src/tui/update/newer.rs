//! The newer snapshot beside the one that is shown: taking it, and going from one to the other.
//!
//! Each has an explorer's state of its own; the one that is not shown waits, and hears what is told of its snapshot.

use super::go;
use crate::analysis::answers::{Direction, Which};
use crate::snapshot::Addr;
use crate::tui::app::App;
use crate::tui::panes::Pane;
use crate::tui::panes::diff::DiffPane;
use crate::worker::protocol::{Answer, Request, SourceId, Ticket};

/// `R`: captures again. Comparing is with the first snapshot always.
pub(super) fn take(app: &mut App) {
    if app.is_newer {
        switch(app);
    }
    if app.comparing.is_waiting() {
        return app.say("it is being captured already");
    }
    app.comparing = Default::default();
    app.comparing.want(Request::Compare, &mut app.desk);
    app.say("a newer snapshot is taken and compared …");
}

/// `s`: the other snapshot.
pub(super) fn other(app: &mut App) {
    match (app.other.is_some(), app.is_newer) {
        (false, _) => app.say("no newer snapshot is open; R takes one"),
        (true, newer) => {
            switch(app);
            app.say(if newer { "this is the older snapshot" } else { "this is the newer snapshot; s goes back" });
        }
    }
}

/// Shows the other one; what belongs to the terminal stays.
fn switch(app: &mut App) {
    let Some(mut other) = app.other.take() else { return };
    (other.size, other.clock, other.mouse, other.side, other.theme) =
        (app.size, app.clock, app.mouse, app.side, app.theme);
    (other.work, other.commands) = (app.work.take(), std::mem::take(&mut app.commands));
    let effects = app.desk.take();
    std::mem::swap(app, &mut *other);
    effects.into_iter().for_each(|effect| app.desk.push(effect));
    app.other = Some(other);
}

/// Lets something happen to the explorer of another snapshot than the one that is shown.
pub(super) fn within(app: &mut App, source: SourceId, what: impl FnOnce(&mut App)) {
    if app.other.as_ref().is_some_and(|other| other.source == source) {
        switch(app);
        what(app);
        switch(app);
    }
}

/// A newer snapshot is open.
pub(super) fn opened(app: &mut App, source: SourceId) {
    let other = |app: &App| {
        let mut other = App::new(source, app.theme, app.mouse, app.size);
        other.is_newer = true;
        Box::new(other)
    };
    if app.is_newer {
        switch(app); // the one that is shown is about to be replaced
    }
    app.other = Some(other(app));
}

/// Takes the comparison; gives back what is none.
pub(super) fn answered(app: &mut App, ticket: Ticket, answer: Answer) -> super::Left {
    match answer {
        Answer::Compared(_, diff) => {
            if app.comparing.accept(ticket, true).is_some() {
                let pause = app.other.as_ref().and_then(|other| other.info.as_ref()?.pause_ms);
                let pause = pause.map(|ms| format!("paused {ms:.0} ms; ")).unwrap_or_default();
                app.problems.extend(diff.problems.iter().cloned());
                app.diff = Some(diff);
                if app.prompt.is_none() && app.overlay.is_none() {
                    go::tab(app, 7);
                }
                app.refresh();
                app.say(format!("{pause}s shows the newer snapshot; both are kept in memory"));
            }
            None
        }
        Answer::Drawn(path) => {
            if app.drawing.accept(ticket, true).is_some() {
                app.say(format!("written: {}", path.display()));
            }
            None
        }
        other => Some(other),
    }
}

/// Enter in the comparison.
pub(super) fn open(app: &mut App) {
    let Pane::Diff(pane) = app.history.here_mut() else { return };
    if let Some(row) = pane.type_at(pane.scroll.row) {
        let (crumb, next) = (row.name.clone(), DiffPane::of_type(pane.diff.clone(), row));
        return app.history.drill(Pane::Diff(next.into()), crumb);
    }
    let Some(address) = pane.object_at(pane.scroll.row).map(|row| row.address) else { return };
    let is_new = pane.objects.as_ref().is_some_and(|changes| changes.which != Which::Freed);
    if !is_new {
        return go::tree(app, address, Direction::Referents, None);
    }
    other(app);
    if app.is_newer {
        go::jump_tree(app, address, Direction::Referents);
    }
}

/// `w`: the graph of the selected object, or of the paths to it.
pub(super) fn draw(app: &mut App) {
    let paths = matches!(app.pane(), Pane::Paths(_));
    let found: Option<Addr> = match app.pane() {
        Pane::Paths(pane) => Some(pane.address),
        pane => pane.subject().map(|subject| subject.address),
    };
    let Some(address) = found else { return app.say("no object is selected") };
    app.drawing = Default::default(); // the same may be drawn again
    app.drawing.want(Request::Draw { address, paths }, &mut app.desk);
}
