//! What `report` asks beyond the other commands: what stands out.

use crate::analysis::answers::{Finding, Tasks, Threads, Types};
use crate::analysis::verdict;

pub(in crate::command) fn findings(types: &Types, threads: &Threads, tasks: &Tasks) -> Vec<Finding> {
    let mut found = verdict::threads(threads);
    found.extend(verdict::tasks(tasks, threads));
    found.extend(verdict::types(types));
    found
}
