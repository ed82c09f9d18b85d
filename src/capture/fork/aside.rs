//! What a child does not inherit, and what its memory costs: the two things that a fork has to be careful about.
//!
//! Mappings that the process withholds from its children (MADV_DONTFORK, MADV_WIPEONFORK) are copied while it stands
//! still. What it withheld only just before the stop is told as not readable.

use super::Safety;
use super::safety::RESERVE;
use crate::capture::copy::{Memory, Source};
use crate::capture::error::CaptureError;
use crate::capture::pages::{self, Job, Region};
use crate::capture::proc::{self, Map};
use crate::capture::way::{Deadline, Work};
use crate::capture::{Limits, room};
use crate::snapshot::{Addr, meta::Unreadable};
use crate::sys::pagemap::Pagemap;
use memmap2::MmapMut;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Memory that was copied in the pause.
pub(super) struct Aside {
    /// In the order of the mappings that are withheld; `None` for those that are not captured.
    plans: std::vec::IntoIter<Option<Region>>,
    buffer: MmapMut,
    pub unreadable: Vec<Unreadable>,
}

impl Aside {
    /// Copies those of `maps` that a child does not get.
    pub(super) fn copy(
        work: &Work,
        maps: &[Map],
        via: i32,
        safety: &Safety,
        deadline: Deadline,
    ) -> Result<Aside, CaptureError> {
        let withheld: Vec<Map> = maps.iter().filter(|m| !safety.is_inherited(m)).cloned().collect();
        let pagemap = Pagemap::open(via).ok().filter(|_| !withheld.is_empty());
        let plans = pages::plan(&withheld, work.backings, pagemap.as_ref());
        let jobs = pages::jobs(plans.iter().flatten().map(|r| r.copy.as_slice()).enumerate());
        let bytes = jobs.last().map_or(0, |j| j.at + j.len);
        let error = |error| CaptureError::System { pid: work.pid, what: "memory for a copy", error };
        let size = usize::try_from(bytes).map_err(|e| error(std::io::Error::other(e)))?;
        let mut buffer = room::reserved(size).map_err(error)?;
        let memory = if work.survey.shares { Memory::unpinned(work.pid, via) } else { Memory::new(work.pid, via) };
        let watch = || deadline.check(work.pid);
        Source { memory: &memory, watch: &watch, progress: work.progress }.fill(&jobs, &mut buffer, work.threads)?;
        Ok(Aside { plans: plans.into_iter(), buffer, unreadable: memory.unreadable() })
    }

    /// The plan of the next mapping that is withheld.
    pub(super) fn next(&mut self) -> Option<Region> {
        self.plans.next().flatten()
    }

    /// What was copied, with `jobs` that tell which regions of the whole it belongs to.
    pub(super) fn staged(self, jobs: Vec<Job>) -> Option<(MmapMut, Vec<Job>)> {
        (!jobs.is_empty()).then_some((self.buffer, jobs))
    }
}

/// Mappings that should have been inherited by `child` and were not.
pub(super) fn not_inherited(child: i32, maps: &[Map], captured: &[Option<usize>], safety: &Safety) -> Vec<Unreadable> {
    let there: HashSet<_> = proc::maps(child).unwrap_or_default().iter().map(|m| (m.start, m.end)).collect();
    let wiped: HashSet<_> = proc::flags(child, &["wf"]).unwrap_or_default().iter().map(|(s, e, _)| (*s, *e)).collect();
    let lost = |(map, captured): (&Map, &Option<usize>)| {
        let ends = (map.start, map.end);
        let lost = captured.is_some() && safety.is_inherited(map) && (!there.contains(&ends) || wiped.contains(&ends));
        let reason = "withheld from children just before the fork".to_owned();
        lost.then_some(Unreadable { start: Addr(map.start), end: Addr(map.end), reason })
    };
    maps.iter().zip(captured).filter_map(lost).collect()
}

/// Pages that the process writes to while its child is read exist twice; this gives up before they are too many.
pub(super) struct Growth<'l> {
    pid: i32,
    child: i32,
    limits: &'l Limits,
    /// When the next look is due.
    next: Mutex<Instant>,
}

/// Time between two looks.
const OFTEN: Duration = Duration::from_millis(100);

/// A look walks all page tables: of a huge process it takes long itself, and so many times as long passes until the next.
const SELDOM: u32 = 10;

impl Growth<'_> {
    pub(super) fn watch(pid: i32, child: i32, limits: &Limits) -> Growth<'_> {
        Growth { pid, child, limits, next: Mutex::new(Instant::now() + OFTEN) }
    }

    /// Called often, by many threads.
    pub(super) fn check(&self) -> Result<(), CaptureError> {
        let Ok(mut next) = self.next.try_lock() else { return Ok(()) };
        let begun = Instant::now();
        if begun < *next {
            return Ok(());
        }
        let looked = self.look();
        *next = Instant::now() + OFTEN.max(begun.elapsed() * SELDOM);
        looked
    }

    fn look(&self) -> Result<(), CaptureError> {
        let given_up = |reason: String| Err(CaptureError::NoFork { pid: self.pid, reason });
        let left = room::available().min(room::group_headroom(&self.pid.to_string()).bytes);
        if left < RESERVE / 2 {
            return given_up(format!("memory became short while it was read ({} left)", crate::text::size(left)));
        }
        if let Some(limit) = self.limits.max_memory {
            let doubled = proc::rollup(self.child).get("Private_Dirty").copied().unwrap_or(0);
            if doubled > limit {
                let doubled = crate::text::size(doubled);
                return given_up(format!("it wrote to {doubled} while it was read, more than --max-memory"));
            }
        }
        Ok(())
    }
}
