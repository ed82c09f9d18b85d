//! Going places: into rows, back and forward, by tab and by command.

use super::Left;
use crate::analysis::answers::Direction;
use crate::snapshot::Addr;
use crate::tui::app::{App, Overlay};
use crate::tui::event::Effect;
use crate::tui::palette::{self, Command};
use crate::tui::panes::Pane;
use crate::tui::panes::hex::HexPane;
use crate::tui::panes::objects::ObjectsPane;
use crate::tui::panes::threads::Row;
use crate::tui::panes::tree::TreePane;
use crate::worker::protocol::{Answer, Request, Ticket};
use std::path::{Path, PathBuf};

/// Enter.
pub fn open(app: &mut App) {
    match app.history.here_mut() {
        Pane::Types(pane) => {
            let Some(row) = pane.current() else { return };
            let next = ObjectsPane::new(Some(row.address), &row.name, row.count);
            let crumb = row.name.clone();
            app.history.drill(Pane::Objects(next), crumb);
        }
        Pane::Objects(pane) => {
            let Some(address) = pane.current().map(|row| row.address) else { return };
            tree(app, address, Direction::Referents, None);
        }
        Pane::Tree(pane) => {
            if pane.paged().is_some() {
                pane.page();
            } else if pane.root_selected() {
                pane.act(crate::tui::keymap::Action::Toggle, 0);
            } else if let Some(subject) = pane.subject() {
                let direction = pane.direction;
                tree(app, subject.address, direction, Some(subject.name));
            }
        }
        Pane::Threads(pane) => match (pane.current(), pane.subject()) {
            (Some(row @ (Row::Thread(_) | Row::Frame(..))), _) => pane.toggle(row),
            (_, Some(subject)) => tree(app, subject.address, Direction::Referents, Some(subject.name)),
            _ => {}
        },
        Pane::Hex(pane) => match pane.pointer(pane.cursor).map(|word| word.object) {
            Some(object) => hex(app, object, true),
            None => app.say("this word is not the address of an object"),
        },
    }
}

fn tree(app: &mut App, address: Addr, direction: Direction, name: Option<String>) {
    let crumb = name.unwrap_or_else(|| address.to_string());
    app.history.drill(Pane::Tree(TreePane::new(address, direction).into()), crumb);
}

/// To the memory of an address: a step from here, or a pane of its own.
pub fn hex(app: &mut App, address: Addr, drill: bool) {
    let pane = Pane::Hex(HexPane::new(address).into());
    if drill {
        app.history.drill(pane, format!("hex {address}"));
    } else {
        app.history.jump(pane, format!("Hex {address}"));
    }
}

/// `x`: the memory of the selected object.
pub fn hex_of_subject(app: &mut App) {
    match app.pane().subject() {
        Some(subject) => hex(app, subject.address, true),
        None => app.say("no object is selected"),
    }
}

/// `t`: what the selected object holds.
pub fn tree_of_subject(app: &mut App) {
    match app.pane().subject() {
        Some(subject) => tree(app, subject.address, Direction::Referents, Some(subject.name)),
        None => app.say("no object is selected"),
    }
}

/// `r`: who holds the selected object; in a tree the other way round.
pub fn turn_round(app: &mut App) {
    let Some(subject) = app.pane().subject() else {
        app.say("no object is selected");
        return;
    };
    match app.history.here_mut() {
        Pane::Tree(pane) if pane.root_selected() => pane.turn_round(),
        Pane::Tree(pane) => {
            let direction = pane.direction.reversed();
            tree(app, subject.address, direction, Some(subject.name));
        }
        _ => tree(app, subject.address, Direction::Referrers, Some(subject.name)),
    }
}

/// Back or forward; false at the end of the way.
pub fn walk(app: &mut App, forward: bool) -> bool {
    let moved = if forward { app.history.forward() } else { app.history.back() };
    if moved {
        resume(app);
    }
    moved
}

