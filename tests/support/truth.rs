//! The record that a target made of its own heap: see `tests/targets/truth.py` for the format.

use std::collections::{HashMap, HashSet};
use std::path::Path;

pub struct TruthType {
    pub address: u64,
    pub flags: u64,
    pub basicsize: i64,
    pub name: String,
}

impl TruthType {
    /// Whether the target program itself defined it.
    pub fn is_own(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Whether the collector tracks its objects.
    pub fn has_gc(&self) -> bool {
        self.flags & 4 != 0
    }
}

pub struct TruthObject {
    pub address: u64,
    pub type_address: u64,
    /// `sys.getsizeof`; `None` when asking it failed.
    pub size: Option<u64>,
    pub flags: u32,
    pub referents: Vec<u64>,
}

impl TruthObject {
    pub fn is_tracked(&self) -> bool {
        self.flags & 1 != 0
    }
}

pub struct Truth {
    pub types: HashMap<u64, TruthType>,
    pub objects: Vec<TruthObject>,
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn u64(&mut self) -> u64 {
        let (word, rest) = self.0.split_first_chunk().expect("the record is whole");
        self.0 = rest;
        u64::from_le_bytes(*word)
    }

    fn u32(&mut self) -> u32 {
        let (word, rest) = self.0.split_first_chunk().expect("the record is whole");
        self.0 = rest;
        u32::from_le_bytes(*word)
    }
}

impl Truth {
    pub fn read(path: &Path) -> Truth {
        let bytes = std::fs::read(path).expect("the target wrote its record");
        let mut input = Input(bytes.strip_prefix(b"PYTRUTH1").expect("a record of this format"));
        let mut types = HashMap::new();
        for _ in 0..input.u64() {
            let (address, flags) = (input.u64(), input.u64());
            let (basicsize, _itemsize) = (input.u64() as i64, input.u64());
            let len = input.u32() as usize;
            let (name, rest) = input.0.split_at(len);
            input.0 = rest;
            let name = String::from_utf8(name.to_vec()).expect("names are UTF-8");
            types.insert(address, TruthType { address, flags, basicsize, name });
        }
        let mut objects = Vec::new();
        for _ in 0..input.u64() {
            let (address, type_address, size) = (input.u64(), input.u64(), input.u64());
            let flags = input.u32();
            let referents = (0..input.u32()).map(|_| input.u64()).collect();
            objects.push(TruthObject {
                address,
                type_address,
                size: (size != u64::MAX).then_some(size),
                flags,
                referents,
            });
        }
        assert!(input.0.is_empty(), "the record has {} bytes too many", input.0.len());
        Truth { types, objects }
    }

    /// The record of one more interpreter of the same process. What several hold (static types, say) is told once,
    /// with the referents that each of them sees.
    pub fn with(mut self, other: Truth) -> Truth {
        self.types.extend(other.types);
        let known: HashMap<u64, usize> = self.objects.iter().enumerate().map(|(i, o)| (o.address, i)).collect();
        for object in other.objects {
            match known.get(&object.address) {
                Some(i) => {
                    let shared = &mut self.objects[*i];
                    assert_eq!(shared.type_address, object.type_address, "{:#x} has one type", object.address);
                    let held: HashSet<u64> = shared.referents.iter().copied().collect();
                    shared.referents.extend(object.referents.into_iter().filter(|r| !held.contains(r)));
                }
                None => self.objects.push(object),
            }
        }
        self
    }

    pub fn type_name(&self, address: u64) -> &str {
        self.types.get(&address).map_or("?", |t| &t.name)
    }
}
