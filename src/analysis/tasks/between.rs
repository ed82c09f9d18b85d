//! Between tasks and threads: futures of thread pools, threads that wait for a loop, loops whose thread is blocked.
//!
//! What threads wait for comes from the threads' own answer. Nothing of it is asked for when no future of a thread pool
//! is pending and no event loop's thread is blocked on a lock.

use super::locks;
use super::waits::Waits;
use super::world::World;
use crate::analysis::answers::{Frame, Threads};
use crate::analysis::modules;
use crate::analysis::threads::{self, Known};
use crate::cpython::EXIT;
use crate::snapshot::Addr;
use std::collections::{HashMap, HashSet};

/// The event loops with the threads that run them.
pub struct Loops {
    /// The index of a thread, by the loop.
    of: HashMap<Addr, Option<usize>>,
    /// Every thread with Python state.
    pub threads: Vec<Known>,
    interpreters: HashMap<Addr, Option<i64>>,
}

/// More distinct event loops than this are damage.
const MAX_LOOPS: usize = 1 << 12;

/// Edges from queued jobs to the threads of their pools: beyond this no job is followed.
const MAX_QUEUED: usize = 1 << 20;

impl Loops {
    pub fn collect(world: &World<'_, '_>) -> Loops {
        let read = &world.read;
        let threads = threads::known(read.heap);
        let mut loops = Loops { of: HashMap::new(), threads, interpreters: HashMap::new() };
        let mut last = Addr::NULL;
        for node in &world.nodes {
            let at = node.event_loop;
            if at == last || at.is_null() || loops.of.contains_key(&at) || loops.of.len() >= MAX_LOOPS {
                continue;
            }
            last = at;
            // set while the loop runs (`Lib/asyncio/base_events.py`)
            let ident = read.attribute(at, "_thread_id").and_then(|id| read.int(id));
            let ident = ident.and_then(|id| u64::try_from(id).ok());
            let of_python = ident.and_then(|id| loops.threads.iter().position(|t| t.ident == id));
            let thread = of_python.or_else(|| loops.in_its_words(world, at));
            loops.of.insert(at, thread);
            let interpreters = &read.heap.interpreter().interpreters;
            let id = match (thread.and_then(|t| loops.threads.get(t)), interpreters.as_slice()) {
                (_, [one]) => Some(one.id),
                (Some(thread), _) => Some(thread.interpreter),
                // a loop that does not run: the interpreter that has its class
                (None, _) => read.type_of(at).and_then(|ty| {
                    read.types().bases(ty).find_map(|base| modules::interpreter_of_class(read.heap, base))
                }),
            };
            loops.interpreters.insert(at, id);
        }
        loops
    }

    /// The loop of uvloop keeps the ident of its thread in a C field: the thread whose ident is among its words.
    fn in_its_words(&self, world: &World<'_, '_>, event_loop: Addr) -> Option<usize> {
        const MAX_WORDS: u64 = 1 << 9;
        let ty = world.read.type_of(event_loop)?;
        let compiled = world.read.types().bases(ty).find(|b| b.name == "uvloop.loop.Loop")?;
        let mut words = (2..(compiled.basicsize / 8).min(MAX_WORDS)).map(|i| event_loop + i * 8);
        words.find_map(|at| {
            let word = world.read.memory.reader.u64(at)?;
            self.threads.iter().position(|t| t.ident == word)
        })
    }

    /// The thread that runs a loop.
    pub fn thread(&self, event_loop: Addr) -> Option<&Known> {
        self.threads.get(self.of.get(&event_loop).copied().flatten()?)
    }

    pub fn interpreter(&self, event_loop: Addr) -> Option<i64> {
        self.interpreters.get(&event_loop).copied().flatten()
    }

    fn is_blocked(&self) -> bool {
        self.of.values().flatten().any(|i| self.threads.get(*i).is_some_and(|t| t.in_futex))
    }
}

/// Nodes of the graph that are no tasks or futures of asyncio, and their edges. Futures of thread pools are numbered
/// from `first` on, then threads.
#[derive(Default)]
pub struct Between {
    pub first: u32,
    /// Futures of thread pools that are not done.
    pub concurrent: Vec<Addr>,
    numbers: HashMap<Addr, u32>,
    pub threads: Threads,
    /// From one that is pending to one that must finish first.
    pub edges: Vec<(u32, u32)>,
    /// Nodes whose loop's thread is blocked, and that thread: what the loop would do for them does not come.
    pub blocked: HashMap<u32, u32>,
    /// The thread that works on a future of a thread pool, by its native id.
    pub workers: HashMap<Addr, u64>,
    /// Futures of thread pools whose jobs nobody has begun: any one thread of the pool is enough.
    pub queued: HashSet<u32>,
}

impl Between {
    pub fn collect(world: &World<'_, '_>, waits: &Waits, loops: &Loops) -> Between {
        let mut between = Between { first: world.nodes.len() as u32, ..Between::default() };
        if waits.concurrent.is_empty() && !loops.is_blocked() {
            return between;
        }
        between.concurrent = waits.concurrent.iter().map(|(at, _)| *at).collect();
        between.numbers = (between.first..).zip(&between.concurrent).map(|(i, at)| (*at, i)).collect();
        between.threads = threads::by_themselves(world.read.heap);
        for (i, (_, finishes)) in waits.concurrent.iter().enumerate() {
            let own = between.first + i as u32;
            between.edges.extend(finishes.iter().map(|dest| (*dest, own)));
        }
        between.threads_work(world);
        between.threads_wait(world);
        for (future, event_loop) in &waits.scheduled {
            let thread = loops.thread(*event_loop).and_then(|t| between.number(t.native_id?));
            between.edges.extend(between.find(*future).zip(thread));
        }
        between.jobs_are_queued(world);
        between.loops_are_blocked(world, loops);
        between
    }

