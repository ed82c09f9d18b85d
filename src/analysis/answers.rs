//! The plain answers that the explorer shows and the commands print.
//!
//! These are shapes only: owned data, no snapshot behind them, ready to cross a thread or to be serialised. Every
//! string that came out of a snapshot is already sanitised, except [`ObjectDetail::value`], which is the exact value
//! for scripts. Sizes are bytes. Field names are the JSON contract of `docs/cli.md`; add, never rename.

mod audit;
mod beside;
mod diff;
mod export;
mod garbage;
mod graph;
mod memory;
mod processes;
mod retained;
mod tasks;
mod threads;
mod verdict;
mod waste;

pub use audit::{Audit, AuditRow, AuditType, Excluded};
pub use beside::{Beside, BesideCell, BesideRow, Measure};
pub use diff::{Change, ChangedObject, Diff, Survivors, TypeChange, Unchanged, Which};
pub use export::{Batch, Values};
pub use garbage::{CycleType, Garbage, GarbageCycle, GarbageObject, GarbageType, Round};
pub use graph::{GRAPH_BOUNDS, Graph, GraphBounds, GraphEdge, GraphFold, GraphNode, GraphRoot};
pub use memory::{
    ArenaRow, Arenas, Footprint, LargeBlock, MallocHeapRow, MapPart, MapRow, MemoryFinding, MemoryRow, Share,
};
pub use processes::{ProcessRow, Processes};
pub use retained::{
    Accumulated, Leaks, PathStep, Paths, Retained, RetainedRow, RetainedType, RetainedTypes, Retaining, Suspect,
};
pub use tasks::{Ends, Future, Group, Task, TaskTotals, Tasks, TreeRow, Verdict, WaitsIn};
pub use threads::{Certainty, Frame, Local, Place, Thread, Threads, Wait};
pub use verdict::{Aspect, Finding, Phrase, Severity, Subject};
pub use waste::{Waste, WasteExample, WasteRow};

use crate::snapshot::Addr;
use serde::Serialize;

/// What is known of the snapshot as a whole; heads every answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SnapshotInfo {
    /// Process id, when the snapshot says.
    pub pid: Option<i32>,
    /// `3.12.1`; `None` when no interpreter was found.
    pub python: Option<String>,
    /// `CPython`.
    pub implementation: String,
    /// Whether this is a free-threaded build.
    pub free_threaded: bool,
    /// How many interpreters it runs, subinterpreters included; `None` when their list was not found.
    pub interpreters: Option<u64>,
    /// RFC 3339, UTC.
    pub captured_at: Option<String>,
    /// Bytes of captured memory, holes included.
    pub bytes: u64,
    /// The path it was opened from, or `pid 4242`.
    pub source: String,
    /// What the process calls itself: the script or program of its command line.
    pub program: Option<String>,
    /// How long the process stood still, in milliseconds.
    pub pause_ms: Option<f64>,
    /// Bytes that the process had in memory.
    pub resident_bytes: Option<u64>,
    /// Of these, what no other process had.
    pub private_bytes: Option<u64>,
    /// Of the others, pages that a fork shares until somebody writes to them.
    pub copy_on_write_bytes: Option<u64>,
}

/// One type and its objects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeRow {
    /// `qualname` for builtins, `module.qualname` for all others.
    pub name: String,
    /// The type object.
    pub address: Addr,
    /// Live objects whose type is exactly this one.
    pub count: u64,
    /// The sum of their shallow sizes.
    pub shallow_bytes: u64,
}

/// A sum over types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Objects.
    pub count: u64,
    /// Their shallow sizes.
    pub shallow_bytes: u64,
}

/// Every type that has objects, biggest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Types {
    /// One row a type.
    pub types: Vec<TypeRow>,
    /// Over all rows.
    pub total: Total,
}

/// A reference count as the object's header encodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RefCount {
    /// Counted.
    Count(i64),
    /// The object is immortal; its count means nothing. Serialised as `null`.
    Immortal,
}

