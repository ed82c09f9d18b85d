//! Containers far above their like: the same attribute of other objects of the class holds much less.

use super::{Because, Found, MAX_OF_A_SORT};
use crate::analysis::types::select;
use crate::cpython::{EdgeKind, EdgeName, Kind};
use crate::heap::ObjectId;
use crate::progress::Cancelled;
use crate::snapshot::Addr;
use crate::text::{count, size};
use rayon::prelude::*;
use std::cmp::Reverse;

/// The biggest containers, of which each is compared with its like.
const CANDIDATES: usize = 64;

/// Other objects of the class that are looked at.
const MAX_PEERS: usize = 1000;

/// With fewer there is nothing to compare with.
const FEWEST_PEERS: usize = 3;

/// So many times the median of the others is far above.
const FAR: u64 = 20;

/// What is smaller is not looked at, in bytes.
const SMALL: u64 = 16 << 10;

pub(super) fn find(found: &mut Found<'_>) -> Result<(), Cancelled> {
    let heap = found.heap;
    let memory = heap.memory();
    let types: Vec<_> = heap
        .types()
        .iter()
        .filter(|(_, ty)| {
            let kind = heap.types().kind(ty, memory.layout);
            matches!(kind, Kind::List | Kind::Dict | Kind::Set | Kind::Deque | Kind::DefaultDict | Kind::OrderedDict)
        })
        .map(|(id, _)| id)
        .collect();
    let sized = |id: &ObjectId| {
        let memory = heap.memory();
        let (_, ty) = heap.type_of(*id)?;
        let bytes = memory.shallow_size(heap.objects().address(*id), ty)?;
        (bytes >= SMALL).then_some((bytes, *id))
    };
    let mut big: Vec<(u64, ObjectId)> = select(heap, Some(&types)).par_iter().filter_map(sized).collect();
    found.progress.check()?;
    big.sort_unstable_by_key(|(bytes, id)| (Reverse(*bytes), *id));
    big.truncate(CANDIDATES);
    let before = found.suspects.len();
    for (bytes, id) in big {
        found.progress.check()?;
        if found.suspects.len() - before >= MAX_OF_A_SORT {
            break;
        }
        let Some((holder, attribute)) = holder(found, id) else { continue };
        let Some((others, median)) = peers(found, holder, &attribute, id) else { continue };
        if bytes / FAR >= median.max(64) {
            let because = Because { kind: "container", retained: found.retained(id), accumulates: None };
            let others = count(others as u64);
            found.add(id, because, |name| {
                format!(
                    "{name} takes {}, where those of {others} others of its class take {} in the middle",
                    size(bytes),
                    size(median)
                )
            })?;
        }
    }
    Ok(())
}

/// The object that has a container as an attribute, and the attribute's name.
fn holder(found: &Found<'_>, id: ObjectId) -> Option<(ObjectId, String)> {
    let heap = found.heap;
    let strong = |id: ObjectId| {
        found.search.edges.referrers_by_kind(id).filter(|(_, kind)| *kind == EdgeKind::Strong).map(|(h, _)| h)
    };
    let mut holders = strong(id);
    let holder = holders.next().filter(|_| holders.next().is_none())?;
    let (_, class) = heap.type_of(holder)?;
    match heap.types().kind(class, heap.memory().layout) {
        // an instance's dict: its owner, and the key
        Kind::Dict => {}
        // a cache is told as one
        Kind::LruCache => return None,
        _ => return attribute(found, holder, id).map(|name| (holder, name)),
    }
    let owner = strong(holder).next()?;
    attribute(found, owner, id).map(|name| (owner, name))
}

/// The attribute of an object that is another one, by its name; in its dict or not.
fn attribute(found: &Found<'_>, holder: ObjectId, held: ObjectId) -> Option<String> {
    let target = found.heap.objects().address(held);
    let mut name = None;
    attributes(found, holder, &mut |key, value| {
        if value == target && name.is_none() {
            name = Some(key.to_owned());
        }
    });
    name
}

fn attributes(found: &Found<'_>, id: ObjectId, each: &mut impl FnMut(&str, Addr)) {
    const MAX_NAME: usize = 100;
    let heap = found.heap;
    let memory = heap.memory();
    let Some((_, ty)) = heap.type_of(id) else { return };
    let mut dict = None;
    let mut one = |name: EdgeName<'_>, _: EdgeKind, target: Addr| match name {
        EdgeName::Attribute(key) => {
            if let Some((text, _)) = memory.text(key, MAX_NAME) {
                each(&text, target);
            }
        }
        EdgeName::Field(name) => each(name, target),
        EdgeName::Dict => dict = Some(target),
        _ => {}
    };
    memory.visit_edges(heap.objects().address(id), ty, heap.types(), &mut one);
    if let Some(dict) = dict {
        // what cannot be read ends the dict
        let _ = memory.dict_entries(dict, |_, key, value| {
            if let Some((text, _)) = memory.text(key, MAX_NAME) {
                each(&text, value);
            }
            true
        });
    }
}

/// How many other objects of the class have the attribute, and the median of its size.
fn peers(found: &Found<'_>, holder: ObjectId, attribute: &str, but: ObjectId) -> Option<(usize, u64)> {
    let heap = found.heap;
    let memory = heap.memory();
    let (class, ty) = heap.type_of(holder)?;
    if !ty.is_heap_type() || heap.tally().get(class).0 <= FEWEST_PEERS as u64 {
        return None;
    }
    let mut sizes = Vec::new();
    for peer in select(heap, Some(&[class])).into_iter().filter(|p| *p != holder).take(MAX_PEERS) {
        attributes(found, peer, &mut |name, value| {
            let value = heap.object_at(value).filter(|(id, _)| name == attribute && *id != but);
            sizes.extend(value.and_then(|(id, ty)| memory.shallow_size(heap.objects().address(id), ty)));
        });
    }
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied()?;
    (sizes.len() >= FEWEST_PEERS).then_some((sizes.len(), median))
}
