//! Accumulation points: where below a big dominator its size comes together from many.

use super::{Because, Found, MAX_OF_A_SORT, objects};
use crate::analysis::answers::Accumulated;
use crate::analysis::retained::children_by_type;
use crate::heap::ObjectId;
use crate::heap::dominators::Node;
use crate::progress::Cancelled;
use crate::text::size;

/// A child with so much of its parent's size is where the size comes from (in per cent).
const PASSED_ON: u64 = 80;

/// Fewer than this are no crowd.
const CROWD: u64 = 16;

pub(super) fn find(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let heaviest = found.tree.heaviest();
    let (top, _) = found.tree.top(0, MAX_OF_A_SORT as u64 * 2);
    for node in top {
        if !found.is_big(found.tree.retained(node)) {
            break;
        }
        // down the heaviest child, as long as that is most of it; the tree has no cycles, so this ends
        let mut at = node;
        while let Some(child) = heaviest.child(found.tree, at)
            && found.tree.retained(child) >= found.tree.retained(at) / 100 * PASSED_ON
        {
            at = child;
        }
        let Node::Object(id) = at else { continue };
        found.progress.check()?;
        // what a module defines is no leak
        if found.search.is_namespace(id) {
            continue;
        }
        point(found, id)?;
        if found.suspects.len() >= MAX_OF_A_SORT {
            break;
        }
    }
    Ok(())
}

fn point(found: &mut Found<'_>, id: ObjectId) -> Result<(), Cancelled> {
    let retained = found.retained(id);
    let crowd = children_by_type(found.heap, found.tree, Node::Object(id)).into_iter().next();
    let Some((type_name, n, bytes)) = crowd.filter(|(_, n, _)| *n >= CROWD) else {
        return single(found, id, retained);
    };
    let share = found.share(retained.0);
    let accumulates = Some(Accumulated { type_name: type_name.clone(), count: n, retained_bytes: bytes });
    let because = Because { kind: "accumulation", retained, accumulates };
    found.add(id, because, |name| format!("{name} keeps {} alive: {share}", objects(n, &type_name)))
}

/// One big object that gathers nothing: a text, an array.
fn single(found: &mut Found<'_>, id: ObjectId, retained: (u64, u64)) -> Result<(), Cancelled> {
    let memory = found.heap.memory();
    let address = found.heap.objects().address(id);
    let Some((_, ty)) = found.heap.type_of(id) else { return Ok(()) };
    let own = crate::heap::dominators::own_size(&memory, found.heap.types(), address, ty, None);
    let (share, type_name) = (found.share(retained.0), ty.name.clone());
    let of_its_own = own >= retained.0 / 100 * PASSED_ON;
    let because = Because { kind: "accumulation", retained, accumulates: None };
    found.add(id, because, |name| match of_its_own {
        true => format!("{name} is one {type_name} of {}: {share}", size(own)),
        false => format!("{name} keeps {share} alive"),
    })
}