/// One object in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectRow {
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its type.
    pub type_address: Addr,
    /// Its reference count.
    pub refcount: RefCount,
    /// `sys.getsizeof`.
    pub shallow_bytes: u64,
    /// Bytes that would go with it, where dominators are known already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
    /// Whether that size is an estimate (a user's `__sizeof__` or an unknown C type decides).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The value in one line.
    pub summary: String,
}

/// A window on the objects of a type.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Objects {
    /// The rows of this window.
    pub objects: Vec<ObjectRow>,
    /// How many there are in all (after the filter).
    pub total: u64,
    /// Index of the first row.
    #[serde(skip)]
    pub offset: u64,
}

pub use crate::cpython::EdgeKind;

/// One reference, seen from either end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EdgeRow {
    /// The object at the other end.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The edge's name as written in Python: `['key']`, `.attr`, `[3]`, `local x`, `__closure__`.
    pub edge: String,
    /// Strong, weak or guessed.
    pub kind: EdgeKind,
    /// The object at the other end in one line.
    pub summary: String,
    /// Its shallow size.
    pub shallow_bytes: u64,
    /// How many edges it has in the same direction (what unfolding it would show).
    pub children: u64,
}

/// Which way to look along references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What the object holds.
    Referents,
    /// What holds the object.
    Referrers,
}

impl Direction {
    /// The other way.
    pub fn reversed(self) -> Direction {
        match self {
            Direction::Referents => Direction::Referrers,
            Direction::Referrers => Direction::Referents,
        }
    }
}

/// A window on the references of one object.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Edges {
    /// The rows of this window, in the object's own order (referents) or address order (referrers).
    pub edges: Vec<EdgeRow>,
    /// How many there are in all.
    pub total: u64,
    /// Index of the first row.
    #[serde(skip)]
    pub offset: u64,
}

/// A named part of an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// As an edge's name.
    pub name: String,
    /// The object it holds.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The object in one line.
    pub summary: String,
    /// What it holds in turn, as deep as was asked for; left out when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// Something known of an object that is no reference to a part of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Property {
    /// `None`; serialised as `null`.
    None,
    /// A flag.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A float; `null` where JSON has no number for it.
    Float(f64),
    /// Sanitised text.
    Text(String),
    /// Numbers in a row.
    Numbers(Vec<i64>),
    /// An object, or any address.
    Address(Addr),
}

fn as_map<S: serde::Serializer>(pairs: &[(String, Property)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// One object in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectDetail {
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its type.
    pub type_address: Addr,
    /// Its reference count.
    pub refcount: RefCount,
    /// `sys.getsizeof`.
    pub shallow_bytes: u64,
    /// Whether that size is an estimate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// Bytes it owns outside that size (an array's data, a mapping); each byte is counted at its owner alone. Left out
    /// for types that never own any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_bytes: Option<u64>,
    /// A module's interpreter, by its id, when there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<i64>,
    /// Whether a root reaches it; `null` where roots were not asked for, which needs every reference of the heap.
    pub reachable: Option<bool>,
    /// The value, cut at the asked length: exact for str, bytes, numbers; a line for all others. Not sanitised.
    pub value: String,
    /// The value in one line, sanitised.
    pub summary: String,
    /// What is known of it beside its fields, by name: flags, sizes, a state. Left out when there is nothing.
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<(String, Property)>,
    /// Attributes, items, locals, fields.
    pub fields: Vec<Field>,
    /// How many fields there are, those not shown included.
    pub fields_total: u64,
    /// The generic facts a side panel shows: `("gc", "tracked")`, `("kind", "heap type")`, ….
    #[serde(skip)]
    pub facts: Vec<(String, String)>,
}

/// A word that is the address of an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordRow {
    /// Where the word is.
    pub address: Addr,
    /// What it holds.
    pub value: Addr,
    /// The object that begins there.
    pub object: Addr,
    /// That object's type.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// A stretch of raw memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hex {
    /// The address that was asked for.
    pub address: Addr,
    /// Where `bytes` begins.
    pub start: Addr,
    /// The memory; shorter than asked where it ends.
    #[serde(serialize_with = "as_hex")]
    pub bytes: Vec<u8>,
    /// The 8-byte words in it that point to an object.
    pub words: Vec<WordRow>,
    /// The object that `address` lies in, if it lies in one: its address, type, and one line.
    #[serde(skip)]
    pub object: Option<(Addr, String, String)>,
    /// The region: what is mapped there, and its permissions.
    #[serde(skip)]
    pub region: String,
    /// First address, and the one past the last, of the memory captured around `address` without a gap.
    #[serde(skip)]
    pub within: (Addr, Addr),
}

