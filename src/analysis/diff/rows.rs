//! A comparison as answers: the rows of types, and the objects that were asked for.

use super::{Comparison, Fate, Relation, relation};
use crate::analysis::answers::{Change, ChangedObject, Diff, Survivors, TypeChange, Which};
use crate::analysis::describe::{DEFAULT_WIDTH, describe};
use crate::analysis::info::info;
use crate::heap::{Heap, Index, ObjectId};
use crate::progress::{Cancelled, Progress};
use rayon::prelude::*;
use std::collections::HashMap;

/// Compares two or three snapshots, the oldest first, and sums up by type; with `which`, the objects too, those of a
/// type's name when one is given, at most `limit`. Time is that of [`Comparison::of`].
pub fn report(
    old: &Heap,
    new: &Heap,
    later: Option<&Heap>,
    which: Option<(Which, Option<&str>)>,
    limit: u64,
    progress: &Progress,
) -> Result<Compared, Cancelled> {
    let (mut known, mut kept) = (None, Vec::new());
    let mut rows: HashMap<String, TypeChange> = HashMap::new();
    tallies(old, new, &mut rows);
    let head = |heap: &Heap| info(heap.snapshot(), Some(heap.interpreter()));
    let mut answer = Diff { old: head(old), later: later.map(head), ..Diff::default() };
    let reason = [relation(old, new), later.map_or(Relation::SameProcess, |later| relation(new, later))];
    let reason = reason.into_iter().find_map(|r| match r {
        Relation::SameProcess => None,
        Relation::Different(why) => Some(why),
    });
    if let Some(why) = reason {
        answer.problems.push(format!("{why}: objects have no common addresses, only types are compared"));
        answer.only_types = Some(why);
        if later.is_some() {
            answer.problems.push("of the third snapshot nothing is compared".into());
        }
    } else {
        let comparison = Comparison::of(old, new, progress)?;
        answer.problems.extend(comparison.problems());
        count(&comparison, old, new, &mut rows, &mut answer);
        if let Some(later) = later {
            let second = Comparison::of(new, later, progress)?;
            answer.problems.extend(second.problems());
            kept = second.kept(&comparison, new, later);
            keep(later, &kept, &mut rows);
            answer.kept = Some(kept.len() as u64);
        }
        if let Some((which, name)) = which {
            let (found, total) =
                objects(&comparison, old, new, later.map(|l| (l, kept.as_slice())), which, name, limit);
            answer.objects = Some(found);
            answer.objects_total = Some(total);
        }
        known = Some(comparison);
    }
    let of = |heap: &Heap| {
        heap.types().iter().map(|(id, _)| heap.tally().get(id)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    answer.total = Change::new(of(old), of(new));
    let (changed, same): (Vec<_>, Vec<_>) = rows.into_values().partition(TypeChange::is_change);
    answer.types = changed;
    answer.same = same;
    answer.same.sort_by(|a, b| b.change.new_bytes.cmp(&a.change.new_bytes).then_with(|| a.name.cmp(&b.name)));
    for row in &answer.same {
        let all = &mut answer.unchanged;
        (all.types, all.count) = (all.types + 1, all.count + row.change.new_count);
        all.bytes = all.bytes.saturating_add(row.change.new_bytes);
    }
    let weight =
        |row: &TypeChange| (row.kept, row.change.delta_bytes.unsigned_abs(), row.change.delta_count.unsigned_abs());
    answer.types.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
    Ok(Compared { answer, comparison: known, kept })
}

/// What two or three snapshots were found to differ in.
#[derive(Debug)]
pub struct Compared {
    /// The sums.
    pub answer: Diff,
    /// What became of each object of the first two, unless they are of two processes.
    pub comparison: Option<Comparison>,
    /// The objects that were made between the first two and are in the third, by their numbers there.
    pub kept: Vec<ObjectId>,
}

fn row<'r>(rows: &'r mut HashMap<String, TypeChange>, name: &str) -> &'r mut TypeChange {
    rows.entry(name.to_owned()).or_insert_with(|| TypeChange { name: name.to_owned(), ..TypeChange::default() })
}

/// Counts and bytes by the names of types.
fn tallies(old: &Heap, new: &Heap, rows: &mut HashMap<String, TypeChange>) {
    for (heap, is_new) in [(old, false), (new, true)] {
        for (id, ty) in heap.types().iter() {
            let (count, bytes) = heap.tally().get(id);
            if count > 0 {
                let row = row(rows, &ty.name);
                let c = row.change;
                let (mut then, mut now) = ((c.old_count, c.old_bytes), (c.new_count, c.new_bytes));
                let side = if is_new { &mut now } else { &mut then };
                *side = (side.0 + count, side.1.saturating_add(bytes));
                row.change = Change::new(then, now);
            }
        }
    }
}

