//! `snapshot.json`: what the kernel said about the process when it was captured.
//!
//! These are the shapes that `capture` writes and every reader of a snapshot gets. They are plain data: nothing here
//! asks the kernel or touches memory. Every field a foreign snapshot may lack is optional, and so is the whole file.

use super::Addr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// The value of [`Metadata::format`] this version writes.
pub const FORMAT: &str = "pymem-tui.snapshot/1";

/// The name of the file beside the region files.
pub const FILE_NAME: &str = "snapshot.json";

/// Everything `snapshot.json` holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`FORMAT`].
    pub format: String,
    /// Name and version of the program that wrote it.
    pub tool: String,
    /// RFC 3339, UTC, when the process was stopped.
    pub captured_at: Option<String>,
    /// `CLOCK_MONOTONIC` of the process at that time, in seconds: what its event loops and timers go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic: Option<f64>,
    /// How it was captured: `plain` or `fork`.
    pub mode: String,
    /// Why it was not captured in the way that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// How long the process stood still, in milliseconds.
    pub pause_ms: Option<f64>,
    /// How long it was expected to, before it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_pause_ms: Option<f64>,
    /// What was zeroed: `all` text, or all but names (`keys-kept`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<String>,
    /// Bytes copied.
    pub bytes: u64,
    /// Pages that were never touched and so were neither read nor stored.
    #[serde(default)]
    pub pages_skipped: u64,
    /// The process as a whole.
    pub process: Process,
    /// Every mapping, captured or not, in address order.
    pub regions: Vec<Mapping>,
    /// Every thread at the stop.
    pub threads: Vec<Thread>,
    /// Ranges that should have been copied and could not be read.
    #[serde(default)]
    pub unreadable: Vec<Unreadable>,
    /// Anything else a reader should know, as sentences.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Where the addresses of processes end, with page tables of five levels.
const HIGHEST: u64 = 1 << 56;

/// The one mapping above: a page of the kernel's that every process sees.
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;

impl Metadata {
    /// Puts the mappings in order, which a file may hold in any. Then holds them, and all sizes, to what a process can
    /// have, so that no sum of them overflows: what is cut or left out is counted in a problem.
    pub(super) fn settle(&mut self) {
        self.regions.retain(|m| m.start != m.end);
        self.regions.sort_by_key(|m| (m.start, m.end));
        let mut wrong = 0;
        let starts: Vec<Addr> = self.regions.iter().skip(1).map(|m| m.start).chain([Addr(u64::MAX)]).collect();
        for (mapping, next) in self.regions.iter_mut().zip(starts) {
            let highest = if mapping.start.0 < HIGHEST { Addr(HIGHEST) } else { Addr(u64::MAX) };
            let end = mapping.end.min(next).min(highest);
            let can_be = mapping.start < end && (mapping.start.0 < HIGHEST || mapping.start.0 == VSYSCALL);
            wrong += u64::from(end != mapping.end || !can_be);
            mapping.end = if can_be { end } else { mapping.start };
            mapping.resident_bytes = mapping.resident_bytes.map(|n| n.min(mapping.end.0 - mapping.start.0));
        }
        self.regions.retain(|m| m.start != m.end);
        if wrong > 0 {
            let told = format!("mappings that overlap or lie where no process has memory are cut or left out: {wrong}");
            self.problems.insert(0, told);
        }
        let sizes = self.process.memory.values_mut().chain(self.process.rollup.values_mut());
        sizes.for_each(|bytes| *bytes = (*bytes).min(HIGHEST));
    }

    /// How much could not be read, in a sentence; nothing when that is only pages that nobody may read: the guards below
    /// the stacks of threads (MADV_GUARD_INSTALL, glibc 2.42).
    pub(super) fn unreadable_told(&self) -> Option<String> {
        let bytes = |u: &Unreadable| u.end.0.saturating_sub(u.start.0);
        let is_guard = |u: &&Unreadable| bytes(u) == PAGE && u.reason.contains("os error 5");
        let mut lost = self.unreadable.iter().filter(|u| !is_guard(u));
        let first = lost.next()?;
        let all = lost.map(bytes).fold(bytes(first), u64::saturating_add);
        let size = crate::text::size(all);
        Some(format!(
            "{size} could not be read when it was captured, first {}-{}: {}",
            first.start, first.end, first.reason
        ))
    }
}

