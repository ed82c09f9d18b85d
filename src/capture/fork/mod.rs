//! The way through a fork: a copy-on-write child is made of the process, which goes on at once; the child stands still
//! for ever and is read at leisure.
//!
//! This is the only place that writes to a process: below the stack of one of its threads, while it is stopped. The
//! thread makes a system call that it would make for `os.fork()`, through instructions that are there already, and is
//! put back to where it was. The child never runs an instruction of its own, has no files, and its end is told to
//! nobody (exit signal 0). Where the process is the one that inherits orphans, or runs in a container, the child is made
//! its own and reaped by it; everywhere else the child is orphaned, and the system's first process reaps it.
//!
//! Killed at any moment, we leave a process that goes on; see [`thread`].

mod aside;
mod frame;
mod gadgets;
mod raw;
mod safety;
mod thread;

pub(super) use safety::Safety;

use super::copy::{Memory, Source};
use super::error::CaptureError;
use super::moment::Moment;
use super::pages::{self, Region};
use super::proc::{self, Map};
use super::threads::Stopped;
use super::way::{Deadline, Taken, Way, Work, on_a_thread};
use crate::snapshot::{Addr, meta};
use crate::sys::pagemap::Pagemap;
use crate::sys::priority;
use aside::{Aside, Growth};
use gadgets::Gadgets;
use nix::libc;
use std::time::Duration;
use thread::{Child, Refusal, Worker, failed};

/// Copies from a frozen child.
pub(super) struct Fork;

impl Way for Fork {
    fn name(&self) -> &'static str {
        "fork"
    }

    fn take(&self, work: &mut Work) -> Result<Taken, CaptureError> {
        on_a_thread(work.pid, || fork_and_copy(work))
    }
}

/// What is had from the time that the process stood still.
struct Held {
    maps: Vec<Map>,
    threads: Vec<meta::Thread>,
    aside: Aside,
    problems: Vec<String>,
    at: Moment,
}

/// The frozen child, and how to be rid of it.
struct Frozen {
    child: Child,
    /// It belongs to the process itself, which has to reap it through this thread.
    adopted_through: Option<i32>,
}

fn fork_and_copy(work: &mut Work) -> Result<Taken, CaptureError> {
    let pid = work.pid;
    let no_fork = |reason: Refusal| CaptureError::NoFork { pid, reason };
    let via = super::living_thread(pid)?;
    let safety = Safety::of(pid, via, work.survey, work.limits).map_err(no_fork)?;
    let before = proc::maps(via).map_err(|e| CaptureError::system(pid, "its memory map", e))?;
    let gadgets = Gadgets::find(via, &before)
        .ok_or_else(|| no_fork("its program text lacks the instructions that would lead it back".into()))?;
    work.progress.check()?;
    let hurry = priority::urgent();
    let mut stopped = Stopped::stop(pid)?;
    let forked = stop_and_fork(&mut stopped, work, &safety, &gadgets);
    let pause = stopped.release();
    drop(hurry);
    let (frozen, held) = forked?;
    let (child, inner) = (frozen.child.pid, frozen.child.inner);
    let taken = settle(&frozen.child).map_err(no_fork).and_then(|()| read(child, held, pause, &safety, work));
    let ended = frozen.child.end().and_then(|()| match frozen.adopted_through {
        Some(thread) => reap(pid, thread, inner, &gadgets),
        None => Ok(()),
    });
    let mut taken = taken?; // an error of the copy is told first
    taken.problems.extend(ended.err().map(|why| format!("the frozen child {child} was not removed cleanly: {why}")));
    Ok(taken)
}

/// All that happens while the process stands still.
fn stop_and_fork(
    stopped: &mut Stopped,
    work: &Work,
    safety: &Safety,
    gadgets: &Gadgets,
) -> Result<(Frozen, Held), CaptureError> {
    let pid = work.pid;
    let no_fork = |reason: Refusal| CaptureError::NoFork { pid, reason };
    let deadline = Deadline::new(stopped.since(), work.limits.max_pause, true);
    let via = stopped.any_tid();
    let at = Moment::now(via);
    let maps = proc::maps(via).map_err(|e| CaptureError::system(pid, "its memory map", e))?;
    let (threads, problems) = (stopped.describe(), stopped.unstopped_told());
    let (tid, regs) = thread::choose(stopped.interrupted(), |regs| thread::has_room(&maps, regs))
        .ok_or_else(|| no_fork("none of its threads stands where it could be asked to fork".into()))?;
    let aside = Aside::copy(work, &maps, via, safety, deadline)?;
    deadline.check(pid)?;
    let mut worker = Worker::enter(tid, regs, is_filtered(tid), gadgets).map_err(no_fork)?;
    let forked = fork(&mut worker, safety);
    stopped.hand_on(tid, worker.leave().map_err(no_fork)?);
    let (child, adopted) = forked.map_err(no_fork)?;
    let frozen = Frozen { child, adopted_through: adopted.then_some(tid) };
    Ok((frozen, Held { maps, threads, aside, problems, at }))
}

