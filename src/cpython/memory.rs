//! The first layer of meaning: headers, numbers, strings and dicts, read with a version's offsets.
//!
//! A [`Memory`] is a reader with a layout. It needs no knowledge of types, so that the type table itself can be built
//! with it. All of it is total: what cannot be read is `None`, what is absurd is cut off.

use super::layout::{IntVariant, KeysVariant, Layout, RefCountVariant, ValuesVariant};
use super::value::Text;
use crate::snapshot::{Addr, Reader};

/// No object has more items than this; a larger count is a damaged one.
pub const MAX_ITEMS: u64 = 1 << 40;

/// A reader that knows a version's offsets. One per thread.
pub struct Memory<'s> {
    /// The bytes.
    pub reader: Reader<'s>,
    /// The offsets.
    pub layout: &'static Layout,
}

/// A reference count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Nobody holds the object: it was freed.
    Dead,
    /// Counted; at least 1.
    Live(u32),
    /// Never freed.
    Immortal,
    /// No count any object could have: not an object's header.
    Absurd,
}

/// Where the text of a str lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str {
    /// Characters.
    pub len: u64,
    /// Bytes a character: 1, 2 or 4; 0 for a legacy string that has only a `wchar_t` form (up to 3.11), of 4 bytes each.
    pub width: u8,
    /// Whether the text follows the header.
    pub compact: bool,
    /// Whether all characters are below 128.
    pub ascii: bool,
    /// The first character.
    pub data: Addr,
}

/// The entries of a dict's keys object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The first entry.
    pub entries: Addr,
    /// Entries in use, deleted ones included.
    pub count: u64,
    /// Bytes an entry.
    stride: u64,
    /// Offset of the key and of the value within an entry.
    key: u64,
    value: u64,
    /// The sum of header, indices and entries as allocated.
    pub bytes: u64,
}

impl Keys {
    /// The entry's key pointer lies here.
    pub fn key_at(&self, i: u64) -> Addr {
        self.entries + i.wrapping_mul(self.stride).wrapping_add(self.key)
    }

    /// The entry's value pointer lies here (combined tables).
    pub fn value_at(&self, i: u64) -> Addr {
        self.entries + i.wrapping_mul(self.stride).wrapping_add(self.value)
    }
}

/// The values of a split table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitValues {
    /// The first value pointer.
    pub first: Addr,
    /// How many slots there are.
    pub slots: u64,
}

/// Shared keys hold at most 30 names (`SHARED_KEYS_MAX_SIZE`); before 3.11 as many as fit a small table. More is
/// damage.
const MAX_SPLIT: u64 = 1 << 10;

impl<'s> Memory<'s> {
    /// The type of the object at `addr`.
    #[inline]
    pub fn type_of(&self, addr: Addr) -> Option<Addr> {
        self.reader.pointer(addr + self.layout.structs.object.ob_type)
    }

    /// The reference count of an object whose header is the beginning of `header`.
    #[inline]
    pub fn count_in(&self, header: &[u8]) -> Option<Count> {
        let object = &self.layout.structs.object;
        let (Some(local), Some(shared)) = (object.ob_ref_local, object.ob_ref_shared) else {
            return Some(self.count_of(word_in(header, object.ob_refcnt?)?));
        };
        let local = *header.get(local as usize..)?.first_chunk()?;
        Some(split_count(u32::from_le_bytes(local), word_in(header, shared)? as i64))
    }

    /// What the word of a reference count means in this version, where it is one word.
    #[inline]
    fn count_of(&self, word: u64) -> Count {
        match self.layout.variants.refcount {
            RefCountVariant::Split => Count::Absurd,
            // 3.11 gives static objects 999,999,999 and lets it wander; 2^40 is more than any memory could hold
            RefCountVariant::Plain if word == 0 => Count::Dead,
            RefCountVariant::Plain if word < 1 << 32 => Count::Live(word as u32),
            RefCountVariant::Plain => Count::Absurd,
            RefCountVariant::Low32 => match (word >> 32, word as u32) {
                (0, 0) => Count::Dead,
                (0, low) if (low as i32) < 0 => Count::Immortal,
                (0, low) => Count::Live(low),
                _ => Count::Absurd,
            },
            RefCountVariant::Flags => {
                let (low, overflow, flags) = (word as u32, (word >> 32) as u16, (word >> 48) as u16);
                match low {
                    _ if overflow != 0 || flags & !7 != 0 => Count::Absurd,
                    0 => Count::Dead,
                    low if (low as i32) < 0 => Count::Immortal,
                    low => Count::Live(low),
                }
            }
        }
    }

    /// The reference count of the object at `addr`.
    #[inline]
    pub fn count(&self, addr: Addr) -> Option<Count> {
        self.count_in(self.reader.slice(addr, self.layout.structs.object.size as usize)?)
    }

    /// Whether the collector tracks the object at `addr`, whose type takes part in garbage collection.
    pub fn is_tracked(&self, addr: Addr) -> Option<bool> {
        const TRACKED: u8 = 1;
        match self.layout.structs.object.ob_gc_bits {
            Some(bits) => Some(self.reader.u8(addr + bits)? & TRACKED != 0),
            None => Some(self.reader.u64(addr - self.layout.structs.gc_head.size)? != 0),
        }
    }

