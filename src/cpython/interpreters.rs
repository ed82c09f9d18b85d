//! The interpreters of a process: the main one and its subinterpreters.
//!
//! `_PyRuntime` leads to the newest, and each to the one made before it (`Python/pystate.c`). Where no symbol tells
//! where `_PyRuntime` lies, it is recognised by what it says of the interpreters: its words are tried one after the
//! other, and a pair of them is believed when all that they lead to points back. Threads and frames are not read.

use super::layout::Layout;
use super::runtime::Interpreter;
use crate::image::Image;
use crate::snapshot::{Addr, Reader};

/// One `PyInterpreterState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterpreterState {
    /// Where it lies.
    pub address: Addr,
    /// As `interpreters.get_current()` tells it; the main one's is 0.
    pub id: i64,
}

impl Interpreter {
    /// The ids of the interpreters that were inside a garbage collection (`gc.collecting`; up to 3.8 there is one
    /// collector for all).
    pub fn collecting(&self, reader: &Reader<'_>) -> Vec<i64> {
        let s = &self.layout.structs;
        let Some(flag) = s.gc_state.collecting else { return Vec::new() };
        let is_set = |state: &InterpreterState| {
            let of_its_own = s.interpreter.gc.map(|gc| state.address + gc);
            let collector = of_its_own.or_else(|| Some(self.runtime? + s.runtime.gc?));
            // a plain int: anything else than 0 or 1 is damage
            collector.is_some_and(|at| reader.u32(at + flag) == Some(1))
        };
        self.interpreters.iter().filter(|i| is_set(i)).map(|i| i.id).collect()
    }
}

/// More interpreters than this are a damaged list.
const MAX_INTERPRETERS: usize = 1 << 12;

/// All interpreters that `_PyRuntime` leads to, in the order of their ids. What cannot be read ends the list.
pub(super) fn all(reader: &Reader<'_>, layout: &Layout, runtime: Addr) -> Vec<InterpreterState> {
    let head = reader.pointer(runtime + layout.structs.runtime.interpreters_head);
    let mut found = head.map_or_else(Vec::new, |head| chain(reader, layout, head));
    found.sort_by_key(|i| i.id);
    found
}

/// From one interpreter to the oldest. Ends at one that was there before, as a damaged list may lead back.
fn chain(reader: &Reader<'_>, layout: &Layout, head: Addr) -> Vec<InterpreterState> {
    let i = &layout.structs.interpreter;
    let mut found: Vec<InterpreterState> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut at = head;
    while !at.is_null() && found.len() < MAX_INTERPRETERS && seen.insert(at) {
        let (Some(id), Some(next)) = (reader.i64(at + i.id), reader.pointer(at + i.next)) else { break };
        found.push(InterpreterState { address: at, id });
        at = next;
    }
    found
}

/// `_PyRuntime`, recognised by its two neighbours `interpreters.head` and `interpreters.main`. One pass over the
/// writable data of the image that `type` lies in.
pub(super) fn find_runtime(reader: &Reader<'_>, layout: &Layout, image: &Image, type_type: Addr) -> Option<Addr> {
    let r = &layout.structs.runtime;
    // the table has them side by side, as all versions do
    if r.interpreters_main? != r.interpreters_head + 8 {
        return None;
    }
    for (start, end) in &image.data {
        let mut head = 0;
        for (at, bytes) in reader.chunks(*start, end.0 - start.0) {
            for (i, word) in bytes.chunks_exact(8).enumerate() {
                let main = word.try_into().map_or(0, u64::from_le_bytes);
                let before = std::mem::replace(&mut head, main);
                // most words are no pointers, or not two in a row
                let pointers = before != 0 && main != 0 && (before | main) & 7 == 0;
                if pointers && is_pair(reader, layout, Addr(before), Addr(main), type_type) {
                    return Some(at + (i as u64 * 8).wrapping_sub(8 + r.interpreters_head));
                }
            }
        }
    }
    None
}

/// Whether these are the newest interpreter and the main one.
fn is_pair(reader: &Reader<'_>, layout: &Layout, head: Addr, main: Addr, type_type: Addr) -> bool {
    if !is_main(reader, layout, main, type_type) {
        return false;
    }
    let all = chain(reader, layout, head);
    all.last().is_some_and(|last| last.address == main) && all.iter().rev().skip(1).all(|i| i.id > 0)
}

