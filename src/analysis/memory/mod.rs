//! Where the resident memory went: every resident byte in one row, by what it is used for.
//!
//! The parts of allocators' memory come from [`heap::usage`](crate::heap::usage), all else from the list of mappings;
//! each byte of a mapping is in one of them, so the rows add up to the resident set by construction. What nothing
//! explains is a row of its own. Which memory is a problem is for the findings to say, in a sentence each.

mod findings;
mod kinds;
mod mappings;
mod places;
mod query;
mod sums;

pub use query::{FIELDS, Line, of_line};

use super::answers::{Footprint, MapPart, MapRow, MemoryRow, Share};
use crate::heap::Heap;
use crate::heap::usage::{Item, Usage};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Metadata, Residency, Snapshot, meta::Mapping};
use crate::text::{sanitize, size};
use kinds::{ALL, NAMES, ROWS, Row};
use mappings::Known;
use rayon::prelude::*;
use std::collections::HashSet;
use sums::{Adder, Amount, Part, Sums};

/// Shares of a row that are named; the rest is one share.
const MAX_SHARES: usize = 200;

/// Items that are walked at a time.
const BATCH: usize = 32;

/// Everything that is found, before it is put into words.
struct Found<'h> {
    heap: &'h Heap,
    usage: Usage<'h>,
    residency: Option<Residency>,
    metadata: Metadata,
    /// Files that hold program text.
    images: HashSet<String>,
    sums: Sums,
    /// By mapping: what of it is in which row.
    by_mapping: Vec<[u64; ROWS]>,
    /// By heap of malloc's, likewise.
    by_heap: Vec<[u64; ROWS]>,
    arenas: Vec<places::Arena>,
}

/// Where the memory went. Time is that of looking at every block once and at the structs of all objects; 24 bytes for
/// each block that an object owns.
pub fn memory(heap: &Heap, progress: &Progress) -> Result<Footprint, Cancelled> {
    let metadata = metadata_of(heap.snapshot());
    let residency = heap.snapshot().metadata().and_then(Residency::of);
    let usage = Usage::of(heap, progress)?;
    let mut sums = walk(heap, &usage, residency.as_ref(), progress)?;
    let arenas = places::arenas(&mut sums.pools, usage.arena_bytes());
    let by_mapping = vec![[0; ROWS]; metadata.regions.len()];
    let by_heap = vec![[0; ROWS]; usage.heaps().len()];
    let images = images(&metadata);
    let mut found = Found { heap, usage, residency, metadata, images, sums, by_mapping, by_heap, arenas };
    found.items_by_mapping();
    found.rest();
    Ok(found.answer())
}

/// What the kernel said; without it, the captured regions as anonymous mappings of unknown residency.
fn metadata_of(snapshot: &Snapshot) -> Metadata {
    snapshot.metadata().filter(|m| !m.regions.is_empty()).cloned().unwrap_or_else(|| Metadata {
        regions: snapshot
            .regions()
            .iter()
            .map(|r| Mapping {
                start: r.start,
                end: r.end,
                permissions: r.permissions.clone().unwrap_or_else(|| "rw-p".into()),
                file: r.file.clone(),
                captured: true,
                ..Mapping::default()
            })
            .collect(),
        ..Metadata::default()
    })
}

fn images(metadata: &Metadata) -> HashSet<String> {
    let executable = |m: &&Mapping| m.permissions.as_bytes().get(2) == Some(&b'x');
    metadata.regions.iter().filter(executable).filter_map(|m| m.file.clone()).collect()
}

fn walk(heap: &Heap, usage: &Usage<'_>, residency: Option<&Residency>, progress: &Progress) -> Result<Sums, Cancelled> {
    progress.begin(usage.items().iter().map(|i| i.end.0 - i.start.0).sum());
    let parts: Result<Vec<Sums>, Cancelled> = usage
        .items()
        .par_chunks(BATCH)
        .map(|items| {
            let memory = heap.memory();
            let mut adder = Adder::new(heap, residency.map(Residency::cursor));
            for item in items {
                progress.check()?;
                adder.begin(item);
                usage.walk(item, &memory, &mut adder);
                adder.end();
                progress.advance(item.end.0 - item.start.0);
            }
            Ok(adder.sums)
        })
        .collect();
    let mut all = Sums::default();
    parts?.into_iter().for_each(|part| all.merge(part));
    Ok(all)
}

