//! The comparison of an index with the record that its target made (`tests/targets/truth.py`), address by address.

use super::truth::{Truth, TruthObject};
use pymem_tui::cpython::types::{Type, flags};
use pymem_tui::cpython::{EdgeKind, EdgeName};
use pymem_tui::heap::{Heap, Piece};
use pymem_tui::snapshot::Addr;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Every object is there with its type, name and size, none more is, and each holds what the target says.
pub fn compare(heap: &Heap, truth: &Truth) -> Result<(), String> {
    let results = [check_objects(heap, truth), check_nothing_more(heap, truth), check_referents(heap, truth)];
    finish(results.into_iter().map(Result::err))
}

/// At most a few of many, for a failure's message.
fn some<T: std::fmt::Display>(kind: &str, items: &BTreeMap<String, Vec<T>>) -> Option<String> {
    let total: usize = items.values().map(Vec::len).sum();
    let mut groups: Vec<_> = items.iter().collect();
    groups.sort_by_key(|(_, v)| std::cmp::Reverse(v.len()));
    let shown: Vec<_> = groups
        .iter()
        .take(12)
        .map(|(k, v)| format!("{k} ×{} (e.g. {})", v.len(), v.first().map_or(String::new(), ToString::to_string)))
        .collect();
    (total > 0).then(|| format!("{total} {kind}: {}", shown.join("; ")))
}

/// One result of many: all problems, a line each.
pub fn finish(problems: impl IntoIterator<Item = Option<String>>) -> Result<(), String> {
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n    ")) }
}

fn free_threaded(heap: &Heap) -> bool {
    heap.interpreter().layout.version.ends_with('t')
}

/// sizeof `PyObject`.
fn header(heap: &Heap) -> u64 {
    if free_threaded(heap) { 32 } else { 16 }
}

fn piece_of(heap: &Heap, addr: Addr) -> Option<Piece> {
    let i = heap.pieces().partition_point(|p| p.start <= addr).checked_sub(1)?;
    heap.pieces().get(i).copied()
}

fn check_objects(heap: &Heap, truth: &Truth) -> Result<(), String> {
    let memory = heap.memory();
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong_type = missing.clone();
    let mut wrong_name = missing.clone();
    let mut wrong_size = missing.clone();
    for object in &truth.objects {
        let name = truth.type_name(object.type_address);
        let at = format!("{:#x}", object.address);
        let Some((_, ty)) = heap.object_at(Addr(object.address)) else {
            missing.entry(name.into()).or_default().push(format!("{at} in {:?}", piece_of(heap, Addr(object.address))));
            continue;
        };
        if ty.address.0 != object.type_address {
            wrong_type.entry(name.into()).or_default().push(format!("{at} is {}", ty.name));
            continue;
        }
        if ty.name != name {
            wrong_name.entry(name.into()).or_default().push(format!("{at} is called {}", ty.name));
        }
        let size = memory.shallow_size(Addr(object.address), ty);
        if object.size.is_some() && size != object.size && !ty.estimated {
            wrong_size.entry(name.into()).or_default().push(format!("{at} {:?} not {:?}", size, object.size));
        }
    }
    finish([
        some("objects are not in the index", &missing),
        some("objects have another type", &wrong_type),
        some("types have another name", &wrong_name),
        some("objects have another size", &wrong_size),
    ])
}

