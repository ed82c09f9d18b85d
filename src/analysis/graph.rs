//! The objects around one object: what it holds and what holds it, a few references deep; or the paths to it
//! (`paths`).
//!
//! The two directions are not mixed: a holder's other referents are not shown, which would be half the heap. Types and
//! modules are drawn and not unfolded, unless one is the object asked for; nearly everything hangs together by them.
//! How a graph is drawn is not known here.

mod paths;

pub use paths::to;

use super::answers::{Direction, EdgeKind, EdgeRow, GRAPH_BOUNDS, Graph, GraphEdge, GraphFold, GraphNode};
use super::describe::describe;
use super::{links, types};
use crate::cpython::layout::DecoderName;
use crate::cpython::types::TypeId;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use std::collections::{HashMap, HashSet, VecDeque};

/// References of one object that are looked at; those beyond are counted only.
const MAX_LOOKED_AT: u64 = 4096;
/// References that are asked for first; most objects have no more.
const FIRST: u64 = 256;
/// Names told of the references between two objects.
const MAX_NAMES: usize = 3;
/// Columns of an object's line.
const WIDTH: usize = 48;

/// What belongs into the graph.
#[derive(Debug, Clone)]
pub struct How {
    /// References to follow each way.
    pub depth: u32,
    /// Objects shown of one object's referents, and of its referrers.
    pub breadth: usize,
    /// Objects in all.
    pub objects: usize,
    /// Directions to follow.
    pub directions: Vec<Direction>,
    /// Objects to leave out.
    pub exclude: Picked,
    /// Objects to mark.
    pub highlight: Picked,
    /// Whether references to an object's class and to keys that are strings are shown, which repeat what is told
    /// anyway: the type of the object, the name of the value's edge.
    pub all_edges: bool,
}

impl Default for How {
    fn default() -> How {
        How {
            depth: GRAPH_BOUNDS.depth,
            breadth: GRAPH_BOUNDS.breadth as usize,
            objects: GRAPH_BOUNDS.objects as usize,
            directions: vec![Direction::Referrers, Direction::Referents],
            exclude: Picked::default(),
            highlight: Picked::default(),
            all_edges: false,
        }
    }
}

/// Objects picked by their type or address.
#[derive(Debug, Clone, Default)]
pub struct Picked {
    types: HashSet<TypeId>,
    addresses: HashSet<Addr>,
}

impl Picked {
    /// From names of types and addresses of types or objects. `Err`: the word that names neither.
    pub fn new(heap: &Heap, words: &[String]) -> Result<Picked, String> {
        let mut picked = Picked::default();
        for word in words {
            let found = types::find_types(heap, word, false);
            match Addr::parse(word).filter(|a| heap.objects().object_at(*a).is_some()) {
                _ if !found.is_empty() => picked.types.extend(found),
                Some(address) => drop(picked.addresses.insert(address)),
                None => return Err(word.clone()),
            }
        }
        Ok(picked)
    }

    fn has(&self, heap: &Heap, address: Addr) -> bool {
        let of_type = || heap.object_at(address).and_then(|(id, _)| heap.type_of(id)).map(|(ty, _)| ty);
        self.addresses.contains(&address)
            || (!self.types.is_empty() && of_type().is_some_and(|ty| self.types.contains(&ty)))
    }
}

/// The objects around `centre`. Time is that of the references of the objects shown; holders need the edges of the
/// whole heap, which are built when they are first asked for.
pub fn around(heap: &Heap, centre: ObjectId, how: &How, progress: &Progress) -> Result<Graph, Cancelled> {
    let address = heap.objects().address(centre);
    let mut walk = Walk { heap, how, progress, nodes: HashMap::new(), edges: HashMap::new(), graph: Graph::default() };
    walk.graph.centre = address;
    walk.add(address);
    let mut waiting: VecDeque<(Addr, Direction, u32)> =
        how.directions.iter().map(|direction| (address, *direction, 0)).collect();
    let mut seen: HashSet<(Addr, Direction)> = waiting.iter().map(|(a, d, _)| (*a, *d)).collect();
    while let Some((from, direction, depth)) = waiting.pop_front() {
        if depth >= how.depth || (depth > 0 && is_hub(heap, from)) {
            continue;
        }
        for next in walk.unfold(from, direction)? {
            if seen.insert((next, direction)) {
                waiting.push_back((next, direction, depth + 1));
            }
        }
    }
    Ok(walk.graph)
}

