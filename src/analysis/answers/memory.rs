//! Where the resident memory went: rows that add up to the resident set, and the same by mapping, arena and heap.

use crate::snapshot::Addr;
use serde::Serialize;

/// A named share of a row.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Share {
    /// A type, a size of blocks, a file, …; sanitised.
    pub name: String,
    /// Objects, blocks or mappings.
    pub count: u64,
    /// Bytes in memory when the process was stopped; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub bytes: u64,
}

/// What a part of the memory is used for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryRow {
    /// What it is, for scripts: `objects_pymalloc`, …; `docs/cli.md` lists them.
    pub kind: &'static str,
    /// The same for people.
    pub label: &'static str,
    /// Bytes in memory when the process was stopped; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub bytes: u64,
    /// Objects, blocks or mappings.
    pub count: u64,
    /// What most of it is, in a line.
    pub detail: String,
    /// What it consists of, most first; they add up to the row.
    pub parts: Vec<Share>,
}

/// A usual cause, in a sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryFinding {
    /// `fragmentation`, `malloc_free`, `arenas`, `native`, `buffers`, `objects`, `files`, `stacks`, `shared`,
    /// `unexplained`.
    pub kind: &'static str,
    /// One sentence.
    pub sentence: String,
    /// The bytes it is about.
    pub bytes: u64,
}

/// An arena of pymalloc's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArenaRow {
    /// Where its first pool is.
    pub start: Addr,
    /// Bytes in memory; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// Blocks in use.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Pools without a block in use.
    pub free_pools: u64,
    /// The object that alone keeps it, where it is one.
    pub holder: Option<Addr>,
}

/// All arenas of pymalloc's.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Arenas {
    /// How many.
    pub count: u64,
    /// Their address space.
    pub bytes: u64,
    /// Bytes in memory; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// Bytes of blocks in use.
    pub live_bytes: u64,
    /// How many have a single block in use, which keeps them from being returned.
    pub held_by_one: u64,
    /// How many have at most a sixteenth in use.
    pub nearly_empty: u64,
    /// Those that hold least, first.
    pub arenas: Vec<ArenaRow>,
}

/// A heap of glibc malloc's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MallocHeapRow {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// The arena it belongs to (`malloc_state`); `null` for the main heap.
    pub arena: Option<Addr>,
    /// Bytes in memory; `null` when that is not known. So are the others, but that they then are bytes of address space.
    pub resident_bytes: Option<u64>,
    /// Objects and what they own.
    pub python_bytes: u64,
    /// In use by others.
    pub other_bytes: u64,
    /// Free, in bins.
    pub free_bytes: u64,
    /// Freed, in caches of threads and fast bins.
    pub cached_bytes: u64,
    /// Never handed out, at its end.
    pub top_bytes: u64,
}

/// A large block, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LargeBlock {
    /// Where it begins.
    pub address: Addr,
    /// Its length.
    pub bytes: u64,
    /// Bytes in memory; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// The object that it is, or that owns it; `null` when none is known.
    pub owner: Option<Addr>,
    /// That object's type.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
}

/// A mapping, and what lives in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapRow {
    /// First address.
    pub start: Addr,
    /// One past the last address.
    pub end: Addr,
    /// Bytes in memory; `null` when that is not known.
    pub resident_bytes: Option<u64>,
    /// The file or pseudo-name, sanitised.
    pub file: Option<String>,
    /// The kind (of the rows) that takes most of it.
    pub kind: &'static str,
    /// What it consists of, most first.
    pub parts: Vec<MapPart>,
}

/// What of a mapping is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MapPart {
    /// As in the rows.
    pub kind: &'static str,
    /// Resident bytes, or bytes of address space where residency is not known.
    pub bytes: u64,
}

/// Where the resident memory went.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Footprint {
    /// The resident set at the stop, page by page as the kernel told; the rows' sum. `null` when it is not known.
    pub resident_bytes: Option<u64>,
    /// The kernel's own sum (`VmRSS`), taken shortly before the stop.
    pub rss_before_stop: Option<u64>,
    /// The share of this process where pages are shared (`Pss`), likewise.
    pub pss_bytes: Option<u64>,
    /// Resident bytes that other processes share, likewise.
    pub shared_bytes: Option<u64>,
    /// Bytes in swap, likewise; no part of the resident set.
    pub swap_bytes: Option<u64>,
    /// Page tables, likewise; no part of the resident set.
    pub page_tables_bytes: Option<u64>,
    /// The usual causes that apply, most bytes first.
    pub findings: Vec<MemoryFinding>,
    /// Most first.
    pub rows: Vec<MemoryRow>,
    /// pymalloc's arenas; `null` where there are none.
    pub arenas: Option<Arenas>,
    /// malloc's heaps, the main one first.
    pub heaps: Vec<MallocHeapRow>,
    /// The largest blocks, and whose they are.
    pub large: Vec<LargeBlock>,
    /// Every mapping, in address order.
    pub regions: Vec<MapRow>,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
}
