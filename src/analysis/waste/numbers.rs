//! Numbers that lists and tuples hold as objects, where an array would hold them as they are.

use super::{Found, Object, row};
use crate::analysis::answers::WasteRow;
use crate::cpython::Count;
use crate::cpython::layout::DecoderName;
use crate::heap::Heap;
use crate::text::{count, size};

/// Shorter lists are not worth an array.
const MANY: u64 = 100;

/// An array of 64-bit ints holds numbers of up to so many digits of 30 bits.
const MAX_DIGITS: u64 = 3;

/// Lists and tuples of floats alone, of ints alone.
#[derive(Debug, Default)]
pub(super) struct Boxed {
    floats: Vec<Found>,
    ints: Vec<Found>,
}

impl Boxed {
    pub(super) fn look(&mut self, object: &Object<'_, '_>) -> Option<()> {
        let memory = object.memory;
        let s = &memory.layout.structs;
        let len = u64::try_from(memory.ob_size(object.addr)?).ok()?.min(memory.reader.words());
        if len < MANY || object.ty.is_heap_type() {
            return Some(());
        }
        let first = match object.ty.decoder {
            DecoderName::List => memory.reader.pointer(object.addr + s.list.ob_item)?,
            _ => object.addr + s.tuple.ob_item,
        };
        let types = object.heap.types();
        let mut of = None;
        let mut bytes = 0;
        let mut boxed = 0;
        for i in 0..len {
            let item = memory.reader.pointer(first + i * 8)?;
            let ty = types.get(types.id_of(memory.type_of(item)?)?);
            let is_number = matches!(ty.decoder, DecoderName::Float | DecoderName::Int) && !ty.is_heap_type();
            if !is_number || *of.get_or_insert(ty.decoder) != ty.decoder {
                return Some(());
            }
            if ty.decoder == DecoderName::Int && memory.int_digits(item)?.0 > MAX_DIGITS {
                return Some(());
            }
            // one that others hold too stays
            if memory.count(item) == Some(Count::Live(1)) {
                bytes += memory.shallow_size(item, ty)?;
                boxed += 1;
            }
        }
        let into = if of == Some(DecoderName::Float) { &mut self.floats } else { &mut self.ints };
        if boxed > 0 {
            into.push(Found { bytes, count: boxed, id: object.id });
        }
        Some(())
    }

    pub(super) fn merge(&mut self, other: Boxed) {
        self.floats.extend(other.floats);
        self.ints.extend(other.ints);
    }

    pub(super) fn rows(self, heap: &Heap) -> Vec<WasteRow> {
        let of = |kind, what: &'static str, code: char, found| {
            row(heap, kind, found, |n, bytes| {
                format!(
                    "{} {what} are objects that only a list or tuple of {what} holds: {}; array.array('{code}') or NumPy \
                     holds them as numbers.",
                    count(n),
                    size(bytes)
                )
            })
        };
        vec![of("boxed_float", "floats", 'd', self.floats), of("boxed_int", "ints", 'q', self.ints)]
    }
}
