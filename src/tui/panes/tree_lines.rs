//! The nodes of the object tree in one direction, and the lines they make on the screen.
//!
//! Lines are worked out when the tree changes, not when it is drawn.

use super::Motion;
use crate::analysis::answers::{Direction, EdgeRow, Edges};
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::tui::view::tree::Remembered;
use crate::worker::protocol::{Request, Ticket};
use std::cell::RefCell;
use std::collections::HashMap;

/// So many children of a node are held at a time.
pub const PAGE: u64 = 1000;

/// Names a node as long as it is held; never used twice.
pub type NodeId = u64;

/// The object at the top.
pub const ROOT: NodeId = 0;

/// An object in the tree.
#[derive(Debug)]
pub struct Node {
    /// Whose child.
    pub parent: Option<NodeId>,
    /// The object.
    pub address: Addr,
    /// How the parent holds it, or it the parent; none for the root.
    pub edge: Option<EdgeRow>,
    /// Whether the object stands further up already: unfolding goes round in a circle.
    pub again: bool,
    /// Whether its children are shown.
    pub open: bool,
    /// How many children there are.
    pub total: Option<u64>,
    /// Index of the first child that is held.
    pub offset: u64,
    /// Those that are held.
    pub children: Vec<NodeId>,
    /// The page that should be held.
    page: u64,
    /// The child to select once that page is there.
    goal: Option<u64>,
    slot: Slot,
}

/// One line of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Line {
    /// An object.
    Node(NodeId),
    /// Children of this node before those that are held.
    Before(NodeId),
    /// Children of this node after those that are held.
    After(NodeId),
    /// The children of this node are coming, or there are none, or they cannot be had.
    Note(NodeId),
}

/// The tree in one direction.
#[derive(Debug)]
pub struct Side {
    nodes: HashMap<NodeId, Node>,
    next: NodeId,
    lines: Vec<Line>,
    /// Selected.
    pub selected: Line,
    /// Grows with each change of the lines, for whoever keeps something made from them.
    pub revision: u64,
    /// What the widget remembers from one picture to the next.
    pub widget: RefCell<Remembered>,
}

impl Side {
    pub(super) fn new(root: Addr) -> Side {
        let mut side = Side {
            nodes: HashMap::new(),
            next: ROOT,
            lines: Vec::new(),
            selected: Line::Node(ROOT),
            revision: 0,
            widget: RefCell::default(),
        };
        side.add(None, root, None);
        side.set_open(ROOT, true);
        side
    }

    fn add(&mut self, parent: Option<NodeId>, address: Addr, edge: Option<EdgeRow>) -> NodeId {
        let id = self.next;
        self.next += 1;
        let again = self.ancestors(parent).any(|node| node.address == address);
        let total = edge.as_ref().map(|e| e.children);
        let slot = Slot::default();
        let (open, offset, children, page, goal) = (false, 0, Vec::new(), 0, None);
        self.nodes.insert(id, Node { parent, address, edge, again, open, total, offset, children, page, goal, slot });
        id
    }

    fn ancestors(&self, from: Option<NodeId>) -> impl Iterator<Item = &Node> {
        std::iter::successors(from.and_then(|id| self.nodes.get(&id)), |node| self.nodes.get(&node.parent?))
    }

    /// A node that is held.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All lines, top to bottom.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Where the selected line is.
    pub fn position(&self) -> usize {
        self.lines.iter().position(|line| *line == self.selected).unwrap_or(0)
    }

    /// The nodes from the root to a line's own.
    pub fn path(&self, line: Line) -> Vec<Line> {
        let (mut path, mut at) = match line {
            Line::Node(id) => (vec![line], self.node(id).and_then(|n| n.parent)),
            Line::Before(id) | Line::After(id) | Line::Note(id) => (vec![line], Some(id)),
        };
        while let Some(id) = at {
            path.push(Line::Node(id));
            at = self.node(id).and_then(|n| n.parent);
        }
        path.reverse();
        path
    }

