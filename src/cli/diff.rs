//! `diff`: its arguments.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Snapshots to compare.
#[derive(Debug, Args)]
pub struct Diff {
    /// Two or three snapshots of one process, the oldest first; with --pid, one or two
    #[arg(value_name = "SNAPSHOT", num_args = 1..=3, required = true)]
    pub snapshots: Vec<PathBuf>,
    /// Capture this process for the newest
    #[arg(long, value_name = "PID")]
    pub pid: Option<i32>,
    /// Also list these objects
    #[arg(long, value_name = "WHICH")]
    pub objects: Option<Which>,
    /// Of them, only those of the type with this name
    #[arg(long = "type", value_name = "NAME", requires = "objects")]
    pub type_: Option<String>,
    /// Only types that are like this: `growth > 1MB and not type ~ _frozen*`
    #[arg(long = "where", value_name = "QUERY", conflicts_with = "objects")]
    pub where_: Option<String>,
}

/// Objects of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Only the second snapshot has them
    Created,
    /// Only the first one has them
    Freed,
    /// Both have them
    Survivors,
    /// Made between the first two, and still in the third
    Kept,
}

/// What is wrong with the number of snapshots, or with what is asked of them.
pub(super) fn check(args: &Diff) -> Result<(), String> {
    let given = args.snapshots.len() + usize::from(args.pid.is_some());
    match given {
        0 | 1 => Err("give two snapshots, or one and --pid PID".into()),
        2 if args.objects == Some(Which::Kept) => Err("--objects kept needs three snapshots".into()),
        2 | 3 => Ok(()),
        _ => Err("give at most three snapshots".into()),
    }
}
