//! Arguments of `completions` and `man`.

use clap::Args;
use clap_complete::Shell;

/// Which shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell that is to read it
    pub shell: Shell,
}

/// Which page.
#[derive(Debug, Args)]
pub struct Man {
    /// A command, for a page of its own [default: the program]
    pub command: Option<String>,
}
