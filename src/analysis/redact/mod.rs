//! What a redacted snapshot must not hold, and what it must keep so that it reads the same: every object with its type,
//! its size and its references.
//!
//! Two rules. The payload of every live object of a kind that holds one (the characters of a str, the bytes of bytes,
//! bytearray and array, the digits of a big int or a Decimal) is cleared. All other memory that the allocators hand out, freed
//! blocks, buffers and stacks among it, is blanked word by word ([`sweep`]), but for the blocks of live objects and the
//! tables of dicts and sets. Nothing is written here: a plan is made, and applied to bytes that someone else copies.
//!
//! Images (program text and data of executables and libraries) are left as they are. So are the names of types, and
//! names with two underscores around them: without them nothing could be told apart.

mod names;
pub mod sweep;

use crate::cpython::layout::{FrameVariant, SizeRule, ValuesVariant};
use crate::cpython::types::{Attributes, Type, TypeTable};
use crate::cpython::{AttributeStore, Keys, Memory};
use crate::heap::{Heap, Kind};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Region};
use names::Names;
use rayon::prelude::*;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What becomes of the names that a program gives to attributes, variables and functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifiers {
    /// They are cleared like all text.
    Cleared,
    /// They stay.
    Kept,
}

type Ranges = Vec<Range<u64>>;

/// What to do with a snapshot's memory. Ranges are in order and do not overlap.
#[derive(Debug, Default)]
pub struct Redaction {
    /// Payloads: cleared.
    clear: Vec<Range<u64>>,
    /// C strings whose lengths count in an object's size: every character becomes the same one.
    mask: Vec<Range<u64>>,
    /// Objects and tables: left as they are, but for `clear`.
    keep: Vec<Range<u64>>,
    /// Memory that is swept, but for `keep`.
    swept: Vec<Range<u64>>,
}

/// What one window of objects adds to a plan.
#[derive(Default)]
struct Part {
    keep: Ranges,
    clear: Ranges,
    mask: Ranges,
}

/// A bit of `tp_flags` (`Py_TPFLAGS_BYTES_SUBCLASS`, Include/object.h, all versions).
const BYTES_SUBCLASS: u64 = 1 << 27;

/// `CO_MAXBLOCKS` (Include/cpython/code.h, up to 3.10).
const MAX_BLOCKS: u64 = 20;

/// Words of a Decimal's digits that lie in the object (`_Py_DEC_MINALLOC`, Modules/_decimal/_decimal.c).
const DECIMAL_WORDS: u64 = 4;

/// A block that an allocator hands out is at least as long as the head of an object.
const SMALLEST_BLOCK: u64 = 16;

/// A text whose length counts is no longer.
const LONGEST_TEXT: usize = 1 << 20;

impl Redaction {
    /// Plans it. Reads every object once.
    pub fn plan(heap: &Heap, identifiers: Identifiers, progress: &Progress) -> Result<Redaction, Cancelled> {
        let names = Names::find(heap, identifiers, progress)?;
        let windows = 0..heap.objects().window_count();
        let left = AtomicU64::new(heap.snapshot().data_bytes());
        let parts: Vec<Part> = windows
            .into_par_iter()
            .map(|window| {
                progress.check()?;
                let (memory, types, part) = (heap.memory(), heap.types(), Part::default());
                let mut one = One { memory, types, names: names.kept(), part, left: &left };
                for (_, addr, ty) in heap.objects().window(window) {
                    one.object(addr, heap.types().get(ty));
                }
                let Part { keep, clear, mask } = one.part;
                Ok(Part { keep: joined(keep), clear: joined(clear), mask })
            })
            .collect::<Result<_, Cancelled>>()?;
        let (mut keep, mut clear, mut mask) = (names.texts(heap), Vec::new(), Vec::new());
        keep.extend(pool_headers(heap));
        keep.extend(running_frames(heap));
        // an image's zeroed data is a region of its own
        let images = heap.pieces().iter().filter(|p| p.kind == Kind::Image);
        keep.extend(images.map(|p| p.start.0..p.end.0));
        for part in parts {
            keep.extend(part.keep);
            clear.extend(part.clear);
            mask.extend(part.mask);
        }
        Ok(Redaction { clear: joined(clear), mask: joined(mask), keep: joined(keep), swept: swept(heap) })
    }
}