/// The index holds nothing that the target does not hold: for every type that the collector tracks, the tracked
/// objects of the index are the target's.
fn check_nothing_more(heap: &Heap, truth: &Truth) -> Result<(), String> {
    let known: HashSet<u64> = truth.objects.iter().map(|o| o.address).collect();
    let memory = heap.memory();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, addr, ty) in heap.objects().iter() {
        let ty = heap.types().get(ty);
        // types that no tracked object leads to are not in the record; none of their objects may be tracked
        let true_type = truth.types.get(&ty.address.0);
        if known.contains(&addr.0) {
            continue;
        }
        // static types have no GC header
        let flags_at = addr + memory.layout.structs.type_object.tp_flags;
        let is_static = ty.is_metatype() && memory.reader.u64(flags_at).is_some_and(|f| f & flags::HEAPTYPE == 0);
        let tracked = if free_threaded(heap) {
            // ob_gc_bits of `PyObject` (3.13), whose lowest bit is _PyGC_BITS_TRACKED
            memory.reader.u8(addr + 11).is_some_and(|bits| bits & 1 != 0)
        } else {
            ty.head >= 16 && !is_static && memory.reader.u64(addr - 16).is_some_and(|next| next != 0)
        };
        // a static type that was never made ready is believed when there are objects of it: both have to be real
        let unready_type =
            ty.is_metatype() && heap.types().id_of(addr).is_some_and(|t| !heap.types().get(t).is_ready());
        if true_type.is_some_and(|t| t.is_own()) || tracked || !ty.is_ready() || unready_type {
            let words = [-2i64, -1, 0, 1, 2, 3].map(|i| memory.reader.u64(addr + (i * 8) as u64).unwrap_or_default());
            let told = format!("{addr} in {:?}, words from its GC header on {words:x?}", piece_of(heap, addr));
            extra.entry(ty.name.clone()).or_default().push(told);
        }
    }
    finish([some("objects are in the index and not in the target", &extra)])
}

/// The containers whose referents must be equal as sets. Keys of a dict that are str are owned and not shown to the
/// collector; they are left out on both sides.
fn is_container(name: &str) -> bool {
    matches!(
        name,
        "list"
            | "tuple"
            | "dict"
            | "set"
            | "frozenset"
            | "collections.deque"
            | "collections.defaultdict"
            | "collections.OrderedDict"
            | "collections.Counter"
    )
}

/// Whether every value of a big dict is its own key: the interpreter's table of interned strings.
fn is_table_of_interned(heap: &Heap, addr: Addr) -> bool {
    let (mut entries, mut same) = (0, 0);
    heap.memory().dict_entries(addr, |_, key, value| {
        entries += 1;
        same += u32::from(key == value);
        true
    });
    entries > 1000 && same == entries
}

/// Whether this is a dict that shows the values which lie in an instance (3.13; offsets of `PyDictObject.ma_values`
/// and `PyDictValues.embedded`).
fn shows_inline_values(heap: &Heap, addr: Addr) -> bool {
    let reader = heap.snapshot().reader();
    let is_dict = heap.object_at(addr).is_some_and(|(_, t)| t.name == "dict");
    let values = reader.pointer(addr + header(heap) + 24).filter(|v| !v.is_null());
    is_dict && heap.interpreter().version.minor >= (3, 13) && values.is_some_and(|v| reader.u8(v + 2) == Some(1))
}

/// Objects whose referents an object's `tp_traverse` shows as its own: the links of an lru_cache, which its dict
/// holds, and the StgDict of a ctypes class.
fn shown_through(heap: &Heap, name: &str, ty: &Type, found: &HashSet<u64>) -> Vec<Addr> {
    let memory = heap.memory();
    let is = |addr: &Addr, name: &str| heap.object_at(*addr).is_some_and(|(_, t)| t.name == name);
    let held = found.iter().map(|a| Addr(*a));
    if name == "functools._lru_cache_wrapper" {
        let mut links = Vec::new();
        for dict in held.filter(|a| is(a, "dict")) {
            memory.dict_entries(dict, |_, _, value| {
                links.extend(is(&value, "functools._lru_list_elem").then_some(value));
                true
            });
        }
        links
    } else if ty.is_metatype() {
        held.filter(|a| is(a, "StgDict")).collect()
    } else {
        Vec::new()
    }
}

