//! What `report` asks beyond the other commands: what stands out.

use crate::analysis::answers::{Finding, Leaks, Tasks, Threads, Types};
use crate::analysis::verdict;

pub(in crate::command) fn findings(types: &Types, threads: &Threads, tasks: &Tasks, leaks: &Leaks) -> Vec<Finding> {
    let mut found = verdict::threads(threads);
    found.extend(verdict::tasks(tasks, threads));
    found.extend(verdict::types(types));
    found.extend(verdict::leaks(leaks));
    found
}
