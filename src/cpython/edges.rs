//! What an object holds: one traversal that serves counting, the edge arrays, and named edges alike.
//!
//! A [`Visitor`] gets each reference with a name that costs nothing until it is rendered. Targets are handed out as
//! they lie in memory: whether an object begins there is the index's business. The guide is each type's
//! `tp_traverse`, and beyond it the references that an object owns and does not show to the collector (names of
//! functions, fields of code objects, keys of dicts).

use super::layout::{ArrayCount, AttributesVariant, DecoderName, FrameVariant, ObjectLayout};
use super::memory::{Count, Memory};
use super::types::{Attributes, StaticState, Type, TypeTable, flags};
use crate::snapshot::Addr;

/// How sure a reference is, and whether it keeps its target alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// Owned: keeps the target alive.
    Strong,
    /// A weak reference, or a borrowed one of a frame.
    Weak,
    /// A word in an object of unknown layout that is an object's address.
    Guessed,
}

/// A reference's name, not yet rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeName<'a> {
    /// `[3]`.
    Index(u64),
    /// The value under this key object: `['key']`.
    Value(Addr),
    /// A key of a dict.
    Key,
    /// An element of a set.
    Element,
    /// An attribute whose name is this str object: `.name`.
    Attribute(Addr),
    /// A slot or field of the object's struct: `.name`.
    Field(&'a str),
    /// The `i`th item of a C array with a name.
    FieldItem(&'a str, u64),
    /// The local variable whose name is this str object.
    Local(Addr),
    /// The `i`th slot of a frame's stack.
    Stack(u64),
    /// `__dict__`.
    Dict,
    /// `__class__`.
    Class,
    /// What the interpreter with this id keeps of a static type: `.__dict__ in interpreter 1`.
    InInterpreter(&'static str, i64),
    /// The word at this offset in an object of unknown layout.
    Word(u64),
}

/// Gets the references of an object.
pub trait Visitor {
    /// One reference; `target` may be anything, null excepted.
    fn edge(&mut self, name: EdgeName<'_>, kind: EdgeKind, target: Addr);
}

impl<F: FnMut(EdgeName<'_>, EdgeKind, Addr)> Visitor for F {
    #[inline]
    fn edge(&mut self, name: EdgeName<'_>, kind: EdgeKind, target: Addr) {
        self(name, kind, target);
    }
}

/// The main interpreter's dict is the one that a static type has in all versions; those of others are told apart.
fn visit_static_state(state: &StaticState, visitor: &mut impl Visitor) {
    let (dict, subclasses) = match state.interpreter {
        0 => (EdgeName::Dict, EdgeName::Field("tp_subclasses")),
        id => (EdgeName::InInterpreter("__dict__", id), EdgeName::InInterpreter("tp_subclasses", id)),
    };
    for (name, target) in [(dict, state.dict), (subclasses, state.subclasses)] {
        if !target.is_null() {
            visitor.edge(name, EdgeKind::Strong, target);
        }
    }
}

/// A module's C state is not larger than this.
const MAX_STATE: u64 = 1 << 20;

impl Memory<'_> {
    /// Hands every reference of the object at `addr`, whose type is `ty`, to `visitor`. Time is proportional to the
    /// memory of the object; what cannot be read is left out.
    #[inline]
    pub fn visit_edges(&self, addr: Addr, ty: &Type, types: &TypeTable, visitor: &mut impl Visitor) {
        // what is missing in the middle of an object ends that part of it, nothing else
        let _ = self.visit_content(addr, ty, types, visitor);
        if let Some(fields) = ty.fields {
            let _ = self.visit_fields(addr, fields, visitor);
        }
        for slot in &ty.slots {
            self.pointer_edge(addr + slot.offset, EdgeName::Field(&slot.name), EdgeKind::Strong, visitor);
        }
        for offset in &ty.unknown_words {
            self.pointer_edge(addr + *offset, EdgeName::Word(*offset), EdgeKind::Guessed, visitor);
        }
        if ty.attributes != Attributes::None {
            let _ = self.visit_attributes(addr, ty, visitor);
        }
        if ty.is_heap_type() {
            visitor.edge(EdgeName::Class, EdgeKind::Strong, ty.address);
        }
    }

    #[inline]
    fn pointer_edge(&self, at: Addr, name: EdgeName<'_>, kind: EdgeKind, visitor: &mut impl Visitor) -> Option<()> {
        let target = self.reader.pointer(at)?;
        if !target.is_null() {
            visitor.edge(name, kind, target);
        }
        Some(())
    }

    /// The pointers of an array; `name` makes a name of an index.
    #[inline]
    fn array_edges<'n>(
        &self,
        at: Addr,
        count: u64,
        kind: EdgeKind,
        name: impl Fn(u64) -> EdgeName<'n>,
        visitor: &mut impl Visitor,
    ) -> Option<()> {
        if count == 0 {
            return Some(());
        }
        if let Some(bytes) = usize::try_from(count).ok()?.checked_mul(8).and_then(|n| self.reader.slice(at, n)) {
            for (i, word) in bytes.chunks_exact(8).enumerate() {
                let word = u64::from_le_bytes(word.try_into().ok()?);
                if word != 0 {
                    visitor.edge(name(i as u64), kind, Addr(word));
                }
            }
            return Some(());
        }
        (0..count).try_for_each(|i| self.pointer_edge(at + i * 8, name(i), kind, visitor))
    }

    fn count_at(&self, at: Addr) -> Option<u64> {
        self.reader.u64(at).filter(|n| *n <= self.reader.words())
    }

    fn visit_content(&self, addr: Addr, ty: &Type, types: &TypeTable, visitor: &mut impl Visitor) -> Option<()> {
        let s = &self.layout.structs;
        let r = &self.reader;
        use EdgeKind::Strong;
        match ty.decoder {
            DecoderName::Tuple | DecoderName::Structseq => {
                let count = ty.items.or_else(|| u64::try_from(self.ob_size(addr)?).ok())?;
                self.array_edges(addr + s.tuple.ob_item, count, Strong, EdgeName::Index, visitor)?;
            }
            DecoderName::List => {
                let count = u64::try_from(self.ob_size(addr)?).ok()?.min(self.count_at(addr + s.list.allocated)?);
                self.array_edges(r.pointer(addr + s.list.ob_item)?, count, Strong, EdgeName::Index, visitor)?;
            }
            DecoderName::Dict | DecoderName::Defaultdict | DecoderName::Odict => self.visit_dict(addr, visitor)?,
            DecoderName::Set => {
                let (table, slots) = (r.pointer(addr + s.set.table)?, self.count_at(addr + s.set.mask)? + 1);
                for i in 0..slots {
                    let key = r.pointer(table + i * 16)?;
                    // a deleted entry points to a dummy and has the hash -1
                    if !key.is_null() && r.i64(table + i * 16 + 8)? != -1 {
                        visitor.edge(EdgeName::Element, Strong, key);
                    }
                }
            }
            DecoderName::Deque => {
                let mut left = u64::try_from(self.ob_size(addr)?).ok()?.min(r.words());
                let first = r.pointer(addr + s.deque.leftblock)?;
                let mut block = first;
                let mut index = self.count_at(addr + s.deque.leftindex)?;
                let mut n = 0;
                while left > 0 && index < 64 {
                    let take = left.min(64 - index);
                    let start = n;
                    let at = block + s.deque_block.data + index * 8;
                    self.array_edges(at, take, Strong, |i| EdgeName::Index(start + i), visitor)?;
                    n += take;
                    left -= take;
                    index = 0;
                    block = r.pointer(block + s.deque_block.rightlink)?;
                    if block == first {
                        break; // no deque is a circle
                    }
                }
            }
            DecoderName::Type => self.visit_type(addr, types, visitor)?,
            DecoderName::Frame => self.visit_frame_object(addr, visitor)?,
            DecoderName::Generator => {
                if let Some(iframe) = s.generator.gi_iframe {
                    if self.generator_has_frame(addr) {
                        self.visit_embedded_frame(addr + iframe, visitor)?;
                    } else if s.generator.gi_code.is_none() {
                        // the code outlives the rest of the frame
                        visitor.edge(EdgeName::Field("gi_code"), Strong, self.frame_code(addr + iframe)?);
                    }
                }
            }
            DecoderName::HamtBitmap => {
                let count = u64::try_from(self.ob_size(addr)?).ok()?.min(64);
                self.array_edges(addr + s.hamt_bitmap.b_array, count, Strong, EdgeName::Index, visitor)?;
            }
            DecoderName::HamtArray => {
                self.array_edges(addr + s.hamt_array.a_array, 32, Strong, EdgeName::Index, visitor)?;
            }
            DecoderName::HamtCollision => {
                let count = u64::try_from(self.ob_size(addr)?).ok()?;
                self.array_edges(addr + s.hamt_collision.c_array, count, Strong, EdgeName::Index, visitor)?;
            }
            DecoderName::Module => {
                // what a module's C state holds is known to its m_traverse only
                let state = r.pointer(addr + s.module.md_state)?;
                let size = match (s.module.md_def, s.module.md_state_size) {
                    (_, Some(offset)) => r.u64(addr + offset)?,
                    (Some(offset), None) => r.u64(r.pointer(addr + offset)? + s.module_def.m_size)?,
                    (None, None) => 0,
                };
                if !state.is_null() && size < MAX_STATE {
                    let name = |i| EdgeName::FieldItem("state", i);
                    self.array_edges(state, size / 8, EdgeKind::Guessed, name, visitor)?;
                }
            }
            DecoderName::Teedataobject => {
                let count = u64::from(r.u32(addr + s.teedata.numread)?).min(1 << 10);
                self.array_edges(addr + s.teedata.values, count, Strong, EdgeName::Index, visitor)?;
            }
            DecoderName::Simplequeue => {
                if let (Some(items), Some(capacity), Some(get), Some(count)) =
                    (s.simplequeue.items, s.simplequeue.items_cap, s.simplequeue.get_idx, s.simplequeue.num_items)
                {
                    let items = r.pointer(addr + items)?;
                    let capacity = self.count_at(addr + capacity)?;
                    let (get, count) = (self.count_at(addr + get)?, self.count_at(addr + count)?);
                    for i in 0..count.min(capacity) {
                        let at = items + (get + i) % capacity * 8;
                        self.pointer_edge(at, EdgeName::Index(i), Strong, visitor)?;
                    }
                }
            }
            DecoderName::Ndarray => {
                // a view's items are its base's; the owner's lie one after the other
                let array = self.ndarray(addr, types)?;
                if array.owns && array.kind == b'O' && array.itemsize == 8 {
                    let count = (array.bytes / 8).min(r.words());
                    self.array_edges(array.data, count, Strong, EdgeName::Index, visitor)?;
                }
            }
            _ if ty.unknown_items => {
                let count = self.ob_size(addr)?.unsigned_abs();
                let first = ty.basicsize;
                let name = |i| EdgeName::Word(first + i * 8);
                self.array_edges(addr + first, count.min(r.words()), EdgeKind::Guessed, name, visitor)?;
            }
            _ => {}
        }
        Some(())
    }

    fn visit_dict(&self, addr: Addr, visitor: &mut impl Visitor) -> Option<()> {
        let d = &self.layout.structs.dict;
        let keys = self.keys_at(self.reader.pointer(addr + d.ma_keys)?)?;
        let values = self.reader.pointer(addr + d.ma_values)?;
        // the names of a split table belong to the keys that many objects share
        let own_keys = values.is_null();
        self.entries(&keys, values, &mut |_, key, value| {
            if own_keys {
                visitor.edge(EdgeName::Key, EdgeKind::Strong, key);
            }
            visitor.edge(EdgeName::Value(key), EdgeKind::Strong, value);
            true
        })
    }

    fn visit_fields(&self, addr: Addr, fields: &ObjectLayout, visitor: &mut impl Visitor) -> Option<()> {
        let present = match fields.guard {
            Some(offset) => self.reader.u8(addr + offset)? != 0,
            None => true,
        };
        if present {
            for (name, offset) in &fields.refs {
                self.pointer_edge(addr + *offset, EdgeName::Field(name), EdgeKind::Strong, visitor);
            }
        }
        for (name, offset) in &fields.weak {
            self.pointer_edge(addr + *offset, EdgeName::Field(name), EdgeKind::Weak, visitor);
        }
        for deep in &fields.deep {
            if let Some(at) = self.follow(addr, &deep.path) {
                self.pointer_edge(at, EdgeName::Field(&deep.name), EdgeKind::Strong, visitor);
            }
        }
        for array in &fields.arrays {
            let Some(items) = self.follow(addr, &array.path).and_then(|at| self.reader.pointer(at)) else { continue };
            let count = match &array.count {
                ArrayCount::Fixed(n) => Some(*n),
                ArrayCount::At(path) => self.follow(addr, path).and_then(|at| self.count_at(at)),
            };
            if items.is_null() {
                continue;
            }
            for i in 0..count.unwrap_or(0) {
                let at = items + i.wrapping_mul(array.stride);
                let name = EdgeName::FieldItem(&array.name, i);
                if self.pointer_edge(at, name, EdgeKind::Strong, visitor).is_none() {
                    break;
                }
            }
        }
        Some(())
    }

    /// Where the last offset of a path leads, following a pointer at each one before.
    pub fn follow(&self, addr: Addr, path: &[u64]) -> Option<Addr> {
        let (last, before) = path.split_last()?;
        let mut at = addr;
        for offset in before {
            at = self.reader.pointer(at + *offset).filter(|p| !p.is_null())?;
        }
        Some(at + *last)
    }

    fn visit_type(&self, addr: Addr, types: &TypeTable, visitor: &mut impl Visitor) -> Option<()> {
        let s = &self.layout.structs;
        let t = &s.type_object;
        let field = |offset: u64, name: &'static str, visitor: &mut _| {
            self.pointer_edge(addr + offset, EdgeName::Field(name), EdgeKind::Strong, visitor)
        };
        match types.static_states(addr) {
            [] => {
                self.pointer_edge(addr + t.tp_dict, EdgeName::Dict, EdgeKind::Strong, visitor)?;
                field(t.tp_subclasses, "tp_subclasses", visitor)?;
            }
            states => states.iter().for_each(|state| visit_static_state(state, visitor)),
        }
        field(t.tp_base, "__base__", visitor)?;
        field(t.tp_bases, "__bases__", visitor)?;
        field(t.tp_mro, "__mro__", visitor)?;
        if let Some(cache) = t.tp_cache {
            field(cache, "tp_cache", visitor)?;
        }
        if self.reader.u64(addr + t.tp_flags)? & flags::HEAPTYPE == 0 {
            return Some(());
        }
        let h = &s.heap_type;
        field(h.ht_name, "__name__", visitor)?;
        field(h.ht_qualname, "__qualname__", visitor)?;
        field(h.ht_slots, "__slots__", visitor)?;
        if let Some(module) = h.ht_module {
            field(module, "ht_module", visitor)?;
        }
        let cached = self.reader.pointer(addr + h.ht_cached_keys)?;
        if !cached.is_null()
            && let Some(keys) = self.keys_at(cached)
        {
            for i in 0..keys.count {
                self.pointer_edge(keys.key_at(i), EdgeName::Key, EdgeKind::Strong, visitor)?;
            }
        }
        Some(())
    }

    fn visit_frame_object(&self, addr: Addr, visitor: &mut impl Visitor) -> Option<()> {
        match self.layout.variants.frame {
            FrameVariant::Object => {
                let slots = self.object_slots(addr)?;
                self.visit_slots(slots.code, slots.first, slots.used, visitor)
            }
            FrameVariant::Embedded => {
                let frame = self.reader.pointer(addr + self.layout.structs.frame_object.f_frame?)?;
                self.visit_embedded_frame(frame, visitor)
            }
        }
    }

    /// Code, function, namespaces, locals and stack of a `_PyInterpreterFrame` (`_PyFrame_Traverse`).
    pub fn visit_embedded_frame(&self, frame: Addr, visitor: &mut impl Visitor) -> Option<()> {
        self.embedded_references(frame, |name, at| self.slot_edge(name, at, visitor))
    }

    /// A borrowed reference keeps nothing alive: somebody else does. One to an immortal object is marked the same way
    /// when the frame alone holds it (`PyStackRef_FromPyObjectSteal`, `Include/internal/pycore_stackref.h`, 3.14).
    fn slot_edge(&self, name: EdgeName<'_>, at: Addr, visitor: &mut impl Visitor) {
        if let Some(target) = self.stack_ref(at).filter(|t| !t.is_null()) {
            let borrowed = self.stack_ref_is_borrowed(at) && self.count(target) != Some(Count::Immortal);
            let kind = if borrowed { EdgeKind::Weak } else { EdgeKind::Strong };
            visitor.edge(name, kind, target);
        }
    }

    /// The words of a `_PyInterpreterFrame` that are references, each with its name.
    pub fn embedded_references(&self, frame: Addr, mut each: impl FnMut(EdgeName<'_>, Addr)) -> Option<()> {
        let f = &self.layout.structs.frame;
        let named = [
            (f.f_code.or(f.f_executable), "f_code"),
            (f.f_func.or(f.f_funcobj), "function"),
            (Some(f.f_locals), "f_locals"),
            (Some(f.frame_obj), "frame"),
        ];
        for (offset, name) in named {
            each(EdgeName::Field(name), frame + offset?);
        }
        let slots = self.embedded_slots(frame)?;
        self.slot_references(slots.code, slots.first, slots.used, each)
    }

    fn visit_slots(&self, code: Addr, first: Addr, used: u64, visitor: &mut impl Visitor) -> Option<()> {
        self.slot_references(code, first, used, |name, at| self.slot_edge(name, at, visitor))
    }

    fn slot_references(
        &self,
        code: Addr,
        first: Addr,
        used: u64,
        mut each: impl FnMut(EdgeName<'_>, Addr),
    ) -> Option<()> {
        for i in 0..used {
            let at = first + i * 8;
            // an empty slot needs no name; one that was not captured ends the walk
            if !self.stack_ref(at)?.is_null() {
                each(self.local_name(code, i).map_or(EdgeName::Stack(i), EdgeName::Local), at);
            }
        }
        Some(())
    }

    /// The instance's dict, or the values that stand for it.
    fn visit_attributes(&self, addr: Addr, ty: &Type, visitor: &mut impl Visitor) -> Option<()> {
        match self.attributes_of(addr, ty)? {
            AttributeStore::Nothing => {}
            AttributeStore::Dict(dict) => visitor.edge(EdgeName::Dict, EdgeKind::Strong, dict),
            AttributeStore::Values(values) => {
                let keys = self.keys_at(ty.cached_keys)?;
                self.entries(&keys, values, &mut |_, key, value| {
                    visitor.edge(EdgeName::Attribute(key), EdgeKind::Strong, value);
                    true
                })?;
            }
        }
        Some(())
    }

    /// Where the attributes of an instance are kept (`Objects/object.c`, `Objects/dictobject.c` of each version).
    #[inline]
    pub fn attributes_of(&self, addr: Addr, ty: &Type) -> Option<AttributeStore> {
        let r = &self.reader;
        let or_nothing = |dict: Addr| if dict.is_null() { AttributeStore::Nothing } else { AttributeStore::Dict(dict) };
        Some(match ty.attributes {
            Attributes::None => AttributeStore::Nothing,
            Attributes::Offset(offset) => or_nothing(r.pointer(addr + offset)?),
            Attributes::FromEnd(offset) => {
                let items = if ty.has(flags::LONG_SUBCLASS) {
                    self.int_digits(addr)?.0
                } else {
                    self.ob_size(addr)?.unsigned_abs()
                };
                let end = ty.basicsize.wrapping_add(items.wrapping_mul(ty.itemsize)).wrapping_add(7) & !7;
                or_nothing(r.pointer((addr + end).offset(offset))?)
            }
            Attributes::Managed { inline_at } => {
                // the pre-header lies before the GC header, where there is one
                let pre = addr - self.layout.structs.gc_head.size;
                let word = r.u64(pre - 8)?;
                match self.layout.variants.attributes {
                    AttributesVariant::ValuesDict => {
                        let values = r.pointer(pre - 16)?;
                        if values.is_null() { or_nothing(Addr(word)) } else { AttributeStore::Values(values) }
                    }
                    AttributesVariant::Tagged if word & 1 != 0 => AttributeStore::Values(Addr(word.wrapping_add(1))),
                    AttributesVariant::Tagged => or_nothing(Addr(word)),
                    // a dict that was asked for shows the object's own values, and holds them as its own
                    _ if word != 0 => AttributeStore::Dict(Addr(word)),
                    _ => match inline_at.map(|offset| addr + offset) {
                        Some(values) if r.u8(values + self.layout.structs.values.valid?)? != 0 => {
                            AttributeStore::Values(values)
                        }
                        _ => AttributeStore::Nothing,
                    },
                }
            }
        })
    }

    /// Bytes of the values that lie behind an object of its own size: header, values, the order of their names
    /// (`_PyInlineValuesSize`, from 3.14); 0 for a type without. (3.13 has them within plain objects only.)
    pub fn inline_values_size(&self, addr: Addr, ty: &Type) -> Option<u64> {
        let Attributes::Managed { inline_at: Some(at) } = ty.attributes else { return Some(0) };
        let v = &self.layout.structs.values;
        let capacity = u64::from(self.reader.u8(addr + at + v.capacity?)?);
        Some(v.values + 8 * capacity + capacity.next_multiple_of(8))
    }

    /// The keys of an OrderedDict's nodes, in order.
    pub fn odict_nodes(&self, addr: Addr) -> impl Iterator<Item = Addr> + '_ {
        let s = &self.layout.structs;
        let mut node = self.reader.pointer(addr + s.odict.od_first).unwrap_or_default();
        let limit = self.reader.u64(addr + s.dict.ma_used).unwrap_or(0).min(self.reader.words());
        let mut left = limit;
        std::iter::from_fn(move || {
            if node.is_null() || left == 0 {
                return None;
            }
            left -= 1;
            let key = self.reader.pointer(node + s.odict_node.key)?;
            node = self.reader.pointer(node + s.odict_node.next)?;
            Some(key)
        })
    }
}

/// Where attributes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeStore {
    /// There are none yet.
    Nothing,
    /// In this dict.
    Dict(Addr),
    /// In a values array, under the names of the type's cached keys.
    Values(Addr),
}
