//! `garbage`: its arguments.

use super::Source;
use clap::Args;

/// What only cycles keep alive.
#[derive(Debug, Args)]
pub struct Garbage {
    #[command(flatten)]
    pub source: Source,
    /// List the objects one by one
    #[arg(long)]
    pub objects: bool,
}
