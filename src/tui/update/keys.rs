//! Keys: from the keymap's actions to what they do where the person is.

use super::{go, newer};
use crate::tui::app::{App, Overlay, Prompt};
use crate::tui::event::{Effect, Turn};
use crate::tui::input::Input;
use crate::tui::keymap::{self, Action};
use crate::tui::panes::{Motion, Pane};
use crate::tui::view;
use crossterm::event::{KeyEvent, KeyEventKind};

pub(super) fn key(app: &mut App, key: KeyEvent) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    match keymap::action(key, app.context()) {
        Some(Action::Quit) => app.desk.push(Effect::Quit),
        Some(Action::Cancel) => cancel(app),
        // nobody sees what other keys would do
        _ if view::layout::is_too_small(app.size) => {}
        Some(action) if app.prompt.is_some() => in_prompt(app, action),
        Some(action) if app.overlay.is_some() => in_overlay(app, action),
        Some(action) => in_pane(app, action),
        None => typed(app, |input| input.key(key)),
    }
}

pub(super) fn paste(app: &mut App, text: &str) {
    // Outside a line, pasted text would act as commands: an address is the one thing that makes sense
    if app.prompt.is_none() && crate::snapshot::Addr::parse(text.trim()).is_some() {
        in_pane(app, Action::Palette);
    }
    typed(app, |input| {
        input.insert(text.trim());
        true
    });
}

/// Edits the line being typed; a filter takes effect at once.
fn typed(app: &mut App, edit: impl FnOnce(&mut Input) -> bool) {
    let here = app.pane().subject().map(|s| s.address);
    match &mut app.prompt {
        Some(Prompt::Filter { input, .. }) => {
            let edited = edit(input);
            if edited {
                let text = input.text().to_owned();
                filter(app, &text);
            }
        }
        Some(Prompt::Palette(palette)) => {
            let edited = edit(&mut palette.input);
            if edited {
                palette.typed(&app.types, here);
            }
        }
        Some(Prompt::Index { input, .. }) => {
            edit(input);
        }
        None => {}
    }
}

/// Searching the whole memory waits for Enter: the hex pane does nothing here.
fn filter(app: &mut App, text: &str) {
    app.history.here_mut().set_filter(text, &mut app.desk);
}

fn in_prompt(app: &mut App, action: Action) {
    let rows = app.sight().rows;
    match (action, &mut app.prompt) {
        (Action::Accept, _) => {
            if let Some(prompt) = app.prompt.take() {
                accept(app, prompt);
            }
        }
        (Action::Abandon, _) => {
            if let Some(Prompt::Filter { before, .. }) = app.prompt.take() {
                filter(app, &before);
            }
        }
        (Action::Complete, Some(Prompt::Palette(palette))) => palette.complete(),
        (Action::Up | Action::Down, Some(Prompt::Palette(palette))) => {
            palette.recall(&app.commands, action == Action::Up)
        }
        (Action::Up | Action::Down, Some(Prompt::Filter { .. })) => motion(app, action, rows),
        _ => {}
    }
}

fn accept(app: &mut App, prompt: Prompt) {
    match prompt {
        Prompt::Palette(palette) => match palette.input.text().trim() {
            "" => {}
            line => {
                let line = line.to_owned();
                go::run(app, &line);
            }
        },
        Prompt::Index { input, node, .. } => {
            match (input.text().trim().replace([',', '_'], "").parse(), app.history.here_mut()) {
                (Ok(index), Pane::Tree(pane)) => pane.go_to_index(node, index),
                _ => app.warn(format!("{} is no index", view::foreign(input.text(), 40))),
            }
        }
        Prompt::Filter { input, .. } => {
            if let Pane::Hex(pane) = app.history.here_mut()
                && !input.text().is_empty()
            {
                match pane.set_search(input.text()) {
                    Ok(()) => pane.find(false, &mut app.desk),
                    Err(reason) => app.warn(reason),
                }
            }
            if let Some(wrong) = app.pane().wrong().map(ToString::to_string) {
                app.warn(wrong);
            }
        }
    }
}

