//! Every type of a process: names, flags, sizes, and which decoder reads its objects.
//!
//! The table is built once, from the addresses of candidate type objects, and does not change afterwards. A type is
//! whatever has `type` or one of its subclasses as its own type and has been made ready, or is a static type that an
//! image holds: `functools` of 3.8 and 3.9 makes objects of two types that nobody ever made ready. Which objects there are of a
//! type is not known here.

mod addr_table;
mod read;
mod resolve;
mod statics;

pub use addr_table::AddrTable;

use super::layout::{DecoderName, ObjectLayout, SizeRule};
use super::memory::Memory;
use super::runtime::Interpreter;
use crate::snapshot::Addr;
use read::{Raw, own_slots, structseq};
use resolve::resolve;
pub use statics::StaticState;
use statics::static_states;
use std::collections::HashMap;

/// Bits of `tp_flags` (`Include/object.h`).
pub mod flags {
    /// Attributes right after the object (3.13).
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// The weak reference list lies before the object (3.12).
    pub const MANAGED_WEAKREF: u64 = 1 << 3;
    /// The attributes lie before the object (3.11).
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// Made at run time.
    pub const HEAPTYPE: u64 = 1 << 9;
    /// `PyType_Ready` ran.
    pub const READY: u64 = 1 << 12;
    /// `PyType_Ready` is running.
    pub const READYING: u64 = 1 << 13;
    /// Objects take part in garbage collection.
    pub const HAVE_GC: u64 = 1 << 14;
    /// Subclass of int.
    pub const LONG_SUBCLASS: u64 = 1 << 24;
    /// Subclass of BaseException.
    pub const BASE_EXC_SUBCLASS: u64 = 1 << 30;
    /// Subclass of type: objects of it are types.
    pub const TYPE_SUBCLASS: u64 = 1 << 31;
}

/// A type's number in its [`TypeTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// Where the attributes of an instance are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// It has none.
    None,
    /// A dict pointer at this offset.
    Offset(u64),
    /// A dict pointer counted from the end of a variable-sized object (`tp_dictoffset` below 0).
    FromEnd(i64),
    /// Before the object, or in it, as the version does it.
    Managed {
        /// Where values may lie in the object itself.
        inline_at: Option<u64>,
    },
}

/// A named object pointer in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// As in `__slots__`, sanitised.
    pub name: String,
    /// Offset in the object.
    pub offset: u64,
}

/// One type.
#[derive(Debug, Clone)]
pub struct Type {
    /// The type object.
    pub address: Addr,
    /// Its own type.
    pub metatype: Addr,
    /// `tp_base`.
    pub base: Option<TypeId>,
    /// `module.qualname`, sanitised; only `qualname` for builtins.
    pub name: String,
    /// `tp_flags`.
    pub flags: u64,
    /// `tp_basicsize`, at least 0.
    pub basicsize: u64,
    /// `tp_itemsize`, at least 0.
    pub itemsize: u64,
    /// Bytes of an object's block that precede the object: GC header and pre-header.
    pub head: u64,
    /// How to read its objects.
    pub decoder: DecoderName,
    /// How `sys.getsizeof` counts them.
    pub size_rule: SizeRule,
    /// Whether the size is only an estimate.
    pub estimated: bool,
    /// Pointers at known places, from the version's table; `None` for a plain object.
    pub fields: Option<&'static ObjectLayout>,
    /// `__slots__`, those of the bases included.
    pub slots: Vec<Slot>,
    /// Offsets of words of unknown meaning.
    pub unknown_words: Vec<u64>,
    /// Whether items of a variable-sized object are of unknown meaning.
    pub unknown_items: bool,
    /// Where attributes are.
    pub attributes: Attributes,
    /// How many items an object has, where its own count leaves some out (`structseq`).
    pub items: Option<u64>,
    /// `ht_cached_keys`: the names of attributes that objects share.
    pub cached_keys: Addr,
}

impl Type {
    /// Whether the flag is set.
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Whether `PyType_Ready` ran. A static type that nobody made ready may have objects all the same.
    pub fn is_ready(&self) -> bool {
        self.has(flags::READY)
    }

    /// Whether it was made at run time.
    pub fn is_heap_type(&self) -> bool {
        self.has(flags::HEAPTYPE)
    }

