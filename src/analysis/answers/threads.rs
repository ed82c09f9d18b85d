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

impl Threads {
    /// The name that the kernel has for most threads: a thread that nobody named has that of the first.
    pub fn common_name(&self) -> Option<&str> {
        self.threads.first().and_then(|t| t.kernel_name.as_deref())
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
    /// The generator, coroutine or async generator that it belongs to.
    pub generator: Option<Addr>,
    /// Its variables, as `locals()` shows them.
    pub locals: Vec<Local>,
}

impl Frame {
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
