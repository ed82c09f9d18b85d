//! Tasks: cycles drawn closed, then who awaits whom, the stack of each below it.

use super::layout::Layout;
use super::side::fact;
use super::threads::{locals, named, place};
use super::{boxed, foreign, foreign_end, weight, wrap};
use crate::analysis::answers::{Ends, Task, WaitsIn};
use crate::snapshot::Addr;
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::task_lines::{Gutter, Known, Line as TaskLine, PAGE, Row, TaskOrder, state};
use crate::tui::panes::tasks::TasksPane;
use crate::tui::theme::{BOLD, DIM, Theme};
use crate::tui::widgets::table::{self, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Steps to the right that are drawn; deeper ones stand below each other.
const STEPS: u64 = 12;
const STEP: usize = 3;

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &TasksPane) {
    boxed(buffer, layout.body, &title(pane));
    let area = layout.content;
    let Some(known) = pane.known.as_ref().filter(|_| !pane.lines.is_empty()) else {
        let said = match (pane.slot.refusal(), &pane.known) {
            (Some(reason), _) => reason,
            (None, None) if !app.complete => "tasks are told once every object is found …",
            (None, None) => "reading tasks …",
            (None, Some(_)) if pane.filter.narrows() => "no task matches; Esc shows all",
            (None, Some(known)) if known.tasks.tasks.is_empty() => "this process has no asyncio tasks",
            (None, Some(_)) => "every task is finished: > lists them",
        };
        let said = format!(" {}", foreign(said, usize::from(area.width)));
        line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
        return;
    };
    let right = weight::heading(buffer, layout.body, pane.retaining.is_some());
    let narrow = Rect { width: area.width.saturating_sub(right), ..area };
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let Some(shown) = pane.line(index) else { break };
        let place = row_of(area, at);
        let retained = pane.retained(shown.row);
        // a line that keeps nothing has the whole width
        let left = if retained.is_some() { row_of(narrow, at) } else { place };
        line(buffer, left, &content(pane, known, shown, usize::from(left.width), &app.theme));
        weight::bytes(buffer, place, retained, &app.theme);
        table::finish(buffer, place, Look::of(index == pane.scroll.row, false));
    }
}

fn title(pane: &TasksPane) -> String {
    let mut title = "Tasks".to_owned();
    let Some(known) = &pane.known else { return title };
    let tasks = &known.tasks;
    let all = text::count(tasks.tasks.len() as u64);
    title += &match pane.filter.narrows() {
        false => format!(" · {all}"),
        true => format!(" · {} of {all}", text::count(pane.shown() as u64)),
    };
    let deadlocks = tasks.verdicts.iter().filter(|v| v.deadlock).count();
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    if deadlocks > 0 {
        title += &format!(" · ✗ {deadlocks} deadlock{}", plural(deadlocks));
    }
    if pane.order != TaskOrder::Forest {
        title += &format!(" · by {} {}", pane.order.name(), if pane.descending { "▼" } else { "▲" });
    }
    if !pane.filter.is_empty() {
        title += &format!(" · / {}", foreign(pane.filter.text(), 30));
    }
    title
}

