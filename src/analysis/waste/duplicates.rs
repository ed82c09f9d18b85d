//! Values that there are more than once: str, bytes, tuples.
//!
//! Values are compared by a 64-bit hash. A tuple is its items: numbers, texts and tuples by value, all others by address.

use super::{Found, Object, row};
use crate::analysis::answers::WasteRow;
use crate::cpython::layout::DecoderName;
use crate::cpython::types::Type;
use crate::cpython::{MAX_ITEMS, Memory};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use crate::text::{count, size};
use rayon::prelude::*;
use std::hash::{DefaultHasher, Hasher};

/// Tuples within tuples that are looked into, and items of all of them together.
const MAX_DEPTH: u32 = 4;
const MAX_ITEMS_HASHED: u64 = 1 << 16;

/// One object: hash of its value, shallow size (0: it is never freed), number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u64,
    size: u32,
    id: ObjectId,
}

/// All values by kind.
#[derive(Debug, Default)]
pub(super) struct Values {
    strs: Vec<Entry>,
    bytes: Vec<Entry>,
    tuples: Vec<Entry>,
}

impl Values {
    pub(super) fn look(&mut self, object: &Object<'_, '_>) -> Option<()> {
        let into = match object.ty.decoder {
            DecoderName::Str => &mut self.strs,
            DecoderName::Bytes => &mut self.bytes,
            _ => &mut self.tuples,
        };
        // subclasses have more than their value
        if object.ty.is_heap_type() {
            return Some(());
        }
        let (heap, memory) = (object.heap, object.memory);
        let mut hash = Hash { heap, memory, hasher: DefaultHasher::new(), left: MAX_ITEMS_HASHED };
        hash.value(object.addr, object.ty, 0)?;
        let size = if object.is_mortal() { u32::try_from(object.size()?).unwrap_or(u32::MAX) } else { 0 };
        into.push(Entry { hash: hash.hasher.finish(), size, id: object.id });
        Some(())
    }

    pub(super) fn merge(&mut self, other: Values) {
        self.strs.extend(other.strs);
        self.bytes.extend(other.bytes);
        self.tuples.extend(other.tuples);
    }

    pub(super) fn rows(self, heap: &Heap) -> Vec<WasteRow> {
        let of = |kind, what: &'static str, advice: &'static str, entries| {
            row(heap, kind, groups(entries), |n, bytes| {
                format!("{} {what} are copies of others that are equal: {}; {advice}.", count(n), size(bytes))
            })
        };
        vec![
            of("duplicate_str", "str", "intern them (sys.intern), or keep one in a dict", self.strs),
            of("duplicate_bytes", "bytes", "keep one in a dict", self.bytes),
            of("duplicate_tuple", "tuples", "keep one in a dict", self.tuples),
        ]
    }
}

/// Equal values: all but one could go.
fn groups(mut entries: Vec<Entry>) -> Vec<Found> {
    entries.par_sort_unstable();
    let wasted = |group: &[Entry]| {
        let lasting = group.iter().any(|e| e.size == 0);
        // the smallest stays, unless one stays anyway
        let skip = if lasting { group.iter().filter(|e| e.size == 0).count() } else { 1 };
        let rest = group.get(skip..).unwrap_or(&[]);
        let bytes = rest.iter().map(|e| u64::from(e.size)).sum();
        rest.first().map(|e| Found { bytes, count: rest.len() as u64, id: e.id })
    };
    entries.chunk_by(|a, b| a.hash == b.hash).filter_map(wasted).collect()
}

/// A value that is hashed.
struct Hash<'r, 's> {
    heap: &'r Heap,
    memory: &'r Memory<'s>,
    hasher: DefaultHasher,
    /// Items that may still be looked at.
    left: u64,
}

impl Hash<'_, '_> {
    fn data(&mut self, at: Addr, len: u64, mark: u8) {
        self.hasher.write_u8(mark);
        self.hasher.write_u64(len);
        self.memory.reader.chunks(at, len).for_each(|(_, piece)| self.hasher.write(piece));
    }

    /// Adds an object's value.
    fn value(&mut self, addr: Addr, ty: &Type, depth: u32) -> Option<()> {
        let memory = self.memory;
        let s = &memory.layout.structs;
        match ty.decoder {
            _ if ty.is_heap_type() => self.hasher.write_u64(addr.0),
            DecoderName::Str => {
                let text = memory.str_at(addr)?;
                self.data(text.data, text.len.checked_mul(u64::from(text.width))?, b's' + text.width);
            }
            DecoderName::Bytes => self.data(addr + s.bytes.ob_sval, u64::try_from(memory.ob_size(addr)?).ok()?, b'b'),
            DecoderName::Int => {
                let (digits, sign) = memory.int_digits(addr).filter(|(n, _)| *n < MAX_ITEMS)?;
                self.hasher.write_i8(sign);
                self.data(addr + s.long.ob_digit, digits * 4, b'i');
            }
            DecoderName::Float => self.data(addr + s.float.ob_fval, 8, b'f'),
            DecoderName::Tuple if depth < MAX_DEPTH => {
                let len = ty.items.or_else(|| u64::try_from(memory.ob_size(addr)?).ok())?;
                self.hasher.write_u8(b't');
                self.hasher.write_u64(len);
                if len > self.left {
                    self.data(addr + s.tuple.ob_item, len.min(memory.reader.words()) * 8, b'p');
                    return Some(());
                }
                self.left -= len;
                for i in 0..len {
                    let item = memory.reader.pointer(addr + s.tuple.ob_item + i * 8)?;
                    match memory.type_of(item).and_then(|t| self.heap.types().id_of(t)) {
                        Some(ty) => self.value(item, self.heap.types().get(ty), depth + 1)?,
                        None => self.hasher.write_u64(item.0),
                    }
                }
            }
            _ => self.hasher.write_u64(addr.0),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_one_of_equal_values_could_go() {
        let entry = |hash, size, id| Entry { hash, size, id: ObjectId(id) };
        let found = groups(vec![entry(7, 60, 1), entry(9, 50, 2), entry(7, 64, 3), entry(7, 60, 4), entry(8, 0, 5)]);
        let facts: Vec<_> = found.iter().map(|f| (f.bytes, f.count)).collect();
        assert_eq!(facts, [(124, 2)]);
        // one that is never freed stays anyway
        let found = groups(vec![entry(7, 60, 1), entry(7, 0, 2), entry(7, 0, 3), entry(7, 60, 4)]);
        assert_eq!(found.iter().map(|f| (f.bytes, f.count)).collect::<Vec<_>>(), [(120, 2)]);
    }
}
