//! Whether what lies at one address in two snapshots is the same object: its value, and what it holds.
//!
//! Numbers and texts are compared by value. Everything else is compared by its references: those of an immutable object
//! must all be to survivors, of a mutable one at least half of those that tell it from others. What many objects hold
//! alike (constants, shared names, code, classes) tells nothing.

use super::Fate;
use crate::cpython::layout::DecoderName;
use crate::cpython::types::{Attributes, Type, TypeId};
use crate::cpython::{Count, EdgeKind, EdgeName, Memory};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// References that are looked at one by one; of those beyond, only their sum is compared.
const SAMPLE: usize = 512;

/// What has more references than this tells nothing about one who holds it.
const SHARED: u32 = 64;

/// Bytes of a value that are compared.
const MAX_VALUE: u64 = 1 << 20;

/// One side of the comparison.
struct Side<'h> {
    heap: &'h Heap,
    memory: Memory<'h>,
    sample: Vec<(u64, Addr)>,
}

impl<'h> Side<'h> {
    fn new(heap: &'h Heap) -> Side<'h> {
        Side { heap, memory: heap.memory(), sample: Vec::with_capacity(SAMPLE) }
    }

    fn type_at(&self, address: Addr) -> Option<&'h Type> {
        self.heap.object_at(address).map(|(_, ty)| ty)
    }

    /// Whether an object tells something about one who holds it.
    fn tells(&self, target: Addr) -> bool {
        let few = matches!(self.memory.count(target), Some(Count::Live(n)) if n < SHARED);
        few && self.type_at(target).is_some_and(|ty| {
            !ty.is_metatype()
                && ty.decoder != DecoderName::Code
                && !matches!(ty.name.as_str(), "function" | "module" | "builtin_function_or_method")
        })
    }
}

/// The references of one object, summed up.
#[derive(Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    hash: u64,
}

/// Compares objects one after the other. One per thread.
pub(super) struct Judge<'h> {
    old: Side<'h>,
    new: Side<'h>,
    fates: &'h [AtomicU8],
    at: Addr,
}

