//! How a process is captured: options of every command that takes `--pid`.

use crate::text::parse_size;
use clap::{Args, ValueEnum};

/// How to capture, and what a capture must not exceed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Capturing")]
pub struct Taking {
    /// How to copy a process's memory
    #[arg(long, value_name = "MODE", global = true, default_value = "auto")]
    pub mode: ModeArg,
    /// Give up, or take another way, rather than stop the process for longer
    #[arg(long, value_name = "MS", global = true)]
    pub max_pause: Option<u64>,
    /// Memory that the copy may lie in until it is written [default: a quarter of what is free]
    #[arg(long, value_name = "SIZE", global = true, value_parser = parse_size)]
    pub max_buffer: Option<u64>,
    /// Memory that a capture may take from the machine for a while, of every kind, and the references of a heap: what of
    /// these is more goes to a temporary file [default for references: half of what is free]
    #[arg(long, value_name = "SIZE", global = true, value_parser = parse_size)]
    pub max_memory: Option<u64>,
}

/// How to copy a process's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Through a fork where that is safe and worth it, else plainly
    #[default]
    Auto,
    /// While the process stands still; writes nothing to it
    Plain,
    /// From a frozen copy-on-write child, so that the process goes on at once; plainly where that is not safe
    Fork,
}
