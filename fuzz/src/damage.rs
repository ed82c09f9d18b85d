//! Damage to the memory of a real interpreter, and every question there is about what is left.

#![allow(dead_code)] // each user takes its part

use pymem_tui::analysis::answers::Direction;
use pymem_tui::analysis::query::ListQuery;
use pymem_tui::analysis::{
    audit, detail, garbage, info, leaks, links, memory, paths, raw, retained, strings, tasks, threads, types, waste,
};
use pymem_tui::cpython::layout;
use pymem_tui::heap::dominators::Node;
use pymem_tui::heap::{Heap, ObjectId};
use pymem_tui::progress::{Cancelled, Progress};
use pymem_tui::snapshot::{Addr, Metadata, Region, Snapshot};
use std::ops::Range;
use std::sync::Arc;

/// The memory of an interpreter, and where its objects and types are.
pub struct Memory {
    pub name: String,
    pub pieces: Vec<(Addr, Vec<u8>)>,
    pub metadata: Option<Metadata>,
    pub objects: Vec<Addr>,
    pub types: Vec<Addr>,
    /// Its version and the text of the layout table for it.
    pub table: Option<(&'static str, &'static str)>,
}

impl Memory {
    pub fn of(snapshot: Snapshot, name: &str) -> Result<Memory, String> {
        let snapshot = Arc::new(snapshot);
        let pieces = snapshot.regions().iter().flat_map(without_holes).collect();
        let metadata = snapshot.metadata().cloned();
        let heap = Heap::index(snapshot, &Progress::default()).map_err(|e| e.to_string())?;
        let objects = heap.objects().iter().map(|(_, addr, _)| addr).collect();
        let types = heap.types().iter().map(|(_, ty)| ty.address).collect();
        let version = heap.interpreter().layout.version.as_str();
        let table = layout::table_text(version).map(|text| (version, text));
        Ok(Memory { name: name.to_owned(), pieces, metadata, objects, types, table })
    }

    /// A copy with damage, and the addresses that are worth a look.
    pub fn damaged(&self, damages: &[Damage]) -> (Snapshot, Vec<Addr>) {
        let mut pieces = self.pieces.clone();
        let mut metadata = self.metadata.clone();
        let worth_a_look = damages.iter().filter_map(|damage| apply(self, &mut pieces, damage)).collect();
        if let Some(metadata) = &mut metadata {
            damages.iter().for_each(|damage| tell_otherwise(self, metadata, damage));
        }
        (Snapshot::from_memory(pieces, metadata), worth_a_look)
    }
}

/// A region in pieces, without what the process never touched: each input copies all of it.
fn without_holes(region: &Region) -> Vec<(Addr, Vec<u8>)> {
    const HOLE: u64 = 256 << 10;
    let mut pieces: Vec<Range<u64>> = Vec::new();
    for extent in region.extents() {
        match pieces.last_mut() {
            Some(last) if extent.start - last.end < HOLE => last.end = extent.end,
            _ => pieces.push(extent.clone()),
        }
    }
    let bytes = |piece: &Range<u64>| region.bytes()[piece.start as usize..piece.end as usize].to_vec();
    pieces.iter().map(|piece| (region.start + piece.start, bytes(piece))).collect()
}

/// Where a value or an address comes from: numbers choose among what there is.
#[derive(Debug, Clone)]
pub enum Damage {
    /// Word `word` of an object (or type) gets a value.
    Word {
        of_type: bool,
        object: u32,
        word: u64,
        value: Value,
    },
    /// Bits of a word anywhere.
    Flip {
        region: u32,
        at: u64,
        bits: u64,
    },
    Swap {
        region: u32,
        one: u64,
        other: u64,
    },
    Cut {
        region: u32,
        at: u64,
    },
    Double {
        region: u32,
        by: u64,
    },
    Remove {
        region: u32,
    },
    /// A number in what the kernel said.
    Told {
        what: u32,
        number: u32,
        value: Value,
    },
}

#[derive(Debug, Clone)]
pub enum Value {
    Plain(u64),
    Itself(u64),
    Object { number: u32, offset: u64 },
    Type(u32),
}

