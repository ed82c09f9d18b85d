//! A live process → a snapshot: stop every thread, copy, let go, write.
//!
//! No code runs in the process and none of its memory is written; it stands still for the copy only and goes on
//! whatever happens to us. What the copied bytes mean is not known here. Nothing but this module touches another
//! process.

mod backing;
mod copy;
mod error;
mod pages;
mod plain;
mod proc;
mod python;
mod room;
mod threads;

pub use error::CaptureError;

use crate::progress::Progress;
use crate::snapshot::store::{Store, Stored, check_absent};
use crate::snapshot::stream::Packing;
use crate::snapshot::{Addr, Metadata, OpenError, Snapshot, meta};
use crate::sys::pagemap::Pagemap;
use backing::Backings;
use copy::share;
use pages::{Job, Region};
use plain::Taken;
use proc::Map;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

/// How to capture.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that copy and write.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        // more than four do not make copying faster: the memory bus is the limit
        Options { threads: std::thread::available_parallelism().map_or(1, |n| n.get()).min(4) }
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
        check_absent(path)?; // before the process is touched
    }
    let process = examine(pid)?;
    let via = living_thread(pid)?;
    let maps = proc::maps(via).map_err(|e| CaptureError::system(pid, "its memory map", e))?;
    if !python::seems_to_run(via, &maps) {
        let name = process.command_line.first().cloned().or(process.exe).unwrap_or_default();
        return Err(CaptureError::NotPython { pid, name: crate::text::sanitize(&name).into_owned() });
    }
    let backings = Backings::open(via, &maps);
    let survey = Survey::make(via, &maps, &backings);
    let needed = survey.bytes + survey.bytes / 16 + (16 << 20);
    let mut store = match &destination {
        Destination::Directory(path) => Store::directory(path, needed)?,
        Destination::Temporary => Store::temporary(needed)?,
        Destination::Stream { to, packing } => Store::stream(Box::new(to.clone()), *packing)?,
    };
    let threads = options.threads.max(1);
    let taken = plain::take(pid, survey.copied_bytes, &backings, &mut store, threads, progress)?;
    if taken.staged.is_some() {
        store.lay_out(taken.regions.iter().map(|r| (Addr(r.start), r.len())))?;
    }
    progress.begin(taken.regions.iter().map(Region::bytes).sum());
    let metadata = describe(process, taken.pause, &taken, &survey);
    store.announce(&metadata)?;
    write_staged(&taken, &store, threads, progress)?;
    write_from_files(&taken, &store, threads, progress)?;
    let stored = store.finish(Some(&metadata))?;
    Ok(Captured { metadata, pause: taken.pause, stored })
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
        inner_pid: proc::inner_pid(&status).filter(|inner| *inner != pid),
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

/// What is known before the process is stopped.
struct Survey {
    bytes: u64,
    copied_bytes: u64,
    /// Resident bytes of mappings that are not captured, by their ends.
    resident: BTreeMap<(u64, u64), u64>,
}

impl Survey {
    fn make(via: i32, maps: &[Map], backings: &Backings) -> Survey {
        let pagemap = Pagemap::open(via).ok();
        let mut survey = Survey { bytes: 0, copied_bytes: 0, resident: BTreeMap::new() };
        for (map, region) in maps.iter().zip(pages::plan(maps, backings, pagemap.as_ref())) {
            match region {
                Some(region) => {
                    survey.bytes += region.bytes();
                    survey.copied_bytes += region.copied_bytes();
                }
                None => {
                    if let Some(resident) = pages::resident(map, pagemap.as_ref()) {
                        survey.resident.insert((map.start, map.end), resident);
                    }
                }
            }
        }
        survey
    }
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

fn describe(process: meta::Process, pause: Duration, taken: &Taken, survey: &Survey) -> Metadata {
    let mapping = |(map, captured): (&Map, &Option<usize>)| {
        let mut mapping = meta::Mapping {
            start: Addr(map.start),
            end: Addr(map.end),
            permissions: map.permissions.clone(),
            offset: map.offset,
            file: map.name.as_ref().map(|name| name.to_string_lossy().into_owned()),
            resident_bytes: survey.resident.get(&(map.start, map.end)).copied(),
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
    Metadata {
        format: meta::FORMAT.into(),
        tool: concat!("pymem-tui ", env!("CARGO_PKG_VERSION")).into(),
        captured_at: Some(humantime::format_rfc3339_millis(taken.at).to_string()),
        mode: "plain".into(),
        pause_ms: Some((pause.as_secs_f64() * 1e6).round() / 1e3),
        bytes: taken.regions.iter().map(Region::bytes).sum(),
        pages_skipped: pages::skipped(&taken.regions),
        process,
        regions: taken.maps.iter().zip(&taken.captured).map(mapping).collect(),
        threads: taken.threads.clone(),
        unreadable: taken.unreadable.clone(),
        problems: taken.problems.clone(),
    }
}
