//! Arguments of `capture`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Write a snapshot.
#[derive(Debug, Args)]
pub struct Capture {
    /// The process; given several times, each becomes a snapshot of its own below PATH
    #[arg(long, value_name = "PID", required = true)]
    pub pid: Vec<i32>,
    /// Also the Python processes below it: the workers of a server
    #[arg(long)]
    pub children: bool,
    /// Directory to make, which must not exist; `-` writes a stream to standard output
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// How `-o -` writes
    #[arg(long, value_name = "FORMAT", default_value = "zstd")]
    pub stream_format: StreamFormat,
    /// Keep what objects there are, not what they say: text, bytes, large numbers and buffers are zeroed
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub redact: Option<RedactArg>,
}

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StreamFormat {
    /// Compressed, in one pass, with all that is known of the process
    Zstd,
    /// The same, not compressed
    Raw,
    /// python-memtools' records: memory alone; a disk at the target holds it first
    Plain,
}

/// What is redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RedactArg {
    /// All text
    All,
    /// All but the names of attributes, variables, functions and files of code
    KeysKept,
}
