//! Which pages of which mappings go into a snapshot.
//!
//! Pages that were never touched are not read: reading would make the kernel create them. What is found here is a
//! plan, made once on the running process to know its size, and again while it stands still; nothing is copied.

use super::backing::{Backings, Source};
use super::proc::Map;
use super::survey::FilePlan;
use crate::sys::pagemap::{PAGE, Pagemap};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// What is to be copied of one mapping.
pub(super) struct Region {
    pub start: u64,
    pub end: u64,
    /// From the process, while it stands still.
    pub copy: Vec<Range<u64>>,
    /// From the file behind it, later, with the file's offset of `start`.
    pub file: Option<(Arc<File>, u64)>,
    pub from_file: Vec<Range<u64>>,
    /// What is in memory; `None` when the kernel would not say.
    pub resident: Option<Vec<Range<u64>>>,
}

impl Region {
    pub(super) fn bytes(&self) -> u64 {
        self.copied_bytes() + size(&self.from_file)
    }

    pub(super) fn copied_bytes(&self) -> u64 {
        size(&self.copy)
    }

    /// Adds what was in memory of the mapped file before a fork, whose page tables do not tell.
    pub(super) fn add_file_pages(&mut self, before: &FilePlan) {
        self.copy = union(&self.copy, &before.copy);
        let from_file = union(&self.from_file, &before.from_file);
        let rest = |range: &Range<u64>| {
            let inside = |hole: &Range<u64>| hole.start.max(range.start)..hole.end.min(range.end);
            let first = self.copy.partition_point(|hole| hole.end <= range.start);
            let holes = self.copy.iter().skip(first).take_while(|hole| hole.start < range.end);
            without(range, &holes.map(inside).collect::<Vec<_>>())
        };
        self.from_file = from_file.iter().flat_map(rest).collect();
        self.resident = before.resident.clone();
    }

    /// Whether the snapshot gets this mapping (a mapping without a touched page too: it reads as zeros).
    pub(super) fn len(&self) -> u64 {
        self.end - self.start
    }
}

fn size(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|r| r.end - r.start).sum()
}

/// A plan for the mappings that are captured, in the order of `maps`; `None` for those that are left out.
pub(super) fn plan(maps: &[Map], backings: &Backings, pagemap: Option<&Pagemap>) -> Vec<Option<Region>> {
    let sources = backings.sources(maps);
    maps.iter().zip(sources).map(|(map, source)| plan_one(map, source, pagemap)).collect()
}

/// Gives those that are captured their place: where each plan went, and the regions.
pub(super) fn place(plans: Vec<Option<Region>>) -> (Vec<Option<usize>>, Vec<Region>) {
    let mut captured = Vec::with_capacity(plans.len());
    let mut regions = Vec::new();
    for region in plans {
        captured.push(region.as_ref().map(|_| regions.len()));
        regions.extend(region);
    }
    (captured, regions)
}

fn plan_one(map: &Map, source: Source, pagemap: Option<&Pagemap>) -> Option<Region> {
    if matches!(source, Source::Skip) || map.end <= map.start {
        return None;
    }
    let all = map.start..map.end;
    let mut region =
        Region { start: map.start, end: map.end, copy: Vec::new(), file: None, from_file: Vec::new(), resident: None };
    let mut resident = Vec::new();
    let known = pagemap.is_some_and(|pagemap| {
        let runs = pagemap.runs(map.start, map.end, |run, pages| {
            if pages.present && !pages.zero {
                push(&mut resident, run.clone());
            }
            match &source {
                Source::Anonymous if pages.zero => {}
                Source::File { .. } if pages.file => push(&mut region.from_file, run),
                _ => push(&mut region.copy, run),
            }
        });
        runs.is_ok()
    });
    region.resident = known.then_some(resident);
    match source {
        Source::File { file, whole } if known => {
            if whole {
                region.from_file = without(&all, &region.copy);
            }
            region.file = Some((file, map.offset));
        }
        // which pages are the process's own is not known, or there is no file to have the others from
        Source::Gone { whole: false } if known => {}
        Source::Gone { .. } | Source::File { .. } => region.copy = vec![all],
        Source::Anonymous if !known => region.copy = vec![all],
        Source::Anonymous | Source::Skip => {}
    }
    Some(region)
}