fn content(pane: &TasksPane, known: &Known, shown: TaskLine, width: usize, theme: &Theme) -> Line<'static> {
    let under = |extra: usize| " ".repeat(indent(shown.depth) + extra);
    let gutter = match shown.gutter {
        Gutter::Blank => Span::raw("   "),
        Gutter::Opens => Span::styled(" ╭▸", theme.warning),
        Gutter::Through => Span::styled(" │ ", theme.warning),
        Gutter::Joins | Gutter::Closes => {
            let open = if shown.gutter == Gutter::Closes { " ╰" } else { " ├" };
            let rail = "─".repeat(indent(shown.depth) + 2);
            let to = known.number_of(shown.row).and_then(|t| pane.task(t)).map(name).unwrap_or_default();
            let to = foreign(&to, width / 2);
            let rail = Span::styled(format!("{open}{rail}╯ awaits "), theme.warning);
            return Line::from(vec![rail, Span::styled(to, BOLD), Span::styled("  the circle closes", DIM)]);
        }
    };
    let mut spans = vec![gutter];
    match shown.row {
        Row::Cycle(i) => {
            let said = foreign(&cycle(known, i), width.saturating_sub(2));
            return Line::from(Span::styled(format!(" {said}"), theme.warning));
        }
        Row::Problem(i) => {
            let said = known.tasks.problems.get(i).map_or("", |s| s);
            return Line::from(Span::styled(format!(" ▲ {}", foreign(said, width.saturating_sub(3))), theme.warning));
        }
        Row::Tree(_) | Row::Member(..) | Row::Task(_) => spans.extend(task(pane, known, shown, width, theme)),
        Row::More(i) => {
            let hidden = known.tasks.forest.get(i).map_or(0, |r| r.count);
            let drawn = pane.lines.iter().filter(|l| matches!(l.row, Row::Member(of, _) if of == i)).count();
            let rest = hidden.saturating_sub(drawn as u64);
            let next = text::count(rest.min(PAGE as u64));
            spans.push(Span::styled(format!("{}… {} more (↵ next {next})", under(2), text::count(rest)), DIM));
        }
        Row::Waits(t) => {
            let said = pane.task(t).and_then(|t| t.waits_in.as_ref()).map(|w| waits(known, w)).unwrap_or_default();
            let said = foreign(&format!("waits for {said}"), width.saturating_sub(indent(shown.depth) + 7));
            spans.push(Span::raw(under(4) + &said));
        }
        Row::Frame(t, f) => {
            let Some(frame) = pane.frame(t, f) else { return Line::from(spans) };
            let mark = match pane.fold(shown.row) {
                Some(true) => "▾ ",
                Some(false) => "▸ ",
                None => "  ",
            };
            let left = indent(shown.depth) + 7;
            let room = (width * 2 / 5).saturating_sub(left).max(12);
            let function = foreign_end(&frame.function, room);
            let gap = " ".repeat(room.saturating_sub(function.width()) + 2);
            let place = place(frame, width.saturating_sub(left + room + 3));
            spans.push(Span::raw(format!("{}{mark}{function}{gap}", under(2))));
            spans.push(Span::styled(place, DIM));
        }
        Row::Local(..) => {
            let Some(local) = pane.local(shown.row) else { return Line::from(spans) };
            let name = foreign(&local.name, width / 3);
            let room = width.saturating_sub(name.width() + indent(shown.depth) + 13);
            spans.push(Span::raw(under(6) + &name));
            spans.push(Span::styled(" = ", DIM));
            spans.push(named(local, room, theme));
        }
        Row::Cut(_) => {
            spans.push(Span::styled(under(4) + "▲ the rest of the coroutines is damaged", theme.warning));
        }
    }
    Line::from(spans)
}

fn indent(depth: u64) -> usize {
    depth.min(STEPS) as usize * STEP
}

/// A task in a line: what it is under, its name and coroutine, then its place and what it waits for, which stand below
/// each other as far as the names leave room.
fn task(pane: &TasksPane, known: &Known, shown: TaskLine, width: usize, theme: &Theme) -> Vec<Span<'static>> {
    let row = match shown.row {
        Row::Tree(i) => known.tasks.forest.get(i),
        _ => None,
    };
    let Some(task) = known.number_of(shown.row).and_then(|t| pane.task(t)) else { return Vec::new() };
    let mut spans = Vec::new();
    if shown.depth > 0 {
        let joint = if row.is_some() { "╰ awaits " } else { "" };
        spans.push(Span::raw(" ".repeat(indent(shown.depth - 1) + if row.is_some() { 1 } else { 3 })));
        spans.push(Span::styled(joint, DIM));
    }
    spans.push(Span::raw(match pane.fold(shown.row) {
        Some(true) => "▾ ",
        Some(false) => "▸ ",
        None => "  ",
    }));
    let crowd = row.map_or(1, |r| r.count);
    if crowd > 1 {
        spans.push(Span::styled(format!("{} × ", text::count(crowd)), theme.numbers));
    } else {
        // a crowd is more than its first
        spans.push(Span::styled(foreign(&name(task), width / 3), BOLD));
        spans.push(Span::raw("  "));
    }
    let stuck = row.is_some_and(|r| r.shared && deadlocked(known, r.cycle));
    let shared = row.is_some_and(|r| r.shared);
    let taken: usize = spans.iter().map(|s| s.content.width()).sum();
    let half = (width * 2 / 5).saturating_sub(3);
    let coro = task.coro.as_deref().unwrap_or("?");
    let coro = foreign_end(coro, half.saturating_sub(taken).max(width / 6));
    spans.push(Span::styled(coro, theme.types));
    let taken: usize = spans.iter().map(|s| s.content.width()).sum();
    spans.push(Span::raw(" ".repeat(half.saturating_sub(taken) + 2)));
    if shared {
        let (mark, said) = if stuck { ("✗ ", "deadlocked, shown above") } else { ("", "shared: shown above") };
        spans.push(Span::styled(mark, theme.warning));
        spans.push(Span::styled(said, DIM));
        return spans;
    }
    let mut room = width.saturating_sub(half.max(taken) + 6);
    let mut add = |said: String, style: Style| {
        if said.is_empty() || room < 4 {
            return;
        }
        let said = foreign(&said, room);
        room = room.saturating_sub(said.width() + 2);
        spans.push(Span::styled(said, style));
        spans.push(Span::raw("  "));
    };
    if matches!(shown.row, Row::Task(_)) {
        add(state(task).to_owned(), Style::new());
    }
    add(at(task), DIM);
    add(behind(known, task), Style::new());
    spans
}