    /// `ob_size`, with its sign.
    #[inline]
    pub fn ob_size(&self, addr: Addr) -> Option<i64> {
        self.reader.i64(addr + self.layout.structs.var_object.ob_size)
    }

    /// The number of 30-bit digits of an int, and its sign.
    #[inline]
    pub fn int_digits(&self, addr: Addr) -> Option<(u64, i8)> {
        match self.layout.variants.int {
            IntVariant::Size => {
                let size = self.ob_size(addr)?;
                Some((size.unsigned_abs(), size.signum() as i8))
            }
            IntVariant::Tag => {
                let tag = self.reader.u64(addr + self.layout.structs.long.lv_tag?)?;
                let sign = match tag & 3 {
                    0 => 1,
                    1 => 0,
                    2 => -1,
                    _ => return None,
                };
                Some((tag >> 3, sign))
            }
        }
    }

    /// An int that fits 64 bits.
    pub fn small_int(&self, addr: Addr) -> Option<i64> {
        let (digits, sign) = self.int_digits(addr)?;
        if digits > 3 {
            return None;
        }
        let mut value: i128 = 0;
        for i in (0..digits).rev() {
            let digit = self.reader.u32(addr + self.layout.structs.long.ob_digit + i * 4)?;
            value = (value << 30) | i128::from(digit & 0x3fff_ffff);
        }
        i64::try_from(value * i128::from(sign)).ok()
    }

    /// Where the text of the str at `addr` lies (`Include/cpython/unicodeobject.h`).
    #[inline]
    pub fn str_at(&self, addr: Addr) -> Option<Str> {
        let s = &self.layout.structs;
        let len = self.reader.u64(addr + s.ascii.length)?;
        let state = self.reader.u32(addr + s.ascii.state)?;
        let width = ((state >> 2) & 7) as u8;
        let (compact, ascii) = (state & 0x20 != 0, state & 0x40 != 0);
        if !matches!(width, 0 | 1 | 2 | 4) || len > MAX_ITEMS {
            return None;
        }
        if let (0, Some(wstr), Some(wstr_length)) = (width, s.ascii.wstr, s.compact.wstr_length) {
            // not ready: its only text is in wchar_t, which is 4 bytes
            let len = self.reader.u64(addr + wstr_length).filter(|n| *n <= MAX_ITEMS)?;
            let data = self.reader.pointer(addr + wstr)?;
            return Some(Str { len, width, compact, ascii, data });
        }
        let data = match (compact, ascii) {
            (true, true) => addr + s.ascii.size,
            (true, false) => addr + s.compact.size,
            (false, _) => self.reader.pointer(addr + s.unicode.data)?,
        };
        Some(Str { len, width, compact, ascii, data })
    }

    /// At most `max` characters of the str at `addr`, a lone surrogate as the escape `\ud800`; and whether that is all.
    pub fn text(&self, addr: Addr, max: usize) -> Option<(String, bool)> {
        let (text, surrogates) = self.text_parts(addr, max)?;
        let whole = text.chars().count() as u64 == self.str_at(addr)?.len;
        if surrogates.is_empty() {
            return Some((text, whole));
        }
        let text = Text { text, surrogates, len: 0 };
        Some((text.escaped(), whole))
    }

    /// At most `max` characters of the str at `addr`, and its lone surrogates: at which character, and which.
    pub(super) fn text_parts(&self, addr: Addr, max: usize) -> Option<(String, Vec<(usize, u16)>)> {
        let s = self.str_at(addr)?;
        let take = s.len.min(max as u64) as usize;
        let width = usize::from(if s.width == 0 { 4 } else { s.width });
        let mut bytes = vec![0; take.checked_mul(width)?.min(self.reader.tail(s.data).len())];
        self.reader.read(s.data, &mut bytes).ok()?;
        Some(match width {
            1 => (bytes.iter().map(|b| char::from(*b)).collect(), Vec::new()),
            2 => units_text(bytes.chunks_exact(2).map(|c| u32::from(u16::from_le_bytes([c[0], c[1]])))),
            _ => wide_text(&bytes),
        })
    }

