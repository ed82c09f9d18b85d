//! Which lock each blocked thread waits for, who has it, and which threads wait for each other for good.
//!
//! A thread blocked in `futex` gives the address it waits at: a lock's semaphore, or a word on its own stack that belongs
//! to an entry of the parking lot. A lock's holder is named when the lock itself tells it, or when a frame is inside a
//! `with` block of the lock. A lock that was taken by a bare `acquire()` names no holder: the threads whose frames refer
//! to it are candidates, and no deadlock is made of that. What asyncio's tasks wait for is not known here.

mod cycles;
mod holders;
mod library;
mod refer;

use super::answers::{Certainty, Local, Place, Thread, Threads, Wait};
use super::threads::FUTEX;
use super::variables::{self, MAX_NAME};
use crate::cpython::types::Type;
use crate::cpython::{Memory, StackFrame, ThreadState, Word};
use crate::heap::Heap;
use crate::snapshot::{Addr, meta};
use holders::Held;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET` without their flags (`linux/futex.h`).
const WAITS: [u64; 2] = [0, 9];
const FUTEX_COMMAND: u64 = 0x7f;

/// An entry of the parking lot lies in the waiting function's own frame, so near the top of the stack.
const NEAR: u64 = 1 << 14;

/// A thread with Python state. Its row has the same index.
pub(super) struct Seen<'m> {
    pub thread: ThreadState,
    pub frames: Vec<StackFrame>,
    /// Its `threading.Thread`.
    pub object: Option<Addr>,
    pub kernel: Option<&'m meta::Thread>,
}

/// Fills in what the rows wait for and hold, and the deadlocks. The first rows are those of `seen`. One pass over all
/// objects; otherwise proportional to the frames of all threads.
pub(super) fn explain(heap: &Heap, seen: &[Seen<'_>], found: &mut Threads) {
    let locks = Locks::collect(heap, seen);
    let held = locks.held(seen, &found.threads);
    for (i, held) in held.iter().enumerate() {
        if let Some(row) = found.threads.get_mut(i) {
            row.holds = holders::addresses(held);
        }
    }
    let waits: Vec<Option<Waiting>> =
        seen.iter().zip(&found.threads).map(|(s, row)| locks.wait(s, row, &held, seen, &found.threads)).collect();
    let holder: Vec<Option<usize>> =
        waits.iter().map(|w| w.as_ref().filter(|w| !w.wait.timeout).and_then(|w| w.holder)).collect();
    for cycle in cycles::cycles(&holder) {
        let ids: Option<Vec<u64>> = cycle.iter().map(|i| found.threads.get(*i)?.native_id).collect();
        let Some(ids) = ids else { continue };
        found.explained.push(cycles::sentence(&cycle, &waits, &found.threads));
        found.deadlocks.push(ids);
    }
    for (row, waiting) in found.threads.iter_mut().zip(waits) {
        row.waits_for = waiting.map(|w| w.wait);
    }
}

/// Threads of a deadlock come before all others.
pub(super) fn deadlocked_first(found: &mut Threads) {
    let stuck: HashSet<u64> = found.deadlocks.iter().flatten().copied().collect();
    found.threads.sort_by_key(|t| !t.native_id.is_some_and(|id| stuck.contains(&id)));
}

/// What a thread waits for, and the index of the thread that has it.
struct Waiting {
    wait: Wait,
    holder: Option<usize>,
}

/// A lock, or something with one in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lock,
    RLock,
    SimpleQueue,
}

/// Every lock object of the process.
struct Locks<'h> {
    heap: &'h Heap,
    memory: Memory<'h>,
    /// The object whose threads wait at a word.
    words: HashMap<Word, (Addr, Kind)>,
    /// What kind of lock an object is.
    kinds: HashMap<Addr, Kind>,
    /// From 3.13 on: where a thread is joined, the handle object, and its ident.
    handles: Vec<(Range<Addr>, Addr, u64)>,
    /// Up to 3.12: the lock that is released when a thread ends, and the thread's index.
    ends: HashMap<Addr, usize>,
    /// Threads by their idents.
    threads: HashMap<u64, usize>,
}

impl<'h> Locks<'h> {
    fn collect(heap: &'h Heap, seen: &[Seen<'_>]) -> Self {
        let threads = seen.iter().enumerate().map(|(i, s)| (s.thread.ident, i)).collect();
        let mut locks = Locks {
            heap,
            memory: heap.memory(),
            words: HashMap::new(),
            kinds: HashMap::new(),
            handles: Vec::new(),
            ends: HashMap::new(),
            threads,
        };
        let kind_of = |ty: &Type| match ty.name.as_str() {
            _ if ty.fields.is_none() => None,
            "_thread.lock" => Some(Some(Kind::Lock)),
            "_thread.RLock" => Some(Some(Kind::RLock)),
            "_queue.SimpleQueue" => Some(Some(Kind::SimpleQueue)),
            "_thread._ThreadHandle" => Some(None),
            _ => None,
        };
        let wanted: HashMap<_, _> = heap.types().iter().filter_map(|(id, ty)| Some((id, kind_of(ty)?))).collect();
        for (_, at, ty) in heap.objects().iter() {
            match wanted.get(&ty) {
                Some(Some(kind)) => locks.add(at, *kind),
                Some(None) => locks.handles.extend(locks.memory.thread_handle(at).map(|(range, id)| (range, at, id))),
                None => {}
            }
        }
        for (i, thread) in seen.iter().enumerate() {
            let end = thread.object.and_then(|object| locks.attribute(object, "_tstate_lock"));
            locks.ends.extend(end.map(|lock| (lock, i)));
        }
        locks
    }

    fn add(&mut self, at: Addr, kind: Kind) {
        self.kinds.insert(at, kind);
        let word = match kind {
            Kind::Lock => self.memory.lock_word(at),
            Kind::RLock => self.memory.rlock_word(at),
            Kind::SimpleQueue => self.memory.simple_queue_word(at),
        };
        self.words.extend(word.map(|word| (word, (at, kind))));
    }

    fn attribute(&self, object: Addr, name: &str) -> Option<Addr> {
        let (_, ty) = self.heap.object_at(object)?;
        self.memory.attribute(object, ty, name)
    }

    /// Whether an object is of a class with this name, or of one that derives from it.
    fn is_a(&self, object: Addr, class: &str) -> bool {
        let Some((_, ty)) = self.heap.object_at(object) else { return false };
        self.heap.types().bases(ty).any(|base| base.name == class)
    }

    fn describe(&self, address: Addr) -> Local {
        variables::local(self.heap, &self.memory, String::new(), address)
    }

    /// What a blocked thread waits for.
    fn wait(
        &self,
        seen: &Seen<'_>,
        row: &Thread,
        held: &[Vec<Held>],
        all: &[Seen<'_>],
        rows: &[Thread],
    ) -> Option<Waiting> {
        let call = seen.kernel?.syscall.as_ref().filter(|c| c.number == FUTEX && row.waits_for_gil != Some(true))?;
        let argument = |i: usize| call.args.get(i).map(|a| a.0);
        if !WAITS.contains(&(argument(1)? & FUTEX_COMMAND)) {
            return None;
        }
        let at = Addr(argument(0)?);
        let mut wait = Wait { timeout: argument(3)? != 0, ..Wait::default() };
        let parked = || {
            let stack = seen.kernel?.registers.get("rsp")?.0;
            (stack..stack.saturating_add(NEAR)).contains(&at.0).then(|| self.memory.parked_on(at))?
        };
        let word =
            if self.words.contains_key(&Word::Semaphore(at)) { Word::Semaphore(at) } else { Word::Parked(parked()?) };
        let place = library::place(&row.frames);
        let owner;
        if let Some((lock, kind)) = self.words.get(&word).copied() {
            wait.address = lock;
            (wait.what, wait.of) = match (&place, kind) {
                (Some(place), _) => (place.what.to_owned(), place.of.map(|of| self.describe(of))),
                (None, Kind::Lock) => ("Lock".into(), None),
                (None, Kind::RLock) => ("RLock".into(), None),
                (None, Kind::SimpleQueue) => ("SimpleQueue.get".into(), None),
            };
            let mut named = self.owner(lock, kind, row, &mut wait);
            let signal = library::is_signal(&row.frames, lock) && self.condition(row.frames.first()).is_some();
            if named.is_none() && kind == Kind::Lock && !signal && !self.ends.contains_key(&lock) {
                named = self.holding(lock, held, rows, &mut wait);
                if named.is_none() {
                    wait.candidates = self.candidates(lock, seen, all, rows);
                }
            }
            if signal && place.as_ref().is_some_and(|p| p.what == "Semaphore.acquire") {
                let semaphore = wait.of.as_ref().map(|of| of.address);
                wait.candidates = holders::inside(held, semaphore, rows);
                if let (Some(semaphore), true) = (semaphore, wait.candidates.is_empty()) {
                    wait.candidates = self.candidates(semaphore, seen, all, rows);
                    wait.candidates.retain(|id| !library::is_in_acquire(rows, *id, semaphore));
                }
            }
            owner = named;
        } else if let Word::Parked(at) = word {
            let (_, handle, ident) = self.handles.iter().find(|(range, ..)| range.contains(&at))?;
            wait.address = *handle;
            wait.what = place.as_ref().map_or("Thread.join", |p| p.what).into();
            wait.of = place.and_then(|p| p.of).map(|of| self.describe(of));
            owner = self.threads.get(ident).copied();
        } else {
            return None;
        }
        wait.type_name = variables::type_name(self.heap, wait.address);
        let holder = owner.filter(|i| rows.get(*i).is_some_and(|r| r.native_id.is_some()));
        if let Some(holder) = holder {
            wait.holder = rows.get(holder).and_then(|r| r.native_id);
            wait.certainty.get_or_insert(Certainty::Owner);
            let entered = held.get(holder).and_then(|all| all.iter().find(|h| h.lock == wait.address));
            wait.held_at = entered.and_then(|h| place_of(rows, holder, h));
        }
        Some(Waiting { wait, holder })
    }

    /// The thread that the lock itself, or what it belongs to, names.
    fn owner(&self, lock: Addr, kind: Kind, row: &Thread, wait: &mut Wait) -> Option<usize> {
        if kind == Kind::RLock {
            return self.threads.get(&self.memory.rlock_owner(lock)?).copied();
        }
        if let Some(thread) = self.ends.get(&lock) {
            wait.what = "Thread.join".into();
            return Some(*thread);
        }
        // the import system's locks (`_ModuleLock`) and the pure Python RLock
        let inner = row.frames.first()?;
        let (object, guard, owner) = library::owned(inner)?;
        if self.attribute(object, guard) != Some(lock) {
            return None;
        }
        if library::is_import(inner) {
            let name = self.attribute(object, "name").and_then(|n| self.memory.text(n, MAX_NAME));
            wait.what = name.map_or("import".into(), |(n, _)| format!("import of {}", crate::text::sanitize(&n)));
        }
        let ident = self.memory.small_int(self.attribute(object, owner)?)?;
        self.threads.get(&u64::try_from(ident).ok()?).copied()
    }

    /// The one thread that is inside a `with` block of a plain lock. Two that seem to be are no answer.
    fn holding(&self, lock: Addr, held: &[Vec<Held>], rows: &[Thread], wait: &mut Wait) -> Option<usize> {
        if self.memory.lock_is_held(lock) == Some(false) {
            return None;
        }
        let mut inside = held.iter().enumerate().filter(|(_, all)| all.iter().any(|h| h.lock == lock)).map(|(i, _)| i);
        let one = inside.next()?;
        if inside.next().is_some() || rows.get(one)?.native_id.is_none() {
            return None;
        }
        wait.certainty = Some(Certainty::Frame);
        Some(one)
    }
}

fn place_of(rows: &[Thread], thread: usize, held: &Held) -> Option<Place> {
    let frame = rows.get(thread)?.frames.get(held.frame?)?;
    Some(Place { function: frame.function.clone(), file: frame.file.clone(), line: held.line })
}
