//! What the collector sees of an object: the references that its type's `tp_traverse` visits.
//!
//! An object owns more than it shows the collector. What is not shown must not be subtracted from a count, else living
//! objects would pass for garbage. The rules are those of CPython 3.8 to 3.15 (`subtype_traverse` and `type_traverse` in
//! `Objects/typeobject.c`, `gen_traverse` in `Objects/genobject.c`, `lru_cache_tp_traverse` in
//! `Modules/_functoolsmodule.c`); of types that are not known, only words are guessed, and those count as held.

use crate::analysis::ownership::{self, Role};
use crate::cpython::layout::DecoderName;
use crate::cpython::types::Type;
use crate::cpython::{EdgeName, Memory};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;

/// The rules of a version.
pub(super) struct Rules {
    /// Up to 3.8 instances of C's heap types do not show their type: `tp_traverse` of classes, which do.
    subtype_traverse: Option<Addr>,
}

/// A cache holds no more entries than memory holds words.
const MAX_LINKS: u64 = 1 << 32;

impl Rules {
    pub(super) fn of(heap: &Heap) -> Rules {
        let old = heap.interpreter().layout.structs.runtime.gc.is_some();
        // frozen code makes it before anything else: a class without a base of C
        let class = || heap.types().iter().find(|(_, ty)| ty.name == "_frozen_importlib.ModuleSpec");
        let subtype_traverse = if old { class().and_then(|(_, ty)| traverse_of(&heap.memory(), ty)) } else { None };
        Rules { subtype_traverse }
    }

    /// Calls `see` for each reference to an object that the collector is shown.
    pub(super) fn visit(
        &self,
        heap: &Heap,
        memory: &Memory<'_>,
        address: Addr,
        ty: &Type,
        mut see: impl FnMut(ObjectId, Role),
    ) {
        ownership::visit(heap, memory, address, ty, |name, role, target, _| {
            let shown = match name {
                EdgeName::Class => self.shows_class(memory, ty),
                EdgeName::Key if ty.is_metatype() => false,
                EdgeName::Field(field) if ty.is_metatype() => {
                    !matches!(field, "tp_subclasses" | "__name__" | "__qualname__" | "__slots__")
                }
                EdgeName::Field("cr_origin" | "cr_origin_or_finalizer") => false,
                _ => true,
            };
            if shown {
                see(target, role);
            }
        });
        if ty.decoder == DecoderName::LruCache {
            let _ = links(heap, memory, address, &mut see);
        }
    }

    fn shows_class(&self, memory: &Memory<'_>, ty: &Type) -> bool {
        self.subtype_traverse.is_none_or(|of_classes| traverse_of(memory, ty) == Some(of_classes))
    }
}

fn traverse_of(memory: &Memory<'_>, ty: &Type) -> Option<Addr> {
    memory.reader.pointer(ty.address + memory.layout.structs.type_object.tp_traverse?)
}

/// A bounded cache shows the keys and results of its links, which are not collected themselves.
fn links(heap: &Heap, memory: &Memory<'_>, cache: Addr, see: &mut impl FnMut(ObjectId, Role)) -> Option<()> {
    let s = &memory.layout.structs;
    let (elem, reader) = (&s.lru_elem, &memory.reader);
    // the list's head is an element in the cache object
    let root = cache + s.lru_cache.root_next - elem.next?;
    let mut link = reader.pointer(cache + s.lru_cache.root_next)?;
    for _ in 0..MAX_LINKS.min(reader.words()) {
        if link == root || link.is_null() || heap.objects().object_at(link).is_none() {
            break;
        }
        for offset in [elem.key, elem.result] {
            if let Some(id) = reader.pointer(link + offset).and_then(|t| heap.objects().object_at(t)) {
                see(id, Role::Counted);
            }
        }
        link = reader.pointer(link + elem.next?)?;
    }
    Some(())
}
