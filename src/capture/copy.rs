//! Reading the memory of a process that stands still, by several threads, into memory or into a store.
//!
//! `process_vm_readv` first; `/proc/PID/mem` where that is forbidden or stumbles. A page that cannot be read is
//! reported and stays zero; it does not fail the capture. A process that is gone does.

use super::error::CaptureError;
use super::pages::{JOB, Job, Piece, Region};
use crate::progress::Progress;
use crate::snapshot::store::Store;
use crate::snapshot::{Addr, meta::Unreadable};
use crate::sys::pagemap::PAGE;
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The memory of one process.
pub(super) struct Memory {
    pid: i32,
    via: Pid,
    mem: Option<File>,
    /// Set once `process_vm_readv` is found to be forbidden.
    forbidden: AtomicBool,
    unreadable: Mutex<Vec<Unreadable>>,
}

impl Memory {
    /// Of process `pid`, through its thread `via`.
    pub(super) fn new(pid: i32, via: i32) -> Memory {
        Memory {
            pid,
            via: Pid::from_raw(via),
            mem: File::open(format!("/proc/{via}/mem")).ok(),
            forbidden: AtomicBool::new(false),
            unreadable: Mutex::new(Vec::new()),
        }
    }

    /// The same through `/proc/PID/mem` alone, which pins no page: see [`Survey::shares`](super::survey::Survey).
    pub(super) fn unpinned(pid: i32, via: i32) -> Memory {
        Memory { forbidden: AtomicBool::new(true), ..Memory::new(pid, via) }
    }

    /// Fills `into` with the pieces of `job`, one after the other.
    pub(super) fn read(&self, job: &Job, into: &mut [u8]) -> Result<(), CaptureError> {
        let mut done = 0;
        while done < job.len {
            let rest = into.get_mut(done as usize..job.len as usize).unwrap_or_default();
            let got = if self.forbidden.load(Relaxed) { Ok(0) } else { self.read_vm(job, done, rest) };
            done += match got {
                Ok(0) | Err(Errno::EFAULT | Errno::EIO | Errno::ENOMEM) => self.read_mem(job, done, rest)?,
                Ok(got) => got as u64,
                Err(Errno::EPERM | Errno::ENOSYS | Errno::EACCES) => {
                    self.forbidden.store(true, Relaxed);
                    0
                }
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(CaptureError::system(self.pid, "process_vm_readv", error.into())),
            };
        }
        Ok(())
    }

    fn read_vm(&self, job: &Job, done: u64, rest: &mut [u8]) -> Result<usize, Errno> {
        let from = pieces_from(job, done);
        let remote: Vec<_> = from.map(|(start, len)| RemoteIoVec { base: start as usize, len: len as usize }).collect();
        process_vm_readv(self.via, &mut [IoSliceMut::new(rest)], &remote)
    }

    /// As far as one read of `/proc/PID/mem` gets; a page that even that cannot read is passed over.
    fn read_mem(&self, job: &Job, done: u64, rest: &mut [u8]) -> Result<u64, CaptureError> {
        let Some((start, len)) = pieces_from(job, done).next() else { return Ok(job.len - done) };
        let page = len.min(PAGE - start % PAGE);
        // where process_vm_readv works, it stumbled over this one page only
        let want = if self.forbidden.load(Relaxed) { len } else { page };
        let into = rest.get_mut(..want as usize).unwrap_or_default();
        let got = match &self.mem {
            Some(mem) => mem.read_at(into, start),
            None => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        };
        match got {
            Ok(0) => Err(CaptureError::Exited(self.pid)), // the memory itself is gone
            Ok(got) => Ok(got as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Err(CaptureError::Exited(self.pid)),
            Err(error) => {
                into.iter_mut().take(page as usize).for_each(|b| *b = 0);
                self.note(start, start + page, &error);
                Ok(page)
            }
        }
    }

    fn note(&self, start: u64, end: u64, error: &io::Error) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(|e| e.into_inner());
        unreadable.push(Unreadable { start: Addr(start), end: Addr(end), reason: error.to_string() });
    }

    /// What could not be read, in address order, neighbours joined.
    pub(super) fn unreadable(self) -> Vec<Unreadable> {
        let mut all = self.unreadable.into_inner().unwrap_or_else(|e| e.into_inner());
        all.sort_by_key(|u| u.start);
        all.dedup_by(|next, last| {
            let joined = last.end == next.start && last.reason == next.reason;
            if joined {
                last.end = next.end;
            }
            joined
        });
        all
    }
}

/// Memory that is copied as a whole: into a buffer or into a store.
pub(super) struct Source<'s> {
    pub memory: &'s Memory,
    pub watch: &'s (dyn Fn() -> Result<(), CaptureError> + Sync),
    pub progress: &'s Progress,
}

