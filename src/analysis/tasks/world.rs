//! Every task and future of the heap with what it says of itself, in a few words each.
//!
//! One pass over the index finds them, a second one reads them, both on all processors. Texts are not read: a graph of a
//! hundred thousand tasks shows the names of some fifty.

use super::read::{Reading, STATES, Source};
use super::roles::{Primitive, Role, Roles};
use super::uvloop::Foreign;
use crate::cpython::GeneratorState;
use crate::cpython::types::TypeId;
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use crate::sys::memory::roomy;
use rayon::prelude::*;
use std::ops::Deref;

/// Nodes whose memory is asked for at a time.
const AHEAD: usize = 32;

/// No node.
pub const NONE: u32 = u32::MAX;

/// How far a task or future is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Finished,
    Cancelled,
    /// It says something else.
    Damaged,
}

impl State {
    /// As in the answers.
    pub fn name(self) -> Option<&'static str> {
        match self {
            State::Pending => Some("pending"),
            State::Finished => Some("finished"),
            State::Cancelled => Some("cancelled"),
            State::Damaged => None,
        }
    }
}

/// A task or future.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub address: Addr,
    pub event_loop: Addr,
    /// Null where there is none.
    pub coroutine: Addr,
    /// A digest of where its coroutines stand: code and instruction of each.
    pub place: [u64; 2],
    pub ty: TypeId,
    /// The node that it waits for, or [`NONE`].
    pub fut_waiter: u32,
    pub state: State,
    pub task: bool,
    /// Whether its coroutine is on a thread's stack.
    pub running: bool,
    /// Whether its coroutines end where the await does.
    pub whole: bool,
    /// Whether it is written in C; else its fields are attributes.
    pub in_c: bool,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            address: Addr::NULL,
            event_loop: Addr::NULL,
            coroutine: Addr::NULL,
            place: [0; 2],
            ty: TypeId(0),
            fut_waiter: NONE,
            state: State::Damaged,
            task: false,
            running: false,
            whole: true,
            in_c: false,
        }
    }
}

impl Node {
    fn new(address: Addr, ty: TypeId, roles: &Roles) -> Node {
        let (task, in_c) = match roles.of(ty) {
            Some(Role::Future { task, fields }) => (task, fields.is_some()),
            _ => (false, false),
        };
        Node { address, ty, task, in_c, ..Node::default() }
    }

    pub fn is_pending(&self) -> bool {
        self.state == State::Pending
    }

    /// The address of its coroutine's code; 0 where there is none.
    pub fn coroutine_code(&self, world: &World<'_, '_>) -> u64 {
        let coroutine = Some(self.coroutine).filter(|c| !c.is_null());
        coroutine.and_then(|c| world.read.memory.generator_code(c)).map_or(0, |code| code.0)
    }
}

/// Everything of asyncio that the heap holds; for any thread.
pub struct Found<'h> {
    pub source: Source<'h>,
    /// In address order.
    pub nodes: Vec<Node>,
    pub finder: Finder<'h>,
    /// As they were read: of 100,000 tasks, one list of them all would be another copy.
    callbacks: Vec<Vec<(u32, Addr)>>,
    /// Coroutines of unfinished tasks that have more on their value stacks than what they await: they may be in a `with`.
    pub deep: Vec<(u32, Addr)>,
    pub primitives: Vec<(Addr, Primitive)>,
    pub handles: Vec<(Addr, TypeId)>,
    pub foreign: Vec<(Addr, Foreign)>,
    pub timeouts: Vec<Addr>,
    /// Whether something was left out, as there was too much of it.
    pub cut: bool,
}

/// The same with a reader of one thread's own.
pub struct World<'f, 'h> {
    pub read: Reading<'h>,
    found: &'f Found<'h>,
}

impl<'h> Deref for World<'_, 'h> {
    type Target = Found<'h>;

    fn deref(&self) -> &Found<'h> {
        self.found
    }
}

/// Which objects are nodes: a bit for each object, and counts.
struct Members {
    bits: Vec<u64>,
    ranks: Vec<u32>,
}

impl Members {
    fn new(objects: usize, ids: impl Iterator<Item = ObjectId>) -> Members {
        let mut bits = vec![0u64; objects / 64 + 1];
        for id in ids {
            if let Some(word) = bits.get_mut(id.0 as usize / 64) {
                *word |= 1 << (id.0 % 64);
            }
        }
        let mut before = 0u32;
        let mut rank = |word: &u64| {
            before += word.count_ones();
            before - word.count_ones()
        };
        let ranks = bits.iter().map(&mut rank).collect();
        Members { bits, ranks }
    }

