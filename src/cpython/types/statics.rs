//! What interpreters keep of static types: their dicts and their subclasses, from 3.12 on.
//!
//! Earlier versions keep both in the type itself, and so do all versions for classes; those are not looked at here.

use super::Type;
use crate::cpython::Memory;
use crate::cpython::runtime::Interpreter;
use crate::snapshot::Addr;
use std::collections::HashMap;

/// Where the main interpreter keeps what static types have per interpreter (`Objects/typeobject.c`,
/// `managed_static_type_state_get`). A slot counts only when it names the type it is asked for.
pub(super) fn static_states(
    memory: &Memory<'_>,
    interpreter: &Interpreter,
    types: &[Type],
) -> HashMap<Addr, (Addr, Addr)> {
    let s = &memory.layout.structs;
    let r = &memory.reader;
    let mut found = HashMap::new();
    let (Some(of_type), Some(of_dict), Some(of_subclasses)) =
        (s.static_state.r#type, s.static_state.tp_dict, s.static_state.tp_subclasses)
    else {
        return found;
    };
    let main = interpreter.runtime.and_then(|runtime| r.pointer(runtime + s.runtime.interpreters_main?));
    let Some(main) = main.filter(|m| !m.is_null()) else { return found };
    for ty in types.iter().filter(|t| !t.is_heap_type()) {
        let index = r.u64(ty.address + s.type_object.tp_subclasses).filter(|i| (1..=4096).contains(i));
        let Some(index) = index else { continue };
        let tables = [s.interpreter.types_builtins, s.interpreter.types_extensions];
        for table in tables.into_iter().flatten() {
            let slot = main + table + (index - 1) * s.static_state.size;
            if r.pointer(slot + of_type) == Some(ty.address) {
                let dict = r.pointer(slot + of_dict).unwrap_or_default();
                found.insert(ty.address, (dict, r.pointer(slot + of_subclasses).unwrap_or_default()));
            }
        }
    }
    found
}
