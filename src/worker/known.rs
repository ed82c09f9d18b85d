//! Answers about the heap as a whole, worked out once and kept.
//!
//! Two jobs that want the same wait for the same answer, and each can still be cancelled by itself.

use crate::analysis::answers::{Aspect, Finding, Footprint, Leaks, RetainedTypes, Retaining, Tasks, Threads};
use crate::analysis::{leaks, memory, retained, tasks, threads, types, verdict};
use crate::heap::Heap;
use crate::progress::{Cancelled, Progress};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::time::Duration;

/// How often one that waits for another looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(5);

/// Lets one at a time through.
#[derive(Default)]
pub struct Gate(Mutex<()>);

impl Gate {
    /// Does the work when nobody else is at it.
    pub(super) fn pass<T>(
        &self,
        progress: &Progress,
        work: impl FnOnce() -> Result<T, Cancelled>,
    ) -> Result<T, Cancelled> {
        loop {
            match self.0.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    progress.check()?;
                    std::thread::sleep(LOOK);
                }
                // what a panic left half done was not kept
                Ok(_) | Err(TryLockError::Poisoned(_)) => return work(),
            }
        }
    }
}

/// An answer that is made once.
struct Once<T> {
    gate: Gate,
    made: OnceLock<Arc<T>>,
}

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once { gate: Gate::default(), made: OnceLock::new() }
    }
}

impl<T> Once<T> {
    fn get(&self) -> Option<Arc<T>> {
        self.made.get().cloned()
    }

    fn get_or_make(
        &self,
        progress: &Progress,
        make: impl FnOnce() -> Result<T, Cancelled>,
    ) -> Result<Arc<T>, Cancelled> {
        self.gate.pass(progress, || match self.get() {
            Some(made) => Ok(made),
            None => {
                let made = Arc::new(make()?);
                Ok(self.made.get_or_init(|| made).clone())
            }
        })
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Known {
    threads: Once<Threads>,
    tasks: Once<Tasks>,
    memory: Once<Footprint>,
    leaks: Once<Leaks>,
    retained_types: Once<RetainedTypes>,
    retaining: Once<Retaining>,
    linking: Gate,
    rooting: Gate,
    dominating: Gate,
}

impl Known {
    pub(super) fn threads(&self, heap: &Heap, progress: &Progress) -> Result<Arc<Threads>, Cancelled> {
        self.threads.get_or_make(progress, || Ok(threads::threads(heap)))
    }

    pub(super) fn threads_if_read(&self) -> Option<Arc<Threads>> {
        self.threads.get()
    }

    pub(super) fn tasks(&self, heap: &Heap, progress: &Progress) -> Result<Arc<Tasks>, Cancelled> {
        self.tasks.get_or_make(progress, || Ok(tasks::tasks(heap, &tasks::Ask::all(false))))
    }

    pub(super) fn tasks_if_read(&self) -> Option<Arc<Tasks>> {
        self.tasks.get()
    }

    pub(super) fn memory(&self, heap: &Heap, progress: &Progress) -> Result<Arc<Footprint>, Cancelled> {
        self.memory.get_or_make(progress, || memory::memory(heap, progress))
    }

    pub(super) fn memory_if_added_up(&self) -> Option<Arc<Footprint>> {
        self.memory.get()
    }

    /// Builds the references, unless they are built.
    pub(super) fn references(&self, heap: &Heap, progress: &Progress) -> Result<(), Cancelled> {
        self.linking.pass(progress, || heap.edges(progress).map(drop))
    }

    /// The same with the roots, without which there are no paths.
    pub(super) fn roots(&self, heap: &Heap, progress: &Progress) -> Result<(), Cancelled> {
        self.references(heap, progress)?;
        self.rooting.pass(progress, || heap.roots(progress).map(drop))
    }

    /// The same with the dominators, without which nothing is known of what goes with what.
    pub(super) fn dominators(&self, heap: &Heap, progress: &Progress) -> Result<(), Cancelled> {
        self.roots(heap, progress)?;
        self.dominating.pass(progress, || heap.dominators(progress).map(drop))
    }

    fn leaks(&self, heap: &Heap, progress: &Progress) -> Result<Arc<Leaks>, Cancelled> {
        self.dominators(heap, progress)?;
        // worked out here, so that whoever is told of leaks can be shown the types, tasks and threads as well
        self.retained_types(heap, progress)?;
        self.retaining.get_or_make(progress, || retained::retaining(heap, progress))?;
        self.leaks.get_or_make(progress, || leaks::leaks(heap, progress))
    }

    /// What each type keeps alive.
    pub(super) fn retained_types(&self, heap: &Heap, progress: &Progress) -> Result<Arc<RetainedTypes>, Cancelled> {
        self.retained_types.get_or_make(progress, || types::types_retained(heap, progress))
    }

    pub(super) fn retained_types_if_known(&self) -> Option<Arc<RetainedTypes>> {
        self.retained_types.get()
    }

    /// What each task and thread keeps alive.
    pub(super) fn retaining_if_known(&self) -> Option<Arc<Retaining>> {
        self.retaining.get()
    }

    /// What stands out, seen from one side; more important findings first.
    pub(super) fn findings(&self, heap: &Heap, aspect: Aspect, progress: &Progress) -> Result<Vec<Finding>, Cancelled> {
        let mut found = match aspect {
            Aspect::Types => verdict::types(&types::types(heap.types(), heap.tally())),
            Aspect::Threads => verdict::threads(&*self.threads(heap, progress)?),
            Aspect::Tasks => verdict::tasks(&*self.tasks(heap, progress)?, &*self.threads(heap, progress)?),
            Aspect::Leaks => verdict::leaks(&*self.leaks(heap, progress)?),
            Aspect::Memory => verdict::memory(&*self.memory(heap, progress)?),
        };
        found.sort_by_key(|finding| finding.severity);
        Ok(found)
    }
}
