//! The plain way: the process stands still while its memory is copied.
//!
//! The copy goes into memory that is there already, so that the pause is as long as copying takes and no disk is
//! waited for; only when it would not fit is it written to its place at once. All of it runs on a thread of its own:
//! ptrace belongs to the thread, and whatever ends that thread makes the kernel let go of the process.

use super::backing::Backings;
use super::copy::{Memory, share};
use super::error::CaptureError;
use super::pages::{self, Job, Region};
use super::proc::{self, Map};
use super::room;
use super::threads::Stopped;
use crate::progress::Progress;
use crate::snapshot::store::Store;
use crate::snapshot::{Addr, meta};
use crate::sys::pagemap::Pagemap;
use memmap2::MmapMut;
use std::time::{Duration, SystemTime};

/// What was taken from the process in the pause.
pub(super) struct Taken {
    pub maps: Vec<Map>,
    /// For each of `maps`, its place in `regions`.
    pub captured: Vec<Option<usize>>,
    pub regions: Vec<Region>,
    pub threads: Vec<meta::Thread>,
    pub unreadable: Vec<meta::Unreadable>,
    pub problems: Vec<String>,
    pub at: SystemTime,
    pub pause: Duration,
    /// What was copied and is not written yet; `None` when it was written in the pause.
    pub staged: Option<(MmapMut, Vec<Job>)>,
}

/// Stops `pid`, copies, lets go. `expected` bytes are to be copied as far as is known before.
pub(super) fn take(
    pid: i32,
    expected: u64,
    backings: &Backings,
    store: &mut Store,
    threads: usize,
    progress: &Progress,
) -> Result<Taken, CaptureError> {
    let budget = room::budget();
    let buffer = if expected <= budget { room::prefaulted(expected).ok() } else { None };
    std::thread::scope(|scope| {
        let tracer = std::thread::Builder::new().name("tracer".into());
        let run = || stop_and_copy(pid, buffer, budget, backings, store, threads, progress);
        match tracer.spawn_scoped(scope, run) {
            Ok(tracer) => tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(CaptureError::System { pid, what: "a thread of our own", error }),
        }
    })
}

fn stop_and_copy(
    pid: i32,
    buffer: Option<MmapMut>,
    budget: u64,
    backings: &Backings,
    store: &mut Store,
    threads: usize,
    progress: &Progress,
) -> Result<Taken, CaptureError> {
    progress.check()?;
    let stopped = Stopped::stop(pid)?;
    let at = SystemTime::now();
    let via = stopped.any_tid();
    let maps = proc::maps(via).map_err(|e| CaptureError::system(pid, "its memory map", e))?;
    if maps.is_empty() {
        return Err(CaptureError::Exited(pid));
    }
    let pagemap = Pagemap::open(via).ok();
    let mut captured = Vec::with_capacity(maps.len());
    let mut regions = Vec::new();
    for region in pages::plan(&maps, backings, pagemap.as_ref()) {
        captured.push(region.as_ref().map(|_| regions.len()));
        regions.extend(region);
    }
    let memory = Memory::new(pid, via);
    let jobs = pages::jobs(regions.iter().map(|r| r.copy.as_slice()).enumerate());
    let bytes = jobs.last().map_or(0, |j| j.at + j.len);
    progress.begin(bytes);
    let staged = match fitting(buffer, bytes, budget) {
        Some(mut buffer) => {
            fill(&memory, &jobs, &mut buffer, threads, progress)?;
            Some((buffer, jobs))
        }
        None => {
            store.put_aside(bytes)?; // the process stands still: nobody who reads a stream may keep it so
            store.lay_out(regions.iter().map(|r| (Addr(r.start), r.len())))?;
            pour(&memory, &jobs, &regions, store, threads, progress)?;
            None
        }
    };
    let descriptions = stopped.describe();
    let unstopped = stopped.unstopped();
    let pause = stopped.release();
    let problem = |tid| format!("thread {tid} waits in the kernel (state D) and could not be stopped");
    let problems = unstopped.into_iter().map(problem).collect();
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

/// Copies into memory.
fn fill(
    memory: &Memory,
    jobs: &[Job],
    buffer: &mut [u8],
    threads: usize,
    progress: &Progress,
) -> Result<(), CaptureError> {
    let mut rest = buffer;
    let work = jobs.iter().map(move |job| {
        let (into, tail) = std::mem::take(&mut rest).split_at_mut_checked(job.len as usize).unwrap_or_default();
        rest = tail;
        (job, into)
    });
    share(threads, work, || {
        |(job, into): (&Job, &mut [u8])| {
            progress.check()?;
            memory.read(job, into)?;
            progress.advance(job.len);
            Ok(())
        }
    })
}

/// Copies to the store at once.
fn pour(
    memory: &Memory,
    jobs: &[Job],
    regions: &[Region],
    store: &Store,
    threads: usize,
    progress: &Progress,
) -> Result<(), CaptureError> {
    share(threads, jobs.iter(), || {
        let mut writer = store.writer();
        let mut buffer = vec![0; pages::JOB as usize];
        move |job: &Job| {
            progress.check()?;
            memory.read(job, &mut buffer)?;
            for piece in &job.pieces {
                let offset = (piece.at - job.at) as usize;
                let bytes = buffer.get(offset..offset + piece.len as usize).unwrap_or_default();
                writer.write(piece.region, piece.start - regions[piece.region].start, bytes)?;
            }
            progress.advance(job.len);
            Ok(())
        }
    })
}
