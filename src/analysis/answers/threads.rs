//! Threads and their stacks, as answers.

use crate::snapshot::Addr;
use crate::text::size;
use serde::Serialize;

/// Every thread of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Threads {
    /// Those of a deadlock first; then those with Python state, each interpreter's in the order they were started; then
    /// the others.
    pub threads: Vec<Thread>,
    /// Threads that wait for each other for good, by their native ids: each for one that the next holds, the last for
    /// one that the first holds. One that waits for what it holds itself stands alone. Where tasks of asyncio are part
    /// of the circle, the sentence names them.
    pub deadlocks: Vec<Vec<u64>>,
    /// A sentence for each of `deadlocks`.
    pub explained: Vec<String>,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
    /// Those that were there before some were left out: they are named still.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
}

/// Who a thread is that is not told about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeftOut {
    /// [`Thread::native_id`].
    pub native_id: Option<u64>,
    /// [`Thread::name`].
    pub name: Option<String>,
    /// [`Thread::kernel_name`].
    pub kernel_name: Option<String>,
}

/// One thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Thread {
    /// `threading.get_ident()`; `None` for a thread without Python state.
    pub ident: Option<u64>,
    /// The kernel's id, as whoever captured it saw it; the process's own number where the snapshot has no other.
    pub native_id: Option<u64>,
    /// The interpreter it belongs to; 0 is the main one.
    pub interpreter: Option<i64>,
    /// `threading.Thread.name`; the kernel's name for a thread that `threading` does not know.
    pub name: Option<String>,
    /// The name the kernel has for it.
    pub kernel_name: Option<String>,
    /// Whether the process may end without waiting for it.
    pub daemon: Option<bool>,
    /// What the kernel said before the stop: `running`, `sleeping`, …
    pub state: Option<&'static str>,
    /// The system call it is blocked in.
    pub syscall: Option<String>,
    /// Whether it holds the GIL of its interpreter.
    pub holds_gil: bool,
    /// Whether it waits for the GIL; `None` where the snapshot does not tell.
    pub waits_for_gil: Option<bool>,
    /// The lock that it is blocked on; `None` when it is not, or when no lock is known at the address the kernel has.
    pub waits_for: Option<Wait>,
    /// The locks it holds for certain: those that name it as their owner, and those whose `with` block it is in.
    pub holds: Vec<Addr>,
    /// The exception that it is handling, the innermost first.
    pub handling: Vec<Local>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Whether those are all frames; `false` when a link was damaged.
    pub whole: bool,
    /// Bytes that would go with it: what its state and the variables of its frames hold that nothing else does. `None`
    /// where that was not asked for, and for a thread without Python state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
}

impl Threads {
    /// The name that the kernel has for most threads: a thread that nobody named has that of the first.
    pub fn common_name(&self) -> Option<&str> {
        let told = self.threads.iter().map(|t| (t.native_id, t.kernel_name.as_deref()));
        let left_out = self.left_out.iter().map(|t| (t.native_id, t.kernel_name.as_deref()));
        told.chain(left_out).min_by_key(|(id, _)| id.unwrap_or(u64::MAX)).and_then(|(_, name)| name)
    }

    /// Leaves out all that are not to be kept; what others wait for names them still.
    pub fn keep(&mut self, mut keep: impl FnMut(&Thread) -> bool) {
        let left_out = &mut self.left_out;
        self.threads.retain(|t| {
            let kept = keep(t);
            if !kept {
                left_out.push(LeftOut {
                    native_id: t.native_id,
                    name: t.name.clone(),
                    kernel_name: t.kernel_name.clone(),
                });
            }
            kept
        });
    }

    /// What a thread is called.
    pub fn name_of(&self, native_id: u64) -> Option<&str> {
        let told = self.threads.iter().map(|t| (t.native_id, t.name.as_deref()));
        let mut all = told.chain(self.left_out.iter().map(|t| (t.native_id, t.name.as_deref())));
        all.find(|(id, _)| *id == Some(native_id)).and_then(|(_, name)| name)
    }

    /// Whether a thread is one of a deadlock.
    pub fn is_deadlocked(&self, thread: &Thread) -> bool {
        thread.native_id.is_some_and(|id| self.deadlocks.iter().flatten().any(|stuck| *stuck == id))
    }

