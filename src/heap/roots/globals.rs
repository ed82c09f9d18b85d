//! What executables and libraries hold in their writable data: objects that a compiler placed there, and C variables.
//!
//! A word of an image's data that is an object's address is a variable's, unless it lies within an object or in a
//! struct of the interpreter's that was looked at already. Which variable is asked for elsewhere, when it is shown.

use super::state::{CACHE_ENTRY, method_cache};
use super::{Found, Ownership, RootKind, Slot, object_words, signals};
use crate::cpython::Count;
use crate::cpython::layout::RefCountVariant;
use crate::heap::survey::WINDOW;
use crate::heap::{Heap, Kind, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// Entries of a method cache that must agree before it is taken for one.
const CACHE_ENTRIES: usize = 512;

/// Entries of the dict of interned strings that are looked at.
const INTERNED_ENTRIES: u64 = 64;

/// Fewer strings than this no interpreter interns.
const FEWEST_INTERNED: u64 = 256;

/// Objects in images, and those that never die.
pub(super) fn static_objects(found: &mut Found<'_>, progress: &Progress) -> Result<(), Cancelled> {
    let heap = found.heap;
    let images: Vec<_> = heap.pieces().iter().filter(|p| p.kind == Kind::Image).map(|p| (p.start, p.end)).collect();
    let placed = |addr: Addr| {
        let i = images.partition_point(|(start, _)| *start <= addr);
        i.checked_sub(1).and_then(|i| images.get(i)).is_some_and(|(_, end)| addr < *end)
    };
    let near = |addr: Addr| {
        let window = addr.0 / WINDOW;
        let i = images.partition_point(|(_, end)| end.0.div_ceil(WINDOW) <= window);
        images.get(i).is_some_and(|(start, _)| start.0 / WINDOW <= window)
    };
    let immortal = matches!(
        heap.interpreter().layout.variants.refcount,
        RefCountVariant::Low32 | RefCountVariant::Flags | RefCountVariant::Split
    );
    let of_window = |i: usize| -> Result<Vec<(ObjectId, Option<Addr>)>, Cancelled> {
        progress.check()?;
        let memory = heap.memory();
        let Some((_, first, _)) = heap.objects().window(i).next() else { return Ok(Vec::new()) };
        let image = near(first);
        let of = |(id, addr, ty)| {
            if image && placed(addr) {
                let size = memory.shallow_size(addr, heap.types().get(ty)).unwrap_or(16);
                return Some((id, Some(addr + size)));
            }
            (immortal && memory.count(addr) == Some(Count::Immortal)).then_some((id, None))
        };
        Ok(heap.objects().window(i).filter_map(of).collect())
    };
    let windows = heap.objects().window_count();
    let all: Result<Vec<_>, Cancelled> = (0..windows).into_par_iter().map(of_window).collect();
    let types = found.roots.group(RootKind::StaticTypes, None, None);
    let others = found.roots.group(RootKind::Immortal, None, None);
    for (id, end) in all?.into_iter().flatten() {
        if let Some(end) = end {
            found.covered.push((heap.objects().address(id), end));
        }
        let is_type = heap.type_of(id).is_some_and(|(_, ty)| ty.is_metatype());
        let group = if is_type && end.is_some() { types } else { others };
        found.add(group, id, Slot::Whole, Ownership::Borrowed);
    }
    Ok(())
}

/// C variables, image by image.
pub(super) fn variables(found: &mut Found<'_>, progress: &Progress) -> Result<(), Cancelled> {
    found.covered.sort_unstable();
    let heap = found.heap;
    for (i, image) in heap.interpreter().images.iter().enumerate() {
        progress.check()?;
        let group = found.roots.group(RootKind::Globals(i), None, None);
        for (start, end) in &image.data {
            let words: Vec<_> = object_words(heap, *start, *end).collect();
            let cache =
                if heap.interpreter().layout.roots.lookup_cache.is_none() { static_cache(heap, &words) } else { None };
            if let Some((start, end)) = cache {
                method_cache(found, group, start, end);
            }
            let handlers = signals::table(heap, &words).unwrap_or_default();
            signals::collect(found, group, &handlers);
            let mut covered = found.covered.iter().peekable();
            let mut reach = Addr::NULL;
            let mut free = Vec::new();
            for (at, id) in words {
                while let Some((_, end)) = covered.next_if(|(start, _)| *start <= at) {
                    reach = reach.max(*end);
                }
                let cached = cache.is_some_and(|(start, end)| (start..end).contains(&at));
                let handler = || handlers.binary_search_by_key(&at, |h| h.0).is_ok();
                if at >= reach && !cached && !handler() {
                    free.push((at, id));
                }
            }
            for (at, id) in free {
                found.add(group, id, Slot::Word(at), Ownership::Presumed);
            }
        }
    }
    Ok(())
}

/// The method cache of 3.8 and 3.9, a static array in `Objects/typeobject.c` of `{version, name, value}`: recognised by
/// names that are strings, each followed by a value, at that distance.
fn static_cache(heap: &Heap, words: &[(Addr, ObjectId)]) -> Option<(Addr, Addr)> {
    let memory = heap.memory();
    let is_name = |at: Addr, id: ObjectId| {
        let version = memory.reader.u64(at - 8);
        // an entry that was never filled has no version and None for its name
        version.is_some_and(|v| v >> 32 == 0)
            && heap.type_of(id).is_some_and(|(_, ty)| match ty.name.as_str() {
                "str" => version != Some(0),
                "NoneType" => version == Some(0),
                _ => false,
            })
    };
    let names: Vec<Addr> = words.iter().filter(|(at, id)| is_name(*at, *id)).map(|(at, _)| *at).collect();
    (0..CACHE_ENTRY / 8).find_map(|phase| {
        let same: Vec<Addr> = names.iter().copied().filter(|at| at.0 / 8 % (CACHE_ENTRY / 8) == phase).collect();
        // the longest run without a hole of more than a few entries
        let mut run: Option<(Addr, Addr, usize)> = None;
        let mut best: Option<(Addr, Addr, usize)> = None;
        for at in same {
            run = match run {
                Some((first, last, n)) if at.0 - last.0 <= 64 * CACHE_ENTRY => Some((first, at, n + 1)),
                _ => Some((at, at, 1)),
            };
            if run.map(|r| r.2) > best.map(|b| b.2) {
                best = run;
            }
        }
        let (first, last, n) = best?;
        (n >= CACHE_ENTRIES).then(|| (first - 8, last + 16))
    })
}

/// The dicts of interned strings: what they hold is not counted, neither key nor value (`Objects/unicodeobject.c`).
/// Interpreters lead to theirs from 3.12 on, a C variable before; they are known by their contents, each string under
/// itself.
pub(in crate::heap) fn interned(heap: &Heap) -> Vec<ObjectId> {
    let interpreter = heap.interpreter();
    let size = interpreter.layout.structs.interpreter.size;
    let states = interpreter.interpreters.iter().map(|i| (i.address, i.address + size));
    let images = interpreter.images.iter().flat_map(|i| i.data.iter().copied());
    let places: Vec<_> = states.chain(images).collect();
    let mut found: Vec<ObjectId> = places
        .into_par_iter()
        .flat_map_iter(|(start, end)| {
            let dicts = object_words(heap, start, end)
                .filter(|(_, id)| heap.type_of(*id).is_some_and(|(_, t)| t.name == "dict"));
            dicts.map(|(_, id)| id).filter(|id| is_interned(heap, *id)).collect::<Vec<_>>()
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_interned(heap: &Heap, id: ObjectId) -> bool {
    let memory = heap.memory();
    let addr = heap.objects().address(id);
    let used = memory.reader.u64(addr + memory.layout.structs.dict.ma_used).unwrap_or(0);
    let mut seen = 0;
    let all = memory.dict_entries(addr, |_, key, value| {
        let is_str = || heap.object_at(key).is_some_and(|(_, ty)| ty.name == "str");
        if key != value || !is_str() {
            seen = 0;
            return false;
        }
        seen += 1;
        seen < INTERNED_ENTRIES
    });
    all.is_some() && used >= FEWEST_INTERNED && seen == INTERNED_ENTRIES
}
