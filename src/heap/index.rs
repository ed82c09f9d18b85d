//! The index: every object's number, address and type, in a few bytes an object.
//!
//! Memory is divided into windows of 1 MiB. A window holds one bit for each place where an object may begin, running
//! counts over those bits, and the type of each of its objects. Objects are numbered in address order. From address to
//! number are two loads in the window; from number to address a search in the counts. The scan knows each object's shallow
//! size; where two bytes hold it, it is kept, so that a question about sizes reads none of the objects.

use super::survey::WINDOW;
use crate::cpython::types::{AddrTable, TypeId};
use crate::snapshot::Addr;

/// An object's number: its rank by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// An object's shallow size in bytes, as far as two bytes hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shallow(u16);

impl Shallow {
    /// None is kept: its memory tells.
    pub const ASK: Shallow = Shallow(u16::MAX);

    /// Keeps a size, where there is one and it is no larger than 65,534.
    pub fn of(size: Option<u64>) -> Shallow {
        size.and_then(|size| u16::try_from(size).ok()).map_or(Shallow::ASK, Shallow)
    }

    /// The size, where one is kept.
    #[inline]
    pub fn get(self) -> Option<u64> {
        (self != Shallow::ASK).then_some(self.0.into())
    }
}

/// What the scan found: where, of which type, how large.
pub type Found = (Addr, TypeId, Shallow);

/// The objects of one window.
#[derive(Debug, Default)]
pub struct Window {
    /// The address of the first bit.
    base: Addr,
    /// log2 of the bytes a bit stands for.
    shift: u32,
    /// The number of the window's first object.
    first: u32,
    bits: Box<[u64]>,
    /// Objects before each group of [`GROUP`] words.
    ranks: Box<[u32]>,
    types: Box<[TypeId]>,
    sizes: Box<[Shallow]>,
}

const GROUP: usize = 8;

impl Window {
    /// From objects in address order, all within one window.
    pub fn new(objects: &[Found]) -> Window {
        let (Some(low), Some(high)) = (objects.first(), objects.last()) else { return Window::default() };
        let fine = objects.iter().any(|(addr, ..)| addr.0 % 16 != 0);
        let shift = if fine { 3 } else { 4 };
        let base = Addr(low.0.0 & !((64 << shift) - 1));
        let words = (((high.0.0 - base.0) >> shift) / 64 + 1) as usize;
        let mut bits = vec![0u64; words].into_boxed_slice();
        for (addr, ..) in objects {
            let slot = (addr.0 - base.0) >> shift;
            bits[(slot / 64) as usize] |= 1 << (slot % 64);
        }
        let mut seen = 0;
        let ranks = bits
            .chunks(GROUP)
            .map(|group| {
                let before = seen;
                seen += group.iter().map(|w| w.count_ones()).sum::<u32>();
                before
            })
            .collect();
        let types = objects.iter().map(|(_, ty, _)| *ty).collect();
        let sizes = objects.iter().map(|(.., size)| *size).collect();
        Window { base, shift, first: 0, bits, ranks, types, sizes }
    }

    /// Which window this is: its address divided by [`WINDOW`].
    pub fn key(&self) -> u64 {
        self.base.0 / WINDOW
    }

