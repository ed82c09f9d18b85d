//! The commands about raw memory: `regions`, `hex`, `find`.

use super::ask::Asked;
use super::{ask, print, report_options, source};
use crate::analysis::answers::{Found, Hit, RegionRow, Regions};
use crate::analysis::query::lists::{HIT_FIELDS, REGION_FIELDS, of_hit, of_region};
use crate::analysis::query::{Expr, parse};
use crate::analysis::{info, raw};
use crate::cli;
use crate::cli::{Common, Source};
use crate::snapshot::{Addr, Region, Snapshot, find_bytes};
use crate::text::sanitize;
use anyhow::bail;
use std::collections::HashSet;

/// Bytes shown on each side of a hit.
const CONTEXT: u64 = 24;

/// Hits that are looked at together, when not all are meant.
const HITS_AT_A_TIME: usize = 4096;

/// More than a person looks at, less than memory holds.
const MAX_HEX: u64 = 64 << 20;

pub(super) fn regions(source: &Source, all: bool, query: Option<&str>, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(query, |text| parse(text, REGION_FIELDS))?;
    let snapshot = source::open(source, common)?;
    let problems = snapshot.problems().to_vec();
    let mut answer = list(&snapshot, all);
    if let Some(query) = query {
        answer.regions.retain(|row| query.matches(&|field| of_region(row, field)));
    }
    print(answer, &info::info(&snapshot, None), &problems, common)
}

pub(super) fn list(snapshot: &Snapshot, all: bool) -> Regions {
    let mappings = snapshot.metadata().map_or(&[][..], |m| &m.regions);
    let executable = |m: &&crate::snapshot::meta::Mapping| m.permissions.as_bytes().get(2) == Some(&b'x');
    let images: HashSet<&str> = mappings.iter().filter(executable).filter_map(|m| m.file.as_deref()).collect();
    let clean = |text: &Option<String>| text.as_deref().map(|t| sanitize(t).into_owned());
    let mut rows: Vec<RegionRow> = snapshot
        .regions()
        .iter()
        .map(|r| RegionRow {
            start: r.start,
            end: r.end,
            bytes: r.len(),
            resident_bytes: r.resident_bytes,
            permissions: clean(&r.permissions),
            file: clean(&r.file),
            kind: kind(r.permissions.as_deref(), r.file.as_deref(), &images),
            captured: true,
        })
        .collect();
    if all {
        rows.extend(mappings.iter().filter(|m| !m.captured).map(|m| RegionRow {
            start: m.start,
            end: m.end,
            bytes: m.end.0.saturating_sub(m.start.0),
            resident_bytes: m.resident_bytes,
            permissions: Some(sanitize(&m.permissions).into_owned()),
            file: clean(&m.file),
            kind: kind(Some(&m.permissions), m.file.as_deref(), &images),
            captured: false,
        }));
        rows.sort_by_key(|r| r.start);
    }
    Regions { regions: rows }
}

fn kind(permissions: Option<&str>, file: Option<&str>, images: &HashSet<&str>) -> &'static str {
    let Some(permissions) = permissions else { return "unknown" };
    match file {
        _ if permissions.ends_with('s') => "shared",
        None => "anonymous",
        Some("[heap]") => "heap",
        Some("[stack]") => "stack",
        Some(name) if name.starts_with("[anon") => "anonymous",
        Some(name) if name.starts_with('[') => "special",
        Some(name) if images.contains(name) => "image",
        Some(_) => "file",
    }
}

pub(super) fn hex(args: &cli::Hex, common: &Common) -> anyhow::Result<()> {
    if args.length > MAX_HEX {
        bail!("--length is at most {MAX_HEX}; a region file of the snapshot holds the bytes as they are");
    }
    let snapshot = source::open(&args.at.source, common)?;
    let address = args.at.address;
    let start = Addr(address.0.saturating_sub(args.before));
    let Some(mut hex) = raw::hex(&snapshot, address, start, args.length.saturating_add(address.0 - start.0)) else {
        bail!("{address} is not in the snapshot; `pymem-tui regions` lists what is");
    };
    let (asked, info, problems) = ask::raw(snapshot, common);
    if let Some(asked) = asked {
        ask::name_words(&asked, &mut hex);
    }
    print(hex, &info, &problems, common)
}

pub(super) fn find(args: &cli::Find, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), |text| parse(text, HIT_FIELDS))?;
    let snapshot = source::open(&args.source, common)?;
    let rows = report_options(common).rows().unwrap_or(u64::MAX);
    let Some(query) = query else {
        let mut found = search(&snapshot, &args.pattern, rows);
        let (asked, info, problems) = ask::raw(snapshot, common);
        if let Some(asked) = asked {
            ask::name_hits(&asked, &mut found.hits);
        }
        return print(found, &info, &problems, common);
    };
    let asked = ask::heap(snapshot, common)?;
    let found = search_where(&asked, &args.pattern, &query, rows);
    print(found, &asked.info, &asked.problems, common)
}

