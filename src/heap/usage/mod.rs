//! What every byte is used for: objects, blocks that they own, other blocks, what an allocator has free, its own notes.
//!
//! Memory is cut into [`Item`]s: runs that one allocator manages. Walking one hands each of its parts to a visitor, in
//! address order, without gaps and without overlaps, so that the parts' lengths always add up to the item's. Memory
//! of no allocator is no item; it is for the caller to know which mapping it belongs to. How much of a part is resident
//! is not known here, nor what a person wants to hear of it.

mod items;

use super::owners::{Claim, claims};
use super::survey::{WINDOW, segments};
use super::{Heap, ObjectId};
use crate::alloc::mimalloc::{self, Segment};
use crate::alloc::{glibc, pymalloc};
use crate::cpython::Memory;
use crate::cpython::types::TypeId;
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use items::{freed_chunks, items};
use std::collections::HashSet;

/// Who manages a run of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// pymalloc: pools in arenas.
    Pymalloc,
    /// mimalloc: pages in segments.
    Mimalloc,
    /// glibc malloc: chunks in heaps.
    Malloc,
    /// glibc malloc: a chunk that was mapped for itself.
    Mapped,
    /// A compiler: data of an executable or library.
    Image,
    /// Nobody known.
    Unknown,
}

/// What a part is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The block of an object of this type.
    Object(TypeId),
    /// A block in use that this object owns.
    Owned(ObjectId),
    /// A block in use that no object points to.
    Other,
    /// A block that was freed, or was never handed out, of a class of this size (0: of any size).
    Free(u64),
    /// Pools, slices, pages without a block in use.
    Empty,
    /// Freed, and kept in a thread's cache or a fast bin.
    Cached,
    /// The rest of a heap, which was never handed out or has come back.
    Top,
    /// Headers.
    Overhead,
    /// Not known: no block tells.
    Unknown,
}

/// A pool of pymalloc's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFacts {
    /// Its header.
    pub at: Addr,
    /// Its length.
    pub bytes: u64,
    /// The index of its arena.
    pub arena: u32,
    /// Blocks in use.
    pub live: u64,
    /// Their bytes.
    pub live_bytes: u64,
}

/// Gets the parts of an item.
pub trait Visitor {
    /// One part; the next one begins at its end.
    fn part(&mut self, start: Addr, end: Addr, of: Use);
    /// A pool, before its parts.
    fn pool(&mut self, _pool: PoolFacts) {}
}

/// A heap of malloc's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MallocHeap {
    /// Where it begins.
    pub start: Addr,
    /// One past its last byte.
    pub end: Addr,
    /// The arena's `malloc_state`, for the heap of a thread's arena; `None` for the main heap.
    pub arena: Option<Addr>,
}

/// A run of memory that one allocator manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// Who manages it.
    pub manager: Manager,
    /// The heap it is part of, by its place in [`Usage::heaps`].
    pub heap: Option<usize>,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Pools,
    /// The first chunk begins here; the heap ends there.
    Chunks(Addr, Addr),
    Mapped,
    Image,
    Unknown,
    /// A segment, by its place in the list.
    Segment(usize),
}

/// All items of a heap, and who owns what.
pub struct Usage<'h> {
    heap: &'h Heap,
    items: Vec<Item>,
    heaps: Vec<MallocHeap>,
    claims: Vec<Claim>,
    segments: Vec<Segment>,
    geometry: pymalloc::Geometry,
    /// Freed chunks that their neighbours call used.
    cached: HashSet<Addr>,
}

impl<'h> Usage<'h> {
    /// Lays out the items. Time is that of looking at the structs of all objects, and at all heads of chunks.
    pub fn of(heap: &'h Heap, progress: &Progress) -> Result<Usage<'h>, Cancelled> {
        let claims = claims(heap, progress)?;
        progress.check()?;
        let memory = heap.memory();
        let segments = segments(heap.snapshot(), heap.interpreter());
        let (items, heaps) = items(heap, &memory.reader, &segments);
        let cached = freed_chunks(heap, &memory.reader, &items, &heaps, progress)?;
        let geometry = pymalloc::Geometry::of(heap.interpreter().layout);
        Ok(Usage { heap, items, heaps, claims, segments, geometry, cached })
    }

    /// The items, in address order; they do not overlap.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The heaps of malloc's.
    pub fn heaps(&self) -> &[MallocHeap] {
        &self.heaps
    }

    /// Bytes of an arena of pymalloc's.
    pub fn arena_bytes(&self) -> u64 {
        self.geometry.arena_size()
    }

    /// Who says that the memory between two addresses is theirs, by address.
    pub fn claims_in(&self, start: Addr, end: Addr) -> &[Claim] {
        let from = self.claims.partition_point(|c| c.at < start);
        let to = self.claims.partition_point(|c| c.at < end);
        self.claims.get(from..to).unwrap_or(&[])
    }

    /// Hands the parts of an item to `visitor`. `O(blocks)`.
    pub fn walk(&self, item: &Item, memory: &Memory<'_>, visitor: &mut impl Visitor) {
        let mut walk = Walk {
            usage: self,
            memory,
            objects: self.heap.objects().from(item.start).peekable(),
            claims: self.claims_in(item.start, item.end),
            at: item.start,
            end: item.end,
            visitor,
        };
        match item.how {
            How::Pools => walk.pools(),
            How::Chunks(first, limit) => walk.chunks(first, limit),
            How::Mapped => {
                walk.until(item.start + glibc::HEAD, Use::Overhead);
                walk.block(item.start + glibc::HEAD, item.end);
            }
            How::Image | How::Unknown => walk.objects(item.how == How::Unknown),
            How::Segment(i) => walk.segment(self.segments.get(i)),
        }
        // whatever was damaged: the rest
        walk.until(item.end, Use::Unknown);
    }
}

struct Walk<'w, 's, V, O: Iterator> {
    usage: &'w Usage<'w>,
    memory: &'w Memory<'s>,
    objects: std::iter::Peekable<O>,
    claims: &'w [Claim],
    at: Addr,
    end: Addr,
    visitor: &'w mut V,
}

impl<V: Visitor, O: Iterator<Item = (ObjectId, Addr, TypeId)>> Walk<'_, '_, V, O> {
    /// Everything from where the walk is to `end`.
    #[inline]
    fn until(&mut self, end: Addr, of: Use) {
        let end = end.min(self.end);
        if self.at < end {
            self.visitor.part(self.at, end, of);
            self.at = end;
        }
    }

