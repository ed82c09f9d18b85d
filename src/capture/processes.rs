//! The Python processes of this machine: which there are, and whether they may be captured.
//!
//! Read from `/proc` alone; nothing is stopped and no memory is read. How they are listed, and who chooses, is not known
//! here.

use super::error::{CaptureError, refusal};
use super::proc;
use super::python;
use crate::snapshot::meta::Sharing;
use std::path::Path;

/// A process that runs Python, as `/proc` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct PythonProcess {
    /// Process id.
    pub pid: i32,
    /// Who started it: 0 when that is not known.
    pub parent: i32,
    /// The user it runs as, by name or number.
    pub user: String,
    /// Seconds since it started.
    pub age_s: Option<u64>,
    /// Resident bytes.
    pub resident_bytes: u64,
    /// Of them, bytes that no other process has; `None` when the kernel would not say.
    pub private_bytes: Option<u64>,
    /// Of the others, pages that a fork shares until somebody writes to them.
    pub copy_on_write_bytes: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// `3.12`, as far as the names of its files tell.
    pub version: Option<String>,
    /// Its command line, split; lossy UTF-8.
    pub command_line: Vec<String>,
    /// Why it may not be captured; `None` when it may.
    pub why_not: Option<String>,
}

/// Every Python process that can be seen, in the order of their ids.
pub fn list() -> Vec<PythonProcess> {
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = names.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let ours = std::process::id() as i32;
    pids.into_iter().filter(|pid| *pid != ours).filter_map(look).collect()
}

/// Those below `pid` that are Python processes, each after its parent; `pid` is not among them.
pub fn descendants(pid: i32) -> Vec<PythonProcess> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::from([pid]);
    let mut next = proc::children(pid);
    next.reverse();
    while let Some(child) = next.pop() {
        if seen.insert(child) {
            found.extend(look(child));
            next.extend(proc::children(child).into_iter().rev());
        }
    }
    found
}

/// One process; `None` when it is gone, or does not run Python as far as can be seen.
pub fn look(pid: i32) -> Option<PythonProcess> {
    let status = proc::status(pid).ok()?;
    let memory = proc::sizes(&status);
    let resident_bytes = *memory.get("VmRSS")?; // kernel threads and zombies have none
    let may = super::examine(pid).err().or_else(|| refusal(pid));
    let version = match proc::maps(pid) {
        Ok(maps) if python::seems_to_run(pid, &maps) => python::version(&maps),
        Ok(_) => return None,
        // of a process that is closed to us, its name is all there is
        Err(_) => by_name(pid, &status).then_some(None)?,
    };
    let number = |name: &str| status.get(name).and_then(|v| v.split_ascii_whitespace().next()?.parse::<u64>().ok());
    let sharing = Sharing::of(&proc::rollup(pid));
    Some(PythonProcess {
        pid,
        parent: number("PPid").and_then(|p| i32::try_from(p).ok()).unwrap_or(0),
        user: number("Uid").map_or_else(|| "?".into(), |uid| super::error::user_name(uid as u32)),
        age_s: proc::age(pid),
        resident_bytes,
        private_bytes: sharing.private,
        copy_on_write_bytes: sharing.copy_on_write,
        threads: number("Threads").unwrap_or(1),
        version,
        command_line: proc::command_line(pid),
        why_not: may.map(|error: CaptureError| error.to_string()),
    })
}

fn by_name(pid: i32, status: &std::collections::BTreeMap<String, String>) -> bool {
    let is_python = |name: &str| Path::new(name).file_name().is_some_and(|n| n.to_string_lossy().starts_with("python"));
    status.get("Name").is_some_and(|n| is_python(n)) || proc::command_line(pid).first().is_some_and(|a| is_python(a))
}
