//! What each request is answered with, and which of them take long.

use super::filter::Filter;
use super::known::Known;
use super::newer::Next;
use super::protocol::{Answer, ObjectOrder, Request, RetainedBy, SourceId, Stage, Ticket, Update};
use super::retained::{Narrowed, Window};
use crate::analysis::answers::{Aspect, Direction, GRAPH_BOUNDS, RefCount};
use crate::analysis::describe::{DEFAULT_WIDTH, describe};
use crate::analysis::query::objects::Query;
use crate::analysis::query::{OBJECT_FIELDS, is_query};
use crate::analysis::{beside, detail, graph, info, links, paths, raw as raw_memory, types, variables};
use crate::cpython::Memory;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Snapshot, save};
use rayon::prelude::*;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a request ended.
pub(super) enum Outcome {
    Answer(Box<Answer>),
    Refused(String),
    /// Cancelled: nobody waits for it.
    Dropped,
}

impl Outcome {
    fn of(answer: Answer) -> Outcome {
        Outcome::Answer(Box::new(answer))
    }

    /// An answer, unless the work for it was cancelled.
    fn unless<T>(made: Result<T, Cancelled>, answer: impl FnOnce(T) -> Answer) -> Outcome {
        match made {
            Ok(made) => Outcome::of(answer(made)),
            Err(_) => Outcome::Refused("this was cancelled; R asks again".into()),
        }
    }

    /// The job's thread ended without a word.
    pub(super) fn failed() -> Outcome {
        Outcome::Refused("the question could not be answered: an internal error".into())
    }
}

/// Which objects a list shows, and in which order.
#[derive(Clone, PartialEq)]
struct ListKey {
    type_address: Option<Addr>,
    order: ObjectOrder,
    filter: String,
}

/// A list that was made, for the next window on it.
type Cached = Option<(ListKey, Arc<Vec<ObjectId>>)>;

/// What answers need; cheap to clone for a job's thread.
#[derive(Clone)]
pub(super) struct Context {
    heap: Arc<Heap>,
    outbox: SyncSender<Update>,
    list: Arc<Mutex<Cached>>,
    narrowed: Arc<Narrowed>,
    known: Arc<Known>,
    next: Arc<Next>,
}

/// Lists of up to this many objects are sorted and filtered on the spot.
const QUICK: usize = 5_000;

/// A filter shows what it has so far at this interval.
const SHOW: Duration = Duration::from_millis(150);

/// Raw memory, for which no index is needed; everything else is refused.
pub(super) fn raw(snapshot: &Snapshot, request: &Request) -> Outcome {
    match request {
        Request::Hex { address, start, len } => {
            Outcome::of(Answer::Hex(raw_memory::hex(snapshot, *address, *start, *len)))
        }
        _ => Outcome::Refused("the objects of this snapshot are not indexed; R begins the scan anew".into()),
    }
}

/// What the status line calls a long request.
pub(super) fn stage(request: &Request) -> Stage {
    match request {
        Request::Edges { .. } => Stage::Linking,
        Request::Save { .. } => Stage::Saving,
        Request::Draw { .. } => Stage::Drawing,
        Request::Compare | Request::Changes { .. } => Stage::Comparing,
        Request::Beside { .. } => Stage::AddingUp,
        Request::Threads | Request::Findings(Aspect::Threads) => Stage::ReadingThreads,
        Request::Tasks | Request::Findings(Aspect::Tasks) => Stage::ReadingTasks,
        Request::Retained { filter, .. } if !filter.is_empty() => Stage::Searching,
        Request::Retained { .. } | Request::Findings(Aspect::Leaks) => Stage::Dominating,
        Request::Paths { .. } => Stage::Following,
        Request::Memory | Request::Findings(Aspect::Memory) => Stage::AddingUp,
        _ => Stage::Searching,
    }
}

/// Whether two requests ask for windows on the same list.
pub(super) fn same_list(a: &Request, b: &Request) -> bool {
    let key = |r: &Request| match r {
        Request::Objects { type_address, order, filter, .. } => {
            Some(ListKey { type_address: *type_address, order: *order, filter: filter.clone() })
        }
        _ => None,
    };
    let of_retained = |r: &Request| match r {
        Request::Retained { by, filter, .. } => Some((*by, filter.clone())),
        _ => None,
    };
    key(a).is_some_and(|a| Some(a) == key(b)) || of_retained(a).is_some_and(|a| Some(a) == of_retained(b))
}

impl Context {
    pub(super) fn new(heap: Arc<Heap>, outbox: SyncSender<Update>, next: Arc<Next>) -> Context {
        let (list, narrowed, known) = Default::default();
        Context { heap, outbox, list, narrowed, known, next }
    }

