//! One thread's part of the scan: the objects of a window, from the blocks of its pieces of memory.
//!
//! An object is accepted where a block begins (or behind the block's GC header), when its type is known, its reference
//! count and GC header make sense, and it fits the block. What sits in free lists has no references left; what is in
//! the middle of a block is never looked at. Memory without blocks is searched more strictly. Which pieces there are,
//! and what becomes of the objects, is not known here.

use super::index::{Found, Shallow, Window};
use super::scan::{Objects, Plan, Tally};
use super::survey::{Kind, Piece, WINDOW};
use crate::alloc::mimalloc::{Heap, Mimalloc};
use crate::alloc::{debug, glibc, pymalloc};
use crate::cpython::layout::{DecoderName, RefCountVariant, SizeRule};
use crate::cpython::runtime::Interpreter;
use crate::cpython::types::{Attributes, Type, TypeId, TypeTable};
use crate::cpython::{Count, Memory};
use crate::snapshot::{Addr, Snapshot};
use std::sync::atomic::Ordering::Relaxed;

/// One thread's scan.
pub(super) struct Scanner<'s> {
    memory: Memory<'s>,
    types: &'s TypeTable,
    tally: &'s Tally,
    geometry: pymalloc::Geometry,
    /// How to read mimalloc's pages, where all objects made at run time are in them.
    mimalloc: Option<Mimalloc>,
    freed: Vec<u64>,
    type_type: Option<TypeId>,
    /// Whether small requests go to pools, so that what malloc handed out is large.
    pooled: bool,
    /// The lowest captured address.
    lowest: u64,
    /// The windows' objects, with whatever was found twice.
    objects: Vec<Found>,
    /// Which of them have no size yet.
    dicts: Vec<usize>,
    counts: Vec<(u64, u64)>,
    touched: Vec<TypeId>,
}

/// Where a block came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Pool,
    Malloc,
}

/// An object's own attribute values take at most this (`SHARED_KEYS_MAX_SIZE` is 30).
const MAX_INLINE_VALUES: u64 = 8 + 30 * 8 + 32;

/// Objects without GC header in memory of an unknown allocator are believed from this size on: smaller ones would be
/// in a pool.
const UNKNOWN_MIN: u64 = pymalloc::LARGEST;

