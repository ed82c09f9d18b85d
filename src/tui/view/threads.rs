//! Threads, the stack of each below it.

use super::layout::Layout;
use super::side::fact;
use super::{boxed, foreign, foreign_end, weight};
use crate::analysis::answers::{Frame, Local, Thread};
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::threads::{Row, ThreadsPane};
use crate::tui::theme::{BOLD, DIM, Theme};
use crate::tui::widgets::table::{self, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Columns of a function's name, at most: the eye loses the line when the file stands too far away.
const FUNCTION: usize = 48;

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &ThreadsPane) {
    boxed(buffer, layout.body, &title(pane));
    let area = layout.content;
    if pane.rows.is_empty() {
        let said = match (pane.slot.refusal(), &pane.threads) {
            (Some(reason), _) => reason,
            (None, None) if !app.complete => "threads are told once every object is found …",
            (None, None) => "reading stacks …",
            (None, Some(_)) if !pane.filter.is_empty() => "no thread matches; Esc shows all",
            (None, Some(_)) => "no thread was found",
        };
        let said = format!(" {}", foreign(said, usize::from(area.width)));
        line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
        return;
    }
    let right = weight::heading(buffer, layout.body, pane.retaining.is_some());
    let narrow = Rect { width: area.width.saturating_sub(right), ..area };
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let Some(row) = pane.row(index) else { break };
        let place = row_of(area, at);
        let retained = pane.retained(row);
        let left = if retained.is_some() { row_of(narrow, at) } else { place };
        line(buffer, left, &content(pane, row, usize::from(left.width), &app.theme));
        weight::bytes(buffer, place, retained, &app.theme);
        table::finish(buffer, place, Look::of(index == pane.scroll.row, false));
    }
}

fn title(pane: &ThreadsPane) -> String {
    let all = pane.threads.as_ref().map_or(0, |t| t.threads.len());
    let deadlocks = match pane.threads.as_ref().map_or(0, |t| t.deadlocks.len()) {
        0 => String::new(),
        1 => " · ✗ 1 deadlock".into(),
        n => format!(" · ✗ {n} deadlocks"),
    };
    let order = if pane.by_retained { " · by retained size ▼" } else { "" };
    match pane.filter.is_empty() {
        true => format!("Threads · {}{deadlocks}{order}", text::count(all as u64)),
        false => {
            format!("Threads · {} of {all}{deadlocks}{order} · / {}", pane.shown(), foreign(pane.filter.text(), 30))
        }
    }
}

fn content(pane: &ThreadsPane, row: Row, width: usize, theme: &Theme) -> Line<'static> {
    let mark = if pane.is_unfolded(row) { "▾ " } else { "▸ " };
    let common = common(pane);
    match row {
        Row::Deadlock(i) => {
            let sentence = pane.threads.as_ref().and_then(|t| t.explained.get(i));
            let said = foreign(sentence.map_or("", |s| s), width.saturating_sub(14));
            Line::from(vec![Span::styled(" ✗ deadlock: ", theme.warning), Span::raw(said)])
        }
        Row::Problem(i) => {
            let sentence = pane.threads.as_ref().and_then(|t| t.problems.get(i));
            let said = foreign(sentence.map_or("", |s| s), width.saturating_sub(3));
            Line::from(Span::styled(format!(" ▲ {said}"), theme.warning))
        }
        Row::Thread(t) => pane.thread(t).map_or_else(Line::default, |thread| {
            let stuck = pane.threads.as_ref().is_some_and(|all| all.is_deadlocked(thread));
            let stuck = if stuck { "✗ " } else { "" };
            let name = foreign(thread.name.as_deref().unwrap_or("unnamed"), width / 2);
            let room = width.saturating_sub(name.width() + stuck.width() + 5);
            let about = foreign(&thread.about(common).join(" · "), room);
            Line::from(vec![
                Span::raw(format!(" {mark}")),
                Span::styled(stuck, theme.warning),
                Span::styled(name, BOLD),
                Span::raw(format!("  {about}")),
            ])
        }),
        Row::Waits(t) => {
            let wait = pane.thread(t).and_then(|thread| thread.waits_for.as_ref());
            let said = wait.zip(pane.threads.as_ref()).map_or_else(String::new, |(wait, all)| all.waits(wait));
            Line::from(format!("     {}", foreign(&said, width.saturating_sub(5))))
        }
        Row::Handling(..) => {
            let mut spans = vec![Span::styled("     handling ", theme.warning)];
            spans.extend(pane.object(row).map(|local| named(local, width.saturating_sub(14), theme)));
            Line::from(spans)
        }
        Row::Frame(t, f) => pane.frame(t, f).map_or_else(Line::default, |frame| {
            let room = (width / 2).saturating_sub(9).min(FUNCTION);
            let function = foreign_end(&frame.function, room);
            let gap = " ".repeat(room.saturating_sub(function.width()) + 2);
            let place = place(frame, width.saturating_sub(room + 9));
            let mark = if frame.locals.is_empty() { "  " } else { mark };
            Line::from(vec![Span::raw(format!("     {mark}{function}{gap}")), Span::styled(place, DIM)])
        }),
        Row::Same(.., count) => {
            Line::from(Span::styled(format!("       … {} more at the same place", text::count(count as u64)), DIM))
        }
        Row::Local(..) => pane.object(row).map_or_else(Line::default, |local| {
            let name = foreign(&local.name, width / 3);
            let room = width.saturating_sub(name.width() + 14);
            Line::from(vec![
                Span::raw(format!("           {name}")),
                Span::styled(" = ", DIM),
                named(local, room, theme),
            ])
        }),
        Row::Cut(_) => Line::from(Span::styled("       ▲ the rest of the stack is damaged", theme.warning)),
    }
}