    fn rank(&self, id: ObjectId) -> Option<u32> {
        let (i, bit) = (id.0 as usize / 64, 1u64 << (id.0 % 64));
        let word = self.bits.get(i)?;
        (word & bit != 0).then(|| self.ranks.get(i).map(|rank| rank + (word & (bit - 1)).count_ones()))?
    }
}

/// From addresses to numbers of nodes; for any thread.
pub struct Finder<'h> {
    heap: &'h Heap,
    members: Members,
}

impl Finder<'_> {
    /// The node at an address.
    pub fn find(&self, address: Addr) -> Option<u32> {
        self.members.rank(self.heap.objects().object_at(address)?)
    }
}

/// What a window of the index has of asyncio.
#[derive(Default)]
struct Of {
    /// The numbers of the futures.
    ids: Vec<ObjectId>,
    others: Vec<(Addr, TypeId)>,
}

impl Of {
    fn window(heap: &Heap, roles: &Roles, i: usize) -> Of {
        let mut of = Of::default();
        for (id, address, ty, _) in heap.objects().window_where(i, &|ty| roles.has(ty)) {
            match roles.of(ty) {
                Some(Role::Future { .. }) => of.ids.push(id),
                _ => of.others.push((address, ty)),
            }
        }
        of
    }
}

/// What is read of a window's nodes besides themselves.
#[derive(Default)]
struct Part {
    callbacks: Vec<(u32, Addr)>,
    deep: Vec<(u32, Addr)>,
    cut: bool,
}

impl<'h> Found<'h> {
    /// `O(objects)` for the pass over the index, then proportional to tasks, futures and the depth of coroutines.
    pub fn collect(heap: &'h Heap, roles: &'h Roles) -> Self {
        let windows = 0..heap.objects().window_count();
        let windows: Vec<Of> = windows.into_par_iter().map(|i| Of::window(heap, roles, i)).collect();
        let (mut none, mut truth) = (Addr::NULL, Addr::NULL);
        let (mut primitives, mut handles, mut foreign, mut timeouts) = (vec![], vec![], vec![], vec![]);
        let memory = heap.memory();
        for (address, ty) in windows.iter().flat_map(|of| of.others.iter().copied()) {
            match roles.of(ty) {
                Some(Role::Primitive(kind)) => primitives.push((address, kind)),
                Some(Role::Handle(_)) => handles.push((address, ty)),
                Some(Role::Foreign(what)) => foreign.push((address, what)),
                Some(Role::Timeout) => timeouts.push(address),
                Some(Role::None) => none = address,
                Some(Role::Bool) if memory.small_int(address) == Some(1) => truth = address,
                Some(Role::Bool | Role::Future { .. }) | None => {}
            }
        }
        let ids = windows.iter().flat_map(|of| of.ids.iter().copied());
        let finder = Finder { heap, members: Members::new(heap.objects().len(), ids) };
        let source = Source { heap, roles, none, truth };
        let count = windows.iter().map(|of| of.ids.len()).sum();
        let mut nodes: Vec<Node> = roomy(count);
        rayon::iter::repeat_n(Node::default(), count).collect_into_vec(&mut nodes);
        let (mut rest, mut first, mut jobs) = (nodes.as_mut_slice(), 0, Vec::new());
        for (window, of) in windows.iter().enumerate().filter(|(_, of)| !of.ids.is_empty()) {
            let (own, after) = rest.split_at_mut(of.ids.len());
            jobs.push((window, first, own));
            (rest, first) = (after, first + of.ids.len());
        }
        let is_future = |ty| matches!(roles.of(ty), Some(Role::Future { .. }));
        let parts: Vec<Part> = jobs
            .into_par_iter()
            .map(|(window, first, nodes)| {
                for (node, (_, at, ty, _)) in nodes.iter_mut().zip(heap.objects().window_where(window, &is_future)) {
                    *node = Node::new(at, ty, roles);
                }
                let read = Reading::new(source, nodes.len() as f64 / count.max(1) as f64);
                let mut part = Part::default();
                for (group, nodes) in nodes.chunks_mut(AHEAD).enumerate() {
                    look_ahead(&read, nodes);
                    for (i, node) in nodes.iter_mut().enumerate() {
                        read_node(&read, (first + group * AHEAD + i) as u32, node, &finder, &mut part);
                    }
                }
                part.cut = read.is_cut();
                part
            })
            .collect();
        let mut found = Found {
            source,
            nodes,
            finder,
            callbacks: Vec::with_capacity(parts.len()),
            deep: Vec::with_capacity(parts.iter().map(|part| part.deep.len()).sum()),
            primitives,
            handles,
            foreign,
            timeouts,
            cut: false,
        };
        for part in parts {
            found.callbacks.push(part.callbacks);
            found.deep.extend(part.deep);
            found.cut |= part.cut;
        }
        found
    }

