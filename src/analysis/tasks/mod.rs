//! Tasks: every Task and Future of the heap, what each waits for, and which wait for each other for ever.
//!
//! Nodes are the futures and tasks that the index holds, whatever event loop or thread they are of; edges follow what
//! asyncio itself will do when one of them finishes: the task that is woken, the callbacks of gather, shield, wait and
//! their like, the lock that is released. Only callbacks of asyncio's own functions are understood; a future that a
//! program finishes by other means has no known waker, and nothing is guessed of it. Threads are not looked at.

mod cycles;
mod filter;
mod forest;
mod graph;
mod locks;
mod read;
mod waits;

use super::answers::{Future, Local, Task, Tasks, Verdict};
use super::frames::Frames;
use super::variables;
use crate::cpython::types::TypeId;
use crate::cpython::{GeneratorState, Kind};
use crate::heap::Heap;
use crate::snapshot::Addr;
use crate::text::sanitize;
pub use filter::Filter;
use graph::Graph;
use read::{Chain, Raw, Reading};
use std::collections::HashMap;

/// What the objects of a type are to the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Future { task: bool, in_c: bool },
    Primitive(&'static str),
    Handle,
    Timeout,
}

/// Classes by their names, and what is known of their objects.
const ROLES: &[(&str, Role)] = &[
    ("asyncio.futures.Future", Role::Future { task: false, in_c: false }),
    ("asyncio.tasks.Task", Role::Future { task: true, in_c: false }),
    ("asyncio.locks.Lock", Role::Primitive("lock")),
    ("asyncio.locks.Event", Role::Primitive("event")),
    ("asyncio.locks.Condition", Role::Primitive("condition")),
    ("asyncio.locks.Semaphore", Role::Primitive("semaphore")),
    ("asyncio.locks.Barrier", Role::Primitive("barrier")),
    ("asyncio.queues.Queue", Role::Primitive("queue")),
    ("asyncio.streams.StreamReader", Role::Primitive("stream")),
    ("asyncio.base_subprocess.BaseSubprocessTransport", Role::Primitive("subprocess")),
    ("concurrent.futures._base.Future", Role::Primitive("executor")),
    ("asyncio.events.Handle", Role::Handle),
    ("asyncio.timeouts.Timeout", Role::Timeout),
];

/// A task or future.
struct Node {
    address: Addr,
    ty: TypeId,
    task: bool,
    raw: Raw,
    chain: Chain,
}

impl Node {
    fn is_pending(&self) -> bool {
        self.raw.state == Some("pending")
    }
}

/// Everything of asyncio that the heap holds.
struct World<'h> {
    read: Reading<'h>,
    nodes: Vec<Node>,
    by_address: HashMap<Addr, usize>,
    primitives: Vec<(Addr, &'static str)>,
    roles: Vec<Option<Role>>,
    handles: Vec<Addr>,
    timeouts: Vec<Addr>,
}

impl<'h> World<'h> {
    /// One pass over the index.
    fn collect(heap: &'h Heap) -> Self {
        let read = Reading::new(heap);
        let types = heap.types();
        let role = |id: TypeId| {
            let ty = types.get(id);
            match types.kind(ty, read.memory.layout) {
                Kind::Task => return Some(Role::Future { task: true, in_c: true }),
                Kind::Future => return Some(Role::Future { task: false, in_c: true }),
                _ => {}
            }
            let of = |name: &str| ROLES.iter().find(|(n, _)| *n == name).map(|(_, role)| *role);
            // a class of asyncio, not one of C that happens to be called so
            types.bases(ty).filter(|b| b.is_heap_type() && !b.is_metatype()).find_map(|b| of(&b.name))
        };
        let roles: Vec<Option<Role>> = types.iter().map(|(id, _)| role(id)).collect();
        let mut world = World {
            read,
            nodes: Vec::new(),
            by_address: HashMap::new(),
            primitives: Vec::new(),
            roles,
            handles: Vec::new(),
            timeouts: Vec::new(),
        };
        for (_, address, ty) in heap.objects().iter() {
            match world.roles.get(ty.0 as usize).copied().flatten() {
                None => {}
                Some(Role::Future { task, in_c }) => world.node(address, ty, task, in_c),
                Some(Role::Primitive(kind)) => world.primitives.push((address, kind)),
                Some(Role::Handle) => world.handles.push(address),
                Some(Role::Timeout) => world.timeouts.push(address),
            }
        }
        world
    }

    fn node(&mut self, address: Addr, ty: TypeId, task: bool, in_c: bool) {
        let raw = self.read.future(address, in_c);
        let chain = match raw.coroutine {
            Some(coroutine) => self.read.chain(coroutine),
            None => Chain { whole: true, ..Chain::default() },
        };
        self.by_address.insert(address, self.nodes.len());
        self.nodes.push(Node { address, ty, task, raw, chain });
    }

    fn find(&self, address: Addr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    fn role(&self, address: Addr) -> Option<Role> {
        let (id, _) = self.read.heap.object_at(address)?;
        let (ty, _) = self.read.heap.type_of(id)?;
        self.roles.get(ty.0 as usize).copied().flatten()
    }

    fn primitive(&self, address: Addr) -> Option<&'static str> {
        match self.role(address)? {
            Role::Primitive(kind) => Some(kind),
            _ => None,
        }
    }
}

