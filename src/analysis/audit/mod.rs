//! The reference audit: what each object counts against the references that can be found.
//!
//! Found are those of objects (`ownership`) and those of roots that are counted. What is left is
//! held by C code: pointers to it are looked for in C's memory (`pointers`), and where there are fewer of them than
//! references, some were lost. What lists cannot show is left out, by name.

mod buffers;
mod pointers;

use super::answers::{Audit, AuditRow, AuditType, Excluded, RefCount};
use super::describe::{DEFAULT_WIDTH, describe};
use super::ownership::{self, Role};
use crate::cpython::Count;
use crate::cpython::layout::{DecoderName, RefCountVariant};
use crate::heap::roots::{Ownership, RootKind};
use crate::heap::{Heap, Kind, ObjectId};
use crate::progress::{Cancelled, Progress};
use pointers::Place;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

/// Why an audit is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Counts are split, merged and deferred there.
    #[error("references of free-threaded builds are not audited: many are not counted there")]
    FreeThreaded,
    /// It was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// 3.11 gives objects that a compiler placed this count, from where it moves a little; they never die.
const PLACED: u32 = 900_000_000;

/// Not compared.
const LEFT_OUT: i32 = i32::MIN;

/// Objects that are shown although too many references to them were found.
const MAX_OVERCOUNTED: usize = 1000;

/// Places of one object that are named.
const MAX_PLACES: usize = 4;

/// The rest of every object's count, and what was left out.
struct Balance {
    rest: Vec<AtomicI32>,
    /// Guessed references, in order of their targets.
    guessed: Vec<ObjectId>,
    /// Words of roots that may be references, where they do not explain all that is left.
    presumed: HashMap<ObjectId, i32>,
    excluded: Vec<Excluded>,
}

/// Compares every count; lists the first `limit` objects. Time is that of following all references twice.
pub fn audit(heap: &Heap, limit: u64, progress: &Progress) -> Result<Audit, AuditError> {
    if heap.interpreter().layout.variants.refcount == RefCountVariant::Split {
        return Err(AuditError::FreeThreaded);
    }
    let roots = heap.roots(progress)?;
    let edges = heap.edges(progress)?;
    let balance = Balance::of(heap, progress)?;
    let wanted: Vec<ObjectId> = balance.ids(|rest| rest > 0).collect();
    let places = pointers::find(heap, edges, &wanted, progress)?;
    let mut answer = Audit { excluded: balance.excluded.clone(), ..Audit::default() };
    answer.problems = roots.problems().to_vec();
    answer.objects = balance.ids(|_| true).count() as u64;
    let mut types: HashMap<&str, AuditType> = HashMap::new();
    let mut rows: Vec<(u64, u64, u64, ObjectId)> = Vec::new();
    let mut over = Vec::new();
    for id in balance.ids(|rest| rest != 0) {
        let Some((_, ty)) = heap.type_of(id) else { continue };
        let row = types.entry(&ty.name).or_insert_with(|| AuditType { name: ty.name.clone(), ..AuditType::default() });
        let rest = balance.rest(id);
        let Ok(unaccounted) = u64::try_from(rest) else {
            row.overcounted += 1;
            answer.overcounted += 1;
            over.push(id);
            continue;
        };
        let from = balance.guessed.partition_point(|g| *g < id);
        let guessed = balance.guessed.iter().skip(from).take_while(|g| **g == id).count();
        let words = balance.presumed.get(&id).map_or(0, |n| n.unsigned_abs() as usize);
        let pointers = (guessed + words + places.get(&id).map_or(0, Vec::len)) as u64;
        // which of fewer pointers are references cannot be told
        let unexplained = if pointers >= unaccounted { 0 } else { unaccounted };
        row.objects += 1;
        row.unaccounted += unaccounted;
        row.unexplained += unexplained;
        match unexplained {
            0 => answer.held_by_c += 1,
            _ => answer.unexplained += 1,
        }
        rows.push((unexplained, unaccounted, pointers, id));
    }
    answer.accounted = answer.objects - answer.held_by_c - answer.unexplained - answer.overcounted;
    rows.sort_by_key(|(unexplained, unaccounted, _, id)| (std::cmp::Reverse((*unexplained, *unaccounted)), *id));
    answer.rows_total = rows.len() as u64;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let none = Vec::new();
    let describe = |(unexplained, unaccounted, pointers, id): &(u64, u64, u64, ObjectId)| {
        row(heap, *id, [*unaccounted, *pointers, *unexplained], places.get(id).unwrap_or(&none))
    };
    answer.rows = rows.iter().take(limit).filter_map(describe).collect();
    let too_many = |id: &ObjectId| {
        let mut row = row(heap, *id, [0, 0, 0], &none)?;
        row.found += u64::from(balance.rest(*id).unsigned_abs());
        Some(row)
    };
    answer.overcounted_rows = over.iter().take(limit.min(MAX_OVERCOUNTED)).filter_map(too_many).collect();
    answer.types = types.into_values().collect();
    let weight = |t: &AuditType| (t.unexplained, t.unaccounted, t.overcounted);
    answer.types.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
    Ok(answer)
}

