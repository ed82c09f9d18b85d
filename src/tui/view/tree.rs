//! The object tree, with tui-tree-widget.
//!
//! The widget wants every unfolded row built before it draws. The rows are built when the tree or the width changes
//! and kept; the tree itself keeps them in the low thousands by paging.

use super::layout::Layout;
use super::objects::size;
use super::{boxed, foreign, foreign_end};
use crate::analysis::answers::{Direction, EdgeKind, EdgeRow};
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::tree::{Line as TreeLine, NodeId, PAGE, ROOT, TreePane};
use crate::tui::theme::{BOLD, DIM, SELECTED, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::text::{Line, Span};
use ratatui::widgets::StatefulWidget;
use tui_tree_widget::{Tree, TreeItem, TreeState};
use unicode_width::UnicodeWidthStr;

/// Columns that one step down moves to the right, and that the fold mark takes.
const STEP: usize = 2;

/// What the widget keeps from one picture to the next.
#[derive(Debug, Default)]
pub struct Remembered {
    state: TreeState<TreeLine>,
    rows: Vec<TreeItem<'static, TreeLine>>,
    made_for: Option<(u64, u16, Theme)>,
}

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &TreePane) {
    boxed(buffer, layout.body, &title(pane, usize::from(layout.body.width)));
    let (side, area) = (pane.side(), layout.content);
    let mut memory = side.widget.borrow_mut();
    let memory = &mut *memory;
    let made_for = Some((side.revision, area.width, app.theme));
    if memory.made_for != made_for {
        let mut opened = Vec::new();
        let item = item(pane, TreeLine::Node(ROOT), &mut Vec::new(), usize::from(area.width), &app.theme, &mut opened);
        memory.rows = vec![item];
        memory.state.close_all();
        for path in opened {
            memory.state.open(path);
        }
        memory.made_for = made_for;
        memory.state.scroll_selected_into_view();
    }
    let path = side.path(side.selected);
    if memory.state.selected() != path {
        memory.state.select(path);
    }
    // Only two rows with one name make this fail, and names are never used twice
    let Ok(tree) = Tree::new(&memory.rows) else { return };
    let tree = tree.highlight_style(SELECTED).node_closed_symbol("▸ ").node_open_symbol("▾ ");
    StatefulWidget::render(tree, area, buffer, &mut memory.state);
}

/// The line drawn at a place.
pub fn line_at(pane: &TreePane, x: u16, y: u16) -> Option<TreeLine> {
    pane.side().widget.borrow().state.rendered_at(Position { x, y })?.last().copied()
}

fn title(pane: &TreePane, width: usize) -> String {
    let (what, other) = match pane.direction {
        Direction::Referents => ("holds ▾", "r: who holds it"),
        Direction::Referrers => ("is held by ▴", "r: what it holds"),
    };
    let name = match pane.head.object() {
        Some((object, _)) => foreign_end(&object.type_name, width / 3) + " ",
        None => String::new(),
    };
    let total = pane.side().node(ROOT).and_then(|node| node.total);
    let total = total.map_or(String::new(), |n| format!(" · {}", text::count(n)));
    format!("{name}{} {what}{total} · {other}", pane.root)
}

fn item(
    pane: &TreePane,
    at: TreeLine,
    above: &mut Vec<TreeLine>,
    width: usize,
    theme: &Theme,
    opened: &mut Vec<Vec<TreeLine>>,
) -> TreeItem<'static, TreeLine> {
    let room = width.saturating_sub(above.len() * STEP + STEP);
    let text = row(pane, at, room, width, theme);
    let TreeLine::Node(id) = at else { return TreeItem::new_leaf(at, text) };
    let side = pane.side();
    above.push(at);
    let mut lines = Vec::new();
    side.children_lines(id, &mut lines);
    if side.is_open(id) {
        opened.push(above.clone());
    } else if side.node(id).is_some_and(|node| node.total != Some(0)) {
        lines.clear();
        lines.push(TreeLine::Note(id)); // never drawn; makes the widget show that there is something to unfold
    }
    let children = lines.into_iter().map(|line| item(pane, line, above, width, theme, opened)).collect();
    above.pop();
    // As above: names are unique
    TreeItem::new(at, text.clone(), children).unwrap_or_else(|_| TreeItem::new_leaf(at, text))
}

