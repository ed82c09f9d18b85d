//! What the explorer and the background thread say to each other.
//!
//! Requests go in, [`Update`]s come out, both plain data. A request that asks for a view carries a [`Ticket`]; its
//! answer carries the same one, and the explorer drops an answer whose ticket is not the newest it waits for in that
//! place. A newer request for the same place makes the worker drop the older one before or between chunks.

use crate::analysis::answers::{
    Aspect, Beside, ChangedObject, Diff, Direction, Edges, Finding, Footprint, Hex, Local, Measure, ObjectDetail,
    Objects, Paths, Retained, RetainedTypes, Retaining, SnapshotInfo, Tasks, Threads, Types, Which,
};
use crate::progress::Reading;
use crate::snapshot::Addr;
use std::path::PathBuf;
use std::sync::Arc;

/// Which open snapshot a message is about; several can be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// Names one request, so that its answer finds its way back and stale answers are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    /// The snapshot that is asked.
    pub source: SourceId,
    /// Grows with each request.
    pub generation: u64,
}

/// How a list of objects is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectOrder {
    /// By address, ascending or descending.
    Address {
        /// Highest first.
        descending: bool,
    },
    /// By shallow size.
    Size {
        /// Biggest first.
        descending: bool,
    },
    /// By reference count; immortal objects count as the highest.
    RefCount {
        /// Highest first.
        descending: bool,
    },
}

/// Which rows of the dominator tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetainedBy {
    /// Objects that no other object dominates.
    Objects,
    /// One row a type.
    Types,
    /// One row a module.
    Modules,
    /// One row a thread.
    Threads,
    /// One row a frame of a thread.
    Frames,
    /// One row a variable of a frame.
    Locals,
    /// One row a task.
    Tasks,
    /// Groups of roots.
    Roots,
    /// What an object immediately dominates.
    Object(Addr),
    /// What a group of roots immediately dominates.
    Group(u32),
}

/// What the explorer asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A window of the objects of a type (`None`: of all types), in an order; only those that a query means, or whose
    /// line contains `filter` when it is neither that nor empty (smart case: an upper-case letter makes it exact; a
    /// leading `!` inverts).
    Objects {
        /// Type object, or `None` for all objects.
        type_address: Option<Addr>,
        /// Order of the whole list.
        order: ObjectOrder,
        /// A query, or a text the line must contain.
        filter: String,
        /// First row.
        offset: u64,
        /// At most so many rows.
        limit: u64,
    },
    /// One object in full.
    Object {
        /// Its address.
        address: Addr,
    },
    /// A window of the references of an object. The first request for referrers builds the edges of the whole heap,
    /// with progress.
    Edges {
        /// The object.
        address: Addr,
        /// Which way.
        direction: Direction,
        /// First row.
        offset: u64,
        /// At most so many rows.
        limit: u64,
    },
    /// Memory around an address: `len` bytes from `start`; `address` is where the person wants to be. Answered with
    /// the part of that range which is captured around `address` without a gap.
    Hex {
        /// The address of interest.
        address: Addr,
        /// First byte.
        start: Addr,
        /// At most so many bytes.
        len: u64,
    },
    /// The next occurrence of bytes after (or before) an address, for the search in the hex pane.
    Find {
        /// What to look for; not empty.
        pattern: Vec<u8>,
        /// Where to start; this address itself is not a hit.
        from: Addr,
        /// Towards lower addresses.
        backwards: bool,
    },
    /// Every thread with its stack.
    Threads,
    /// Every task with its stack, without the variables.
    Tasks,
    /// Where the resident memory went.
    Memory,
    /// A window of what keeps how much alive, biggest first. The first one works out the dominators of the whole heap,
    /// with progress.
    Retained {
        /// Of what.
        by: RetainedBy,
        /// A query, or a text that the row's type and line must contain; as of objects.
        filter: String,
        /// First row.
        offset: u64,
        /// At most so many rows.
        limit: u64,
    },
    /// What each type's objects keep alive; refused as long as dominators are not known.
    RetainedTypes,
    /// What each task and each thread keeps alive; likewise.
    Retaining,
    /// Why an object is alive: paths from roots. The first one builds the references of the whole heap, with progress.
    Paths {
        /// The object.
        address: Addr,
        /// At most so many paths.
        limit: u64,
    },
    /// The variables of a suspended generator or coroutine.
    Locals {
        /// The generator.
        generator: Addr,
    },
    /// What stands out, seen from one side. Asked by nobody in particular: it is answered when nothing else waits.
    Findings(Aspect),
    /// Index the heap again, after that was cancelled.
    Scan,
    /// Write the graph around an object, or of the paths to it, to a new file.
    Draw {
        /// The object.
        address: Addr,
        /// The paths.
        paths: bool,
    },
    /// Take a newer snapshot and compare it with this one. It becomes a source of its own, which is told as opened
    /// before the answer comes.
    Compare,
    /// The objects of a type's name that are new or gone, after [`Request::Compare`].
    Changes {
        /// Which.
        which: Which,
        /// The type's name.
        type_name: String,
        /// At most so many.
        limit: u64,
    },
    /// The type tables of several processes beside each other.
    Beside {
        /// Theirs.
        tables: Tables,
        /// What they are compared by.
        by: Measure,
    },
    /// Keep a temporary snapshot: write it to this directory, which must not exist.
    Save {
        /// The directory.
        path: PathBuf,
    },
}