impl<'h> Judge<'h> {
    pub(super) fn new(old: &'h Heap, new: &'h Heap, fates: &'h [AtomicU8]) -> Judge<'h> {
        Judge { old: Side::new(old), new: Side::new(new), fates, at: Addr::NULL }
    }

    /// The object that the next questions are about.
    pub(super) fn look_at(&mut self, address: Addr) {
        self.at = address;
    }

    pub(super) fn new_type(&self, id: ObjectId) -> Option<TypeId> {
        self.new.heap.objects().type_of(id)
    }

    /// The type of what was there.
    pub(super) fn old_type(&self) -> Option<TypeId> {
        let index = self.old.heap.objects();
        index.type_of(index.object_at(self.at)?)
    }

    fn fate_at(&self, target: Addr) -> Option<Fate> {
        let id = self.new.heap.objects().object_at(target)?;
        self.fates.get(id.0 as usize).map(|f| Fate::from(f.load(Relaxed)))
    }

    /// Whether nothing but its value makes it what it is.
    pub(super) fn is_plain(&self, id: ObjectId) -> bool {
        self.new.heap.type_of(id).is_none_or(|(_, ty)| is_plain(ty))
    }

    /// The fate of an object by its value alone; what has none is taken for a survivor for now.
    pub(super) fn value(&self, id: ObjectId) -> Fate {
        let Some((_, ty)) = self.new.heap.type_of(id) else { return Fate::Reused };
        let (old, new) = (&self.old.memory, &self.new.memory);
        let same = match ty.decoder {
            DecoderName::Int | DecoderName::Bool => {
                old.int_digits(self.at) == new.int_digits(self.at) && {
                    let bytes = 4 * new.int_digits(self.at).map_or(0, |(n, _)| n);
                    self.same_bytes(self.at + new.layout.structs.long.ob_digit, bytes)
                }
            }
            DecoderName::Float => self.same_bytes(self.at + new.layout.structs.float.ob_fval, 8),
            DecoderName::Complex => self.same_bytes(self.at + new.layout.structs.complex.real, 16),
            DecoderName::Str => match (old.str_at(self.at), new.str_at(self.at)) {
                (Some(a), Some(b)) if (a.len, a.width) == (b.len, b.width) => {
                    let bytes = b.len.saturating_mul(u64::from(if b.width == 0 { 4 } else { b.width }));
                    self.same_bytes_at(a.data, b.data, bytes)
                }
                _ => false,
            },
            DecoderName::Bytes => {
                let (a, b) = (old.ob_size(self.at), new.ob_size(self.at));
                let bytes = b.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                a == b && self.same_bytes(self.at + new.layout.structs.bytes.ob_sval, bytes)
            }
            _ if is_plain(ty) => return self.words(ty),
            _ => true,
        };
        if same { Fate::Exact } else { Fate::Reused }
    }

    fn same_bytes(&self, at: Addr, len: u64) -> bool {
        self.same_bytes_at(at, at, len)
    }

    fn same_bytes_at(&self, old: Addr, new: Addr, len: u64) -> bool {
        let len = usize::try_from(len.min(MAX_VALUE)).unwrap_or(0);
        match (self.old.memory.reader.slice(old, len), self.new.memory.reader.slice(new, len)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }

    /// The fate of an object that holds nothing known, by the words of its struct.
    fn words(&self, ty: &Type) -> Fate {
        let header = self.new.memory.layout.structs.object.size;
        let mut equal = [0u64; 2];
        let mut different = 0u64;
        for offset in (header..ty.basicsize.min(1 << 12)).step_by(8) {
            let read = |side: &Side<'_>| side.memory.reader.u64(self.at + offset);
            match (read(&self.old), read(&self.new)) {
                (Some(a), Some(b)) if a == b => equal[usize::from(a > u64::from(SHARED))] += 1,
                _ => different += 1,
            }
        }
        match (different, equal) {
            (0, [_, 0]) => Fate::Weak,
            (0, _) => Fate::Exact,
            (n, [_, telling]) if telling >= n => Fate::Likely,
            _ => Fate::Reused,
        }
    }

    /// The fate of an object by what it holds, as far as that of the others is known.
    pub(super) fn references(&mut self, id: ObjectId) -> Fate {
        let Some((_, ty)) = self.new.heap.type_of(id) else { return Fate::Reused };
        let own = has_value(ty);
        let (sums, dead) = self.collect(ty);
        if sums.0 == sums.1 && dead == 0 {
            return match ty.decoder {
                _ if own || !self.new.sample.is_empty() => Fate::Exact,
                // its struct tells more than what it holds: a descriptor's C function, a code's flags
                DecoderName::Fields | DecoderName::Code | DecoderName::Type => self.words(ty).max(Fate::Weak),
                _ => Fate::Weak,
            };
        }
        if is_immutable(ty) {
            return Fate::Reused;
        }
        let least = self.old.sample.len().min(self.new.sample.len());
        let shared = overlap(&mut self.old.sample, &mut self.new.sample);
        if least > 0 && shared * 2 >= least { Fate::Likely } else { Fate::Reused }
    }

    /// Fills the samples: the references that tell something, those of the newer side to survivors only. The sums are
    /// over all of them; how many of the newer side's are to objects that are new.
    fn collect(&mut self, ty: &Type) -> ((Sum, Sum), u64) {
        let mut dead = 0;
        let (mut old_dict, mut new_dict) = (None, None);
        let at = self.at;
        let old_sum = gather(&mut self.old, at, None, &mut old_dict);
        let mut sample = std::mem::take(&mut self.new.sample);
        let new_sum = gather(&mut self.new, at, Some(ty), &mut new_dict);
        std::mem::swap(&mut sample, &mut self.new.sample);
        self.new.sample.clear();
        for (key, target) in sample {
            match self.fate_at(target) {
                Some(fate) if !fate.survived() => dead += 1,
                _ if self.new.tells(target) => self.new.sample.push((key, target)),
                _ => {}
            }
        }
        // a dict that was made of an object's own values meanwhile holds the same attributes
        for (side, dict, other) in [(&mut self.old, old_dict, new_dict), (&mut self.new, new_dict, old_dict)] {
            if let (Some(dict), None) = (dict, other) {
                let mut found = Vec::new();
                side.memory.dict_entries(dict, |i, key, value| {
                    found.push((attribute_key(key), value));
                    i < SAMPLE as u64
                });
                let found = found.into_iter().filter(|(_, v)| side.tells(*v)).collect::<Vec<_>>();
                side.sample.extend(found);
            }
        }
        let old_sample = std::mem::take(&mut self.old.sample);
        self.old.sample = old_sample.into_iter().filter(|(_, target)| self.old.tells(*target)).collect();
        ((old_sum, new_sum), dead)
    }

    /// Takes what this survivor holds under the same name as before for a survivor too. Whether there was something.
    pub(super) fn rescue(&mut self, id: ObjectId) -> bool {
        let Some((_, ty)) = self.new.heap.type_of(id) else { return false };
        let index = self.new.heap.objects();
        let reused = |target: Addr| {
            let fate = index.object_at(target).and_then(|id| self.fates.get(id.0 as usize))?;
            (Fate::from(fate.load(Relaxed)) == Fate::Reused).then_some(fate)
        };
        // most survivors hold nothing that is in question
        let mut asked = Vec::new();
        let mut positions = 0u64;
        self.new.memory.visit_edges(self.at, ty, self.new.heap.types(), &mut |name: EdgeName<'_>, kind, target| {
            if kind != EdgeKind::Weak && reused(target).is_some() {
                positions += u64::from(matches!(name, EdgeName::Index(_)));
                asked.push((exact_key(name), target));
            }
        });
        if asked.is_empty() {
            return false;
        }
        let Some(old_type) = self.old.type_at(self.at) else { return false };
        let (mut held, mut at_its_place) = (std::collections::HashSet::new(), 0u64);
        let wanted: std::collections::HashSet<(u64, Addr)> = asked.iter().copied().collect();
        self.old.memory.visit_edges(self.at, old_type, self.old.heap.types(), &mut |name: EdgeName<'_>, _, target| {
            let edge = (exact_key(name), target);
            if wanted.contains(&edge) {
                at_its_place += u64::from(matches!(name, EdgeName::Index(_)));
                held.insert((edge, matches!(name, EdgeName::Index(_))));
            }
        });
        let mut found = false;
        for edge in asked {
            // a place in a list is given away again as easily as memory; many that are all as before are no accident
            let in_place = held.contains(&(edge, true)) && positions >= 4 && at_its_place * 2 >= positions;
            let changeable = self.new.type_at(edge.1).is_some_and(|ty| !is_immutable(ty));
            if (held.contains(&(edge, false)) || in_place)
                && changeable
                && let Some(fate) = reused(edge.1)
            {
                fate.store(Fate::Likely as u8, Relaxed);
                found = true;
            }
        }
        found
    }
}

