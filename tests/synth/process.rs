//! A small CPython process made by hand: types in an image, objects in pools and chunks.
//!
//! Offsets are those of the debug information (tests/data/dwarf-3.X.json) and encodings are written from CPython's
//! sources; nothing of the program's own tables is used, so that a wrong table cannot hide. A version that does not
//! exist has the offsets of its table (tests/data/made-up/), which is all that there is of it.

#[path = "classes.rs"]
mod classes;
#[path = "encoding.rs"]
mod encoding;

use crate::image::{Space, write_elf};
use encoding::{Attributes, Encoding, ValuesAs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const IMAGE: u64 = 0x5555_0000_0000;
const DATA: std::ops::Range<u64> = 0x10000..MIB + 0x10000;
/// Where a C program that is not position-independent has its heap: addresses that fit 32 bits.
pub const LOW: u64 = 0x2000_0000;
pub const HEAP: u64 = 0x5555_1000_0000;
const HEAP_LEN: u64 = 4 << 20;
pub const ARENA: u64 = 0x7f00_0010_0000;
const ARENA_LEN: u64 = 2 << 20;
const MIB: u64 = 1 << 20;

const READY: u64 = 1 << 12;
const GC: u64 = 1 << 14;
const HEAPTYPE: u64 = 1 << 9;
const MANAGED_DICT: u64 = 1 << 4;
const INLINE_VALUES: u64 = 1 << 2;

/// What the index must find at an address.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub of: String,
    /// `sys.getsizeof`, where it is told here.
    pub size: Option<u64>,
    /// Objects it holds, types left out.
    pub holds: BTreeSet<u64>,
}

struct Pool {
    at: u64,
    block: u64,
    next: u64,
    live: u32,
    free: Vec<u64>,
}

pub struct Process {
    pub space: Space,
    minor: u8,
    encoding: Encoding,
    offsets: Value,
    types: BTreeMap<String, u64>,
    pub made: BTreeMap<u64, Made>,
    pools: Vec<Pool>,
    /// So many pools hand out nothing any more.
    closed: usize,
    next_pool: u64,
    next_data: u64,
    next_chunk: u64,
    tracked: Vec<u64>,
    /// The `ht_cached_keys` of classes with attributes.
    cached_keys: BTreeMap<String, u64>,
}

impl Process {
    pub fn new(minor: u8) -> Process {
        let path = format!("{}/tests/data/dwarf-3.{minor}.json", env!("CARGO_MANIFEST_DIR"));
        let offsets = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Process::with(minor, Encoding::of(minor), offsets)
    }

    /// A process of a version that does not exist, from its layout table.
    pub fn made_up(table: &toml::Table) -> Process {
        let minor = table["version"].as_str().and_then(|v| v.strip_prefix("3.")).unwrap().parse().unwrap();
        let offsets = serde_json::to_value(&table["structs"]).unwrap();
        Process::with(minor, Encoding::made_up(table), offsets)
    }

    fn with(minor: u8, encoding: Encoding, offsets: Value) -> Process {
        let mut space = Space::default();
        space.map(IMAGE, DATA.end);
        space.map(LOW, MIB);
        space.map(HEAP, HEAP_LEN);
        space.map(ARENA, ARENA_LEN);
        let mut p = Process {
            space,
            minor,
            encoding,
            offsets,
            types: BTreeMap::new(),
            made: BTreeMap::new(),
            pools: Vec::new(),
            closed: 0,
            next_pool: ARENA,
            next_data: IMAGE + DATA.start,
            next_chunk: HEAP,
            tracked: Vec::new(),
            cached_keys: BTreeMap::new(),
        };
        p.chunk(0x280); // the main thread's cache
        let (object, digits, items) = (p.header(), p.long_digits(), p.of("PyTupleObject", "ob_item"));
        let (list, dict, text) =
            (p.of("PyListObject", "size"), p.of("PyDictObject", "size"), p.of("PyUnicodeObject", "size"));
        let (heap_type, member) = (p.of("PyHeapTypeObject", "size"), p.of("PyMemberDescrObject", "size"));
        p.static_type("type", heap_type, 40, GC | 1 << 31);
        p.static_type("object", object, 0, 0);
        p.static_type("int", digits, 4, 1 << 24);
        p.static_type("str", text, 0, 1 << 28);
        p.static_type("tuple", items, 8, GC | 1 << 26);
        p.static_type("list", list, 0, GC | 1 << 25);
        p.static_type("dict", dict, 0, GC | 1 << 29);
        p.static_type("member_descriptor", member, 0, GC);
        p
    }