/// The headers of pymalloc's pools: pairs of small numbers look like characters of four bytes each.
fn pool_headers(heap: &Heap) -> impl Iterator<Item = Range<u64>> + '_ {
    const HEADER: u64 = 48; // sizeof(struct pool_header), all versions
    let size = heap.interpreter().layout.alloc.pool_size.max(4096);
    let pools = heap.pieces().iter().filter(|p| p.kind == Kind::Pools);
    pools.flat_map(move |p| {
        let first = p.start.0.next_multiple_of(size);
        (first..p.end.0).step_by(size as usize).map(|at| at..at + HEADER)
    })
}

/// The heads of frames on threads' data stacks (3.11 and later): small numbers side by side look like wide characters.
fn running_frames(heap: &Heap) -> Ranges {
    let memory = heap.memory();
    if memory.layout.variants.frame == FrameVariant::Object {
        return Vec::new(); // objects like any other
    }
    let head = memory.layout.structs.frame.localsplus;
    let threads = heap.interpreter().interpreters.iter().flat_map(|state| memory.threads(state).0);
    let frames = threads.flat_map(|thread| memory.stack(thread.address).frames);
    frames.map(|frame| frame.address.0..frame.address.0.saturating_add(head)).collect()
}

/// Memory that is no image's: what the allocators have given back is text like any other.
fn swept(heap: &Heap) -> Vec<Range<u64>> {
    let regions = heap.snapshot().regions();
    let executable = |r: &&Region| r.permissions.as_ref().is_some_and(|p| p.as_bytes().get(2) == Some(&b'x'));
    let images: HashSet<_> = regions.iter().filter(executable).filter_map(|r| r.file.as_ref()).collect();
    // where mimalloc keeps its records between its pages, those are numbers that must stay
    let whole = heap.interpreter().layout.alloc.mimalloc.is_none();
    let is_data = |r: &&Region| {
        let name = r.file.as_deref().unwrap_or_default();
        // files that are mapped to be read are buffers; the kernel's own pages hold nothing of the process
        if r.is_file() { !images.contains(&name.to_owned()) } else { whole && !name.starts_with("[v") }
    };
    let data = regions.iter().filter(is_data).map(|r| r.start.0..r.end.0);
    let pieces = heap.pieces().iter().filter(|p| p.kind != Kind::Image).map(|p| p.start.0..p.end.0);
    joined(data.chain(pieces).collect())
}

/// Sorts and joins.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|r| r.start < r.end);
    ranges.sort_unstable_by_key(|r| r.start);
    ranges.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    ranges.shrink_to_fit();
    ranges
}

/// Looks at one object after the other.
struct One<'h> {
    memory: Memory<'h>,
    types: &'h TypeTable,
    names: &'h HashSet<Addr>,
    part: Part,
    /// Entries of tables that may still be looked at: damaged memory can show the same table to every dict and set.
    left: &'h AtomicU64,
}

