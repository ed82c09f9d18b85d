//! Going places: into rows, back and forward, by tab and by command.

use super::Left;
use crate::analysis::answers::{Direction, RetainedRow, Subject, TypeRow};
use crate::snapshot::Addr;
use crate::tui::app::{App, Overlay};
use crate::tui::event::{Effect, Turn};
use crate::tui::palette::{self, Command};
use crate::tui::panes::Pane;
use crate::tui::panes::hex::HexPane;
use crate::tui::panes::memory::MemoryPane;
use crate::tui::panes::objects::ObjectsPane;
use crate::tui::panes::paths::{self, PathsPane};
use crate::tui::panes::processes::ProcessesPane;
use crate::tui::panes::retained::RetainedPane;
use crate::tui::panes::task_lines;
use crate::tui::panes::tasks::TasksPane;
use crate::tui::panes::threads::{Row, ThreadsPane};
use crate::tui::panes::tree::TreePane;
use crate::tui::panes::types::TypesPane;
use crate::tui::panes::{State, TABS};
use crate::worker::protocol::{Answer, Request, RetainedBy, Ticket};
use std::path::{Path, PathBuf};

/// Enter.
pub fn open(app: &mut App) {
    match app.history.here_mut() {
        Pane::Overview(pane) => {
            if let Some(row) = pane.current_type().cloned() {
                objects_of(app, &row);
            } else if let Some(finding) = pane.current_finding() {
                match finding.subject {
                    Some(subject) => follow(app, subject),
                    None => app.say("this sentence leads nowhere: it tells how many more there are"),
                }
            }
        }
        Pane::Types(pane) => {
            let Some(row) = pane.current().cloned() else { return };
            objects_of(app, &row);
        }
        Pane::Objects(pane) => {
            let Some(address) = pane.current().map(|row| row.address) else { return };
            tree(app, address, Direction::Referents, None);
        }
        Pane::Tree(pane) => {
            if pane.paged().is_some() {
                pane.page();
            } else if pane.root_selected() {
                pane.act(crate::tui::keymap::Action::Toggle, 0, &mut app.desk);
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
        Pane::Tasks(pane) => {
            use task_lines::Row as Line;
            let Some(row) = pane.current() else { return };
            let crowd = pane.known.as_ref().is_some_and(|known| known.is_crowd(row));
            match (row, pane.subject()) {
                (Line::More(_) | Line::Frame(..), _) => pane.toggle(row),
                _ if crowd => pane.toggle(row),
                (_, Some(subject)) => tree(app, subject.address, Direction::Referents, Some(subject.name)),
                _ => {}
            }
        }
        Pane::Retained(pane) => {
            let Some(row) = pane.current().cloned() else { return };
            match (pane.below(), pane.by, row.address) {
                (Some(by), ..) => {
                    let crumb = row.address.map_or_else(|| row.summary.clone(), |_| row.type_name.clone());
                    app.history.drill(Pane::Retained(RetainedPane::new(by, Some(row)).into()), crumb);
                }
                (None, RetainedBy::Types, Some(address)) => follow(app, Subject::Type(address)),
                (None, _, Some(address)) => tree(app, address, Direction::Referents, None),
                _ => app.say("nothing goes with it"),
            }
        }
        Pane::Paths(pane) => match pane.current() {
            Some(row @ paths::Row::Path(_)) => pane.toggle(row),
            Some(paths::Row::Weak) | None => {}
            Some(_) => {
                if let Some(subject) = pane.subject() {
                    tree(app, subject.address, Direction::Referents, Some(subject.name));
                }
            }
        },
        Pane::Memory(pane) => match (pane.current(), pane.object(), pane.place()) {
            (_, Some(object), _) => tree(app, object, Direction::Referents, None),
            (_, None, Some(place)) => hex(app, place, true),
            (Some(row), ..) => pane.toggle(row),
            _ => {}
        },
        Pane::Diff(_) => super::newer::open(app),
        Pane::Processes(pane) => {
            let turn = Turn::To(pane.column, pane.type_there());
            app.desk.push(Effect::Turn(turn));
        }
        Pane::Hex(pane) => match pane.pointer(pane.cursor).map(|word| word.object) {
            Some(object) => hex(app, object, true),
            None => app.say("this word is not the address of an object"),
        },
    }
}

/// To the objects of a type object, if it has any.
pub fn objects_at(app: &mut App, address: Addr) {
    follow(app, Subject::Type(address));
}

fn objects_of(app: &mut App, row: &TypeRow) {
    let next = ObjectsPane::new(Some(row.address), &row.name, row.count);
    app.history.drill(Pane::Objects(next), row.name.clone());
}

/// To what a sentence is about.
fn follow(app: &mut App, subject: Subject) {
    match subject {
        Subject::Object(address) => tree(app, address, Direction::Referents, None),
        Subject::Retained(address) => retained(app, address),
        Subject::Type(address) => {
            if let Some(row) = app.types.types.iter().find(|row| row.address == address).cloned() {
                objects_of(app, &row);
            }
        }
        Subject::Task(address) => {
            tab(app, 3);
            if let Pane::Tasks(pane) = app.history.here_mut() {
                pane.go_to(address);
            }
        }
        Subject::Memory(kind) => {
            tab(app, 6);
            if let Pane::Memory(pane) = app.history.here_mut() {
                pane.go_to(kind);
            }
        }
        Subject::Thread(native_id) => {
            tab(app, 4);
            if let Pane::Threads(pane) = app.history.here_mut() {
                pane.go_to(native_id);
            }
        }
    }
}

pub(super) fn tree(app: &mut App, address: Addr, direction: Direction, name: Option<String>) {
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

/// `p`: why the selected object is alive.
pub fn paths_of_subject(app: &mut App) {
    match app.pane().subject() {
        Some(subject) => {
            let crumb = format!("why {}", subject.name);
            app.history.drill(Pane::Paths(PathsPane::new(subject.address, subject.name).into()), crumb);
        }
        None => app.say("no object is selected"),
    }
}

/// What goes with an object, under its own line.
fn retained(app: &mut App, address: Addr) {
    let above = RetainedRow {
        address: Some(address),
        type_name: String::new(),
        shallow_bytes: 0,
        retained_bytes: 0,
        retained_count: 0,
        summary: address.to_string(),
        group: None,
    };
    let pane = RetainedPane::new(RetainedBy::Object(address), Some(above));
    app.history.drill(Pane::Retained(pane.into()), format!("retained by {address}"));
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
    app.history.here_mut().resume();
    app.refresh(); // the scan went on meanwhile
}

/// A number key or a click on a tab: the pane as it was left, or a new one.
pub fn tab(app: &mut App, number: u8) {
    if number == 7 && app.is_newer {
        super::newer::other(app); // the comparison is the older one's
    }
    let Some((_, name)) = TABS.iter().find(|(n, _)| *n == number) else { return };
    if number == 8 {
        return match app.pane().subject() {
            _ if matches!(app.pane(), Pane::Hex(_)) => {}
            Some(subject) => hex(app, subject.address, false),
            None => app.say("no address yet: select a row, or type : and an address"),
        };
    }
    // lists of objects and trees belong to a tab, but are not its own pane
    let own = |pane: &Pane| match pane {
        Pane::Objects(_) | Pane::Tree(_) | Pane::Paths(_) => false,
        Pane::Retained(pane) => number == 5 && pane.is_top(),
        Pane::Diff(pane) => number == 7 && pane.objects.is_none(),
        pane => pane.tab() == number,
    };
    if own(app.pane()) {
        return;
    }
    if !app.history.revisit(own) {
        let pane = match number {
            1 => Pane::Overview(Default::default()),
            2 => Pane::Types(TypesPane::new()),
            3 => Pane::Tasks(Box::<TasksPane>::default()),
            5 => Pane::Retained(RetainedPane::new(RetainedBy::Objects, None).into()),
            7 => Pane::Diff(Default::default()),
            9 => Pane::Processes(ProcessesPane::new(app.place).into()),
            4 => Pane::Threads(Box::<ThreadsPane>::default()),
            6 => Pane::Memory(Box::<MemoryPane>::default()),
            _ => return,
        };
        app.history.jump(pane, (*name).to_owned());
    }
    resume(app);
}

/// `R`: what was cancelled begins anew; when nothing was, the process is captured again.
pub fn again(app: &mut App) {
    let cancelled = app.asked.iter_mut().filter(|slot| slot.refusal().is_some());
    let findings = cancelled.map(|slot| slot.forget_open()).count();
    if app.unfinished {
        app.unfinished = false;
        app.types = Default::default();
        let ticket = app.desk.ticket();
        app.desk.push(Effect::Send(ticket, Request::Scan));
        app.history.here_mut().resume();
        app.refresh();
    } else if findings == 0 {
        super::newer::take(app);
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
        Command::Overview => tab(app, 1),
        Command::Types => tab(app, 2),
        Command::Tasks => tab(app, 3),
        Command::Threads => tab(app, 4),
        Command::Memory => tab(app, 6),
        Command::Retained(None) => tab(app, 5),
        Command::Retained(Some(address)) => retained(app, address),
        Command::Paths(address) => {
            let pane = PathsPane::new(address, address.to_string());
            app.history.jump(Pane::Paths(pane.into()), format!("why {address}"));
        }
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

pub(super) fn jump_tree(app: &mut App, address: Addr, direction: Direction) {
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