    /// A block in use.
    #[inline]
    fn block(&mut self, start: Addr, end: Addr) {
        let of = self.use_of(start, end);
        self.until(end, of);
    }

    /// What a block in use is used for.
    #[inline]
    fn use_of(&mut self, start: Addr, end: Addr) -> Use {
        while self.objects.next_if(|(_, at, _)| *at < start).is_some() {}
        if let Some((_, _, ty)) = self.objects.next_if(|(_, at, _)| *at < end) {
            return Use::Object(ty);
        }
        while let Some((claim, rest)) = self.claims.split_first() {
            if claim.at >= end {
                break;
            }
            self.claims = rest;
            if claim.at >= start {
                return Use::Owned(claim.owner);
            }
        }
        Use::Other
    }

    fn pools(&mut self) {
        let offsets = &self.memory.layout.structs.pool;
        let size = self.usage.geometry.pool_size;
        let mut freed = [0; 16];
        while self.at < self.end {
            let at = self.at;
            let Some(pool) = self.usage.geometry.pool(&self.memory.reader, offsets, at) else {
                self.until(at + size, Use::Unknown);
                continue;
            };
            let arena = offsets.arenaindex.and_then(|o| self.memory.reader.u32(at + o)).unwrap_or(u32::MAX);
            let live_bytes = pool.live * pool.block;
            self.visitor.pool(PoolFacts { at, bytes: size, arena, live: pool.live, live_bytes });
            if pool.live == 0 {
                self.until(at + size, Use::Empty);
                continue;
            }
            pool.freed(&self.memory.reader, &mut freed);
            self.until(pool.first(), Use::Overhead);
            for i in 0..pool.blocks {
                let (start, end) = (pool.address(i), pool.address(i + 1));
                if freed[(i / 64) as usize] & (1 << (i % 64)) != 0 {
                    self.until(end, Use::Free(pool.block));
                } else {
                    self.block(start, end);
                }
            }
            self.until(at + size, Use::Free(pool.block));
        }
    }

    fn chunks(&mut self, first: Addr, limit: Addr) {
        self.until(first, Use::Overhead);
        while self.at < self.end
            && let Some(chunk) = glibc::chunk_at(&self.memory.reader, self.at, limit)
        {
            let of = match chunk.in_use {
                false if limit.0 - chunk.next.0 < 32 => Use::Top,
                false => Use::Free(0),
                true if self.usage.cached.contains(&chunk.user) => Use::Cached,
                true => self.use_of(chunk.user, chunk.user + chunk.len),
            };
            self.until(chunk.next, of);
        }
    }

    fn segment(&mut self, segment: Option<&Segment>) {
        let mut freed = Vec::new();
        for page in segment.map_or(&[][..], |s| &s.pages) {
            let first_page = segment.is_some_and(|s| s.pages.first().is_some_and(|p| p.header == page.header));
            self.until(page.start, if first_page { Use::Overhead } else { Use::Empty });
            if page.used == 0 {
                self.until(page.end(), Use::Empty);
                continue;
            }
            page.freed(&self.memory.reader, &mut freed);
            for i in 0..page.blocks {
                let (start, end) = (page.address(i), page.address(i + 1));
                if freed.get((i / 64) as usize).is_some_and(|word| word & (1 << (i % 64)) != 0) {
                    self.until(end, Use::Free(page.block));
                } else {
                    self.block(start, end);
                }
            }
        }
        if let Some(segment) = segment {
            self.until(segment.end, Use::Empty);
        }
    }

    /// Memory without blocks: the objects in it, and what they say the length of.
    fn objects(&mut self, claimed: bool) {
        while let Some((_, at, id)) = self.objects.next_if(|(_, at, _)| *at < self.end) {
            let ty = self.usage.heap.types().get(id);
            let size = self.memory.shallow_size(at, ty).and_then(|size| self.memory.block_size(at, ty, size));
            let start = at - if claimed { ty.head } else { 0 };
            self.between(start, claimed);
            self.until(at + size.unwrap_or(0).saturating_sub(ty.head).max(16), Use::Object(id));
        }
        self.between(self.end, claimed);
    }

    /// What lies between two objects.
    fn between(&mut self, end: Addr, claimed: bool) {
        while claimed && let Some((claim, rest)) = self.claims.split_first() {
            if claim.at >= end {
                break;
            }
            self.claims = rest;
            if claim.len > 0 && claim.at >= self.at {
                self.until(claim.at, Use::Unknown);
                self.until((claim.at + claim.len).min(end), Use::Owned(claim.owner));
            }
        }
        self.until(end, Use::Unknown);
    }
}

const _: () = assert!(mimalloc::SEGMENT.is_multiple_of(WINDOW), "a segment is a run of windows");