fn as_hex<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    serializer.serialize_str(&text)
}

/// A capture that was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureReport {
    /// The process.
    pub pid: i32,
    /// Where the snapshot lies.
    pub path: String,
    /// How it was captured: `plain` or `fork`.
    pub mode: String,
    /// Why it was not captured in the way that was asked for.
    pub mode_reason: Option<String>,
    /// How long the process stood still, in milliseconds.
    pub pause_ms: Option<f64>,
    /// How long it was expected to.
    pub expected_pause_ms: Option<f64>,
    /// Bytes copied.
    pub bytes: u64,
    /// Resident bytes that no other process has, before it was stopped.
    pub private_bytes: Option<u64>,
    /// Resident bytes that others have too: files, and pages that were not written to since a fork.
    pub shared_bytes: Option<u64>,
    /// Of these, pages that were not written to since a fork.
    pub copy_on_write_bytes: Option<u64>,
    /// Pages that were never touched, and so neither read nor stored.
    pub pages_skipped: u64,
    /// How many threads the process had.
    pub threads: u64,
    /// `all` or `keys-kept`, when payloads were zeroed.
    pub redacted: Option<String>,
    /// What should have been copied and could not be read.
    pub unreadable: Vec<crate::snapshot::meta::Unreadable>,
}

/// Several processes that were captured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Captures {
    /// Each as if it had been captured alone.
    pub captures: Vec<CaptureReport>,
}

/// One run of captured memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionRow {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// Length.
    pub bytes: u64,
    /// Bytes in memory when the process was stopped; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// `rw-p`; `null` when the snapshot does not say.
    pub permissions: Option<String>,
    /// The mapped file or pseudo-name, likewise.
    pub file: Option<String>,
    /// `heap`, `stack`, `anonymous`, `image` (program text and data), `file`, `shared`, `special`, `unknown`.
    pub kind: &'static str,
    /// Whether its memory is in the snapshot.
    pub captured: bool,
}

/// The captured memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Regions {
    /// In address order.
    pub regions: Vec<RegionRow>,
}

/// One place where a pattern was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// Where it begins.
    pub address: Addr,
    /// The region it lies in, by its first address.
    pub region: Addr,
    /// That region's file or pseudo-name.
    pub file: Option<String>,
    /// The object it lies in; `null` when it lies in none.
    pub object: Option<Addr>,
    /// That object's type.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// The bytes around it as text, sanitised.
    pub summary: String,
}

/// Where a pattern was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Found {
    /// In address order.
    pub hits: Vec<Hit>,
    /// How many there are in all.
    pub total: u64,
}

/// A module's globals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleReport {
    /// The module object.
    pub address: Addr,
    /// Its `__name__`.
    pub name: String,
    /// Its `__file__`.
    pub file: Option<String>,
    /// The id of the interpreter that imported it, when there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<i64>,
    /// Its globals.
    pub fields: Vec<Field>,
    /// How many globals there are, those not shown included.
    pub fields_total: u64,
}

/// Strings of a range of lengths.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthRow {
    /// The longest length that counts here.
    pub max_length: u64,
    /// Strings.
    pub count: u64,
    /// Their shallow sizes.
    pub bytes: u64,
}

/// Strings of equal value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DuplicateRow {
    /// One of them.
    pub address: Addr,
    /// The value in one line.
    pub summary: String,
    /// Characters, or bytes.
    pub length: u64,
    /// Strings that have it.
    pub count: u64,
    /// What all but one of them take.
    pub wasted_bytes: u64,
}

/// How long strings are, and which values there are more than once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Strings {
    /// By length, shortest first.
    pub histogram: Vec<LengthRow>,
    /// Most wasteful first.
    pub duplicates: Vec<DuplicateRow>,
}