    /// An offset or size, by C's names.
    fn of(&self, of: &str, field: &str) -> u64 {
        let found = &self.offsets[of][field];
        found.as_u64().unwrap_or_else(|| panic!("3.{}: {of} has no {field}", self.minor))
    }

    /// The same for a field that lies in another struct in some versions.
    fn one_of(&self, of: &str, fields: [&str; 2]) -> u64 {
        let found = fields.iter().find_map(|field| self.offsets[of][field].as_u64());
        found.unwrap_or_else(|| panic!("3.{}: {of} has none of {fields:?}", self.minor))
    }

    /// Bytes of an object's header.
    pub fn header(&self) -> u64 {
        self.of("PyObject", "size")
    }

    fn long_digits(&self) -> u64 {
        self.one_of("PyLongObject", ["ob_digit", "long_value.ob_digit"])
    }

    fn var_size(&self) -> u64 {
        self.of("PyVarObject", "ob_size")
    }

    pub fn type_named(&self, name: &str) -> u64 {
        self.types[name]
    }

    fn data(&mut self, len: u64) -> u64 {
        let at = self.next_data;
        self.next_data += len.next_multiple_of(32);
        at
    }

    fn c_string(&mut self, text: &str) -> u64 {
        let at = self.data(text.len() as u64 + 1);
        self.space.put_bytes(at, text.as_bytes());
        at
    }

    fn write_type(&mut self, at: u64, name: &str, basic: u64, item: u64, flags: u64) {
        let c_name = self.c_string(name);
        let base = self.types.get("object").copied().unwrap_or(0);
        let metatype = self.types.get("type").copied().unwrap_or(at);
        self.space.put(at + self.of("PyObject", "ob_type"), metatype);
        for (field, value) in [
            ("tp_name", c_name),
            ("tp_basicsize", basic),
            ("tp_itemsize", item),
            ("tp_flags", flags | READY),
            ("tp_base", base),
        ] {
            self.space.put(at + self.of("PyTypeObject", field), value);
        }
        self.types.insert(name.rsplit_once('.').map_or(name, |_| name).to_owned(), at);
        self.made.insert(at, Made { of: "type".into(), size: None, holds: BTreeSet::new() });
    }

    fn static_type(&mut self, name: &str, basic: u64, item: u64, flags: u64) {
        let at = self.data(self.of("PyTypeObject", "size"));
        self.write_type(at, name, basic, item, flags);
        self.space.put(at + self.of("PyObject", "ob_refcnt"), self.encoding.static_count);
    }

    /// A block of a pool; a new pool when none has room.
    pub fn alloc(&mut self, len: u64) -> u64 {
        let block = len.next_multiple_of(16);
        assert!(block <= 512);
        let pool_size = self.encoding.pool_size;
        let fits = |p: &&mut Pool| p.block == block && (!p.free.is_empty() || p.next + block <= pool_size);
        let pool = match self.pools[self.closed..].iter_mut().find(fits) {
            Some(pool) => pool,
            None => {
                self.pools.push(Pool { at: self.next_pool, block, next: 48, live: 0, free: Vec::new() });
                self.next_pool += pool_size;
                self.pools.last_mut().unwrap()
            }
        };
        pool.live += 1;
        pool.free.pop().unwrap_or_else(|| {
            pool.next += block;
            pool.at + pool.next - block
        })
    }

    /// From now on blocks lie in pools made from this address on.
    pub fn pools_from(&mut self, at: u64) {
        self.next_pool = at;
        self.closed = self.pools.len();
    }

    /// Gives a block back; only its first word changes. Its object is gone.
    pub fn free(&mut self, block: u64) {
        let base = block & !(self.encoding.pool_size - 1);
        let pool = self.pools.iter_mut().find(|p| p.at == base).unwrap();
        pool.live -= 1;
        self.space.put(block, pool.free.last().copied().unwrap_or(0));
        pool.free.push(block);
        self.made.retain(|at, _| !(block..block + pool.block).contains(at));
        self.tracked.retain(|at| *at != block);
    }

    /// What malloc hands out: at least `len` bytes.
    pub fn chunk(&mut self, len: u64) -> u64 {
        let size = (len + 8).next_multiple_of(16).max(32);
        let at = self.next_chunk;
        self.space.put(at + 8, size | 1);
        self.next_chunk += size;
        at + 16
    }

