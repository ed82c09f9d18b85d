//! Memory to copy into: how much may be taken, and how it is had without page faults in the pause.

pub(super) use crate::sys::headroom::{available, group_headroom};

use crate::sys::headroom::kilobytes;
use memmap2::{Advice, MmapMut, MmapOptions};
use std::io;

/// How much memory a capture may take for a moment: a quarter of what is available, in our control group too. Taking
/// more could end in the out-of-memory killer choosing the process we look at.
pub(super) fn budget() -> u64 {
    available().min(group_headroom("self").bytes) / 4
}

/// What the strict accounting of memory (`vm.overcommit_memory` 2) leaves; `None` when it is off.
pub(super) fn commit_headroom() -> Option<u64> {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").ok()?;
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok().filter(|_| mode.trim() == "2")?;
    Some(kilobytes(&meminfo, "CommitLimit:")?.saturating_sub(kilobytes(&meminfo, "Committed_AS:")?))
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
