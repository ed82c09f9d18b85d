//! Which memory outside of its own block belongs to an object: tables, items, values. References that lie there are the
//! object's, and were counted with it.

use crate::cpython::Memory;
use crate::cpython::edges::AttributeStore;
use crate::cpython::layout::{ArrayCount, DecoderName};
use crate::cpython::types::{Attributes, Type};
use crate::snapshot::Addr;

/// Nodes and blocks that are followed from one object.
const MAX_STEPS: u64 = 1 << 24;

/// Calls `add` with the first address and the length of each such piece. What cannot be read is left out.
pub(super) fn of(memory: &Memory<'_>, address: Addr, ty: &Type, mut add: impl FnMut(Addr, u64)) {
    let _ = content(memory, address, ty, &mut add);
    if ty.attributes != Attributes::None
        && let Some(AttributeStore::Values(values)) = memory.attributes_of(address, ty)
        && let Some(keys) = memory.keys_at(ty.cached_keys)
    {
        let split = memory.split_values(values, &keys);
        split.into_iter().for_each(|s| add(s.first, s.slots * 8));
    }
    for array in ty.fields.iter().flat_map(|f| &f.arrays) {
        let at = memory.follow(address, &array.path).and_then(|at| memory.reader.pointer(at));
        let count = match &array.count {
            ArrayCount::Fixed(n) => Some(*n),
            ArrayCount::At(path) => memory.follow(address, path).and_then(|at| memory.reader.u64(at)),
        };
        if let (Some(at), Some(count)) = (at, count) {
            add(at, count.min(memory.reader.words()).saturating_mul(array.stride));
        }
    }
    for deep in ty.fields.iter().flat_map(|f| &f.deep) {
        memory.follow(address, &deep.path).into_iter().for_each(|at| add(at, 8));
    }
}

fn content(memory: &Memory<'_>, address: Addr, ty: &Type, add: &mut impl FnMut(Addr, u64)) -> Option<()> {
    let (s, r) = (&memory.layout.structs, &memory.reader);
    match ty.decoder {
        DecoderName::List => add(r.pointer(address + s.list.ob_item)?, 8 * r.u64(address + s.list.allocated)?),
        DecoderName::Dict | DecoderName::Defaultdict | DecoderName::Odict => {
            let at = r.pointer(address + s.dict.ma_keys)?;
            let keys = memory.keys_at(at)?;
            add(at, keys.bytes);
            let values = r.pointer(address + s.dict.ma_values)?;
            if !values.is_null() {
                let split = memory.split_values(values, &keys)?;
                add(split.first, split.slots * 8);
            }
            if ty.decoder == DecoderName::Odict {
                let mut node = r.pointer(address + s.odict.od_first)?;
                for _ in 0..MAX_STEPS.min(r.u64(address + s.dict.ma_used)?) {
                    add(node, s.odict_node.size);
                    node = r.pointer(node + s.odict_node.next)?;
                }
            }
        }
        DecoderName::Set => {
            let table = r.pointer(address + s.set.table)?;
            if table != address + s.set.smalltable {
                add(table, 16 * (r.u64(address + s.set.mask)?.min(r.words()) + 1));
            }
        }
        DecoderName::Deque => {
            let first = r.pointer(address + s.deque.leftblock)?;
            let mut block = first;
            for _ in 0..MAX_STEPS.min(memory.ob_size(address)?.unsigned_abs() / 64 + 2) {
                add(block, s.deque_block.size);
                block = r.pointer(block + s.deque_block.rightlink)?;
                if block.is_null() || block == first {
                    break;
                }
            }
        }
        DecoderName::Type => {
            let at = r.pointer(address + s.heap_type.ht_cached_keys)?;
            add(at, memory.keys_at(at)?.bytes);
        }
        DecoderName::Simplequeue => {
            let q = &s.simplequeue;
            add(r.pointer(address + q.items?)?, 8 * r.u64(address + q.items_cap?)?.min(r.words()));
        }
        DecoderName::Frame => {
            let frame = r.pointer(address + s.frame_object.f_frame?)?;
            let slots = memory.embedded_slots(frame)?;
            add(frame, s.frame.localsplus + 8 * slots.used);
        }
        _ => {}
    }
    Some(())
}
