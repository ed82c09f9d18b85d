//! Tasks: every Task and Future of the heap, what each waits for, and which wait for each other for ever.
//!
//! Nodes are the futures and tasks that the index holds, whatever event loop or thread they are of; edges follow what
//! asyncio itself will do when one of them finishes: the task that is woken, the callbacks of gather, shield, wait and
//! their like, the lock that is released. Only callbacks of asyncio's own functions are understood; a future that a
//! program finishes by other means has no known waker, and nothing is guessed of it.

mod between;
mod cycles;
mod describe;
mod filter;
mod forest;
mod graph;
mod locks;
mod query;
mod read;
mod roles;
mod uvloop;
mod waits;
mod world;

use super::answers::{Retaining, Task, Tasks};
use super::frames::Frames;
use super::query::ListQuery;
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use between::Loops;
use describe::Writer;
pub use filter::Filter;
use forest::Places;
use graph::Graph;
pub use query::{FIELDS, of_task};
use rayon::prelude::*;
use roles::Roles;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use world::{Found, State, World};

/// Tasks that are described at a time.
const CHUNK: usize = 512;

/// What of the tasks is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Only tasks that match.
    pub filter: Filter,
    /// Only tasks that it means.
    pub query: Option<ListQuery>,
    /// With the variables of every frame.
    pub locals: bool,
    /// Lines of the forest that are going to be shown, and whose tasks are described; `None`: all lines and all tasks.
    pub rows: Option<usize>,
    /// Without what a text does not show: the groups, and which tasks a line of several stands for.
    pub brief: bool,
    /// What the tasks keep alive, if that is to be told; then trees are in the order of what their roots keep.
    pub retaining: Option<Arc<Retaining>>,
}

impl Ask {
    /// Everything; `locals`: with the variables of every frame.
    pub fn all(locals: bool) -> Ask {
        Ask { locals, ..Ask::default() }
    }
}

/// The wait graph. Time is that of one pass over the index, and proportional to the tasks and the depth of their
/// coroutines; texts are read for the tasks alone that are described.
pub fn tasks(heap: &Heap, ask: &Ask) -> Tasks {
    let roles = Roles::new(heap);
    let found = Found::collect(heap, &roles);
    let world = found.read(1.0);
    let loops = Loops::collect(&world);
    let graph = Graph::build(&world, &loops);
    let nobody = HashMap::new();
    let mut writer = writer(&world, &graph, &loops, &nobody, ask.locals);
    let (mut all, mut pending, mut damaged) = (Vec::new(), Vec::new(), 0);
    for (i, node) in world.nodes.iter().enumerate().filter(|(_, n)| n.task) {
        all.push(i as u32);
        pending.extend(node.is_pending().then_some(i as u32));
        damaged += u64::from(node.state == State::Damaged || !node.whole);
    }
    let places = Places::new(&world, &graph, &pending);
    let mut answer = Tasks::default();
    if !ask.brief {
        answer.groups = writer.groups(&places);
    }
    for cycle in &graph.cycles {
        answer.cycles.push(cycle.members.iter().filter_map(|i| graph.address(&world, *i)).collect());
        answer.verdicts.push(writer.verdict(cycle));
    }
    let mut matching: Option<Vec<u32>> =
        (!ask.filter.is_empty()).then(|| all.iter().copied().filter(|i| writer.matches(&ask.filter, *i)).collect());
    if let Some(query) = &ask.query {
        let among = matching.as_ref().unwrap_or(&all);
        let asked_for = if query.names("awaiters") { among.iter().copied().collect() } else { BTreeSet::new() };
        let awaited_by = awaited_by(&graph, &asked_for);
        let share = |of: &[u32]| of.len() as f64 / among.len().max(1) as f64;
        let meant = among.par_chunks(CHUNK).flat_map_iter(|numbers| {
            let world = found.read(share(numbers));
            let mut writer = self::writer(&world, &graph, &loops, &awaited_by, false);
            writer.retaining = ask.retaining.as_deref();
            query::select(query, writer, numbers)
        });
        matching = Some(meant.collect());
    }
    answer.narrowed = matching.is_some();
    let mut lines = match &matching {
        None => forest::forest(&world, &graph, &places, &pending),
        Some(matching) => forest::flat(&Places::new(&world, &graph, matching)),
    };
    if let Some(retaining) = &ask.retaining {
        let address = |i: &u32| world.nodes.get(*i as usize).map(|n| n.address);
        lines.sort(
            |tasks| retaining.sum(&tasks.iter().filter_map(address).collect::<Vec<_>>()).unwrap_or(0),
            |i| graph.cycle_of.contains_key(&i),
        );
        writer.retaining = Some(retaining);
    }
    let shown = ask.rows.unwrap_or(usize::MAX);
    answer.forest = writer.rows(&lines, shown, ask.brief);
    answer.total.tasks = all.len() as u64;
    answer.total.pending = pending.len() as u64;
    answer.total.futures = (world.nodes.len() - all.len()) as u64;
    answer.total.rows = lines.lines.len() as u64;
    // those that are described: all, those that match, or those of the lines and cycles that are shown
    let described: BTreeSet<u32> = match (ask.rows, matching) {
        (None, matching) => matching.unwrap_or(all).into_iter().collect(),
        (Some(rows), _) => {
            let of_lines = lines.lines.iter().take(rows).map(|line| line.node);
            let of_cycles = graph.cycles.iter().take(rows).flat_map(|c| c.members.iter().copied().take(rows));
            of_lines.chain(of_cycles).filter(|i| world.nodes.get(*i as usize).is_some_and(|n| n.task)).collect()
        }
    };
    let everything = ask.rows.is_none() && !answer.narrowed;
    let futures: BTreeSet<u32> = match everything {
        true => (0..).zip(&world.nodes).filter(|(_, n)| !n.task).map(|(i, _)| i).collect(),
        false => {
            let awaited = described.iter().flat_map(|i| graph.awaits.of(*i as usize).iter().copied());
            awaited.filter(|i| world.nodes.get(*i as usize).is_some_and(|n| !n.task)).collect()
        }
    };
    let awaited_by = awaited_by(&graph, &described.union(&futures).copied().collect());
    let described: Vec<u32> = described.into_iter().collect();
    let share = |of: &[u32]| of.len() as f64 / described.len().max(1) as f64;
    answer.tasks = described
        .par_chunks(CHUNK)
        .flat_map_iter(|numbers| {
            let world = found.read(share(numbers));
            let mut writer = self::writer(&world, &graph, &loops, &awaited_by, ask.locals);
            writer.retaining = ask.retaining.as_deref();
            numbers.iter().filter_map(|i| writer.task(*i)).collect::<Vec<Task>>()
        })
        .collect();
    let mut writer = self::writer(&world, &graph, &loops, &awaited_by, false);
    answer.futures = futures.into_iter().filter_map(|i| writer.future(i)).collect();
    if damaged > 0 {
        answer
            .problems
            .push(format!("{damaged} tasks are damaged: their state or their coroutines cannot be followed"));
    }
    if world.cut || world.read.is_cut() || !graph.whole {
        answer
            .problems
            .push("the lists of callbacks and waiters are longer than the heap: some awaits are missing".into());
    }
    answer
}

