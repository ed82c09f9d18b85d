//! What interpreters keep of static types: their dicts and their subclasses, from 3.12 on.
//!
//! Earlier versions keep both in the type itself, and so do all versions for classes; those are not looked at here.

use super::Type;
use crate::cpython::Memory;
use crate::cpython::runtime::Interpreter;
use crate::snapshot::Addr;
use std::collections::HashMap;

/// What one interpreter keeps of a static type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticState {
    /// The interpreter's id.
    pub interpreter: i64,
    /// The type's `tp_dict` there; may be null.
    pub dict: Addr,
    /// Its `tp_subclasses` there; may be null.
    pub subclasses: Addr,
}

/// `_Py_TPFLAGS_STATIC_BUILTIN` (`Include/object.h`): each interpreter keeps the type's dict, from 3.12 on.
pub(super) const STATIC_BUILTIN: u64 = 1 << 1;

/// Indices beyond this are something else: up to 3.11 there is a pointer in their place.
const MAX_INDEX: u64 = 4096;

/// What each interpreter keeps of static types, in the order of the interpreters (`Objects/typeobject.c`,
/// `managed_static_type_state_get`). A slot counts only when it names the type it is asked for.
pub(super) fn static_states(
    memory: &Memory<'_>,
    interpreter: &Interpreter,
    types: &[Type],
) -> HashMap<Addr, Vec<StaticState>> {
    let s = &memory.layout.structs;
    let r = &memory.reader;
    let mut found: HashMap<Addr, Vec<StaticState>> = HashMap::new();
    let (Some(of_type), Some(of_dict), Some(of_subclasses)) =
        (s.static_state.r#type, s.static_state.tp_dict, s.static_state.tp_subclasses)
    else {
        return found;
    };
    for ty in types.iter().filter(|t| !t.is_heap_type()) {
        let index = r.u64(ty.address + s.type_object.tp_subclasses).filter(|i| (1..=MAX_INDEX).contains(i));
        let Some(index) = index else { continue };
        for state in &interpreter.interpreters {
            let tables = [s.interpreter.types_builtins, s.interpreter.types_extensions];
            let slots = tables.into_iter().flatten().map(|t| state.address + t + (index - 1) * s.static_state.size);
            for slot in slots.filter(|slot| r.pointer(*slot + of_type) == Some(ty.address)) {
                found.entry(ty.address).or_default().push(StaticState {
                    interpreter: state.id,
                    dict: r.pointer(slot + of_dict).unwrap_or_default(),
                    subclasses: r.pointer(slot + of_subclasses).unwrap_or_default(),
                });
            }
        }
    }
    found
}
