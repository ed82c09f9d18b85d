//! Memory to copy into: how much may be taken, and how it is had without page faults in the pause.

use memmap2::{Advice, MmapMut, MmapOptions};
use std::io;
use std::path::{Path, PathBuf};

/// How much memory a capture may take for a moment: a quarter of what is available, in our control group too. Taking
/// more could end in the out-of-memory killer choosing the process we look at.
pub(super) fn budget() -> u64 {
    available().min(group_headroom("self").bytes) / 4
}

/// `MemAvailable` of the machine.
pub(super) fn available() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kilobytes(&meminfo, "MemAvailable:").unwrap_or(0)
}

/// What the strict accounting of memory (`vm.overcommit_memory` 2) leaves; `None` when it is off.
pub(super) fn commit_headroom() -> Option<u64> {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").ok()?;
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok().filter(|_| mode.trim() == "2")?;
    Some(kilobytes(&meminfo, "CommitLimit:")?.saturating_sub(kilobytes(&meminfo, "Committed_AS:")?))
}

fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// What the control groups of a process leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Headroom {
    /// Bytes until the nearest limit; `u64::MAX` without one.
    pub bytes: u64,
    /// Whether the kernel ends every process of a group at once that has no memory left (`memory.oom.group`).
    pub all_at_once: bool,
    /// Processes and threads that may still be made.
    pub tasks: u64,
}

/// The least that the control groups of `pid` (a number, or `self`) and those above them leave, of version 1 or 2.
pub(super) fn group_headroom(pid: &str) -> Headroom {
    let mut left = Headroom { bytes: u64::MAX, all_at_once: false, tasks: u64::MAX };
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let has = |name| controllers.split(',').any(|c| c == name);
        if controllers.is_empty() {
            // where version 1 is mounted as well, version 2 lies beside it
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                left.lessen(Path::new(root), group, ["memory.max", "memory.current"], ["pids.max", "pids.current"]);
            }
        } else if has("memory") {
            let names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
            left.lessen(Path::new("/sys/fs/cgroup/memory"), group, names, ["", ""]);
        } else if has("pids") {
            left.lessen(Path::new("/sys/fs/cgroup/pids"), group, ["", ""], ["pids.max", "pids.current"]);
        }
    }
    left
}

impl Headroom {
    fn lessen(&mut self, root: &Path, group: &str, memory: [&str; 2], tasks: [&str; 2]) {
        let lowest = root.join(group.trim_start_matches('/'));
        for folder in lowest.ancestors().take_while(|p| p.starts_with(root)) {
            let number = |name: &str| {
                let path: PathBuf = folder.join(name);
                std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
            };
            let left = |[limit, used]: [&str; 2]| Some(number(limit)?.saturating_sub(number(used)?));
            if let Some(bytes) = left(memory) {
                self.bytes = self.bytes.min(bytes);
                self.all_at_once |= number("memory.oom.group") == Some(1);
            }
            self.tasks = self.tasks.min(left(tasks).unwrap_or(u64::MAX));
        }
    }
}

/// Makes the kernel choose us before any process we look at when memory runs out. It stays so: what comes after the
/// capture may need much memory too.
pub(super) fn volunteer() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000"); // raising is always allowed
}

/// A buffer of `bytes`, in memory already, and with address space for half as much again: the process may grow before
/// it is stopped.
pub(super) fn prefaulted(bytes: u64) -> io::Result<MmapMut> {
    let touched = usize::try_from(bytes + bytes / 32 + (4 << 20)).map_err(io::Error::other)?;
    let mut buffer = reserved(touched.saturating_add(touched / 2))?;
    let _ = buffer.advise(Advice::HugePage); // fewer faults here, faster to fill
    if buffer.advise_range(Advice::PopulateWrite, 0, touched).is_err() {
        buffer.iter_mut().take(touched).step_by(4096).for_each(|b| *b = 0); // before Linux 5.14
    }
    Ok(buffer)
}

/// Address space that becomes memory as it is touched.
pub(super) fn reserved(bytes: usize) -> io::Result<MmapMut> {
    MmapOptions::new().len(bytes.max(1)).no_reserve_swap().map_anon()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_the_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("memory.max", "max\n");
        write("a/memory.max", "1000\n");
        write("a/memory.current", "400\n");
        write("a/memory.oom.group", "1\n");
        write("a/b/memory.max", "900\n");
        write("a/b/memory.current", "100\n");
        write("a/b/pids.max", "10\n");
        write("a/b/pids.current", "9\n");
        let mut left = Headroom { bytes: u64::MAX, all_at_once: false, tasks: u64::MAX };
        left.lessen(root.path(), "/a/b", ["memory.max", "memory.current"], ["pids.max", "pids.current"]);
        assert_eq!(left, Headroom { bytes: 600, all_at_once: true, tasks: 1 });
    }
}
