//! The start page: sentences, then the biggest types.

use super::layout::Layout;
use super::types;
use super::{boxed, foreign};
use crate::analysis::answers::{Aspect, Finding, Footprint, Phrase, Severity};
use crate::tui::app::App;
use crate::tui::arrange::Pattern;
use crate::tui::panes::Pane;
use crate::tui::panes::overview::{Item, OverviewPane};
use crate::tui::theme::{BOLD, DIM, Theme};
use crate::tui::widgets::table::{self, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Rows that the types have at least, with frame and heads.
const TYPES: u16 = 7;
/// From this width on, memory stands beside the types.
const ROOMY: u16 = 100;
/// Lines of one sentence at most.
const SENTENCE: usize = 4;

/// Where the parts of the page are.
struct Page {
    sentences: Rect,
    types: Rect,
    /// Beside the types, where there is room and something to show.
    memory: Option<Rect>,
    /// The lines of the sentences, each with the number of its finding; those without lead nowhere.
    lines: Vec<(Option<usize>, Line<'static>)>,
    /// The first of them that is drawn.
    top: usize,
    /// The first type that is drawn.
    first: usize,
}

impl Page {
    fn of(app: &App, pane: &OverviewPane, body: Rect) -> Page {
        let lines = lines(app, pane, usize::from(body.width.saturating_sub(4)));
        let most = body.height.saturating_sub(TYPES).max(3);
        let height = (lines.len() as u16).saturating_add(2).clamp(3, most);
        let sentences = Rect { height, ..body };
        let rest = Rect { y: sentences.bottom(), height: body.height.saturating_sub(height), ..body };
        let shared = body.width >= ROOMY && pane.footprint.is_some();
        let right = if shared { body.width / 2 } else { 0 };
        let types = Rect { width: rest.width - right, ..rest };
        let memory = shared.then_some(Rect { x: types.right(), width: right, ..rest });
        let selected = match pane.current() {
            Some(Item::Finding(at)) => lines.iter().rposition(|(of, _)| *of == Some(at)),
            _ => None,
        };
        let top = selected.map_or(0, |last| (last + 1).saturating_sub(usize::from(height.saturating_sub(2))));
        let rows = usize::from(types.height.saturating_sub(3));
        let first = match pane.current() {
            Some(Item::Type(at)) => (at + 1).saturating_sub(rows),
            _ => 0,
        };
        Page { sentences, types, memory, lines, top, first }
    }
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &OverviewPane) {
    let page = Page::of(app, pane, layout.body);
    let inner = boxed(buffer, page.sentences, "What stands out");
    for (at, (of, content)) in (0..inner.height).zip(page.lines.iter().skip(page.top)) {
        let place = row_of(inner, at);
        line(buffer, place, content);
        let selected = of.is_some() && of.map(Item::Finding) == pane.current();
        table::finish(buffer, place, Look::of(selected, false));
    }
    if page.types.height < 3 {
        return;
    }
    if let (Some(area), Some(of)) = (page.memory, &pane.footprint) {
        memory(buffer, area, of, &app.theme);
    }
    let so_far = if app.complete { "" } else { " so far" };
    let inner = boxed(buffer, page.types, &format!("Types by size{so_far}"));
    let columns = types::columns(inner.width, false);
    table::header(buffer, row_of(inner, 0), &columns, Some((2, true)));
    let places = table::places(&columns, inner.width);
    let total = pane.types.total.shallow_bytes;
    for at in 1..inner.height {
        let index = page.first + usize::from(at) - 1;
        let Some(row) = pane.types.types.get(index).filter(|_| index < pane.types_shown()) else { break };
        let cells = types::cells(row, None, total, Pattern::new(""), &places, &app.theme);
        let selected = pane.current() == Some(Item::Type(index));
        table::row(buffer, row_of(inner, at), &columns, &cells, Look::of(selected, false));
    }
}

fn memory(buffer: &mut Buffer, area: Rect, of: &Footprint, theme: &Theme) {
    let inner = boxed(buffer, area, &format!("6 {}", super::memory::title(of)));
    let all = super::memory::total(of).0;
    for (at, row) in (0..inner.height).zip(&of.rows) {
        let mut spans = vec![Span::raw(" ")];
        spans.extend(super::memory::share("", row, all, usize::from(inner.width.saturating_sub(2)), theme));
        line(buffer, row_of(inner, at), &Line::from(spans));
    }
}

/// The item drawn at a place.
pub fn item_at(app: &App, x: u16, y: u16) -> Option<u64> {
    let Pane::Overview(pane) = app.pane() else { return None };
    let page = Page::of(app, pane, app.layout().body);
    let at = Position { x, y };
    if page.sentences.contains(at) {
        let row = usize::from(y.checked_sub(page.sentences.y + 1)?);
        return page.lines.get(page.top + row)?.0.map(|finding| finding as u64);
    }
    let row = y.checked_sub(page.types.y + 2).filter(|_| page.types.contains(at))?;
    let index = page.first + usize::from(row);
    (index < pane.types_shown()).then(|| (pane.findings.len() + index) as u64)
}

fn lines(app: &App, pane: &OverviewPane, width: usize) -> Vec<(Option<usize>, Line<'static>)> {
    let mut lines = Vec::new();
    for (i, finding) in pane.findings.iter().enumerate() {
        lines.extend(sentence(finding, width, &app.theme).into_iter().map(|line| (Some(i), line)));
    }
    let mut say = |text: &str| {
        let text = format!("   {}", foreign(text, width));
        lines.push((None, Line::from(Span::styled(text, DIM))));
    };
    if app.unfinished {
        say("the scan was cancelled: R begins it anew, and tells what stands out");
    } else if !app.complete {
        say("threads and tasks are looked at once every object is found …");
    }
    for (aspect, refusal) in app.outstanding() {
        let what = match aspect {
            Aspect::Threads => "threads",
            Aspect::Tasks => "tasks",
            Aspect::Types => "types",
            Aspect::Memory => "memory",
            Aspect::Leaks => "what looks like a leak",
        };
        match refusal {
            Some(reason) => say(&format!("{what}: {reason}; R asks again")),
            None => say(&format!("looking at {what} …")),
        }
    }
    if app.complete && pane.findings.is_empty() && app.outstanding().next().is_none() {
        say("nothing: no deadlock, no blocked event loop, no crowd of tasks, no type that takes it all");
    }
    lines
}

/// A sentence behind its mark, broken at blanks.
fn sentence(finding: &Finding, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let (mark, style) = match finding.severity {
        Severity::Note => (finding.severity.mark(), Style::new()),
        severity => (severity.mark(), theme.warning),
    };
    let room = width.saturating_sub(3).max(1);
    let mut rows: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    for phrase in &finding.sentence {
        let style = match phrase {
            Phrase::Words(_) | Phrase::Place(_) => Style::new(),
            Phrase::Number(_) => theme.numbers,
            Phrase::Type(_) => theme.types,
            Phrase::Name(_) => BOLD,
        };
        for word in phrase.text().split_inclusive(' ') {
            let word = if word.len() > room { foreign(word, room) } else { crate::text::sanitize(word).into_owned() };
            if used > 0 && used + word.trim_end().width() > room {
                rows.push(Vec::new());
                used = 0;
            }
            used += word.width();
            if let Some(row) = rows.last_mut() {
                row.push(Span::styled(word, style));
            }
        }
    }
    if rows.len() > SENTENCE {
        rows.truncate(SENTENCE);
        if let Some(row) = rows.last_mut() {
            row.push(Span::raw("…"));
        }
    }
    let lines = rows.into_iter().enumerate().map(|(i, spans)| {
        let lead = if i == 0 { format!(" {mark} ") } else { "   ".into() };
        Line::from([vec![Span::styled(lead, style)], spans].concat())
    });
    lines.collect()
}
