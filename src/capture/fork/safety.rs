//! Whether a process can be forked without harm, and what has to be copied in the pause all the same.
//!
//! Looked at before anything is stopped. Each reason against is a sentence that ends up in the snapshot. What cannot
//! be known from outside (a limit on the user's processes, a filter on system calls that we may not lift) is met when
//! the fork is tried, which changes nothing either.

use crate::capture::proc::{self, Map};
use crate::capture::survey::Survey;
use crate::capture::{Limits, room};
use std::ops::Range;

/// What is known of a process that may be forked.
#[derive(Debug, Default)]
pub(in crate::capture) struct Safety {
    /// Mappings that a child does not get, or gets empty (MADV_DONTFORK, MADV_WIPEONFORK).
    withheld: Vec<Range<u64>>,
    /// Bytes in them, at most.
    aside: u64,
    /// The child must belong to the process itself, not to whoever inherits orphans.
    pub adopt: bool,
    /// Children that an earlier capture left when it was killed, by the ids that the process knows them by.
    pub leftovers: Vec<i64>,
}

impl Safety {
    /// Looks at a process while it runs; `Err` says why it is not to be forked.
    pub(in crate::capture) fn of(pid: i32, via: i32, survey: &Survey, limits: &Limits) -> Result<Safety, String> {
        let status = proc::status(via).unwrap_or_default();
        let is = |name: &str, value: &str| status.get(name).is_some_and(|v| v == value);
        if matches!(proc::state(via), Some('T' | 't')) {
            return Err("it is stopped, and a pause costs it nothing".into());
        }
        if !is("Seccomp", "0") && status.contains_key("Seccomp") && !may_lift_filters() {
            return Err("it filters system calls (seccomp), which only a user with CAP_SYS_ADMIN may lift".into());
        }
        if status.get("x86_Thread_features").is_some_and(|f| f.contains("shstk")) {
            return Err("it uses a shadow stack".into());
        }
        for (what, number) in proc::anonymous_files(via) {
            if what.contains("io_uring") {
                return Err("it uses io_uring, whose kernel threads a fork would race with".into());
            }
            if what.contains("userfaultfd") {
                return Err(format!("it handles page faults itself (userfaultfd, file descriptor {number})"));
            }
        }
        memory(pid, survey, limits)?;
        if room::group_headroom(&pid.to_string()).tasks < 4 {
            return Err("its control group may not have more processes (pids.max)".into());
        }
        let mut safety = Safety::default();
        safety.mappings(via)?;
        safety.heirs(pid, &status)?;
        Ok(safety)
    }

    fn mappings(&mut self, via: i32) -> Result<(), String> {
        let flags = proc::flags(via, &["dc", "wf", "um", "uw", "ui", "ht"]);
        for (start, end, flags) in flags.map_err(|e| format!("its mappings are not shown (smaps): {e}"))? {
            for flag in flags {
                match flag.as_str() {
                    "dc" | "wf" => {
                        self.withheld.push(start..end);
                        self.aside += end - start;
                    }
                    "ht" => {
                        return Err("it has huge pages of its own (hugetlbfs), which are not copied on write".into());
                    }
                    _ => return Err("it handles page faults itself (userfaultfd)".into()),
                }
            }
        }
        Ok(())
    }

    /// Who gets the child: the process that inherits orphans, unless that could take it for one of its own.
    fn heirs(&mut self, pid: i32, status: &std::collections::BTreeMap<String, String>) -> Result<(), String> {
        let ids = proc::namespace_ids(status);
        // in a container the heir is some application that happens to be its first process
        self.adopt = ids.len() > 1 || ids.last() == Some(&1);
        for child in proc::children(pid).into_iter().filter(|c| proc::exit_signal(*c) == Some(0)) {
            match proc::state(child) {
                Some('Z') => {
                    let ids = proc::namespace_ids(&proc::status(child).unwrap_or_default());
                    self.leftovers.push(ids.last().copied().unwrap_or(child).into());
                }
                _ => return Err(format!("another capture of it is under way (its child {child})")),
            }
        }
        Ok(())
    }

    /// Bytes that must be copied in the pause, at most.
    pub(in crate::capture) fn aside(&self) -> u64 {
        self.aside
    }

    /// Whether a child gets this mapping as it is.
    pub(super) fn is_inherited(&self, map: &Map) -> bool {
        !self.withheld.iter().any(|w| w.start < map.end && map.start < w.end)
    }
}

/// PTRACE_O_SUSPEND_SECCOMP asks for CAP_SYS_ADMIN, and for a tracer that is not filtered itself.
fn may_lift_filters() -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    let ours = proc::status(std::process::id() as i32).unwrap_or_default();
    let capabilities = ours.get("CapEff").and_then(|c| u64::from_str_radix(c, 16).ok()).unwrap_or(0);
    capabilities >> CAP_SYS_ADMIN & 1 == 1 && ours.get("Seccomp").is_none_or(|s| s == "0")
}

/// Every page that the process writes to while its child is read exists twice.
fn memory(pid: i32, survey: &Survey, limits: &Limits) -> Result<(), String> {
    let all = survey.copied_bytes;
    let group = room::group_headroom(&pid.to_string());
    // where the kernel ends a whole group at once, not even the worst may come
    let needed = if group.all_at_once { all } else { all / 4 } + RESERVE;
    if group.bytes < needed {
        let left = crate::text::size(group.bytes);
        return Err(format!("its control group has {left} of memory left, too little should it write to many pages"));
    }
    if room::available() < all / 4 + RESERVE {
        return Err("the machine has too little memory left should it write to many pages".into());
    }
    if room::commit_headroom().is_some_and(|left| left < all + RESERVE) {
        return Err("the machine promises no more memory than it has (vm.overcommit_memory is 2)".into());
    }
    if limits.max_memory.is_some_and(|limit| limit < (4 << 20)) {
        return Err("--max-memory leaves too little for it".into());
    }
    Ok(())
}

/// What is left to everybody else.
pub(super) const RESERVE: u64 = 64 << 20;