fn row(pane: &TreePane, at: TreeLine, room: usize, width: usize, theme: &Theme) -> Line<'static> {
    let side = pane.side();
    let more = |id: NodeId, n: u64, which: &str| {
        let coming = if side.is_loading(id) { "loading" } else { "↵" };
        let said = format!("… {} {which} ({coming} {}, g to an index)", text::count(n), text::count(n.min(PAGE)));
        Line::from(Span::styled(text::keep_start(&said, room).into_owned(), DIM))
    };
    match at {
        TreeLine::Before(id) => more(id, side.node(id).map_or(0, |n| n.offset), "before"),
        TreeLine::After(id) => {
            let rest =
                side.node(id).map_or(0, |n| n.total.unwrap_or(0).saturating_sub(n.offset + n.children.len() as u64));
            more(id, rest, "more")
        }
        TreeLine::Note(id) => {
            let said = match (side.note(id), pane.direction) {
                (Some(reason), _) => foreign(reason, room),
                (None, _) if side.node(id).is_none_or(|node| node.total != Some(0)) => "…".into(),
                (None, Direction::Referents) => "(it holds no objects)".into(),
                (None, Direction::Referrers) => "(no object holds it)".into(),
            };
            Line::from(Span::styled(said, DIM))
        }
        TreeLine::Node(ROOT) => root(pane, room, width, theme),
        TreeLine::Node(id) => match side.node(id) {
            Some(node) => match &node.edge {
                Some(edge) => reference(edge, pane.direction, node.again, (room, width), theme),
                None => Line::from(node.address.to_string()),
            },
            None => Line::default(),
        },
    }
}

fn root(pane: &TreePane, room: usize, width: usize, theme: &Theme) -> Line<'static> {
    let Some((object, true)) = pane.head.object() else {
        let said = if pane.head.shown.is_some() { " · no object begins here" } else { " · …" };
        return Line::from(vec![Span::styled(pane.root.to_string(), theme.addresses), Span::styled(said, DIM)]);
    };
    let left = [Span::styled(foreign(&object.summary, room), BOLD)];
    let end = End {
        type_name: &object.type_name,
        address: object.address.to_string(),
        size: size(object.shallow_bytes, object.estimated),
    };
    columns(left.into(), end, (room, width), theme)
}

fn reference(edge: &EdgeRow, direction: Direction, again: bool, room: Room, theme: &Theme) -> Line<'static> {
    let kind = match edge.kind {
        EdgeKind::Strong => "",
        EdgeKind::Weak => " (weak)",
        EdgeKind::Guessed => " (guessed)",
    };
    let joint = match direction {
        _ if edge.edge.is_empty() => "",
        Direction::Referents => " = ",
        Direction::Referrers => " of ",
    };
    let again = if again { " ↺" } else { "" };
    let left = left_width(room).saturating_sub(kind.width() + joint.width() + again.width());
    // The name gets half, or what the value leaves
    let value = foreign(&edge.summary, left);
    let name = foreign(&edge.edge, (left / 2).max(left - value.width()));
    let value = text::keep_start(&value, left - name.width()).into_owned();
    let style = theme.value(&value);
    let spans = vec![
        Span::raw(name),
        Span::styled(kind, theme.warning),
        Span::styled(joint, DIM),
        Span::styled(value, style),
        Span::raw(again),
    ];
    let end =
        End { type_name: &edge.type_name, address: edge.address.to_string(), size: text::size(edge.shallow_bytes) };
    columns(spans, end, room, theme)
}

/// Columns that a line has, and columns of the whole pane: by the latter, the right ends of all lines agree.
type Room = (usize, usize);

/// The columns at the right end of a line.
struct End<'a> {
    type_name: &'a str,
    address: String,
    size: String,
}

const ADDRESS: usize = 14;
const SIZE: usize = 8;

fn type_width(width: usize) -> usize {
    (width / 6).clamp(10, 36)
}

fn left_width((room, width): Room) -> usize {
    let left = room.saturating_sub(type_width(width) + ADDRESS + SIZE + 6);
    if left < 12 { room } else { left } // deep down in a narrow window the names matter most
}

fn columns(mut spans: Vec<Span<'static>>, end: End<'_>, room: Room, theme: &Theme) -> Line<'static> {
    let left = left_width(room);
    let mut used = 0;
    for span in &mut spans {
        let fitting = text::keep_start(&span.content, left - used).into_owned();
        used += fitting.width();
        span.content = fitting.into();
    }
    if left == room.0 {
        return Line::from(spans);
    }
    spans.push(Span::raw(" ".repeat(left - used + 2)));
    let kind = foreign_end(end.type_name, type_width(room.1));
    let pad = type_width(room.1) - kind.width() + 2;
    spans.push(Span::styled(kind, theme.types));
    spans.push(Span::raw(" ".repeat(pad)));
    spans.push(Span::styled(format!("{:<ADDRESS$}", end.address), theme.addresses));
    spans.push(Span::styled(format!("  {:>SIZE$}", end.size), theme.numbers));
    Line::from(spans)
}

/// The selected line as text.
pub(super) fn line_text(pane: &TreePane) -> Option<String> {
    let side = pane.side();
    let TreeLine::Node(id) = side.selected else { return None };
    match &side.node(id)?.edge {
        Some(edge) => Some(format!("{}\t{}\t{}\t{}", edge.edge, edge.address, edge.type_name, edge.summary)),
        None => {
            let (object, _) = pane.head.object()?;
            Some(format!("{}\t{}\t{}", object.address, object.type_name, object.summary))
        }
    }
}