    /// What answers for another source; `None`: it is not open any more.
    pub(super) fn of_other(&self, source: SourceId) -> Option<Context> {
        self.next.context(source)
    }

    fn draw(&self, address: Addr, paths: bool, progress: &Progress) -> Outcome {
        let heap = &*self.heap;
        let Some((id, _)) = heap.object_at(address) else {
            return Outcome::Refused(format!("no object begins at {address}"));
        };
        let how = graph::How::default();
        let drawn = self.known.roots(heap, progress).and_then(|()| match paths {
            true => graph::to(heap, id, GRAPH_BOUNDS.paths, &how, progress),
            false => graph::around(heap, id, &how, progress),
        });
        let Ok(graph) = drawn else { return Outcome::Refused("drawing was cancelled".into()) };
        let info = info::info(heap.snapshot(), Some(heap.interpreter()));
        match self.next.outside.write_graph(graph, &info) {
            Ok(path) => Outcome::of(Answer::Drawn(path)),
            Err(reason) => Outcome::Refused(crate::text::sanitize(&reason).into_owned()),
        }
    }

    /// The answer to a request that takes a few milliseconds at most; `None` when it may take longer.
    pub(super) fn quick(&self, ticket: Ticket, request: &Request) -> Option<Outcome> {
        let heap = &*self.heap;
        let idle = Progress::default();
        match request {
            Request::Object { address } => {
                let depth = detail::Depth { levels: 1, entries: 200, chars: 2_000 };
                let object = heap.object_at(*address).and_then(|(id, _)| detail::object(heap, id, depth));
                Some(Outcome::of(Answer::Object(object.map(Box::new))))
            }
            Request::Edges { direction: Direction::Referrers, .. } if heap.built_edges().is_none() => None,
            Request::Edges { .. } => Some(self.edges(request, &idle)),
            Request::Hex { address, start, len } => {
                let mut hex = raw_memory::hex(heap.snapshot(), *address, *start, *len);
                if let Some(hex) = &mut hex {
                    raw_memory::name_words(heap, hex);
                }
                Some(Outcome::of(Answer::Hex(hex)))
            }
            Request::Objects { type_address, order, filter, offset, limit } => {
                let key = ListKey { type_address: *type_address, order: *order, filter: filter.clone() };
                let cached = self.cached(&key);
                let few = || match type_address.map(|a| heap.types().id_of(a)) {
                    Some(Some(id)) => heap.tally().get(id).0 <= QUICK as u64,
                    Some(None) => true,
                    None => heap.objects().len() <= QUICK,
                };
                // one that needs references or dominators takes as long as they do
                let query = is_query(filter, OBJECT_FIELDS);
                if cached.is_none() && (query || !few()) {
                    return None;
                }
                let list = cached.or_else(|| self.list(ticket, &key, *offset, *limit, &idle))?;
                let objects = types::rows(heap, &list, *offset, *limit);
                Some(Outcome::of(Answer::Objects { objects, done: true }))
            }
            Request::Locals { generator } => {
                Some(Outcome::of(Answer::Locals(variables::of_generator(heap, *generator))))
            }
            Request::Threads => self.known.threads_if_read().map(|t| Outcome::of(Answer::Threads(t))),
            Request::Tasks => self.known.tasks_if_read().map(|t| Outcome::of(Answer::Tasks(t))),
            Request::RetainedTypes => Some(match self.known.retained_types_if_known() {
                Some(types) => Outcome::of(Answer::RetainedTypes(types)),
                None => Outcome::Refused("what types keep alive is not worked out yet".into()),
            }),
            Request::Retaining => Some(match self.known.retaining_if_known() {
                Some(retaining) => Outcome::of(Answer::Retaining(retaining)),
                None => Outcome::Refused("what tasks and threads keep alive is not worked out yet".into()),
            }),
            // of these a window costs a pass over an array
            Request::Retained { by, filter, .. } if filter.is_empty() => match by {
                RetainedBy::Object(_) | RetainedBy::Objects | RetainedBy::Group(_)
                    if heap.built_dominators().is_some() =>
                {
                    Some(self.long(ticket, request, &idle))
                }
                _ => None,
            },
            Request::Retained { by, filter, offset, limit } => {
                let window = Window { by: *by, filter, offset: *offset, limit: *limit };
                let known = self.narrowed.known(heap, &window, &idle)?;
                Some(Outcome::unless(known, Answer::Retained))
            }
            Request::Paths { .. } => None,
            Request::Memory => self.known.memory_if_added_up().map(|m| Outcome::of(Answer::Memory(m))),
            Request::Scan => Some(Outcome::Dropped), // it is indexed
            Request::Find { .. } | Request::Findings(_) | Request::Save { .. } => None,
            Request::Draw { .. } | Request::Compare | Request::Changes { .. } | Request::Beside { .. } => None,
        }
    }

