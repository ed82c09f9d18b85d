//! What lies where: every piece of captured memory by the allocator that manages it, and the candidates for types.
//!
//! A first, sequential walk over each region, hopping from pool to pool and from chunk to chunk, so that the scan can
//! then go over all pieces in parallel and look only at the beginnings of live blocks. Objects are not looked for
//! here; type objects are noticed on the way, because no object can be recognised before its type is known.

use crate::alloc::mimalloc::{self, Mimalloc, Segment};
use crate::alloc::{debug, glibc, pymalloc};
use crate::cpython::Memory;
use crate::cpython::runtime::Interpreter;
use crate::cpython::types::flags;
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Reader, Region, Snapshot};
use rayon::prelude::*;

/// Pieces are cut at multiples of this, and objects numbered by window.
pub const WINDOW: u64 = 1 << 20;

const PAGE: u64 = 4096;

/// Who manages a piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// pymalloc pools, one after the other.
    Pools,
    /// glibc chunks, the first one at the piece's start; the last may reach beyond its end, up to `limit`.
    Chunks {
        /// The end of the heap.
        limit: Addr,
    },
    /// Blocks of a page of mimalloc's, those that begin in the piece.
    Page {
        /// The page's record.
        header: Addr,
    },
    /// One block that malloc mapped for itself; it may reach far beyond its window.
    Mapped,
    /// Writable data of an executable or library: objects here were placed by a compiler.
    Image,
    /// Nobody known: other allocators, stacks of threads.
    Unknown,
}

/// A piece of memory within one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// Who manages it.
    pub kind: Kind,
}

/// What the walk found.
#[derive(Debug, Default)]
pub struct Survey {
    /// The pieces, in address order.
    pub pieces: Vec<Piece>,
    /// What may be a type object, with what its type pointer says.
    pub candidates: Vec<(Addr, Addr)>,
    /// Segments of mimalloc's whose records of slices do not agree.
    pub disagreeing_segments: u64,
}

impl Survey {
    /// Walks the whole snapshot; regions in parallel.
    pub fn of(snapshot: &Snapshot, interpreter: &Interpreter, progress: &Progress) -> Result<Survey, Cancelled> {
        let mut data: Vec<(Addr, Addr)> = interpreter.images.iter().flat_map(|i| i.data.iter().copied()).collect();
        data.sort_unstable();
        data.dedup_by(|next, kept| {
            let joined = next.0 <= kept.1;
            if joined {
                kept.1 = kept.1.max(next.1);
            }
            joined
        });
        let segments = segments(snapshot, interpreter);
        let new_walk = || Walk {
            segments: &segments,
            memory: Memory { reader: snapshot.reader(), layout: interpreter.layout },
            geometry: pymalloc::Geometry::of(interpreter.layout),
            pooled: interpreter.layout.alloc.mimalloc.is_none(),
            metatypes: Metatypes::default(),
            out: Survey::default(),
        };
        let reader = snapshot.reader();
        let regions = snapshot.regions().iter().filter(|r| may_hold_objects(r));
        let mut stretches: Vec<Stretch<'_>> = regions.flat_map(|r| stretches(&reader, r, &data)).collect();
        join(&mut stretches);
        let parts: Result<Vec<(Survey, Addr)>, Cancelled> = stretches
            .par_iter()
            .map(|stretch| {
                progress.check()?;
                let mut walk = new_walk();
                let reached = walk.stretch(stretch, stretch.start);
                Ok((walk.out, reached))
            })
            .collect();
        let mut parts = parts?;
        // something that began in one stretch may reach into the next ones: those are walked again from its end
        for i in 1..parts.len() {
            let reached = parts[i - 1].1;
            if (stretches[i].continues || stretches[i].joined) && reached > stretches[i].start {
                let mut walk = new_walk();
                let end = walk.stretch(&stretches[i], reached);
                parts[i] = (walk.out, end.max(reached));
            }
        }
        let mut all = Survey::default();
        for (part, _) in parts {
            all.pieces.extend(part.pieces);
            all.candidates.extend(part.candidates);
        }
        let mut walk = new_walk();
        for segment in &segments {
            progress.check()?;
            walk.pages(segment);
            all.disagreeing_segments += u64::from(!segment.whole);
        }
        all.pieces.append(&mut walk.out.pieces);
        all.candidates.append(&mut walk.out.candidates);
        all.pieces.sort_by_key(|p| p.start);
        Ok(all)
    }
}

