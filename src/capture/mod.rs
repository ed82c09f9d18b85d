//! A live process → a snapshot: stop every thread, copy, let go, write.
//!
//! There are two ways to copy ([`Mode`]): while the process stands still, or from a frozen child that is made of it.
//! Either way it goes on whatever happens to us, and nothing of Python runs in it. What the copied bytes mean is not
//! known here. Nothing but this module touches another process, and only its part `fork` writes to one.

mod backing;
mod copy;
mod error;
mod fork;
mod moment;
mod pages;
mod plain;
mod proc;
pub mod processes;
mod python;
mod room;
mod survey;
mod threads;
mod way;

pub use error::CaptureError;
pub use way::{Expectation, Mode};

use crate::progress::Progress;
use crate::snapshot::store::{Store, Stored, check_absent};
use crate::snapshot::stream::Packing;
use crate::snapshot::{Addr, Metadata, OpenError, Snapshot, meta};
use backing::Backings;
use copy::share;
use fork::Safety;
use pages::{Job, Region};
use proc::Map;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use survey::Survey;
use way::{Taken, Work};

/// Where a snapshot goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A new directory.
    Directory(PathBuf),
    /// A file without a name, on a disk that has the room; gone when the snapshot is dropped.
    Temporary,
    /// A stream to whoever reads it, in one pass.
    Stream {
        /// Its writing end.
        to: Arc<File>,
        /// How it is written.
        packing: Packing,
    },
}

impl Destination {
    /// A store with room for about `needed` bytes.
    fn store(&self, needed: u64) -> Result<Store, CaptureError> {
        Ok(match self {
            Destination::Directory(path) => Store::directory(path, needed)?,
            Destination::Temporary => Store::temporary(needed)?,
            Destination::Stream { to, packing } => Store::stream(Box::new(to.clone()), *packing)?,
        })
    }
}

/// How to capture.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that copy and write.
    pub threads: usize,
    /// Which way.
    pub mode: Mode,
    /// What must not be exceeded.
    pub limits: Limits,
}

/// What a capture must not exceed.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes of memory of ours that the copy may lie in until it is written. What is larger is written in the pause.
    pub max_buffer: Option<u64>,
    /// How long the process may stand still.
    pub max_pause: Option<Duration>,
    /// Bytes of memory that the machine may lose for a while: to that buffer, or to pages that the process writes while
    /// its frozen child is read.
    pub max_memory: Option<u64>,
}

impl Limits {
    /// How large a buffer may be.
    fn buffer(&self) -> u64 {
        let asked = self.max_buffer.unwrap_or_else(room::budget);
        asked.min(self.max_memory.unwrap_or(u64::MAX))
    }
}

impl Default for Options {
    fn default() -> Options {
        // more than four do not make copying faster: the memory bus is the limit
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(4);
        Options { threads, mode: Mode::default(), limits: Limits::default() }
    }
}

/// A process that was captured; its snapshot is written and can be opened.
#[derive(Debug)]
pub struct Captured {
    /// What the kernel said about the process.
    pub metadata: Metadata,
    /// How long it stood still.
    pub pause: Duration,
    stored: Stored,
}

impl Captured {
    /// Where the snapshot lies; `None` when it is temporary.
    pub fn path(&self) -> Option<&Path> {
        self.stored.path()
    }

    /// The snapshot as it was written.
    pub fn into_stored(self) -> Stored {
        self.stored
    }

    /// Opens the snapshot.
    pub fn open(self) -> Result<Snapshot, OpenError> {
        let pid = self.metadata.process.pid;
        let temporary = self.path().is_none();
        let mut snapshot = self.stored.open()?;
        if temporary {
            snapshot.set_source(format!("pid {pid}"));
        }
        Ok(snapshot)
    }
}

/// Captures process `pid`. On an error nothing is left behind and the process runs as before.
pub fn capture(
    pid: i32,
    destination: Destination,
    options: &Options,
    progress: &Progress,
) -> Result<Captured, CaptureError> {
    if let Destination::Directory(path) = &destination {
        check_absent(path)?; // before the process is looked at
    }
    prepare(pid, options)?.take(destination, progress)
}

/// A process that was looked at, and nothing more.
pub struct Prepared {
    pid: i32,
    process: meta::Process,
    backings: Backings,
    survey: Survey,
    options: Options,
    expectation: Expectation,
}

/// Tells process `pid` from any other that has or gets its number on this machine; `None` when there is none.
pub fn incarnation(pid: i32) -> Option<u64> {
    proc::start_ticks(pid)
}

