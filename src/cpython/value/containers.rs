//! Items of containers, in the order that iterating over them gives, and never more than asked for.

use super::{Memory, Part};
use crate::cpython::kind::Kind;
use crate::cpython::layout::{DecoderName, ValuesVariant};
use crate::cpython::memory::{Keys, MAX_ITEMS};
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;
use std::collections::HashMap;

/// Items in a block of a deque.
const BLOCK: u64 = 64;

/// A table may be all holes: this many slots are looked at for `max` items.
fn patience(max: usize) -> u64 {
    (max as u64).saturating_mul(16).saturating_add(4096)
}

impl Memory<'_> {
    /// Items of a tuple, list, set or deque.
    pub(super) fn sequence(&self, addr: Addr, ty: &Type, kind: Kind, max: usize) -> Option<Part<Addr>> {
        let s = &self.layout.structs;
        match kind {
            Kind::Set | Kind::FrozenSet => self.set_items(addr, max),
            Kind::Deque => self.deque_items(addr, max),
            Kind::List => {
                let len = u64::try_from(self.ob_size(addr)?).ok()?.min(self.reader.u64(addr + s.list.allocated)?);
                Some(self.pointers(self.reader.pointer(addr + s.list.ob_item)?, len, max))
            }
            _ => match ty.items {
                // what indexing and len() show of a struct sequence
                Some(hidden) => {
                    let len = u64::try_from(self.ob_size(addr)?).ok()?.min(hidden);
                    Some(self.pointers(addr + s.tuple.ob_item, len, max))
                }
                None => self.tuple_items(addr, max),
            },
        }
    }

    /// Items of a tuple.
    pub(super) fn tuple_items(&self, addr: Addr, max: usize) -> Option<Part<Addr>> {
        let len = u64::try_from(self.ob_size(addr)?).ok().filter(|n| *n < MAX_ITEMS)?;
        Some(self.pointers(addr + self.layout.structs.tuple.ob_item, len, max))
    }

    pub(super) fn pointers(&self, first: Addr, len: u64, max: usize) -> Part<Addr> {
        let items = (0..len.min(max as u64)).map_while(|i| self.reader.pointer(first + i * 8)).collect();
        Part { items, len }
    }

    fn set_items(&self, addr: Addr, max: usize) -> Option<Part<Addr>> {
        let s = &self.layout.structs.set;
        let len = self.reader.u64(addr + s.used)?;
        let slots = self.reader.u64(addr + s.mask)?.checked_add(1)?;
        let table = self.reader.pointer(addr + s.table)?;
        let mut items = Vec::new();
        for i in 0..slots.min(patience(max)) {
            if items.len() as u64 >= len.min(max as u64) {
                break;
            }
            let Some(key) = self.reader.pointer(table + i * 16) else { break };
            // a deleted entry points to a dummy and has the hash -1
            if !key.is_null() && self.reader.i64(table + i * 16 + 8) != Some(-1) {
                items.push(key);
            }
        }
        Some(Part { items, len })
    }

    fn deque_items(&self, addr: Addr, max: usize) -> Option<Part<Addr>> {
        let d = &self.layout.structs.deque;
        let b = &self.layout.structs.deque_block;
        let len = u64::try_from(self.ob_size(addr)?).ok()?;
        let mut block = self.reader.pointer(addr + d.leftblock)?;
        let mut index = self.reader.u64(addr + d.leftindex)?;
        let mut items = Vec::new();
        while (items.len() as u64) < len.min(max as u64) {
            if index >= BLOCK {
                let Some(next) = self.reader.pointer(block + b.rightlink) else { break };
                (block, index) = (next, 0);
            }
            let Some(item) = self.reader.pointer(block + b.data + index * 8) else { break };
            items.push(item);
            index += 1;
        }
        Some(Part { items, len })
    }

    /// Entries of a dict, in the order they were inserted.
    pub fn dict_items(&self, addr: Addr, max: usize) -> Option<Part<(Addr, Addr)>> {
        let d = &self.layout.structs.dict;
        let keys = self.keys_at(self.reader.pointer(addr + d.ma_keys)?)?;
        let values = self.reader.pointer(addr + d.ma_values)?;
        if !values.is_null() {
            return self.split_items(&keys, values, max);
        }
        let len = self.reader.u64(addr + d.ma_used)?;
        let mut items = Vec::new();
        for i in 0..keys.count.min(patience(max)) {
            if items.len() as u64 >= len.min(max as u64) {
                break;
            }
            let Some(value) = self.reader.pointer(keys.value_at(i)) else { break };
            let Some(key) = self.reader.pointer(keys.key_at(i)) else { break };
            if !value.is_null() && !key.is_null() {
                items.push((key, value));
            }
        }
        Some(Part { items, len })
    }

    /// Entries of a split table: the names are shared, the order is each object's own.
    pub(super) fn split_items(&self, keys: &Keys, values: Addr, max: usize) -> Option<Part<(Addr, Addr)>> {
        let split = self.split_values(values, keys)?;
        let v = &self.layout.structs.values;
        let order: Vec<u64> = match self.layout.variants.values {
            ValuesVariant::Array => (0..split.slots).collect(),
            ValuesVariant::Prefix => {
                let used = u64::from(self.reader.u8(values - 2)?);
                (0..used).map_while(|i| self.reader.u8(values - 3 - i)).map(u64::from).collect()
            }
            ValuesVariant::Header => {
                let used = u64::from(self.reader.u8(values + v.size_field?)?);
                let capacity = u64::from(self.reader.u8(values + v.capacity?)?);
                let first = split.first + capacity * 8;
                (0..used).map_while(|i| self.reader.u8(first + i)).map(u64::from).collect()
            }
        };
        let mut part = Part { items: Vec::new(), len: 0 };
        for i in order.into_iter().filter(|i| *i < split.slots) {
            let Some(value) = self.reader.pointer(split.first + i * 8).filter(|v| !v.is_null()) else { continue };
            let Some(key) = self.reader.pointer(keys.key_at(i)).filter(|k| !k.is_null()) else { continue };
            part.len += 1;
            if part.items.len() < max {
                part.items.push((key, value));
            }
        }
        Some(part)
    }

    /// Entries of an OrderedDict: its nodes tell the order, its dict the values.
    pub(super) fn odict_items(&self, addr: Addr, max: usize) -> Option<Part<(Addr, Addr)>> {
        let all = usize::try_from(patience(max)).ok()?;
        let dict = self.dict_items(addr, all)?;
        let by_key: HashMap<Addr, Addr> = dict.items.into_iter().collect();
        let nodes = self.odict_nodes(addr).take(max);
        let items = nodes.filter_map(|key| Some((key, *by_key.get(&key)?))).collect();
        Some(Part { items, len: dict.len })
    }

    /// The value under a str key of a dict, among its first `max` entries.
    pub(super) fn lookup(&self, dict: Addr, name: &str, max: usize) -> Option<Addr> {
        let items = self.dict_items(dict, max)?.items;
        items.into_iter().find(|(key, _)| self.str_is(*key, name)).map(|(_, value)| value)
    }

    /// Variables and values of a context: the leaves of its tree (`Python/hamt.c`).
    pub(super) fn context_items(
        &self,
        addr: Addr,
        ty: &Type,
        types: &TypeTable,
        max: usize,
    ) -> Option<Part<(Addr, Addr)>> {
        let tree = self.field(addr, ty, "ctx_vars")?;
        let tree_type = types.get(types.id_of(self.type_of(tree)?)?);
        // h_count follows the root and the list of weak references
        let root = tree_type.fields?.refs.iter().find(|(name, _)| name == "h_root")?.1;
        let len = self.reader.u64(tree + root + 16)?;
        let mut items = Vec::new();
        if let Some(node) = self.reader.pointer(tree + root) {
            self.hamt_leaves(node, types, max, 0, &mut items);
        }
        Some(Part { items, len })
    }

    fn hamt_leaves(&self, node: Addr, types: &TypeTable, max: usize, depth: u32, out: &mut Vec<(Addr, Addr)>) {
        const MAX_DEPTH: u32 = 10;
        let s = &self.layout.structs;
        let Some(ty) = self.type_of(node).and_then(|t| types.id_of(t)) else { return };
        if depth > MAX_DEPTH || out.len() >= max {
            return;
        }
        let size = self.ob_size(node).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let (pairs, count) = match types.get(ty).decoder {
            DecoderName::HamtArray => {
                for i in 0..32 {
                    let child = self.reader.pointer(node + s.hamt_array.a_array + i * 8).unwrap_or_default();
                    if !child.is_null() {
                        self.hamt_leaves(child, types, max, depth + 1, out);
                    }
                }
                return;
            }
            DecoderName::HamtBitmap => (node + s.hamt_bitmap.b_array, (size / 2).min(32)),
            DecoderName::HamtCollision => (node + s.hamt_collision.c_array, size / 2),
            _ => return,
        };
        for i in 0..count {
            let Some(value) = self.reader.pointer(pairs + i * 16 + 8) else { return };
            if out.len() >= max {
                return;
            }
            match self.reader.pointer(pairs + i * 16) {
                Some(Addr::NULL) => self.hamt_leaves(value, types, max, depth + 1, out),
                Some(key) => out.push((key, value)),
                None => return,
            }
        }
    }
}
