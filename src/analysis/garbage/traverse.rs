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
    /// An instance of 3.13.0 does not show a dict that shows its own values, one of 3.13.5 does; releases between count as
    /// the former, so that no garbage is invented.
    hides_dict: bool,
}

impl Rules {
    pub(super) fn of(heap: &Heap) -> Rules {
        let old = heap.interpreter().layout.structs.runtime.gc.is_some();
        // frozen code makes it before anything else: a class without a base of C
        let class = || heap.types().iter().find(|(_, ty)| ty.name == "_frozen_importlib.ModuleSpec");
        let subtype_traverse = if old { class().and_then(|(_, ty)| traverse_of(&heap.memory(), ty)) } else { None };
        let patch = heap.interpreter().version.text.strip_prefix("3.13.").and_then(|p| p.parse::<u32>().ok());
        let hides_dict = patch.is_some_and(|p| p < 5);
        Rules { subtype_traverse, hides_dict }
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
                EdgeName::Dict if self.hides_dict => ownership::embedded_values(heap, memory, address, ty).is_none(),
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
        // a bounded cache shows the keys and results of its links, which are not collected themselves
        if ty.decoder == DecoderName::LruCache {
            let elem = &memory.layout.structs.lru_elem;
            ownership::cache_links(heap, memory, address, |_, link| {
                for offset in [elem.key, elem.result] {
                    let target = memory.reader.pointer(link + offset);
                    target.and_then(|t| heap.objects().object_at(t)).into_iter().for_each(|id| see(id, Role::Counted));
                }
            });
        }
    }

    fn shows_class(&self, memory: &Memory<'_>, ty: &Type) -> bool {
        self.subtype_traverse.is_none_or(|of_classes| traverse_of(memory, ty) == Some(of_classes))
    }
}

fn traverse_of(memory: &Memory<'_>, ty: &Type) -> Option<Addr> {
    memory.reader.pointer(ty.address + memory.layout.structs.type_object.tp_traverse?)
}
