//! Shallow sizes: exactly what `sys.getsizeof` says, from memory.
//!
//! The rules, and on which versions each was verified, are in `assets/layouts/SIZEOF.md`. What an object owns beyond
//! what `getsizeof` counts (attributes, buffers of foreign types) is not counted here either.

use super::layout::{FrameVariant, IntVariant, KeysVariant, SizeRule, StgInfo, ValuesVariant};
use super::memory::{Count, MAX_ITEMS, Memory};
use super::types::{Type, flags};
use crate::snapshot::Addr;

/// `PyObject_GetTypeData` aligns what lies behind the base's struct so (`alignof(max_align_t)`; from 3.12).
const TYPE_DATA_ALIGNMENT: u64 = 16;

impl Memory<'_> {
    /// `sys.getsizeof` of the object at `addr`, whose type is `ty`; `None` when its memory makes no sense. `O(1)` but
    /// for OrderedDict and struct.Struct, which are counted node by node.
    pub fn shallow_size(&self, addr: Addr, ty: &Type) -> Option<u64> {
        let body = self.body_size(addr, ty)?;
        if ty.is_metatype() { Some(body + self.type_pre(addr, ty)?) } else { Some(body + ty.head) }
    }

    /// How much of an object's shallow size lies in its own block, headers included; at least.
    #[inline]
    pub fn block_size(&self, addr: Addr, ty: &Type, shallow: u64) -> Option<u64> {
        Some(match ty.size_rule {
            SizeRule::Str => match self.str_at(addr)? {
                text if text.compact => {
                    let s = &self.layout.structs;
                    let header = if text.ascii { s.ascii.size } else { s.compact.size };
                    header + (text.len + 1) * u64::from(text.width.max(1))
                }
                _ => ty.basicsize,
            },
            SizeRule::Int => shallow,
            SizeRule::Code if ty.itemsize > 0 => shallow,
            // a naive datetime is allocated without its last pointer
            SizeRule::Generic => shallow.saturating_sub(8),
            _ => ty.head + ty.basicsize.min(shallow),
        })
    }

    /// A type object's share for headers it may not even have.
    fn type_pre(&self, addr: Addr, ty: &Type) -> Option<u64> {
        let type_flags = self.reader.u64(addr + self.layout.structs.type_object.tp_flags)?;
        if type_flags & flags::HEAPTYPE != 0 {
            return Some(ty.head);
        }
        Some(match self.layout.variants.values {
            ValuesVariant::Array => 0,
            ValuesVariant::Prefix => ty.head,
            // 3.13: none when its type is exactly `type`, which is its own type
            _ if ty.address == ty.metatype => 0,
            _ => ty.head,
        })
    }

    fn generic(&self, addr: Addr, ty: &Type) -> Option<u64> {
        if ty.itemsize == 0 {
            return Some(ty.basicsize);
        }
        let items =
            if ty.has(flags::LONG_SUBCLASS) { self.int_digits(addr)?.0 } else { self.ob_size(addr)?.unsigned_abs() };
        (items < MAX_ITEMS).then(|| ty.basicsize + items * ty.itemsize)
    }

    #[inline]
    fn body_size(&self, addr: Addr, ty: &Type) -> Option<u64> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let base = ty.basicsize;
        let bounded = |n: u64| (n < MAX_ITEMS).then_some(n);
        match ty.size_rule {
            SizeRule::Generic | SizeRule::Unknown => self.generic(addr, ty),
            SizeRule::Int => Some(s.long.ob_digit + 4 * self.counted_digits(bounded(self.int_digits(addr)?.0)?)),
            SizeRule::Str => self.str_size(addr),
            SizeRule::Bytearray => {
                let storage = bounded(r.u64(addr + s.bytearray.ob_alloc)?)?;
                // 3.15: the storage is a bytes object, none when it is empty
                let header = if s.bytearray.ob_bytes_object.is_some() && storage > 0 { s.bytes.ob_sval + 1 } else { 0 };
                Some(base + header + storage)
            }
            SizeRule::List => Some(base + 8 * bounded(r.u64(addr + s.list.allocated)?)?),
            SizeRule::Array => {
                let item = r.i32(r.pointer(addr + s.array.ob_descr)? + s.array_descr.itemsize)?;
                let item = u64::try_from(item).ok().filter(|n| *n <= 16)?;
                Some(base + bounded(r.u64(addr + s.array.allocated)?)? * item)
            }
            SizeRule::Dict => self.dict_size(addr, base),
            SizeRule::Odict => {
                let nodes = self.odict_nodes(addr).count() as u64;
                let fast = bounded(r.u64(addr + s.odict.od_fast_nodes_size)?)?;
                Some(self.dict_size(addr, base)? + 8 * fast + s.odict_node.size * nodes)
            }
            SizeRule::Set => {
                let inline = r.pointer(addr + s.set.table)? == addr + s.set.smalltable;
                let slots = if inline { 0 } else { bounded(r.u64(addr + s.set.mask)?)? + 1 };
                Some(base + 16 * slots)
            }
            SizeRule::Deque => {
                let items = bounded(u64::try_from(self.ob_size(addr)?).ok()?)?;
                let blocks = (bounded(r.u64(addr + s.deque.leftindex)?)? + items).div_ceil(64);
                Some(base + s.deque_block.size * blocks)
            }
            SizeRule::Type => self.type_size(addr),
            SizeRule::Code => self.code_size(addr),
            SizeRule::Frame if self.layout.variants.frame == FrameVariant::Object => {
                let code = r.pointer(addr + s.frame_object.f_code?)?;
                Some(s.frame_object.f_localsplus? + 8 * self.frame_slots_310(code)?)
            }
            SizeRule::Frame => {
                let frame = r.pointer(addr + s.frame_object.f_frame?)?;
                Some(s.frame_object._f_frame_data? + self.frame_size(self.frame_code(frame)?)?)
            }
            SizeRule::Generator => match s.generator.gi_iframe {
                None => self.generic(addr, ty),
                Some(iframe) => {
                    let code = match s.generator.gi_code {
                        Some(offset) => r.pointer(addr + offset)?,
                        None => self.frame_code(addr + iframe)?,
                    };
                    Some(iframe + self.frame_size(code)?)
                }
            },
            SizeRule::Buffered => {
                let none = r.pointer(addr + s.buffered.buffer)?.is_null();
                Some(base + if none { 0 } else { bounded(r.u64(addr + s.buffered.buffer_size)?)? })
            }
            SizeRule::Bytesio => {
                let buf = r.pointer(addr + s.bytesio.buf)?;
                let own = !buf.is_null() && self.count(buf)? == Count::Live(1);
                Some(base + if own { s.bytes.ob_sval + 1 + bounded(r.u64(buf + s.var_object.ob_size)?)? } else { 0 })
            }
            rule => self.rare_size(addr, ty, rule),
        }
    }

    /// Digits that are counted: at least one from 3.11 on.
    fn counted_digits(&self, digits: u64) -> u64 {
        let least = match (self.layout.variants.int, self.layout.variants.keys) {
            (IntVariant::Size, KeysVariant::Size) => 0,
            _ => 1,
        };
        digits.max(least)
    }

    fn str_size(&self, addr: Addr) -> Option<u64> {
        let s = &self.layout.structs;
        let text = self.str_at(addr)?;
        let width = u64::from(text.width);
        let (mut size, mut data) = match (text.compact, text.ascii) {
            (true, true) => (s.ascii.size + text.len + 1, addr + s.ascii.size),
            (true, false) => (s.compact.size + (text.len + 1) * width, addr + s.compact.size),
            // not ready: what it has in wchar_t is counted below
            (false, _) if text.width == 0 || text.data.is_null() => (s.unicode.size, Addr::NULL),
            (false, _) => (s.unicode.size + (text.len + 1) * width, text.data),
        };
        if !(text.compact && text.ascii) {
            let utf8 = self.reader.pointer(addr + s.compact.utf8)?;
            if !utf8.is_null() && (text.compact || utf8 != text.data) {
                size += self.reader.u64(addr + s.compact.utf8_length)?.min(MAX_ITEMS) + 1;
            }
        }
        if let Some(wstr) = s.ascii.wstr {
            let wstr = self.reader.pointer(addr + wstr)?;
            if text.compact && text.ascii {
                data = addr + s.ascii.size;
            }
            if !wstr.is_null() && wstr != data {
                let units = if text.compact && text.ascii {
                    text.len
                } else {
                    self.reader.u64(addr + s.compact.wstr_length?)?.min(MAX_ITEMS)
                };
                size += (units + 1) * 4;
            }
        }
        Some(size)
    }

    fn dict_size(&self, addr: Addr, base: u64) -> Option<u64> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let keys_at = r.pointer(addr + s.dict.ma_keys)?;
        let keys = self.keys_at(keys_at)?;
        let mut size = base;
        if !r.pointer(addr + s.dict.ma_values)?.is_null() {
            size += 8 * match self.layout.variants.keys {
                KeysVariant::Size => r.u64(keys_at + s.keys.dk_size?)?.min(MAX_ITEMS) * 2 / 3,
                KeysVariant::Log2 => keys.count + r.u64(keys_at + s.keys.dk_usable)?.min(MAX_ITEMS),
            };
        }
        if r.u64(keys_at + s.keys.dk_refcnt)? == 1 {
            size += keys.bytes;
        }
        Some(size)
    }

    fn type_size(&self, addr: Addr) -> Option<u64> {
        let s = &self.layout.structs;
        if self.reader.u64(addr + s.type_object.tp_flags)? & flags::HEAPTYPE == 0 {
            return Some(s.type_object.size);
        }
        let cached = self.reader.pointer(addr + s.heap_type.ht_cached_keys)?;
        let keys = if cached.is_null() { 0 } else { self.keys_at(cached)?.bytes };
        Some(s.heap_type.size + keys)
    }

    fn code_size(&self, addr: Addr) -> Option<u64> {
        let c = &self.layout.structs.code;
        let r = &self.reader;
        let mut size = match c.co_code_adaptive {
            Some(code) => {
                let units = u64::try_from(self.ob_size(addr)?).ok().filter(|n| *n < MAX_ITEMS)?;
                (code + 2 * units).next_multiple_of(8)
            }
            None => {
                let cells = r.pointer(addr + c.co_cellvars?)?;
                let cell2arg = r.pointer(addr + c.co_cell2arg?)?;
                let mut size = c.size;
                if !cell2arg.is_null() {
                    size += 8 * self.ob_size(cells)?.unsigned_abs().min(MAX_ITEMS);
                }
                if let Some(cache) = c.co_opcache
                    && !r.pointer(addr + cache)?.is_null()
                {
                    size += 32 * u64::from(r.u8(addr + c.co_opcache_size?)?);
                }
                if let Some(map) = c.co_opcache_map
                    && !r.pointer(addr + map)?.is_null()
                {
                    size += self.ob_size(r.pointer(addr + c.co_code?)?)?.unsigned_abs().min(MAX_ITEMS) / 2;
                }
                size
            }
        };
        if let Some(extra) = c.co_extra {
            let extra = r.pointer(addr + extra)?;
            if !extra.is_null() {
                size += 8 + 8 * r.u64(extra)?.min(1 << 20);
            }
        }
        Some(size)
    }

    /// Slots of a frame of this code: locals, cells, free variables and stack; up to 3.10.
    fn frame_slots_310(&self, code: Addr) -> Option<u64> {
        let c = &self.layout.structs.code;
        let locals = u64::from(self.reader.u32(code + c.co_nlocals?)?);
        let stack = u64::from(self.reader.u32(code + c.co_stacksize?)?);
        let tuple = |offset: u64| self.ob_size(self.reader.pointer(code + offset)?).map(i64::unsigned_abs);
        let slots = locals + stack + tuple(c.co_cellvars?)?.min(MAX_ITEMS) + tuple(c.co_freevars?)?.min(MAX_ITEMS);
        (slots < 1 << 32).then_some(slots)
    }

    /// Bytes of a `_PyInterpreterFrame` of this code; from 3.11.
    fn frame_size(&self, code: Addr) -> Option<u64> {
        let c = &self.layout.structs.code;
        let locals = u64::from(self.reader.u32(code + c.co_nlocalsplus?)?);
        let stack = u64::from(self.reader.u32(code + c.co_stacksize?)?);
        Some(self.layout.structs.frame.localsplus + 8 * (locals + stack))
    }

    fn rare_size(&self, addr: Addr, ty: &Type, rule: SizeRule) -> Option<u64> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let base = ty.basicsize;
        let tuple = |offset: u64| self.ob_size(r.pointer(addr + offset)?).map(|n| n.unsigned_abs().min(MAX_ITEMS));
        let word = |offset: u64| r.u64(addr + offset).map(|n| n.min(MAX_ITEMS));
        Some(match rule {
            SizeRule::Decimal => {
                let own = r.u8(addr + s.decimal.dec_flags)? & 0xe0 == 0;
                base + if own { 8 * word(s.decimal.dec_alloc)? } else { 0 }
            }
            SizeRule::Struct => {
                let codes = r.pointer(addr + s.struct_object.s_codes)?;
                let records = (0..1u64 << 20).find(|i| r.u64(codes + 32 * i).is_none_or(|w| w == 0))?;
                base + 32 * (records + 1)
            }
            SizeRule::ItertoolsIndices => base + 8 * word(s.combinations.r)?,
            SizeRule::ItertoolsPermutations => base + 8 * (word(s.permutations.r)? + tuple(s.permutations.pool)?),
            SizeRule::ItertoolsProduct => base + 8 * tuple(s.product.pools)?,
            SizeRule::Pickler => {
                let memo = r.pointer(addr + s.pickler.memo)?;
                base + if memo.is_null() { 0 } else { 32 + 16 * r.u64(memo + 16)?.min(MAX_ITEMS) }
            }
            SizeRule::Unpickler => {
                let u = &s.unpickler;
                let owned = |pointer: u64, count: u64| {
                    Some(if r.pointer(addr + pointer)?.is_null() { 0 } else { 8 * word(count)? })
                };
                let text = |pointer: u64| {
                    let at = r.pointer(addr + pointer)?;
                    Some(r.c_string(at, 1 << 20).map_or(0, |t| t.len() as u64 + 1))
                };
                base + owned(u.memo, u.memo_size)?
                    + owned(u.marks, u.marks_size)?
                    + text(u.input_line)?
                    + text(u.encoding)?
                    + text(u.errors)?
            }
            SizeRule::Element => {
                let e = &s.element_extra;
                let extra = r.pointer(addr + s.element.extra)?;
                if extra.is_null() {
                    base
                } else {
                    let own = r.pointer(extra + e.children)? != extra + e._children;
                    base + e.size + if own { 8 * r.u64(extra + e.allocated)?.min(MAX_ITEMS) } else { 0 }
                }
            }
            // a ctypes type keeps its StgInfo behind the type object (3.13), or in its dict (StgDict, up to 3.12)
            SizeRule::TypeCtypes => {
                let extras = |o: &StgInfo, at| self.ctypes_extras(at, o.format, o.ndim, o.length, o.ffi_elements);
                base + match self.ctypes_info(addr) {
                    Some(info) => extras(&s.stg_info, info)?,
                    None => 0,
                }
            }
            SizeRule::Simplequeue => base + 8 * word(s.simplequeue.items_cap?)?,
            SizeRule::Stgdict => {
                let d = &s.stg_dict;
                // the added fields are counted twice: that is what it says
                let own = d.size.saturating_sub(s.dict.size);
                let extras = self.ctypes_extras(addr, d.format, d.ndim, d.length, d.ffi_elements)?;
                self.dict_size(addr, base)? + own + extras
            }
            // what a user's __sizeof__ says is beyond this
            _ => self.generic(addr, ty)?,
        })
    }

    /// The `StgInfo` behind a ctypes type (3.13 and later); `None` also before it is filled in.
    pub fn ctypes_info(&self, ty: Addr) -> Option<Addr> {
        let s = &self.layout.structs;
        let info = ty + s.heap_type.size.next_multiple_of(TYPE_DATA_ALIGNMENT);
        (self.reader.i32(info + s.stg_info.initialized?)? != 0).then_some(info)
    }

    /// What ctypes counts of the format and the element types of a structure.
    fn ctypes_extras(
        &self,
        at: Addr,
        format: Option<u64>,
        ndim: Option<u64>,
        length: Option<u64>,
        elements: Option<u64>,
    ) -> Option<u64> {
        let r = &self.reader;
        let format = r.pointer(at + format?)?;
        let text = if format.is_null() { 0 } else { r.c_string(format, 1 << 16)?.len() as u64 + 1 };
        let dimensions = 8 * u64::try_from(r.i32(at + ndim?)?).ok()?;
        let none = r.pointer(at + elements?)?.is_null();
        let elements = if none { 0 } else { 8 * (r.u64(at + length?)?.min(MAX_ITEMS) + 1) };
        Some(text + dimensions + elements)
    }
}