/// The process as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id, in the capturer's namespace.
    pub pid: i32,
    /// Process id as the process itself sees it, where it lives in a pid namespace of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_pid: Option<i32>,
    /// `/proc/PID/cmdline`, split; lossy UTF-8.
    #[serde(default)]
    pub command_line: Vec<String>,
    /// What `/proc/PID/exe` links to.
    pub exe: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: Option<String>,
    /// `/proc/PID/status`: `VmRSS`, `VmSize`, `RssAnon`, `VmPTE`, … in bytes.
    #[serde(default)]
    pub memory: BTreeMap<String, u64>,
    /// `/proc/PID/smaps_rollup`: `Rss`, `Pss`, `Private_Dirty`, `Swap`, … in bytes, taken before the copy.
    #[serde(default)]
    pub rollup: BTreeMap<String, u64>,
}

/// How much of a process's resident memory is its own; `None` where the kernel did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Resident bytes.
    pub resident: Option<u64>,
    /// Of these, what no other process has.
    pub private: Option<u64>,
    /// Of the others, pages without a file that were written to: a fork shares them until somebody writes again.
    pub copy_on_write: Option<u64>,
}

impl Sharing {
    /// What `/proc/PID/smaps_rollup` tells, in bytes.
    pub fn of(rollup: &BTreeMap<String, u64>) -> Sharing {
        let of = |name| rollup.get(name).copied();
        Sharing {
            resident: of("Rss"),
            private: of("Private_Clean").zip(of("Private_Dirty")).map(|(clean, dirty)| clean.saturating_add(dirty)),
            copy_on_write: of("Shared_Dirty").zip(of("Anonymous")).map(|(dirty, anonymous)| dirty.min(anonymous)),
        }
    }

    /// What other processes have as well.
    pub fn shared(&self) -> Option<u64> {
        self.resident.zip(self.private).map(|(all, private)| all.saturating_sub(private))
    }
}

impl Process {
    /// How much of its memory is its own.
    pub fn sharing(&self) -> Sharing {
        Sharing::of(&self.rollup)
    }
}

/// One mapping of `/proc/PID/maps`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// As in `maps`: `rw-p`.
    pub permissions: String,
    /// Offset into the file.
    #[serde(default)]
    pub offset: u64,
    /// Path or pseudo-name (`[heap]`), lossy UTF-8.
    pub file: Option<String>,
    /// Resident bytes when the process was stopped, before the copy; `None` when the kernel would not say.
    pub resident_bytes: Option<u64>,
    /// Which pages those are, where some are resident and some are not: how many are not, how many are, and so on in
    /// turn, from the first page on. Empty where all or none are, or where it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residency: Vec<u64>,
    /// Whether its memory is in the snapshot.
    pub captured: bool,
}

/// Bytes in a page of [`Mapping::residency`].
const PAGE: u64 = 4096;

impl Mapping {
    /// Writes down which pages are resident: `present`, address ranges in order and within the mapping.
    pub fn set_residency(&mut self, present: &[Range<u64>]) {
        let resident = present.iter().map(|r| r.end - r.start).sum();
        self.resident_bytes = Some(resident);
        self.residency.clear();
        if resident == 0 || resident == self.end.0.saturating_sub(self.start.0) {
            return;
        }
        let mut at = self.start.0;
        for run in present {
            self.residency.extend([(run.start - at) / PAGE, (run.end - run.start) / PAGE]);
            at = run.end;
        }
    }

    /// The resident pages as address ranges, in order; `None` when they are not known.
    pub fn resident(&self) -> Option<Vec<Range<Addr>>> {
        let resident = self.resident_bytes?;
        if resident == 0 {
            return Some(Vec::new());
        }
        if self.end < self.start {
            return None;
        }
        if self.residency.is_empty() {
            let whole = self.end.0.checked_sub(self.start.0)? == resident;
            return whole.then(|| std::iter::once(self.start..self.end).collect());
        }
        let mut runs = Vec::with_capacity(self.residency.len() / 2);
        let mut at = self.start.0;
        let mut sum = 0;
        for pair in self.residency.chunks(2) {
            let [absent, present] = pair else { return None };
            let start = at.checked_add(absent.checked_mul(PAGE)?)?;
            at = start.checked_add(present.checked_mul(PAGE)?)?;
            sum += at - start;
            runs.push(Addr(start)..Addr(at));
        }
        (at <= self.end.0 && sum == resident).then_some(runs)
    }
}

