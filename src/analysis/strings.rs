//! How long strings are, and which values there are more than once. A query chooses among these values; lengths are
//! always those of all strings.

use super::answers::{DuplicateRow, LengthRow, Strings};
use super::describe::{DEFAULT_WIDTH, describe};
use super::query::objects::value_of;
use super::query::{Cell, ListQuery, Sort, Spec, spec};
use super::types::{find_types, select};
use crate::cpython::Memory;
use crate::heap::{Heap, ObjectId};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

/// One string: hash of its value, length, shallow size.
type Entry = (u64, u64, u64, ObjectId);

/// A value that there is more than once.
#[derive(Clone, Copy)]
struct Group {
    wasted: u64,
    count: u64,
    len: u64,
    /// One of the strings.
    id: ObjectId,
}

/// Values that are looked at by one thread at a time.
const BATCH: usize = 1 << 10;

/// The fields of values that there are more than once.
pub const FIELDS: &[Spec] = &[
    spec("value", Sort::Any),
    spec("len", Sort::Number),
    spec("count", Sort::Number),
    spec("wasted", Sort::Number),
    spec("address", Sort::Number),
];

fn is_meant(query: &ListQuery, heap: &Heap, memory: &Memory<'_>, group: &Group) -> bool {
    query.matches(&|name| match name {
        "value" => value_of(heap, memory, group.id),
        "len" => Cell::Int(group.len.into()),
        "count" => Cell::Int(group.count.into()),
        "wasted" => Cell::Int(group.wasted.into()),
        "address" => Cell::Int(heap.objects().address(group.id).0.into()),
        _ => Cell::Missing,
    })
}

/// Strings of at most this many duplicated values are listed.
const MAX_ROWS: usize = 10_000;

/// The str objects of a heap, or its bytes objects; of the values that there are more than once, those that the query
/// means. Values are compared by length and a 64-bit hash. Reads every string once.
pub fn strings(heap: &Heap, bytes: bool, query: Option<&ListQuery>) -> Strings {
    let types = find_types(heap, if bytes { "bytes" } else { "str" }, true);
    let ids = select(heap, Some(&types));
    let mut entries: Vec<Entry> = ids
        .par_chunks(1 << 14)
        .flat_map_iter(|chunk| {
            let memory = heap.memory();
            let entry = move |id: &ObjectId| {
                let address = heap.objects().address(*id);
                let (_, ty) = heap.type_of(*id)?;
                let size = memory.shallow_size(address, ty)?;
                let (data, len, width) = if bytes {
                    let len = u64::try_from(memory.ob_size(address)?).ok()?;
                    (address + memory.layout.structs.bytes.ob_sval, len, 1)
                } else {
                    let text = memory.str_at(address)?;
                    (text.data, text.len, u64::from(text.width))
                };
                let mut hasher = DefaultHasher::new();
                hasher.write_u64(width);
                for (_, piece) in memory.reader.chunks(data, len.checked_mul(width)?) {
                    hasher.write(piece);
                }
                Some((hasher.finish(), len, size, *id))
            };
            chunk.iter().filter_map(entry).collect::<Vec<_>>()
        })
        .collect();
    let mut histogram: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (_, len, size, _) in &entries {
        let row = histogram.entry(bucket(*len)).or_default();
        row.0 += 1;
        row.1 += size;
    }
    entries.par_sort_unstable();
    let memory = heap.memory();
    let mut groups: Vec<Group> = entries
        .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .filter(|g| g.len() > 1)
        .filter_map(|g| {
            let (_, len, _, id) = *g.first()?;
            Some(Group { wasted: g.iter().skip(1).map(|e| e.2).sum(), count: g.len() as u64, len, id })
        })
        .collect();
    if let Some(query) = query {
        let meant = |groups: &[Group]| {
            let memory = heap.memory();
            groups.iter().copied().filter(|group| is_meant(query, heap, &memory, group)).collect::<Vec<_>>()
        };
        groups = groups.par_chunks(BATCH).flat_map_iter(meant).collect();
    }
    groups.sort_unstable_by_key(|group| (std::cmp::Reverse((group.wasted, group.count)), group.id));
    groups.truncate(MAX_ROWS);
    let duplicates = groups
        .into_iter()
        .filter_map(|group| {
            let (_, ty) = heap.type_of(group.id)?;
            let address = heap.objects().address(group.id);
            let summary = describe(&memory, heap.types(), address, ty, DEFAULT_WIDTH);
            let (length, count, wasted_bytes) = (group.len, group.count, group.wasted);
            Some(DuplicateRow { address, summary, length, count, wasted_bytes })
        })
        .collect();
    let histogram =
        histogram.into_iter().map(|(max_length, (count, bytes))| LengthRow { max_length, count, bytes }).collect();
    Strings { histogram, duplicates }
}

/// The longest length that is counted together with this one: 0, 1, 3, 7, 15, ….
fn bucket(len: u64) -> u64 {
    u64::MAX.checked_shr(len.leading_zeros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_grouped_by_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 7, 8, 1000].map(bucket), [0, 1, 3, 3, 7, 7, 15, 1023]);
    }
}