    /// The keys object at `addr`. `O(1)`.
    #[inline]
    pub fn keys_at(&self, addr: Addr) -> Option<Keys> {
        let k = &self.layout.structs.keys;
        let count = self.reader.u64(addr + k.dk_nentries)?;
        let usable = self.reader.u64(addr + k.dk_usable)?;
        let (index_bytes, slots, stride, key, value) = match self.layout.variants.keys {
            KeysVariant::Size => {
                let size = self.reader.u64(addr + k.dk_size?)?;
                if size > MAX_ITEMS {
                    return None;
                }
                let width = match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => 8,
                };
                (size * width, size, 24, 8, 16)
            }
            KeysVariant::Log2 => {
                let size = self.reader.u8(addr + k.dk_log2_size?)?;
                let index = self.reader.u8(addr + k.dk_log2_index_bytes?)?;
                let kind = self.reader.u8(addr + k.dk_kind?)?;
                if size > 40 || index > 43 {
                    return None;
                }
                let entry = if kind == 0 { (24, 8, 16) } else { (16, 0, 8) };
                (1 << index, 1 << size, entry.0, entry.1, entry.2)
            }
        };
        if count > slots || usable > slots {
            return None;
        }
        // USABLE_FRACTION: the entries that a table of this many slots has room for
        let capacity = (slots << 1) / 3;
        let bytes = k.dk_indices + index_bytes + capacity * stride;
        Some(Keys { entries: addr + k.dk_indices + index_bytes, count, stride, key, value, bytes })
    }

    /// Bytes of the smallest table of the kind of that at `addr` that holds so many entries.
    pub fn least_keys_bytes(&self, addr: Addr, entries: u64) -> Option<u64> {
        let keys = self.keys_at(addr)?;
        let mut slots = 8u64;
        while (slots << 1) / 3 < entries.min(MAX_ITEMS) {
            slots <<= 1;
        }
        let width = match slots {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        Some(self.layout.structs.keys.dk_indices + slots * width + (slots << 1) / 3 * keys.stride)
    }

    /// The values of a split table whose values pointer is `values`.
    pub fn split_values(&self, values: Addr, keys: &Keys) -> Option<SplitValues> {
        let slots = keys.count.min(MAX_SPLIT);
        match self.layout.variants.values {
            ValuesVariant::Array | ValuesVariant::Prefix => Some(SplitValues { first: values, slots }),
            ValuesVariant::Header => {
                let v = &self.layout.structs.values;
                let capacity = u64::from(self.reader.u8(values + v.capacity?)?);
                Some(SplitValues { first: values + v.values, slots: slots.min(capacity) })
            }
        }
    }

    /// Calls `visit(i, key, value)` for each live entry of the dict at `addr`, in the table's order; `value_at` tells
    /// where the value pointer lies. Ends early when `visit` returns `false`.
    pub fn dict_entries(&self, addr: Addr, mut visit: impl FnMut(u64, Addr, Addr) -> bool) -> Option<()> {
        let d = &self.layout.structs.dict;
        let keys = self.keys_at(self.reader.pointer(addr + d.ma_keys)?)?;
        let values = self.reader.pointer(addr + d.ma_values)?;
        self.entries(&keys, values, &mut visit)
    }

    /// The same for keys and split values apart from a dict; `values` is null for a combined table.
    pub fn entries(&self, keys: &Keys, values: Addr, visit: &mut impl FnMut(u64, Addr, Addr) -> bool) -> Option<()> {
        let split = if values.is_null() { None } else { Some(self.split_values(values, keys)?) };
        let count = split.map_or(keys.count, |s| s.slots);
        for i in 0..count {
            let key = self.reader.pointer(keys.key_at(i))?;
            let value = match split {
                Some(s) => self.reader.pointer(s.first + i * 8)?,
                None => self.reader.pointer(keys.value_at(i))?,
            };
            if !value.is_null() && !key.is_null() && !visit(i, key, value) {
                break;
            }
        }
        Some(())
    }

    /// The value under a str key of the dict at `addr`. Looks at every entry: meant for small dicts.
    pub fn dict_get(&self, addr: Addr, name: &str) -> Option<Addr> {
        let mut found = None;
        self.dict_entries(addr, |_, key, value| {
            if self.str_is(key, name) {
                found = Some(value);
            }
            found.is_none()
        })?;
        found
    }

    /// Whether the object at `addr`, taken as a str, is the ASCII text `name`.
    pub fn str_is(&self, addr: Addr, name: &str) -> bool {
        let Some(s) = self.str_at(addr) else { return false };
        s.width == 1 && s.len == name.len() as u64 && self.reader.slice(s.data, name.len()) == Some(name.as_bytes())
    }
}

#[inline]
fn word_in(bytes: &[u8], at: u64) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at as usize..)?.first_chunk()?))
}

/// The two counts of a free-threaded build (`Include/object.h`, 3.13): the shared one has two
/// bits of state below, and alone may be negative.
#[inline]
fn split_count(local: u32, shared: i64) -> Count {
    if local == u32::MAX {
        return Count::Immortal;
    }
    match u32::try_from(i64::from(local).wrapping_add(shared >> 2)) {
        Ok(0) => Count::Dead,
        Ok(count) => Count::Live(count),
        Err(_) => Count::Absurd,
    }
}

/// Text of 4 bytes a character, and its lone surrogates.
pub(super) fn wide_text(bytes: &[u8]) -> (String, Vec<(usize, u16)>) {
    units_text(bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])))
}

fn units_text(units: impl Iterator<Item = u32>) -> (String, Vec<(usize, u16)>) {
    let mut surrogates = Vec::new();
    let text = units.enumerate().map(|(i, unit)| {
        char::from_u32(unit).unwrap_or_else(|| {
            surrogates.extend(u16::try_from(unit).ok().map(|unit| (i, unit)));
            char::REPLACEMENT_CHARACTER
        })
    });
    (text.collect(), surrogates)
}