    /// Whether objects of it are types themselves.
    pub fn is_metatype(&self) -> bool {
        self.has(flags::TYPE_SUBCLASS)
    }
}

/// Every type of a process.
#[derive(Debug, Clone, Default)]
pub struct TypeTable {
    types: Vec<Type>,
    by_address: AddrTable,
    /// Dict and subclasses of static types, where the interpreter keeps them (from 3.12).
    static_states: HashMap<Addr, Vec<StaticState>>,
}

/// Chains of bases longer than this are damaged.
const MAX_BASES: usize = 1000;

fn dict_of(states: &HashMap<Addr, Vec<StaticState>>, address: Addr) -> Option<Addr> {
    states.get(&address)?.iter().map(|state| state.dict).find(|dict| !dict.is_null())
}

impl TypeTable {
    /// The types among `candidates`: `(address, what its type pointer says)`, in any order, the type of all types
    /// among them. Follows metatypes until no new type is found. `O(n log n)`.
    pub fn build(memory: &Memory<'_>, interpreter: &Interpreter, mut candidates: Vec<(Addr, Addr)>) -> TypeTable {
        let type_type = interpreter.type_type;
        candidates.push((type_type, type_type));
        candidates.sort_unstable_by_key(|(addr, meta)| (*meta, *addr));
        candidates.dedup();
        let mut raw = Vec::new();
        let mut metatypes = vec![type_type];
        let mut next = 0;
        while let Some(meta) = metatypes.get(next).copied() {
            next += 1;
            let from = candidates.partition_point(|(_, m)| *m < meta);
            for (address, _) in candidates[from..].iter().take_while(|(_, m)| *m == meta) {
                let Some(found) = Raw::read(memory, interpreter, *address, meta) else { continue };
                if found.flags & flags::TYPE_SUBCLASS != 0 && *address != type_type {
                    metatypes.push(*address);
                }
                raw.push(found);
            }
        }
        raw.sort_unstable_by_key(|r| r.address);
        raw.dedup_by_key(|r| r.address);
        let by_address = AddrTable::new(raw.iter().enumerate().map(|(i, r)| (r.address, i as u32)));
        let mut types: Vec<Type> = raw.iter().map(|r| r.to_type(memory, &by_address)).collect();
        let member = types.iter().find(|t| t.name == "member_descriptor").map(|t| t.address);
        for ty in &mut types {
            ty.slots = own_slots(memory, ty, member);
        }
        resolve(memory.layout, &raw, &mut types);
        let static_states = static_states(memory, interpreter, &types);
        let tuple = types.iter().position(|t| t.name == "tuple" && !t.is_heap_type()).map(|i| TypeId(i as u32));
        for ty in types.iter_mut() {
            structseq(memory, ty, tuple, dict_of(&static_states, ty.address));
        }
        TypeTable { types, by_address, static_states }
    }

    /// What each interpreter keeps of a static type, in the order of their ids; empty where the type itself has it.
    pub fn static_states(&self, address: Addr) -> &[StaticState] {
        self.static_states.get(&address).map_or(&[], Vec::as_slice)
    }

    /// A static type's dict, where interpreters keep it apart from the type: that of the first that has one.
    pub fn static_dict(&self, address: Addr) -> Option<Addr> {
        dict_of(&self.static_states, address)
    }

    /// How many types have their dicts in an interpreter that was not found.
    pub fn without_state(&self) -> usize {
        let kept_apart = |t: &&Type| t.has(statics::STATIC_BUILTIN) && !t.is_heap_type() && t.is_ready();
        self.types.iter().filter(kept_apart).filter(|t| self.static_states(t.address).is_empty()).count()
    }

    /// The type with this number.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// The number of the type at this address.
    #[inline]
    pub fn id_of(&self, address: Addr) -> Option<TypeId> {
        self.by_address.get(address).map(TypeId)
    }

    /// All types, in address order, which is the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(i, t)| (TypeId(i as u32), t))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Whether `id` is `base` or derives from it by `tp_base`.
    pub fn derives(&self, id: TypeId, base: TypeId) -> bool {
        std::iter::successors(Some(id), |t| self.get(*t).base).take(MAX_BASES).any(|t| t == base)
    }
}
