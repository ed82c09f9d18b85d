//! Every object at once: survey, scan, index, edges, roots, dominators.
//!
//! A [`Heap`] is a snapshot with the index of its objects; everything that people ask is answered from it, so that no
//! two screens disagree. Nothing here knows how an answer looks.

pub mod blocks;
pub mod dominators;
pub mod edges;
pub mod index;
pub mod owners;
pub mod roots;
pub mod scan;
mod scanner;
pub mod spill;
pub mod survey;
pub mod usage;

pub use dominators::Dominators;
pub use edges::Edges;
pub use index::{Index, ObjectId};
pub use roots::Roots;
pub use scan::{Plan, ScanError, Tally};
pub use survey::{Kind, Piece};

use crate::alloc::{arenas, glibc};
use crate::cpython::Memory;
use crate::cpython::runtime::{Interpreter, NotPython};
use crate::cpython::types::{Type, TypeId, TypeTable};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Snapshot};
use std::sync::{Arc, OnceLock};

/// A snapshot whose objects are indexed.
#[derive(Debug)]
pub struct Heap {
    snapshot: Arc<Snapshot>,
    interpreter: Interpreter,
    plan: Plan,
    index: Index,
    edges: OnceLock<Edges>,
    interned: OnceLock<Vec<ObjectId>>,
    roots: OnceLock<Roots>,
    dominators: OnceLock<Dominators>,
    locked: OnceLock<Vec<Addr>>,
}

/// So many ids of interpreters are told.
const MAX_IDS: usize = 20;

/// Why a snapshot's objects cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum HeapError {
    /// There is no interpreter that is known.
    #[error(transparent)]
    NotPython(#[from] NotPython),
    /// The scan ended early.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The scan's thread ended without a word.
    #[error("the objects could not be indexed: an internal error")]
    Failed,
}

impl Heap {
    /// Indexes every object. Time is about three times that of reading all memory once; 6 to 24 bytes an object.
    pub fn index(snapshot: Arc<Snapshot>, progress: &Progress) -> Result<Heap, HeapError> {
        let interpreter = Interpreter::find(&snapshot)?;
        let plan = Plan::new(&snapshot, &interpreter, progress).map_err(ScanError::from)?;
        Heap::scan(snapshot, interpreter, plan, progress)
    }

    /// The same from a plan that was made before, so that its tally can be watched.
    pub fn scan(
        snapshot: Arc<Snapshot>,
        interpreter: Interpreter,
        plan: Plan,
        progress: &Progress,
    ) -> Result<Heap, HeapError> {
        let index = plan.scan(&snapshot, &interpreter, progress)?;
        Ok(Heap {
            snapshot,
            interpreter,
            plan,
            index,
            edges: OnceLock::new(),
            interned: OnceLock::new(),
            roots: OnceLock::new(),
            dominators: OnceLock::new(),
            locked: OnceLock::new(),
        })
    }

    /// The memory.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The interpreter it is of.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// Every type.
    pub fn types(&self) -> &TypeTable {
        &self.plan.types
    }

    /// Objects and bytes by type.
    pub fn tally(&self) -> &Tally {
        &self.plan.tally
    }

    /// The pieces of memory, in address order, by who manages them.
    pub fn pieces(&self) -> &[Piece] {
        self.plan.pieces()
    }

    /// Every object.
    pub fn objects(&self) -> &Index {
        &self.index
    }

    /// The references both ways; built when they are first asked for.
    pub fn edges(&self, progress: &Progress) -> Result<&Edges, Cancelled> {
        if let Some(edges) = self.edges.get() {
            return Ok(edges);
        }
        let built = Edges::build(self, progress)?;
        Ok(self.edges.get_or_init(|| built))
    }

    /// The references, when they are built.
    pub fn built_edges(&self) -> Option<&Edges> {
        self.edges.get()
    }

    /// The dicts of interned strings, whose references are not counted.
    pub fn interned(&self) -> &[ObjectId] {
        self.interned.get_or_init(|| roots::interned(self))
    }

