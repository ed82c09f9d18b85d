//! The frame that all panes share: what is open, tabs, breadcrumbs, status, keys, and the line being typed.

use super::{foreign, foreign_end};
use crate::analysis::answers::SnapshotInfo;
use crate::text;
use crate::tui::app::{App, Prompt, Work};
use crate::tui::input::Input;
use crate::tui::keymap;
use crate::tui::palette::{COMMANDS, OFFERED};
use crate::tui::panes::{Pane, TABS};
use crate::tui::theme::{BOLD, DIM, SELECTED};
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::line;
use crate::worker::protocol::Stage;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};
use unicode_width::UnicodeWidthStr;

pub(super) fn head(buffer: &mut Buffer, area: Rect, app: &App) {
    let mut spans = vec![Span::styled(" pymem-tui", BOLD)];
    let mut room = usize::from(area.width).saturating_sub(13);
    let nothing = if app.failed.is_some() { "nothing is open" } else { "opening …" };
    let mut parts = app.info.as_ref().map_or_else(|| vec![nothing.to_owned()], about);
    if app.company.len() > 1 {
        parts.insert(0, format!("{} of {}", app.place + 1, app.company.len()));
    }
    for (i, part) in parts.iter().enumerate() {
        let before = if i == 0 { "   " } else { " · " };
        let part = foreign_end(part, room.min(48));
        if part.width() + 3 > room {
            break; // the parts that matter less come last
        }
        room -= part.width() + 3;
        spans.push(Span::styled(before, DIM));
        spans.push(Span::raw(part));
    }
    line(buffer, area, &Line::from(spans));
}

fn about(info: &SnapshotInfo) -> Vec<String> {
    // the name alone: a long path would push out what else matters
    let program = info.program.as_deref().map(|p| p.rsplit('/').next().unwrap_or(p).to_owned());
    let mut parts = vec![program.filter(|p| !p.is_empty()).unwrap_or_else(|| info.source.clone())];
    parts.extend(info.pid.map(|pid| format!("pid {pid}")));
    parts.push(match &info.python {
        Some(version) => {
            let threads = if info.free_threaded { " free-threaded" } else { "" };
            format!("{} {version}{threads}", info.implementation)
        }
        None => "no Python found".into(),
    });
    parts.extend(info.interpreters.filter(|n| *n > 1).map(|n| format!("{n} interpreters")));
    parts.push(format!("{} captured", text::size(info.bytes)));
    parts.extend(info.pause_ms.map(|ms| format!("paused {ms:.0} ms")));
    // To the minute: seconds only take room
    parts.extend(info.captured_at.as_ref().map(|at| foreign(&at.replacen('T', " ", 1), 17).replace('…', "")));
    parts
}

/// The tabs that there are. Where they do not fit, the names of those that the person is not in are cut.
fn tab_texts(app: &App) -> Vec<(u8, String, bool)> {
    let here = app.pane().tab();
    // these have something to show once there are two snapshots, or two processes
    let shown = |n: u8| match n {
        7 => n == here || app.diff.is_some(),
        9 => n == here || app.company.len() > 1,
        _ => true,
    };
    let texts = |letters: usize| -> Vec<(u8, String, bool)> {
        let tabs = TABS.iter().filter(|(number, _)| shown(*number));
        tabs.map(|(number, name)| {
            let mark = app.mark(*number).map(|mark| format!(" {mark}")).unwrap_or_default();
            let (open, close) = if *number == here { ('[', ']') } else { (' ', ' ') };
            let name: String = name.chars().take(if *number == here { usize::MAX } else { letters }).collect();
            (*number, format!("{open}{number} {name}{mark}{close}"), *number == here)
        })
        .collect()
    };
    let room = usize::from(app.size.0).saturating_sub(1);
    let fits = |texts: &Vec<(u8, String, bool)>| texts.iter().map(|(_, text, _)| text.width()).sum::<usize>() <= room;
    let shortest = texts(1);
    [usize::MAX, 6, 5, 4, 3].into_iter().map(texts).find(fits).unwrap_or(shortest)
}

