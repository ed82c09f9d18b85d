//! How much memory is left: on the machine, and in the control groups of a process.

use std::path::{Path, PathBuf};

/// `MemAvailable` of the machine.
pub fn available() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kilobytes(&meminfo, "MemAvailable:").unwrap_or(0)
}

/// A line of `/proc/meminfo`, in bytes.
pub fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// What the control groups of a process leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Bytes until the nearest limit; `u64::MAX` without one.
    pub bytes: u64,
    /// Whether the kernel ends every process of a group at once that has no memory left (`memory.oom.group`).
    pub all_at_once: bool,
    /// Processes and threads that may still be made.
    pub tasks: u64,
}

/// The least that the control groups of `pid` (a number, or `self`) and those above them leave, of version 1 or 2.
pub fn group_headroom(pid: &str) -> Headroom {
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
