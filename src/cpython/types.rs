//! Every type of a process: names, flags, sizes, and which decoder reads its objects.
//!
//! The table is built once, from the addresses of candidate type objects, and does not change afterwards. A type is
//! whatever has `type` or one of its subclasses as its own type and has been made ready, or is a static type that an
//! image holds: `functools` of 3.8 and 3.9 makes objects of two types that nobody ever made ready. Which objects there are of a
//! type is not known here.

use super::layout::{AttributesVariant, DecoderName, Layout, ObjectLayout, SizeRule};
use super::memory::{Count, Memory};
use super::runtime::Interpreter;
use crate::image::Image;
use crate::snapshot::Addr;
use crate::text;
use std::collections::HashMap;

/// Bits of `tp_flags` (`Include/object.h`).
pub mod flags {
    /// Attributes right after the object (3.13).
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// The weak reference list lies before the object (3.12).
    pub const MANAGED_WEAKREF: u64 = 1 << 3;
    /// The attributes lie before the object (3.11).
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// Made at run time.
    pub const HEAPTYPE: u64 = 1 << 9;
    /// `PyType_Ready` ran.
    pub const READY: u64 = 1 << 12;
    /// `PyType_Ready` is running.
    pub const READYING: u64 = 1 << 13;
    /// Objects take part in garbage collection.
    pub const HAVE_GC: u64 = 1 << 14;
    /// Subclass of int.
    pub const LONG_SUBCLASS: u64 = 1 << 24;
    /// Subclass of type: objects of it are types.
    pub const TYPE_SUBCLASS: u64 = 1 << 31;
}

/// A type's number in its [`TypeTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// Where the attributes of an instance are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// It has none.
    None,
    /// A dict pointer at this offset.
    Offset(u64),
    /// A dict pointer counted from the end of a variable-sized object (`tp_dictoffset` below 0).
    FromEnd(i64),
    /// Before the object, or in it, as the version does it.
    Managed {
        /// Where values may lie in the object itself.
        inline_at: Option<u64>,
    },
}

/// A named object pointer in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// As in `__slots__`, sanitised.
    pub name: String,
    /// Offset in the object.
    pub offset: u64,
}

/// One type.
#[derive(Debug, Clone)]
pub struct Type {
    /// The type object.
    pub address: Addr,
    /// Its own type.
    pub metatype: Addr,
    /// `tp_base`.
    pub base: Option<TypeId>,
    /// `module.qualname`, sanitised; only `qualname` for builtins.
    pub name: String,
    /// `tp_flags`.
    pub flags: u64,
    /// `tp_basicsize`, at least 0.
    pub basicsize: u64,
    /// `tp_itemsize`, at least 0.
    pub itemsize: u64,
    /// Bytes of an object's block that precede the object: GC header and pre-header.
    pub head: u64,
    /// How to read its objects.
    pub decoder: DecoderName,
    /// How `sys.getsizeof` counts them.
    pub size_rule: SizeRule,
    /// Whether the size is only an estimate.
    pub estimated: bool,
    /// Pointers at known places, from the version's table; `None` for a plain object.
    pub fields: Option<&'static ObjectLayout>,
    /// `__slots__`, those of the bases included.
    pub slots: Vec<Slot>,
    /// Offsets of words of unknown meaning.
    pub unknown_words: Vec<u64>,
    /// Whether items of a variable-sized object are of unknown meaning.
    pub unknown_items: bool,
    /// Where attributes are.
    pub attributes: Attributes,
    /// How many items an object has, where its own count leaves some out (`structseq`).
    pub items: Option<u64>,
    /// `ht_cached_keys`: the names of attributes that objects share.
    pub cached_keys: Addr,
}

impl Type {
    /// Whether the flag is set.
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Whether `PyType_Ready` ran. A static type that nobody made ready may have objects all the same.
    pub fn is_ready(&self) -> bool {
        self.has(flags::READY)
    }

    /// Whether it was made at run time.
    pub fn is_heap_type(&self) -> bool {
        self.has(flags::HEAPTYPE)
    }

    /// Whether objects of it are types themselves.
    pub fn is_metatype(&self) -> bool {
        self.has(flags::TYPE_SUBCLASS)
    }
}

/// A map from addresses to numbers, made for being asked a hundred million times.
#[derive(Debug, Clone, Default)]
pub struct AddrTable {
    slots: Vec<(u64, u32)>,
    shift: u32,
}

impl AddrTable {
    /// From distinct addresses, none of them null. A quarter full, so that a miss usually ends at the first look.
    pub fn new(entries: impl ExactSizeIterator<Item = (Addr, u32)>) -> AddrTable {
        let size = (entries.len() * 4).next_power_of_two().max(16);
        let mut table = AddrTable { slots: vec![(0, 0); size], shift: 64 - size.trailing_zeros() };
        for (addr, value) in entries {
            let mut i = table.start(addr.0);
            while table.slots[i].0 != 0 {
                i = (i + 1) & (size - 1);
            }
            table.slots[i] = (addr.0, value);
        }
        table
    }