/// Damage as bytes tell it: what a fuzzer changes step by step.
pub fn decode(bytes: &[u8]) -> Vec<Damage> {
    let mut bytes = bytes.iter().copied();
    let mut damages = Vec::new();
    while damages.len() < 400 {
        let Some(kind) = bytes.next() else { break };
        let mut number = |len: usize| (0..len).fold(0, |n, _| n << 8 | u64::from(bytes.next().unwrap_or(0)));
        damages.push(match kind % 16 {
            0..=9 => {
                let (object, word, how) = (number(3) as u32, number(1), number(1));
                let of_type = kind & 0x80 != 0;
                let value = match how % 8 {
                    0 => Value::Plain(number(8)),
                    1 => Value::Plain(u64::MAX >> number(1).min(63)),
                    2 | 3 => Value::Plain(number(2)),
                    4 => Value::Itself(number(1) % 9),
                    5 => Value::Type(number(3) as u32),
                    _ => Value::Object { number: number(3) as u32, offset: number(1) % 64 },
                };
                if kind % 16 == 9 {
                    Damage::Told { what: word as u32, number: object, value }
                } else {
                    Damage::Word { of_type, object, word: word % if of_type { 60 } else { 12 }, value }
                }
            }
            10 | 11 => Damage::Flip { region: number(1) as u32, at: number(4), bits: 1 << (number(1) % 64) },
            12 => Damage::Swap { region: number(1) as u32, one: number(2), other: number(2) },
            13 => Damage::Cut { region: number(1) as u32, at: number(4) },
            14 => Damage::Double { region: number(1) as u32, by: number(1) },
            _ => Damage::Remove { region: number(1) as u32 },
        });
    }
    damages
}

fn pick<T: Copy>(from: &[T], number: u32) -> T {
    from[number as usize % from.len()]
}

/// Does the damage; returns the addresses that are worth a look.
pub fn apply(memory: &Memory, pieces: &mut Vec<(Addr, Vec<u8>)>, damage: &Damage) -> Option<Addr> {
    let region = |number: u32, pieces: &[(Addr, Vec<u8>)]| number as usize % pieces.len().max(1);
    if pieces.is_empty() {
        return None;
    }
    match damage {
        Damage::Word { of_type, object, word, value } => {
            let object = if *of_type { pick(&memory.types, *object) } else { pick(&memory.objects, *object) };
            let at = Addr(object.0 - 16 + word * 8);
            let value = number_of(memory, value, object.0);
            let (start, bytes) = pieces.iter_mut().find(|(s, b)| *s <= at && at.0 + 8 <= s.0 + b.len() as u64)?;
            bytes[(at.0 - start.0) as usize..][..8].copy_from_slice(&value.to_le_bytes());
            return Some(object);
        }
        Damage::Flip { region: number, at, bits } => {
            let i = region(*number, pieces);
            let bytes = &mut pieces[i].1;
            let at = (*at % (bytes.len() as u64).max(1)) as usize & !7;
            let old = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
            bytes[at..at + 8].copy_from_slice(&(old ^ bits).to_le_bytes());
        }
        Damage::Swap { region: number, one, other } => {
            let i = region(*number, pieces);
            let bytes = &mut pieces[i].1;
            let pages = (bytes.len() >> 12) as u64;
            let (one, other) = (one.checked_rem(pages)? as usize, other.checked_rem(pages)? as usize);
            (0..4096).for_each(|n| bytes.swap(one * 4096 + n, other * 4096 + n));
        }
        Damage::Cut { region: number, at } => {
            let i = region(*number, pieces);
            let len = (*at % (pieces[i].1.len() as u64 + 1)) as usize;
            pieces[i].1.truncate(len);
        }
        Damage::Double { region: number, by } => {
            let (start, bytes) = pieces[region(*number, pieces)].clone();
            let by =
                [4096, 16, bytes.len() as u64, 1 << 40, (u64::MAX - 100).saturating_sub(start.0)][*by as usize % 5];
            pieces.push((Addr(start.0.wrapping_add(by)), bytes));
        }
        Damage::Remove { region: number } => {
            let i = region(*number, pieces);
            pieces.remove(i);
        }
        Damage::Told { .. } => {}
    }
    None
}

