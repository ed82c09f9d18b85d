//! Suspects by what they are: tasks, tracebacks, caches, finalizers, modules.

use super::{Because, Found, MAX_OF_A_SORT};
use crate::analysis::answers::Accumulated;
use crate::analysis::garbage;
use crate::analysis::tasks::{self as all_tasks, Ask};
use crate::analysis::types::{find_types, select};
use crate::cpython::{Kind, Limits, Value};
use crate::heap::ObjectId;
use crate::heap::roots::Slot;
use crate::progress::Cancelled;
use crate::text::{count, sanitize, size};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Tasks of one coroutine function that nobody awaits; fewer are how programs work.
const MANY_TASKS: usize = 20;

/// Entries of a cache without a bound.
const MANY_ENTRIES: u64 = 10_000;

/// Finalizers that wait for their objects' end, or objects of a type whose finalizer waits for the collector.
const MANY_FINALIZERS: u64 = 1000;

/// Unfinished tasks that nobody awaits, by coroutine function.
pub(super) fn tasks(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let heap = found.heap;
    let mut by_coroutine: BTreeMap<String, Vec<ObjectId>> = BTreeMap::new();
    for task in all_tasks::tasks(heap, &Ask::all(false)).tasks {
        if task.state == Some("pending") && task.awaited_by.is_empty() && !task.running {
            let id = heap.objects().object_at(task.address);
            by_coroutine.entry(task.coro.unwrap_or_default()).or_default().extend(id);
        }
    }
    for (coroutine, mut ids) in by_coroutine.into_iter().filter(|(_, ids)| ids.len() >= MANY_TASKS) {
        ids.sort_unstable_by_key(|id| (Reverse(found.retained(*id).0), *id));
        let sum = sum(found, &ids);
        let n = ids.len() as u64;
        let accumulates = Some(Accumulated { type_name: "task".into(), count: n, retained_bytes: sum.0 });
        if let Some(first) = ids.first() {
            let because = Because { kind: "tasks", retained: sum, accumulates };
            let text =
                format!("{} unfinished tasks of {coroutine}() that nobody awaits keep {}", count(n), size(sum.0));
            found.add(*first, because, |_| text)?;
        }
    }
    Ok(())
}

/// Tracebacks, whose frames keep their variables.
pub(super) fn tracebacks(found: &mut Found<'_>) -> Result<(), Cancelled> {
    for id in biggest(found, |kind| kind == Kind::Traceback) {
        let retained = found.retained(id);
        let what = size(retained.0);
        let because = Because { kind: "traceback", retained, accumulates: None };
        found.add(id, because, |name| format!("a traceback held as {name} pins frames whose variables keep {what}"))?;
    }
    Ok(())
}

/// `functools.lru_cache`.
pub(super) fn caches(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let heap = found.heap;
    let memory = heap.memory();
    let s = &memory.layout.structs;
    let mut ids = of_kind(found, |kind| kind == Kind::LruCache);
    ids.sort_unstable_by_key(|id| (Reverse(found.retained(*id).0), *id));
    for id in ids.into_iter().take(MAX_OF_A_SORT) {
        let address = heap.objects().address(id);
        let Some((_, ty)) = heap.type_of(id) else { continue };
        let Value::LruCache { maxsize, hits, misses, .. } =
            memory.value(address, ty, heap.types(), Limits { chars: 0, items: 0 })
        else {
            continue;
        };
        let dict = memory.reader.pointer(address + s.lru_cache.cache).unwrap_or_default();
        let entries = memory.reader.u64(dict + s.dict.ma_used).unwrap_or(0);
        let retained = found.retained(id);
        if !(found.is_big(retained.0) || maxsize.is_none() && entries >= MANY_ENTRIES) {
            continue;
        }
        let bound = maxsize.map_or_else(|| "no bound".into(), |n| format!("a bound of {}", count(n)));
        let text = format!(
            "an lru_cache with {} entries and {bound} keeps {}; {} hits, {} misses",
            count(entries),
            size(retained.0),
            count(hits),
            count(misses)
        );
        found.add(id, Because { kind: "cache", retained, accumulates: None }, |_| text)?;
    }
    Ok(())
}

/// What the collector gave up on (`gc.garbage`), and finalizers that wait (`weakref.finalize`).
pub(super) fn finalizers(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let heap = found.heap;
    let memory = heap.memory();
    let roots = found.search.roots;
    let garbage = |slot| matches!(slot, Slot::Field(field, _) if roots.field(field).ends_with("gc.garbage"));
    let lists: Vec<ObjectId> = roots.refs().iter().filter(|r| garbage(r.slot)).map(|r| r.target).collect();
    for id in lists {
        let n = memory.ob_size(heap.objects().address(id)).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        if n > 0 {
            let retained = found.retained(id);
            let text = format!("gc.garbage holds {} objects that the collector did not free", count(n));
            found.add(id, Because { kind: "garbage", retained, accumulates: None }, |_| text)?;
        }
    }
    let waiting = |name: &str| {
        let ids = find_types(heap, name, false);
        ids.iter().map(|id| heap.tally().get(*id).0).sum::<u64>()
    };
    let n = waiting("weakref.finalize._Info");
    if n >= MANY_FINALIZERS {
        let ids = select(heap, Some(&find_types(heap, "weakref.finalize._Info", false)));
        let sum = sum(found, &ids);
        let accumulates =
            Some(Accumulated { type_name: "weakref.finalize._Info".into(), count: n, retained_bytes: sum.0 });
        if let Some(first) = ids.first() {
            let text =
                format!("{} finalizers of weakref.finalize wait for their objects and keep {}", count(n), size(sum.0));
            found.add(*first, Because { kind: "finalizers", retained: sum, accumulates }, |_| text)?;
        }
    }
    uncollected(found)
}

