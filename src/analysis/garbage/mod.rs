//! Garbage without collecting: what only cycles keep alive, as the collector would find it, and what holds it together.
//!
//! Finding it is `find`'s business, on the collector's own lists (`lists`) and with what it is shown of each object
//! (`traverse`); `cycles` takes it apart. Free-threaded builds keep their objects otherwise and are not covered.

mod cycles;
mod find;
mod lists;
mod traverse;

use super::answers::{CycleType, Garbage, GarbageCycle, GarbageObject, GarbageType, Round, Total};
use super::describe::{DEFAULT_WIDTH, describe, edge_name};
use super::ownership;
use crate::cpython::layout::RefCountVariant;
use crate::cpython::types::Type;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use cycles::Graph;
use lists::{Place, Places};
use std::collections::HashMap;
use traverse::Rules;

/// Cycles that are described; the sums are over all.
pub const MAX_CYCLES: usize = 1000;

/// Members of a cycle that are shown one by one.
const ROUND: usize = 12;

/// Why garbage is not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GarbageError {
    /// The build keeps no lists of what it collects.
    #[error("the garbage of free-threaded builds is not worked out: their collector keeps no lists")]
    FreeThreaded,
    /// There is no list to begin with.
    #[error("the collector's lists were not found in this snapshot")]
    NoLists,
    /// It was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Finds the garbage; `objects`: lists them one by one. Time is that of following all references twice.
pub fn garbage(heap: &Heap, objects: bool, progress: &Progress) -> Result<Garbage, GarbageError> {
    if heap.interpreter().layout.variants.refcount == RefCountVariant::Split {
        return Err(GarbageError::FreeThreaded);
    }
    let places = Places::of(heap);
    if places.missing {
        return Err(GarbageError::NoLists);
    }
    let rules = Rules::of(heap);
    let members = find::unreachable(heap, &places, &rules, progress)?;
    let graph = Graph::of(heap, &rules, &members, progress)?;
    let cycles = graph.cycles();
    let owners = graph.owners(&cycles);
    let dependants = cycles::dependants(heap, &members, &owners);
    let found = Found { heap, places, members, graph, cycles, owners, finalizers: finalizers(heap) };
    Ok(found.answer(&dependants, objects))
}

struct Found<'h> {
    heap: &'h Heap,
    places: Places,
    members: Vec<ObjectId>,
    graph: Graph,
    cycles: Vec<Vec<u32>>,
    owners: Vec<Option<u32>>,
    /// For each type, whether its objects have a finalizer.
    finalizers: Vec<bool>,
}

/// What goes with one cycle.
#[derive(Clone, Default)]
struct Share {
    garbage: Total,
    dependants: Total,
    finalizers: u64,
}