pub(super) fn tabs(buffer: &mut Buffer, area: Rect, app: &App) {
    let mut spans = vec![Span::raw(" ")];
    for (_, text, here) in tab_texts(app) {
        spans.push(Span::styled(text, if here { BOLD } else { DIM }));
    }
    line(buffer, area, &Line::from(spans));
    if !app.problems.is_empty() {
        let n = app.problems.len();
        let said = format!("▲ {n} problem{} (!) ", if n == 1 { "" } else { "s" });
        let tabs: usize = tab_texts(app).iter().map(|(_, text, _)| text.width()).sum();
        // where the tabs need the room, less has to do
        let room = usize::from(area.width).saturating_sub(tabs + 2);
        let shorter = [said, format!(" ▲{n} (!) "), "▲!".into()];
        let said = shorter.iter().find(|said| said.width() <= room).or(shorter.last()).cloned().unwrap_or_default();
        let width = said.width() as u16;
        if width < area.width {
            let at = Rect { x: area.right() - width, width, ..area };
            line(buffer, at, &Line::from(Span::styled(said, app.theme.warning)));
        }
    }
}

/// The tab drawn at `x`.
pub fn tab_at(app: &App, x: u16) -> Option<u8> {
    let mut end = 1;
    for (number, text, _) in tab_texts(app) {
        let start = end;
        end += text.width() as u16;
        if (start..end).contains(&x) {
            return Some(number);
        }
    }
    None
}

pub(super) fn crumbs(buffer: &mut Buffer, area: Rect, app: &App) {
    const JOINT: &str = " ▸ ";
    let crumbs = &app.history.here().crumbs;
    let width = usize::from(area.width).saturating_sub(2);
    let shown: Vec<String> = crumbs.iter().map(|crumb| foreign_end(crumb, 40)).collect();
    // The way's end is where the person is: the beginning gives way
    let mut first = 0;
    let wide = |from: usize| shown[from..].iter().map(|c| c.width() + JOINT.width()).sum::<usize>();
    while first + 1 < shown.len() && wide(first) > width {
        first += 1;
    }
    let mut spans = vec![Span::raw(if first > 0 { " … ▸ " } else { " " })];
    for (i, crumb) in shown[first..].iter().enumerate() {
        let last = first + i + 1 == shown.len();
        if i > 0 {
            spans.push(Span::styled(JOINT, DIM));
        }
        spans.push(Span::styled(crumb.clone(), if last { BOLD } else { DIM }));
    }
    line(buffer, area, &Line::from(spans));
}

/// Draws progress, a message, or the line being typed; gives the place of the text cursor.
pub(super) fn status(buffer: &mut Buffer, area: Rect, app: &App) -> Option<Position> {
    if let Some(prompt) = &app.prompt {
        return Some(typed(buffer, area, app, prompt));
    }
    let width = usize::from(area.width);
    let work = app.work.map(|work| progress(work, app.escape_cancels())).unwrap_or_default();
    let room = width.saturating_sub(2);
    let mut used = 0;
    if let Some(message) = &app.message {
        let mark = if message.warning { " ▲ " } else { " " };
        let style = if message.warning { app.theme.warning } else { BOLD };
        let said = format!("{mark}{}", foreign(&message.text, room.saturating_sub(2)));
        used = said.width() + 2;
        line(buffer, area, &Line::from(Span::styled(said, style)));
    }
    if !work.is_empty() && used + work.width() < room {
        let x = if used == 0 { area.x + 1 } else { area.right().saturating_sub(work.width() as u16 + 1) };
        line(buffer, Rect { x, width: area.right() - x, ..area }, &Line::from(work));
    }
    None
}

fn progress(work: Work, escape: bool) -> String {
    let doing = match work.stage {
        Stage::Capturing => "capturing",
        Stage::Scanning => "scanning",
        Stage::Linking => "linking references",
        Stage::ReadingThreads => "reading threads",
        Stage::ReadingTasks => "reading tasks",
        Stage::Dominating => "working out what keeps what alive",
        Stage::Following => "looking for paths",
        Stage::AddingUp => "adding up memory",
        Stage::Searching => "searching",
        Stage::Saving => "saving",
        Stage::Drawing => "drawing",
        Stage::Comparing => "capturing again and comparing",
    };
    let mut said = doing.to_owned();
    if let Some(percent) = work.reading.percent() {
        said += &format!(" {} {percent} %", bar(f64::from(percent) / 100.0, 8, true));
    }
    if work.reading.objects > 0 && matches!(work.stage, Stage::Scanning | Stage::Linking) {
        said += &format!(" · {} objects", text::count(work.reading.objects));
    }
    if let Some(rate) = work.rate.filter(|rate| rate.is_finite() && *rate >= 1.0) {
        said += &format!(" · {}/s", text::size(rate as u64));
    }
    said + if escape { " · Esc cancels" } else { " · ^G cancels" }
}

