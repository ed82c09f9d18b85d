//! Roots: who keeps objects alive that no other object has to.
//!
//! The interpreter's own structs, threads and their frames, what compilers placed, objects that never die, and C
//! variables of executables and libraries. Each [`RootRef`] is one reference from outside of the heap, in a [`Group`]
//! that owns it; all groups hang under one super-root. Objects that none of these reach are told apart by their
//! counts: those with more references counted than found are held by C code that nobody can look into, and what is
//! left is kept alive by cycles only.
//!
//! Heap types, interned strings and modules that left `sys.modules` are no roots by themselves. A weak reference
//! keeps nothing alive. A guessed one counts as holding, so that no garbage is invented; it explains no count.
//!
//! Many words are an object's address and hold nothing: caches of borrowed pointers, free lists, what is left above the
//! top of a value stack. A word whose meaning is not known is a root only where its target counts a reference more than
//! was found.
//!
//! How a root is called is put together elsewhere, for those that are shown.

mod globals;
mod reach;
mod signals;
mod stacks;
mod state;

use super::{Heap, ObjectId};
use crate::cpython::{StackFrame, ThreadState};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
pub use reach::Bits;
use reach::Reached;

pub(super) use globals::interned;

/// A group's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// What keeps the objects of a group alive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RootKind {
    /// `PyInterpreterState` of the interpreter with this id: `sys.modules`, builtins, codecs, …
    Interpreter(i64),
    /// What an interpreter is to call at its end (`atexit.register`); a group below the interpreter's.
    Atexit,
    /// What `signal.signal` was given; the whole process has one table of it.
    Signals,
    /// `_PyRuntimeState`, which all interpreters share.
    Runtime,
    /// A thread's state; its frames are groups below it.
    Thread(ThreadState),
    /// A frame on a thread's stack.
    Frame(StackFrame),
    /// Types that a compiler placed.
    StaticTypes,
    /// Other objects that a compiler placed, and those whose count says that they never die.
    Immortal,
    /// C variables of the image with this place in `Interpreter::images`.
    Globals(usize),
    /// References that are counted and that nobody finds.
    HeldByC,
    /// Nothing: objects that hold each other, one of each such structure.
    Cycles,
}

/// What owns references from outside of the heap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// What it is.
    pub kind: RootKind,
    /// The group that it belongs to; none: the super-root.
    pub parent: Option<GroupId>,
    /// The id of its interpreter, where it belongs to one.
    pub interpreter: Option<i64>,
}

/// Where in its group a reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The object itself: there is no word.
    Whole,
    /// The word of a struct, by its number among [`Roots::field`], at this address.
    Field(u32, Addr),
    /// A word of a struct or a C variable that has no known name.
    Word(Addr),
    /// The local variable whose name is this str object.
    Local(Addr),
    /// The `i`th slot of a frame.
    Stack(u32),
}

/// Whether a reference is among those that its target counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It is counted.
    Owned,
    /// It is not: somebody else owns the target.
    Borrowed,
    /// A word whose meaning is not known, or that may be stale. It is among the roots because its target counts one
    /// reference more than was found.
    Presumed,
}

/// One reference from outside of the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootRef {
    /// What it leads to.
    pub target: ObjectId,
    /// What owns it.
    pub group: GroupId,
    /// Where it is.
    pub slot: Slot,
    /// Whether it is counted.
    pub ownership: Ownership,
}

/// The roots of a heap. About 32 bytes a reference, and two bits an object.
#[derive(Debug, Default)]
pub struct Roots {
    groups: Vec<Group>,
    /// By target.
    refs: Vec<RootRef>,
    fields: Vec<String>,
    unreachable: Bits,
    held_by_c: Bits,
    problems: Vec<String>,
}

