//! Why an object is alive: paths in one line each, and their steps.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::EdgeKind;
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::paths::{PathsPane, Row};
use crate::tui::theme::{BOLD, DIM, Theme};
use crate::tui::widgets::table::{self, Look};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &PathsPane) {
    boxed(buffer, layout.body, &title(pane, usize::from(layout.body.width)));
    let area = layout.content;
    if pane.rows.is_empty() {
        let said = match (pane.slot.refusal(), &pane.paths) {
            (Some(reason), _) => reason,
            (None, Some(_)) => "no root leads to it: it is garbage, or only something unknown holds it",
            (None, None) if !app.complete => "paths are looked for once every object is found …",
            (None, None) => "looking for paths from roots …",
        };
        let said = format!(" {}", foreign(said, usize::from(area.width)));
        line(buffer, row_of(area, 0), &Line::from(Span::styled(said, DIM)));
        return;
    }
    for at in 0..area.height {
        let index = pane.scroll.top + u64::from(at);
        let Some(row) = pane.row(index) else { break };
        let place = row_of(area, at);
        line(buffer, place, &content(pane, row, usize::from(area.width), &app.theme));
        table::finish(buffer, place, Look::of(index == pane.scroll.row, false));
    }
}

fn title(pane: &PathsPane, width: usize) -> String {
    let name = foreign_end(&pane.name, width / 3);
    let at = pane.address.to_string();
    let called = if name.ends_with(&at) { name } else { format!("{name} {at}") };
    let Some(paths) = &pane.paths else { return format!("why {called} is alive") };
    let n = paths.paths.len();
    let retained = paths.retained_bytes.map(|bytes| format!(" · retains {}", text::size(bytes))).unwrap_or_default();
    format!("why {called} is alive · {n} path{}{retained}", if n == 1 { "" } else { "s" })
}

fn content(pane: &PathsPane, row: Row, width: usize, theme: &Theme) -> Line<'static> {
    let kind = |kind: EdgeKind| match kind {
        EdgeKind::Strong => "",
        EdgeKind::Weak => " (weak)",
        EdgeKind::Guessed => " (guessed)",
    };
    match row {
        Row::Path(i) => {
            let said = pane.paths.as_ref().and_then(|p| p.text.get(i)).map_or("", |text| text);
            let mark = if pane.is_unfolded(i) { " ▾ " } else { " ▸ " };
            Line::from(vec![Span::raw(mark), Span::styled(foreign(said, width.saturating_sub(3)), BOLD)])
        }
        Row::Step(path, at) => {
            let Some(step) = pane.step(row) else { return Line::default() };
            let last = pane.paths.as_ref().and_then(|p| p.paths.get(path)).is_some_and(|p| p.len() == at + 1);
            let joint = if last { "     ╰ " } else { "     │ " };
            let room = width.saturating_sub(7);
            let edge = foreign(&step.edge, (room * 2 / 5).max(12));
            let gap = " ".repeat((room / 3).saturating_sub(edge.width() + kind(step.kind).width()) + 2);
            let used = edge.width() + gap.width() + kind(step.kind).width();
            let name = foreign_end(&step.type_name, (room / 4).max(10));
            let value = foreign(&step.summary, room.saturating_sub(used + name.width() + 2));
            let style = theme.value(&value);
            Line::from(vec![
                Span::styled(joint, DIM),
                Span::raw(edge),
                Span::styled(kind(step.kind), theme.warning),
                Span::raw(gap),
                Span::styled(name, theme.types),
                Span::raw("  "),
                Span::styled(value, style),
            ])
        }
        Row::Weak => {
            let n = pane.paths.as_ref().map_or(0, |p| p.weak_total);
            let said = format!("   {} weak references, which keep nothing alive", text::count(n));
            Line::from(Span::styled(foreign(&said, width), DIM))
        }
        Row::Weakly(_) => {
            let Some(edge) = pane.weak(row) else { return Line::default() };
            let said = format!("{} of {}", edge.edge, edge.summary);
            Line::from(vec![Span::raw("       "), Span::styled(foreign(&said, width.saturating_sub(7)), DIM)])
        }
    }
}

/// The selected line as text.
pub(super) fn line_text(pane: &PathsPane) -> Option<String> {
    let row = pane.current()?;
    Some(match row {
        Row::Path(i) => pane.paths.as_ref()?.text.get(i)?.clone(),
        Row::Step(..) => {
            let step = pane.step(row)?;
            format!("{}\t{}\t{}\t{}", step.edge, step.address, step.type_name, step.summary)
        }
        Row::Weak => return None,
        Row::Weakly(_) => {
            let edge = pane.weak(row)?;
            format!("{}\t{}\t{}\t{}", edge.edge, edge.address, edge.type_name, edge.summary)
        }
    })
}
