//! The usual causes, in a sentence each: what a person should hear of the rows first.
//!
//! Works on the answer alone. A cause is told when it takes a noticeable share of the resident set; shares are of the
//! resident set, or of the address space where residency is not known.

use crate::analysis::answers::{Footprint, MemoryFinding, MemoryRow};
use crate::text::{count, size};

/// Less than this is nobody's problem.
const LEAST: u64 = 4 << 20;

/// Arenas of malloc's from which on their number is worth a sentence.
const MANY_ARENAS: usize = 8;

/// What may stay unexplained.
const UNEXPLAINED: u64 = 10 << 20;

/// The causes that apply, most bytes first. `shared`: bytes that were written and are shared with other processes, which
/// is what a fork leaves.
pub fn findings(answer: &Footprint, shared: Option<u64>) -> Vec<MemoryFinding> {
    let all: u64 = answer.rows.iter().map(told).sum();
    let noticeable = |bytes: u64, part: u64| bytes >= LEAST && bytes.saturating_mul(part) >= all;
    let mut found = Vec::new();
    let mut add = |kind, bytes, sentence: String| found.push(MemoryFinding { kind, sentence, bytes });

    let objects = sum(answer, |k| k.starts_with("objects_"));
    if noticeable(objects, 2) {
        let most = most(answer, |k| k.starts_with("objects_"), 3);
        add(
            "objects",
            objects,
            format!("{} of {} are live Python objects; most are {most}.", size(objects), size(all)),
        );
    }
    let buffers = sum(answer, |k| k.starts_with("buffers_"));
    if noticeable(buffers, 5) {
        let most = most(answer, |k| k.starts_with("buffers_"), 3);
        let text = format!("{} of {} are tables and buffers that objects own: {most}.", size(buffers), size(all));
        add("buffers", buffers, text);
    }
    let free = sum(answer, |k| matches!(k, "free_pymalloc" | "empty_pymalloc"));
    if let Some(arenas) = answer.arenas.as_ref().filter(|_| noticeable(free, 10)) {
        let held = match arenas.held_by_one {
            0 => String::new(),
            1 => "; 1 arena is kept by a single block".into(),
            n => format!("; {} arenas are kept by a single block each", count(n)),
        };
        let of = arenas.resident_bytes.unwrap_or(arenas.bytes);
        let sparse = match arenas.nearly_empty {
            0 => String::new(),
            n => format!("; {} of {} arenas are nearly empty", count(n), count(arenas.count)),
        };
        let text = format!(
            "{} of arenas hold {} of live objects: the heap is fragmented, and an arena goes back only when it is empty\
             {sparse}{held}.",
            size(of),
            size(arenas.live_bytes)
        );
        add("fragmentation", free, text);
    }
    let free = sum(answer, |k| matches!(k, "free_mimalloc" | "empty_mimalloc"));
    if noticeable(free, 10) {
        let text = format!("{} of mimalloc's pages are free: the heap is fragmented.", size(free));
        add("fragmentation", free, text);
    }
    malloc(answer, &noticeable, &mut add);
    let native = sum(answer, |k| matches!(k, "other_malloc" | "other_mapped"));
    if noticeable(native, 5) {
        let text = format!(
            "{} of malloc's blocks belong to no Python object: a native library, or the interpreter itself, holds them.",
            size(native)
        );
        add("native", native, text);
    }
    let files = sum(answer, |k| matches!(k, "files_private" | "files_shared"));
    if noticeable(files, 3) {
        let most = most(answer, |k| matches!(k, "files_private" | "files_shared"), 2);
        add("files", files, format!("{} of {} are pages of mapped files: {most}.", size(files), size(all)));
    }
    let memory = sum(answer, |k| k == "shared_memory");
    if noticeable(memory, 5) {
        add("shared_memory", memory, format!("{} are shared memory.", size(memory)));
    }
    let stacks = sum(answer, |k| matches!(k, "stacks" | "stacks_ended"));
    if noticeable(stacks, 10) {
        add("stacks", stacks, format!("{} are stacks of threads.", size(stacks)));
    }
    if let Some(shared) = shared.filter(|bytes| noticeable(*bytes, 5)) {
        let alone = answer.pss_bytes.map(|pss| format!("; its own share is {}", size(pss))).unwrap_or_default();
        let text = format!(
            "{} of it were written before a fork and are still shared with the other process{alone}.",
            size(shared)
        );
        add("shared", shared, text);
    }
    let unexplained = sum(answer, |k| k == "unexplained");
    if unexplained >= UNEXPLAINED && unexplained.saturating_mul(33) >= all {
        let most = most(answer, |k| k == "unexplained", 2);
        let text = format!(
            "{} are anonymous memory of no allocator that is known (another allocator, or mapped by a library): {most}.",
            size(unexplained)
        );
        add("unexplained", unexplained, text);
    }
    found.sort_by_key(|f| std::cmp::Reverse(f.bytes));
    found
}

/// What malloc has and nobody uses, and its arenas.
fn malloc(answer: &Footprint, noticeable: &dyn Fn(u64, u64) -> bool, add: &mut dyn FnMut(&'static str, u64, String)) {
    let free = sum(answer, |k| matches!(k, "free_malloc" | "cached_malloc" | "top_malloc"));
    if noticeable(free, 10) {
        let top = sum(answer, |k| k == "top_malloc");
        let text = format!(
            "{} are free in malloc and were not given back to the kernel, {} of them at the end of heaps.",
            size(free),
            size(top)
        );
        add("malloc_free", free, text);
    }
    let mut arenas: Vec<_> = answer.heaps.iter().filter_map(|h| h.arena).collect();
    arenas.sort_unstable();
    arenas.dedup();
    let of_threads = || answer.heaps.iter().filter(|h| h.arena.is_some());
    let held: u64 = of_threads().map(|h| h.resident_bytes.unwrap_or(h.end.0 - h.start.0)).sum();
    if arenas.len() >= MANY_ARENAS && noticeable(held, 10) {
        let used: u64 = of_threads().map(|h| h.python_bytes + h.other_bytes).sum();
        let text = format!(
            "{} arenas that malloc made for threads hold {}, of which {} are in use; MALLOC_ARENA_MAX limits their \
             number.",
            count(arenas.len() as u64),
            size(held),
            size(used)
        );
        add("arenas", held, text);
    }
}

fn told(row: &MemoryRow) -> u64 {
    row.resident_bytes.unwrap_or(row.bytes)
}

fn sum(answer: &Footprint, kind: impl Fn(&str) -> bool) -> u64 {
    answer.rows.iter().filter(|r| kind(r.kind)).map(told).sum()
}

/// The largest parts of some rows: `dict 12.0 MB, str 3.1 MB`.
fn most(answer: &Footprint, kind: impl Fn(&str) -> bool, n: usize) -> String {
    let mut parts: Vec<(&str, u64)> = Vec::new();
    for part in answer.rows.iter().filter(|r| kind(r.kind)).flat_map(|r| &r.parts) {
        let bytes = part.resident_bytes.unwrap_or(part.bytes);
        match parts.iter_mut().find(|(name, _)| *name == part.name) {
            Some((_, sum)) => *sum += bytes,
            None => parts.push((&part.name, bytes)),
        }
    }
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    parts.iter().take(n).map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect::<Vec<_>>().join(", ")
}