/// Whether this is the main interpreter: the oldest, its first thread state points back, its modules are a dict.
fn is_main(reader: &Reader<'_>, layout: &Layout, at: Addr, type_type: Addr) -> bool {
    let s = &layout.structs;
    let thread_points_back = || {
        let thread = reader.pointer(at + s.interpreter.threads_head)?;
        Some(!thread.is_null() && reader.pointer(thread + s.thread.interp)? == at)
    };
    let modules_are_a_dict = || {
        let dict_type = reader.pointer(reader.pointer(at + s.interpreter.modules)? + s.object.ob_type)?;
        let name = reader.c_string(reader.pointer(dict_type + s.type_object.tp_name)?, 8)?;
        Some(reader.pointer(dict_type + s.object.ob_type)? == type_type && name == b"dict")
    };
    reader.i64(at + s.interpreter.id) == Some(0)
        && reader.u64(at + s.interpreter.next) == Some(0)
        && thread_points_back().unwrap_or(false)
        && modules_are_a_dict().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::layout;
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    const DATA: u64 = 0x10_0000;
    const LEN: usize = 0x10_0000;
    const RUNTIME: u64 = DATA + 0x1230;
    const TYPE: u64 = DATA + 0x8_0000;

    /// Memory where `_PyRuntime` leads to the interpreters 2, 1 and 0; the main one's thread and modules are real.
    struct Memory {
        layout: &'static Layout,
        bytes: Vec<u8>,
    }

    impl Memory {
        fn new(minor: u8) -> Memory {
            let layout = layout::table(&format!("3.{minor}")).unwrap();
            let mut memory = Memory { layout, bytes: vec![0; LEN] };
            let s = &layout.structs;
            let i = &s.interpreter;
            let states = [2, 1, 0].map(|id| (id, DATA + 0x2_0000 * (id + 1)));
            memory.put(RUNTIME + s.runtime.interpreters_head, states[0].1);
            memory.put(RUNTIME + s.runtime.interpreters_main.unwrap(), states[2].1);
            for (n, (id, at)) in states.into_iter().enumerate() {
                memory.put(at + i.id, id);
                memory.put(at + i.next, states.get(n + 1).map_or(0, |next| next.1));
            }
            let (main, thread, modules, dict) = (states[2].1, TYPE + 0x1000, TYPE + 0x2000, TYPE + 0x3000);
            memory.put(main + i.threads_head, thread);
            memory.put(thread + s.thread.interp, main);
            memory.put(main + i.modules, modules);
            memory.put(modules + s.object.ob_type, dict);
            memory.put(dict + s.object.ob_type, TYPE);
            memory.put(dict + s.type_object.tp_name, TYPE + 0x4000);
            memory.put(TYPE + 0x4000, u64::from_le_bytes(*b"dict\0\0\0\0"));
            memory
        }

        fn put(&mut self, at: u64, word: u64) {
            self.bytes[(at - DATA) as usize..][..8].copy_from_slice(&word.to_le_bytes());
        }

        /// Where `_PyRuntime` is found to be.
        fn found(&self) -> Option<u64> {
            let snapshot = Snapshot::from_memory(vec![(Addr(DATA), self.bytes.clone())], None);
            let data = vec![(Addr(DATA), Addr(DATA + LEN as u64))];
            find_runtime(&snapshot.reader(), self.layout, &Image::with_data(data), Addr(TYPE)).map(|at| at.0)
        }

        fn ids(&self) -> Vec<i64> {
            let snapshot = Snapshot::from_memory(vec![(Addr(DATA), self.bytes.clone())], None);
            all(&snapshot.reader(), self.layout, Addr(RUNTIME)).iter().map(|i| i.id).collect()
        }
    }

    #[test]
    fn the_runtime_is_found_by_what_it_leads_to() {
        for minor in 8..=12 {
            let memory = Memory::new(minor);
            assert_eq!(memory.found(), Some(RUNTIME), "3.{minor}");
            assert_eq!(memory.ids(), [0, 1, 2], "3.{minor}");
        }
    }

    #[test]
    fn what_does_not_point_back_is_no_runtime() {
        for minor in 8..=12 {
            let s = &layout::table(&format!("3.{minor}")).unwrap().structs;
            let i = &s.interpreter;
            let (main, middle) = (DATA + 0x2_0000, DATA + 0x4_0000);
            let thread_elsewhere = (TYPE + 0x1000 + s.thread.interp, middle);
            let no_dict = (TYPE + 0x4000, u64::from_le_bytes(*b"list\0\0\0\0"));
            let not_the_last = (main + i.next, middle);
            let other_id = (main + i.id, 3);
            let chain_leads_elsewhere = (middle + i.next, 0);
            for (at, word) in [thread_elsewhere, no_dict, not_the_last, other_id, chain_leads_elsewhere] {
                let mut memory = Memory::new(minor);
                memory.put(at, word);
                assert_eq!(memory.found(), None, "3.{minor}: {at:#x}");
            }
        }
    }

    #[test]
    fn a_circle_of_interpreters_ends() {
        let mut memory = Memory::new(12);
        let i = &memory.layout.structs.interpreter;
        memory.put(DATA + 0x2_0000 + i.next, DATA + 0x6_0000);
        assert_eq!(memory.ids(), [0, 1, 2]);
        memory.put(DATA + 0x4_0000 + i.next, 0xdead_0000);
        assert_eq!(memory.ids(), [1, 2], "what cannot be read ends the list");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn damaged_memory_is_searched_all_the_same(
            damage in prop::collection::vec((0..LEN as u64 / 8, prop_oneof![any::<u64>(), DATA..DATA + LEN as u64]), 0..200)
        ) {
            let mut memory = Memory::new(12);
            for (word, value) in damage {
                memory.put(DATA + word * 8, value);
            }
            let _ = memory.found();
            prop_assert!(memory.ids().len() <= MAX_INTERPRETERS);
        }
    }
}