    /// The answer to any request, however long it takes.
    pub(super) fn long(&self, ticket: Ticket, request: &Request, progress: &Progress) -> Outcome {
        let heap = &*self.heap;
        match request {
            Request::Edges { .. } => match self.known.references(heap, progress) {
                Ok(()) => self.edges(request, progress),
                Err(_) => Outcome::Refused("building the references was cancelled; ask again to start it anew".into()),
            },
            Request::Retained { by, filter, offset, limit } => {
                let window = Window { by: *by, filter, offset: *offset, limit: *limit };
                let known = self.known.dominators(heap, progress);
                match known.and_then(|()| self.narrowed.window(heap, &window, progress)) {
                    Ok(Some(rows)) => Outcome::of(Answer::Retained(rows)),
                    Ok(None) => Outcome::Refused("no object begins there".into()),
                    Err(_) => Outcome::Refused("this was cancelled; R asks again".into()),
                }
            }
            Request::Paths { address, limit } => match heap.object_at(*address) {
                Some((id, _)) => {
                    let found =
                        self.known.roots(heap, progress).and_then(|()| paths::paths(heap, id, *limit, progress));
                    Outcome::unless(found, |paths| Answer::Paths(Box::new(paths)))
                }
                None => Outcome::Refused(format!("no object begins at {address}")),
            },
            Request::Objects { type_address, order, filter, offset, limit } => {
                let key = ListKey { type_address: *type_address, order: *order, filter: filter.clone() };
                let Some(list) = self.list(ticket, &key, *offset, *limit, progress) else {
                    return Outcome::Refused("cancelled: the rows are not all sorted or filtered as asked".into());
                };
                Outcome::of(Answer::Objects { objects: types::rows(heap, &list, *offset, *limit), done: true })
            }
            Request::Find { pattern, from, backwards } => {
                match raw_memory::find_next(heap.snapshot(), pattern, *from, *backwards, progress) {
                    Ok(found) => Outcome::of(Answer::Found(found)),
                    Err(_) => Outcome::Refused("the search was cancelled".into()),
                }
            }
            Request::Threads => Outcome::unless(self.known.threads(heap, progress), Answer::Threads),
            Request::Tasks => Outcome::unless(self.known.tasks(heap, progress), Answer::Tasks),
            Request::Memory => Outcome::unless(self.known.memory(heap, progress), Answer::Memory),
            Request::Findings(aspect) => {
                let found = self.known.findings(heap, *aspect, progress);
                Outcome::unless(found, |found| Answer::Findings(*aspect, found))
            }
            Request::Draw { address, paths } => self.draw(*address, *paths, progress),
            Request::Compare => self.next.compare(heap, &self.outbox, progress),
            Request::Changes { which, type_name, limit } => self.next.changes(heap, *which, type_name, *limit),
            Request::Beside { tables, by } => {
                let tables: Vec<_> = tables.0.iter().map(Option::as_deref).collect();
                Outcome::of(Answer::Beside(Arc::new(beside::beside(&tables, *by))))
            }
            Request::Save { path } => match save::write_directory(heap.snapshot(), path, progress) {
                Ok(path) => Outcome::of(Answer::Saved(path)),
                Err(error) => Outcome::Refused(crate::text::sanitize(&error.to_string()).into_owned()),
            },
            quick => self.quick(ticket, quick).unwrap_or(Outcome::Dropped),
        }
    }

    fn edges(&self, request: &Request, progress: &Progress) -> Outcome {
        let Request::Edges { address, direction, offset, limit } = request else { return Outcome::Dropped };
        let Some((id, _)) = self.heap.object_at(*address) else {
            return Outcome::Refused(format!("no object begins at {address}"));
        };
        match links::edges(&self.heap, id, *direction, *offset, *limit, progress) {
            Ok(edges) => Outcome::of(Answer::Edges(edges)),
            Err(_) => Outcome::Refused("building the references was cancelled; ask again to start it anew".into()),
        }
    }

