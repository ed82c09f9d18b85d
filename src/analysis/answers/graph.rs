//! The objects around one object, as a graph to be drawn.

use super::{Direction, EdgeKind};
use crate::snapshot::Addr;
use serde::Serialize;

/// How much is drawn where nobody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphBounds {
    /// References to follow each way.
    pub depth: u32,
    /// Objects shown of one object's referents, and of its referrers.
    pub breadth: u32,
    /// Objects in all.
    pub objects: u32,
    /// Paths, where these are asked for.
    pub paths: u64,
}

/// What fits on a screen or a page and can still be read.
pub const GRAPH_BOUNDS: GraphBounds = GraphBounds { depth: 3, breadth: 8, objects: 300, paths: 8 };

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphNode {
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The object in one line.
    pub summary: String,
    /// Its shallow size.
    pub shallow_bytes: u64,
    /// Whether it was asked to stand out.
    pub highlighted: bool,
}

/// The references of one object to another, of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphEdge {
    /// The holder.
    pub from: Addr,
    /// What it holds.
    pub to: Addr,
    /// How Python writes the way from one to the other; at most a few names.
    pub names: Vec<String>,
    /// How many references there are, those without a name here included.
    pub count: u64,
    /// Strong, weak or guessed.
    pub kind: EdgeKind,
}

/// References of one object that are not drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphFold {
    /// The object.
    pub address: Addr,
    /// Which of its references.
    pub direction: Direction,
    /// How many, those to objects that are drawn elsewhere included.
    pub count: u64,
}

/// A root that holds an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphRoot {
    /// What the root is: `sys.modules`, a thread's variable, …
    pub name: String,
    /// What it holds.
    pub address: Addr,
}

/// The objects around one object, or on the paths to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Graph {
    /// The object that was asked for.
    pub centre: Addr,
    /// Every object once, nearest first.
    pub nodes: Vec<GraphNode>,
    /// What holds what.
    pub edges: Vec<GraphEdge>,
    /// Where there is more.
    pub folded: Vec<GraphFold>,
    /// Where paths begin; without paths there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<GraphRoot>,
    /// Paths that were found and are not drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths_left_out: Option<u64>,
}
