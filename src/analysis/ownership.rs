//! Which references are counted: those of `visit_edges`, with what only a count can tell apart.
//!
//! A frame object shows the variables of a frame that a thread or a generator owns; the dict of an instance shows
//! values that lie in the instance. Each such reference is counted once, at its owner. What is shown to a person, and
//! what a path follows, does not need this.

use crate::cpython::layout::{DecoderName, FrameVariant};
use crate::cpython::types::{Attributes, Type, flags};
use crate::cpython::{EdgeKind, EdgeName, Memory};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;

/// What a reference means for its target's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Counted.
    Counted,
    /// Followed and not counted: borrowed from somebody who owns it.
    Borrowed,
    /// A word that may be a counted reference.
    Guessed,
}

/// A frame object that owns its frame (`FRAME_OWNED_BY_FRAME_OBJECT`, 3.11 to 3.15).
const OWNED_BY_FRAME_OBJECT: u8 = 2;

/// Calls `visit` for each reference of an object that may be counted. Time is that of `visit_edges`.
pub fn visit(
    heap: &Heap,
    memory: &Memory<'_>,
    address: Addr,
    ty: &Type,
    mut visit: impl FnMut(EdgeName<'_>, Role, ObjectId, Addr),
) {
    let index = heap.objects();
    let shows_only = shows_what_others_own(memory, address, ty);
    // what `type` has for `__dict__` is `tp_dict`, which is shown as that of a class already
    let mut dicts = 0;
    let frames = matches!(ty.decoder, DecoderName::Generator | DecoderName::Frame);
    memory.visit_edges(address, ty, heap.types(), &mut |name: EdgeName<'_>, kind, target| {
        let own = match ty.decoder {
            DecoderName::Frame => {
                matches!(name, EdgeName::Field("f_back" | "f_trace" | "f_extra_locals" | "f_locals_cache"))
            }
            DecoderName::Dict => !matches!(name, EdgeName::Value(_)),
            _ => true,
        };
        if ty.is_metatype() && matches!(name, EdgeName::Dict) {
            dicts += 1;
        }
        if matches!(name, EdgeName::Field("__base__")) && borrows_base(heap, memory, address, target) {
            return;
        }
        if (shows_only && !own) || dicts > 1 && matches!(name, EdgeName::Dict) {
            return;
        }
        let role = match kind {
            EdgeKind::Strong => Role::Counted,
            EdgeKind::Guessed => Role::Guessed,
            EdgeKind::Weak if frames && !matches!(name, EdgeName::Field("f_gen")) => Role::Borrowed,
            EdgeKind::Weak => return,
        };
        if let Some(id) = index.object_at(target) {
            visit(name, role, id, target);
        }
    });
    // the values in an instance are its own, also when a dict shows them
    if let Some(values) = embedded_values(heap, memory, address, ty)
        && let Some(keys) = memory.keys_at(ty.cached_keys)
    {
        memory.entries(&keys, values, &mut |_, key, value| {
            if let Some(id) = index.object_at(value) {
                visit(EdgeName::Attribute(key), Role::Counted, id, value);
            }
            true
        });
    }
}

/// Whether an object shows references that are another's: a frame object whose frame runs or is a generator's, a dict
/// whose values lie in its instance (`embedded`, from 3.13).
fn shows_what_others_own(memory: &Memory<'_>, address: Addr, ty: &Type) -> bool {
    let s = &memory.layout.structs;
    let shows = || match ty.decoder {
        DecoderName::Frame if memory.layout.variants.frame == FrameVariant::Embedded => {
            let frame = memory.reader.pointer(address + s.frame_object.f_frame?)?;
            Some(memory.reader.u8(frame + s.frame.owner)? != OWNED_BY_FRAME_OBJECT)
        }
        DecoderName::Dict => {
            let values = memory.reader.pointer(address + s.dict.ma_values)?;
            Some(!values.is_null() && memory.reader.u8(values + s.values.embedded?)? != 0)
        }
        _ => None,
    };
    shows().unwrap_or(false)
}

/// Whether a static type's `tp_base` is not counted: a compiler set it, or `PyType_Ready` did without counting (from 3.10
/// on; before it counted `object`, which it sets where a type names no base).
fn borrows_base(heap: &Heap, memory: &Memory<'_>, address: Addr, base: Addr) -> bool {
    let own = memory.reader.u64(address + memory.layout.structs.type_object.tp_flags);
    if own.is_none_or(|f| f & flags::HEAPTYPE != 0) {
        return false;
    }
    let is_object = heap.types().id_of(base).is_some_and(|id| heap.types().get(id).base.is_none());
    !(is_object && matches!(memory.layout.version.as_str(), "3.8" | "3.9"))
}

/// The values in an instance, when its dict shows them.
pub(super) fn embedded_values(heap: &Heap, memory: &Memory<'_>, address: Addr, ty: &Type) -> Option<Addr> {
    use crate::cpython::edges::AttributeStore;
    let s = &memory.layout.structs;
    let embedded = s.values.embedded?;
    let Attributes::Managed { inline_at: Some(offset) } = ty.attributes else { return None };
    let AttributeStore::Dict(dict) = memory.attributes_of(address, ty)? else { return None };
    let values = memory.reader.pointer(dict + s.dict.ma_values)?;
    let own = values == address + offset && memory.reader.u8(values + embedded)? != 0;
    (own && heap.objects().object_at(dict).is_some()).then_some(values)
}

/// Calls `visit` for each link of a bounded cache's list, newest or oldest first (`Modules/_functoolsmodule.c`). The list
/// owns a reference to each, beside that of the cache's dict.
pub fn cache_links(heap: &Heap, memory: &Memory<'_>, cache: Addr, mut visit: impl FnMut(ObjectId, Addr)) {
    let (s, reader) = (&memory.layout.structs, &memory.reader);
    let Some(next) = s.lru_elem.next else { return };
    // the list's head is an element in the cache object
    let root = cache + s.lru_cache.root_next - next;
    let mut at = reader.pointer(root + next);
    for _ in 0..heap.objects().len() {
        let Some(link) = at.filter(|link| *link != root) else { return };
        let Some(id) = heap.objects().object_at(link) else { return };
        visit(id, link);
        at = reader.pointer(link + next);
    }
}