/// Objects that only cycles keep alive and whose `__del__` runs once the collector comes to them, by type.
fn uncollected(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let (heap, has) = (found.heap, garbage::finalizers(found.heap));
    let mut by_type: BTreeMap<u32, Vec<ObjectId>> = BTreeMap::new();
    for id in found.search.roots.unreachable().iter() {
        if let Some((ty, _)) = heap.type_of(id).filter(|(ty, _)| has.get(ty.0 as usize) == Some(&true)) {
            by_type.entry(ty.0).or_default().push(id);
        }
    }
    for ids in by_type.into_values().filter(|ids| ids.len() as u64 >= MANY_FINALIZERS) {
        let Some((first, (_, ty))) = ids.first().and_then(|id| Some((*id, heap.type_of(*id)?))) else { continue };
        let (n, sum) = (ids.len() as u64, sum(found, &ids));
        let text = format!(
            "{} {} that have a finalizer are held by cycles only: they wait for the collector and keep {}",
            count(n),
            ty.name,
            size(sum.0)
        );
        let accumulates = Some(Accumulated { type_name: ty.name.clone(), count: n, retained_bytes: sum.0 });
        found.add(first, Because { kind: "finalizers", retained: sum, accumulates }, |_| text)?;
    }
    Ok(())
}

/// Modules of one name that are there more often than there are interpreters.
pub(super) fn modules(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let heap = found.heap;
    let memory = heap.memory();
    let interpreters = heap.interpreter().interpreters.len().max(1);
    let mut by_name: HashMap<(String, Option<String>), Vec<ObjectId>> = HashMap::new();
    for id in of_kind(found, |kind| kind == Kind::Module) {
        let Some((_, ty)) = heap.type_of(id) else { continue };
        let value = memory.value(heap.objects().address(id), ty, heap.types(), Limits { chars: 200, items: 0 });
        if let Value::Module { name: Some(name), file: Some(file) } = value {
            by_name.entry((name, Some(file))).or_default().push(id);
        }
    }
    let mut twice: Vec<_> = by_name.into_iter().filter(|(_, ids)| ids.len() > interpreters).collect();
    twice.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    for ((name, _), mut ids) in twice.into_iter().take(MAX_OF_A_SORT) {
        ids.sort_unstable_by_key(|id| (Reverse(found.retained(*id).0), *id));
        let sum = sum(found, &ids);
        let n = ids.len() as u64;
        let accumulates = Some(Accumulated { type_name: "module".into(), count: n, retained_bytes: sum.0 });
        if let Some(first) = ids.first() {
            let text = format!("the module {} was loaded {} times; all of them are alive", sanitize(&name), count(n));
            found.add(*first, Because { kind: "modules", retained: sum, accumulates }, |_| text)?;
        }
    }
    Ok(())
}

/// What objects keep, what is kept by one that another of them keeps counted once.
fn sum(found: &Found<'_>, ids: &[ObjectId]) -> (u64, u64) {
    let outermost = ids.iter().zip(found.tree.nearest_above(ids)).filter(|(_, above)| above.is_none());
    let each = outermost.map(|(id, _)| found.retained(*id));
    each.fold((0, 0), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)))
}

fn of_kind(found: &Found<'_>, wanted: impl Fn(Kind) -> bool) -> Vec<ObjectId> {
    let heap = found.heap;
    let types = heap.types().iter().filter(|(_, ty)| wanted(heap.types().kind(ty, heap.interpreter().layout)));
    let types: Vec<_> = types.map(|(id, _)| id).collect();
    select(heap, Some(&types))
}

/// Big ones of a kind that none of the same kind dominates.
fn biggest(found: &Found<'_>, wanted: impl Fn(Kind) -> bool) -> Vec<ObjectId> {
    let mut ids = of_kind(found, wanted);
    ids.retain(|id| found.is_big(found.retained(*id).0));
    ids.sort_unstable_by_key(|id| (Reverse(found.retained(*id).0), *id));
    let mut kept: Vec<ObjectId> = Vec::new();
    for id in ids {
        let node = crate::heap::dominators::Node::Object;
        if kept.len() < MAX_OF_A_SORT && !kept.iter().any(|above| found.tree.dominates(node(*above), node(id))) {
            kept.push(id);
        }
    }
    kept
}
