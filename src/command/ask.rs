//! The seam to `heap` and `analysis`: what each command asks, in one place.

mod export;
mod report;

pub(super) use crate::analysis::export::Extra;
pub(super) use export::{Class, Label, all_tasks, export_edges, export_objects, subgraph};
pub(super) use report::findings;

use super::watch;
use crate::analysis::answers::{
    Direction, Edges, GRAPH_BOUNDS, Graph, Hex, Hit, Leaks, ModuleReport, ObjectDetail, Objects, Paths, Retained,
    RetainedTypes, Retaining, SnapshotInfo, Strings, Tasks, Threads, Types,
};
use crate::analysis::answers::{Footprint, Waste};
use crate::analysis::query::objects::Query;
use crate::analysis::query::{Expr, ListQuery, QueryError};
use crate::analysis::{detail, graph, info, leaks, links, paths, raw, retained, strings, tasks, threads, types};
use crate::analysis::{memory, waste};
use crate::cli::{self, Common, Module, Show, Way};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::{Addr, Snapshot};
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::sync::Arc;

/// A heap that was indexed, with what could not be read.
pub(super) struct Asked {
    pub(super) heap: Heap,
    pub info: SnapshotInfo,
    pub problems: Vec<String>,
    quiet: bool,
}

/// Indexes every object.
pub(super) fn heap(snapshot: Snapshot, common: &Common) -> Result<Asked> {
    let snapshot = Arc::new(snapshot);
    let shared = snapshot.clone();
    let heap = watch::cancellable("scanning", common.quiet, move |progress| Heap::index(shared, progress));
    unharmed(&snapshot)?;
    let heap = heap.with_context(|| unreadable(&snapshot))?;
    let mut problems = snapshot.problems().to_vec();
    problems.extend(heap.problems());
    let info = info::info(&snapshot, Some(heap.interpreter()));
    Ok(Asked { heap, info, problems, quiet: common.quiet })
}

/// What stands before the reason why a snapshot holds no Python: what was cut off may have been it.
pub(super) fn unreadable(snapshot: &Snapshot) -> String {
    let missing = snapshot.problems().first().map(|first| format!(" ({first})")).unwrap_or_default();
    format!("{} cannot be read{missing}", snapshot.source().display())
}

/// An error when files of the snapshot changed under our hands: what was read of them is not what was captured.
pub(super) fn unharmed(snapshot: &Snapshot) -> Result<()> {
    snapshot.damage().map_or(Ok(()), |damage| bail!("{damage}"))
}

/// What is known when raw memory is all that is asked for: no interpreter need be in it.
pub(super) fn raw(snapshot: Snapshot, common: &Common) -> (Option<Asked>, SnapshotInfo, Vec<String>) {
    let alone = info::info(&snapshot, None);
    let mut problems = snapshot.problems().to_vec();
    match heap(snapshot, common) {
        Ok(asked) => {
            let (info, problems) = (asked.info.clone(), asked.problems.clone());
            (Some(asked), info, problems)
        }
        Err(error) => {
            problems.push(format!("objects are not named: {error:#}"));
            (None, alone, problems)
        }
    }
}

impl Asked {
    pub(super) fn object(&self, address: Addr) -> Result<ObjectId> {
        if let Some(id) = self.heap.objects().object_at(address) {
            return Ok(id);
        }
        match self.heap.object_around(address) {
            Some((_, start, ty)) => {
                bail!("no object begins at {address}; it lies in {start}, a {}", ty.name)
            }
            None => bail!("no object begins at {address}; `pymem-tui hex` shows what is there"),
        }
    }
}

pub(super) fn types(asked: &Asked, query: Option<&Query>) -> Result<Types> {
    let Some(query) = query else { return Ok(types::types(asked.heap.types(), asked.heap.tally())) };
    Ok(types::types_of(&asked.heap, &narrowed(asked, None, query)?))
}

/// The same with what the objects of each type keep alive.
pub(super) fn types_retained(asked: &Asked) -> Result<RetainedTypes> {
    Ok(watch::cancellable("linking", asked.quiet, |progress| types::types_retained(&asked.heap, progress))?)
}

