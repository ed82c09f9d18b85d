//! The interpreters of a process: the main one and its subinterpreters.
//!
//! `_PyRuntime` leads to the newest, and each to the one made before it (`Python/pystate.c`). Where no symbol tells
//! where `_PyRuntime` lies, it is recognised by what it says of the interpreters: its words are tried one after the
//! other, and a pair of them is believed when all that they lead to points back. Threads and frames are not read.

use super::layout::Layout;
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
