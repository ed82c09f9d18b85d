//! Tasks, futures and who awaits whom, as answers.

use super::{Frame, Local, Place};
use crate::snapshot::Addr;
use crate::text;
use serde::Serialize;

/// The wait graph of asyncio, or the part of it that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tasks {
    /// The tasks that were asked for, in address order.
    pub tasks: Vec<Task>,
    /// The other futures, in address order: all, or those that the tasks lead to when only some were asked for.
    pub futures: Vec<Future>,
    /// Tasks and futures that wait for each other: each strongly connected component, deadlocks first.
    pub cycles: Vec<Vec<Addr>>,
    /// What is to be said of each of `cycles`.
    pub verdicts: Vec<Verdict>,
    /// The unfinished tasks as trees, those of cycles first; with a filter the tasks that match, without their trees.
    pub forest: Vec<TreeRow>,
    /// Unfinished tasks that stand at the same place, wherever in the trees: the largest groups first, none of one task.
    pub groups: Vec<Group>,
    /// How many there are of all, whatever was asked for.
    pub total: TaskTotals,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
    /// Whether only some tasks were asked for.
    #[serde(skip)]
    pub narrowed: bool,
}

/// Counts of the whole process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TaskTotals {
    /// Tasks.
    pub tasks: u64,
    /// Those that are not done.
    pub pending: u64,
    /// Futures that are no tasks.
    pub futures: u64,
    /// Lines that the forest has, those beyond the limit included.
    pub rows: u64,
}

/// Tasks at the same place: the same functions at the same lines, waiting in the same kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The coroutine's qualified name.
    pub coro: String,
    /// Where the innermost await is.
    pub place: Option<Place>,
    /// [`WaitsIn::kind`].
    pub waits_in: Option<&'static str>,
    /// The tasks.
    pub tasks: Vec<Addr>,
}

/// Whether a cycle ever breaks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Nothing that is known of wakes any of its members.
    pub deadlock: bool,
    /// What breaks it: a timeout, or something else that one of its members waits for as well.
    pub wakers: Vec<String>,
    /// When the first timeout breaks it, by the loop's clock, in seconds.
    pub until: Option<f64>,
    /// Threads that are part of it, by their native ids.
    pub threads: Vec<u64>,
    /// The cycle in one sentence: who waits for what, and who has it.
    pub sentence: String,
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
    /// The interpreter it belongs to, 0 is the main one; `None` where it cannot be told.
    pub interpreter: Option<i64>,
    /// The thread that runs its event loop, by its native id; `None` for a loop that does not run.
    pub thread: Option<u64>,
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
    /// When a `timeout`, a `wait_for` or a timer ends its wait, whatever it waits for.
    pub timeout: Option<Ends>,
    /// The number of its cycle in [`Tasks::cycles`].
    pub cycle: Option<usize>,
    /// Bytes that would go with it, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
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
    /// The task that holds the lock; of a semaphore, when only one can.
    pub holder: Option<Addr>,
    /// How the holder is known: `frame`, a suspended frame is inside the lock's `async with`.
    pub certainty: Option<&'static str>,
    /// Where the holder's `async with` is.
    pub held_at: Option<Place>,
    /// The tasks inside a semaphore's `async with`; others may have taken it by `acquire()`.
    pub holders: Vec<Addr>,
    /// When it is over, by the loop's clock, in seconds.
    pub until: Option<f64>,
    /// The same from the capture on; below zero when it was overdue.
    pub left: Option<f64>,
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
            text.push_str(&Ends { until, left: self.left }.about());
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

/// When something ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Ends {
    /// By the loop's clock, in seconds.
    pub until: f64,
    /// Seconds from the capture on, below zero when it was overdue; `None` where the capture does not tell the time.
    pub left: Option<f64>,
}

impl Ends {
    /// Behind what is waited for: `, times out in 2m 5s`.
    pub fn times_out(self) -> String {
        format!(", times out{}", self.ahead())
    }

    /// After a verb: ` in 2m 5s`.
    pub fn ahead(&self) -> String {
        match self.left {
            None => format!(" at {:.3} of the loop's clock", self.until),
            Some(left) if left < 0.0 => format!(" now, overdue by {}", span(-left)),
            Some(left) => format!(" in {}", span(left)),
        }
    }

    /// After the name of what ends: `, 2m 5s left`.
    pub fn about(&self) -> String {
        match self.left {
            None => format!(" until {:.3} of the loop's clock", self.until),
            Some(left) if left < 0.0 => format!(", overdue by {}", span(-left)),
            Some(left) => format!(", {} left", span(left)),
        }
    }
}

/// Seconds in at most two units.
fn span(seconds: f64) -> String {
    if seconds < 60.0 { format!("{seconds:.1}s") } else { text::age(seconds as u64) }
}

/// A line of the forest: a task, or several that are alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TreeRow {
    /// The task; the first of several.
    pub address: Addr,
    /// How many tasks stand at the same place and wait for the same kind of thing.
    pub count: u64,
    /// Those tasks, when there are several.
    pub tasks: Vec<Addr>,
    /// How deep it stands; 0 is a root.
    pub depth: u64,
    /// Whether it stands above already, with what it awaits.
    pub shared: bool,
    /// The number of its cycle.
    pub cycle: Option<usize>,
    /// As of a task.
    pub state: Option<&'static str>,
    /// As of a task; of several, what they keep together. None for one that stands above already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
    /// Its name, coroutine, place and what it waits in, for a line of text.
    #[serde(skip)]
    pub label: [String; 4],
}
