//! What keeps an object alive, what would go with it, and what looks like a leak, as answers.

use super::Threads;
use super::{EdgeRow, Total, TypeRow};
use crate::cpython::EdgeKind;
use crate::snapshot::Addr;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// One object on a path, and how the one before it leads there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathStep {
    /// The object.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The reference that leads to it; the first one's names the root.
    pub edge: String,
    /// How sure it is.
    pub kind: EdgeKind,
    /// The object in a line.
    pub summary: String,
}

/// Why an object is alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Paths {
    /// Each from a root to the object, the shortest first.
    pub paths: Vec<Vec<PathStep>>,
    /// Each of `paths` in one line, modules and namespaces folded: `sys.modules['app'].CACHE['k'] → dict → [17] → Foo`.
    pub text: Vec<String>,
    /// Weak references to the object, which do not keep it alive; the first of them.
    pub weak: Vec<EdgeRow>,
    /// How many weak references there are.
    pub weak_total: u64,
    /// Bytes that would go with the object, where dominators are known already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retained_bytes: Option<u64>,
}

/// One node of the dominator tree: an object, or a group of roots.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetainedRow {
    /// The object; `None` for a group of roots.
    pub address: Option<Addr>,
    /// Its type's name; what kind of group it is: `thread`, `frame`, `interpreter`, …
    #[serde(rename = "type")]
    pub type_name: String,
    /// `sys.getsizeof`; 0 for a group.
    pub shallow_bytes: u64,
    /// Bytes that would go with it, its own included: shallow sizes and what objects own outside of them.
    pub retained_bytes: u64,
    /// Objects that would go with it, itself included.
    pub retained_count: u64,
    /// The object in a line; a group's name.
    pub summary: String,
    /// The group, to ask for what it holds.
    #[serde(skip)]
    pub group: Option<u32>,
}

/// A part of the dominator tree, biggest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Retained {
    /// The rows that were asked for.
    pub objects: Vec<RetainedRow>,
    /// How many rows there are.
    pub total: u64,
    /// Bytes of the whole heap, for shares.
    pub heap_bytes: u64,
    /// The number of the first row.
    #[serde(skip)]
    pub offset: u64,
}

/// A type, and what its objects keep alive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetainedType {
    /// The type.
    #[serde(flatten)]
    pub row: TypeRow,
    /// Bytes that would go with all its objects; what one of them keeps alive that another one is part of counts once.
    pub retained_bytes: u64,
}

/// Every type that has objects, by what they keep alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RetainedTypes {
    /// One row a type.
    pub types: Vec<RetainedType>,
    /// Over all rows.
    pub total: Total,
}

/// Objects of one type, as a suspect gathers them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accumulated {
    /// The type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many.
    pub count: u64,
    /// Bytes that would go with them.
    pub retained_bytes: u64,
}

/// Something that looks like a leak.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// `accumulation`, `container`, `tasks`, `traceback`, `cache`, `garbage`, `finalizers` or `modules`.
    pub kind: &'static str,
    /// The object; of several alike, the biggest.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it is called where it is held: `Client.response_futures`.
    pub name: Option<String>,
    /// Bytes that would go with it.
    pub retained_bytes: u64,
    /// Objects that would go with it.
    pub retained_count: u64,
    /// What is odd about it, in one sentence.
    pub reason: String,
    /// The shortest path from a root, as in [`Paths`].
    pub path: Vec<PathStep>,
    /// The same in one line.
    pub path_text: String,
    /// What it gathers, where it gathers anything.
    pub accumulates: Option<Accumulated>,
}

/// What looks like a leak, the biggest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Leaks {
    /// The suspects.
    pub suspects: Vec<Suspect>,
    /// Bytes of the whole heap.
    pub heap_bytes: u64,
    /// How many suspects a query left out.
    #[serde(skip)]
    pub left_out: u64,
}

/// What each task and each thread keeps alive: the bytes that would go with it. What two of them hold together is of
/// neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retaining {
    /// By the task.
    pub tasks: HashMap<Addr, u64>,
    /// By the task: the next task that keeps it alive, and whose bytes have its own among them.
    pub within: HashMap<Addr, Addr>,
    /// By `threading.get_ident()`.
    pub threads: HashMap<u64, u64>,
}

impl Retaining {
    /// What several tasks keep alive together: what is kept by a task that another of them keeps is counted once. `None`
    /// where that of one is not known.
    pub fn sum(&self, tasks: &[Addr]) -> Option<u64> {
        if let [one] = tasks {
            return self.tasks.get(one).copied();
        }
        let members: HashSet<Addr> = tasks.iter().copied().collect();
        // by a task that is none of them: whether one of them is above it
        let mut known: HashMap<Addr, bool> = HashMap::new();
        let mut passed = Vec::new();
        let mut is_within = |task: Addr| {
            let mut at = task;
            let within = loop {
                match self.within.get(&at) {
                    None => break false,
                    Some(up) if members.contains(up) => break true,
                    Some(up) => at = *up,
                }
                if let Some(known) = known.get(&at) {
                    break *known;
                }
                // each is another one, or the links are no tree
                if passed.len() > self.within.len() {
                    break false;
                }
                passed.push(at);
            };
            known.extend(passed.drain(..).map(|at| (at, within)));
            within
        };
        let mut sum = 0u64;
        for task in &members {
            let bytes = *self.tasks.get(task)?;
            if !is_within(*task) {
                sum = sum.saturating_add(bytes);
            }
        }
        Some(sum)
    }

    /// Tells each thread what it keeps alive. Most first, but for those of a deadlock, which stay before all others.
    pub fn order(&self, threads: &mut Threads) {
        for thread in &mut threads.threads {
            thread.retained_bytes = thread.ident.and_then(|ident| self.threads.get(&ident)).copied();
        }
        let stuck: Vec<u64> = threads.deadlocks.iter().flatten().copied().collect();
        threads.threads.sort_by_key(|thread| {
            let is_stuck = thread.native_id.is_some_and(|id| stuck.contains(&id));
            (!is_stuck, Reverse(thread.retained_bytes))
        });
    }
}
