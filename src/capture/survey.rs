//! What is known of a process before it is stopped: how much there is to copy, and how long that is going to take.
//!
//! The process runs meanwhile, so this is an estimate, but for what does not change while it runs. Nothing is stopped
//! and no memory is read; the speed of copying is measured on memory of our own.

use super::backing::Backings;
use super::copy::{Memory, parts, share};
use super::pages::{self, Region};
use super::proc::Map;
use super::room;
use crate::sys::pagemap::Pagemap;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// What is known before the process is stopped.
pub(super) struct Survey {
    /// Bytes that the snapshot is going to hold.
    pub bytes: u64,
    /// Those of them that are copied from the process.
    pub copied_bytes: u64,
    /// Resident bytes of mappings that are not captured, by their ends.
    pub resident: BTreeMap<(u64, u64), u64>,
    /// The plan of every file mapping that is captured, likewise.
    pub files: BTreeMap<(u64, u64), FilePlan>,
    /// How long it took to ask which pages there are, which a plain capture asks again in the pause: 0.4 s of a process
    /// with page tables for 100 GB, however little is in them.
    planning: Duration,
    /// Threads.
    pub threads: usize,
    /// Much of the memory is shared with other processes by copy-on-write, as a prefork server's workers are.
    /// `process_vm_readv` pins pages, and to pin a shared one recent kernels (seen on 6.1 and 6.18) copy it first: the
    /// process would grow by what we read.
    pub shares: bool,
}

/// What is in memory of a mapped file.
pub(super) struct FilePlan {
    pub copy: Vec<Range<u64>>,
    pub from_file: Vec<Range<u64>>,
    pub resident: Option<Vec<Range<u64>>>,
}

impl Survey {
    pub(super) fn make(via: i32, maps: &[Map], backings: &Backings, rollup: &BTreeMap<String, u64>) -> Survey {
        let pagemap = Pagemap::open(via).ok();
        let of = |name| rollup.get(name).copied().unwrap_or(0);
        let mut survey = Survey {
            bytes: 0,
            copied_bytes: 0,
            resident: BTreeMap::new(),
            files: BTreeMap::new(),
            planning: Duration::ZERO,
            threads: super::proc::tasks(via).map_or(1, |tasks| tasks.len()),
            shares: of("Shared_Dirty") > of("Rss") / 50,
        };
        let begin = Instant::now();
        let plan = pages::plan(maps, backings, pagemap.as_ref());
        survey.planning = begin.elapsed();
        for (map, region) in maps.iter().zip(plan) {
            match region {
                Some(region) => survey.add(map, region),
                None => {
                    if let Some(resident) = pages::resident(map, pagemap.as_ref()) {
                        survey.resident.insert((map.start, map.end), resident);
                    }
                }
            }
        }
        survey
    }

    fn add(&mut self, map: &Map, region: Region) {
        self.bytes += region.bytes();
        self.copied_bytes += region.copied_bytes();
        if map.is_file() {
            let plan = FilePlan { copy: region.copy, from_file: region.from_file, resident: region.resident };
            self.files.insert((map.start, map.end), plan);
        }
    }

    /// How long a plain capture is going to stop the process.
    pub(super) fn plain_pause(&self, threads: usize, budget: u64) -> Duration {
        let copy = self.copied_bytes as f64 / copy_rate(self.copied_bytes, threads);
        // straight to disk when it does not fit into memory: two to three times as long as long as the page cache
        // takes it, and nobody knows after that
        let factor = if self.copied_bytes > budget { 3.0 } else { 1.0 };
        self.stop() + self.planning + Duration::from_secs_f64(copy * factor)
    }

    /// How long a fork is going to, with `aside` bytes that must be copied in the pause.
    pub(super) fn fork_pause(&self, aside: u64) -> Duration {
        let seconds = self.copied_bytes as f64 * FORK + aside as f64 / SLOW;
        self.stop() + INJECTION + Duration::from_secs_f64(seconds)
    }

    /// Stopping and letting go.
    fn stop(&self) -> Duration {
        Duration::from_micros(500 + 20 * self.threads as u64)
    }
}

/// Seconds that the kernel needs for the page tables of a byte in small pages: 8 to 20 ms for a GB were seen.
const FORK: f64 = 15e-3 / (1u64 << 30) as f64;

/// The calls that are made in the process, beside the clone itself.
const INJECTION: Duration = Duration::from_millis(2);

/// Bytes a second that any machine copies.
const SLOW: f64 = 3e9;

/// Bytes a second that `threads` threads copy from process to process.
fn copy_rate(bytes: u64, threads: usize) -> f64 {
    const SAMPLE: u64 = 64 << 20; // more than caches hold
    if bytes < SAMPLE {
        return SLOW;
    }
    let measure = || {
        // small pages, as a heap has them, each with something in it
        let mut from = room::reserved(SAMPLE as usize).ok()?;
        let _ = from.advise(memmap2::Advice::NoHugePage);
        from.iter_mut().step_by(4096).for_each(|b| *b = 1);
        let mut into = room::prefaulted(SAMPLE).ok()?;
        let start = from.as_ptr() as u64;
        let all = start..start + SAMPLE;
        let jobs = pages::jobs([(0, std::slice::from_ref(&all))].into_iter());
        let ours = std::process::id() as i32;
        let memory = Memory::new(ours, ours);
        let begin = Instant::now();
        share(threads, parts(&jobs, &mut into), || |(job, into): (&pages::Job, &mut [u8])| memory.read(job, into))
            .ok()?;
        Some(SAMPLE as f64 / begin.elapsed().as_secs_f64().max(1e-6))
    };
    measure().unwrap_or(SLOW)
}
