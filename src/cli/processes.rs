//! Arguments of `processes`.

use clap::Args;

/// Which processes to list.
#[derive(Debug, Clone, Default, Args)]
pub struct Processes {
    /// Only those that may be captured
    #[arg(long)]
    pub mine: bool,
}