/// What of the tasks is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Only tasks that match.
    pub filter: Filter,
    /// With the variables of every frame.
    pub locals: bool,
    /// Lines of the forest that are going to be shown, and whose tasks are described; `None`: all.
    pub rows: Option<usize>,
}

impl Ask {
    /// Everything; `locals`: with the variables of every frame.
    pub fn all(locals: bool) -> Ask {
        Ask { locals, ..Ask::default() }
    }
}

/// The wait graph. Time is that of one pass over the index, and proportional to the tasks and the depth of their
/// coroutines.
pub fn tasks(heap: &Heap, ask: &Ask) -> Tasks {
    let world = World::collect(heap);
    let graph = Graph::build(&world);
    let mut answer = Tasks::default();
    let mut writer = Writer { world: &world, frames: Frames::new(heap), locals: ask.locals };
    for (i, node) in world.nodes.iter().enumerate() {
        let addresses = |of: &[usize]| of.iter().filter_map(|j| world.nodes.get(*j)).map(|n| n.address).collect();
        let (awaits, awaited_by) = (addresses(&graph.awaits[i]), addresses(&graph.awaited_by[i]));
        if node.task {
            let task = writer.task(node);
            let waits_in = graph.waits_in(i);
            answer.tasks.push(Task { awaits, awaited_by, waits_in, cycle: graph.cycle_of[i], ..task });
        } else {
            answer.futures.push(Future {
                address: node.address,
                type_name: heap.types().get(node.ty).name.clone(),
                state: node.raw.state,
                event_loop: node.raw.event_loop,
                awaits,
                awaited_by,
                waits_in: graph.waits[i].clone(),
                cycle: graph.cycle_of[i],
            });
        }
    }
    let address = |i: &usize| world.nodes.get(*i).map(|n| n.address);
    for (members, wakers) in &graph.cycles {
        answer.cycles.push(members.iter().filter_map(address).collect());
        let (deadlock, wakers) = (wakers.is_empty(), wakers.clone());
        answer.verdicts.push(Verdict { deadlock, wakers, ..Verdict::default() });
    }
    answer.total.tasks = answer.tasks.len() as u64;
    answer.total.pending = answer.tasks.iter().filter(|t| t.state == Some("pending")).count() as u64;
    answer.total.futures = answer.futures.len() as u64;
    answer.groups = forest::groups(&answer.tasks);
    answer.forest = match ask.filter.is_empty() {
        true => forest::forest(&world, &graph, &answer.tasks),
        false => forest::matching(&answer.tasks, &ask.filter),
    };
    answer.total.rows = answer.forest.len() as u64;
    let damaged = answer.tasks.iter().filter(|t| t.state.is_none() || !t.whole).count();
    if damaged > 0 {
        answer
            .problems
            .push(format!("{damaged} tasks are damaged: their state or their coroutines cannot be followed"));
    }
    if world.read.is_cut() {
        answer
            .problems
            .push("the lists of callbacks and waiters are longer than the heap: some awaits are missing".into());
    }
    if !ask.filter.is_empty() {
        answer.tasks.retain(|t| ask.filter.matches(t));
    }
    answer
}

struct Writer<'w, 'h> {
    world: &'w World<'h>,
    frames: Frames<'h>,
    locals: bool,
}

impl Writer<'_, '_> {
    fn task(&mut self, node: &Node) -> Task {
        let read = &self.world.read;
        let raw = &node.raw;
        let running = |g: &Addr| read.memory.generator_state(*g) == Some(GeneratorState::Running);
        let interpreters = &read.heap.interpreter().interpreters;
        // a finished coroutine has no frame
        let frames = node.chain.frames.iter().filter_map(|g| read.memory.generator_frame(*g));
        let stack = frames.map(|f| self.frames.frame(&f, self.locals)).collect();
        Task {
            address: node.address,
            type_name: read.types().get(node.ty).name.clone(),
            name: raw.name.clone(),
            state: raw.state,
            running: node.is_pending() && node.chain.frames.first().is_some_and(running),
            coro: raw.coroutine.and_then(|c| self.coroutine_name(c)),
            coroutine: raw.coroutine,
            result: raw.result.map(|a| self.local(String::new(), a)),
            exception: raw.exception.map(|a| self.local(String::new(), a)),
            event_loop: raw.event_loop,
            interpreter: interpreters.first().filter(|_| interpreters.len() == 1).map(|i| i.id),
            fut_waiter: raw.fut_waiter,
            stack,
            whole: node.chain.whole,
            ..Task::default()
        }
    }

    fn coroutine_name(&self, coroutine: Addr) -> Option<String> {
        let read = &self.world.read;
        let name = read.field(coroutine, "__qualname__").and_then(|n| read.text(n));
        let name = name.or_else(|| Some(read.memory.origin(read.memory.generator_code(coroutine)?).name));
        name.map(|n| sanitize(&n).into_owned())
    }

    fn local(&self, name: String, address: Addr) -> Local {
        variables::local(self.world.read.heap, &self.world.read.memory, name, address)
    }
}
