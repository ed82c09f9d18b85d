//! Which interpreter imported a module.
//!
//! Each interpreter has a `sys.modules` of its own, so the same name leads to as many modules. What is in a module is
//! told in [`detail`](super::detail).

use crate::cpython::types::Type;
use crate::heap::Heap;
use crate::snapshot::Addr;
use std::collections::HashMap;

/// The ids of the interpreters that imported modules, by module; empty when there is only one interpreter. A module
/// that several share counts as the first one's. Looks at every entry of each `sys.modules`.
pub fn interpreters(heap: &Heap) -> HashMap<Addr, i64> {
    let memory = heap.memory();
    let all = &heap.interpreter().interpreters;
    let mut found = HashMap::new();
    for state in all.iter().filter(|_| all.len() > 1) {
        let modules = memory.reader.pointer(state.address + memory.layout.structs.interpreter.modules);
        // entries that cannot be read end the dict
        let _ = memory.dict_entries(modules.unwrap_or_default(), |_, _, module| {
            found.entry(module).or_insert(state.id);
            true
        });
    }
    found
}

/// The id of the first interpreter whose module of the class's name has this very class. `O(modules)`.
pub fn interpreter_of_class(heap: &Heap, class: &Type) -> Option<i64> {
    let memory = heap.memory();
    let s = &memory.layout.structs;
    let (module, name) = class.name.rsplit_once('.').filter(|_| class.is_heap_type())?;
    let has = |interpreter: Addr| {
        let modules = memory.reader.pointer(interpreter + s.interpreter.modules)?;
        let names = memory.reader.pointer(memory.dict_get(modules, module)? + s.module.md_dict)?;
        (memory.dict_get(names, name)? == class.address).then_some(())
    };
    heap.interpreter().interpreters.iter().find(|i| has(i.address).is_some()).map(|i| i.id)
}