    /// What a thread waits for, and who has it or may have it, in a phrase.
    pub fn waits(&self, wait: &Wait) -> String {
        let name = |id: &u64| self.name_of(*id).map_or_else(|| id.to_string(), str::to_owned);
        let mut text = format!("waits for {} ({} {})", wait.what, wait.type_name, wait.address);
        if let Some(of) = &wait.of {
            text += &format!(" of {}", of.summary);
        }
        if let Some(holder) = &wait.holder {
            text += &match wait.what.as_str() {
                "Thread.join" => format!(", for {} to end", name(holder)),
                _ => format!(", held by {}", name(holder)),
            };
        }
        if let Some(at) = &wait.held_at {
            text += &format!(" at {}{}", at.file, at.line.map(|n| format!(":{n}")).unwrap_or_default());
        }
        if !wait.candidates.is_empty() {
            let names: Vec<String> = wait.candidates.iter().map(name).collect();
            text += &format!(", perhaps held by {}", names.join(" or "));
        }
        if wait.timeout { text + ", with a timeout" } else { text }
    }
}

impl Thread {
    /// What is known of it besides its name and its stack, in short phrases. `common`: [`Threads::common_name`].
    pub fn about(&self, common: Option<&str>) -> Vec<String> {
        let mut parts: Vec<String> = self.native_id.iter().map(u64::to_string).collect();
        parts.extend(match (self.state, &self.syscall) {
            (state, Some(call)) => Some(format!("{} in {call}", state.unwrap_or("blocked"))),
            (state, None) => state.map(str::to_owned),
        });
        let marks = [
            (self.holds_gil, "holds the GIL"),
            (self.waits_for_gil == Some(true), "waits for the GIL"),
            (self.daemon == Some(true), "daemon"),
            (self.ident.is_none(), "no Python state"),
        ];
        parts.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| (*mark).to_owned()));
        let own = self.kernel_name.as_deref().filter(|n| Some(*n) != common && Some(*n) != self.name.as_deref());
        parts.extend(own.map(|name| format!("“{name}”")));
        parts.extend(self.interpreter.filter(|id| *id != 0).map(|id| format!("interpreter {id}")));
        parts.extend(self.retained_bytes.map(|bytes| format!("retains {}", size(bytes))));
        parts
    }
}

/// One frame of a stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Frame {
    /// The function's qualified name; a bare one where the version keeps no other.
    pub function: String,
    /// `co_filename`.
    pub file: String,
    /// The line it is at; `None` where the code's table has none.
    pub line: Option<u32>,
    /// From 3.11 on, where the current expression begins and ends, as `co_positions()` has it: columns count from 0, in
    /// bytes of the line's UTF-8; the last is behind the expression. `None` in earlier versions, for code compiled
    /// without them, and for instructions that have none.
    pub column: Option<u32>,
    /// The line that the expression ends on.
    pub end_line: Option<u32>,
    /// The column behind its end.
    pub end_column: Option<u32>,
    /// The generator, coroutine or async generator that it belongs to.
    pub generator: Option<Addr>,
    /// Its variables, as `locals()` shows them.
    pub locals: Vec<Local>,
}

impl Frame {
    /// `:12:5`, line and column as editors count them; empty where the line is not known.
    pub fn line_and_column(&self) -> String {
        let column = self.column.map(|column| format!(":{}", u64::from(column) + 1)).unwrap_or_default();
        self.line.map(|line| format!(":{line}{column}")).unwrap_or_default()
    }

    /// Whether the two stand at the same place of the same function, as in a recursion.
    pub fn is_at_the_place_of(&self, other: &Frame) -> bool {
        (&self.function, &self.file, self.line) == (&other.function, &other.file, other.line)
    }
}

/// A named object in one line.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Local {
    /// The variable's name.
    pub name: String,
    /// The object.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its value in one line.
    pub summary: String,
}

/// A lock that a thread waits for, and who has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Wait {
    /// The lock object, or the object that the lock is a part of.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it waits in, in the words of the library: `Lock`, `Event.wait`, `Queue.get`, `Thread.join`, …
    pub what: String,
    /// The object behind the lock: the event, the queue, the thread that is joined; `name` is empty.
    pub of: Option<Local>,
    /// Whether it gives up after a while.
    pub timeout: bool,
    /// The native id of the thread that has it.
    pub holder: Option<u64>,
    /// How it is known; `None` without a holder.
    pub certainty: Option<Certainty>,
    /// The holder's `with` statement.
    pub held_at: Option<Place>,
    /// Without a holder: threads whose frames refer to the lock, by their native ids. One of them may have it.
    pub candidates: Vec<u64>,
}

/// How the holder of a lock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The lock says so.
    Owner,
    /// A frame of the thread is inside a `with` block of it.
    Frame,
}

/// A place in a program.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Place {
    /// The function's qualified name.
    pub function: String,
    /// `co_filename`.
    pub file: String,
    /// The line.
    pub line: Option<u32>,
}