fn deadlocked(known: &Known, cycle: Option<usize>) -> bool {
    cycle.and_then(|c| known.tasks.verdicts.get(c)).is_some_and(|v| v.deadlock)
}

fn name(task: &Task) -> String {
    task.name.clone().unwrap_or_else(|| task.address.to_string())
}

/// Where its innermost coroutine stands: `read() stream.py:41`.
fn at(task: &Task) -> String {
    let Some(frame) = task.stack.last() else { return String::new() };
    let file = frame.file.rsplit('/').next().unwrap_or(&frame.file);
    let line = frame.line.map(|n| format!(":{n}")).unwrap_or_default();
    // a coroutine that awaits nothing further is named already
    match task.coro.as_deref() == Some(&frame.function) {
        true => format!("{file}{line}"),
        false => format!("{}() {file}{line}", frame.function),
    }
}

/// What it waits for, when that is no other task.
fn behind(known: &Known, task: &Task) -> String {
    let ends = task.timeout.map(Ends::times_out).unwrap_or_default();
    match (&task.waits_in, task.running) {
        (_, true) => "running".into(),
        (Some(wait), _) => waits(known, wait) + &ends,
        (None, _) if task.fut_waiter.is_none() && task.state == Some("pending") => "about to run".into(),
        (None, _) => ends.trim_start_matches(", ").to_owned(),
    }
}

/// `lock 0x7f… held by slow-query`.
fn waits(known: &Known, wait: &WaitsIn) -> String {
    let mut said = wait.about();
    if let Some(holder) = wait.holder {
        said += &format!(" held by {}", called(known, holder));
    }
    said
}

fn called(known: &Known, address: Addr) -> String {
    known.task_at(address).map_or_else(|| address.to_string(), name)
}

fn cycle(known: &Known, i: usize) -> String {
    let members = known.tasks.cycles.get(i).map_or(&[][..], Vec::as_slice);
    let tasks = members.iter().filter(|a| known.number(**a).is_some()).count();
    let who = match tasks {
        0 => format!("{} futures", members.len()),
        1 => "one task".into(),
        n => format!("{} tasks", text::count(n as u64)),
    };
    let verb = if tasks == 1 { "waits for itself" } else { "wait for each other" };
    match known.tasks.verdicts.get(i) {
        Some(verdict) if !verdict.deadlock => {
            let wakers: Vec<&str> = verdict.wakers.iter().take(3).map(String::as_str).collect();
            format!("▲ cycle: {who} {verb} until {}", wakers.join(", or "))
        }
        _ => format!("✗ deadlock: {who} {verb}, and nothing known wakes them"),
    }
}

/// What the side panel says of a line that names no object.
pub(super) fn about(pane: &TasksPane, theme: &Theme, width: usize) -> (String, Vec<Line<'static>>) {
    let (Some(row), Some(known)) = (pane.current(), &pane.known) else { return ("task".into(), Vec::new()) };
    match row {
        Row::Cycle(i) => {
            let mut lines: Vec<_> = wrap(&cycle(known, i), width).into_iter().map(Line::from).collect();
            lines.push(Line::default());
            let members = known.tasks.cycles.get(i).map_or(&[][..], Vec::as_slice);
            for address in members.iter().take(60) {
                let (what, style) = match known.task_at(*address) {
                    Some(task) => (foreign(&name(task), width / 2), BOLD),
                    None => ("a future".into(), DIM),
                };
                let gap = " ".repeat((width / 2).saturating_sub(what.width()) + 1);
                let address = Span::styled(foreign(&address.to_string(), width / 2 - 1), theme.addresses);
                lines.push(Line::from(vec![Span::styled(what + &gap, style), address]));
            }
            ("cycle".into(), lines)
        }
        Row::Problem(i) => {
            let said = known.tasks.problems.get(i).map_or("", |s| s);
            ("not read".into(), wrap(said, width).into_iter().map(Line::from).collect())
        }
        Row::Frame(t, f) => match pane.frame(t, f) {
            Some(frame) => {
                let variables = pane.locals_of(t, f).map_or(&[][..], Vec::as_slice);
                (format!("locals of {}", frame.function), locals(frame, variables, theme, width))
            }
            None => Default::default(),
        },
        row => match known.number_of(row).and_then(|t| pane.task(t)) {
            Some(task) => {
                let retained = pane.retaining.as_ref().and_then(|r| r.tasks.get(&task.address));
                (name(task), facts(known, task, retained.copied(), theme, width))
            }
            None => ("tasks".into(), Vec::new()),
        },
    }
}