pub(super) fn paths(asked: &Asked, address: Addr, limit: u64) -> Result<Paths> {
    let id = asked.object(address)?;
    Ok(watch::cancellable("linking", asked.quiet, |progress| paths::paths(&asked.heap, id, limit, progress))?)
}

pub(super) fn retained(asked: &Asked, which: retained::Which, query: Option<&Expr>, limit: u64) -> Result<Retained> {
    let heap = &asked.heap;
    let work = |progress: &_| match query {
        None => retained::rows(heap, which, 0, limit, progress),
        Some(query) => {
            let keeps = |entry: &retained::Entry<'_>| query.matches(&|field| entry.cell(field));
            retained::kept(heap, which, &keeps, progress)?.rows(heap, 0, limit, progress)
        }
    };
    Ok(watch::cancellable("linking", asked.quiet, work)?)
}

/// What each task and thread keeps alive.
pub(super) fn retaining(asked: &Asked) -> Result<Retaining> {
    Ok(watch::cancellable("linking", asked.quiet, |progress| retained::retaining(&asked.heap, progress))?)
}

pub(super) fn leaks(asked: &Asked) -> Result<Leaks> {
    Ok(watch::cancellable("linking", asked.quiet, |progress| leaks::leaks(&asked.heap, progress))?)
}

/// What could not be read of the roots, when they were asked for.
pub(super) fn roots_problems(asked: &Asked) -> Vec<String> {
    asked.heap.built_roots().map_or_else(Vec::new, |roots| roots.problems().to_vec())
}

/// A query as it was typed.
pub(super) fn query<Q>(text: Option<&str>, parse: impl Fn(&str) -> Result<Q, QueryError>) -> Result<Option<Q>> {
    text.map(parse).transpose().context("--where")
}

/// Those of some objects (of all, without `ids`) that a query means.
fn narrowed(asked: &Asked, ids: Option<&[ObjectId]>, query: &Query) -> Result<Vec<ObjectId>> {
    let work = |progress: &_| query.select(&asked.heap, ids, progress);
    Ok(watch::cancellable("looking", asked.quiet, work)?)
}

/// The objects of a type, by its name or address (of all types without one), that a query means.
pub(super) fn select(
    asked: &Asked,
    type_name: Option<&str>,
    subclasses: bool,
    query: Option<&Query>,
) -> Result<Vec<ObjectId>> {
    let all = match (type_name, query) {
        (None, Some(query)) => return narrowed(asked, None, query),
        (None, None) => return Ok(types::select(&asked.heap, None)),
        (Some(name), _) => of_type(asked, name, subclasses)?,
    };
    query.map_or(Ok(all.clone()), |query| narrowed(asked, Some(&all), query))
}

fn of_type(asked: &Asked, name: &str, subclasses: bool) -> Result<Vec<ObjectId>> {
    let found = types::find_types(&asked.heap, name, subclasses);
    if found.is_empty() {
        bail!("there is no type {name}; `pymem-tui types` lists them");
    }
    Ok(types::select(&asked.heap, Some(&found)))
}

/// A window of at most `limit` rows from `offset`.
pub(super) fn objects(asked: &Asked, ids: &[ObjectId], offset: u64, limit: u64) -> Objects {
    types::rows(&asked.heap, ids, offset, limit)
}

pub(super) fn show(asked: &Asked, address: Addr, how: &Show) -> Result<ObjectDetail> {
    let chars = usize::try_from(how.max_string).unwrap_or(usize::MAX);
    let depth = detail::Depth { levels: how.depth, entries: how.max_entries, chars };
    let id = asked.object(address)?;
    if how.reachable {
        watch::cancellable("finding roots", asked.quiet, |progress: &_| asked.heap.roots(progress).map(drop))?;
    }
    detail::object(&asked.heap, id, depth).context("the object cannot be read")
}