/// Every task, in address order. One pass over the index.
pub(super) fn addresses(heap: &Heap) -> Vec<(ObjectId, Addr)> {
    let roles = Roles::new(heap);
    let is_task = |ty| matches!(roles.of(ty), Some(roles::Role::Future { task: true, .. }));
    heap.objects().iter().filter(|(.., ty)| is_task(*ty)).map(|(id, at, _)| (id, at)).collect()
}

/// One task with the variables of its frames. Takes as long as [`tasks`] of one line.
pub fn task(heap: &Heap, address: Addr) -> Option<Task> {
    let roles = Roles::new(heap);
    let found = Found::collect(heap, &roles);
    let world = found.read(1.0);
    let loops = Loops::collect(&world);
    let graph = Graph::build(&world, &loops);
    let i = world.finder.find(address).filter(|i| world.nodes.get(*i as usize).is_some_and(|n| n.task))?;
    let awaited_by = awaited_by(&graph, &BTreeSet::from([i]));
    writer(&world, &graph, &loops, &awaited_by, true).task(i)
}

/// Deadlocks that threads and tasks share: the native ids of the threads, and a sentence.
pub(super) fn crossing(heap: &Heap) -> Vec<(Vec<u64>, String)> {
    let roles = Roles::new(heap);
    let found = Found::collect(heap, &roles);
    let world = found.read(1.0);
    let loops = Loops::collect(&world);
    let graph = Graph::build(&world, &loops);
    let nobody = HashMap::new();
    let mut writer = writer(&world, &graph, &loops, &nobody, false);
    let mut crossing = Vec::new();
    for cycle in graph.cycles.iter().filter(|c| c.is_deadlock()) {
        let others = cycle.members.iter().any(|i| graph.between.thread(*i).is_none());
        let verdict = writer.verdict(cycle);
        if others && !verdict.threads.is_empty() {
            crossing.push((verdict.threads, verdict.sentence));
        }
    }
    crossing
}

fn writer<'w, 'h>(
    world: &'w World<'w, 'h>,
    graph: &'w Graph,
    loops: &'w Loops,
    awaited_by: &'w HashMap<u32, Vec<u32>>,
    locals: bool,
) -> Writer<'w, 'h> {
    Writer { world, graph, loops, awaited_by, frames: Frames::new(world.read.heap), locals, retaining: None }
}

/// Who waits for each of some nodes. One pass over all edges.
fn awaited_by(graph: &Graph, of: &BTreeSet<u32>) -> HashMap<u32, Vec<u32>> {
    let mut found: HashMap<u32, Vec<u32>> = HashMap::new();
    let nodes = if of.is_empty() { 0 } else { graph.awaits.len() as u32 };
    for i in 0..nodes {
        for j in graph.awaits.of(i as usize).iter().filter(|j| of.contains(j)) {
            found.entry(*j).or_default().push(i);
        }
    }
    found
}
