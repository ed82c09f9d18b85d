//! Instances that would shrink with `__slots__`, class by class.
//!
//! What an instance takes now is its block and its attributes' table; with slots it is a header and a word for each
//! name. Only classes whose instances are plain (no built-in type below but `object`) and set much the same names.

use super::{Found, Object, row};
use crate::analysis::answers::{WasteExample, WasteRow};
use crate::cpython::layout::{AttributesVariant, DecoderName};
use crate::cpython::types::{Attributes, Type, TypeId, flags};
use crate::cpython::{AttributeStore, Memory};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use crate::text::{count, size};
use std::collections::{HashMap, HashSet};

/// Fewer instances are not worth a change.
const MANY: u64 = 100;

/// Names of a class that are told apart; with more it is used as a dict.
const MAX_NAMES: usize = 100;

/// The instances of a class.
#[derive(Debug, Default)]
struct Class {
    count: u64,
    /// What they take now.
    bytes: u64,
    /// Attributes that are set, over all of them.
    attributes: u64,
    names: HashSet<Addr>,
    one: Option<ObjectId>,
}

/// All classes.
#[derive(Debug, Default)]
pub(super) struct Classes(HashMap<TypeId, Class>);

/// Whether instances of a class are a header and attributes, and nothing else.
pub(super) fn is_plain(heap: &Heap, ty: &Type) -> bool {
    let known = |t: &Type| t.is_heap_type() || t.name == "object";
    ty.is_heap_type()
        && !ty.is_metatype()
        && ty.attributes != Attributes::None
        && ty.itemsize == 0
        && ty.slots.is_empty()
        && ty.unknown_words.is_empty()
        && ty.decoder == DecoderName::Fields
        && heap.types().bases(ty).all(known)
        && ty.has(flags::HAVE_GC)
}

impl Classes {
    pub(super) fn look(&mut self, object: &Object<'_, '_>) -> Option<()> {
        let (memory, addr, ty) = (object.memory, object.addr, object.ty);
        let mut names = Vec::new();
        let mut note = |_, key, _| {
            names.push(key);
            names.len() <= MAX_NAMES
        };
        let mut bytes = object.size()?;
        match memory.attributes_of(addr, ty)? {
            AttributeStore::Nothing => {}
            AttributeStore::Dict(dict) => {
                let types = object.heap.types();
                let ty = types.get(types.id_of(memory.type_of(dict)?)?);
                bytes = bytes.saturating_add(memory.shallow_size(dict, ty)?);
                memory.dict_entries(dict, note)?;
            }
            AttributeStore::Values(values) => {
                bytes += values_bytes(memory, ty)?;
                let keys = memory.keys_at(ty.cached_keys)?;
                memory.entries(&keys, values, &mut note)?;
            }
        }
        bytes += memory.inline_values_size(addr, ty).unwrap_or(0);
        let class = self.0.entry(object.type_id).or_default();
        class.count += 1;
        class.bytes = class.bytes.saturating_add(bytes);
        class.attributes += names.len() as u64;
        class.one.get_or_insert(object.id);
        if class.names.len() <= MAX_NAMES {
            class.names.extend(names);
        }
        Some(())
    }

    pub(super) fn merge(&mut self, other: Classes) {
        for (id, more) in other.0 {
            let class = self.0.entry(id).or_default();
            class.count += more.count;
            class.bytes = class.bytes.saturating_add(more.bytes);
            class.attributes += more.attributes;
            class.one = class.one.or(more.one);
            if class.names.len() <= MAX_NAMES {
                class.names.extend(more.names);
            }
        }
    }

    pub(super) fn rows(self, heap: &Heap) -> Vec<WasteRow> {
        let layout = heap.interpreter().layout;
        // the header that a plain object has: with counts split it holds what the collector needs, else that precedes it
        let gc = if layout.structs.object.ob_gc_bits.is_some() { 0 } else { layout.structs.gc_head.size };
        let header = gc + layout.structs.object.size;
        let mut found = Vec::new();
        let mut names = HashMap::new();
        for (id, class) in &self.0 {
            let slots = class.names.len() as u64;
            // most instances set most names
            let alike = slots * class.count <= class.attributes * 2 && class.names.len() <= MAX_NAMES;
            let with_slots = class.count * (header + slots * 8);
            if let Some(one) =
                class.one.filter(|_| alike && slots > 0 && class.count >= MANY && class.bytes > with_slots)
            {
                found.push(Found { bytes: class.bytes - with_slots, count: class.count, id: one });
                names.insert(heap.objects().address(one), (*id, slots));
            }
        }
        let mut row = row(heap, "no_slots", found, |n, bytes| {
            format!("{} instances would shrink with __slots__: by {} together.", count(n), size(bytes))
        });
        for example in &mut row.examples {
            let Some((id, slots)) = names.get(&example.address) else { continue };
            *example = of_class(heap.types().get(*id), *slots, example);
        }
        vec![row]
    }
}

fn of_class(class: &Type, slots: u64, example: &WasteExample) -> WasteExample {
    let each = example.bytes / example.count.max(1);
    WasteExample {
        address: class.address,
        type_name: class.name.clone(),
        summary: format!("{} instances with {slots} attributes; __slots__ saves {each} B each", count(example.count)),
        ..example.clone()
    }
}

/// Bytes of the values that an instance keeps apart from itself (3.11 and 3.12: a few bytes of order, then the values).
fn values_bytes(memory: &Memory<'_>, ty: &Type) -> Option<u64> {
    if !matches!(memory.layout.variants.attributes, AttributesVariant::ValuesDict | AttributesVariant::Tagged) {
        return Some(0); // in the object itself
    }
    let usable = memory.reader.u64(ty.cached_keys + memory.layout.structs.keys.dk_usable)?;
    let slots = memory.keys_at(ty.cached_keys)?.count + usable.min(1 << 10);
    Some((slots + 2).next_multiple_of(8) + slots * 8)
}
