//! Attributes of instances, from `__slots__`, values arrays and dicts, in their order.

use super::{Memory, Part};
use crate::cpython::AttributeStore;
use crate::cpython::types::{Type, flags};
use crate::snapshot::Addr;

/// A named attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, not sanitised; a key that is no str is shown by its address.
    pub name: String,
    /// The object.
    pub value: Addr,
}

impl Memory<'_> {
    /// At most `max` attributes that are set: slots first, then what `__dict__` shows, in the order they were set.
    pub fn attributes(&self, addr: Addr, ty: &Type, max: usize) -> Part<Attribute> {
        let mut part = self.slot_attributes(addr, ty, max);
        let dict = self.dict_attributes(addr, ty, max);
        part.len += dict.len;
        let free = max.saturating_sub(part.items.len());
        part.items.extend(dict.items.into_iter().take(free));
        part
    }

    /// The `__slots__` that are set.
    pub fn slot_attributes(&self, addr: Addr, ty: &Type, max: usize) -> Part<Attribute> {
        let set = |offset: u64| self.reader.pointer(addr + offset).filter(|p| !p.is_null());
        let all = ty.slots.iter().filter_map(|slot| Some((slot, set(slot.offset)?)));
        let items: Vec<_> =
            all.clone().take(max).map(|(slot, value)| Attribute { name: slot.name.clone(), value }).collect();
        Part { len: all.count() as u64, items }
    }

    /// What is in `__dict__`, whether it exists as a dict or not.
    pub fn dict_attributes(&self, addr: Addr, ty: &Type, max: usize) -> Part<Attribute> {
        let pairs = match self.attributes_of(addr, ty) {
            Some(AttributeStore::Dict(dict)) => self.dict_items(dict, max),
            Some(AttributeStore::Values(values)) => {
                self.keys_at(ty.cached_keys).and_then(|keys| self.split_items(&keys, values, max))
            }
            Some(AttributeStore::Nothing) | None => None,
        };
        let Some(pairs) = pairs else { return Part { items: Vec::new(), len: 0 } };
        let named = |(key, value)| Attribute { name: self.key_name(key), value };
        Part { len: pairs.len, items: pairs.items.into_iter().map(named).collect() }
    }

    /// Keys of an instance's dict are str unless somebody puts others there on purpose.
    fn key_name(&self, key: Addr) -> String {
        const UNICODE_SUBCLASS: u64 = 1 << 28;
        let flags = self.type_of(key).and_then(|t| self.reader.u64(t + self.layout.structs.type_object.tp_flags));
        let bits = flags.unwrap_or(0);
        let name = if bits & UNICODE_SUBCLASS != 0 {
            self.short_text(key)
        } else if bits & flags::LONG_SUBCLASS != 0 {
            self.small_int(key).map(|n| n.to_string())
        } else {
            None
        };
        name.unwrap_or_else(|| key.to_string())
    }

    /// The attribute with this name: a slot, or among the first few of `__dict__`. Makes no text of any name.
    pub fn attribute(&self, addr: Addr, ty: &Type, name: &str) -> Option<Addr> {
        const FIRST: u64 = 400;
        let slot = ty.slots.iter().find(|slot| slot.name == name);
        if let Some(value) = slot.and_then(|s| self.reader.pointer(addr + s.offset)).filter(|p| !p.is_null()) {
            return Some(value);
        }
        let mut found = None;
        let mut visit = |i: u64, key: Addr, value: Addr| {
            if self.str_is(key, name) {
                found = Some(value);
            }
            found.is_none() && i < FIRST
        };
        match self.attributes_of(addr, ty)? {
            AttributeStore::Dict(dict) => self.dict_entries(dict, visit)?,
            AttributeStore::Values(values) => {
                self.entries(&self.keys_at(ty.cached_keys)?, values, &mut visit)?;
            }
            AttributeStore::Nothing => {}
        }
        found
    }
}