/// One object's references; keys of a dict and the class are left out of the sample, which is of any target.
fn gather(side: &mut Side<'_>, at: Addr, ty: Option<&Type>, dict: &mut Option<Addr>) -> Sum {
    side.sample.clear();
    let Some(ty) = ty.or_else(|| side.type_at(at)) else { return Sum::default() };
    let mut sum = Sum::default();
    let sample = &mut side.sample;
    side.memory.visit_edges(at, ty, side.heap.types(), &mut |name: EdgeName<'_>, _, target: Addr| {
        sum.count += 1;
        sum.hash = (sum.hash.rotate_left(5) ^ target.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if matches!(name, EdgeName::Dict) {
            *dict = Some(target);
        }
        if !matches!(name, EdgeName::Key | EdgeName::Class) && sample.len() < SAMPLE {
            sample.push((loose_key(name), target));
        }
    });
    sum
}

fn attribute_key(key: Addr) -> u64 {
    key.0 | 1
}

/// A reference's name as a number, its place left out where content moves about.
fn loose_key(name: EdgeName<'_>) -> u64 {
    match name {
        EdgeName::Attribute(key) => attribute_key(key),
        EdgeName::Value(_) | EdgeName::Index(_) | EdgeName::Element | EdgeName::Stack(_) => 0,
        other => exact_key(other),
    }
}

fn exact_key(name: EdgeName<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match name {
        EdgeName::Index(i) => (0, i).hash(&mut hasher),
        EdgeName::Value(key) => (1, key).hash(&mut hasher),
        EdgeName::Attribute(key) => (2, key).hash(&mut hasher),
        EdgeName::Field(field) => (3, field).hash(&mut hasher),
        EdgeName::FieldItem(field, i) => (4, field, i).hash(&mut hasher),
        EdgeName::Local(key) => (5, key).hash(&mut hasher),
        EdgeName::Stack(i) => (0, 1u64 << 63 | i).hash(&mut hasher),
        EdgeName::InInterpreter(field, id) => (6, field, id).hash(&mut hasher),
        EdgeName::Word(offset) => (7, offset).hash(&mut hasher),
        EdgeName::Key => 8.hash(&mut hasher),
        EdgeName::Element => 9.hash(&mut hasher),
        EdgeName::Dict => 10.hash(&mut hasher),
        EdgeName::Class => 11.hash(&mut hasher),
    }
    hasher.finish()
}

/// How many elements two bags have in common.
fn overlap(a: &mut [(u64, Addr)], b: &mut [(u64, Addr)]) -> usize {
    a.sort_unstable();
    b.sort_unstable();
    let (mut i, mut j, mut common) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
            }
        }
    }
    common
}

/// Whether objects of the type are compared by a value of their own.
fn has_value(ty: &Type) -> bool {
    use DecoderName::{Bool, Bytes, Complex, Float, Int, Str};
    matches!(ty.decoder, Int | Bool | Float | Complex | Str | Bytes)
}

/// Whether an object holds nothing that is known.
fn is_plain(ty: &Type) -> bool {
    let nothing = ty.attributes == Attributes::None && ty.slots.is_empty() && ty.unknown_words.is_empty();
    let fields = ty.fields.is_some_and(|f| !f.refs.is_empty() || !f.deep.is_empty() || !f.arrays.is_empty());
    let decoder = has_value(ty) || matches!(ty.decoder, DecoderName::Fields | DecoderName::Bytearray);
    nothing && !fields && decoder && !ty.unknown_items
}

/// Whether what an object holds never changes.
fn is_immutable(ty: &Type) -> bool {
    let fixed = has_value(ty)
        || matches!(ty.decoder, DecoderName::Tuple | DecoderName::Structseq)
        || matches!(ty.name.as_str(), "frozenset" | "slice" | "range" | "method" | "builtin_function_or_method");
    fixed && ty.attributes == Attributes::None && ty.slots.is_empty()
}