fn number_of(memory: &Memory, value: &Value, itself: u64) -> u64 {
    match value {
        Value::Plain(value) => *value,
        Value::Itself(words) => itself.wrapping_add(words * 8),
        Value::Object { number, offset } => pick(&memory.objects, *number).0 + offset,
        Value::Type(number) => pick(&memory.types, *number).0,
    }
}

/// Damages a number of what the kernel said; other damage is not for this.
fn tell_otherwise(memory: &Memory, metadata: &mut Metadata, damage: &Damage) {
    let Damage::Told { what, number, value } = damage else { return };
    let nth = |len: usize| *number as usize % len.max(1);
    let (mappings, threads) = (metadata.regions.len(), metadata.threads.len());
    let process = &mut metadata.process;
    let place = match what % 8 {
        0 => metadata.regions.get_mut(nth(mappings)).map(|m| &mut m.start.0),
        1 => metadata.regions.get_mut(nth(mappings)).map(|m| &mut m.end.0),
        2 => metadata.regions.get_mut(nth(mappings)).map(|m| &mut m.offset),
        3 => metadata.regions.get_mut(nth(mappings)).and_then(|m| m.resident_bytes.as_mut()),
        4 => metadata.regions.iter_mut().flat_map(|m| &mut m.residency).nth(*number as usize % 100),
        5 => metadata.threads.get_mut(nth(threads)).and_then(|t| Some(&mut t.registers.values_mut().nth(nth(27))?.0)),
        6 => {
            let calls = metadata.threads.iter_mut().filter_map(|t| t.syscall.as_mut()).flat_map(|s| &mut s.args);
            calls.map(|address| &mut address.0).nth(*number as usize % 20)
        }
        _ => process.memory.values_mut().chain(process.rollup.values_mut()).nth(*number as usize % 60),
    };
    if let Some(place) = place {
        *place = number_of(memory, value, *place);
    }
}

/// Asks all there is to ask. What comes out is not compared with anything: it must come.
pub fn ask_everything(snapshot: Snapshot, worth_a_look: &[Addr]) -> Result<(), String> {
    let snapshot = Arc::new(snapshot);
    let progress = Progress::default();
    for addr in worth_a_look.iter().chain([&Addr(0), &Addr(u64::MAX), &Addr(u64::MAX - 7)]) {
        let _ = raw::hex(&snapshot, *addr, Addr(addr.0.saturating_sub(40)), 400);
    }
    let Ok(heap) = Heap::index(snapshot.clone(), &progress) else { return Ok(()) };
    let most = snapshot.bytes() / 8;
    let len = heap.objects().len() as u64;
    if len > most {
        return Err(format!("{len} objects in {} bytes", snapshot.bytes()));
    }
    let table = types::types(heap.types(), heap.tally());
    if table.total.count != len {
        return Err(format!("{} objects counted, {len} in the index", table.total.count));
    }
    let mut before = Addr(0);
    for (id, addr, ty) in heap.objects().iter() {
        if heap.objects().object_at(addr) != Some(id) || addr <= before || heap.objects().address(id) != addr {
            return Err(format!("{addr} is number {id:?}, and not found again"));
        }
        before = addr;
        let _ = heap.types().get(ty);
    }
    let all = types::select(&heap, None);
    let rows = types::rows(&heap, &all, 0, u64::MAX);
    if let Some(row) = rows.objects.iter().find(|r| r.summary.chars().count() > 1000 || r.type_name.len() > 10_000) {
        return Err(format!("{} has a summary of {} bytes", row.address, row.summary.len()));
    }
    let edges = heap.edges(&progress).map_err(|e| e.to_string())?;
    let (mut forth, mut back) = (0, 0);
    for id in (0..len as u32).map(ObjectId) {
        forth += edges.referents(&heap, id).len();
        back += edges.referrers(id).len();
    }
    if forth != back || forth as u64 != edges.len() {
        return Err(format!("{forth} references forwards, {back} backwards, {} counted", edges.len()));
    }
    let sample = all.iter().copied().step_by(all.len() / 50 + 1);
    let damaged = worth_a_look.iter().filter_map(|a| heap.objects().object_at(*a));
    for id in sample.chain(damaged) {
        let _ = detail::object(&heap, id, detail::Depth { levels: 2, entries: 20, chars: 1000 });
        for direction in [Direction::Referents, Direction::Referrers] {
            let answer = links::edges(&heap, id, direction, 0, 100, &progress).map_err(|e| e.to_string())?;
            if answer.edges.len() > 100 {
                return Err(format!("{} rows of 100", answer.edges.len()));
            }
        }
        let _ = heap.object_around(heap.objects().address(id) + 9);
    }
    what_keeps(&heap, worth_a_look, &progress)?;
    let _ = (heap.problems(), info::info(&snapshot, Some(heap.interpreter())));
    let _ = (threads::threads(&heap), tasks::tasks(&heap, &tasks::Ask::all(true)));
    let query = ListQuery::parse("value ~ a or wasted > 100", strings::FIELDS).ok();
    let _ = (strings::strings(&heap, false, query.as_ref()), strings::strings(&heap, true, None));
    let _ = detail::module(&heap, "sys", None, 50);
    if let Some(mut hex) = raw::hex(&snapshot, before, before, 256) {
        raw::name_words(&heap, &mut hex);
    }
    Ok(())
}