fn is_hub(heap: &Heap, address: Addr) -> bool {
    heap.object_at(address).is_some_and(|(_, ty)| ty.is_metatype() || ty.decoder == DecoderName::Module)
}

struct Walk<'h> {
    heap: &'h Heap,
    how: &'h How,
    progress: &'h Progress,
    /// Where each object stands among the graph's nodes.
    nodes: HashMap<Addr, usize>,
    /// Where the references between two objects stand among its edges.
    edges: HashMap<(Addr, Addr, EdgeKind), Known>,
    graph: Graph,
}

/// The references from one object to another, by the end from which they were found: those of both ends are the same.
struct Known {
    at: usize,
    found_from: Direction,
}

impl Walk<'_> {
    fn has_room(&self) -> bool {
        self.graph.nodes.len() < self.how.objects
    }

    fn add(&mut self, address: Addr) {
        let Some((_, ty)) = self.heap.object_at(address) else { return };
        if self.nodes.contains_key(&address) {
            return;
        }
        let memory = self.heap.memory();
        self.nodes.insert(address, self.graph.nodes.len());
        self.graph.nodes.push(GraphNode {
            address,
            type_name: ty.name.clone(),
            summary: describe(&memory, self.heap.types(), address, ty, WIDTH),
            shallow_bytes: memory.shallow_size(address, ty).unwrap_or(0),
            highlighted: self.how.highlight.has(self.heap, address),
        });
    }

    /// Adds what one object holds, or what holds it; the objects that were shown.
    fn unfold(&mut self, address: Addr, direction: Direction) -> Result<Vec<Addr>, Cancelled> {
        let Some(id) = self.heap.objects().object_at(address) else { return Ok(Vec::new()) };
        let (mut shown, mut done, mut total) = (Vec::new(), 0, u64::MAX);
        let mut not_shown = 0;
        while done < total.min(MAX_LOOKED_AT) {
            // each time the whole object is read, so not many times
            let asked = if done == 0 { FIRST } else { MAX_LOOKED_AT - done };
            let window = links::edges(self.heap, id, direction, done, asked, self.progress)?;
            total = window.total;
            done += asked;
            for row in window.edges {
                if self.is_left_out(&row, direction, address) {
                    continue;
                }
                let known = self.nodes.contains_key(&row.address);
                if !shown.contains(&row.address) {
                    if shown.len() >= self.how.breadth || !(known || self.has_room()) {
                        not_shown += 1;
                        continue;
                    }
                    shown.push(row.address);
                }
                self.add(row.address);
                self.connect(address, row, direction);
            }
        }
        let more = not_shown + total.saturating_sub(done);
        if more > 0 {
            self.graph.folded.push(GraphFold { address, direction, count: more });
        }
        Ok(shown)
    }

    fn is_left_out(&self, row: &EdgeRow, direction: Direction, address: Addr) -> bool {
        let type_of = |a| self.heap.object_at(a).map(|(_, ty)| ty.name.as_str());
        let told_anyway = || match (row.edge.as_str(), direction) {
            // who is asked for by its address is asked for with these too
            (".__class__" | "key", Direction::Referrers) if address == self.graph.centre => false,
            (".__class__", _) => true,
            ("key", Direction::Referents) => row.type_name == "str",
            ("key", Direction::Referrers) => type_of(address) == Some("str"),
            _ => false,
        };
        (!self.how.all_edges && told_anyway()) || self.how.exclude.has(self.heap, row.address)
    }

    fn connect(&mut self, address: Addr, row: EdgeRow, direction: Direction) {
        let (from, to) = match direction {
            Direction::Referents => (address, row.address),
            Direction::Referrers => (row.address, address),
        };
        match self.edges.get(&(from, to, row.kind)) {
            Some(known) if known.found_from != direction => {}
            Some(known) => {
                let Some(edge) = self.graph.edges.get_mut(known.at) else { return };
                edge.count += 1;
                if edge.names.len() < MAX_NAMES {
                    edge.names.push(row.edge);
                }
            }
            None => {
                let at = self.graph.edges.len();
                self.edges.insert((from, to, row.kind), Known { at, found_from: direction });
                self.graph.edges.push(GraphEdge { from, to, names: vec![row.edge], count: 1, kind: row.kind });
            }
        }
    }
}