    /// Whether no object is in it.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Its objects, in address order.
    pub fn objects(&self) -> impl Iterator<Item = Found> + '_ {
        self.addresses().zip(&self.types).zip(&self.sizes).map(|((addr, ty), size)| (addr, *ty, *size))
    }

    fn rank(&self, word: usize) -> u32 {
        let group = word / GROUP;
        self.ranks[group] + self.bits[group * GROUP..word].iter().map(|w| w.count_ones()).sum::<u32>()
    }

    #[inline]
    fn find(&self, addr: Addr) -> Option<u32> {
        let offset = addr.0.checked_sub(self.base.0)?;
        let slot = offset >> self.shift;
        let word = usize::try_from(slot / 64).ok()?;
        let bits = *self.bits.get(word)?;
        let bit = 1u64 << (slot % 64);
        if bits & bit == 0 || offset & ((1 << self.shift) - 1) != 0 {
            return None;
        }
        Some(self.rank(word) + (bits & (bit - 1)).count_ones())
    }

    /// The address of the window's `n`th object.
    fn select(&self, n: u32) -> Option<Addr> {
        let group = self.ranks.partition_point(|r| *r <= n).checked_sub(1)?;
        let mut left = n - self.ranks[group];
        for (i, bits) in self.bits.iter().enumerate().skip(group * GROUP).take(GROUP) {
            let here = bits.count_ones();
            if left < here {
                let mut bits = *bits;
                for _ in 0..left {
                    bits &= bits - 1;
                }
                let slot = i as u64 * 64 + u64::from(bits.trailing_zeros());
                return Some(self.base + (slot << self.shift));
            }
            left -= here;
        }
        None
    }

    fn addresses(&self) -> impl Iterator<Item = Addr> + '_ {
        self.bits.iter().enumerate().flat_map(move |(i, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let slot = i as u64 * 64 + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                Some(self.base + (slot << self.shift))
            })
        })
    }

    /// Those whose types are wanted, by their places in the window. Where a word of slots has none, no address is made.
    fn chosen<'w>(&'w self, wanted: &'w impl Fn(TypeId) -> bool) -> impl Iterator<Item = (u32, Addr, TypeId)> + 'w {
        let mut next = 0;
        self.bits.iter().enumerate().flat_map(move |(i, bits)| {
            let from = next;
            next += bits.count_ones();
            let types = self.types.get(from as usize..next as usize).unwrap_or_default();
            let mut bits = if types.iter().any(|ty| wanted(*ty)) { *bits } else { 0 };
            let slots = std::iter::from_fn(move || {
                let slot = (bits != 0).then(|| u64::from(bits.trailing_zeros()));
                bits &= bits.wrapping_sub(1);
                slot
            });
            let at = move |slot: u64| self.base + ((i as u64 * 64 + slot) << self.shift);
            let objects = (from..).zip(slots).zip(types).map(move |((n, slot), ty)| (n, at(slot), *ty));
            objects.filter(|(.., ty)| wanted(*ty))
        })
    }

    fn heap_bytes(&self) -> usize {
        self.bits.len() * 8 + self.ranks.len() * 4 + self.types.len() * 4 + self.sizes.len() * 2 + size_of::<Window>()
    }
}

/// Every object of a snapshot.
#[derive(Debug, Default)]
pub struct Index {
    windows: Vec<Window>,
    /// From `address / WINDOW` (plus one, which is never 0) to the window.
    directory: AddrTable,
    /// The window of every `HINT`th object.
    hints: Vec<u32>,
    len: u32,
}

const HINT: u32 = 1 << 12;

/// More objects than object numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the heap holds more than {} objects", u32::MAX)]
pub struct TooMany;