/// mimalloc's segments, in address order. One may begin in a region that ends before it does.
pub(super) fn segments(snapshot: &Snapshot, interpreter: &Interpreter) -> Vec<Segment> {
    let Some(mimalloc) = Mimalloc::of(interpreter.layout) else { return Vec::new() };
    let reader = snapshot.reader();
    let mut found: Vec<Segment> = Vec::new();
    for region in snapshot.regions().iter().filter(|r| r.is_writable() && !r.is_file()) {
        let mut at = Addr(region.start.0.next_multiple_of(mimalloc::SEGMENT));
        while at < region.end {
            let inside = found.last().is_some_and(|before| before.end > at);
            let segment = if inside { None } else { mimalloc.segment(&reader, at) };
            found.extend(segment);
            at = Addr(at.0.saturating_add(mimalloc::SEGMENT));
        }
    }
    found
}

/// Objects live in writable memory. Relocated data that was made read-only afterwards is part of an image's data.
fn may_hold_objects(region: &Region) -> bool {
    match region.file.as_deref() {
        Some(file) if file.starts_with("[stack") || file.starts_with("[v") => false,
        Some(_) if region.is_file() => true,
        _ => region.is_writable(),
    }
}

/// A part of a region that is walked at a time.
#[derive(Debug, Clone, Copy)]
struct Stretch<'r> {
    region: &'r Region,
    start: Addr,
    end: Addr,
    /// Data of an executable or library.
    image: bool,
    /// What lies before in its region may reach into it.
    continues: bool,
    /// It follows the region before without a gap: advice on a part of a block (`MADV_HUGEPAGE`) makes it a mapping of
    /// its own.
    joined: bool,
    /// Where the anonymous memory that it is part of ends.
    limit: Addr,
}

/// Finds which stretches are anonymous memory that the kernel tells in several pieces.
fn join(stretches: &mut [Stretch<'_>]) {
    let mut limit = None;
    for i in (0..stretches.len()).rev() {
        let (before, here) = stretches.split_at_mut(i);
        let Some(here) = here.first_mut() else { continue };
        here.limit = limit.take().unwrap_or(here.region.end);
        let adjoins =
            |b: &&Stretch<'_>| b.end == here.start && !b.image && b.region.permissions == here.region.permissions;
        let anonymous = !here.image && here.region.file.is_none();
        if anonymous && before.last().filter(adjoins).is_some_and(|b| b.region.file.is_none()) {
            here.joined = here.start == here.region.start;
            limit = Some(here.limit);
        }
    }
}

/// Large regions are walked in stretches of this size. A heap of a thread lies within one.
const STRETCH: u64 = glibc::HEAP_ALIGNMENT;

/// The stretches of a region: images' data, and what lies between. What else is in a mapped file is its contents.
fn stretches<'r>(reader: &Reader<'_>, region: &'r Region, data: &[(Addr, Addr)]) -> Vec<Stretch<'r>> {
    let mut found = Vec::new();
    // chunks lead from one to the next, there is no beginning in the middle
    let whole = glibc::main_heap(reader, region.start, region.end);
    let anonymous = |start: Addr, end: Addr, found: &mut Vec<Stretch<'r>>| {
        let mut at = start;
        while at < end && !region.is_file() {
            let border = if whole { end } else { Addr((at.0 | (STRETCH - 1)).saturating_add(1)).min(end) };
            found.push(Stretch {
                region,
                start: at,
                end: border,
                image: false,
                continues: at > start,
                joined: false,
                limit: region.end,
            });
            at = border;
        }
    };
    let mut at = region.start;
    let first = data.partition_point(|(_, end)| *end <= region.start);
    for (start, end) in data[first..].iter().take_while(|(start, _)| *start < region.end) {
        let (start, end) = ((*start).max(at), (*end).min(region.end));
        anonymous(at, start, &mut found);
        if start < end {
            found.push(Stretch { region, start, end, image: true, continues: false, joined: false, limit: end });
        }
        at = end.max(at);
    }
    anonymous(at, region.end, &mut found);
    found
}