/// Adds how many objects of each type are new, gone and still there.
fn count(comparison: &Comparison, old: &Heap, new: &Heap, rows: &mut HashMap<String, TypeChange>, answer: &mut Diff) {
    let by_fate = |heap: &Heap, of: &(dyn Fn(ObjectId) -> Fate + Sync)| {
        let index = heap.objects();
        let empty = || vec![[0u64; 5]; heap.types().len()];
        let add = |mut sums: Vec<[u64; 5]>, i| {
            for (id, _, ty) in index.window(i) {
                if let Some(sum) = sums.get_mut(ty.0 as usize) {
                    sum[of(id) as usize] += 1;
                }
            }
            sums
        };
        let join = |mut a: Vec<[u64; 5]>, b: Vec<[u64; 5]>| {
            a.iter_mut().zip(b).for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, b)| *a += b));
            a
        };
        (0..index.window_count()).into_par_iter().fold(empty, add).reduce(empty, join)
    };
    for row in rows.values_mut() {
        (row.survivors, row.created, row.freed) = (Some(0), Some(0), Some(0));
    }
    let (mut sure, mut created, mut freed, mut reused) = (Survivors::default(), 0, 0, 0);
    for ((_, ty), [fresh, again, weak, likely, exact]) in
        new.types().iter().zip(by_fate(new, &|id| comparison.fate(id)))
    {
        if fresh + again + weak + likely + exact > 0 {
            let row = row(rows, &ty.name);
            row.survivors = row.survivors.map(|n| n + weak + likely + exact);
            row.created = row.created.map(|n| n + fresh + again);
        }
        sure.weak += weak;
        sure.likely += likely;
        sure.exact += exact;
        created += fresh + again;
        reused += again;
    }
    let gone = |id| if comparison.survivor(old, new, id).is_some() { Fate::Exact } else { Fate::Created };
    for ((_, ty), [gone, ..]) in old.types().iter().zip(by_fate(old, &gone)) {
        if gone > 0 {
            let row = row(rows, &ty.name);
            row.freed = row.freed.map(|n| n + gone);
        }
        freed += gone;
    }
    answer.survivors = Some(sure.exact + sure.likely + sure.weak);
    answer.confidence = Some(sure);
    (answer.created, answer.freed, answer.reused) = (Some(created), Some(freed), Some(reused));
}

/// Adds the objects that were made between the first two snapshots and are in the third.
fn keep(later: &Heap, kept: &[ObjectId], rows: &mut HashMap<String, TypeChange>) {
    for row in rows.values_mut() {
        row.kept = Some(0);
    }
    let mut counts = vec![0u64; later.types().len()];
    for id in kept {
        if let Some(n) = later.objects().type_of(*id).and_then(|ty| counts.get_mut(ty.0 as usize)) {
            *n += 1;
        }
    }
    for ((_, ty), n) in later.types().iter().zip(counts).filter(|(_, n)| *n > 0) {
        let row = row(rows, &ty.name);
        row.kept = Some(row.kept.unwrap_or(0) + n);
    }
}

/// The first `limit` objects that were asked for, and how many there are. `later`: the third snapshot, with those that are
/// kept in it.
pub fn objects(
    comparison: &Comparison,
    old: &Heap,
    new: &Heap,
    later: Option<(&Heap, &[ObjectId])>,
    which: Which,
    name: Option<&str>,
    limit: u64,
) -> (Vec<ChangedObject>, u64) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let of_name = |heap: &Heap, id| name.is_none_or(|n| heap.type_of(id).is_some_and(|(_, ty)| ty.name == n));
    let (heap, ids): (&Heap, Vec<ObjectId>) = match (which, later) {
        (Which::Kept, Some((later, kept))) => (later, kept.iter().copied().filter(|id| of_name(later, *id)).collect()),
        (Which::Kept, None) => return (Vec::new(), 0),
        (Which::Created, _) => (new, select(new.objects(), |id| !comparison.fate(id).survived() && of_name(new, id))),
        (Which::Survivors, _) => (new, select(new.objects(), |id| comparison.fate(id).survived() && of_name(new, id))),
        (Which::Freed, _) => {
            (old, select(old.objects(), |id| comparison.survivor(old, new, id).is_none() && of_name(old, id)))
        }
    };
    let memory = heap.memory();
    let row = |id: &ObjectId| {
        let address = heap.objects().address(*id);
        let (_, ty) = heap.type_of(*id)?;
        let fate = match which {
            Which::Freed => new.objects().object_at(address).map_or(Fate::Created, |id| comparison.fate(id)),
            Which::Kept => new.objects().object_at(address).map_or(Fate::Created, |id| comparison.fate(id)),
            Which::Created | Which::Survivors => comparison.fate(*id),
        };
        Some(ChangedObject {
            address,
            type_name: ty.name.clone(),
            confidence: match fate {
                Fate::Created | Fate::Exact => "exact",
                Fate::Reused | Fate::Likely => "likely",
                Fate::Weak => "weak",
            },
            shallow_bytes: memory.shallow_size(address, ty).unwrap_or(0),
            summary: describe(&memory, heap.types(), address, ty, DEFAULT_WIDTH),
        })
    };
    (ids.iter().take(limit).filter_map(row).collect(), ids.len() as u64)
}

fn select(index: &Index, wanted: impl Fn(ObjectId) -> bool + Sync) -> Vec<ObjectId> {
    let of_window = |i| index.window_ids(i).map(ObjectId).filter(|id| wanted(*id));
    (0..index.window_count()).into_par_iter().flat_map_iter(of_window).collect()
}