impl<'s> Scanner<'s> {
    pub(super) fn new(plan: &'s Plan, snapshot: &'s Snapshot, interpreter: &Interpreter) -> Scanner<'s> {
        Scanner {
            memory: Memory { reader: snapshot.reader(), layout: interpreter.layout },
            types: &plan.types,
            tally: &plan.tally,
            geometry: pymalloc::Geometry::of(interpreter.layout),
            mimalloc: Mimalloc::of(interpreter.layout),
            freed: Vec::new(),
            type_type: plan.types.id_of(interpreter.type_type),
            pooled: plan.pieces.iter().any(|p| p.kind == Kind::Pools),
            lowest: snapshot.regions().first().map_or(u64::MAX, |r| r.start.0),
            objects: Vec::with_capacity(1 << 14),
            dicts: Vec::new(),
            counts: vec![(0, 0); plan.types.len()],
            touched: Vec::new(),
        }
    }

    /// The objects of one window, and those found in its last chunk that begin in the next window.
    pub(super) fn window(&mut self, pieces: &[Piece], types: &[(Addr, TypeId)]) -> (Window, Objects) {
        self.objects.clear();
        for piece in pieces {
            match piece.kind {
                Kind::Page { header } => self.page(piece, header),
                Kind::Image => self.image(piece),
                // in free-threaded builds malloc holds no objects
                _ if self.mimalloc.is_some() => {}
                Kind::Pools => self.pools(piece),
                Kind::Chunks { limit } => self.chunks(piece, limit),
                Kind::Mapped => {
                    self.block(
                        self.memory.reader.tail(piece.start),
                        piece.start,
                        piece.end.0 - piece.start.0,
                        Source::Malloc,
                    );
                }
                Kind::Unknown => self.unknown(piece),
            }
        }
        self.dict_sizes();
        if !types.is_empty() {
            for (address, id) in types {
                let metatype = self.types.id_of(self.types.get(*id).metatype);
                if let Some(metatype) = metatype.or(self.type_type) {
                    self.accept(*address, metatype);
                }
            }
            self.objects.sort_unstable_by_key(|(addr, ..)| *addr);
            self.objects.dedup_by_key(|(addr, ..)| *addr);
        }
        let first = pieces.first().map(|p| p.start).into_iter().chain(types.first().map(|t| t.0)).min();
        let own = first.map_or(0, |addr| addr.0 / WINDOW);
        let beyond = self.objects.partition_point(|(addr, ..)| addr.0 / WINDOW == own);
        (Window::new(&self.objects[..beyond]), self.objects[beyond..].to_vec())
    }

    /// Adds what this window found to the shared counts; the number of objects.
    pub(super) fn flush(&mut self) -> u64 {
        for id in self.touched.drain(..) {
            let here = std::mem::take(&mut self.counts[id.0 as usize]);
            if let Some((count, bytes)) = self.tally.counts.get(id.0 as usize) {
                count.fetch_add(here.0, Relaxed);
                bytes.fetch_add(here.1, Relaxed);
            }
        }
        self.objects.len() as u64
    }

    /// Takes an object in, with a type's own size.
    fn accept(&mut self, addr: Addr, id: TypeId) {
        let size = self.memory.shallow_size(addr, self.types.get(id));
        self.count(addr, id, size);
    }

    #[inline]
    fn count(&mut self, addr: Addr, id: TypeId, size: Option<u64>) {
        self.objects.push((addr, id, Shallow::of(size)));
        let entry = &mut self.counts[id.0 as usize];
        if entry.0 == 0 {
            self.touched.push(id);
        }
        entry.0 += 1;
        entry.1 = entry.1.saturating_add(size.unwrap_or(0));
    }

    fn pools(&mut self, piece: &Piece) {
        let offsets = &self.memory.layout.structs.pool;
        let mut freed = [0; 16];
        let mut at = piece.start;
        while at < piece.end {
            if let Some(pool) = self.geometry.pool(&self.memory.reader, offsets, at).filter(|p| p.live > 0) {
                let agrees = pool.freed(&self.memory.reader, &mut freed);
                if !agrees {
                    self.tally.disagreeing_pools.fetch_add(1, Relaxed);
                }
                let bytes = self.memory.reader.tail(pool.first());
                for i in 0..pool.blocks {
                    if freed[(i / 64) as usize] & (1 << (i % 64)) == 0 {
                        let here = bytes.get((i * pool.block) as usize..).unwrap_or(&[]);
                        self.block(here, pool.address(i), pool.block, Source::Pool);
                    }
                }
            }
            at = at + self.geometry.pool_size;
        }
    }

    /// The objects of those blocks of a page of mimalloc's that begin in the piece.
    fn page(&mut self, piece: &Piece, header: Addr) {
        let page = self.mimalloc.and_then(|m| m.page(&self.memory.reader, header));
        let Some(page) = page.filter(|p| p.used > 0 && p.heap != Heap::Memory) else { return };
        let mut freed = std::mem::take(&mut self.freed);
        let agrees = page.freed(&self.memory.reader, &mut freed);
        if piece.start == page.start {
            self.tally.disagreeing_pools.fetch_add(u64::from(!agrees), Relaxed);
        }
        let heads: &[u64] = match page.heap {
            Heap::PreHeader => &[16],
            Heap::Collected => &[0],
            // an uncollected object may have a pre-header all the same
            Heap::Objects | Heap::Memory => &[0, 16],
        };
        let first = (piece.start.0 - page.start.0).div_ceil(page.block);
        let end = (piece.end.0 - page.start.0).div_ceil(page.block).min(page.blocks);
        for i in first..end {
            if freed.get((i / 64) as usize).is_some_and(|word| word & (1 << (i % 64)) == 0) {
                let (at, reader) = (page.address(i), &self.memory.reader);
                match debug::block(reader, at, page.block).filter(|b| b.is_object) {
                    Some(inner) => self.page_block(inner.at, inner.len, heads),
                    None => self.page_block(at, page.block, heads),
                }
            }
        }
        self.freed = freed;
    }

    /// Looks for the object of a live block of a page.
    fn page_block(&mut self, block: Addr, len: u64, heads: &[u64]) {
        for head in heads {
            let addr = block + *head;
            let Some(id) = self.live_at(addr) else { continue };
            let ty = self.types.get(id);
            if ty.head == *head
                && !ty.is_metatype()
                && let Some(size) = self.memory.shallow_size(addr, ty)
                && self.fits(addr, ty, size, len, Source::Pool, 0)
            {
                self.count(addr, id, Some(size));
                return;
            }
        }
    }

    /// The type of what may be a live object.
    fn live_at(&self, addr: Addr) -> Option<TypeId> {
        let id = self.types.id_of(self.memory.type_of(addr)?)?;
        matches!(self.memory.count(addr)?, Count::Live(_) | Count::Immortal).then_some(id)
    }

    fn chunks(&mut self, piece: &Piece, limit: Addr) {
        let mut at = piece.start;
        while at < piece.end
            && let Some(chunk) = glibc::chunk_at(&self.memory.reader, at, limit)
        {
            if chunk.in_use {
                self.block(self.memory.reader.tail(chunk.user), chunk.user, chunk.len, Source::Malloc);
            }
            at = chunk.next;
        }
    }

    /// Looks for the object of a live block, within the marks of the debug hooks where it has them.
    #[inline]
    fn block(&mut self, memory: &[u8], block: Addr, len: u64, source: Source) {
        let marked = if debug::may_be(memory) { debug::block(&self.memory.reader, block, len) } else { None };
        match marked {
            None => self.object_of(memory, block, len, source, 0),
            Some(inner) if inner.is_object => {
                let memory = memory.get((inner.at.0 - block.0) as usize..).unwrap_or_default();
                self.object_of(memory, inner.at, inner.len, source, debug::OVERHEAD);
            }
            Some(_) => {}
        }
    }

    /// Looks for the object: at the beginning, behind a GC header, behind a pre-header too. `overhead`: bytes that the
    /// allocator was asked for besides.
    #[inline]
    fn object_of(&mut self, memory: &[u8], block: Addr, len: u64, source: Source, overhead: u64) {
        let Some(bytes) = memory.get(..len.min(48) as usize) else { return };
        for head in [16, 0, 32] {
            let Some(word) = bytes.get(head + 8..).and_then(|b| b.first_chunk()) else { continue };
            let Some(id) = self.types.id_of(Addr(u64::from_le_bytes(*word))) else { continue };
            let ty = self.types.get(id);
            if ty.head != head as u64 || ty.is_metatype() {
                continue;
            }
            let addr = block + head as u64;
            let count = bytes.get(head..).and_then(|b| b.first_chunk()).map(|w| u64::from_le_bytes(*w));
            let lives = bytes.get(head..).and_then(|header| self.memory.count_in(header));
            let Some(Count::Live(_) | Count::Immortal) = lives else { continue };
            if head > 0 && !gc_header_makes_sense(&bytes[head - 16..head]) {
                continue;
            }
            // a chunk that was freed into a thread's cache keeps all but the words of the GC header
            if source == Source::Malloc && head > 0 && !self.is_on_a_list(addr, ty) {
                continue;
            }
            // a chunk that was freed into a fast bin keeps all but the word that a count would be
            let freed = |count| glibc::is_link(&self.memory.reader, block, len, count);
            if source == Source::Malloc && head == 0 && overhead == 0 && count.is_some_and(freed) {
                continue;
            }
            // two pointers in a row: the executable's own heap may lie so low that an address passes for a count
            if self.is_address(count.unwrap_or(0)) && !(head > 0 && self.is_linked(addr)) {
                continue;
            }
            // a dict's size lies in its keys, elsewhere: those are asked for together, so that the waits overlap
            let later = ty.size_rule == SizeRule::Dict;
            let size = if later { Some(ty.head + ty.basicsize) } else { self.memory.shallow_size(addr, ty) };
            if let Some(size) = size
                && self.fits(addr, ty, size, len, source, overhead)
            {
                if later {
                    self.dicts.push(self.objects.len());
                }
                self.count(addr, id, if later { None } else { Some(size) });
                return;
            }
        }
    }

    /// Adds the sizes of the dicts that were found.
    fn dict_sizes(&mut self) {
        for at in self.dicts.drain(..) {
            let Some((addr, id, kept)) = self.objects.get_mut(at) else { continue };
            let size = self.memory.shallow_size(*addr, self.types.get(*id));
            *kept = Shallow::of(size);
            if let Some(entry) = self.counts.get_mut(id.0 as usize) {
                entry.1 = entry.1.saturating_add(size.unwrap_or(0));
            }
        }
    }

    /// Whether an object of this type and size can be what a block of `room` bytes was asked for.
    #[inline]
    fn fits(&self, addr: Addr, ty: &Type, size: u64, room: u64, source: Source, overhead: u64) -> bool {
        // (objects of variable size may have been large once, and shrunk in place)
        if source == Source::Malloc && self.pooled && ty.itemsize == 0 && ty.size_rule != SizeRule::Str {
            let values = matches!(ty.attributes, Attributes::Managed { inline_at: Some(_) });
            let least = ty.head + ty.basicsize + if values { MAX_INLINE_VALUES } else { 0 };
            if least + overhead <= pymalloc::LARGEST {
                return false;
            }
        }
        let Some(needed) = self.memory.block_size(addr, ty, size) else { return false };
        if needed > room {
            return false;
        }
        // objects so small that many a pair of words could pass for one have their exact size
        !matches!(ty.decoder, DecoderName::Float | DecoderName::Complex)
            || room.wrapping_sub(size + self.memory.inline_values_size(addr, ty).unwrap_or(0)) < 32
    }

    /// Objects that a compiler placed: static types are known already; the others have no GC header that counts.
    fn image(&mut self, piece: &Piece) {
        let variant = self.memory.layout.variants.refcount;
        let immortal_only = variant != RefCountVariant::Plain;
        // where counts are split, a module's definition stays immortal as it was compiled (`PyObject_HEAD_INIT`)
        let counted = |ty: &Type| ty.name == "moduledef" && variant != RefCountVariant::Split;
        let object = &self.memory.layout.structs.object;
        let mut at = Addr(piece.start.0.next_multiple_of(8));
        // (a header may reach into the next window)
        while at < piece.end {
            let Some(bytes) = self.memory.reader.slice(at, object.size as usize) else { break };
            let mut next = at + 8;
            let word = bytes.get(object.ob_type as usize..).and_then(|b| b.first_chunk());
            let word = word.map_or(0, |w| u64::from_le_bytes(*w));
            if let Some(id) = self.types.id_of(Addr(word)) {
                let ty = self.types.get(id);
                let count = self.memory.count_in(bytes).unwrap_or(Count::Absurd);
                let placed = ty.is_ready() && !ty.is_heap_type() && !ty.is_metatype() && may_be_static(ty);
                let lives = match count {
                    Count::Immortal => true,
                    Count::Live(_) => !immortal_only || counted(ty),
                    _ => false,
                };
                // within a static type: a pointer, then that to its base. An executable that is not moved about lies so
                // low that the pointer passes for a count
                let pointer = ty.name == "object"
                    && matches!(count, Count::Live(n) if u64::from(n) >= self.lowest
                        && self.memory.reader.u64(Addr(u64::from(n))).is_some());
                if placed
                    && lives
                    && !pointer
                    && let Some(size) = self.memory.shallow_size(at, ty)
                    && self.static_makes_sense(at, ty, size)
                {
                    self.count(at, id, Some(size));
                    let own = self.memory.block_size(at, ty, size).unwrap_or(0).saturating_sub(ty.head);
                    next = Addr((at + own.max(16)).0.next_multiple_of(8));
                }
            }
            at = next;
        }
    }

    fn static_makes_sense(&self, addr: Addr, ty: &Type, size: u64) -> bool {
        match ty.decoder {
            // a word before the type's own place in a table of addresses is no count; the size is absurd then
            DecoderName::Str if size >= 1 << 20 => false,
            DecoderName::Str => self.memory.str_at(addr).is_some_and(|s| s.compact && s.len < 1 << 16),
            DecoderName::Int | DecoderName::Bool => self.memory.int_digits(addr).is_some_and(|(n, _)| n <= 16),
            DecoderName::Float | DecoderName::Complex => false,
            _ => size < 1 << 20,
        }
    }

    /// Memory of unknown allocators: objects on the collector's lists, and big strings.
    fn unknown(&mut self, piece: &Piece) {
        let mut at = Addr(piece.start.0.next_multiple_of(pymalloc::ALIGNMENT));
        while at + 16 <= piece.end {
            let Some(word) = self.memory.reader.pointer(at + 8) else { break };
            if let Some(id) = self.types.id_of(word) {
                let ty = self.types.get(id);
                let lives = matches!(self.memory.count(at), Some(Count::Live(_) | Count::Immortal));
                if lives
                    && !ty.is_metatype()
                    && let Some(size) = self.memory.shallow_size(at, ty)
                    && if ty.head > 0 { self.is_linked(at) } else { self.is_big_string(at, ty, size) }
                {
                    self.count(at, id, Some(size));
                }
            }
            at = at + pymalloc::ALIGNMENT;
        }
    }

    /// Whether a count is the address of an object: a pointer, as in a list of items.
    #[inline]
    fn is_address(&self, count: u64) -> bool {
        count >= self.lowest
            && count.is_multiple_of(8)
            && self.memory.type_of(Addr(count)).is_some_and(|ty| self.types.id_of(ty).is_some())
    }

    /// Whether an object's GC header is on a list, on none, or part of a collection that runs. Lists and what has room
    /// for one reference only (cells) are on a list from their making on: a few small numbers before what a freed one left
    /// of itself would pass for one on none (seen with `array('q', [0, 1, 2])`).
    fn is_on_a_list(&self, addr: Addr, ty: &Type) -> bool {
        const COLLECTING: u64 = 2;
        let r = &self.memory.reader;
        if r.u64(addr - 16) == Some(0) {
            let small = ty.itemsize == 0 && ty.basicsize <= self.memory.layout.structs.object.size + 8;
            return !small && ty.decoder != DecoderName::List;
        }
        let collecting = r.u64(addr - 8).is_some_and(|before| before & COLLECTING != 0);
        collecting || !self.is_unlinked(addr)
    }

    /// Whether a neighbour on the list does not point back; one that was not captured cannot tell.
    fn is_unlinked(&self, addr: Addr) -> bool {
        let link = |at: Addr| self.memory.reader.u64(at).map(|w| Addr(w & !3));
        let head = addr - 16;
        let (Some(next), Some(before)) = (link(head), link(head + 8)) else { return true };
        link(next + 8).is_some_and(|back| back != head) || link(before).is_some_and(|back| back != head)
    }

    /// Whether the object's GC header is on a list: its neighbours point back to it. A list's own head is among them, so
    /// what is its own neighbour is the empty list of something else (seen before `ast_state` of 3.14).
    fn is_linked(&self, addr: Addr) -> bool {
        let r = &self.memory.reader;
        let head = addr - 16;
        let link = |at: Addr| r.u64(at).map(|w| Addr(w & !3));
        let (Some(next), Some(before)) = (link(head), link(head + 8)) else { return false };
        !next.is_null() && next != head && link(next + 8) == Some(head) && link(before) == Some(head)
    }

    fn is_big_string(&self, addr: Addr, ty: &Type, size: u64) -> bool {
        if size < UNKNOWN_MIN {
            return false;
        }
        let s = &self.memory.layout.structs;
        match ty.decoder {
            DecoderName::Bytes => {
                let len = self.memory.ob_size(addr).and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX);
                self.memory.reader.u8(addr + s.bytes.ob_sval.wrapping_add(len)) == Some(0)
            }
            DecoderName::Str => self.memory.str_at(addr).is_some_and(|text| {
                let end = text.data + text.len.wrapping_mul(u64::from(text.width));
                text.compact && text.width > 0 && self.memory.reader.u8(end) == Some(0)
            }),
            _ => false,
        }
    }
}