    /// The number of a future of a thread pool.
    pub fn find(&self, future: Addr) -> Option<u32> {
        self.numbers.get(&future).copied()
    }

    /// How many nodes there are beyond those of asyncio.
    pub fn len(&self) -> usize {
        self.concurrent.len() + self.threads.threads.len()
    }

    /// The thread with a native id.
    fn number(&self, native_id: u64) -> Option<u32> {
        let row = self.threads.threads.iter().position(|t| t.native_id == Some(native_id))?;
        Some(self.first + (self.concurrent.len() + row) as u32)
    }

    /// The row of the thread with a number.
    pub fn thread(&self, number: u32) -> Option<&crate::analysis::answers::Thread> {
        let row = (number as usize).checked_sub(self.first as usize + self.concurrent.len())?;
        self.threads.threads.get(row)
    }

    /// `_WorkItem.run` is on the stack of a thread that works on a future (`Lib/concurrent/futures/thread.py`).
    fn threads_work(&mut self, world: &World<'_, '_>) {
        let read = &world.read;
        let mut found = Vec::new();
        for thread in &self.threads.threads {
            let items = thread.frames.iter().flat_map(|f| f.locals.iter().filter(|l| l.name == "self"));
            let items = items.filter(|l| l.type_name == "concurrent.futures.thread._WorkItem");
            for future in items.filter_map(|item| read.attribute(item.address, "future")) {
                found.extend(thread.native_id.map(|id| (future, id)));
            }
        }
        for (future, id) in &found {
            self.edges.extend(self.find(*future).zip(self.number(*id)));
        }
        self.workers = found.into_iter().collect();
    }

    /// A job in the queue of a pool's threads is done once one of them is free. What each thread takes jobs from is a
    /// variable of its outermost function (`_worker` in `Lib/concurrent/futures/thread.py`). Only jobs that somebody
    /// waits for are told.
    fn jobs_are_queued(&mut self, world: &World<'_, '_>) {
        let read = &world.read;
        let awaited: HashSet<u32> = self.edges.iter().map(|(_, to)| *to).collect();
        let mut pools: HashMap<Addr, Vec<u32>> = HashMap::new();
        for thread in &self.threads.threads {
            let worker =
                |f: &&Frame| f.function.ends_with("_worker") && f.file.ends_with("concurrent/futures/thread.py");
            let queue = thread.frames.iter().rev().find(worker);
            let queue = queue.and_then(|f| f.locals.iter().find(|l| l.name == "work_queue"));
            let number = thread.native_id.and_then(|id| self.number(id));
            if let Some((queue, number)) = queue.zip(number) {
                pools.entry(queue.address).or_default().push(number);
            }
        }
        for (queue, threads) in pools {
            let jobs = read.items(queue).into_iter();
            for job in jobs.filter(|job| read.is(*job, "concurrent.futures.thread._WorkItem")) {
                let Some(own) = read.attribute(job, "future").and_then(|future| self.find(future)) else { continue };
                if awaited.contains(&own) && self.edges.len() < MAX_QUEUED && self.queued.insert(own) {
                    self.edges.extend(threads.iter().map(|thread| (own, *thread)));
                }
            }
        }
    }

    /// What each thread waits for without an end: another thread, a future, a lock that a suspended coroutine is inside.
    fn threads_wait(&mut self, world: &World<'_, '_>) {
        let mut edges = Vec::new();
        let mut inside = None;
        for thread in &self.threads.threads {
            let (Some(wait), Some(own)) = (&thread.waits_for, thread.native_id.and_then(|id| self.number(id))) else {
                continue;
            };
            if wait.timeout {
                continue;
            }
            if let Some(holder) = wait.holder {
                edges.extend(self.number(holder).map(|holder| (own, holder)));
            } else if let Some(of) = wait.of.as_ref().filter(|_| wait.what.starts_with("Future.")) {
                edges.extend(self.find(of.address).map(|future| (own, future)));
            } else {
                let inside = inside.get_or_insert_with(|| locks::inside(world, EXIT));
                if let Some([one]) = inside.get(&wait.address).map(Vec::as_slice) {
                    edges.push((own, one.task));
                }
            }
        }
        self.edges.extend(edges);
    }

    /// Whatever a loop would do waits for its thread, when that is blocked for good.
    fn loops_are_blocked(&mut self, world: &World<'_, '_>, loops: &Loops) {
        let blocked = |event_loop: Addr| {
            let thread = self.number(loops.thread(event_loop)?.native_id?)?;
            self.edges.iter().any(|(from, _)| *from == thread).then_some(thread)
        };
        let threads: HashMap<Addr, u32> = loops.of.keys().filter_map(|at| Some((*at, blocked(*at)?))).collect();
        if threads.is_empty() {
            return;
        }
        for (i, node) in world.nodes.iter().enumerate().filter(|(_, n)| n.is_pending()) {
            if let Some(thread) = threads.get(&node.event_loop) {
                self.edges.push((i as u32, *thread));
                self.blocked.insert(i as u32, *thread);
            }
        }
    }
}
