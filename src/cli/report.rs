//! Arguments of `report`.

use super::Source;
use clap::Args;
use std::path::PathBuf;

/// A page to attach to a ticket.
#[derive(Debug, Args)]
pub struct Report {
    #[command(flatten)]
    pub source: Source,
    /// HTML file to make, which must not exist
    #[arg(short, long, value_name = "PATH", conflicts_with = "json")]
    pub output: PathBuf,
    /// Also show the variables of threads' frames, which may hold secrets
    #[arg(long)]
    pub locals: bool,
}
