//! The paths from roots to one object as a graph: steps that paths share are drawn once.
//!
//! Which paths there are is found elsewhere (`paths`); here each step's references are read again, so that an edge
//! tells all references of its kind between two objects, as in the neighbourhood.

use super::{How, MAX_NAMES, Walk};
use crate::analysis::answers::{EdgeKind, Graph, GraphEdge, GraphRoot};
use crate::analysis::describe::edge_name;
use crate::analysis::paths::paths;
use crate::cpython::EdgeName;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use std::collections::{HashMap, HashSet};

/// At most `limit` paths from roots to `centre`, the shortest first. A path through an excluded object is left out, and
/// so is one for which there is no room any more; both are counted. Time is that of finding the paths; references and
/// roots of the whole heap are built when they are first asked for.
pub fn to(heap: &Heap, centre: ObjectId, limit: u64, how: &How, progress: &Progress) -> Result<Graph, Cancelled> {
    let found = paths(heap, centre, limit, progress)?.paths;
    let mut walk = Walk { heap, how, progress, nodes: HashMap::new(), edges: HashMap::new(), graph: Graph::default() };
    let address = heap.objects().address(centre);
    walk.graph.centre = address;
    walk.add(address);
    let (mut drawn, mut left_out) = (HashSet::new(), 0);
    for path in &found {
        let fresh: HashSet<Addr> = path.iter().map(|s| s.address).filter(|a| !walk.nodes.contains_key(a)).collect();
        let excluded = path.iter().any(|s| s.address != address && how.exclude.has(heap, s.address));
        if excluded || walk.nodes.len() + fresh.len() > how.objects {
            left_out += 1;
            continue;
        }
        progress.check()?;
        path.iter().for_each(|step| walk.add(step.address));
        if let Some(first) = path.first() {
            let root = GraphRoot { name: first.edge.clone(), address: first.address };
            if !walk.graph.roots.contains(&root) {
                walk.graph.roots.push(root);
            }
        }
        for (holder, held) in path.iter().zip(path.iter().skip(1)) {
            if drawn.insert((holder.address, held.address, held.kind)) {
                let (names, count) = references(heap, holder.address, held.address, held.kind);
                let names = if names.is_empty() { vec![held.edge.clone()] } else { names };
                let edge =
                    GraphEdge { from: holder.address, to: held.address, names, count: count.max(1), kind: held.kind };
                walk.graph.edges.push(edge);
            }
        }
    }
    walk.graph.paths_left_out = (left_out > 0).then_some(left_out);
    Ok(walk.graph)
}

/// The first names of the references of one kind from an object to another, and how many there are.
fn references(heap: &Heap, holder: Addr, held: Addr, kind: EdgeKind) -> (Vec<String>, u64) {
    let (mut names, mut count) = (Vec::new(), 0);
    let (Some((_, ty)), Some(held)) = (heap.object_at(holder), heap.objects().object_at(held)) else {
        return (names, count);
    };
    let memory = heap.memory();
    let mut each = |name: EdgeName<'_>, of: EdgeKind, target: Addr| {
        if of == kind && heap.objects().object_at(target) == Some(held) {
            count += 1;
            if names.len() < MAX_NAMES {
                names.push(edge_name(&memory, heap.types(), name));
            }
        }
    };
    memory.visit_edges(holder, ty, heap.types(), &mut each);
    (names, count)
}