impl One<'_> {
    fn object(&mut self, addr: Addr, ty: &Type) {
        let size = self.memory.shallow_size(addr, ty).and_then(|s| self.memory.block_size(addr, ty, s));
        let before = addr.0.saturating_sub(ty.head);
        let end = before.saturating_add(size.unwrap_or(ty.head + ty.basicsize));
        let end = self.known_until(addr, ty).map_or(end, |known| known.0.min(end));
        self.part.keep.push(before..end);
        let _ = self.values(addr, ty);
        let _ = if self.names.contains(&addr) { self.bytes(addr, ty) } else { self.payload(addr, ty) };
        let _ = self.tables(addr, ty);
        let _ = self.formats(addr, ty);
    }

    /// Where the part of an object ends whose words are all known, when what follows may be text or what was there before
    /// it.
    fn known_until(&self, addr: Addr, ty: &Type) -> Option<Addr> {
        let s = &self.memory.layout.structs;
        if self.types.kind(ty, self.memory.layout) == crate::cpython::Kind::CData {
            // what is small lies in the object itself
            let at = self.memory.reader.pointer(addr + s.cdata.b_ptr?)?;
            return (addr..addr + ty.basicsize).contains(&at).then_some(at);
        }
        if ty.size_rule == SizeRule::Frame && self.memory.layout.variants.frame == FrameVariant::Object {
            // blocks above the current one, and the stack above its top, are never cleared
            let blocks = u64::try_from(self.memory.reader.i32(addr + s.frame_object.f_iblock?)?).ok()?.min(MAX_BLOCKS);
            return Some(addr + s.frame_object.f_blockstack? + blocks * s.try_block.size);
        }
        None
    }

    fn clear(&mut self, at: Addr, len: u64) -> Option<()> {
        self.part.clear.push(at.0..at.0.checked_add(len)?);
        Some(())
    }

    fn keep(&mut self, at: Addr, len: u64) -> Option<()> {
        self.part.keep.push(at.0..at.0.checked_add(len)?);
        Some(())
    }

    /// Whether a table with so many entries may be looked at; one that may not is swept like any other memory.
    fn affords(&self, entries: u64) -> Option<()> {
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(entries)).ok().map(drop)
    }

    /// The characters of bytes that stay: program code and its tables.
    fn bytes(&mut self, addr: Addr, ty: &Type) -> Option<()> {
        if !ty.has(BYTES_SUBCLASS) {
            return Some(());
        }
        let len = u64::try_from(self.memory.ob_size(addr)?).ok()?;
        self.keep(addr + self.memory.layout.structs.bytes.ob_sval, len)
    }

    fn payload(&mut self, addr: Addr, ty: &Type) -> Option<()> {
        let s = &self.memory.layout.structs;
        let r = &self.memory.reader;
        match ty.size_rule {
            SizeRule::Str => {
                let text = self.memory.str_at(addr)?;
                let width = if text.width == 0 { 4 } else { u64::from(text.width) };
                self.clear(text.data, text.len.checked_mul(width)?)
            }
            SizeRule::Bytearray => {
                let len = r.u64(addr + s.bytearray.ob_alloc)?;
                let start = r.pointer(addr + s.bytearray.ob_start)?;
                self.clear(start, len)
            }
            SizeRule::Array => {
                let items = r.pointer(addr + s.array.ob_item?)?;
                let item = u64::try_from(r.i32(r.pointer(addr + s.array.ob_descr)? + s.array_descr.itemsize)?).ok()?;
                self.clear(items, r.u64(addr + s.array.allocated)?.checked_mul(item)?)
            }
            SizeRule::Int => {
                let (digits, _) = self.memory.int_digits(addr)?;
                // one digit is a small number: a count, an index, a flag
                if digits > 1 { self.clear(addr + s.long.ob_digit, digits.checked_mul(4)?) } else { Some(()) }
            }
            SizeRule::Decimal => {
                let d = &s.decimal;
                self.clear(addr + s.object.size, 8)?; // its hash tells a whole number
                self.clear(addr + d.dec_data + 8, DECIMAL_WORDS * 8)
            }
            _ if ty.has(BYTES_SUBCLASS) => {
                let len = u64::try_from(self.memory.ob_size(addr)?).ok()?;
                self.clear(addr + s.bytes.ob_sval, len)
            }
            _ => Some(()),
        }
    }

    /// The values of an object's attributes, which may lie outside of its block.
    fn values(&mut self, addr: Addr, ty: &Type) -> Option<()> {
        if let Attributes::Managed { inline_at: Some(at) } = ty.attributes {
            let v = &self.memory.layout.structs.values;
            let slots = u64::from(self.memory.reader.u8(addr + at + v.capacity?)?);
            self.keep(addr + at, v.values + 8 * slots + slots.next_multiple_of(8))?;
        }
        if let AttributeStore::Values(values) = self.memory.attributes_of(addr, ty)? {
            let keys = self.memory.keys_at(ty.cached_keys)?;
            self.keep_values(values, &keys)?;
        }
        Some(())
    }

    /// Exactly the array: what lies beside it is somebody else's block.
    fn keep_values(&mut self, values: Addr, keys: &Keys) -> Option<()> {
        let slots = self.memory.split_values(values, keys)?.slots;
        let v = &self.memory.layout.structs.values;
        let (before, len) = match self.memory.layout.variants.values {
            ValuesVariant::Array => (0, 8 * slots),
            // the order of the names, and in its last byte how long that is (`new_values`, Objects/dictobject.c)
            ValuesVariant::Prefix => (u64::from(self.memory.reader.u8(Addr(values.0.checked_sub(1)?))?), 8 * slots),
            ValuesVariant::Header => {
                let capacity = u64::from(self.memory.reader.u8(values + v.capacity?)?);
                (0, v.values + 8 * capacity + capacity.next_multiple_of(8))
            }
        };
        self.keep(Addr(values.0.checked_sub(before)?), before + len)
    }

    /// The tables of dicts and sets: hashes, indices and sizes that are no pointers.
    fn tables(&mut self, addr: Addr, ty: &Type) -> Option<()> {
        let s = &self.memory.layout.structs;
        // the names that the objects of a type share
        if let Some(made) = self.types.id_of(addr).map(|id| self.types.get(id))
            && let Some(keys) = self.memory.keys_at(made.cached_keys)
        {
            self.keep(made.cached_keys, keys.bytes)?;
        }
        match ty.size_rule {
            SizeRule::Dict | SizeRule::Odict | SizeRule::Stgdict => {
                let at = self.memory.reader.pointer(addr + s.dict.ma_keys)?;
                let values = self.memory.reader.pointer(addr + s.dict.ma_values)?;
                let keys = self.memory.keys_at(at)?;
                self.affords(keys.count)?;
                self.keep(at, keys.bytes)?;
                for i in 0..keys.count {
                    let key = self.memory.reader.pointer(keys.key_at(i))?;
                    if self.is_large_int(key) {
                        self.clear(Addr(keys.key_at(i).0.checked_sub(8)?), 8)?; // `me_hash`
                    }
                }
                if !values.is_null() {
                    self.keep_values(values, &keys)?;
                }
                Some(())
            }
            SizeRule::Set => {
                let table = self.memory.reader.pointer(addr + s.set.table)?;
                let slots = self.memory.reader.u64(addr + s.set.mask)?.checked_add(1)?;
                self.affords(slots)?;
                self.keep(table, slots.checked_mul(16)?)?;
                for i in 0..slots {
                    let entry = table + i * 16;
                    if self.is_large_int(self.memory.reader.pointer(entry)?) {
                        self.clear(entry + 8, 8)?;
                    }
                }
                Some(())
            }
            _ => Some(()),
        }
    }

    /// Whether this is an int whose digits are cleared: its hash, which tables keep beside it, is the number itself.
    fn is_large_int(&self, key: Addr) -> bool {
        let ty = self.memory.type_of(key).and_then(|ty| self.types.id_of(ty)).map(|id| self.types.get(id));
        ty.is_some_and(|ty| ty.size_rule == SizeRule::Int)
            && self.memory.int_digits(key).is_some_and(|(digits, _)| digits > 1)
    }

    /// Texts elsewhere whose lengths are part of an object's size: the formats of ctypes, what an unpickler reads.
    fn formats(&mut self, addr: Addr, ty: &Type) -> Option<()> {
        let s = &self.memory.layout.structs;
        let places = match ty.size_rule {
            SizeRule::Stgdict => [s.stg_dict.format.map(|offset| addr + offset), None, None],
            SizeRule::TypeCtypes => {
                [self.memory.ctypes_info(addr).zip(s.stg_info.format).map(|(i, o)| i + o), None, None]
            }
            SizeRule::Unpickler => {
                let u = &s.unpickler;
                [u.input_line, u.encoding, u.errors].map(|offset| Some(addr + offset))
            }
            _ => return Some(()),
        };
        for place in places.into_iter().flatten() {
            let at = self.memory.reader.pointer(place)?;
            if let Some(text) = self.memory.reader.c_string(at, LONGEST_TEXT) {
                let range = at.0..at.0 + text.len() as u64;
                self.part.keep.push(range.start..range.end + 1);
                // behind a short one, a type that was there before would make it an object with a count
                self.part.clear.push(range.end + 1..(range.start + SMALLEST_BLOCK).max(range.end + 1));
                self.part.mask.push(range);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined() {
        assert_eq!(joined(vec![10..20, 0..5, 5..8, 15..30, 40..40]), [0..8, 10..30]);
    }
}
