//! The collector's lists: which objects it watches over, in which generation (`Modules/gcmodule.c` to 3.12,
//! `Python/gc.c` from 3.13).
//!
//! A list is a circle of GC headers through the head of its generation. What is tracked and on no list that was found is
//! counted, so that the answer can say so. Free-threaded builds keep no lists.

use crate::cpython::layout::RefCountVariant;
use crate::heap::Heap;
use crate::snapshot::Addr;

/// Where the collector has an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On no list: it has no GC header, or is not tracked.
    None,
    /// In this generation, the youngest is 0, of the interpreter of this number.
    Generation(u8, u8),
    /// Frozen by `gc.freeze`.
    Frozen,
}

/// The place of every object: a byte each.
#[derive(Debug, Default)]
pub struct Places {
    places: Vec<u8>,
    /// Objects that are tracked and on none of the lists.
    pub elsewhere: u64,
    /// Lists that do not lead back to their head.
    pub broken: u64,
    /// Lists whose heads could not be read.
    pub missing: bool,
}

const GENERATIONS: u8 = 3;
const FROZEN: u8 = u8::MAX;
const TRACKED_ELSEWHERE: u8 = u8::MAX - 1;
/// Bytes of `struct gc_generation`: a head, two ints.
const GENERATION: u64 = 24;
/// Numbers of interpreters fit into what a byte leaves.
const MAX_INTERPRETERS: usize = 80;

impl Places {
    /// Walks the lists of every interpreter. `O(objects)`.
    pub fn of(heap: &Heap) -> Places {
        let mut places = Places { places: vec![0; heap.objects().len()], ..Places::default() };
        let states = states(heap);
        if states.is_empty() || heap.interpreter().layout.variants.refcount == RefCountVariant::Split {
            places.missing = true;
            return places;
        }
        for (number, state) in states.into_iter().take(MAX_INTERPRETERS).enumerate() {
            let Some(heads) = heads(heap, state) else {
                places.missing = true;
                continue;
            };
            for (generation, head) in heads.iter().enumerate() {
                let mark = match generation as u8 {
                    GENERATIONS => FROZEN,
                    g => 1 + number as u8 * GENERATIONS + g,
                };
                places.walk(heap, *head, mark);
            }
        }
        places.find_elsewhere(heap);
        places
    }

    /// The place of the object with this number.
    pub fn get(&self, id: u32) -> Place {
        match self.places.get(id as usize).copied().unwrap_or(0) {
            0 | TRACKED_ELSEWHERE => Place::None,
            FROZEN => Place::Frozen,
            n => Place::Generation((n - 1) % GENERATIONS, (n - 1) / GENERATIONS),
        }
    }

    fn walk(&mut self, heap: &Heap, head: Addr, mark: u8) {
        let memory = heap.memory();
        let size = memory.layout.structs.gc_head.size;
        let mut at = head;
        // no list is longer than there are objects, and their heads
        for _ in 0..=self.places.len() {
            let Some(next) = memory.reader.u64(at) else { break };
            at = Addr(next & !3);
            if at == head {
                return;
            }
            match heap.objects().object_at(at + size).and_then(|id| self.places.get_mut(id.0 as usize)) {
                Some(place) if *place == 0 => *place = mark,
                Some(_) => break,
                None => {}
            }
        }
        self.broken += 1;
    }

    fn find_elsewhere(&mut self, heap: &Heap) {
        let memory = heap.memory();
        let size = memory.layout.structs.gc_head.size;
        for (id, address, ty) in heap.objects().iter() {
            let has_header = heap.types().get(ty).head >= size && size > 0;
            if let Some(place) = self.places.get_mut(id.0 as usize).filter(|p| **p == 0 && has_header)
                && memory.reader.u64(address - size).is_some_and(|next| next & !3 != 0)
                && is_collected(heap, &memory, address, ty)
            {
                *place = TRACKED_ELSEWHERE;
                self.elsewhere += 1;
            }
        }
    }
}

/// A static type has no header, though its type says so.
fn is_collected(
    heap: &Heap,
    memory: &crate::cpython::Memory<'_>,
    address: Addr,
    ty: crate::cpython::types::TypeId,
) -> bool {
    use crate::cpython::types::flags;
    let own = memory.reader.u64(address + memory.layout.structs.type_object.tp_flags);
    !heap.types().get(ty).is_metatype() || own.is_some_and(|f| f & flags::HEAPTYPE != 0)
}

/// Where each interpreter's `_gc_runtime_state` lies; in 3.8 there is one for all.
fn states(heap: &Heap) -> Vec<Addr> {
    let interpreter = heap.interpreter();
    let s = &interpreter.layout.structs;
    if let (Some(runtime), Some(gc)) = (interpreter.runtime, s.runtime.gc) {
        return vec![runtime + gc];
    }
    let gc = s.interpreter.gc;
    interpreter.interpreters.iter().filter_map(|i| gc.map(|gc| i.address + gc)).collect()
}

/// The heads of the three generations and of the permanent one.
fn heads(heap: &Heap, state: Addr) -> Option<[Addr; 4]> {
    let gc = &heap.interpreter().layout.structs.gc_state;
    let reader = heap.snapshot().reader();
    // Debian's 3.13 has the generations 4 bytes lower than the version's own layout; `generation0` points to the first
    let told = gc.generation0.and_then(|o| reader.pointer(state + o)).filter(|g| {
        let distance = g.0.wrapping_sub(state.0 + gc.generations) as i64;
        (-8..=8).contains(&distance)
    });
    let first = told.unwrap_or(state + gc.generations);
    let head = |i: u64| first + i * GENERATION;
    let heads = [head(0), head(1), head(2), state + gc.permanent_generation];
    heads.iter().all(|h| reader.pointer(*h).is_some_and(|next| !next.is_null())).then_some(heads)
}