    #[inline]
    fn start(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// The number of an address.
    #[inline]
    pub fn get(&self, addr: Addr) -> Option<u32> {
        if self.slots.is_empty() || addr.is_null() {
            return None;
        }
        let mut i = self.start(addr.0);
        loop {
            let (key, value) = self.slots[i];
            if key == addr.0 {
                return Some(value);
            }
            if key == 0 {
                return None;
            }
            i = (i + 1) & (self.slots.len() - 1);
        }
    }
}

/// Every type of a process.
#[derive(Debug, Clone, Default)]
pub struct TypeTable {
    types: Vec<Type>,
    by_address: AddrTable,
    /// Dict and subclasses of static types, where the interpreter keeps them (from 3.12).
    static_states: HashMap<Addr, (Addr, Addr)>,
}

/// A type object whose basic facts make sense.
struct Raw {
    address: Addr,
    metatype: Addr,
    base: Addr,
    flags: u64,
    basicsize: u64,
    itemsize: u64,
    dictoffset: i64,
    weaklistoffset: i64,
}

/// An object of a type that claims to be bigger than this is not believed.
const MAX_BASICSIZE: i64 = 1 << 20;

/// Longer names are cut.
const MAX_NAME: usize = 1000;

/// Chains of bases longer than this are damaged.
const MAX_BASES: usize = 1000;

impl TypeTable {
    /// The types among `candidates`: `(address, what its type pointer says)`, in any order, the type of all types
    /// among them. Follows metatypes until no new type is found. `O(n log n)`.
    pub fn build(memory: &Memory<'_>, interpreter: &Interpreter, mut candidates: Vec<(Addr, Addr)>) -> TypeTable {
        let type_type = interpreter.type_type;
        candidates.push((type_type, type_type));
        candidates.sort_unstable_by_key(|(addr, meta)| (*meta, *addr));
        candidates.dedup();
        let mut raw = Vec::new();
        let mut metatypes = vec![type_type];
        let mut next = 0;
        while let Some(meta) = metatypes.get(next).copied() {
            next += 1;
            let from = candidates.partition_point(|(_, m)| *m < meta);
            for (address, _) in candidates[from..].iter().take_while(|(_, m)| *m == meta) {
                let Some(found) = Raw::read(memory, interpreter, *address, meta) else { continue };
                if found.flags & flags::TYPE_SUBCLASS != 0 && *address != type_type {
                    metatypes.push(*address);
                }
                raw.push(found);
            }
        }
        raw.sort_unstable_by_key(|r| r.address);
        raw.dedup_by_key(|r| r.address);
        let by_address = AddrTable::new(raw.iter().enumerate().map(|(i, r)| (r.address, i as u32)));
        let mut types: Vec<Type> = raw.iter().map(|r| r.to_type(memory, &by_address)).collect();
        let member = types.iter().find(|t| t.name == "member_descriptor").map(|t| t.address);
        for ty in &mut types {
            ty.slots = own_slots(memory, ty, member);
        }
        resolve(memory.layout, &raw, &mut types);
        let static_states = static_states(memory, interpreter, &types);
        let tuple = types.iter().position(|t| t.name == "tuple" && !t.is_heap_type()).map(|i| TypeId(i as u32));
        for ty in types.iter_mut() {
            structseq(memory, ty, tuple, static_states.get(&ty.address).map(|state| state.0));
        }
        TypeTable { types, by_address, static_states }
    }

    /// The dict and the subclasses of a static type, where the interpreter keeps them apart from the type.
    pub fn static_state(&self, address: Addr) -> Option<(Addr, Addr)> {
        self.static_states.get(&address).copied()
    }

    /// The type with this number.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// The number of the type at this address.
    #[inline]
    pub fn id_of(&self, address: Addr) -> Option<TypeId> {
        self.by_address.get(address).map(TypeId)
    }

