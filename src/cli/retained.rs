//! Arguments of `path`, `retained` and `types`.

use super::{At, Source};
use crate::snapshot::Addr;
use clap::{Args, ValueEnum};

/// Which paths.
#[derive(Debug, Args)]
pub struct Path {
    #[command(flatten)]
    pub at: At,
    /// So many paths, from different roots or variables
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub all: u64,
}

/// Which part of the dominator tree.
#[derive(Debug, Args)]
pub struct Retained {
    #[command(flatten)]
    pub source: Source,
    /// What this object alone keeps alive, instead of the objects that no other dominates
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with = "by")]
    pub under: Option<Addr>,
    /// One row for each of these instead of each object
    #[arg(long, value_name = "WHAT")]
    pub by: Option<By>,
    /// Only rows that are like this: `retained > 1MB and count > 1000 and type ~ app.*`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
}

/// What sizes are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    Type,
    Module,
    Thread,
    Frame,
    Local,
    Task,
    Root,
}

/// Types.
#[derive(Debug, Args)]
pub struct Types {
    #[command(flatten)]
    pub source: Source,
    /// Also what the objects of each type keep alive, and sort by it
    #[arg(long)]
    pub retained: bool,
    /// Count only objects that are like this: `size > 1MB and referrers = 1`
    #[arg(long = "where", value_name = "QUERY", conflicts_with = "retained")]
    pub where_: Option<String>,
}

fn address(word: &str) -> Result<Addr, String> {
    Addr::parse(word).ok_or_else(|| "it is no address: hex digits, with or without 0x".into())
}