fn row(
    heap: &Heap,
    id: ObjectId,
    [unaccounted, pointers, unexplained]: [u64; 3],
    places: &[Place],
) -> Option<AuditRow> {
    let memory = heap.memory();
    let address = heap.objects().address(id);
    let (_, ty) = heap.type_of(id)?;
    let refcount = super::types::refcount(&memory, address);
    let count = if let RefCount::Count(n) = refcount { n.unsigned_abs() } else { 0 };
    let mut named: Vec<String> = places
        .iter()
        .map(|place| match place {
            Place::Block(at) => format!("C memory at {at}"),
            Place::Stack(tid) => format!("the C stack of thread {tid}"),
        })
        .collect();
    named.dedup();
    named.truncate(MAX_PLACES);
    Some(AuditRow {
        address,
        type_name: ty.name.clone(),
        refcount,
        found: count.saturating_sub(unaccounted),
        unaccounted,
        pointers,
        unexplained,
        places: named,
        shallow_bytes: memory.shallow_size(address, ty).unwrap_or(0),
        summary: describe(&memory, heap.types(), address, ty, DEFAULT_WIDTH),
    })
}

impl Balance {
    fn of(heap: &Heap, progress: &Progress) -> Result<Balance, Cancelled> {
        let index = heap.objects();
        let roots = heap.roots(progress)?;
        let (rest, excluded) = counts(heap);
        let take = |id: ObjectId| {
            if let Some(n) = rest.get(id.0 as usize).filter(|n| n.load(Relaxed) != LEFT_OUT) {
                n.fetch_sub(1, Relaxed);
            }
        };
        let borrowed = AtomicU64::new(0);
        let interned = heap.interned();
        let windows = index.window_count();
        progress.begin(windows as u64);
        let guessed: Result<Vec<Vec<ObjectId>>, Cancelled> = (0..windows)
            .into_par_iter()
            .map(|i| {
                progress.check()?;
                let memory = heap.memory();
                let mut guessed = Vec::new();
                for (_, address, ty) in index.window(i).filter(|(id, ..)| !interned.contains(id)) {
                    let ty = heap.types().get(ty);
                    ownership::visit(heap, &memory, address, ty, |_, role, target, _| match role {
                        Role::Counted => take(target),
                        Role::Borrowed => {
                            borrowed.fetch_add(1, Relaxed);
                        }
                        Role::Guessed => guessed.push(target),
                    });
                    // its nodes hold the keys once more
                    if ty.decoder == DecoderName::Odict {
                        memory.odict_nodes(address).filter_map(|key| index.object_at(key)).for_each(take);
                    }
                    if ty.decoder == DecoderName::LruCache {
                        ownership::cache_links(heap, &memory, address, |link, _| take(link));
                    }
                }
                progress.advance(1);
                Ok(guessed)
            })
            .collect();
        let mut guessed: Vec<ObjectId> = guessed?.into_iter().flatten().collect();
        guessed.sort_unstable();
        let mut presumed: HashMap<ObjectId, i32> = HashMap::new();
        for root in roots.refs() {
            let outside = roots.group_of(root).is_some_and(|g| !matches!(g.kind, RootKind::HeldByC | RootKind::Cycles));
            match root.ownership {
                Ownership::Owned if outside => take(root.target),
                Ownership::Presumed if outside => *presumed.entry(root.target).or_default() += 1,
                Ownership::Borrowed
                    if outside && matches!(roots.group_of(root).map(|g| g.kind), Some(RootKind::Frame(_))) =>
                {
                    borrowed.fetch_add(1, Relaxed);
                }
                _ => {}
            }
        }
        // words that may be references explain what is left when there are enough of them: some may be stale
        presumed.retain(|id, words| {
            let rest = rest.get(id.0 as usize).filter(|n| (1..=*words).contains(&n.load(Relaxed)));
            rest.map(|n| n.store(0, Relaxed)).is_none()
        });
        let mut balance = Balance { rest, guessed, presumed, excluded };
        let placed = balance.forgive_placed(heap);
        balance.exclude("objects that a compiler placed with a first reference that nobody holds", placed);
        balance.exclude("references of the dict of interned strings: they are not counted", interned.len() as u64);
        balance.exclude("borrowed references of frames: they are not counted", borrowed.load(Relaxed));
        Ok(balance)
    }