/// Every occurrence, overlapping ones too; the first `rows` of them in full.
fn search(snapshot: &Snapshot, pattern: &[u8], rows: u64) -> Found {
    let mut found = Found::default();
    occurrences(snapshot, pattern, &mut |region, address| {
        found.total += 1;
        if found.hits.len() as u64 >= rows {
            return;
        }
        found.hits.push(hit(snapshot, region, address, pattern.len()));
    });
    found
}

/// The same of those that a query means. A few at a time: a byte may occur more often than there is room to describe.
fn search_where(asked: &Asked, pattern: &[u8], query: &Expr, rows: u64) -> Found {
    let snapshot = asked.heap.snapshot();
    let mut found = Found::default();
    let mut batch = Vec::with_capacity(HITS_AT_A_TIME);
    let mut sift = |batch: &mut Vec<Hit>| {
        ask::name_hits(asked, batch);
        for row in batch.drain(..).filter(|row| query.matches(&|field| of_hit(row, field))) {
            found.total += 1;
            if found.hits.len() as u64 >= rows {
                continue;
            }
            found.hits.push(row);
        }
    };
    occurrences(snapshot, pattern, &mut |region, address| {
        batch.push(hit(snapshot, region, address, pattern.len()));
        if batch.len() == HITS_AT_A_TIME {
            sift(&mut batch);
        }
    });
    sift(&mut batch);
    found
}

/// Calls `each` for every occurrence, overlapping ones too, and across regions that touch.
fn occurrences(snapshot: &Snapshot, pattern: &[u8], each: &mut dyn FnMut(&Region, Addr)) {
    let reader = snapshot.reader();
    for region in snapshot.regions() {
        for (base, bytes) in searched(region, pattern.len()) {
            let mut from = 0;
            while let Some(at) = bytes.get(from..).and_then(|rest| find_bytes(rest, pattern)) {
                each(region, base + (from + at) as u64);
                from += at + 1;
            }
        }
        // what begins here and ends in the region after it
        let overlap = pattern.len() as u64 - 1;
        let from = Addr(region.end.0.saturating_sub(overlap)).max(region.start);
        let mut seam = Vec::new();
        for (_, piece) in reader.chunks(from, (region.end.0 - from.0) + overlap) {
            seam.extend_from_slice(piece);
        }
        let windows = seam.windows(pattern.len()).enumerate().filter(|(_, w)| *w == pattern);
        for (at, _) in windows.filter(|(at, _)| from + (*at + pattern.len()) as u64 > region.end) {
            if from + (at as u64) < region.end {
                each(region, from + at as u64);
            }
        }
    }
}

/// The parts of a region that can hold `pattern`: its data, and as many zeros of the holes around as it is long.
fn searched(region: &Region, pattern: usize) -> Vec<(Addr, &[u8])> {
    let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
    for extent in region.extents() {
        let start = extent.start.saturating_sub(pattern as u64);
        let end = (extent.end + pattern as u64).min(region.len());
        match ranges.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    let bytes = |r: std::ops::Range<u64>| {
        (region.start + r.start, region.bytes().get(r.start as usize..r.end as usize).unwrap_or(&[]))
    };
    ranges.into_iter().map(bytes).collect()
}

fn hit(snapshot: &Snapshot, region: &Region, address: Addr, len: usize) -> Hit {
    let start = Addr(address.0.saturating_sub(CONTEXT)).max(region.start);
    let wanted = (address.0 - start.0) + len.min(256) as u64 + CONTEXT;
    let bytes: Vec<u8> = snapshot.reader().chunks(start, wanted).flat_map(|(_, b)| b.iter().copied()).collect();
    // runs of what is no text say nothing: one dot each
    let mut summary = String::new();
    for c in String::from_utf8_lossy(&bytes).chars() {
        match c {
            '\0' | char::REPLACEMENT_CHARACTER | '.' => summary.push_str(if summary.ends_with('.') { "" } else { "." }),
            c => crate::text::push_escaped(&mut summary, c),
        }
    }
    Hit {
        address,
        region: region.start,
        file: region.file.as_deref().map(|f| sanitize(f).into_owned()),
        object: None,
        type_name: None,
        summary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut first = vec![0; 0x1000];
        first[0x10..0x15].copy_from_slice(b"needl");
        first[0x20..0x27].copy_from_slice(b"aaaneed");
        first[0xffd..].copy_from_slice(b"nee");
        Snapshot::from_memory(vec![(Addr(0x1000), first), (Addr(0x2000), b"dle needle\x1b[31m".to_vec())], None)
    }

    #[test]
    fn every_occurrence_is_found_across_regions_that_touch() {
        let found = search(&snapshot(), b"needle", 10);
        let at: Vec<_> = found.hits.iter().map(|h| h.address.0).collect();
        assert_eq!(at, [0x1ffd, 0x2004]);
        assert!(!found.hits[1].summary.contains('\x1b'), "{}", found.hits[1].summary);
        let overlapping = search(&snapshot(), b"aa", 1);
        assert_eq!((overlapping.total, overlapping.hits.len()), (2, 1));
    }
}