impl Roots {
    /// Finds them, and what they reach. Time is that of following every reference once; needs those.
    pub fn build(heap: &Heap, progress: &Progress) -> Result<Roots, Cancelled> {
        let edges = heap.edges(progress)?;
        progress.begin(heap.objects().len() as u64);
        let mut found = Found { heap, roots: Roots::default(), unsure: Vec::new(), covered: Vec::new() };
        state::collect(&mut found);
        globals::static_objects(&mut found, progress)?;
        globals::variables(&mut found, progress)?;
        let Found { mut roots, unsure, .. } = found;
        let reached = Reached::new(heap, edges, progress);
        let certain: Vec<ObjectId> = roots.refs.iter().map(|r| r.target).collect();
        reached.from(&certain)?;
        roots.sort();
        reached.settle(&mut roots, unsure)?;
        let held = roots.group(RootKind::HeldByC, None, None);
        let alone = roots.group(RootKind::Cycles, None, None);
        roots.held_by_c = reached.held_by_c(&mut roots, held)?;
        roots.unreachable = reached.cycles(&mut roots, alone)?;
        roots.sort();
        Ok(roots)
    }

    fn sort(&mut self) {
        self.refs.sort_by_key(|r| r.target);
    }

    fn group(&mut self, kind: RootKind, parent: Option<GroupId>, interpreter: Option<i64>) -> GroupId {
        self.groups.push(Group { kind, parent, interpreter });
        GroupId(self.groups.len() as u32 - 1)
    }

    /// All groups, by their number.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// One of them.
    pub fn group_of(&self, root: &RootRef) -> Option<&Group> {
        self.groups.get(root.group.0 as usize)
    }

    /// Every reference, by its target.
    pub fn refs(&self) -> &[RootRef] {
        &self.refs
    }

    /// The references to one object.
    pub fn refs_to(&self, id: ObjectId) -> &[RootRef] {
        let from = self.refs.partition_point(|r| r.target < id);
        let to = self.refs.partition_point(|r| r.target <= id);
        self.refs.get(from..to).unwrap_or(&[])
    }

    /// The name of a struct's field, as C has it: `codec_search_path`.
    pub fn field(&self, field: u32) -> &str {
        self.fields.get(field as usize).map_or("", String::as_str)
    }

    /// Objects that only cycles keep alive: no root reaches them, and all their counted references are found.
    pub fn unreachable(&self) -> &Bits {
        &self.unreachable
    }

    /// Objects that are reached from references only that are counted and not found.
    pub fn held_by_c(&self) -> &Bits {
        &self.held_by_c
    }

    /// What could not be read, as sentences.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// What is being collected.
struct Found<'h> {
    heap: &'h Heap,
    roots: Roots,
    /// References that may be none.
    unsure: Vec<RootRef>,
    /// Memory of images whose words were looked at, or are no variables.
    covered: Vec<(Addr, Addr)>,
}

impl Found<'_> {
    fn add(&mut self, group: GroupId, target: ObjectId, slot: Slot, ownership: Ownership) {
        let root = RootRef { target, group, slot, ownership };
        match ownership {
            Ownership::Presumed => self.unsure.push(root),
            _ => self.roots.refs.push(root),
        }
    }

    /// The number of a field's name.
    fn field(&mut self, name: &str) -> u32 {
        let fields = &mut self.roots.fields;
        let known = fields.iter().position(|f| f == name);
        known.unwrap_or_else(|| {
            fields.push(name.to_owned());
            fields.len() - 1
        }) as u32
    }
}

/// Objects that words of a piece of memory point to. What is not captured is left out.
fn object_words(heap: &Heap, start: Addr, end: Addr) -> impl Iterator<Item = (Addr, ObjectId)> + '_ {
    let memory = heap.memory();
    let start = Addr(start.0.next_multiple_of(8));
    let pieces: Vec<(Addr, &[u8])> = memory.reader.chunks(start, end.0.saturating_sub(start.0)).collect();
    pieces.into_iter().flat_map(move |(at, bytes)| {
        bytes.chunks_exact(8).enumerate().filter_map(move |(i, word)| {
            let word = u64::from_le_bytes(word.try_into().ok()?);
            let id = if word == 0 || word & 7 != 0 { None } else { heap.objects().object_at(Addr(word)) };
            id.map(|id| (at + i as u64 * 8, id))
        })
    })
}
