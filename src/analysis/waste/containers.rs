//! Containers that are larger than what they hold, and empty ones by the thousand.

use super::{Found, Object, row};
use crate::analysis::answers::WasteRow;
use crate::cpython::layout::DecoderName;
use crate::cpython::types::TypeId;
use crate::heap::{Heap, ObjectId};
use crate::text::{count, size};
use std::collections::HashMap;

/// A list grows by an eighth at a time; one with a quarter to spare was larger once.
const LIST_SPARE: u64 = 4;

/// A set grows to four times what it holds; one with eight times the slots was larger once.
const SET_SPARE: u64 = 8;

/// Fewer empty containers of a type are no pattern.
const MANY_EMPTY: u64 = 1000;

/// What is spare, and what is empty.
#[derive(Debug, Default)]
pub(super) struct Slack {
    lists: Vec<Found>,
    dicts: Vec<Found>,
    sets: Vec<Found>,
    /// By type: how many, their bytes, one of them.
    empty: HashMap<TypeId, (u64, u64, ObjectId)>,
}

impl Slack {
    pub(super) fn look(&mut self, object: &Object<'_, '_>) -> Option<()> {
        let s = &object.memory.layout.structs;
        let r = &object.memory.reader;
        let (addr, id) = (object.addr, object.id);
        let found = |bytes| Found { bytes, count: 1, id };
        let items = match object.ty.decoder {
            DecoderName::List => {
                let (len, room) = (u64::try_from(object.memory.ob_size(addr)?).ok()?, r.u64(addr + s.list.allocated)?);
                let spare = room.checked_sub(len)?;
                if len > 0 && spare.saturating_mul(LIST_SPARE) > room && room > 8 {
                    self.lists.push(found(spare.checked_mul(8)?));
                }
                len
            }
            DecoderName::Set => {
                let (used, slots) = (r.u64(addr + s.set.used)?, r.u64(addr + s.set.mask)?.checked_add(1)?);
                let needed = used.checked_mul(4)?.checked_next_power_of_two()?.max(8);
                if used > 0 && slots > used.saturating_mul(SET_SPARE) && slots > needed {
                    self.sets.push(found((slots - needed).checked_mul(16)?));
                }
                used
            }
            DecoderName::Deque | DecoderName::Bytearray => u64::try_from(object.memory.ob_size(addr)?).ok()?,
            _ => {
                let used = r.u64(addr + s.dict.ma_used)?;
                let own = r.pointer(addr + s.dict.ma_values)?.is_null();
                let keys_at = r.pointer(addr + s.dict.ma_keys)?;
                if used > 0 && own && r.u64(keys_at + s.keys.dk_refcnt)? == 1 {
                    let keys = object.memory.keys_at(keys_at)?;
                    let needed = object.memory.least_keys_bytes(keys_at, used)?;
                    if keys.bytes >= needed.saturating_mul(2) {
                        self.dicts.push(found(keys.bytes - needed));
                    }
                }
                used
            }
        };
        if items == 0 && object.is_mortal() {
            let sum = self.empty.entry(object.type_id).or_insert((0, 0, id));
            *sum = (sum.0 + 1, sum.1.saturating_add(object.size()?), sum.2);
        }
        Some(())
    }

    pub(super) fn merge(&mut self, other: Slack) {
        self.lists.extend(other.lists);
        self.dicts.extend(other.dicts);
        self.sets.extend(other.sets);
        for (id, (n, bytes, one)) in other.empty {
            let sum = self.empty.entry(id).or_insert((0, 0, one));
            *sum = (sum.0 + n, sum.1.saturating_add(bytes), sum.2);
        }
    }

    pub(super) fn rows(self, heap: &Heap) -> Vec<WasteRow> {
        let many = self.empty.values().filter(|(n, _, _)| *n >= MANY_EMPTY);
        let empty = many.map(|(count, bytes, id)| Found { bytes: *bytes, count: *count, id: *id }).collect();
        vec![
            row(heap, "overallocated_list", self.lists, |n, bytes| {
                format!(
                    "{} lists have room for far more than they hold: {}; copy them when they are complete (x[:]).",
                    count(n),
                    size(bytes)
                )
            }),
            row(heap, "sparse_dict", self.dicts, |n, bytes| {
                format!(
                    "{} dicts have tables at least twice as large as what they hold needs: {}; copy them when most is \
                     deleted (dict(x)).",
                    count(n),
                    size(bytes)
                )
            }),
            row(heap, "sparse_set", self.sets, |n, bytes| {
                format!(
                    "{} sets have tables far larger than what they hold needs: {}; copy them when most is removed.",
                    count(n),
                    size(bytes)
                )
            }),
            row(heap, "empty_container", empty, |n, bytes| {
                format!("{} containers are empty: {}; make them when they are needed.", count(n), size(bytes))
            }),
        ]
    }
}