/// Looks at process `pid` while it runs: what there is to copy, which ways there are, and how long they would stop it.
/// An error when it cannot be captured within the limits.
pub fn prepare(pid: i32, options: &Options) -> Result<Prepared, CaptureError> {
    let process = examine(pid)?;
    let via = living_thread(pid)?;
    let maps = proc::maps(via).map_err(|e| CaptureError::system(pid, "its memory map", e))?;
    if !python::seems_to_run(via, &maps) {
        let name = process.command_line.first().cloned().or(process.exe).unwrap_or_default();
        return Err(CaptureError::NotPython { pid, name: crate::text::sanitize(&name).into_owned() });
    }
    room::volunteer();
    let options = Options { threads: options.threads.max(1), ..options.clone() };
    let backings = Backings::open(via, &maps);
    let survey = Survey::make(via, &maps, &backings, &process.rollup);
    let plain = survey.plain_pause(options.threads, options.limits.buffer());
    let fork = match options.mode {
        Mode::Plain => Err("--mode plain was asked for".to_owned()),
        Mode::Fork | Mode::Auto => Safety::of(pid, via, &survey, &options.limits).map(|s| survey.fork_pause(s.aside())),
    };
    let mut expectation = Expectation { bytes: survey.copied_bytes, plain, fork, forks: false };
    expectation.choose(pid, options.mode, options.limits.max_pause)?;
    Ok(Prepared { pid, process, backings, survey, options, expectation })
}

impl Prepared {
    /// What to expect.
    pub fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    /// Captures. On an error nothing is left behind and the process runs as before.
    pub fn take(mut self, destination: Destination, progress: &Progress) -> Result<Captured, CaptureError> {
        let needed = self.survey.bytes + self.survey.bytes / 16 + (16 << 20);
        let mut store = destination.store(needed)?;
        let mut reason = self.expectation.reason(self.options.mode).map(str::to_owned);
        let mut way = way::chosen(&self.expectation);
        let mut taken = self.take_by(way, &mut store, progress);
        // what went into a stream cannot be taken back
        let begun = store.is_laid_out() && matches!(destination, Destination::Stream { .. });
        if let Err(CaptureError::NoFork { reason: why, .. }) = &taken
            && !begun
        {
            reason = Some(why.clone());
            self.expectation.fork = Err(why.clone());
            self.expectation.choose(self.pid, self.options.mode, self.options.limits.max_pause)?;
            way = way::chosen(&self.expectation);
            if store.is_laid_out() {
                drop(store);
                store = destination.store(needed)?;
            }
            taken = self.take_by(way, &mut store, progress);
        }
        let mut taken = taken?;
        if let Some(reason) = &reason {
            taken.problems.push(format!("captured plainly, not through a fork: {reason}"));
        }
        progress.begin(taken.regions.iter().map(Region::bytes).sum());
        let threads = self.options.threads;
        let metadata = self.describe(way.name(), reason, &taken);
        store.announce(&metadata)?;
        write_staged(&taken, &store, threads, progress)?;
        write_from_files(&taken, &store, threads, progress)?;
        let stored = store.finish(Some(&metadata))?;
        Ok(Captured { metadata, pause: taken.pause, stored })
    }

    fn take_by(&self, way: &dyn way::Way, store: &mut Store, progress: &Progress) -> Result<Taken, CaptureError> {
        way.take(&mut Work {
            pid: self.pid,
            survey: &self.survey,
            backings: &self.backings,
            store,
            threads: self.options.threads,
            limits: &self.options.limits,
            progress,
        })
    }

    fn describe(self, mode: &str, mode_reason: Option<String>, taken: &Taken) -> Metadata {
        let mapping = |(map, captured): (&Map, &Option<usize>)| {
            let mut mapping = meta::Mapping {
                start: Addr(map.start),
                end: Addr(map.end),
                permissions: map.permissions.clone(),
                offset: map.offset,
                file: map.name.as_ref().map(|name| name.to_string_lossy().into_owned()),
                resident_bytes: self.survey.resident.get(&(map.start, map.end)).copied(),
                residency: Vec::new(),
                captured: captured.is_some(),
            };
            if let Some(index) = captured {
                match taken.regions.get(*index).and_then(|r| r.resident.as_deref()) {
                    Some(present) => mapping.set_residency(present),
                    None => mapping.resident_bytes = None,
                }
            }
            mapping
        };
        let milliseconds = |d: Duration| (d.as_secs_f64() * 1e6).round() / 1e3;
        Metadata {
            format: meta::FORMAT.into(),
            tool: concat!("pymem-tui ", env!("CARGO_PKG_VERSION")).into(),
            captured_at: Some(humantime::format_rfc3339_millis(taken.at.calendar).to_string()),
            monotonic: taken.at.monotonic.map(|t| t.as_secs_f64()),
            mode: mode.into(),
            mode_reason,
            redacted: None,
            pause_ms: Some(milliseconds(taken.pause)),
            expected_pause_ms: Some(milliseconds(self.expectation.pause())),
            bytes: taken.regions.iter().map(Region::bytes).sum(),
            pages_skipped: pages::skipped(&taken.regions),
            regions: taken.maps.iter().zip(&taken.captured).map(mapping).collect(),
            process: self.process,
            threads: taken.threads.clone(),
            unreadable: taken.unreadable.clone(),
            problems: taken.problems.clone(),
        }
    }
}