/// The type tables of processes; `None` where one is not complete. Two are the same when they are the same in memory.
#[derive(Debug, Clone, Default)]
pub struct Tables(pub Vec<Option<Arc<Types>>>);

impl PartialEq for Tables {
    fn eq(&self, other: &Tables) -> bool {
        let same = |(a, b): (&Option<Arc<Types>>, &Option<Arc<Types>>)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Request {
    /// Whether a person waits for the answer; what is asked in the background gives way.
    pub fn is_urgent(&self) -> bool {
        !matches!(self, Request::Findings(_) | Request::Compare)
    }

    /// Whether this request, once asked, makes the answer to an `older` one of the same source useless. Both sides
    /// decide with it: the explorer what it need not send, the worker what it may drop.
    pub fn supersedes(&self, older: &Request) -> bool {
        use Request::{Edges, Find, Hex, Objects, Paths, Retained};
        match (self, older) {
            (Paths { .. }, Paths { .. }) | (Request::Beside { .. }, Request::Beside { .. }) => true,
            (Retained { by: a, .. }, Retained { by: b, .. }) => a == b,
            (Objects { .. }, Objects { .. }) | (Hex { .. }, Hex { .. }) | (Find { .. }, Find { .. }) => true,
            (Edges { address: a, direction: x, .. }, Edges { address: b, direction: y, .. }) => a == b && x == y,
            (new, old) => new == old,
        }
    }
}

/// An answer to one [`Request`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Request::Objects`]. May come several times while a filter runs; the last one has `done` set.
    Objects {
        /// The window.
        objects: Objects,
        /// Whether the filter has seen every object.
        done: bool,
    },
    /// To [`Request::Object`]; `None`: no object begins at that address.
    Object(Option<Box<ObjectDetail>>),
    /// To [`Request::Edges`].
    Edges(Edges),
    /// To [`Request::Hex`]; `None`: nothing is captured there.
    Hex(Option<Hex>),
    /// To [`Request::Find`]; `None`: no (further) hit.
    Found(Option<Addr>),
    /// To [`Request::Threads`].
    Threads(Arc<Threads>),
    /// To [`Request::Tasks`].
    Tasks(Arc<Tasks>),
    /// To [`Request::Retained`].
    Retained(Retained),
    /// To [`Request::RetainedTypes`].
    RetainedTypes(Arc<RetainedTypes>),
    /// To [`Request::Retaining`].
    Retaining(Arc<Retaining>),
    /// To [`Request::Paths`].
    Paths(Box<Paths>),
    /// To [`Request::Memory`].
    Memory(Arc<Footprint>),
    /// To [`Request::Locals`].
    Locals(Vec<Local>),
    /// To [`Request::Findings`]; more important ones first.
    Findings(Aspect, Vec<Finding>),
    /// To [`Request::Draw`]: the file.
    Drawn(PathBuf),
    /// To [`Request::Compare`]: the newer snapshot, and what is different there.
    Compared(SourceId, Arc<Diff>),
    /// To [`Request::Changes`]: the first of them, and how many there are.
    Changes(Vec<ChangedObject>, u64),
    /// To [`Request::Beside`].
    Beside(Arc<Beside>),
    /// To [`Request::Save`]: where the snapshot lies now.
    Saved(PathBuf),
}

/// What the worker is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Copying the process.
    Capturing,
    /// Finding every object.
    Scanning,
    /// Building the references of every object, both ways.
    Linking,
    /// Reading the stacks of threads.
    ReadingThreads,
    /// Reading tasks and who awaits whom.
    ReadingTasks,
    /// Working out what keeps what alive.
    Dominating,
    /// Looking for paths from roots.
    Following,
    /// Adding up where the memory went.
    AddingUp,
    /// Looking through lines or bytes.
    Searching,
    /// Writing a snapshot.
    Saving,
    /// Drawing a graph.
    Drawing,
    /// Taking a newer snapshot and comparing it.
    Comparing,
}

/// What the worker tells, unasked or in answer.
#[derive(Debug, Clone)]
pub enum Update {
    /// The snapshot is open; the scan begins.
    Opened {
        /// Which one.
        source: SourceId,
        /// Its head line.
        info: SnapshotInfo,
        /// What was wrong with it.
        problems: Vec<String>,
    },
    /// Work has come this far.
    Progress {
        /// Which snapshot.
        source: SourceId,
        /// What is being done.
        stage: Stage,
        /// How far.
        reading: Reading,
        /// Bytes a second, once it can be told.
        rate: Option<f64>,
    },
    /// That work is over (done, failed or cancelled): the status line is free.
    Idle {
        /// Which snapshot.
        source: SourceId,
    },
    /// The type table as far as it is known; `complete` once every object is indexed. Replaces the one before.
    Types {
        /// Which snapshot.
        source: SourceId,
        /// The table.
        types: Arc<Types>,
        /// Whether the scan is over.
        complete: bool,
        /// Further problems the scan met.
        problems: Vec<String>,
    },
    /// A request was answered.
    Answered {
        /// Whose.
        ticket: Ticket,
        /// With what.
        answer: Answer,
    },
    /// A request could not be answered, in one sentence.
    Refused {
        /// Whose.
        ticket: Ticket,
        /// Why.
        reason: String,
    },
    /// The scan was cancelled: there is no index until [`Request::Scan`] begins anew.
    Unfinished {
        /// Which one.
        source: SourceId,
    },
    /// The snapshot could not be opened or indexed, in one sentence; nothing more comes from it.
    Failed {
        /// Which one.
        source: SourceId,
        /// Why.
        reason: String,
    },
}