impl Found<'_> {
    fn answer(&self, dependants: &[(ObjectId, Option<u32>)], objects: bool) -> Garbage {
        let mut answer = Garbage { cycles_total: self.cycles.len() as u64, ..Garbage::default() };
        answer.problems = self.problems();
        (answer.watched, answer.frozen) = self.watched();
        answer.generations = vec![Total::default(); answer.watched.len()];
        let mut types: HashMap<u32, GarbageType> = HashMap::new();
        let mut shares = vec![Share::default(); self.cycles.len()];
        for (id, owner) in self.members.iter().zip(&self.owners) {
            let Some((ty_id, ty)) = self.heap.type_of(*id) else { continue };
            let (bytes, finalizer) = (self.size(*id, ty), u64::from(self.has_finalizer(ty_id.0)));
            add(&mut answer.garbage, bytes);
            answer.finalizers += finalizer;
            if let Some(total) = answer.generations.get_mut(usize::from(self.generation(*id))) {
                add(total, bytes);
            }
            let new = || GarbageType { name: ty.name.clone(), count: 0, shallow_bytes: 0, finalizers: 0 };
            let row = types.entry(ty_id.0).or_insert_with(new);
            row.count += 1;
            row.shallow_bytes = row.shallow_bytes.saturating_add(bytes);
            row.finalizers += finalizer;
            if let Some(share) = owner.and_then(|o| shares.get_mut(o as usize)) {
                add(&mut share.garbage, bytes);
                share.finalizers += finalizer;
            }
        }
        for (id, owner) in dependants {
            let bytes = self.heap.type_of(*id).map_or(0, |(_, ty)| self.size(*id, ty));
            add(&mut answer.dependants, bytes);
            if let Some(share) = owner.and_then(|o| shares.get_mut(o as usize)) {
                add(&mut share.dependants, bytes);
            }
        }
        answer.types = types.into_values().collect();
        answer.types.sort_by(|a, b| (b.shallow_bytes, b.count, &a.name).cmp(&(a.shallow_bytes, a.count, &b.name)));
        // the biggest first, by what would be freed
        let bytes = |s: &Share| s.garbage.shallow_bytes.saturating_add(s.dependants.shallow_bytes);
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(shares.get(*i).map_or(0, bytes)));
        let described = order.iter().take(MAX_CYCLES);
        answer.cycles = described.filter_map(|i| Some(self.cycle(self.cycles.get(*i)?, shares.get(*i)?))).collect();
        if objects {
            let mut rank = vec![0; order.len()];
            order.iter().enumerate().for_each(|(place, i)| rank[*i] = place as u64);
            answer.objects = Some((0..self.members.len()).filter_map(|i| self.object(i, &rank)).collect());
        }
        answer
    }

    fn size(&self, id: ObjectId, ty: &Type) -> u64 {
        self.heap.memory().shallow_size(self.heap.objects().address(id), ty).unwrap_or(0)
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.places.broken > 0 {
            problems.push(format!(
                "{} of the collector's lists are damaged or being changed: what is on them may be missing",
                self.places.broken
            ));
        }
        if self.places.elsewhere > 0 {
            problems.push(format!(
                "{} tracked objects are on none of the collector's lists (it may be at work): they count as alive",
                self.places.elsewhere
            ));
        }
        problems
    }

    fn generation(&self, id: ObjectId) -> u8 {
        match self.places.get(id.0) {
            Place::Generation(generation, _) => generation,
            Place::None | Place::Frozen => 0,
        }
    }

    fn has_finalizer(&self, ty: u32) -> bool {
        self.finalizers.get(ty as usize).copied().unwrap_or(false)
    }

    /// What the collector watches, by generation, and what is frozen.
    fn watched(&self) -> (Vec<Total>, Total) {
        let mut generations = vec![Total::default(); 3];
        let mut frozen = Total::default();
        let memory = self.heap.memory();
        for (id, address, ty) in self.heap.objects().iter() {
            let total = match self.places.get(id.0) {
                Place::None => continue,
                Place::Frozen => &mut frozen,
                Place::Generation(n, _) => match generations.get_mut(usize::from(n)) {
                    Some(total) => total,
                    None => continue,
                },
            };
            add(total, memory.shallow_size(address, self.heap.types().get(ty)).unwrap_or(0));
        }
        (generations, frozen)
    }

    fn cycle(&self, members: &[u32], share: &Share) -> GarbageCycle {
        let ids = || members.iter().filter_map(|i| self.members.get(*i as usize));
        let mut types: HashMap<&str, u64> = HashMap::new();
        for id in ids() {
            if let Some((_, ty)) = self.heap.type_of(*id) {
                *types.entry(&ty.name).or_default() += 1;
            }
        }
        let mut types: Vec<CycleType> =
            types.into_iter().map(|(name, count)| CycleType { name: name.to_owned(), count }).collect();
        types.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        GarbageCycle {
            members: members.len() as u64,
            garbage: share.garbage,
            dependants: share.dependants,
            generation: ids().map(|id| self.generation(*id)).max().unwrap_or(0),
            finalizers: share.finalizers,
            types,
            round: self.round(members),
        }
    }

    fn round(&self, members: &[u32]) -> Vec<Round> {
        let memory = self.heap.memory();
        let way: Vec<ObjectId> =
            self.graph.round(members).iter().filter_map(|i| self.members.get(*i as usize).copied()).collect();
        let before = way.last().into_iter().chain(&way);
        let step = |(holder, id): (&ObjectId, &ObjectId)| {
            let (_, ty) = self.heap.type_of(*id)?;
            let (_, of_holder) = self.heap.type_of(*holder)?;
            let address = self.heap.objects().address(*id);
            let mut edge = None;
            ownership::visit(self.heap, &memory, self.heap.objects().address(*holder), of_holder, |name, _, to, _| {
                if to == *id && edge.is_none() {
                    edge = Some(edge_name(&memory, self.heap.types(), name));
                }
            });
            Some(Round {
                // a bounded cache holds its entries through links that are not collected
                edge: edge.unwrap_or_else(|| "cached entry".to_owned()),
                address,
                type_name: ty.name.clone(),
                summary: describe(&memory, self.heap.types(), address, ty, DEFAULT_WIDTH),
            })
        };
        before.zip(&way).take(ROUND).filter_map(step).collect()
    }

    /// `rank`: the place of each cycle in the answer.
    fn object(&self, i: usize, rank: &[u64]) -> Option<GarbageObject> {
        let id = *self.members.get(i)?;
        let (ty_id, ty) = self.heap.type_of(id)?;
        let address = self.heap.objects().address(id);
        let memory = self.heap.memory();
        Some(GarbageObject {
            address,
            type_name: ty.name.clone(),
            generation: self.generation(id),
            cycle: self.owners.get(i).copied().flatten().and_then(|o| rank.get(o as usize).copied()),
            finalizer: self.has_finalizer(ty_id.0),
            shallow_bytes: memory.shallow_size(address, ty).unwrap_or(0),
            summary: describe(&memory, self.heap.types(), address, ty, DEFAULT_WIDTH),
        })
    }
}

fn add(total: &mut Total, bytes: u64) {
    total.count += 1;
    total.shallow_bytes = total.shallow_bytes.saturating_add(bytes);
}

/// For each type, whether `tp_finalize` is set: `__del__`, or C code that does the same (generators, files, tasks).
pub(super) fn finalizers(heap: &Heap) -> Vec<bool> {
    let memory = heap.memory();
    let offset = memory.layout.structs.type_object.tp_finalize;
    let has = |ty: &Type| offset.and_then(|o| memory.reader.pointer(ty.address + o)).is_some_and(|f| !f.is_null());
    heap.types().iter().map(|(_, ty)| has(ty)).collect()
}