    fn cached(&self, key: &ListKey) -> Option<Arc<Vec<ObjectId>>> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.as_ref().filter(|(k, _)| k == key).map(|(_, l)| l.clone())
    }

    /// The whole list, sorted and filtered; `None` when cancelled. While a filter runs, the window asked for is shown
    /// as far as it is known.
    fn list(
        &self,
        ticket: Ticket,
        key: &ListKey,
        offset: u64,
        limit: u64,
        progress: &Progress,
    ) -> Option<Arc<Vec<ObjectId>>> {
        let heap = &*self.heap;
        let chosen = match key.type_address {
            Some(address) => match heap.types().id_of(address) {
                Some(id) => types::select(heap, Some(&[id])),
                None => Vec::new(),
            },
            None => types::select(heap, None),
        };
        let sorted = sort(heap, chosen, key.order, progress)?;
        let list = if key.filter.is_empty() {
            sorted
        } else if is_query(&key.filter, OBJECT_FIELDS) {
            self.asked(&key.filter, &sorted, progress)?
        } else {
            self.filter(ticket, sorted, &key.filter, offset, limit, progress)?
        };
        let list = Arc::new(list);
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some((key.clone(), list.clone()));
        Some(list)
    }

    /// Those of a list that a query means; all when it cannot be read, which the explorer tells.
    fn asked(&self, query: &str, ids: &[ObjectId], progress: &Progress) -> Option<Vec<ObjectId>> {
        let heap = &*self.heap;
        let Ok(query) = Query::parse(query) else { return Some(ids.to_vec()) };
        if query.needs_edges() {
            self.known.references(heap, progress).ok()?;
        }
        if query.needs_retained() {
            self.known.dominators(heap, progress).ok()?;
        }
        query.select(heap, Some(ids), progress).ok()
    }

    fn filter(
        &self,
        ticket: Ticket,
        ids: Vec<ObjectId>,
        filter: &str,
        offset: u64,
        limit: u64,
        progress: &Progress,
    ) -> Option<Vec<ObjectId>> {
        let heap = &*self.heap;
        let wanted = Filter::new(filter);
        progress.begin(ids.len() as u64);
        let mut matches = Vec::new();
        let mut shown = Instant::now();
        let mut size = 1 << 10;
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            progress.check().ok()?;
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            size = (size * 2).min(1 << 16);
            let found: Vec<ObjectId> = chunk
                .par_chunks(256)
                .flat_map_iter(|part| {
                    let memory = heap.memory();
                    let wanted = &wanted;
                    let is_wanted = move |id: &&ObjectId| {
                        let address = heap.objects().address(**id);
                        let line = heap
                            .type_of(**id)
                            .map(|(_, ty)| describe(&memory, heap.types(), address, ty, DEFAULT_WIDTH));
                        line.is_some_and(|line| wanted.accepts(&line))
                    };
                    part.iter().filter(is_wanted).copied().collect::<Vec<_>>()
                })
                .collect();
            matches.extend(found);
            progress.advance(chunk.len() as u64);
            progress.found(chunk.len() as u64);
            if shown.elapsed() > SHOW {
                shown = Instant::now();
                let objects = types::rows(heap, &matches, offset, limit);
                self.outbox.send(Update::Answered { ticket, answer: Answer::Objects { objects, done: false } }).ok()?;
            }
        }
        Some(matches)
    }
}

/// What a list is sorted by.
type Key = fn(&Heap, &Memory<'_>, ObjectId) -> u64;

fn sort(heap: &Heap, mut ids: Vec<ObjectId>, order: ObjectOrder, progress: &Progress) -> Option<Vec<ObjectId>> {
    progress.check().ok()?;
    let (key, descending): (Key, bool) = match order {
        ObjectOrder::Address { descending } => {
            if descending {
                ids.reverse();
            }
            return Some(ids);
        }
        ObjectOrder::Size { descending } => (
            |heap, memory, id| {
                let objects = heap.objects();
                let ask = || memory.shallow_size(objects.address(id), heap.type_of(id)?.1);
                objects.shallow(id).or_else(ask).unwrap_or(0)
            },
            descending,
        ),
        ObjectOrder::RefCount { descending } => (
            |heap, memory, id| match types::refcount(memory, heap.objects().address(id)) {
                RefCount::Count(n) => n.unsigned_abs(),
                RefCount::Immortal => u64::MAX,
            },
            descending,
        ),
    };
    let mut keyed: Vec<(u64, ObjectId)> = ids
        .par_chunks(1 << 12)
        .flat_map_iter(|chunk| {
            let memory = heap.memory();
            chunk.iter().map(|id| (key(heap, &memory, *id), *id)).collect::<Vec<_>>()
        })
        .collect();
    progress.check().ok()?;
    if descending {
        keyed.par_sort_unstable_by_key(|(k, id)| (std::cmp::Reverse(*k), *id));
    } else {
        keyed.par_sort_unstable();
    }
    Some(keyed.into_iter().map(|(_, id)| id).collect())
}