/// Makes the child, and tells whether it belongs to the process.
fn fork(worker: &mut Worker, safety: &Safety) -> Result<(Child, bool), Refusal> {
    const SHARED: u64 = (libc::CLONE_FILES | libc::CLONE_FS) as u64;
    for leftover in &safety.leftovers {
        worker.call(libc::SYS_wait4, reaping(*leftover, libc::WNOHANG))?;
    }
    let adopt = safety.adopt || is_heir(worker)?;
    let stack = worker.frames.child_stack;
    // The helper shares the memory, so making it costs nothing. What it makes is no child of the process.
    let helper = worker.call(libc::SYS_clone, [libc::CLONE_VM as u64 | SHARED, stack, 0, 0])?;
    let helper = Child::take(&helper, worker)?;
    let helper_inner = helper.inner;
    worker.await_only(&helper)?;
    priority::hurry(helper.pid); // the costly copy is ours to hurry; the child does not inherit it
    let parent = if adopt { libc::CLONE_PARENT as u64 } else { 0 };
    let child = helper.call(libc::SYS_clone, [parent | SHARED, stack, 0, 0]).and_then(|c| Child::take(&c, worker));
    let ended = helper.end();
    worker.call(libc::SYS_wait4, reaping(helper_inner, 0))?.ok("wait4")?;
    if adopt && let Ok(child) = &child {
        worker.await_only(child)?;
    }
    ended?;
    Ok((child?, adopt))
}

/// The arguments of wait4 for one child, whatever its end is told by.
fn reaping(child: i64, options: i32) -> [u64; 4] {
    [child as u64, 0, (libc::__WALL | options) as u32 as u64, 0]
}

fn is_filtered(tid: i32) -> bool {
    let status = proc::status(tid).unwrap_or_default();
    status.get("Seccomp").is_some_and(|mode| mode != "0")
}

/// Whether orphans below the process become its own (PR_SET_CHILD_SUBREAPER); only it can be asked.
fn is_heir(worker: &mut Worker) -> Result<bool, Refusal> {
    const PR_GET_CHILD_SUBREAPER: u64 = 37;
    worker.call(libc::SYS_prctl, [PR_GET_CHILD_SUBREAPER, worker.frames.scratch, 0, 0])?.ok("prctl")?;
    Ok(worker.scratch()? != 0)
}

/// After the pause: the child gives up its share of the files, and is the first to go when memory runs out.
fn settle(child: &Child) -> Result<(), Refusal> {
    const CLOSE_RANGE_UNSHARE: u64 = 2;
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.pid), "1000");
    let closed = child.call(libc::SYS_close_range, [0, u64::from(u32::MAX), CLOSE_RANGE_UNSHARE, 0])?;
    match closed.ok("close_range") {
        Err(_) if closed.result == -i64::from(libc::ENOSYS) => Ok(()), // before Linux 5.9: they are shared until the end
        done => done.map(drop),
    }
}

/// Removes a child that has ended and whose end was told to nobody, by the process it belongs to.
fn reap(pid: i32, thread: i32, child: i64, gadgets: &Gadgets) -> Result<(), Refusal> {
    let stopped = Stopped::stop_one(pid, thread).or_else(|_| Stopped::stop(pid));
    let mut stopped = stopped.map_err(|e| e.to_string())?;
    let maps = proc::maps(stopped.any_tid()).map_err(failed("its memory map"))?;
    let (tid, regs) = thread::choose(stopped.interrupted(), |regs| thread::has_room(&maps, regs))
        .ok_or("none of its threads could be asked to reap it; the next capture does")?;
    let mut worker = Worker::enter(tid, regs, is_filtered(tid), gadgets)?;
    let reaped = worker.call(libc::SYS_wait4, reaping(child, libc::WNOHANG));
    stopped.hand_on(tid, worker.leave()?);
    reaped?.ok("wait4").map(drop)
}

/// Reads the child and writes it to the store.
fn read(child: i32, mut held: Held, pause: Duration, safety: &Safety, work: &mut Work) -> Result<Taken, CaptureError> {
    let pagemap = Pagemap::open(child).ok();
    let mut plans = pages::plan(&held.maps, work.backings, pagemap.as_ref());
    for (map, plan) in held.maps.iter().zip(&mut plans) {
        if !safety.is_inherited(map) {
            *plan = held.aside.next();
        } else if let (Some(region), Some(file)) = (plan, work.survey.files.get(&(map.start, map.end))) {
            // a fork leaves the pages of files to be found again: the child's tables do not have them
            region.add_file_pages(file);
        }
    }
    let (captured, regions) = pages::place(plans);
    let taken = held.maps.iter().zip(&captured).filter(|(_, c)| c.is_some());
    let inherited: Vec<bool> = taken.map(|(map, _)| safety.is_inherited(map)).collect();
    let jobs_of = |wanted: bool| {
        let ranges = regions.iter().zip(&inherited).map(|(r, i)| if *i == wanted { r.copy.as_slice() } else { &[] });
        pages::jobs(ranges.enumerate())
    };
    let jobs = jobs_of(true);
    work.store.foretell(regions.iter().map(Region::bytes).sum())?;
    work.store.lay_out(regions.iter().map(|r| (Addr(r.start), r.len())))?;
    work.progress.begin(jobs.last().map_or(0, |j| j.at + j.len));
    let memory = Memory::unpinned(work.pid, child);
    let growth = Growth::watch(work.pid, child, work.limits);
    let watch = || growth.check();
    let source = Source { memory: &memory, watch: &watch, progress: work.progress };
    source.pour(&jobs, &regions, work.store, work.threads)?;
    let mut unreadable = memory.unreadable();
    unreadable.append(&mut held.aside.unreadable);
    unreadable.extend(aside::not_inherited(child, &held.maps, &captured, safety));
    let staged = held.aside.staged(jobs_of(false));
    let Held { maps, threads, problems, at, .. } = held;
    Ok(Taken { maps, captured, regions, threads, unreadable, problems, at, pause, staged })
}