    /// All types, in address order, which is the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(i, t)| (TypeId(i as u32), t))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Whether `id` is `base` or derives from it by `tp_base`.
    pub fn derives(&self, id: TypeId, base: TypeId) -> bool {
        std::iter::successors(Some(id), |t| self.get(*t).base).take(MAX_BASES).any(|t| t == base)
    }
}

impl Raw {
    fn read(memory: &Memory<'_>, interpreter: &Interpreter, address: Addr, metatype: Addr) -> Option<Raw> {
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
            && reader.c_string(name, MAX_NAME * 4).is_some()
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

    fn to_type(&self, memory: &Memory<'_>, by_address: &AddrTable) -> Type {
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

/// `functools.KeyWrapper` and the like.
fn is_dotted_name(name: &[u8]) -> bool {
    name.split(|b| *b == b'.').all(|part| {
        part.first().is_some_and(|b| !b.is_ascii_digit())
            && part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    })
}

/// GC header (16 bytes) and pre-header (16 more), `Include/internal/pycore_object.h`, `_PyType_PreHeaderSize`.
fn head_of(layout: &Layout, type_flags: u64) -> u64 {
    let gc = if type_flags & flags::HAVE_GC != 0 { 16 } else { 0 };
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
fn own_slots(memory: &Memory<'_>, ty: &Type, member_descriptor: Option<Addr>) -> Vec<Slot> {
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
fn structseq(memory: &Memory<'_>, ty: &mut Type, tuple: Option<TypeId>, dict: Option<Addr>) {
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

/// Where the main interpreter keeps what static types have per interpreter (`Objects/typeobject.c`,
/// `managed_static_type_state_get`). A slot counts only when it names the type it is asked for.
fn static_states(memory: &Memory<'_>, interpreter: &Interpreter, types: &[Type]) -> HashMap<Addr, (Addr, Addr)> {
    let s = &memory.layout.structs;
    let r = &memory.reader;
    let mut found = HashMap::new();
    let (Some(of_type), Some(of_dict), Some(of_subclasses)) =
        (s.static_state.r#type, s.static_state.tp_dict, s.static_state.tp_subclasses)
    else {
        return found;
    };
    let main = interpreter.runtime.and_then(|runtime| r.pointer(runtime + s.runtime.interpreters_main?));
    let Some(main) = main.filter(|m| !m.is_null()) else { return found };
    for ty in types.iter().filter(|t| !t.is_heap_type()) {
        let index = r.u64(ty.address + s.type_object.tp_subclasses).filter(|i| (1..=4096).contains(i));
        let Some(index) = index else { continue };
        let tables = [s.interpreter.types_builtins, s.interpreter.types_extensions];
        for table in tables.into_iter().flatten() {
            let slot = main + table + (index - 1) * s.static_state.size;
            if r.pointer(slot + of_type) == Some(ty.address) {
                let dict = r.pointer(slot + of_dict).unwrap_or_default();
                found.insert(ty.address, (dict, r.pointer(slot + of_subclasses).unwrap_or_default()));
            }
        }
    }
    found
}

/// Gives each type its decoder: its own entry in the table, or its base's, and what is unknown beyond that.
fn resolve(layout: &'static Layout, raw: &[Raw], types: &mut [Type]) {
    let mut done = vec![false; types.len()];
    for start in 0..types.len() {
        // from the first base that is done (or has none) down to this type
        let mut chain = Vec::new();
        let mut at = Some(start);
        while let Some(i) = at
            && !done[i]
            && chain.len() < MAX_BASES
            && !chain.contains(&i)
        {
            chain.push(i);
            at = types[i].base.map(|b| b.0 as usize);
        }
        for i in chain.into_iter().rev() {
            let base = types[i].base.filter(|b| done[b.0 as usize]).map(|b| types[b.0 as usize].clone());
            resolve_one(layout, &raw[i], &mut types[i], base.as_ref());
            done[i] = true;
        }
    }
}

fn resolve_one(layout: &'static Layout, raw: &Raw, ty: &mut Type, base: Option<&Type>) {
    let entry = layout.objects.get(&ty.name).filter(|o| o.size == ty.basicsize as i64);
    if let Some(entry) = entry {
        ty.decoder = entry.decoder;
        ty.size_rule = entry.sizeof;
        ty.fields = Some(entry);
    } else if let Some(base) = base {
        ty.decoder = base.decoder;
        ty.size_rule = base.size_rule;
        ty.estimated = base.estimated;
        ty.fields = base.fields;
        ty.unknown_items = base.unknown_items;
        ty.unknown_words.clone_from(&base.unknown_words);
        let mut inherited = base.slots.clone();
        inherited.append(&mut ty.slots);
        ty.slots = inherited;
        let known = |offset: u64| {
            ty.slots.iter().any(|s| s.offset == offset)
                || raw.dictoffset == offset as i64
                || raw.weaklistoffset == offset as i64
        };
        let first = base.basicsize.next_multiple_of(8);
        let last = ty.basicsize & !7;
        let unknown: Vec<u64> = (first..last).step_by(8).filter(|o| !known(*o)).collect();
        ty.unknown_words.extend(unknown);
        // a C type that derives from object and has items of its own
        ty.unknown_items |= ty.itemsize == 8 && base.itemsize == 0;
    }
    if ty.decoder == DecoderName::Unknown {
        ty.decoder = DecoderName::Fields;
        let first = layout.structs.object.size;
        ty.unknown_words = (first..ty.basicsize & !7).step_by(8).collect();
    }
    if ty.size_rule == SizeRule::Unknown {
        ty.size_rule = SizeRule::Generic;
        ty.estimated = true;
    }
}
