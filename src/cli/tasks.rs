//! Arguments of `tasks` and `threads`.

use super::Source;
use clap::{Args, ValueEnum};

/// Which tasks.
#[derive(Debug, Args)]
pub struct Tasks {
    #[command(flatten)]
    pub source: Source,
    /// Only tasks in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// Only tasks whose name has this part; in lower case, upper case matches too
    #[arg(long, value_name = "PART")]
    pub name: Option<String>,
    /// Only tasks with this part in the name of their coroutine, or of one that it awaits
    #[arg(long, value_name = "PART")]
    pub coro: Option<String>,
    /// Only tasks that are like this: `waits = lock and stack ~ Pool.get and awaiters > 10`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
    /// With the bytes that would go with each task, most first
    #[arg(long)]
    pub retained: bool,
}

/// Which threads.
#[derive(Debug, Args)]
pub struct Threads {
    #[command(flatten)]
    pub source: Source,
    /// Only threads that are like this: `gil = waits or waits ~ Queue and not daemon = true`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
    /// With the bytes that would go with each thread, most first
    #[arg(long)]
    pub retained: bool,
}

/// Which stacks.
#[derive(Debug, Args)]
pub struct Stacks {
    #[command(flatten)]
    pub source: Source,
    /// Only those of threads that are like this, as for `threads`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    Pending,
    Finished,
    Cancelled,
}

impl State {
    /// As in the answers.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Finished => "finished",
            State::Cancelled => "cancelled",
        }
    }
}