fn common(pane: &ThreadsPane) -> Option<&str> {
    pane.threads.as_ref().and_then(|t| t.common_name())
}

/// File and line, the directories before it as far as there is room.
pub(super) fn place(frame: &Frame, width: usize) -> String {
    let line = frame.line.map(|n| format!(":{n}")).unwrap_or_default();
    foreign_end(&format!("{}{line}", frame.file), width)
}

pub(super) fn named(local: &Local, width: usize, theme: &Theme) -> Span<'static> {
    let value = foreign(&local.summary, width);
    let style = theme.value(&value);
    Span::styled(value, style)
}

/// What the side panel says of a line that names no object.
pub(super) fn about(pane: &ThreadsPane, theme: &Theme, width: usize) -> (String, Vec<Line<'static>>) {
    match pane.current() {
        Some(Row::Deadlock(i)) => {
            let sentence = pane.threads.as_ref().and_then(|t| t.explained.get(i)).cloned().unwrap_or_default();
            ("deadlock".into(), super::wrap(&sentence, width).into_iter().map(Line::from).collect())
        }
        Some(Row::Thread(t)) => match pane.thread(t) {
            Some(thread) => {
                let retained = pane.retained(Row::Thread(t));
                (thread.name.clone().unwrap_or_default(), facts(thread, retained, theme, width))
            }
            None => Default::default(),
        },
        Some(Row::Frame(t, f) | Row::Same(t, f, _)) => match pane.frame(t, f) {
            Some(frame) => (format!("locals of {}", frame.function), locals(frame, &frame.locals, theme, width)),
            None => Default::default(),
        },
        _ => ("thread".into(), Vec::new()),
    }
}

fn facts(thread: &Thread, retained: Option<u64>, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: Option<String>, style: Style| {
        lines.extend(value.map(|value| fact(name, &value, style, width)));
    };
    let plain = Style::new();
    fact("native id", thread.native_id.map(|n| n.to_string()), theme.numbers);
    fact("ident", thread.ident.map(|n| format!("{n:#x}")), theme.addresses);
    fact("interpreter", thread.interpreter.map(|n| n.to_string()), theme.numbers);
    fact("kernel name", thread.kernel_name.clone(), plain);
    fact("state", thread.state.map(str::to_owned), plain);
    fact("in", thread.syscall.clone(), plain);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    fact("daemon", thread.daemon.map(yes), plain);
    fact("has GIL", thread.ident.map(|_| yes(thread.holds_gil)), plain);
    fact("wants GIL", thread.waits_for_gil.map(yes), plain);
    fact("retains", retained.map(text::size), theme.numbers);
    fact("frames", thread.ident.map(|_| text::count(thread.frames.len() as u64)), theme.numbers);
    lines
}

/// A frame's place, then variables under each other.
pub(super) fn locals(frame: &Frame, locals: &[Local], theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let names = locals.iter().map(|l| l.name.width()).max().unwrap_or(0).clamp(1, width / 3);
    let pair = |local: &Local| {
        let name = foreign(&local.name, names);
        let gap = " ".repeat(names.saturating_sub(name.width()) + 1);
        Line::from(vec![Span::styled(name + &gap, DIM), named(local, width.saturating_sub(names + 1), theme)])
    };
    let file = Line::from(Span::styled(place(frame, width), DIM));
    std::iter::once(file).chain([Line::default()]).chain(locals.iter().map(pair)).collect()
}

pub(super) fn line_text(pane: &ThreadsPane) -> Option<String> {
    Some(match pane.current()? {
        Row::Thread(t) => {
            let thread = pane.thread(t)?;
            format!("{}\t{}", thread.name.as_deref().unwrap_or("unnamed"), thread.about(common(pane)).join(" · "))
        }
        Row::Frame(t, f) | Row::Same(t, f, _) => {
            let frame = pane.frame(t, f)?;
            format!("{}\t{}", frame.function, place(frame, usize::MAX / 4))
        }
        Row::Deadlock(i) => pane.threads.as_ref()?.explained.get(i)?.clone(),
        Row::Problem(i) => pane.threads.as_ref()?.problems.get(i)?.clone(),
        Row::Waits(t) => {
            let all = pane.threads.as_ref()?;
            all.waits(pane.thread(t)?.waits_for.as_ref()?)
        }
        row => {
            let local = pane.object(row)?;
            format!("{}\t{}\t{}\t{}", local.name, local.address, local.type_name, local.summary)
        }
    })
}