fn facts(known: &Known, task: &Task, retained: Option<u64>, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let plain = Style::new();
    let mut lines = vec![fact("coroutine", task.coro.as_deref().unwrap_or("?"), theme.types, width)];
    lines.push(fact("state", state(task), plain, width));
    lines.push(fact("address", &task.address.to_string(), theme.addresses, width));
    lines.push(fact("type", &task.type_name, theme.types, width));
    lines.extend(retained.map(|bytes| fact("retains", &text::size(bytes), theme.numbers, width)));
    let result = task.result.as_ref().map(|r| ("result", &r.summary));
    let outcome = result.or(task.exception.as_ref().map(|e| ("exception", &e.summary)));
    lines.extend(outcome.map(|(what, value)| fact(what, value, theme.value(value), width)));
    lines.extend(task.event_loop.map(|at| fact("loop", &at.to_string(), theme.addresses, width)));
    if let Some(wait) = &task.waits_in {
        lines.push(fact("waits for", &wait.about(), plain, width));
        lines.extend(wait.holder.map(|holder| fact("held by", &called(known, holder), BOLD, width)));
    }
    lines.extend(task.timeout.map(|ends| fact("times out", ends.ahead().trim(), plain, width)));
    let mut list = |what: &str, addresses: &[Addr]| {
        for (i, address) in addresses.iter().take(8).enumerate() {
            let known_task = known.task_at(*address);
            let said = known_task.map_or_else(|| format!("future {address}"), name);
            lines.push(fact(if i == 0 { what } else { "" }, &said, plain, width));
        }
        if addresses.len() > 8 {
            lines.push(fact("", &format!("… {} more", text::count(addresses.len() as u64 - 8)), DIM, width));
        }
    };
    list("awaits", &task.awaits);
    list("awaited by", &task.awaited_by);
    if let Some(cycle) = task.cycle {
        let said = if deadlocked(known, Some(cycle)) { "✗ in a deadlock" } else { "in a cycle that breaks" };
        lines.push(Line::from(Span::styled(said, theme.warning)));
    }
    if !task.stack.is_empty() {
        lines.push(Line::default());
        for frame in task.stack.iter().rev() {
            let place = foreign_end(place(frame, 400).rsplit('/').next().unwrap_or_default(), width / 2);
            let function = foreign_end(&frame.function, width.saturating_sub(place.width() + 1));
            let gap = " ".repeat(width.saturating_sub(place.width() + function.width()));
            lines.push(Line::from(vec![Span::raw(function + &gap), Span::styled(place, DIM)]));
        }
    }
    lines
}

/// The selected line as text.
pub(super) fn line_text(pane: &TasksPane) -> Option<String> {
    let (row, known) = (pane.current()?, pane.known.as_ref()?);
    Some(match row {
        Row::Cycle(i) => cycle(known, i),
        Row::Problem(i) => known.tasks.problems.get(i)?.clone(),
        Row::Frame(t, f) => {
            let frame = pane.frame(t, f)?;
            format!("{}\t{}", frame.function, place(frame, usize::MAX / 4))
        }
        Row::Local(..) => {
            let local = pane.local(row)?;
            format!("{}\t{}\t{}\t{}", local.name, local.address, local.type_name, local.summary)
        }
        Row::Waits(t) => waits(known, pane.task(t)?.waits_in.as_ref()?),
        row => {
            let task = pane.task(known.number_of(row)?)?;
            let coro = task.coro.as_deref().unwrap_or("?");
            format!("{}\t{}\t{coro}\t{}\t{}", task.address, name(task), at(task), behind(known, task))
        }
    })
}
