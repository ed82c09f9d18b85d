//! Threads and their stacks, as answers.

use crate::snapshot::Addr;
use serde::Serialize;

/// Every thread of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Threads {
    /// Those with Python state first, each interpreter's in the order they were started; then the others.
    pub threads: Vec<Thread>,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
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
    /// The exception that it is handling, the innermost first.
    pub handling: Vec<Local>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Whether those are all frames; `false` when a link was damaged.
    pub whole: bool,
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
    /// The generator, coroutine or async generator that it belongs to.
    pub generator: Option<Addr>,
    /// Its variables, as `locals()` shows them.
    pub locals: Vec<Local>,
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