fn in_overlay(app: &mut App, action: Action) {
    let rows = u64::from(app.layout().body.height);
    let Some((_, top)) = &mut app.overlay else { return };
    if action == Action::Abandon {
        app.overlay = None;
        return;
    }
    let longest = u16::MAX / 2; // drawing stops at the last line
    match Motion::of(action, rows) {
        Some(Motion::By(by)) => *top = top.saturating_add_signed(by.clamp(-1000, 1000) as i16).min(longest),
        Some(Motion::To(row)) => *top = row.min(u64::from(longest)) as u16,
        None => {}
    }
}

fn in_pane(app: &mut App, action: Action) {
    let rows = app.sight().rows;
    app.message = None; // it was read: the person goes on
    match action {
        Action::Open => go::open(app),
        Action::Escape => escape(app),
        Action::Back => {
            if !go::walk(app, false) {
                app.say("this is the top; q quits");
            }
        }
        Action::Forward => {
            if !go::walk(app, true) {
                app.say("there is nothing to go forward to");
            }
        }
        Action::Filter => {
            let before = app.pane().filter().to_owned();
            let text = if matches!(app.pane(), Pane::Hex(_)) { "" } else { &before };
            app.prompt = Some(Prompt::Filter { input: Input::new(text), before });
        }
        Action::SortLeft => sort(app, -1),
        Action::SortRight => sort(app, 1),
        Action::Reverse => sort(app, 0),
        Action::TurnRound => go::turn_round(app),
        Action::Tree => go::tree_of_subject(app),
        Action::Paths => go::paths_of_subject(app),
        Action::Draw => newer::draw(app),
        Action::Other => newer::other(app),
        Action::Process(_) if app.company.len() < 2 => app.say("one process is open; --pid opens several"),
        Action::Process(by) => app.desk.push(Effect::Turn(Turn::By(by))),
        Action::Hex => go::hex_of_subject(app),
        Action::CopyAddress => match app.pane().subject() {
            Some(subject) => copy(app, subject.address.to_string()),
            None => app.say("no object is selected"),
        },
        Action::CopyLine => match view::line_text(app) {
            Some(line) => copy(app, line),
            None => app.say("no line is selected"),
        },
        Action::Side => app.side = Some(app.layout().side.is_none()),
        Action::Mouse => {
            app.mouse = !app.mouse;
            app.desk.push(Effect::Mouse(app.mouse));
            app.say(if app.mouse {
                "the mouse is back"
            } else {
                "the mouse is the terminal's: select text; M takes it back"
            });
        }
        Action::Pane(number) => go::tab(app, number),
        Action::Palette => {
            let mut palette = crate::tui::palette::Palette::default();
            palette.typed(&app.types, app.pane().subject().map(|s| s.address));
            app.prompt = Some(Prompt::Palette(palette));
        }
        Action::Again => go::again(app),
        Action::Help => app.overlay = Some((Overlay::Help, 0)),
        Action::Problems if app.problems.is_empty() => app.say("nothing was wrong with this snapshot"),
        Action::Problems => app.overlay = Some((Overlay::Problems, 0)),
        _ => motion(app, action, rows),
    }
}

fn motion(app: &mut App, action: Action, rows: u64) {
    if let (Pane::Tree(pane), Action::Top) = (app.pane(), action)
        && let Some((node, total)) = pane.paged()
    {
        app.prompt = Some(Prompt::Index { input: Input::default(), node, total });
        return;
    }
    app.history.here_mut().act(action, rows, &mut app.desk);
}

fn sort(app: &mut App, by: isize) {
    app.history.here_mut().sort(by, &mut app.desk);
}

/// Out of the filter, then out of the work, then back; never out of the program.
fn escape(app: &mut App) {
    if app.escape_cancels() {
        cancel(app);
    } else if app.is_filtered() {
        filter(app, "");
    } else if !go::walk(app, false) {
        app.say("this is the top; q quits");
    }
}

fn cancel(app: &mut App) {
    if app.work.is_some() {
        app.desk.push(Effect::Cancel(app.source));
        app.say("cancelling");
    } else {
        app.say("nothing is running");
    }
}

fn copy(app: &mut App, text: String) {
    app.say(format!("copied {}", view::foreign(&text.replace('\t', "  "), 60)));
    app.desk.push(Effect::Copy(text));
}