impl Index {
    /// From windows in address order.
    pub fn new(windows: Vec<Window>) -> Result<Index, TooMany> {
        let mut windows: Vec<Window> = windows.into_iter().filter(|w| !w.types.is_empty()).collect();
        let mut len = 0u32;
        let mut hints = Vec::new();
        for (i, window) in windows.iter_mut().enumerate() {
            window.first = len;
            len = u32::try_from(window.types.len()).ok().and_then(|n| len.checked_add(n)).ok_or(TooMany)?;
            while (hints.len() as u64) * u64::from(HINT) < u64::from(len) {
                hints.push(i as u32);
            }
        }
        let keys = windows.iter().enumerate().map(|(i, w)| (Addr(w.base.0 / WINDOW + 1), i as u32));
        let directory = AddrTable::new(keys);
        Ok(Index { windows, directory, hints, len })
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The object that begins at `addr`.
    #[inline]
    pub fn object_at(&self, addr: Addr) -> Option<ObjectId> {
        let window = &self.windows[self.directory.get(Addr(addr.0 / WINDOW + 1))? as usize];
        window.find(addr).map(|n| ObjectId(window.first + n))
    }

    /// An object's window, and its place in it.
    #[inline]
    pub fn place(&self, id: ObjectId) -> Option<(usize, usize)> {
        if id.0 >= self.len {
            return None;
        }
        let mut i = *self.hints.get((id.0 / HINT) as usize)? as usize;
        while self.windows.get(i + 1).is_some_and(|w| w.first <= id.0) {
            i += 1;
        }
        Some((i, (id.0 - self.windows.get(i)?.first) as usize))
    }

    fn window_of(&self, id: ObjectId) -> Option<&Window> {
        self.place(id).and_then(|(i, _)| self.windows.get(i))
    }

    /// Where an object begins. Numbers that do not exist have the null address.
    pub fn address(&self, id: ObjectId) -> Addr {
        self.window_of(id).and_then(|w| w.select(id.0 - w.first)).unwrap_or_default()
    }

    /// An object's type.
    #[inline]
    pub fn type_of(&self, id: ObjectId) -> Option<TypeId> {
        let window = self.window_of(id)?;
        window.types.get((id.0 - window.first) as usize).copied()
    }

    /// The shallow size of an object, where it is kept.
    pub fn shallow(&self, id: ObjectId) -> Option<u64> {
        let window = self.window_of(id)?;
        window.sizes.get((id.0 - window.first) as usize)?.get()
    }

    /// The nearest object that begins at or before `addr`, in the same window or the one before.
    pub fn object_before(&self, addr: Addr) -> Option<ObjectId> {
        let after = self.windows.partition_point(|w| w.base <= addr);
        let window = self.windows.get(after.checked_sub(1)?)?;
        let within = window.addresses().take_while(|a| *a <= addr).count() as u32;
        window.first.checked_add(within)?.checked_sub(1).map(ObjectId)
    }

    /// The number of the first object that begins at or after `addr`; the count of objects when there is none.
    pub fn first_from(&self, addr: Addr) -> ObjectId {
        let at = self.windows.partition_point(|w| w.base.0 / WINDOW < addr.0 / WINDOW);
        let Some(window) = self.windows.get(at) else { return ObjectId(self.len) };
        let before = window.addresses().take_while(|a| *a < addr).count() as u32;
        ObjectId(window.first + before)
    }

    /// All objects in address order, which is the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectId, Addr, TypeId)> + '_ {
        (0..self.windows.len()).flat_map(|i| self.window(i))
    }