/// The process as a whole; an error for ids that have no memory to copy.
fn examine(pid: i32) -> Result<meta::Process, CaptureError> {
    if pid <= 0 {
        return Err(CaptureError::NoProcess(pid));
    }
    let status = match proc::status(pid) {
        Ok(status) => status,
        // /proc may hide the processes of others (hidepid)
        Err(_) if nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) == Err(nix::errno::Errno::EPERM) => {
            return Err(error::denied(pid));
        }
        Err(_) => return Err(CaptureError::NoProcess(pid)),
    };
    let leader = status.get("Tgid").and_then(|t| t.parse().ok()).unwrap_or(pid);
    if leader == std::process::id() as i32 {
        return Err(CaptureError::Ourselves(pid));
    }
    if leader != pid {
        return Err(CaptureError::IsThread { tid: pid, pid: leader });
    }
    let via = living_thread(pid)?;
    let memory = proc::sizes(&if via == pid { status.clone() } else { proc::status(via).unwrap_or_default() });
    if !memory.contains_key("VmSize") {
        return Err(CaptureError::KernelThread(pid));
    }
    Ok(meta::Process {
        pid,
        inner_pid: proc::namespace_ids(&status).last().copied().filter(|inner| *inner != pid),
        command_line: proc::command_line(via),
        exe: proc::exe(via).map(|exe| exe.to_string_lossy().into_owned()),
        started_at: proc::started_at(pid),
        memory,
        rollup: proc::rollup(via),
    })
}

/// A thread that has not ended: the leader may have, before the others.
fn living_thread(pid: i32) -> Result<i32, CaptureError> {
    let lives = |tid: &i32| !matches!(proc::state(*tid), Some('Z' | 'X') | None);
    if lives(&pid) {
        return Ok(pid);
    }
    let tasks = proc::tasks(pid).map_err(|_| CaptureError::NoProcess(pid))?;
    tasks.into_iter().find(lives).ok_or(CaptureError::Zombie(pid))
}

fn write_staged(taken: &Taken, store: &Store, threads: usize, progress: &Progress) -> Result<(), CaptureError> {
    let Some((buffer, jobs)) = &taken.staged else { return Ok(()) };
    share(threads, jobs.iter(), || {
        let mut writer = store.writer();
        move |job: &Job| {
            progress.check()?;
            for piece in &job.pieces {
                let bytes = buffer.get(piece.at as usize..(piece.at + piece.len) as usize).unwrap_or_default();
                writer.write(piece.region, piece.start - taken.regions[piece.region].start, bytes)?;
            }
            progress.advance(job.len);
            Ok(())
        }
    })
}

/// The pages that are the files' own: written after the pause, from the files.
fn write_from_files(taken: &Taken, store: &Store, threads: usize, progress: &Progress) -> Result<(), CaptureError> {
    let jobs = pages::jobs(taken.regions.iter().map(|r| r.from_file.as_slice()).enumerate());
    share(threads, jobs.iter(), || {
        let mut writer = store.writer();
        let mut buffer = vec![0; pages::JOB as usize];
        move |job: &Job| {
            progress.check()?;
            for piece in &job.pieces {
                let region = &taken.regions[piece.region];
                let Some((file, offset)) = &region.file else { continue };
                let bytes = buffer.get_mut(..piece.len as usize).unwrap_or_default();
                let inner = piece.start - region.start;
                let got = read_up_to_end(file, bytes, offset + inner);
                bytes[got..].fill(0); // the last page of a file ends in zeros
                writer.write(piece.region, inner, bytes)?;
            }
            progress.advance(job.len);
            Ok(())
        }
    })
}

fn read_up_to_end(file: &std::fs::File, bytes: &mut [u8], offset: u64) -> usize {
    let mut got = 0;
    while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    got
}