/// Roots, dominators and what is worked out of them, with what holds of them whatever the memory.
fn what_keeps(heap: &Heap, worth_a_look: &[Addr], progress: &Progress) -> Result<(), String> {
    let failed = |e: Cancelled| e.to_string();
    let roots = heap.roots(progress).map_err(failed)?;
    let tree = heap.dominators(progress).map_err(failed)?;
    let len = heap.objects().len() as u32;
    let mut sum = 0u64;
    for id in (0..len).map(ObjectId) {
        let node = Node::Object(id);
        let Some(above) = tree.parent(node) else {
            return Err(format!("nothing is above {:?}, which some root or cycle keeps", heap.objects().address(id)));
        };
        if tree.retained(above) < tree.retained(node) || tree.retained_count(above) < tree.retained_count(node) {
            return Err(format!("{above:?} retains less than {node:?}, which it dominates"));
        }
        sum += u64::from(roots.unreachable().contains(id) && roots.held_by_c().contains(id));
    }
    if sum > 0 || tree.retained_count(Node::All) != len {
        return Err(format!("{sum} objects are in two sets; {} of {len} dominated", tree.retained_count(Node::All)));
    }
    let found = leaks::leaks(heap, progress).map_err(failed)?;
    let damaged = worth_a_look.iter().filter_map(|a| heap.objects().object_at(*a)).take(10);
    for id in damaged.chain((0..len).step_by(len as usize / 10 + 1).map(ObjectId)) {
        if paths::paths(heap, id, 3, progress).map_err(failed)?.paths.is_empty() {
            return Err(format!("no path to {}", heap.objects().address(id)));
        }
    }
    if let Some(suspect) = found.suspects.iter().find(|s| s.retained_bytes > found.heap_bytes) {
        return Err(format!("{suspect:?} retains more than all {} bytes", found.heap_bytes));
    }
    let _ = (garbage::garbage(heap, true, progress), audit::audit(heap, 100, progress));
    use retained::Which;
    let lists = [Which::Top, Which::Roots, Which::Threads, Which::Frames, Which::Locals, Which::Modules];
    for list in lists.into_iter().chain([Which::Tasks, Which::Types]) {
        let rows = retained::rows(heap, list, 0, 50, progress).map_err(failed)?;
        if rows.objects.len() > 50 {
            return Err(format!("{} rows of 50 of {list:?}", rows.objects.len()));
        }
    }
    let _ = (memory::memory(heap, progress).map_err(failed)?, waste::waste(heap, progress).map_err(failed)?);
    let _ = types::types_retained(heap, progress).map_err(failed)?;
    let _ = retained::retaining(heap, progress).map_err(failed)?;
    Ok(())
}