    /// The functions that are called when a node is done, by the node's number.
    pub fn callbacks(&self) -> impl Iterator<Item = (u32, Addr)> + '_ {
        self.callbacks.iter().flatten().copied()
    }

    /// With a reader that may look at this part of all there is.
    pub fn read(&self, share: f64) -> World<'_, 'h> {
        World { read: Reading::new(self.source, share), found: self }
    }
}

impl World<'_, '_> {
    /// The node at an address.
    pub fn find(&self, address: Addr) -> Option<usize> {
        self.finder.find(address).map(|rank| rank as usize)
    }

    pub fn primitive(&self, address: Addr) -> Option<Primitive> {
        match self.read.role(address)? {
            Role::Primitive(kind) => Some(kind),
            _ => None,
        }
    }
}

/// Touches what [`read_node`] is going to read of some nodes, all of them at a time: what it reads of one depends on what
/// it read before, so that it would wait for memory again and again.
fn look_ahead(read: &Reading<'_>, nodes: &[Node]) {
    const LINE: u64 = 64;
    let mut next = [Addr::NULL; AHEAD * 2];
    let pointer = |at: Addr| read.memory.reader.pointer(at).unwrap_or_default();
    for (node, next) in nodes.iter().zip(next.chunks_exact_mut(2)) {
        let Some(fields) = read.roles.fields(node.ty) else { continue };
        let second = if node.task { fields.fut_waiter } else { fields.callback };
        let first = if node.task { pointer(node.address + fields.coroutine) } else { Addr::NULL };
        next.copy_from_slice(&[first, pointer(node.address + second)]);
    }
    let mut sum = 0u64;
    for at in next.iter().filter(|at| !at.is_null()) {
        for line in 0..3 {
            sum ^= read.memory.reader.u64(*at + line * LINE).unwrap_or(0);
        }
    }
    std::hint::black_box(sum);
}

fn read_node(read: &Reading<'_>, number: u32, node: &mut Node, finder: &Finder<'_>, part: &mut Part) {
    let address = node.address;
    let mut awaited = Addr::NULL;
    let mut find = |waiter: Addr| {
        awaited = waiter;
        finder.find(waiter)
    };
    match read.roles.fields(node.ty) {
        Some(f) => {
            let pointer = |offset: u64| read.not_none(read.memory.reader.pointer(address + offset));
            let state = read.memory.reader.i32(address + read.memory.layout.structs.future.fut_state);
            node.state = state.and_then(|s| STATES.get(usize::try_from(s).ok()?).copied()).unwrap_or(State::Damaged);
            node.event_loop = pointer(f.event_loop).unwrap_or_default();
            if node.task {
                node.coroutine = pointer(f.coroutine).unwrap_or_default();
                node.fut_waiter = pointer(f.fut_waiter).and_then(&mut find).unwrap_or(NONE);
            }
            let first = pointer(f.callback).filter(|c| read.is_callable(*c));
            part.callbacks.extend(first.map(|c| (number, c)));
            if let Some(list) = pointer(f.callbacks) {
                part.callbacks.extend(read.callbacks(list).map(|c| (number, c)));
            }
        }
        None => {
            let attribute = |name| read.attribute(address, name);
            // what an instance has not set is the class's default: pending, None
            node.state = match attribute("_state").and_then(|s| read.text(s)).as_deref() {
                None | Some("PENDING") => State::Pending,
                Some("CANCELLED") => State::Cancelled,
                Some("FINISHED") => State::Finished,
                Some(_) => State::Damaged,
            };
            node.event_loop = attribute("_loop").unwrap_or_default();
            node.coroutine = attribute("_coro").unwrap_or_default();
            node.fut_waiter = attribute("_fut_waiter").and_then(&mut find).unwrap_or(NONE);
            if let Some(list) = attribute("_callbacks") {
                part.callbacks.extend(read.callbacks(list).map(|c| (number, c)));
            }
        }
    }
    // a finished task keeps its coroutine, which stands nowhere any more
    if !node.coroutine.is_null() && matches!(node.state, State::Pending | State::Damaged) {
        let mut first = true;
        let known = if node.fut_waiter == NONE { Addr::NULL } else { awaited };
        node.whole = read.chain(node.coroutine, known, &mut |coroutine, step| {
            if std::mem::take(&mut first) {
                node.running = step.state == GeneratorState::Running;
            }
            let Some(frame) = step.frame else { return };
            for word in [frame.code.0, frame.instruction as u64] {
                node.place[0] = (node.place[0].rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
                node.place[1] = (node.place[1] ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
            }
            if read.has_more_than_await(step) {
                part.deep.push((number, coroutine));
            }
        });
    }
}