fn resume(app: &mut App) {
    let pane = app.history.here_mut();
    pane.resume();
    if let Pane::Types(pane) = pane {
        pane.replace(&app.types, &mut app.desk); // the scan went on meanwhile
    }
}

/// A number key or a click on a tab.
pub fn tab(app: &mut App, number: u8) {
    match number {
        1 if matches!(app.pane(), Pane::Types(_)) => {}
        1 => {
            // The table as it was left: walk back to it
            while !matches!(app.pane(), Pane::Types(_)) && app.history.back() {}
            resume(app);
        }
        2 if matches!(app.pane(), Pane::Threads(_)) => {}
        2 => app.history.jump(Pane::Threads(Default::default()), "Threads".into()),
        3 if matches!(app.pane(), Pane::Hex(_)) => {}
        3 => match app.pane().subject() {
            Some(subject) => hex(app, subject.address, false),
            None => app.say("no address yet: select a row, or type : and an address"),
        },
        _ => {}
    }
}

/// Runs a line of the palette.
pub fn run(app: &mut App, line: &str) {
    let command = match palette::parse(line) {
        Ok(command) => command,
        Err(reason) => return app.warn(reason),
    };
    if app.commands.last().is_none_or(|last| last != line) {
        app.commands.push(line.to_owned());
    }
    match command {
        Command::Types => tab(app, 1),
        Command::Threads => tab(app, 2),
        Command::Objects(name) => objects(app, name),
        Command::Referents(address) => jump_tree(app, address, Direction::Referents),
        Command::Referrers(address) => jump_tree(app, address, Direction::Referrers),
        Command::Hex(address) => hex(app, address, false),
        Command::Save(path) => {
            let path = from_home(path);
            app.saving = Default::default(); // the same path may be tried again
            app.saving.want(Request::Save { path }, &mut app.desk);
        }
        Command::Help => app.overlay = Some((Overlay::Help, 0)),
        Command::Quit => app.desk.push(Effect::Quit),
        Command::GoTo(address) => {
            app.going = Default::default();
            app.going.want(Request::Object { address }, &mut app.desk);
        }
    }
}

fn jump_tree(app: &mut App, address: Addr, direction: Direction) {
    app.history.jump(Pane::Tree(TreePane::new(address, direction).into()), address.to_string());
}

fn objects(app: &mut App, name: Option<String>) {
    let Some(name) = name else {
        let pane = ObjectsPane::new(None, "", app.types.total.count);
        return app.history.jump(Pane::Objects(pane), "all objects".into());
    };
    let exact = app.types.types.iter().find(|row| row.name == name);
    let suffix = || app.types.types.iter().find(|row| row.name.rsplit('.').next() == Some(&name));
    match exact.or_else(suffix) {
        Some(row) => {
            let (pane, crumb) = (ObjectsPane::new(Some(row.address), &row.name, row.count), row.name.clone());
            app.history.jump(Pane::Objects(pane), crumb);
        }
        None if app.complete => app.warn(format!("no object has the type {name}")),
        None => app.warn(format!("no object of the type {name} was found so far")),
    }
}

/// People write `~/` in a command line, and no shell reads this one.
fn from_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path,
    }
}

/// Takes answers to questions of the explorer as a whole; gives the others back.
pub fn answered(app: &mut App, ticket: Ticket, answer: Answer) -> Left {
    match answer {
        Answer::Object(object) => {
            let Some(Request::Object { address }) = app.going.accept(ticket, true) else {
                return Some(Answer::Object(object));
            };
            let address = *address;
            match object {
                Some(object) => jump_tree(app, object.address, Direction::Referents),
                None => {
                    app.say(format!("no object begins at {address}"));
                    hex(app, address, false);
                }
            }
            None
        }
        Answer::Saved(path) => {
            if app.saving.accept(ticket, true).is_some() {
                app.say(format!("saved in {}", path.display()));
            }
            None
        }
        other => Some(other),
    }
}