    /// A compiler gives what it places a reference that nobody holds; where a C variable was found for it, it is accounted
    /// for already. How many there are.
    fn forgive_placed(&self, heap: &Heap) -> u64 {
        let mut placed = 0;
        for piece in heap.pieces().iter().filter(|p| p.kind == Kind::Image) {
            let from = heap.objects().first_from(piece.start);
            let here = (from.0..self.rest.len() as u32).map(ObjectId);
            for id in here.take_while(|id| heap.objects().address(*id) < piece.end) {
                if let Some(rest) = self.rest.get(id.0 as usize).filter(|n| n.load(Relaxed) > 0) {
                    rest.fetch_sub(1, Relaxed);
                    placed += 1;
                }
            }
        }
        placed
    }

    fn exclude(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            self.excluded.push(Excluded { reason, count });
        }
    }

    fn rest(&self, id: ObjectId) -> i32 {
        self.rest.get(id.0 as usize).map_or(LEFT_OUT, |n| n.load(Relaxed))
    }

    /// The objects that are compared and whose rest is so, in order.
    fn ids(&self, so: impl Fn(i32) -> bool) -> impl Iterator<Item = ObjectId> {
        let wanted = move |id: &ObjectId| {
            let rest = self.rest(*id);
            rest != LEFT_OUT && so(rest)
        };
        (0..self.rest.len() as u32).map(ObjectId).filter(wanted)
    }
}

/// Every object's count to begin with.
fn counts(heap: &Heap) -> (Vec<AtomicI32>, Vec<Excluded>) {
    let index = heap.objects();
    let of_window = |i: usize| {
        let memory = heap.memory();
        let of = |address| match memory.count(address) {
            Some(Count::Live(n)) if n < PLACED => i32::try_from(n).unwrap_or(LEFT_OUT),
            _ => LEFT_OUT,
        };
        index.window(i).map(|(_, address, _)| AtomicI32::new(of(address))).collect::<Vec<_>>()
    };
    let rest: Vec<AtomicI32> = (0..index.window_count()).into_par_iter().flat_map_iter(of_window).collect();
    let immortal = rest.iter().filter(|n| n.load(Relaxed) == LEFT_OUT).count() as u64;
    let reason = "objects that never die: their counts mean nothing";
    (rest, if immortal > 0 { vec![Excluded { reason, count: immortal }] } else { Vec::new() })
}