    /// Chunks up to the one whose user part begins at `user`.
    pub fn chunk_at(&mut self, user: u64, len: u64) -> u64 {
        let gap = user - 16 - self.next_chunk;
        self.chunk(gap - 8);
        let at = self.chunk(len);
        assert_eq!(at, user);
        at
    }

    fn gc(&mut self, len: u64) -> u64 {
        let block = if len + 16 <= 512 { self.alloc(len + 16) } else { self.chunk(len + 16) };
        self.tracked.push(block);
        block + 16
    }

    fn head(&mut self, at: u64, of: &str) {
        self.space.put(at + self.of("PyObject", "ob_refcnt"), 1);
        self.space.put(at + self.of("PyObject", "ob_type"), self.types[of]);
    }

    fn note(&mut self, at: u64, of: &str, size: Option<u64>, holds: &[u64]) -> u64 {
        self.made.insert(at, Made { of: of.into(), size, holds: holds.iter().copied().collect() });
        at
    }

    pub fn int(&mut self, value: u32) -> u64 {
        let at = self.alloc(self.long_digits() + 4);
        self.int_at(at, value)
    }

    /// One that a compiler placed in the image's data, so far from its beginning.
    pub fn static_int(&mut self, offset: u64, value: u32) -> u64 {
        let at = self.int_at(IMAGE + offset, value);
        self.space.put(at + self.of("PyObject", "ob_refcnt"), self.encoding.static_count);
        at
    }

    fn int_at(&mut self, at: u64, value: u32) -> u64 {
        let digits = self.long_digits();
        self.head(at, "int");
        // one digit: ob_size 1, or lv_tag (digits << 3 | sign) since 3.12
        if self.encoding.tagged_int {
            self.space.put(at + self.one_of("PyLongObject", ["lv_tag", "long_value.lv_tag"]), 1 << 3);
        } else {
            self.space.put(at + self.var_size(), 1);
        }
        self.space.put32(at + digits, value);
        self.note(at, "int", Some(digits + 4), &[])
    }

    pub fn str(&mut self, text: &str) -> u64 {
        let header = self.of("PyASCIIObject", "size");
        let len = header + text.len() as u64 + 1;
        let at = if len <= 512 { self.alloc(len) } else { self.chunk(len) };
        self.head(at, "str");
        self.space.put(at + self.of("PyASCIIObject", "length"), text.len() as u64);
        let ready = if self.encoding.ready_bit { 1 << 7 } else { 0 };
        self.space.put32(at + self.of("PyASCIIObject", "state"), 1 << 2 | 1 << 5 | 1 << 6 | ready); // kind, compact, ascii
        self.space.put_bytes(at + header, text.as_bytes());
        self.note(at, "str", Some(len), &[])
    }

    pub fn tuple(&mut self, items: &[u64]) -> u64 {
        let at = self.gc(self.tuple_len(items.len()));
        self.tuple_at(at, items)
    }

    /// Bytes of a tuple.
    pub fn tuple_len(&self, items: usize) -> u64 {
        self.of("PyTupleObject", "ob_item") + items as u64 * 8
    }

    pub fn tuple_at(&mut self, at: u64, items: &[u64]) -> u64 {
        self.head(at, "tuple");
        self.space.put(at + self.var_size(), items.len() as u64);
        let first = at + self.tuple_len(0);
        items.iter().enumerate().for_each(|(i, item)| self.space.put(first + i as u64 * 8, *item));
        let holds = self.objects(items);
        self.note(at, "tuple", Some(16 + self.tuple_len(items.len())), &holds)
    }

    /// A list, and where its items are.
    pub fn list(&mut self, items: &[u64], allocated: u64) -> (u64, u64) {
        let buffer = if allocated * 8 <= 512 { self.alloc((allocated * 8).max(16)) } else { self.chunk(allocated * 8) };
        items.iter().enumerate().for_each(|(i, item)| self.space.put(buffer + i as u64 * 8, *item));
        let len = self.of("PyListObject", "size");
        let at = self.gc(len);
        self.head(at, "list");
        for (field, value) in [("ob_item", buffer), ("allocated", allocated)] {
            self.space.put(at + self.of("PyListObject", field), value);
        }
        self.space.put(at + self.var_size(), items.len() as u64);
        let holds = self.objects(items);
        (self.note(at, "list", Some(16 + len + allocated * 8), &holds), buffer)
    }