/// Both links, or none: an object that left the lists keeps only that it was finalised (`_PyGC_PREV_MASK_FINALIZED`).
#[inline]
fn gc_header_makes_sense(header: &[u8]) -> bool {
    let word = |i: usize| header.get(i..).and_then(|b| b.first_chunk()).map_or(0, |w| u64::from_le_bytes(*w));
    let (next, before) = (word(0), word(8));
    if next == 0 { before <= 1 } else { next > 3 && next >> 47 == 0 && before >> 47 == 0 }
}

/// Types whose objects a compiler places in CPython or in an extension module.
fn may_be_static(ty: &Type) -> bool {
    use crate::cpython::types::flags;
    !ty.has(flags::HAVE_GC)
        || matches!(ty.decoder, DecoderName::Tuple | DecoderName::HamtBitmap | DecoderName::Set)
        || ty.name == "hamt"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gc_headers_have_both_links_or_none() {
        let header = |next: u64, before: u64| [next.to_le_bytes(), before.to_le_bytes()].concat();
        assert!(gc_header_makes_sense(&header(0x7f00_0000_1000, 0x7f00_0000_2000)));
        assert!(gc_header_makes_sense(&header(0, 1)), "finalised, on no list");
        assert!(!gc_header_makes_sense(&header(0, 0x7f00_0000_2000)));
        assert!(!gc_header_makes_sense(&header(0, 2)) && !gc_header_makes_sense(&header(1, 2)), "numbers");
        assert!(!gc_header_makes_sense(&header(u64::MAX, 0)));
    }
}
