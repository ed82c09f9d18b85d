//! `garbage` and `audit`: their arguments.

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
    /// Of the objects, only those that are like this: `type ~ *.Node and finalizer = true`
    #[arg(long = "where", value_name = "QUERY", requires = "objects")]
    pub where_: Option<String>,
}

/// References that nothing explains.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub source: Source,
    /// Of the objects, only those that are like this: `unexplained > 0 and type ~ app.*`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
}