struct Walk<'s> {
    memory: Memory<'s>,
    geometry: pymalloc::Geometry,
    /// Whether objects come from pymalloc.
    pooled: bool,
    segments: &'s [Segment],
    metatypes: Metatypes,
    out: Survey,
}

impl<'s> Walk<'s> {
    /// Walks a stretch from `from` on; returns where the last thing in it ends.
    fn stretch(&mut self, stretch: &Stretch<'_>, from: Addr) -> Addr {
        if stretch.image {
            self.image(from, stretch.end);
            return stretch.end;
        }
        let mut at = from;
        for extent in stretch.region.extents() {
            let start = stretch.region.start + extent.start;
            if start >= stretch.end {
                break;
            }
            at = at.max(start);
            let to = (stretch.region.start + extent.end).min(stretch.end);
            while at < to {
                at = self.step(at, to, stretch);
            }
        }
        at
    }

    fn reader(&self) -> &Reader<'s> {
        &self.memory.reader
    }

    /// Adds a piece, cut at the windows' borders; pieces that continue the one before are joined to it.
    fn push(&mut self, start: Addr, end: Addr, kind: Kind) {
        let mut at = start;
        while at < end {
            let border = Addr((at.0 | (WINDOW - 1)).saturating_add(1)).min(end);
            match self.out.pieces.last_mut() {
                Some(last) if last.end == at && last.kind == kind && last.start.0 / WINDOW == at.0 / WINDOW => {
                    last.end = border;
                }
                _ => self.out.pieces.push(Piece { start: at, end: border, kind }),
            }
            at = border;
        }
    }

    fn image(&mut self, start: Addr, end: Addr) {
        if start >= end {
            return;
        }
        self.words(start, end, 8);
        self.push(start, end, Kind::Image);
    }

    /// Notes what may be a type object at every `step`th byte.
    fn words(&mut self, start: Addr, end: Addr, step: usize) {
        let ob_type = self.memory.layout.structs.object.ob_type;
        // a type may begin in an image's file-backed part and end in its zeroed one, which is another region
        let start = Addr(start.0.next_multiple_of(8));
        let chunks: Vec<_> = self.memory.reader.chunks(start + ob_type, end.0.saturating_sub(start.0)).collect();
        for (at, bytes) in chunks {
            for (i, word) in bytes.chunks(step).enumerate() {
                let Some(word) = word.first_chunk::<8>() else { continue };
                self.candidate(at + (i * step) as u64 - ob_type, Addr(u64::from_le_bytes(*word)));
            }
        }
    }

    #[inline]
    fn candidate(&mut self, at: Addr, metatype: Addr) {
        if !metatype.is_null() && metatype.0.is_multiple_of(8) && self.metatypes.maybe(&self.memory, metatype) {
            self.out.candidates.push((at, metatype));
        }
    }

    /// What is at `at`, and where the next thing begins. `to`: where touched memory ends for now.
    fn step(&mut self, at: Addr, to: Addr, stretch: &Stretch<'_>) -> Addr {
        let end = stretch.region.end;
        let before = self.segments.partition_point(|s| s.start <= at).checked_sub(1).and_then(|i| self.segments.get(i));
        if let Some(segment) = before.filter(|s| s.end > at) {
            return segment.end;
        }
        if self.pooled
            && at.0.is_multiple_of(self.geometry.pool_size)
            && self.geometry.pool(self.reader(), &self.memory.layout.structs.pool, at).is_some()
        {
            let next = at + self.geometry.pool_size;
            self.push(at, next.min(end), Kind::Pools);
            return next;
        }
        if at == stretch.start && !stretch.continues && glibc::main_heap(self.reader(), at, end) {
            return self.chunks(at, end);
        }
        if at.0.is_multiple_of(glibc::HEAP_ALIGNMENT)
            && let Some((first, limit)) = glibc::thread_heap(self.reader(), at, end)
        {
            self.chunks(first, limit);
            return limit;
        }
        if at.0.is_multiple_of(PAGE)
            && let Some((user, limit)) = glibc::mapped_chunk(self.reader(), at, stretch.limit)
        {
            self.out.pieces.push(Piece { start: user, end: limit, kind: Kind::Mapped });
            return limit;
        }
        let next = Addr((at.0 | (PAGE - 1)).saturating_add(1)).min(to);
        self.words(at, next, pymalloc::ALIGNMENT as usize);
        self.push(at, next, Kind::Unknown);
        next
    }

    /// Adds a segment's pages of objects. Classes are collected objects, as large as a class at least.
    fn pages(&mut self, segment: &Segment) {
        let s = &self.memory.layout.structs;
        let (ob_type, heap_type) = (s.object.ob_type, s.heap_type.size);
        for page in &segment.pages {
            let head = match page.heap {
                mimalloc::Heap::Memory => continue,
                mimalloc::Heap::PreHeader => 16,
                mimalloc::Heap::Objects | mimalloc::Heap::Collected => 0,
            };
            self.push(page.start, page.end(), Kind::Page { header: page.header });
            if page.heap == mimalloc::Heap::Objects || page.block < heap_type {
                continue;
            }
            for i in 0..page.blocks {
                let block = page.address(i);
                let inner = debug::block(&self.memory.reader, block, page.block).map_or(block, |b| b.at);
                let address = inner + head;
                if let Some(metatype) = self.memory.reader.pointer(address + ob_type) {
                    self.candidate(address, metatype);
                }
            }
        }
    }

    /// Walks a heap's chunks; returns where it stopped making sense, its end when all is well.
    fn chunks(&mut self, first: Addr, limit: Addr) -> Addr {
        let kind = Kind::Chunks { limit };
        let heap_type = self.memory.layout.structs.heap_type.size;
        let ob_type = self.memory.layout.structs.object.ob_type;
        let mut piece = first;
        let mut at = first;
        while let Some(chunk) = glibc::chunk_at(self.reader(), at, limit) {
            if chunk.in_use && chunk.len >= heap_type {
                let block = debug::block(self.reader(), chunk.user, chunk.len).map_or(chunk.user, |b| b.at);
                // a class has a GC header before it; a static type that C code allocates (NumPy's dtypes) has none
                for address in [block + 16, block] {
                    if let Some(metatype) = self.memory.reader.pointer(address + ob_type) {
                        self.candidate(address, metatype);
                    }
                }
            }
            at = chunk.next;
            if at.0 / WINDOW != piece.0 / WINDOW {
                self.out.pieces.push(Piece { start: piece, end: at, kind });
                piece = at;
            }
        }
        if piece < at {
            self.out.pieces.push(Piece { start: piece, end: at, kind });
        }
        at
    }
}

/// Remembers which addresses could be a metatype: most words that are asked for are asked for again and again.
struct Metatypes {
    seen: Vec<(u64, bool)>,
}

impl Default for Metatypes {
    fn default() -> Self {
        Metatypes { seen: vec![(0, false); 1 << 12] }
    }
}

impl Metatypes {
    #[inline]
    fn maybe(&mut self, memory: &Memory<'_>, addr: Addr) -> bool {
        let slot = (addr.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
        let Some(entry) = self.seen.get_mut(slot) else { return false };
        if entry.0 != addr.0 {
            let word = memory.reader.u64(addr + memory.layout.structs.type_object.tp_flags);
            *entry = (addr.0, word.is_some_and(|f| f & flags::TYPE_SUBCLASS != 0 && f & flags::READY != 0));
        }
        entry.1
    }
}
