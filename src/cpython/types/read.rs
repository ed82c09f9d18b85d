//! One type object: its basic facts, its name, its slots.
//!
//! What is read here comes from the type alone and is checked before it is believed; which decoder reads the type's
//! objects is decided in [`resolve`](super::resolve), once all types are known.

use super::{AddrTable, Attributes, Slot, Type, TypeId, flags};
use crate::cpython::layout::{AttributesVariant, DecoderName, Layout, SizeRule};
use crate::cpython::memory::{Count, Memory};
use crate::cpython::runtime::Interpreter;
use crate::image::Image;
use crate::snapshot::Addr;
use crate::text;

/// A type object whose basic facts make sense.
pub(super) struct Raw {
    pub(super) address: Addr,
    pub(super) metatype: Addr,
    pub(super) base: Addr,
    pub(super) flags: u64,
    pub(super) basicsize: u64,
    pub(super) itemsize: u64,
    pub(super) dictoffset: i64,
    pub(super) weaklistoffset: i64,
}

/// An object of a type that claims to be bigger than this is not believed.
const MAX_BASICSIZE: i64 = 1 << 20;

/// Longer names are cut.
const MAX_NAME: usize = 1000;

impl Raw {
    pub(super) fn read(memory: &Memory<'_>, interpreter: &Interpreter, address: Addr, metatype: Addr) -> Option<Raw> {
        let t = &memory.layout.structs.type_object;
        let reader = &memory.reader;
        if !matches!(memory.count(address)?, Count::Live(_) | Count::Immortal) {
            return None;
        }
        let flags = reader.u64(address + t.tp_flags)?;
        let basicsize = reader.i64(address + t.tp_basicsize)?;
        let itemsize = reader.i64(address + t.tp_itemsize)?;
        let name = reader.pointer(address + t.tp_name)?;
        let ready = || flags & flags::READY != 0 || never_ready(memory, interpreter, address, metatype, flags);
        let sane = (0..=MAX_BASICSIZE).contains(&basicsize)
            && (0..=MAX_BASICSIZE).contains(&itemsize)
            && (reader.c_string(name, MAX_NAME * 4).is_some() || flags & flags::HEAPTYPE != 0 && is_long(memory, name))
            && ready();
        sane.then_some(Raw {
            address,
            metatype,
            base: reader.pointer(address + t.tp_base)?,
            flags,
            basicsize: basicsize as u64,
            itemsize: itemsize as u64,
            dictoffset: reader.i64(address + t.tp_dictoffset)?,
            weaklistoffset: reader.i64(address + t.tp_weaklistoffset)?,
        })
    }

    pub(super) fn to_type(&self, memory: &Memory<'_>, by_address: &AddrTable) -> Type {
        let heap = self.flags & flags::HEAPTYPE != 0;
        let cached_keys = if heap {
            memory.reader.pointer(self.address + memory.layout.structs.heap_type.ht_cached_keys).unwrap_or_default()
        } else {
            Addr::NULL
        };
        Type {
            address: self.address,
            metatype: self.metatype,
            base: by_address.get(self.base).map(TypeId),
            name: name_of(memory, self.address, heap),
            flags: self.flags,
            basicsize: self.basicsize,
            itemsize: self.itemsize,
            head: head_of(memory.layout, self.flags),
            decoder: DecoderName::Fields,
            size_rule: SizeRule::Generic,
            estimated: false,
            fields: None,
            slots: Vec::new(),
            unknown_words: Vec::new(),
            unknown_items: false,
            items: None,
            attributes: self.attributes(memory.layout),
            cached_keys,
        }
    }

    fn attributes(&self, layout: &Layout) -> Attributes {
        let managed = self.flags & flags::MANAGED_DICT != 0;
        let inline = self.flags & flags::INLINE_VALUES != 0;
        match layout.variants.attributes {
            AttributesVariant::DictOffset => {}
            AttributesVariant::ValuesDict | AttributesVariant::Tagged if managed => {
                return Attributes::Managed { inline_at: None };
            }
            AttributesVariant::Inline if managed => {
                return Attributes::Managed { inline_at: inline.then_some(layout.structs.object.size) };
            }
            AttributesVariant::InlineAfter if managed => {
                return Attributes::Managed { inline_at: inline.then_some(self.basicsize) };
            }
            _ => {}
        }
        match self.dictoffset {
            0 => Attributes::None,
            d if d > 0 => Attributes::Offset(d as u64),
            // -1 without the flag would be a version that is read with the wrong table
            -1 => Attributes::None,
            d => Attributes::FromEnd(d),
        }
    }
}

/// Whether what lies at `address` is a static type that `PyType_Ready` has not seen: it lies in an image's data, its
/// name among the constants of the same image, and nothing is in it yet that only `PyType_Ready` writes.
fn never_ready(memory: &Memory<'_>, interpreter: &Interpreter, address: Addr, metatype: Addr, type_flags: u64) -> bool {
    let t = &memory.layout.structs.type_object;
    let r = &memory.reader;
    let within = |ranges: &[(Addr, Addr)], at: Addr| ranges.iter().any(|(start, end)| (*start..*end).contains(&at));
    let Some(name) = r.pointer(address + t.tp_name) else { return false };
    let constant =
        |image: &Image| within(&image.data, address) && within(&image.segments, name) && !within(&image.data, name);
    let blank = |offset: u64| r.pointer(address + offset).is_some_and(|p| p.is_null());
    metatype == interpreter.type_type
        && type_flags & (flags::HEAPTYPE | flags::READYING | flags::TYPE_SUBCLASS) == 0
        && blank(t.tp_mro)
        && blank(t.tp_dict)
        && r.i64(address + t.tp_basicsize).is_some_and(|n| n >= memory.layout.structs.object.size as i64)
        && r.c_string(name, MAX_NAME).is_some_and(is_dotted_name)
        && interpreter.images.iter().any(constant)
}