    /// What keeps objects alive from outside of the heap, and what nothing does; found when first asked for.
    pub fn roots(&self, progress: &Progress) -> Result<&Roots, Cancelled> {
        if let Some(roots) = self.roots.get() {
            return Ok(roots);
        }
        let built = Roots::build(self, progress)?;
        Ok(self.roots.get_or_init(|| built))
    }

    /// The roots, when they are found.
    pub fn built_roots(&self) -> Option<&Roots> {
        self.roots.get()
    }

    /// What would go with each object; worked out when first asked for.
    pub fn dominators(&self, progress: &Progress) -> Result<&Dominators, Cancelled> {
        if let Some(dominators) = self.dominators.get() {
            return Ok(dominators);
        }
        let built = Dominators::build(self, progress)?;
        Ok(self.dominators.get_or_init(|| built))
    }

    /// The dominators, when they are worked out.
    pub fn built_dominators(&self) -> Option<&Dominators> {
        self.dominators.get()
    }

    /// The object that the memory at an address belongs to: one that begins there, or around it.
    pub fn object_around(&self, addr: Addr) -> Option<(ObjectId, Addr, &Type)> {
        let id = self.index.object_before(addr)?;
        let start = self.index.address(id);
        let (_, ty) = self.type_of(id)?;
        let memory = self.memory();
        let size = memory.block_size(start, ty, memory.shallow_size(start, ty)?)?.saturating_sub(ty.head).max(16);
        (addr.0 - start.0 < size).then_some((id, start, ty))
    }

    /// A reader with the version's offsets, one per thread.
    pub fn memory(&self) -> Memory<'_> {
        Memory { reader: self.snapshot.reader(), layout: self.interpreter.layout }
    }

    /// An object's type.
    pub fn type_of(&self, id: ObjectId) -> Option<(TypeId, &Type)> {
        self.index.type_of(id).map(|ty| (ty, self.types().get(ty)))
    }

    /// The object at an address, and its type.
    pub fn object_at(&self, addr: Addr) -> Option<(ObjectId, &Type)> {
        let id = self.index.object_at(addr)?;
        self.type_of(id).map(|(_, ty)| (id, ty))
    }

    /// The arenas of malloc that a thread was inside of; found when first asked for.
    fn locked_arenas(&self) -> &[Addr] {
        self.locked.get_or_init(|| {
            let reader = self.snapshot.reader();
            let chunks = self.pieces().iter().filter(|p| matches!(p.kind, Kind::Chunks { .. }));
            let known = chunks.filter_map(|p| glibc::arena_of(&reader, p.start)).collect();
            let data: Vec<_> = self.interpreter.images.iter().flat_map(|i| i.data.iter().copied()).collect();
            arenas::locked(&reader, &data, &known)
        })
    }

    /// What was odd in the memory, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.snapshot().damage().into_iter().collect();
        problems.extend(self.interpreter.notes.iter().cloned());
        let interpreters = &self.interpreter.interpreters;
        if interpreters.len() > 1 {
            let ids: Vec<_> = interpreters.iter().take(MAX_IDS).map(|i| i.id.to_string()).collect();
            let more = if interpreters.len() > MAX_IDS { ", …" } else { "" };
            problems.push(format!("it runs {} interpreters: {}{more}", interpreters.len(), ids.join(", ")));
        }
        match self.interpreter.collecting(&self.memory().reader).as_slice() {
            [] => {}
            ids => problems.push(format!(
                "interpreter {} was in the middle of a garbage collection: counts and marks of objects there are the \
                 collector's own",
                ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
            )),
        }
        match self.types().without_state() {
            0 => {}
            n => problems.push(format!(
                "what the interpreter keeps of {n} built-in types was not found: their attributes and subclasses are \
                 missing"
            )),
        }
        if let [first, more @ ..] = self.locked_arenas() {
            let others = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            problems.push(format!(
                "malloc's arena at {first}{others} was locked: the process was stopped in the middle of an allocation, \
                 single large objects may be missing or freed already"
            ));
        }
        match self.tally().disagreeing_pools() {
            0 => {}
            n => problems.push(format!(
                "{n} pools or pages of the allocator disagree with their free lists: the process was stopped in the middle of \
                 an allocation, single objects there may be missing or freed already"
            )),
        }
        problems
    }
}
