//! How long strings are, and which values there are more than once.

use super::answers::{DuplicateRow, LengthRow, Strings};
use super::describe::{DEFAULT_WIDTH, describe};
use super::types::{find_types, select};
use crate::heap::{Heap, ObjectId};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

/// One string: hash of its value, length, shallow size.
type Entry = (u64, u64, u64, ObjectId);

/// Strings of at most this many duplicated values are listed.
const MAX_ROWS: usize = 10_000;

/// The str objects of a heap, or its bytes objects. Values are compared by length and a 64-bit hash. Reads every
/// string once.
pub fn strings(heap: &Heap, bytes: bool) -> Strings {
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
    let mut groups: Vec<(u64, u64, ObjectId)> = entries
        .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .filter(|g| g.len() > 1)
        .filter_map(|g| Some((g.iter().skip(1).map(|e| e.2).sum(), g.len() as u64, g.first()?.3)))
        .collect();
    groups.sort_unstable_by_key(|(wasted, count, id)| (std::cmp::Reverse((*wasted, *count)), *id));
    groups.truncate(MAX_ROWS);
    let duplicates = groups
        .into_iter()
        .filter_map(|(wasted_bytes, count, id)| {
            let (_, ty) = heap.type_of(id)?;
            let summary = describe(&memory, heap.types(), heap.objects().address(id), ty, DEFAULT_WIDTH);
            Some(DuplicateRow { summary, count, wasted_bytes })
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