/// Resident bytes of a mapping that is not captured.
pub(super) fn resident(map: &Map, pagemap: Option<&Pagemap>) -> Option<u64> {
    let mut resident = 0;
    let count = |run: Range<u64>, pages: crate::sys::pagemap::Pages| {
        resident += if pages.present && !pages.zero { run.end - run.start } else { 0 };
    };
    pagemap?.runs(map.start, map.end, count).ok()?;
    Some(resident)
}

fn push(ranges: &mut Vec<Range<u64>>, next: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

/// Everything that is in `a` or `b`, which are in order.
fn union(a: &[Range<u64>], b: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut all: Vec<_> = a.iter().chain(b).cloned().collect();
    all.sort_by_key(|r| r.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for next in all {
        match joined.last_mut() {
            Some(last) if next.start <= last.end => last.end = last.end.max(next.end),
            _ => joined.push(next),
        }
    }
    joined
}

/// `all` without `holes`, which are in order and within it.
fn without(all: &Range<u64>, holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    let mut at = all.start;
    for hole in holes {
        if hole.start > at {
            rest.push(at..hole.start);
        }
        at = at.max(hole.end);
    }
    if at < all.end {
        rest.push(at..all.end);
    }
    rest
}

/// A run of pages of one region, and where it lies among all that is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub region: usize,
    pub start: u64,
    pub len: u64,
    pub at: u64,
}

/// Pieces that are read in one go: at most [`JOB`] bytes.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub pieces: Vec<Piece>,
    pub at: u64,
    pub len: u64,
}

/// Large enough that a system call's price vanishes, small enough for the cache and for a prompt cancellation.
pub(super) const JOB: u64 = 2 << 20;

/// `process_vm_readv` takes 1024 ranges.
const PIECES: usize = 1024;

/// Cuts ranges, given by region, into jobs that follow each other without gaps.
pub(super) fn jobs<'r>(ranges: impl Iterator<Item = (usize, &'r [Range<u64>])>) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut at = 0;
    for (region, ranges) in ranges {
        for range in ranges {
            let mut start = range.start;
            while start < range.end {
                let room = jobs.last().filter(|j| j.pieces.len() < PIECES).map_or(0, |j| JOB - j.len);
                let len = (range.end - start).min(if room == 0 { JOB } else { room });
                let piece = Piece { region, start, len, at };
                match jobs.last_mut().filter(|_| room > 0) {
                    Some(job) => {
                        job.pieces.push(piece);
                        job.len += len;
                    }
                    None => jobs.push(Job { pieces: vec![piece], at, len }),
                }
                start += len;
                at += len;
            }
        }
    }
    jobs
}

/// Pages that the snapshot holds as holes.
pub(super) fn skipped(regions: &[Region]) -> u64 {
    regions.iter().map(|r| (r.len() - r.bytes().min(r.len())) / PAGE).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_comes_from_the_file() {
        assert_eq!(without(&(0..100), &[0..10, 40..50]), [10..40, 50..100]);
        assert_eq!(without(&(0..100), std::slice::from_ref(&(90..100))), std::slice::from_ref(&(0..90)));
        assert_eq!(without(&(0..100), &[]), std::slice::from_ref(&(0..100)));
    }

    #[test]
    fn jobs_follow_each_other_and_cover_everything() {
        let small: Vec<_> = (0..3000u64).map(|i| i * 8192..i * 8192 + 4096).collect();
        let large = (1 << 40)..(1 << 40) + 3 * JOB + 4096;
        let jobs = jobs([(0, small.as_slice()), (7, std::slice::from_ref(&large))].into_iter());
        let mut at = 0;
        for job in &jobs {
            assert_eq!(job.at, at);
            assert!(job.len <= JOB && job.pieces.len() <= PIECES);
            for piece in &job.pieces {
                assert_eq!(piece.at, at);
                at += piece.len;
            }
            assert_eq!(job.at + job.len, at);
        }
        assert_eq!(at, 3000 * 4096 + 3 * JOB + 4096);
        assert_eq!(jobs.last().unwrap().pieces.last().unwrap().region, 7);
    }
}
