//! Rows as files for other tools: one file for each table, or one graph.
//!
//! Rows come in batches and are written as they come. Nothing is asked of a snapshot here; the small tables are made of
//! the answers that are printed elsewhere.

mod heapsnapshot;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;
mod text;

pub use heapsnapshot::{GraphEdge, HeapSnapshot, NodeType};
pub use rows::{frames, regions, snapshot, tasks, types, types_retained};

use crate::analysis::answers::Batch;
use std::io::{self, Write};

/// How a table's rows look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated, with a head line (RFC 4180).
    Csv,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// What a file's name ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Json => "jsonl",
        }
    }

    /// Whether this program was built with it.
    pub fn is_built_in(self) -> bool {
        self != Format::Parquet || cfg!(feature = "parquet")
    }
}

/// Writes the batches of one table.
pub trait TableWriter {
    /// Some rows; the first call tells the columns.
    fn rows(&mut self, batch: &Batch) -> io::Result<()>;
    /// The end.
    fn end(self: Box<Self>) -> io::Result<()>;
}

/// A writer of the table `name` in a format that is built in.
pub fn writer<'w>(
    format: Format,
    name: &'static str,
    out: impl Write + Send + 'w,
) -> io::Result<Box<dyn TableWriter + 'w>> {
    match format {
        Format::Csv => Ok(Box::new(text::Csv::new(out))),
        Format::Json => Ok(Box::new(text::Lines::new(out))),
        #[cfg(feature = "parquet")]
        Format::Parquet => Ok(Box::new(parquet::Parquet::new(name, out))),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => {
            let _ = name;
            Err(io::Error::from(io::ErrorKind::Unsupported))
        }
    }
}
