//! A query over where the memory went, in the language of [`query`](crate::analysis::query): kinds of memory, large
//! blocks, arenas, heaps and mappings are lines of one list, and each has the fields that its answer has.
//!
//! What the fields mean is in `docs/cli.md`. What none of a kind of line has is missing in all of them.

use super::kinds::NAMES;
use crate::analysis::answers::{ArenaRow, LargeBlock, MallocHeapRow, MapRow, MemoryRow};
use crate::analysis::query::{Cell, Field, Sort, Spec, spec};
use crate::snapshot::Addr;

/// The fields of all lines.
pub const FIELDS: &[Spec] = &[
    spec("list", Sort::Text),
    spec("kind", Sort::Text),
    spec("label", Sort::Text),
    spec("file", Sort::Text),
    spec("type", Sort::Text),
    spec("start", Sort::Number),
    spec("end", Sort::Number),
    spec("size", Sort::Number),
    spec("resident", Sort::Number),
    spec("count", Sort::Number),
    spec("live", Sort::Number),
    spec("owner", Sort::Number),
    spec("python", Sort::Number),
    spec("other", Sort::Number),
    spec("free", Sort::Number),
    spec("cached", Sort::Number),
    spec("top", Sort::Number),
];

/// A line of the answer.
#[derive(Debug, Clone, Copy)]
pub enum Line<'f> {
    /// A kind of memory.
    Kind(&'f MemoryRow),
    /// A large block.
    Large(&'f LargeBlock),
    /// An arena of pymalloc's.
    Arena(&'f ArenaRow),
    /// A heap of malloc's.
    Heap(&'f MallocHeapRow),
    /// A mapping.
    Region(&'f MapRow),
}

impl<'f> Line<'f> {
    /// The list of the JSON that it stands in.
    pub fn list(self) -> &'static str {
        match self {
            Line::Kind(_) => "rows",
            Line::Large(_) => "large",
            Line::Arena(_) => "arenas",
            Line::Heap(_) => "heaps",
            Line::Region(_) => "regions",
        }
    }

    /// What kind of memory it is, in words.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Line::Kind(row) => Some(row.label),
            Line::Region(row) => NAMES.iter().find(|(kind, _)| *kind == row.kind).map(|(_, label)| *label),
            Line::Large(_) | Line::Arena(_) | Line::Heap(_) => None,
        }
    }

    fn kind(self) -> Option<&'static str> {
        match self {
            Line::Kind(row) => Some(row.kind),
            Line::Region(row) => Some(row.kind),
            Line::Large(_) | Line::Arena(_) | Line::Heap(_) => None,
        }
    }

    fn start(self) -> Option<Addr> {
        match self {
            Line::Kind(_) => None,
            Line::Large(block) => Some(block.address),
            Line::Arena(arena) => Some(arena.start),
            Line::Heap(heap) => Some(heap.start),
            Line::Region(region) => Some(region.start),
        }
    }

    fn size(self) -> Option<u64> {
        match self {
            Line::Kind(row) => Some(row.bytes),
            Line::Large(block) => Some(block.bytes),
            Line::Arena(_) => None,
            Line::Heap(heap) => Some(heap.end.0.saturating_sub(heap.start.0)),
            Line::Region(region) => Some(region.end.0.saturating_sub(region.start.0)),
        }
    }

    fn resident(self) -> Option<u64> {
        match self {
            Line::Kind(row) => row.resident_bytes,
            Line::Large(block) => block.resident_bytes,
            Line::Arena(arena) => arena.resident_bytes,
            Line::Heap(heap) => heap.resident_bytes,
            Line::Region(region) => region.resident_bytes,
        }
    }

    fn heap(self, of: impl Fn(&MallocHeapRow) -> u64) -> Option<u64> {
        match self {
            Line::Heap(heap) => Some(of(heap)),
            _ => None,
        }
    }
}

/// A field of a line.
pub fn of_line<'f>(line: Line<'f>, field: &Field) -> Cell<'f> {
    fn text(text: Option<&str>) -> Cell<'_> {
        text.map_or(Cell::Missing, |text| Cell::Text(text.into()))
    }
    fn number<'f>(n: Option<u64>) -> Cell<'f> {
        n.map_or(Cell::Missing, |n| Cell::Int(n.into()))
    }
    match FIELDS.get(field.index).map_or("", |spec| spec.name) {
        "list" => text(Some(line.list())),
        "kind" => text(line.kind()),
        "label" => text(line.label()),
        "file" => match line {
            Line::Region(region) => text(region.file.as_deref()),
            _ => Cell::Missing,
        },
        "type" => match line {
            Line::Large(block) => text(block.type_name.as_deref()),
            _ => Cell::Missing,
        },
        "start" => number(line.start().map(|at| at.0)),
        "end" => number(line.start().zip(line.size()).map(|(at, size)| at.0.saturating_add(size))),
        "size" => number(line.size()),
        "resident" => number(line.resident()),
        "count" => match line {
            Line::Kind(row) => number(Some(row.count)),
            Line::Arena(arena) => number(Some(arena.live_blocks)),
            _ => Cell::Missing,
        },
        "live" => match line {
            Line::Arena(arena) => number(Some(arena.live_bytes)),
            line => number(line.heap(|h| h.python_bytes.saturating_add(h.other_bytes))),
        },
        "owner" => match line {
            Line::Large(block) => number(block.owner.map(|at| at.0)),
            Line::Arena(arena) => number(arena.holder.map(|at| at.0)),
            _ => Cell::Missing,
        },
        "python" => number(line.heap(|h| h.python_bytes)),
        "other" => number(line.heap(|h| h.other_bytes)),
        "free" => number(line.heap(|h| h.free_bytes)),
        "cached" => number(line.heap(|h| h.cached_bytes)),
        "top" => number(line.heap(|h| h.top_bytes)),
        _ => Cell::Missing,
    }
}