/// The first `limit` references of an object, of those whose other end the query means.
pub(super) fn edges(
    asked: &Asked,
    address: Addr,
    direction: Direction,
    query: Option<&Query>,
    limit: u64,
) -> Result<Edges> {
    let id = asked.object(address)?;
    let Some(query) = query else {
        let work = |progress: &_| links::edges(&asked.heap, id, direction, 0, limit, progress);
        return Ok(watch::cancellable("linking", asked.quiet, work)?);
    };
    let work = |progress: &_| links::ends(&asked.heap, id, direction, progress);
    let ends = watch::cancellable("linking", asked.quiet, work)?;
    let meant: HashSet<ObjectId> = narrowed(asked, Some(&ends), query)?.into_iter().collect();
    let work = |progress: &_| links::edges_among(&asked.heap, id, direction, &meant, limit, progress);
    Ok(watch::cancellable("linking", asked.quiet, work)?)
}

pub(super) fn graph(asked: &Asked, args: &cli::Graph) -> Result<Graph> {
    let id = asked.object(args.at.address)?;
    let picked = |words: &[String]| {
        graph::Picked::new(&asked.heap, words).map_err(|word| {
            anyhow::anyhow!("{word} is no type and no object's address; `pymem-tui types` lists the types")
        })
    };
    let how = graph::How {
        depth: args.depth,
        breadth: args.breadth as usize,
        objects: args.max_objects as usize,
        directions: match args.only {
            Some(Way::Referents) => vec![Direction::Referents],
            Some(Way::Referrers) => vec![Direction::Referrers],
            None => vec![Direction::Referrers, Direction::Referents],
        },
        exclude: picked(&args.exclude)?,
        highlight: picked(&args.highlight)?,
        all_edges: args.all_edges,
    };
    let work = |progress: &_| match args.paths {
        Some(limit) => graph::to(&asked.heap, id, limit.unwrap_or(GRAPH_BOUNDS.paths), &how, progress),
        None => graph::around(&asked.heap, id, &how, progress),
    };
    Ok(watch::cancellable("linking", asked.quiet, work)?)
}

pub(super) fn module(asked: &Asked, args: &Module) -> Result<ModuleReport> {
    let entries = args.max_entries.unwrap_or(u64::MAX);
    let of = args.interpreter.map(|id| format!(" in interpreter {id}")).unwrap_or_default();
    detail::module(&asked.heap, &args.name, args.interpreter, entries)
        .with_context(|| format!("there is no module {}{of}", args.name))
}

pub(super) fn strings(asked: &Asked, bytes: bool, query: Option<&ListQuery>) -> Strings {
    strings::strings(&asked.heap, bytes, query)
}

pub(super) fn memory(asked: &Asked) -> Result<Footprint> {
    Ok(watch::cancellable("adding up", asked.quiet, |progress: &_| memory::memory(&asked.heap, progress))?)
}

pub(super) fn waste(asked: &Asked) -> Result<Waste> {
    Ok(watch::cancellable("comparing", asked.quiet, |progress: &_| waste::waste(&asked.heap, progress))?)
}

pub(super) fn threads(asked: &Asked) -> Threads {
    threads::threads(&asked.heap)
}

/// `locals`: with the variables of every frame, and what else only JSON has. `rows`: so many lines are going to be printed.
pub(super) fn tasks(
    asked: &Asked,
    args: &cli::Tasks,
    query: Option<ListQuery>,
    locals: bool,
    rows: Option<usize>,
    retaining: Option<Retaining>,
) -> Tasks {
    let state = args.state.map(|state| state.name().to_owned());
    let filter = tasks::Filter { state, name: args.name.clone(), coro: args.coro.clone() };
    let retaining = retaining.map(Arc::new);
    tasks::tasks(&asked.heap, &tasks::Ask { filter, query, locals, rows, brief: !locals, retaining })
}

/// Adds the objects that words of `hex` point to, and the one its address lies in.
pub(super) fn name_words(asked: &Asked, hex: &mut Hex) {
    raw::name_words(&asked.heap, hex);
}

/// Adds the objects that hits lie in.
pub(super) fn name_hits(asked: &Asked, hits: &mut [Hit]) {
    raw::name_hits(&asked.heap, hits);
}
