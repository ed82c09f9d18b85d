//! Memory to copy into: how much may be taken, and how it is had without page faults in the pause.

use memmap2::{Advice, MmapMut, MmapOptions};
use std::io;
use std::path::Path;

/// How much memory a capture may take for a moment: a quarter of what is available, in our control group too. Taking
/// more could end in the out-of-memory killer choosing the process we look at.
pub(super) fn budget() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?;
        Some(kilobytes.trim().parse::<u64>().ok()?.saturating_mul(1024))
    });
    available.unwrap_or(0).min(group_headroom().unwrap_or(u64::MAX)) / 4
}

/// The least that our control group (version 2) and those above it leave.
fn group_headroom() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let ours = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let number = |path: &Path, name| std::fs::read_to_string(path.join(name)).ok()?.trim().parse::<u64>().ok();
    let left = |path: &Path| Some(number(path, "memory.max")?.saturating_sub(number(path, "memory.current")?));
    let root = Path::new("/sys/fs/cgroup");
    root.join(ours).ancestors().take_while(|p| p.starts_with(root)).filter_map(left).min()
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