    /// Whether a node's children are shown.
    pub fn is_open(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.open)
    }

    /// A line's text, for the search.
    pub fn text_of(&self, line: Line) -> Option<String> {
        let Line::Node(id) = line else { return None };
        let edge = self.node(id)?.edge.as_ref()?;
        Some(format!("{} = {} {} {}", edge.edge, edge.summary, edge.type_name, edge.address))
    }

    /// Why a node's children cannot be had.
    pub fn note(&self, id: NodeId) -> Option<&str> {
        self.node(id)?.slot.refusal()
    }

    /// Whether a node's children are being asked for.
    pub fn is_loading(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.slot.is_waiting())
    }

    pub(super) fn touch(&mut self) {
        self.revision += 1;
    }

    pub(super) fn select(&mut self, line: Line) {
        self.selected = line;
    }

    pub(super) fn select_parent(&mut self, line: Line) {
        if let [.., parent, _] = self.path(line)[..] {
            self.select(parent);
        }
    }

    pub(super) fn go(&mut self, motion: Motion) {
        let last = self.lines.len().saturating_sub(1);
        let row = match motion {
            Motion::By(rows) => self.position().saturating_add_signed(rows as isize),
            Motion::To(row) => usize::try_from(row).unwrap_or(usize::MAX),
        };
        if let Some(line) = self.lines.get(row.min(last)) {
            self.select(*line);
        }
    }

    pub(super) fn set_open(&mut self, id: NodeId, open: bool) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.open = open && (node.total != Some(0) || id == ROOT);
        self.rebuild();
    }

    /// Another page of a node's children.
    pub(super) fn page(&mut self, line: Line) {
        let (id, back) = match line {
            Line::Before(id) => (id, true),
            Line::After(id) => (id, false),
            Line::Node(_) | Line::Note(_) => return,
        };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let end = node.offset + node.children.len() as u64;
        node.page = if back { node.offset.saturating_sub(PAGE) } else { end };
        node.goal = Some(if back { node.offset.saturating_sub(1) } else { end });
        self.revision += 1;
    }

    pub(super) fn go_to_index(&mut self, id: NodeId, index: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let index = index.min(node.total.unwrap_or(0).saturating_sub(1));
        node.page = index / PAGE * PAGE;
        node.goal = Some(index);
        if node.page == node.offset && !node.children.is_empty() {
            self.reach(id);
        }
    }

    /// Selects the child that was gone to, now that it is here.
    fn reach(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(goal) = node.goal.take() else { return };
        if let Some(child) = node.children.get(goal.saturating_sub(node.offset) as usize).copied() {
            self.select(Line::Node(child));
        }
    }

    pub(super) fn ask(&mut self, direction: Direction, desk: &mut Desk) {
        // Only nodes whose lines are shown: a folded subtree asks for nothing
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            if !node.open {
                continue;
            }
            let (address, offset, limit) = (node.address, node.page, PAGE);
            if node.total != Some(0) {
                node.slot.want(Request::Edges { address, direction, offset, limit }, desk);
            }
            open.extend(&node.children);
        }
    }

    /// Takes children; gives them back when nobody here waits for them.
    pub(super) fn accept(&mut self, ticket: Ticket, edges: Edges) -> Result<(), Edges> {
        let waiting = self.nodes.iter_mut().find_map(|(id, n)| n.slot.accept(ticket, true).map(|_| *id));
        let Some(id) = waiting else { return Err(edges) };
        let old = self.nodes.get_mut(&id).map(|n| std::mem::take(&mut n.children)).unwrap_or_default();
        self.remove(old);
        let mut children = Vec::with_capacity(edges.edges.len());
        for edge in edges.edges.into_iter().take(PAGE as usize) {
            children.push(self.add(Some(id), edge.address, Some(edge)));
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.total = Some(edges.total);
            node.offset = edges.offset;
            node.children = children;
        }
        self.reach(id);
        self.rebuild();
        Ok(())
    }

    fn remove(&mut self, mut ids: Vec<NodeId>) {
        while let Some(id) = ids.pop() {
            ids.extend(self.nodes.remove(&id).map(|node| node.children).unwrap_or_default());
        }
    }

    pub(super) fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        let mine = self.nodes.values_mut().any(|node| node.slot.refuse(ticket, reason));
        if mine {
            self.rebuild();
        }
        mine
    }

    pub(super) fn resume(&mut self) {
        self.nodes.values_mut().for_each(|node| node.slot.forget_open());
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.revision += 1;
        self.lines.clear();
        let mut todo = vec![Line::Node(ROOT)];
        while let Some(line) = todo.pop() {
            self.lines.push(line);
            let Line::Node(id) = line else { continue };
            let start = todo.len();
            self.children_lines(id, &mut todo);
            todo[start..].reverse();
        }
        if !self.lines.contains(&self.selected) {
            // Its page went away, or a node above it was folded: the nearest node above that is left
            let path = self.path(self.selected);
            self.selected =
                path.iter().rev().copied().find(|line| self.lines.contains(line)).unwrap_or(Line::Node(ROOT));
        }
    }

    /// The lines right under a node, in order.
    pub fn children_lines(&self, id: NodeId, into: &mut Vec<Line>) {
        let Some(node) = self.nodes.get(&id).filter(|node| node.open) else { return };
        if node.children.is_empty() {
            into.push(Line::Note(id));
            return;
        }
        if node.offset > 0 {
            into.push(Line::Before(id));
        }
        into.extend(node.children.iter().map(|child| Line::Node(*child)));
        if node.offset + (node.children.len() as u64) < node.total.unwrap_or(0) {
            into.push(Line::After(id));
        }
    }
}
