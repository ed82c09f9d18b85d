//! Which strs and bytes are names or code, not payload.
//!
//! Names of types, dunder names and modules' names stay in every case: types could not be told apart without them, nor
//! read. What code objects hold beside their constants is the program, not its data; its bytes stay, and its names when
//! that was asked for. Which bytes of memory follow from it is not known here.

use super::Identifiers;
use crate::cpython::layout::SizeRule;
use crate::cpython::types::Type;
use crate::cpython::{AttributeStore, EdgeKind, EdgeName};
use crate::heap::Heap;
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;
use std::collections::HashSet;
use std::ops::Range;

/// The objects whose text stays.
pub(super) struct Names(HashSet<Addr>);

/// A dunder name is no longer.
const LONGEST: u64 = 64;

/// Under these names the type of a struct sequence says how long its objects are (Objects/structseq.c).
const COUNTS: [&str; 3] = ["n_sequence_fields", "n_fields", "n_unnamed_fields"];

impl Names {
    pub(super) fn find(heap: &Heap, identifiers: Identifiers, progress: &Progress) -> Result<Names, Cancelled> {
        let windows = 0..heap.objects().window_count();
        let found: Vec<Vec<Addr>> = windows
            .into_par_iter()
            .map(|window| {
                progress.check()?;
                let mut one = One { heap, memory: heap.memory(), identifiers, found: Vec::new() };
                for (_, addr, ty) in heap.objects().window(window) {
                    let _ = one.object(addr, heap.types().get(ty));
                }
                Ok(one.found)
            })
            .collect::<Result<_, Cancelled>>()?;
        Ok(Names(found.into_iter().flatten().collect()))
    }

    pub(super) fn kept(&self) -> &HashSet<Addr> {
        &self.0
    }

    /// Types' names that are C strings, wherever they lie.
    pub(super) fn texts(&self, heap: &Heap) -> Vec<Range<u64>> {
        let memory = heap.memory();
        let name = |ty: &Type| {
            let at = memory.reader.pointer(ty.address + memory.layout.structs.type_object.tp_name)?;
            let text = memory.reader.c_string(at, 4096)?;
            Some(at.0..at.0 + text.len() as u64 + 1)
        };
        heap.types().iter().filter_map(|(_, ty)| name(ty)).collect()
    }
}

struct One<'h> {
    heap: &'h Heap,
    memory: crate::cpython::Memory<'h>,
    identifiers: Identifiers,
    found: Vec<Addr>,
}

impl One<'_> {
    fn object(&mut self, addr: Addr, ty: &Type) -> Option<()> {
        let identifiers = self.identifiers == Identifiers::Kept;
        match ty.size_rule {
            SizeRule::Str => {
                let text = self.memory.str_at(addr)?;
                let counts = || COUNTS.iter().any(|name| self.memory.str_is(addr, name));
                let is_dunder = || Some(self.memory.text(addr, LONGEST as usize)?.0.is_dunder());
                if text.len <= LONGEST && text.len > 4 && (is_dunder()? || counts()) {
                    self.found.push(addr);
                }
            }
            SizeRule::Type | SizeRule::TypeCtypes => {
                self.edges(addr, ty, |name, _| is_own_name(&name));
                if identifiers {
                    self.keys_of_dicts(addr, ty);
                }
            }
            SizeRule::Code => {
                self.edges(addr, ty, |_, target| target.decoder_is_bytes() || identifiers && target.is_str());
                if identifiers {
                    self.tuples_of_names(addr, ty);
                }
            }
            SizeRule::Dict => self.dict(addr),
            // up to 3.10, functions alone know their qualified names
            _ if identifiers && ty.name == "function" => self.edges(addr, ty, |name, _| is_own_name(&name)),
            _ => {}
        }
        if identifiers && let Some(AttributeStore::Dict(dict)) = self.memory.attributes_of(addr, ty) {
            self.keys(dict);
        }
        Some(())
    }

    /// Targets of direct references that `wanted` takes.
    fn edges(&mut self, addr: Addr, ty: &Type, wanted: impl Fn(EdgeName<'_>, &Target) -> bool) {
        let Self { heap, memory, found, .. } = self;
        memory.visit_edges(addr, ty, heap.types(), &mut |name: EdgeName<'_>, _: EdgeKind, target: Addr| {
            if let Some((_, ty)) = heap.object_at(target)
                && wanted(name, &Target(ty))
            {
                found.push(target);
            }
        });
    }

    /// `co_names` and its like, not `co_consts`.
    fn tuples_of_names(&mut self, addr: Addr, ty: &Type) {
        let mut tuples = Vec::new();
        let heap = self.heap;
        self.memory.visit_edges(addr, ty, heap.types(), &mut |name: EdgeName<'_>, _: EdgeKind, target: Addr| {
            if matches!(name, EdgeName::Field(n) if n.ends_with("names") || n.ends_with("vars")) {
                tuples.push(target);
            }
        });
        for tuple in tuples {
            if let Some((_, ty)) = heap.object_at(tuple) {
                self.edges(tuple, ty, |_, target| target.is_str());
            }
        }
    }

    /// A type's attributes, in every interpreter.
    fn keys_of_dicts(&mut self, addr: Addr, ty: &Type) {
        let mut dicts = Vec::new();
        self.memory.visit_edges(addr, ty, self.heap.types(), &mut |name: EdgeName<'_>, _: EdgeKind, target: Addr| {
            if matches!(name, EdgeName::Dict | EdgeName::Field("__dict__") | EdgeName::InInterpreter("__dict__", _)) {
                dicts.push(target);
            }
        });
        dicts.into_iter().for_each(|dict| self.keys(dict));
        // the names that instances share
        if let Some(keys) = self.heap.types().id_of(addr).map(|id| self.heap.types().get(id).cached_keys)
            && let Some(keys) = self.memory.keys_at(keys)
        {
            let names = (0..keys.count).filter_map(|i| self.memory.reader.pointer(keys.key_at(i)));
            self.found.extend(names.filter(|n| !n.is_null()));
        }
    }

    fn keys(&mut self, dict: Addr) {
        let Self { memory, found, .. } = self;
        let _ = memory.dict_entries(dict, |_, key, _| {
            found.push(key);
            true
        });
    }

    /// In any dict: the text under `__module__` and its like, and the names of modules.
    fn dict(&mut self, dict: Addr) {
        let Self { heap, memory, found, .. } = self;
        let _ = memory.dict_entries(dict, |_, key, value| {
            let Some((_, ty)) = heap.object_at(value) else { return true };
            let names_something = || ["__module__", "__name__", "__qualname__"].iter().any(|n| memory.str_is(key, n));
            if ty.name == "module" {
                found.push(key);
            } else if ty.size_rule == SizeRule::Str && names_something() {
                found.push(value);
            }
            true
        });
    }
}

/// Whether a reference leads to the name of what it comes from.
fn is_own_name(name: &EdgeName<'_>) -> bool {
    matches!(name, EdgeName::Field("__name__" | "__qualname__"))
}

/// The type of what a reference leads to.
struct Target<'t>(&'t Type);

impl Target<'_> {
    fn is_str(&self) -> bool {
        self.0.size_rule == SizeRule::Str
    }

    fn decoder_is_bytes(&self) -> bool {
        self.0.has(super::BYTES_SUBCLASS)
    }
}

trait Dunder {
    fn is_dunder(&self) -> bool;
}

impl Dunder for String {
    fn is_dunder(&self) -> bool {
        self.starts_with("__") && self.ends_with("__") && self.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    }
}