    /// The keys of a dict with eight slots; `split`: names alone. Returns address, bytes.
    fn keys(&mut self, entries: &[(u64, u64)], split: bool) -> (u64, u64) {
        assert!(entries.len() <= 5);
        let k = |field| self.of("PyDictKeysObject", field);
        let unicode = self.encoding.log2_keys;
        let stride = if unicode { 16 } else { 24 };
        let indices = k("dk_indices");
        let len = indices + 8 + 5 * stride;
        let (usable, count) = (k("dk_usable"), k("dk_nentries"));
        let log2 = unicode.then(|| [k("dk_log2_size"), k("dk_log2_index_bytes"), k("dk_kind")]);
        let at = self.alloc(len);
        self.space.put(at, 1);
        match log2 {
            Some(fields) => {
                let bytes = [3, 3, if split { 2 } else { 1 }];
                fields.iter().zip(bytes).for_each(|(field, byte)| self.space.put_bytes(at + field, &[byte]));
            }
            None => self.space.put(at + self.of("PyDictKeysObject", "dk_size"), 8),
        }
        self.space.put(at + usable, 5 - entries.len() as u64);
        self.space.put(at + count, entries.len() as u64);
        for (i, (key, value)) in entries.iter().enumerate() {
            self.space.put_bytes(at + indices + i as u64, &[i as u8]);
            let entry = at + indices + 8 + i as u64 * stride + if unicode { 0 } else { 8 };
            self.space.put(entry, *key);
            self.space.put(entry + 8, if split { 0 } else { *value });
        }
        (at, len)
    }

    pub fn dict(&mut self, pairs: &[(&str, u64)]) -> u64 {
        let entries: Vec<(u64, u64)> = pairs.iter().map(|(key, value)| (self.str(key), *value)).collect();
        let (keys, bytes) = self.keys(&entries, false);
        let len = self.of("PyDictObject", "size");
        let at = self.gc(len);
        self.head(at, "dict");
        self.space.put(at + self.of("PyDictObject", "ma_used"), entries.len() as u64);
        self.space.put(at + self.of("PyDictObject", "ma_keys"), keys);
        let holds = self.objects(&entries.iter().flat_map(|(k, v)| [*k, *v]).collect::<Vec<_>>());
        self.note(at, "dict", Some(16 + len + bytes), &holds)
    }

    /// Those that are no types.
    fn objects(&self, items: &[u64]) -> Vec<u64> {
        items.iter().copied().filter(|i| self.made.get(i).is_some_and(|m| m.of != "type")).collect()
    }

    /// Headers of pools, the collector's ring, the image's symbols (or none), the version.
    pub fn finish(mut self, symbols: bool) -> (Space, BTreeMap<u64, Made>) {
        let p = |field| self.of("pool_header", field);
        let (count, free, class, next, last) = (
            self.one_of("pool_header", ["ref.count", "ref_count"]),
            p("freeblock"),
            p("szidx"),
            p("nextoffset"),
            p("maxnextoffset"),
        );
        for pool in &self.pools {
            self.space.put32(pool.at + count, pool.live);
            self.space.put(pool.at + free, pool.free.last().copied().unwrap_or(0));
            self.space.put32(pool.at + class, (pool.block / 16 - 1) as u32);
            self.space.put32(pool.at + next, pool.next as u32);
            self.space.put32(pool.at + last, (self.encoding.pool_size - pool.block) as u32);
        }
        let ring = self.data(16);
        let heads: Vec<u64> = std::iter::once(ring).chain(self.tracked.clone()).collect();
        for (i, head) in heads.iter().enumerate() {
            let following = heads[(i + 1) % heads.len()];
            self.space.put(*head, following);
            self.space.put(following + 8, *head);
        }
        let top = HEAP + HEAP_LEN - self.next_chunk;
        self.space.put(self.next_chunk + 8, top | 1);
        let hex = self.data(8);
        self.space.put32(hex, 3 << 24 | u32::from(self.minor) << 16 | 0x1f0);
        let text = format!("3.{}.1 (main, Jan  1 2024, 00:00:00) [GCC 12.2.0]\0", self.minor);
        self.c_string(&text);
        if symbols {
            let mut table = vec![("Other", hex), ("PyType_Type", self.types["type"])];
            if self.encoding.py_version {
                table.push(("Py_Version", hex));
            }
            write_elf(&mut self.space, IMAGE, DATA, &table);
        }
        (self.space, self.made)
    }
}
