//! Arguments of `export`.

use super::Source;
use crate::snapshot::Addr;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What to write for other tools.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub source: Source,
    /// parquet, csv and json write a file for each table; heapsnapshot one file for Chrome's DevTools
    #[arg(long, value_name = "FORMAT")]
    pub format: Format,
    /// Directory (heapsnapshot: file) to make, which must not exist
    #[arg(short, long, value_name = "PATH", conflicts_with = "json")]
    pub output: PathBuf,
    /// Tables to write [default: all]
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    pub tables: Vec<TableName>,
    /// Name each reference in edges; takes much longer
    #[arg(long)]
    pub edge_names: bool,
    /// Tell each object in one line in objects; takes much longer
    #[arg(long)]
    pub summaries: bool,
    /// Add to objects and types the bytes that would go with each; needs memory for the dominators of the whole heap
    #[arg(long)]
    pub retained: bool,
    /// heapsnapshot: only what this object reaches by strong references
    #[arg(long, value_name = "ADDR", value_parser = |text: &str| Addr::parse(text).ok_or("hex digits, with or without 0x"))]
    pub from: Option<Addr>,
    /// heapsnapshot: at most so many objects, those nearest to where it begins
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub max_objects: u32,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Parquet,
    Heapsnapshot,
    Csv,
    /// One JSON object a line
    Json,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableName {
    Snapshot,
    Types,
    Objects,
    Edges,
    Tasks,
    Frames,
    Regions,
}