impl Source<'_> {
    fn read(&self, job: &Job, into: &mut [u8]) -> Result<(), CaptureError> {
        self.progress.check()?;
        (self.watch)()?;
        self.memory.read(job, into)
    }

    /// Copies into memory, where the jobs lie one after the other.
    pub(super) fn fill(&self, jobs: &[Job], buffer: &mut [u8], threads: usize) -> Result<(), CaptureError> {
        share(threads, parts(jobs, buffer), || {
            |(job, into): (&Job, &mut [u8])| {
                self.read(job, into)?;
                self.progress.advance(job.len);
                Ok(())
            }
        })
    }

    /// Copies to the store at once.
    pub(super) fn pour(
        &self,
        jobs: &[Job],
        regions: &[Region],
        store: &Store,
        threads: usize,
    ) -> Result<(), CaptureError> {
        share(threads, jobs.iter(), || {
            let mut writer = store.writer();
            let mut buffer = vec![0; JOB as usize];
            move |job: &Job| {
                self.read(job, &mut buffer)?;
                for piece in &job.pieces {
                    let offset = (piece.at - job.at) as usize;
                    let bytes = buffer.get(offset..offset + piece.len as usize).unwrap_or_default();
                    writer.write(piece.region, piece.start - regions[piece.region].start, bytes)?;
                }
                self.progress.advance(job.len);
                Ok(())
            }
        })
    }
}

/// Each job with its part of `buffer`.
pub(super) fn parts<'j, 'b>(
    jobs: &'j [Job],
    buffer: &'b mut [u8],
) -> impl Iterator<Item = (&'j Job, &'b mut [u8])> + use<'j, 'b> {
    let mut rest = buffer;
    jobs.iter().map(move |job| {
        let (into, tail) = std::mem::take(&mut rest).split_at_mut_checked(job.len as usize).unwrap_or_default();
        rest = tail;
        (job, into)
    })
}

/// The address ranges of `job` from `done` bytes on.
fn pieces_from(job: &Job, done: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
    let at = job.at + done;
    let first = job.pieces.partition_point(|p| p.at + p.len <= at);
    let cut = move |p: &Piece| {
        let skip = at.saturating_sub(p.at);
        (p.start + skip, p.len - skip)
    };
    job.pieces.iter().skip(first).map(cut)
}

/// Hands `work` out to `threads` threads, each with its own worker; the first error ends all.
pub(super) fn share<T, W, E>(
    threads: usize,
    work: impl Iterator<Item = T> + Send,
    worker: impl Fn() -> W + Sync,
) -> Result<(), E>
where
    T: Send,
    W: FnMut(T) -> Result<(), E>,
    E: Send,
{
    let queue = Mutex::new(work.fuse());
    let failed = Mutex::new(None);
    let stop = AtomicBool::new(false);
    let run = || {
        let mut worker = worker();
        while !stop.load(Relaxed) {
            let next = queue.lock().unwrap_or_else(|e| e.into_inner()).next();
            let Some(next) = next else { break };
            if let Err(error) = worker(next) {
                stop.store(true, Relaxed);
                failed.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // where no thread can start, those that run do the work
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    failed.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::pages::jobs;

    #[test]
    fn our_own_memory_is_read_and_a_gap_is_told() {
        let mut memory = memmap2::MmapMut::map_anon(8 * PAGE as usize).unwrap();
        memory.iter_mut().enumerate().for_each(|(i, b)| *b = (i * 7 / 3) as u8);
        let start = memory.as_ptr() as u64;
        let end = start + 4 * PAGE;
        for forbidden in [false, true] {
            let ours = std::process::id() as i32;
            let source = Memory::new(ours, ours);
            source.forbidden.store(forbidden, Relaxed);
            let ranges = [start + PAGE..start + 2 * PAGE, end..end + 2 * PAGE, 0x1000..0x3000, start..start + PAGE];
            let job = &jobs([(0, ranges.as_slice())].into_iter())[0];
            let mut into = vec![0xaa; job.len as usize];
            source.read(job, &mut into).unwrap();
            let page = PAGE as usize;
            assert_eq!(into[..page], memory[page..2 * page]);
            assert_eq!(into[page..3 * page], memory[4 * page..6 * page]);
            assert_eq!(into[3 * page..5 * page], vec![0; 2 * page]);
            assert_eq!(into[5 * page..], memory[..page]);
            let unreadable = source.unreadable();
            assert_eq!(unreadable.len(), 1, "{unreadable:?}");
            assert_eq!((unreadable[0].start, unreadable[0].end), (Addr(0x1000), Addr(0x3000)));
        }
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let result: Result<(), u32> = share(2, 0..1000u32, || {
            |n| {
                done.fetch_add(1, Relaxed);
                if n == 10 { Err(n) } else { Ok(()) }
            }
        });
        assert_eq!(result, Err(10));
        assert!(done.load(Relaxed) < 1000);
    }
}
