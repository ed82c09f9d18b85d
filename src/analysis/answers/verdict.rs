//! What stands out in a process, as sentences that lead somewhere.

use crate::snapshot::Addr;
use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something that never goes on: a deadlock.
    Stuck,
    /// Something that is probably wrong.
    Warning,
    /// Something worth knowing.
    Note,
}

impl Severity {
    /// The mark before a sentence: `✗`, `▲` or `●`.
    pub fn mark(self) -> &'static str {
        match self {
            Severity::Stuck => "✗",
            Severity::Warning => "▲",
            Severity::Note => "●",
        }
    }
}

/// What a finding is about, and with it what must be known before it can be said; of two equally grave findings the
/// one of the earlier aspect is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// Threads and the locks between them.
    Threads,
    /// Tasks, and the threads that run their loops.
    Tasks,
    /// What looks like a leak.
    Leaks,
    /// Where the resident memory went.
    Memory,
    /// Types and their sizes.
    Types,
}

impl Aspect {
    /// All, in the order in which they are worth asking: the quickest first.
    pub const ALL: [Aspect; 5] = [Aspect::Types, Aspect::Threads, Aspect::Tasks, Aspect::Memory, Aspect::Leaks];
}

/// A part of a sentence, by what it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phrase {
    /// Plain words.
    Words(String),
    /// A count, a size or a share.
    Number(String),
    /// The name of a type.
    Type(String),
    /// The name of a task, a thread or an object.
    Name(String),
    /// A file and a line, a function.
    Place(String),
}

impl Phrase {
    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Phrase::Words(t) | Phrase::Number(t) | Phrase::Type(t) | Phrase::Name(t) | Phrase::Place(t) => t,
        }
    }
}

/// Where a sentence leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// An object.
    Object(Addr),
    /// An object, and what it keeps alive.
    Retained(Addr),
    /// A type, by its type object.
    Type(Addr),
    /// A task.
    Task(Addr),
    /// A thread, by its native id.
    Thread(u64),
    /// A part of the memory, by the name of its kind.
    Memory(&'static str),
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub aspect: Aspect,
    /// The sentence in its parts; together they are the text.
    pub sentence: Vec<Phrase>,
    /// Where it leads.
    pub subject: Option<Subject>,
}

impl Finding {
    /// The sentence as text.
    pub fn text(&self) -> String {
        self.sentence.iter().map(Phrase::text).collect()
    }
}
