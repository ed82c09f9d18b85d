//! Who owns a block that is no object: the table of a dict, the items of a list, the data of an array.
//!
//! An object owns the block that it points to. Where its layout is known only those pointers are looked at; in all other
//! objects each word that is no object's address counts. What lies behind such a block in turn (the tree of a C library)
//! is not followed: it belongs to nobody here. Whether a block lies at an address is not known here either.

use super::{Heap, ObjectId};
use crate::cpython::layout::DecoderName;
use crate::cpython::types::{Type, TypeId};
use crate::cpython::{Kind, Memory};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// An object says that the memory at an address is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Anywhere in a block.
    pub at: Addr,
    /// How much of it, where no allocator's block tells: 0 when only a block can.
    pub len: u64,
    /// Whose it is.
    pub owner: ObjectId,
}

/// Words of an object that are looked at: no C struct is larger.
const MAX_WORDS: u64 = 1 << 9;

/// Which words of a type's objects may point to memory of their own.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Nothing,
    Dict,
    List,
    Set,
    Deque,
    Odict,
    Str,
    /// Memory that the object says the length of.
    Native,
    /// Each word of its struct, and of the pre-header.
    Words,
}

fn plan(heap: &Heap, ty: &Type) -> Plan {
    let own_struct = match ty.decoder {
        DecoderName::Dict | DecoderName::Defaultdict => Plan::Dict,
        DecoderName::Odict => Plan::Odict,
        DecoderName::List => Plan::List,
        DecoderName::Set => Plan::Set,
        DecoderName::Deque => Plan::Deque,
        DecoderName::Str => Plan::Str,
        DecoderName::Int | DecoderName::Bool | DecoderName::Float | DecoderName::Complex => Plan::Nothing,
        DecoderName::Bytes | DecoderName::Tuple | DecoderName::Structseq => Plan::Nothing,
        _ => match heap.types().kind(ty, heap.interpreter().layout) {
            Kind::Function | Kind::Method | Kind::Builtin | Kind::Cell | Kind::WeakRef => Plan::Nothing,
            Kind::NdArray | Kind::CData | Kind::Mmap => Plan::Native,
            _ => Plan::Words,
        },
    };
    // a class that derives from a built-in type has fields of its own before and behind it
    match own_struct {
        Plan::Native => Plan::Native,
        _ if ty.is_heap_type() => match own_struct {
            Plan::Nothing if ty.head <= 16 && ty.slots.is_empty() && ty.unknown_words.is_empty() => Plan::Nothing,
            Plan::Deque | Plan::Odict => own_struct,
            _ => Plan::Words,
        },
        known => known,
    }
}

/// What all objects say, by address. `O(words of all structs)`, and 24 bytes for each of the claims.
pub fn claims(heap: &Heap, progress: &Progress) -> Result<Vec<Claim>, Cancelled> {
    let plans: Vec<Plan> = heap.types().iter().map(|(_, ty)| plan(heap, ty)).collect();
    let index = heap.objects();
    let (low, high) = bounds(heap);
    let found: Result<Vec<Vec<Claim>>, Cancelled> = (0..index.window_count())
        .into_par_iter()
        .map(|window| {
            progress.check()?;
            let memory = heap.memory();
            let mut found = Vec::new();
            for (owner, addr, id) in index.window(window) {
                let plan = plans.get(id.0 as usize).copied().unwrap_or(Plan::Nothing);
                let mut claim = |at: Addr, len: u64| {
                    if low <= at && at < high && index.object_at(at).is_none() {
                        found.push(Claim { at, len, owner });
                    }
                };
                let _ = visit(heap, &memory, plan, addr, id, &mut claim);
            }
            Ok(found)
        })
        .collect();
    let mut claims: Vec<Claim> = found?.into_iter().flatten().collect();
    claims.par_sort_unstable();
    Ok(claims)
}

/// Where blocks of allocators can be.
fn bounds(heap: &Heap) -> (Addr, Addr) {
    let regions = heap.snapshot().regions();
    let mut private = regions.iter().filter(|r| r.is_writable() && !r.is_file());
    let low = private.clone().map(|r| r.start).next().unwrap_or_default();
    (low, private.next_back().map_or(Addr::NULL, |r| r.end))
}

fn visit(
    heap: &Heap,
    memory: &Memory<'_>,
    plan: Plan,
    addr: Addr,
    id: TypeId,
    claim: &mut impl FnMut(Addr, u64),
) -> Option<()> {
    let s = &memory.layout.structs;
    let r = &memory.reader;
    match plan {
        Plan::Nothing => {}
        Plan::Dict => {
            claim(r.pointer(addr + s.dict.ma_keys)?, 0);
            claim(r.pointer(addr + s.dict.ma_values)?, 0);
        }
        Plan::List => claim(r.pointer(addr + s.list.ob_item)?, 0),
        Plan::Set => {
            let table = r.pointer(addr + s.set.table)?;
            if table != addr + s.set.smalltable {
                claim(table, 0);
            }
        }
        Plan::Str => {
            let text = memory.str_at(addr)?;
            if !text.compact {
                claim(text.data, 0);
            }
            if !(text.compact && text.ascii) {
                claim(r.pointer(addr + s.compact.utf8)?, 0);
            }
            if let Some(wstr) = s.ascii.wstr {
                claim(r.pointer(addr + wstr)?, 0);
            }
        }
        Plan::Deque => {
            let first = r.pointer(addr + s.deque.leftblock)?;
            let mut block = first;
            let items = u64::try_from(memory.ob_size(addr)?).ok()?.min(r.words());
            for _ in 0..=items / 64 + 1 {
                claim(block, 0);
                block = r.pointer(block + s.deque_block.rightlink)?;
                if block.is_null() || block == first {
                    break;
                }
            }
        }
        Plan::Odict => {
            visit(heap, memory, Plan::Words, addr, id, claim)?;
            let mut node = r.pointer(addr + s.odict.od_first)?;
            let entries = r.u64(addr + s.dict.ma_used)?.min(r.words());
            for _ in 0..entries {
                claim(node, 0);
                node = r.pointer(node + s.odict_node.next)?;
                if node.is_null() {
                    break;
                }
            }
        }
        Plan::Native => {
            let ty = heap.types().get(id);
            let owned = memory.native_memory(addr, ty, heap.types());
            if let Some((at, len)) = owned {
                claim(at, len);
            }
            words(memory, addr, ty, claim)?;
        }
        Plan::Words => words(memory, addr, heap.types().get(id), claim)?,
    }
    Some(())
}

fn words(memory: &Memory<'_>, addr: Addr, ty: &Type, claim: &mut impl FnMut(Addr, u64)) -> Option<()> {
    let header = memory.layout.structs.object.size;
    let before = if ty.head > 16 { 2 } else { 0 };
    let starts = [(addr - ty.head, before), (addr + header, (ty.basicsize.saturating_sub(header) / 8).min(MAX_WORDS))];
    for (at, count) in starts {
        for word in memory.reader.slice(at, (count * 8) as usize)?.chunks_exact(8) {
            let word = word.first_chunk().map_or(0, |w| u64::from_le_bytes(*w));
            // a pointer to attributes may have a mark in its lowest bit
            claim(Addr(word & !7), 0);
        }
    }
    Some(())
}