fn check_referents(heap: &Heap, truth: &Truth) -> Result<(), String> {
    let memory = heap.memory();
    let records: HashMap<u64, &TruthObject> = truth.objects.iter().map(|o| (o.address, o)).collect();
    let str_type = truth.types.values().find(|t| t.name == "str").expect("str is a type").address;
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut extra = missing.clone();
    let (mut edges, mut guessed) = (0u64, 0u64);
    let mut guessed_types: BTreeMap<&str, u64> = BTreeMap::new();
    for object in &truth.objects {
        let Some((_, ty)) = heap.object_at(Addr(object.address)) else { continue };
        let name = truth.type_name(object.type_address);
        if matches!(name, "module" | "PyCapsule") {
            continue; // what C state holds is known to its m_traverse only
        }
        if name == "dict" && shows_inline_values(heap, Addr(object.address)) {
            continue; // compared below, with the instance that it shows
        }
        let mut told: HashSet<u64> = object.referents.iter().copied().collect();
        let mut found = HashSet::new();
        let mut keys = HashSet::new();
        let mut own_dict = None;
        memory.visit_edges(Addr(object.address), ty, heap.types(), &mut |edge: EdgeName<'_>, kind, target: Addr| {
            let Some((_, target_type)) = heap.object_at(target) else { return };
            edges += 1;
            if edge == EdgeName::Dict {
                own_dict = Some(target.0);
            }
            match kind {
                EdgeKind::Guessed => {
                    guessed += 1;
                    *guessed_types.entry(&ty.name).or_default() += 1;
                }
                // 3.14 and later: what a frame borrows (a constant, say) is shown to the collector like what it owns
                EdgeKind::Weak if matches!(name, "generator" | "coroutine" | "async_generator" | "frame") => {}
                EdgeKind::Weak => return,
                EdgeKind::Strong => {}
            }
            // keys that are str are owned and not shown to the collector
            let unshown_key = edge == EdgeName::Key && target_type.address.0 == str_type;
            // 3.15: a bytearray owns the bytes object that is its storage, and has no tp_traverse to show it (nor
            // has a subclass, whose subtype_traverse asks the base's)
            let storage = edge == EdgeName::Field("ob_bytes_object");
            if unshown_key || storage {
                keys.insert(target.0);
            } else {
                found.insert(target.0);
            }
        });
        // 3.13.0 shows an instance's values as the instance's, later patch releases as those of the dict that shows
        // them: the two are taken together
        // (3.13: the values lie behind the object's header)
        let own_values = Some(Addr(object.address + header(heap)));
        let shows_own = |d: &u64| {
            shows_inline_values(heap, Addr(*d)) && memory.reader.pointer(Addr(*d + header(heap) + 24)) == own_values
        };
        if let Some(dict) = own_dict.filter(|d| ty.has(flags::INLINE_VALUES) && shows_own(d)) {
            found.remove(&dict);
            told.remove(&dict);
            told.extend(records.get(&dict).iter().flat_map(|d| &d.referents));
            memory.dict_entries(Addr(dict), |_, _, value| {
                found.insert(value.0);
                true
            });
        }
        let own = truth.types.get(&object.type_address).is_some_and(|t| t.is_own());
        let extra_before: HashSet<u64> = found.clone();
        for through in shown_through(heap, name, ty, &found) {
            heap.memory().visit_edges(
                through,
                heap.object_at(through).unwrap().1,
                heap.types(),
                &mut |_: EdgeName<'_>, _, t: Addr| {
                    found.insert(t.0);
                },
            );
        }
        for target in told.iter().filter(|t| !found.contains(t) && !keys.contains(t)) {
            let what = heap.object_at(Addr(*target)).map_or("?", |(_, t)| t.name.as_str());
            missing.entry(name.into()).or_default().push(format!("{:#x} holds {target:#x}, a {what}", object.address));
        }
        if is_container(name) || own && !ty.is_metatype() {
            // a string may be interned after the record, by C code of a thread that waits (seen on 3.15)
            let grown = name == "dict" && is_table_of_interned(heap, Addr(object.address));
            for target in extra_before.difference(&told).filter(|t| !grown || records.contains_key(t)) {
                let what = heap.object_at(Addr(*target)).map_or("?", |(_, t)| t.name.as_str());
                extra.entry(name.into()).or_default().push(format!("{:#x} to {target:#x}, a {what}", object.address));
            }
        }
    }
    let many_guessed =
        (guessed * 50 > edges).then(|| format!("{guessed} of {edges} edges are guessed: {guessed_types:?}"));
    finish([some("referents are not found", &missing), some("edges are not referents", &extra), many_guessed])
}
