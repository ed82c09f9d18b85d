//! Arguments of `graph`.

use super::At;
use crate::analysis::answers::GRAPH_BOUNDS;
use clap::Args;
use std::path::PathBuf;

/// What to draw around an object.
#[derive(Debug, Args)]
pub struct Graph {
    #[command(flatten)]
    pub at: At,
    /// How many references to follow, each way
    #[arg(long, value_name = "N", default_value_t = GRAPH_BOUNDS.depth)]
    pub depth: u32,
    /// Objects to show of what one object holds, and of what holds it; the others are one box that counts them
    #[arg(long, value_name = "N", default_value_t = GRAPH_BOUNDS.breadth,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub breadth: u32,
    /// Objects to show in all
    #[arg(long, value_name = "N", default_value_t = GRAPH_BOUNDS.objects,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_objects: u32,
    /// Follow references in this direction only
    #[arg(long, value_name = "WHICH")]
    pub only: Option<Way>,
    /// Leave out this object, or the objects of this type; may be given several times
    #[arg(long, value_name = "NAME or ADDR")]
    pub exclude: Vec<String>,
    /// Colour this object, or the objects of this type; may be given several times
    #[arg(long, value_name = "NAME or ADDR")]
    pub highlight: Vec<String>,
    /// Draw the shortest paths from roots to the object instead of what is around it; at most N
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true,
          value_parser = clap::value_parser!(u64).range(1..=1000), conflicts_with_all = ["depth", "breadth", "only", "all_edges"])]
    pub paths: Option<Option<u64>>,
    /// Also draw each object's reference to its class, and a dict's to the strings that are its keys
    #[arg(long)]
    pub all_edges: bool,
    /// Write to this new file: .dot; .svg, .png or .pdf through Graphviz [default: DOT on standard output]
    #[arg(short, long, value_name = "PATH", conflicts_with = "json")]
    pub output: Option<PathBuf>,
}

/// One direction along references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// What the object holds.
    Referents,
    /// What holds the object.
    Referrers,
}
