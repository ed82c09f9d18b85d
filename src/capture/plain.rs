//! The plain way: the process stands still while its memory is copied.
//!
//! The copy goes into memory that is there already, so that the pause is as long as copying takes and no disk is
//! waited for; only when it would not fit is it written to its place at once. Nothing is written to the process.

use super::copy::{Memory, Source};
use super::error::CaptureError;
use super::moment::Moment;
use super::pages::{self, Region};
use super::proc;
use super::room;
use super::threads::Stopped;
use super::way::{Deadline, Taken, Way, Work, on_a_thread};
use crate::snapshot::Addr;
use crate::sys::pagemap::Pagemap;
use memmap2::MmapMut;

/// Copies while the process stands still.
pub(super) struct Plain;

impl Way for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn take(&self, work: &mut Work) -> Result<Taken, CaptureError> {
        let budget = work.limits.buffer();
        let expected = work.survey.copied_bytes;
        let buffer = if expected <= budget { room::prefaulted(expected).ok() } else { None };
        let mut taken = on_a_thread(work.pid, || stop_and_copy(work, buffer, budget))?;
        if taken.staged.is_some() {
            work.store.foretell(taken.regions.iter().map(Region::bytes).sum())?;
            work.store.lay_out(taken.regions.iter().map(|r| (Addr(r.start), r.len())))?;
        } else {
            taken.problems.push(format!(
                "the copy did not fit into {} of memory and was written to disk in the pause (--max-buffer)",
                crate::text::size(budget)
            ));
        }
        Ok(taken)
    }
}

fn stop_and_copy(work: &mut Work, buffer: Option<MmapMut>, budget: u64) -> Result<Taken, CaptureError> {
    let Work { pid, progress, threads, .. } = *work;
    progress.check()?;
    let stopped = Stopped::stop(pid)?;
    let deadline = Deadline::new(stopped.since(), work.limits.max_pause, false);
    let via = stopped.any_tid();
    let at = Moment::now(via);
    let maps = proc::maps(via).map_err(|e| CaptureError::system(pid, "its memory map", e))?;
    if maps.is_empty() {
        return Err(CaptureError::Exited(pid));
    }
    let pagemap = Pagemap::open(via).ok();
    let (captured, regions) = pages::place(pages::plan(&maps, work.backings, pagemap.as_ref()));
    let memory = if work.survey.shares { Memory::unpinned(pid, via) } else { Memory::new(pid, via) };
    let jobs = pages::jobs(regions.iter().map(|r| r.copy.as_slice()).enumerate());
    let bytes = jobs.last().map_or(0, |j| j.at + j.len);
    progress.begin(bytes);
    let in_time = || deadline.check(pid);
    let source = Source { memory: &memory, watch: &in_time, progress };
    let staged = match fitting(buffer, bytes, budget) {
        Some(mut buffer) => {
            source.fill(&jobs, &mut buffer, threads)?;
            Some((buffer, jobs))
        }
        None => {
            work.store.put_aside(bytes)?; // the process stands still: nobody who reads a stream may keep it so
            work.store.foretell(regions.iter().map(Region::bytes).sum())?;
            work.store.lay_out(regions.iter().map(|r| (Addr(r.start), r.len())))?;
            source.pour(&jobs, &regions, work.store, threads)?;
            None
        }
    };
    let descriptions = stopped.describe();
    let problems = stopped.unstopped_told();
    let pause = stopped.release();
    let unreadable = memory.unreadable();
    Ok(Taken { maps, captured, regions, threads: descriptions, unreadable, problems, at, pause, staged })
}

/// The prepared buffer, or a larger one should the process have grown; `None` when there is no memory for it.
fn fitting(buffer: Option<MmapMut>, bytes: u64, budget: u64) -> Option<MmapMut> {
    let buffer = buffer?;
    if buffer.len() as u64 >= bytes {
        return Some(buffer);
    }
    drop(buffer);
    if bytes <= budget { room::reserved(usize::try_from(bytes).ok()?).ok() } else { None }
}