fn typed(buffer: &mut Buffer, area: Rect, app: &App, prompt: &Prompt) -> Position {
    let (label, input): (String, &Input) = match prompt {
        Prompt::Filter { input, .. } => ("/".into(), input),
        Prompt::Palette(palette) => (":".into(), &palette.input),
        Prompt::Index { input, total, .. } => {
            (format!("index (0 to {}): ", text::count(total.saturating_sub(1))), input)
        }
    };
    let label = format!(" {label}");
    let room = usize::from(area.width).saturating_sub(label.width() + 2);
    // What stands before the cursor stays in sight
    let before = foreign_end(input.before_cursor(), room);
    let after = foreign(&input.text()[input.before_cursor().len()..], room.saturating_sub(before.width()));
    let x = area.x + (label.width() + before.width()) as u16;
    let content = Line::from(vec![Span::styled(label, BOLD), Span::raw(before), Span::raw(after)]);
    line(buffer, area, &content);
    if matches!(prompt, Prompt::Filter { .. }) && matches!(app.pane(), Pane::Hex(_)) && input.text().is_empty() {
        let hint = Line::from(Span::styled("  text, \"text\", or bytes as 0x0011ff", DIM));
        line(buffer, Rect { x: x + 1, width: area.width.saturating_sub(x + 1), ..area }, &hint);
    }
    Position { x: x.min(area.right().saturating_sub(1)), y: area.y }
}

/// What Tab would put into the command line, above it.
pub(super) fn offers(buffer: &mut Buffer, status: Rect, app: &App) {
    let Some(Prompt::Palette(palette)) = &app.prompt else { return };
    let width = status.width.min(72);
    let height = (palette.offers.len().min(OFFERED) as u16).min(status.y);
    let area = Rect { x: status.x, y: status.y - height, width, height };
    Clear.render(Rect { width: status.width, ..area }, buffer);
    for (at, offer) in palette.offers.iter().take(usize::from(height)).enumerate() {
        let row = Rect { y: area.y + at as u16, height: 1, ..area };
        let help = COMMANDS.iter().find(|(name, ..)| *name == offer.trim_end());
        let (argument, help) = help.map_or(("", ""), |(_, argument, help)| (*argument, *help));
        let said = Line::from(vec![
            Span::raw(format!("  {:<24}", format!("{}{argument}", foreign_end(offer, usize::from(width) - 3)))),
            Span::styled(format!(" {help}"), DIM),
        ]);
        line(buffer, row, &said);
        if palette.chosen == Some(at) {
            buffer.set_style(row, SELECTED);
        }
    }
}

pub(super) fn keys(buffer: &mut Buffer, area: Rect, app: &App) {
    if let (Some(Prompt::Filter { .. }), Some(wrong)) = (&app.prompt, app.pane().wrong()) {
        let said = foreign(&format!(" ▲ {wrong}"), usize::from(area.width));
        return line(buffer, area, &Line::from(Span::styled(said, app.theme.warning)));
    }
    let context = app.context();
    let mut spans = vec![Span::raw(" ")];
    let mut room = usize::from(area.width).saturating_sub(1);
    let shown: Vec<_> = keymap::footer(context).collect();
    // Help and quit come last in the table, but never give way
    let last: usize = shown.iter().rev().take(2).map(|b| width(b)).sum();
    for (i, binding) in shown.iter().enumerate() {
        let kept = i + 2 >= shown.len();
        if !kept && room < width(binding) + last || room < width(binding) {
            continue;
        }
        room -= width(binding);
        let name = binding.keys.first().map_or(String::new(), |key| key.name());
        spans.push(Span::styled(name, BOLD));
        spans.push(Span::styled(format!(" {}   ", binding.short), DIM));
    }
    if matches!(app.prompt, Some(Prompt::Filter { .. })) && !matches!(app.pane(), Pane::Hex(_)) {
        let more = match app.pane().query_example() {
            Some(example) => format!("text, ! text, or a query: {example}"),
            None => "a leading ! inverts".to_owned(),
        };
        spans.push(Span::styled(more, DIM));
    }
    line(buffer, area, &Line::from(spans));
}

fn width(binding: &keymap::Binding) -> usize {
    binding.keys.first().map_or(0, |key| key.name().width()) + binding.short.width() + 4
}
