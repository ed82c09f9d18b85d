//! Types with their objects, and the objects of a type.

use super::answers::{ObjectRow, Objects, RefCount, RetainedType, RetainedTypes, Total, TypeRow, Types};
use super::describe::{DEFAULT_WIDTH, describe};
use crate::cpython::types::{Type, TypeId, TypeTable};
use crate::cpython::{Count, Memory};
use crate::heap::dominators::Node;
use crate::heap::{Heap, ObjectId, Tally};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// Chains of bases longer than this are damaged.
const MAX_BASES: usize = 1000;

/// Every type that has objects, biggest first. During a scan, as far as it has come.
pub fn types(table: &TypeTable, tally: &Tally) -> Types {
    collect(table, |id| tally.get(id))
}

fn collect(table: &TypeTable, of: impl Fn(TypeId) -> (u64, u64)) -> Types {
    let mut total = Total::default();
    let mut rows: Vec<TypeRow> = Vec::new();
    for (id, ty) in table.iter() {
        let (count, shallow_bytes) = of(id);
        if count > 0 {
            total.count += count;
            total.shallow_bytes = total.shallow_bytes.saturating_add(shallow_bytes);
            rows.push(TypeRow { name: ty.name.clone(), address: ty.address, count, shallow_bytes });
        }
    }
    rows.sort_by(|a, b| b.shallow_bytes.cmp(&a.shallow_bytes).then_with(|| a.name.cmp(&b.name)));
    Types { types: rows, total }
}

/// The types of some objects, biggest first.
pub fn types_of(heap: &Heap, ids: &[ObjectId]) -> Types {
    let sums = ids.par_chunks(1 << 14).map(|ids| {
        let memory = heap.memory();
        let mut sums = vec![(0u64, 0u64); heap.types().len()];
        for id in ids {
            let Some((id, ty, address)) = heap.type_of(*id).map(|(t, ty)| (t, ty, heap.objects().address(*id))) else {
                continue;
            };
            let sum = &mut sums[id.0 as usize];
            *sum = (sum.0 + 1, sum.1.saturating_add(memory.shallow_size(address, ty).unwrap_or(0)));
        }
        sums
    });
    let none = || vec![(0, 0); heap.types().len()];
    let sums = sums.reduce(none, |mut all, part| {
        all.iter_mut().zip(part).for_each(|(sum, more)| *sum = (sum.0 + more.0, sum.1.saturating_add(more.1)));
        all
    });
    collect(heap.types(), |id| sums[id.0 as usize])
}

/// The same with what the objects of each type keep alive together, and sorted by it. Needs dominators.
pub fn types_retained(heap: &Heap, progress: &Progress) -> Result<RetainedTypes, Cancelled> {
    let sums = heap.dominators(progress)?.by_type(heap, progress)?;
    let Types { types, total } = types(heap.types(), heap.tally());
    let retained = |row: &TypeRow| heap.types().id_of(row.address).and_then(|id| sums.get(id.0 as usize)).copied();
    let row = |row: TypeRow| RetainedType { retained_bytes: retained(&row).unwrap_or(0), row };
    let mut types: Vec<RetainedType> = types.into_iter().map(row).collect();
    types.sort_by(|a, b| b.retained_bytes.cmp(&a.retained_bytes).then_with(|| a.row.name.cmp(&b.row.name)));
    Ok(RetainedTypes { types, total })
}

/// The types that a person means: one by its address, or all that have a name; with subclasses on demand.
pub fn find_types(heap: &Heap, name: &str, subclasses: bool) -> Vec<TypeId> {
    let table = heap.types();
    let address = Addr::parse(name).and_then(|a| table.id_of(a));
    let named = || table.iter().filter(|(_, t)| t.name == name).map(|(id, _)| id).collect::<Vec<_>>();
    // a class may be called `abc`: the name goes before the address it could be read as
    let mut found = named();
    if found.is_empty() {
        found.extend(address);
    }
    if subclasses {
        let bases = found.clone();
        let derived = table.iter().map(|(id, _)| id).filter(|id| bases.iter().any(|b| table.derives(*id, *b)));
        found.extend(derived.collect::<Vec<_>>());
        found.sort_unstable();
        found.dedup();
    }
    found
}

/// The objects of some types (`None`: all objects), in address order. Reads no memory of the target.
pub fn select(heap: &Heap, types: Option<&[TypeId]>) -> Vec<ObjectId> {
    let index = heap.objects();
    match types {
        None => (0..index.len() as u32).map(ObjectId).collect(),
        Some(types) => {
            let mut wanted = vec![false; heap.types().len()];
            for id in types {
                wanted[id.0 as usize] = true;
            }
            let of_window = |i| index.window(i).filter(|(_, _, ty)| wanted[ty.0 as usize]).map(|(id, _, _)| id);
            (0..index.window_count()).into_par_iter().flat_map_iter(of_window).collect()
        }
    }
}

/// The rows of a window on a list of objects.
pub fn rows(heap: &Heap, ids: &[ObjectId], offset: u64, limit: u64) -> Objects {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(ids.len());
    let to = from.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(ids.len());
    let memory = heap.memory();
    let objects = ids[from..to].iter().filter_map(|id| object_row(heap, &memory, *id)).collect();
    Objects { objects, total: ids.len() as u64, offset: from as u64 }
}

/// One object in a line.
pub fn object_row(heap: &Heap, memory: &Memory<'_>, id: ObjectId) -> Option<ObjectRow> {
    let address = heap.objects().address(id);
    let (_, ty) = heap.type_of(id)?;
    Some(ObjectRow {
        address,
        type_name: ty.name.clone(),
        type_address: ty.address,
        refcount: refcount(memory, address),
        shallow_bytes: memory.shallow_size(address, ty).unwrap_or(0),
        retained_bytes: heap.built_dominators().map(|tree| tree.retained(Node::Object(id))),
        estimated: is_estimate(heap, ty),
        summary: describe(memory, heap.types(), address, ty, DEFAULT_WIDTH),
    })
}

/// A reference count as people read it.
pub fn refcount(memory: &Memory<'_>, address: Addr) -> RefCount {
    match memory.count(address) {
        Some(Count::Live(n)) => RefCount::Count(i64::from(n)),
        Some(Count::Immortal) => RefCount::Immortal,
        _ => RefCount::Count(0),
    }
}

/// Whether a size is only an estimate: a class of the program, or a C type that is not in the version's table, says
/// its own `__sizeof__`.
pub fn is_estimate(heap: &Heap, ty: &Type) -> bool {
    let memory = heap.memory();
    let says_its_own = |class: &Type| {
        let own = || memory.reader.pointer(class.address + memory.layout.structs.type_object.tp_dict);
        let dict = heap.types().static_dict(class.address).or_else(own);
        dict.is_some_and(|d| memory.dict_get(d, "__sizeof__").is_some())
    };
    let known = |class: &Type| {
        let entry = memory.layout.objects.get(&class.name);
        entry.is_some_and(|e| e.size == class.basicsize as i64)
    };
    let bases = std::iter::successors(Some(ty), |t| t.base.map(|b| heap.types().get(b)));
    ty.estimated || bases.take(MAX_BASES).take_while(|t| !known(t)).any(says_its_own)
}
