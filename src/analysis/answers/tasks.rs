//! Tasks, futures and who awaits whom, as answers.

use super::{Frame, Local};
use crate::snapshot::Addr;
use serde::Serialize;

/// The wait graph of asyncio.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tasks {
    /// Every task, in address order.
    pub tasks: Vec<Task>,
    /// Every other future, in address order.
    pub futures: Vec<Future>,
    /// Tasks and futures that wait for each other: each strongly connected component, deadlocks first.
    pub cycles: Vec<Vec<Addr>>,
    /// What is to be said of each of `cycles`.
    pub verdicts: Vec<Verdict>,
    /// The unfinished tasks as trees, those of cycles first.
    pub forest: Vec<TreeRow>,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// Whether a cycle ever breaks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Nothing that is known of wakes any of its members.
    pub deadlock: bool,
    /// What breaks it: a timeout, or something else that one of its members waits for as well.
    pub wakers: Vec<String>,
}

/// One task.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Task {
    /// The task.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// `get_name()`.
    pub name: Option<String>,
    /// `pending`, `finished` or `cancelled`; `None` where that is damaged.
    pub state: Option<&'static str>,
    /// Whether its coroutine is on a thread's stack.
    pub running: bool,
    /// The coroutine's qualified name.
    pub coro: Option<String>,
    /// The coroutine.
    pub coroutine: Option<Addr>,
    /// What it returned.
    pub result: Option<Local>,
    /// What it raised.
    pub exception: Option<Local>,
    /// Its event loop.
    #[serde(rename = "loop")]
    pub event_loop: Option<Addr>,
    /// The interpreter it belongs to, where there is only one.
    pub interpreter: Option<i64>,
    /// The future it waits for; `None` for one that runs or is about to.
    pub fut_waiter: Option<Addr>,
    /// From the task's own coroutine to the innermost await.
    pub stack: Vec<Frame>,
    /// Whether `stack` ends where the await does: no link was damaged.
    pub whole: bool,
    /// Tasks and futures that must finish first.
    pub awaits: Vec<Addr>,
    /// Tasks and futures that wait for it.
    pub awaited_by: Vec<Addr>,
    /// What is behind the future it waits for.
    pub waits_in: Option<WaitsIn>,
    /// The number of its cycle in [`Tasks::cycles`].
    pub cycle: Option<usize>,
}

/// A future that is no task.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Future {
    /// The future.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// As of a task.
    pub state: Option<&'static str>,
    /// Its event loop.
    #[serde(rename = "loop")]
    pub event_loop: Option<Addr>,
    /// Tasks and futures that must finish first.
    pub awaits: Vec<Addr>,
    /// Tasks and futures that wait for it.
    pub awaited_by: Vec<Addr>,
    /// What will set its result.
    pub waits_in: Option<WaitsIn>,
    /// The number of its cycle.
    pub cycle: Option<usize>,
}

/// What a plain future stands for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WaitsIn {
    /// `lock`, `event`, `condition`, `semaphore`, `queue`, `barrier`, `stream`, `socket`, `sleep`, `timer`,
    /// `subprocess`, `executor`.
    pub kind: &'static str,
    /// The lock, the queue, …
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The task that holds the lock.
    pub holder: Option<Addr>,
    /// How the holder is known: `frame`, a suspended frame is inside the lock's `async with`.
    pub certainty: Option<&'static str>,
    /// When it is over, by the loop's clock, in seconds.
    pub until: Option<f64>,
    /// The file descriptor.
    pub fd: Option<i64>,
    /// The thread of an executor that works on it, by its native id.
    pub thread: Option<u64>,
}

impl WaitsIn {
    /// In a few words.
    pub fn about(&self) -> String {
        let mut text = match self.kind {
            "sleep" | "timer" => self.kind.to_owned(),
            kind => format!("{kind} {}", self.address),
        };
        if let Some(until) = self.until {
            text.push_str(&format!(" until {until:.3} of the loop's clock"));
        }
        if let Some(thread) = self.thread {
            text.push_str(&format!(", thread {thread}"));
        }
        if let Some(fd) = self.fd {
            text.push_str(&format!(", fd {fd}"));
        }
        text
    }
}

/// A line of the forest: a task, or several that are alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TreeRow {
    /// The task; the first of several.
    pub address: Addr,
    /// How many tasks stand at the same place and wait for the same kind of thing.
    pub count: u64,
    /// How deep it stands; 0 is a root.
    pub depth: u64,
    /// Whether it stands above already, with what it awaits.
    pub shared: bool,
    /// The number of its cycle.
    pub cycle: Option<usize>,
    /// Its name, coroutine, place and what it waits in, for a line of text.
    #[serde(skip)]
    pub label: [String; 4],
}