/// Whether text begins at `name` that goes on for longer than any name that is shown. Only a class can be called so.
fn is_long(memory: &Memory<'_>, name: Addr) -> bool {
    let begins = |bytes| std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
    memory.reader.slice(name, MAX_NAME * 4).is_some_and(begins)
}

/// `functools.KeyWrapper` and the like.
fn is_dotted_name(name: &[u8]) -> bool {
    name.split(|b| *b == b'.').all(|part| {
        part.first().is_some_and(|b| !b.is_ascii_digit())
            && part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    })
}

/// GC header (free-threaded builds have none) and pre-header (16 more), `Include/internal/pycore_object.h`,
/// `_PyType_PreHeaderSize`.
fn head_of(layout: &Layout, type_flags: u64) -> u64 {
    let gc = if type_flags & flags::HAVE_GC != 0 { layout.structs.gc_head.size } else { 0 };
    let pre = match layout.variants.attributes {
        AttributesVariant::DictOffset => 0,
        AttributesVariant::ValuesDict => type_flags & flags::MANAGED_DICT,
        _ => type_flags & (flags::MANAGED_DICT | flags::MANAGED_WEAKREF),
    };
    gc + if pre != 0 { 16 } else { 0 }
}

/// `f"{t.__module__}.{t.__qualname__}"`, without the module for builtins (`Objects/typeobject.c`, `type_module`).
fn name_of(memory: &Memory<'_>, address: Addr, heap: bool) -> String {
    let t = &memory.layout.structs.type_object;
    let reader = &memory.reader;
    let tp_name = reader
        .pointer(address + t.tp_name)
        .and_then(|n| reader.c_string(n, MAX_NAME * 4))
        .map(|n| String::from_utf8_lossy(n).chars().take(MAX_NAME).collect::<String>())
        .unwrap_or_default();
    let name = if heap {
        let qualname = reader
            .pointer(address + memory.layout.structs.heap_type.ht_qualname)
            .and_then(|q| memory.text(q, MAX_NAME))
            .map_or_else(|| tp_name.clone(), |(text, _)| text);
        let module = reader
            .pointer(address + t.tp_dict)
            .and_then(|d| memory.dict_get(d, "__module__"))
            .and_then(|m| memory.text(m, MAX_NAME))
            .map(|(text, _)| text);
        match module.as_deref() {
            None | Some("builtins") => qualname,
            Some(module) => format!("{module}.{qualname}"),
        }
    } else {
        tp_name.strip_prefix("builtins.").map_or(tp_name.clone(), str::to_owned)
    };
    text::sanitize(&name).into_owned()
}

/// The slots a class adds: its `member_descriptor`s of type object (`Objects/typeobject.c`, `type_new_slots`).
pub(super) fn own_slots(memory: &Memory<'_>, ty: &Type, member_descriptor: Option<Addr>) -> Vec<Slot> {
    const T_OBJECT: i32 = 6;
    const T_OBJECT_EX: i32 = 16;
    let s = &memory.layout.structs;
    let reader = &memory.reader;
    let mut slots = Vec::new();
    let has_slots = ty.is_heap_type()
        && reader.pointer(ty.address + s.heap_type.ht_slots).is_some_and(|p| !p.is_null())
        && member_descriptor.is_some();
    if !has_slots {
        return slots;
    }
    let Some(dict) = reader.pointer(ty.address + s.type_object.tp_dict) else { return slots };
    memory.dict_entries(dict, |_, key, value| {
        if memory.type_of(value) == member_descriptor {
            let def = reader.pointer(value + s.member_descr.d_member).unwrap_or_default();
            let kind = reader.i32(def + s.member_def.r#type);
            let offset = reader.i64(def + s.member_def.offset).and_then(|o| u64::try_from(o).ok());
            if let (Some(T_OBJECT | T_OBJECT_EX), Some(offset)) = (kind, offset)
                && offset.saturating_add(8) <= ty.basicsize
                && let Some((name, _)) = memory.text(key, MAX_NAME)
            {
                slots.push(Slot { name: text::sanitize(&name).into_owned(), offset });
            }
        }
        true
    });
    slots.sort_by_key(|s| s.offset);
    slots
}

/// Counts the items of a struct sequence: `n_fields` is with those that indexing does not show. A subclass of tuple
/// that no table knows is one when it says so in its dict, which may be kept apart from a static type
/// (`Objects/structseq.c`).
pub(super) fn structseq(memory: &Memory<'_>, ty: &mut Type, tuple: Option<TypeId>, dict: Option<Addr>) {
    let known = ty.decoder == DecoderName::Structseq;
    let may_be = ty.decoder == DecoderName::Tuple
        && tuple.is_some()
        && ty.base == tuple
        && ty.attributes == Attributes::None
        && ty.slots.is_empty();
    if !known && !may_be {
        return;
    }
    let dict = dict.or_else(|| memory.reader.pointer(ty.address + memory.layout.structs.type_object.tp_dict));
    let number = |name: &str| {
        let found = memory.small_int(memory.dict_get(dict?, name)?)?;
        u64::try_from(found).ok().filter(|n| *n < 1000)
    };
    let Some(fields) = number("n_fields") else { return };
    if known {
        ty.items = Some(fields);
    } else if let (Some(shown), Some(_)) = (number("n_sequence_fields"), number("n_unnamed_fields"))
        && ty.unknown_words.len() as u64 <= fields.saturating_sub(shown) + 1
    {
        ty.decoder = DecoderName::Structseq;
        ty.items = Some(fields);
        ty.unknown_words.clear();
    }
}