    /// The objects from an address on, in address order.
    pub fn from(&self, addr: Addr) -> impl Iterator<Item = (ObjectId, Addr, TypeId)> + '_ {
        let first = self.windows.partition_point(|w| w.key() < addr.0 / WINDOW);
        (first..self.windows.len()).flat_map(|i| self.window(i)).skip_while(move |(_, at, _)| *at < addr)
    }

    /// How many windows there are: the units of parallel work.
    pub fn window_count(&self) -> usize {
        self.windows.len()
    }

    /// The objects of one window.
    pub fn window(&self, i: usize) -> impl Iterator<Item = (ObjectId, Addr, TypeId)> + '_ {
        let window = self.windows.get(i);
        window.into_iter().flat_map(|w| {
            let numbers = (w.first..).map(ObjectId);
            numbers.zip(w.addresses()).zip(&w.types).map(|((id, addr), ty)| (id, addr, *ty))
        })
    }

    /// The shallow sizes of one window's objects, as far as they are kept.
    pub fn window_sizes(&self, i: usize) -> &[Shallow] {
        self.windows.get(i).map_or(&[], |w| &w.sizes)
    }

    /// The objects of one window whose types are wanted.
    pub fn window_where<'i>(
        &'i self,
        i: usize,
        wanted: &'i impl Fn(TypeId) -> bool,
    ) -> impl Iterator<Item = (ObjectId, Addr, TypeId, Shallow)> + 'i {
        let window = self.windows.get(i);
        window.into_iter().flat_map(|w| {
            let size = |n: u32| w.sizes.get(n as usize).copied().unwrap_or(Shallow::ASK);
            w.chosen(wanted).map(move |(n, at, ty)| (ObjectId(w.first + n), at, ty, size(n)))
        })
    }

    /// The numbers of one window's objects.
    pub fn window_ids(&self, i: usize) -> std::ops::Range<u32> {
        self.windows.get(i).map_or(0..0, |w| w.first..w.first + w.types.len() as u32)
    }

    /// Bytes this takes.
    pub fn heap_bytes(&self) -> usize {
        self.windows.iter().map(Window::heap_bytes).sum::<usize>() + self.hints.len() * 4 + self.windows.len() * 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index_of(addresses: &[u64]) -> Index {
        let mut windows: Vec<Vec<Found>> = Vec::new();
        for addr in addresses {
            let object = (Addr(*addr), TypeId((*addr / 16 % 7) as u32), Shallow::of(Some(*addr % 70_000)));
            match windows.last_mut() {
                Some(w) if w[0].0.0 / WINDOW == addr / WINDOW => w.push(object),
                _ => windows.push(vec![object]),
            }
        }
        Index::new(windows.iter().map(|w| Window::new(w)).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_inverse(set in proptest::collection::btree_set(0u64..1 << 22, 0..600), step in 3u32..5) {
            let addresses: Vec<u64> = set.iter().map(|a| (a << step) + (1 << 30)).collect();
            let index = index_of(&addresses);
            prop_assert_eq!(index.len(), addresses.len());
            for (n, addr) in addresses.iter().enumerate() {
                let id = ObjectId(n as u32);
                prop_assert_eq!(index.object_at(Addr(*addr)), Some(id));
                prop_assert_eq!(index.address(id), Addr(*addr));
                prop_assert_eq!(index.first_from(Addr(*addr)), id);
                prop_assert_eq!(index.first_from(Addr(addr + 1)), ObjectId(n as u32 + 1));
                prop_assert_eq!(index.type_of(id), Some(TypeId((*addr / 16 % 7) as u32)));
                let size = Some(*addr % 70_000).filter(|n| *n < 65_535);
                prop_assert_eq!(index.shallow(id), size);
                let beside = addr + 4;
                prop_assert_eq!(index.object_at(Addr(beside)), None);
                prop_assert_eq!(index.object_before(Addr(beside)), Some(id));
            }
            let listed: Vec<u64> = index.iter().map(|(_, a, _)| a.0).collect();
            prop_assert_eq!(listed, addresses);
            for wanted in [|_: TypeId| false, |ty: TypeId| ty.0 == 3, |ty: TypeId| ty.0 > 3] {
                let windows = 0..index.window_count();
                let chosen: Vec<_> = windows.flat_map(|i| index.window_where(i, &wanted).collect::<Vec<_>>()).collect();
                let all: Vec<_> = index.iter().filter(|(.., ty)| wanted(*ty)).collect();
                prop_assert!(chosen.iter().all(|(id, .., size)| size.get() == index.shallow(*id)));
                let chosen: Vec<_> = chosen.into_iter().map(|(id, addr, ty, _)| (id, addr, ty)).collect();
                prop_assert_eq!(chosen, all);
            }
        }
    }

    #[test]
    fn an_empty_index_answers() {
        let index = Index::new(vec![Window::new(&[])]).unwrap();
        assert!(index.is_empty());
        assert_eq!(index.object_at(Addr(0x1000)), None);
        assert_eq!(index.address(ObjectId(0)), Addr::NULL);
        assert_eq!(index.object_before(Addr(u64::MAX)), None);
    }
}
