//! Answers about the heap as a whole, worked out once and kept.
//!
//! Two that ask at the same time wait for the same answer.

use crate::analysis::answers::{Aspect, Finding, Tasks, Threads};
use crate::analysis::{tasks, threads, types, verdict};
use crate::heap::Heap;
use std::sync::{Arc, OnceLock};

/// See the module.
#[derive(Default)]
pub(super) struct Known {
    threads: OnceLock<Arc<Threads>>,
    tasks: OnceLock<Arc<Tasks>>,
}

impl Known {
    pub(super) fn threads(&self, heap: &Heap) -> Arc<Threads> {
        self.threads.get_or_init(|| Arc::new(threads::threads(heap))).clone()
    }

    pub(super) fn threads_if_read(&self) -> Option<Arc<Threads>> {
        self.threads.get().cloned()
    }

    pub(super) fn tasks(&self, heap: &Heap) -> Arc<Tasks> {
        self.tasks.get_or_init(|| Arc::new(tasks::tasks(heap, &tasks::Ask::all(false)))).clone()
    }

    pub(super) fn tasks_if_read(&self) -> Option<Arc<Tasks>> {
        self.tasks.get().cloned()
    }

    /// What stands out, seen from one side; more important findings first.
    pub(super) fn findings(&self, heap: &Heap, aspect: Aspect) -> Vec<Finding> {
        let mut found = match aspect {
            Aspect::Types => verdict::types(&types::types(heap.types(), heap.tally())),
            Aspect::Threads => verdict::threads(&self.threads(heap)),
            Aspect::Tasks => verdict::tasks(&self.tasks(heap), &self.threads(heap)),
        };
        found.sort_by_key(|finding| finding.severity);
        found
    }
}