/// One thread, as it was stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// Native thread id.
    pub tid: i32,
    /// `/proc/PID/task/TID/comm`.
    pub name: String,
    /// The kernel's state letter before the stop: `S`, `R`, `D`, …
    pub state: String,
    /// `/proc/PID/task/TID/wchan`, when the kernel shows it.
    pub wchan: Option<String>,
    /// General registers by name (`rip`, `rsp`, `fs_base`, …), as hex; empty when the thread could not be stopped.
    #[serde(default)]
    pub registers: BTreeMap<String, Addr>,
    /// The system call the thread is blocked in.
    pub syscall: Option<Syscall>,
}

impl Thread {
    /// The system call that a stop interrupted, by the registers: the kernel's restart codes (`include/linux/errno.h`)
    /// or `EINTR` in `rax` tell that the arguments are still in theirs.
    pub fn interrupted(registers: &BTreeMap<String, Addr>) -> Option<Syscall> {
        const EINTR: i64 = 4;
        let register = |name: &str| registers.get(name).copied();
        let (number, result) = (register("orig_rax")?.0 as i64, register("rax")?.0 as i64);
        let interrupted = (-516..=-512).contains(&result) || result == -EINTR;
        let args = ["rdi", "rsi", "rdx", "r10", "r8", "r9"].into_iter().map(register).collect::<Option<_>>()?;
        (number >= 0 && interrupted).then_some(Syscall { number, args })
    }
}

/// A system call a thread is blocked in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Syscall {
    /// Number, x86-64.
    pub number: i64,
    /// The six argument registers.
    pub args: Vec<Addr>,
}

/// A range that should have been copied and could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unreadable {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// The kernel's words.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_that_no_kernel_tells_are_cut_or_left_out() {
        let mapping = |start, end| Mapping {
            start: Addr(start),
            end: Addr(end),
            resident_bytes: Some(u64::MAX),
            ..Mapping::default()
        };
        let told = [
            (1 << 63, u64::MAX),
            (0x1000, 0x3000),
            (0x2000, 0x5000),
            (0x5000, 0x6000),
            (0x5000, 0x7000),
            (0x8000, 0x8000),
            (0x9000, 0x8000),
            (0xa000, HIGHEST + 1),
            (VSYSCALL, VSYSCALL + 0x1000),
        ];
        let kept =
            [(0x1000, 0x2000), (0x2000, 0x5000), (0x5000, 0x7000), (0xa000, HIGHEST), (VSYSCALL, VSYSCALL + 0x1000)];
        let regions = told.iter().map(|(start, end)| mapping(*start, *end)).collect();
        let mut metadata = Metadata { regions, ..Metadata::default() };
        metadata.process.rollup.insert("Rss".into(), u64::MAX);
        metadata.settle();
        let left: Vec<_> = metadata.regions.iter().map(|m| (m.start.0, m.end.0)).collect();
        assert_eq!(left, kept);
        assert!(metadata.regions.iter().all(|m| m.resident_bytes == Some(m.end.0 - m.start.0)));
        assert_eq!(metadata.process.rollup["Rss"], HIGHEST);
        assert!(matches!(&metadata.problems[..], [told] if told.ends_with("left out: 5")), "{:?}", metadata.problems);
        let settled = metadata.clone();
        metadata.settle();
        assert_eq!(metadata, settled);
    }

    #[test]
    fn resident_pages_are_written_and_read_back() {
        let mut mapping = Mapping { start: Addr(0x10000), end: Addr(0x20000), ..Mapping::default() };
        assert_eq!(mapping.resident(), None);
        let pages = |runs: &[(u64, u64)]| runs.iter().map(|(start, end)| *start..*end).collect::<Vec<_>>();
        for present in [
            pages(&[]),
            pages(&[(0x10000, 0x20000)]),
            pages(&[(0x10000, 0x11000), (0x13000, 0x20000)]),
            pages(&[(0x12000, 0x13000), (0x14000, 0x15000)]),
        ] {
            mapping.set_residency(&present);
            let expected: Vec<_> = present.iter().map(|r| Addr(r.start)..Addr(r.end)).collect();
            assert_eq!(mapping.resident(), Some(expected));
        }
        // damaged: beyond the mapping, half a pair, another sum, a sum that overflows
        for residency in [vec![20, 2], vec![2], vec![2, 3], vec![u64::MAX, 2]] {
            mapping.residency = residency;
            assert_eq!(mapping.resident(), None);
        }
    }
}