impl Found<'_> {
    fn mapping_of(&self, addr: Addr) -> Option<usize> {
        let i = self.metadata.regions.partition_point(|m| m.start <= addr).checked_sub(1)?;
        self.metadata.regions.get(i).filter(|m| addr < m.end).map(|_| i)
    }

    /// Resident bytes of a range, or its length where residency is not known.
    fn weight(&self, start: Addr, end: Addr) -> u64 {
        self.residency.as_ref().map_or(end.0.saturating_sub(start.0), |r| r.between(start, end))
    }

    fn items_by_mapping(&mut self) {
        let items = std::mem::take(&mut self.sums.items);
        for (item, rows) in self.usage.items().iter().zip(items) {
            let mapping = self.mapping_of(item.start).and_then(|i| self.by_mapping.get_mut(i));
            let heap = item.heap.and_then(|i| self.by_heap.get_mut(i));
            for place in mapping.into_iter().chain(heap) {
                place.iter_mut().zip(rows).for_each(|(sum, here)| *sum = sum.saturating_add(here));
            }
        }
    }

    /// What no item explains: by its mapping.
    fn rest(&mut self) {
        let known = self.known();
        let left = without(self.usage.items(), std::mem::take(&mut self.sums.left));
        let mut next = 0;
        for i in 0..self.metadata.regions.len() {
            let Some(mapping) = self.metadata.regions.get(i) else { break };
            let (start, end, captured) = (mapping.start, mapping.end, mapping.captured);
            let default = mappings::row(&self.metadata, i, &self.images);
            if !captured {
                // the pages of the kernel's clock are in no resident set
                let resident = if default == Row::Special { 0 } else { mapping.resident_bytes.unwrap_or(0) };
                let bytes = end.0.saturating_sub(start.0);
                self.put(default, i, Amount { count: 1, resident, bytes });
                continue;
            }
            while left.get(next).is_some_and(|(_, to)| *to <= start) {
                next += 1;
            }
            let here = left.get(next..).unwrap_or(&[]).iter().take_while(|(from, _)| *from < end);
            for (from, to) in here.map(|(from, to)| ((*from).max(start), (*to).min(end))).collect::<Vec<_>>() {
                self.split(default, i, from, to, &known);
            }
        }
    }

    /// Cuts a range of a mapping where something known lies in it.
    fn split(&mut self, default: Row, i: usize, from: Addr, to: Addr, known: &[Known]) {
        let mut at = from;
        let first = known.partition_point(|k| k.end <= from);
        for k in known[first..].iter().take_while(|k| k.start < to) {
            self.range(default, i, at, k.start.max(at));
            self.range(k.row, i, k.start.max(at), k.end.min(to));
            at = k.end.min(to);
        }
        self.range(default, i, at, to);
    }

    fn range(&mut self, row: Row, i: usize, from: Addr, to: Addr) {
        if from < to {
            let resident = self.residency.as_ref().map_or(0, |r| r.between(from, to));
            self.put(row, i, Amount { count: 1, resident, bytes: to.0 - from.0 });
        }
    }

    fn put(&mut self, row: Row, i: usize, amount: Amount) {
        self.sums.add(row, Some(Part::Mapping(i)), amount);
        if let Some(sum) = self.by_mapping.get_mut(i).and_then(|m| m.get_mut(row as usize)) {
            *sum = sum.saturating_add(if self.residency.is_some() { amount.resident } else { amount.bytes });
        }
    }

    /// Stacks, and what is left of arenas.
    fn known(&self) -> Vec<Known> {
        let memory = self.heap.memory();
        let stacks = self.metadata.threads.iter().filter_map(|t| mappings::stack_of(&memory.reader, t));
        let stacks = stacks.map(|(start, end)| Known { start, end, row: Row::Stacks });
        let arena = |a: &places::Arena| Known { start: a.start, end: a.end, row: Row::EmptyPymalloc };
        mappings::settle(stacks.chain(self.arenas.iter().map(arena)).collect())
    }

    fn told(&self, bytes: u64) -> Option<u64> {
        self.residency.is_some().then_some(bytes)
    }

    fn answer(self) -> Footprint {
        let rows = self.rows();
        let mut problems = Vec::new();
        if self.residency.is_none() {
            problems.push(
                "this snapshot does not say which pages were resident: sizes are those of the address space".to_owned(),
            );
        }
        let process = &self.metadata.process;
        let of = |map: &std::collections::BTreeMap<String, u64>, name: &str| map.get(name).copied();
        let shared = of(&process.rollup, "Shared_Clean").zip(of(&process.rollup, "Shared_Dirty"));
        let mut answer = Footprint {
            resident_bytes: self.told(rows.iter().filter_map(|r| r.resident_bytes).fold(0, u64::saturating_add)),
            rss_before_stop: of(&process.memory, "VmRSS"),
            pss_bytes: of(&process.rollup, "Pss"),
            shared_bytes: shared.map(|(clean, dirty)| clean.saturating_add(dirty)),
            swap_bytes: of(&process.memory, "VmSwap"),
            page_tables_bytes: of(&process.memory, "VmPTE"),
            findings: Vec::new(),
            arenas: self.arena_rows(),
            heaps: self.heap_rows(),
            large: self.large_rows(),
            regions: self.map_rows(),
            rows,
            problems,
        };
        answer.findings = findings::findings(&answer, of(&process.rollup, "Shared_Dirty"));
        answer
    }

    fn rows(&self) -> Vec<MemoryRow> {
        let mut rows: Vec<MemoryRow> = ALL
            .into_iter()
            .filter_map(|row| {
                let sum = self.sums.rows[row as usize];
                (sum.bytes > 0 || sum.resident > 0).then(|| self.row(row, sum))
            })
            .collect();
        rows.sort_by_key(|r| std::cmp::Reverse(r.resident_bytes.unwrap_or(r.bytes)));
        rows
    }

    fn row(&self, row: Row, sum: Amount) -> MemoryRow {
        let own = self.sums.parts.iter().filter(|((r, _), _)| *r == row as u8);
        let mut named: std::collections::BTreeMap<String, Amount> = Default::default();
        for ((_, part), amount) in own {
            named.entry(self.part_name(*part)).or_default().add(*amount);
        }
        let order = |a: &Amount| (a.resident, a.bytes);
        let mut shares: Vec<(String, Amount)> = named.into_iter().collect();
        shares.sort_by(|a, b| order(&b.1).cmp(&order(&a.1)).then_with(|| a.0.cmp(&b.0)));
        let mut rest = Amount::default();
        shares.drain(MAX_SHARES.min(shares.len())..).for_each(|(_, amount)| rest.add(amount));
        let told = |a: Amount| if self.residency.is_some() { a.resident } else { a.bytes };
        let most = shares.iter().take(3).filter(|(_, a)| told(*a).saturating_mul(20) >= told(sum));
        let detail: Vec<String> = most.map(|(name, a)| format!("{name} {}", size(told(*a)))).collect();
        if !shares.is_empty() {
            let in_parts = shares.iter().fold(rest, |mut all, (_, a)| {
                all.add(*a);
                all
            });
            // blocks of pools that were never handed out have a class, others may not
            rest.bytes += sum.bytes.saturating_sub(in_parts.bytes);
            rest.resident += sum.resident.saturating_sub(in_parts.resident);
            rest.count += sum.count.saturating_sub(in_parts.count);
            if rest != Amount::default() {
                shares.push(("others".into(), rest));
            }
        }
        let share = |(name, a): (String, Amount)| Share {
            name,
            count: a.count,
            resident_bytes: self.told(a.resident),
            bytes: a.bytes,
        };
        let (kind, label) = NAMES[row as usize];
        MemoryRow {
            kind,
            label,
            resident_bytes: self.told(sum.resident),
            bytes: sum.bytes,
            count: sum.count,
            detail: detail.join(", "),
            parts: shares.into_iter().map(share).collect(),
        }
    }

    fn part_name(&self, part: Part) -> String {
        match part {
            Part::Type(id) => self.heap.types().get(id).name.clone(),
            Part::Class(bytes) => format!("blocks of {bytes} B"),
            Part::Mapping(i) => {
                let file = self.metadata.regions.get(i).and_then(|m| m.file.as_deref());
                let file = file.or_else(|| mappings::zeroed_data_of(&self.metadata, i, &self.images));
                match (file, self.metadata.regions.get(i)) {
                    (Some(file), _) => sanitize(file).into_owned(),
                    (None, Some(m)) => format!("{}-{}", m.start, m.end),
                    (None, None) => String::new(),
                }
            }
        }
    }

    fn map_rows(&self) -> Vec<MapRow> {
        let row = |(mapping, sums): (&Mapping, &[u64; ROWS])| {
            let part = |(row, bytes): (Row, &u64)| MapPart { kind: row.kind(), bytes: *bytes };
            let mut parts: Vec<MapPart> = ALL.into_iter().zip(sums).map(part).filter(|p| p.bytes > 0).collect();
            parts.sort_by_key(|p| std::cmp::Reverse(p.bytes));
            MapRow {
                start: mapping.start,
                end: mapping.end,
                resident_bytes: self.told(sums.iter().copied().fold(0, u64::saturating_add)),
                file: mapping.file.as_deref().map(|f| sanitize(f).into_owned()),
                kind: parts.first().map_or("", |p| p.kind),
                parts,
            }
        };
        self.metadata.regions.iter().zip(&self.by_mapping).map(row).collect()
    }
}

/// All address ranges that are in no item, with those of items that are told to be left. Sorted.
fn without(items: &[Item], mut left: Vec<(Addr, Addr)>) -> Vec<(Addr, Addr)> {
    let mut at = Addr::NULL;
    for item in items {
        if at < item.start {
            left.push((at, item.start));
        }
        at = item.end;
    }
    left.push((at, Addr(u64::MAX)));
    left.sort_unstable();
    left
}
