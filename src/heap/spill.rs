//! Where the biggest arrays lie: in memory, or in a mapped file without a name where they would take too much of it.
//!
//! The kernel writes such a file to disk as it has to, and reads it again: slow, but neither our end nor that of
//! others. The arrays are the same either way. What is in them is not known here.

use super::ObjectId;
use crate::snapshot::unnamed_file;
use crate::sys::headroom;
use crate::sys::mapped::Mapped;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a person allowed; all ones: nothing was said.
static ALLOWED: AtomicU64 = AtomicU64::new(u64::MAX);

/// References may take so many bytes of memory, of all heaps that are read from now on. Without it: half of what the
/// machine has left, and our control group.
pub fn allow(bytes: u64) {
    ALLOWED.store(bytes, Relaxed);
}

/// Numbers of objects.
#[derive(Debug)]
pub(super) enum Items {
    Here(Box<[ObjectId]>),
    There(Arc<Mapped<ObjectId>>, Range<usize>),
}

impl Default for Items {
    fn default() -> Items {
        Items::Here(Box::default())
    }
}

impl Deref for Items {
    type Target = [ObjectId];

    fn deref(&self) -> &[ObjectId] {
        match self {
            Items::Here(items) => items,
            Items::There(file, range) => file.get(range.clone()).unwrap_or(&[]),
        }
    }
}

impl Items {
    /// Bytes in a file.
    pub(super) fn spilled_bytes(&self) -> usize {
        match self {
            Items::Here(_) => 0,
            Items::There(_, range) => range.len() * size_of::<ObjectId>(),
        }
    }
}

/// Numbers of objects that are still written.
pub(super) enum Fresh {
    Here(Box<[ObjectId]>),
    There(Mapped<ObjectId>),
}

impl Deref for Fresh {
    type Target = [ObjectId];

    fn deref(&self) -> &[ObjectId] {
        match self {
            Fresh::Here(items) => items,
            Fresh::There(items) => items,
        }
    }
}

impl DerefMut for Fresh {
    fn deref_mut(&mut self) -> &mut [ObjectId] {
        match self {
            Fresh::Here(items) => items,
            Fresh::There(items) => items,
        }
    }
}

impl From<Fresh> for Items {
    fn from(fresh: Fresh) -> Items {
        match fresh {
            Fresh::Here(items) => Items::Here(items),
            Fresh::There(items) => {
                let range = 0..items.len();
                Items::There(Arc::new(items), range)
            }
        }
    }
}

/// How much memory is still allowed.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn of(bytes: u64) -> Budget {
        Budget(AtomicU64::new(bytes))
    }

    /// What is allowed now.
    pub(super) fn now() -> Budget {
        let half = || headroom::available().min(headroom::group_headroom("self").bytes) / 2;
        let said = ALLOWED.load(Relaxed);
        Budget::of(if said == u64::MAX { half() } else { said })
    }

    pub(super) fn left(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Whether so many bytes of memory may be taken; then they are.
    fn take(&self, bytes: u64) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    /// So many numbers, in a file when they are too many for memory and there is a disk with room.
    pub(super) fn make(&self, len: usize) -> Fresh {
        let bytes = (len * size_of::<ObjectId>()) as u64;
        let there = || Mapped::filled(&unnamed_file(bytes).ok()?.0, len, ObjectId(0)).ok();
        let spilled = if len == 0 || self.take(bytes) { None } else { there() };
        spilled.map_or_else(|| Fresh::Here(vec![ObjectId(0); len].into()), Fresh::There)
    }

    /// Moves arrays that were just made into a file, when they are too many for memory.
    pub(super) fn settle(&self, arrays: &mut [&mut Items]) {
        let len = arrays.iter().map(|items| items.len()).sum::<usize>();
        let bytes = (len * size_of::<ObjectId>()) as u64;
        if len == 0 || self.take(bytes) {
            return;
        }
        let Some(mut file) = unnamed_file(bytes).ok().and_then(|(f, _)| Mapped::filled(&f, len, ObjectId(0)).ok())
        else {
            return;
        };
        let mut at = 0;
        let mut ranges = Vec::with_capacity(arrays.len());
        for items in arrays.iter() {
            let range = at..at + items.len();
            at = range.end;
            if let Some(into) = file.get_mut(range.clone()) {
                into.copy_from_slice(items);
            }
            ranges.push(range);
        }
        let file = Arc::new(file);
        for (items, range) in arrays.iter_mut().zip(ranges) {
            **items = Items::There(file.clone(), range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(from: u32, n: u32) -> Items {
        Items::Here((from..from + n).map(ObjectId).collect())
    }

    #[test]
    fn what_is_too_much_for_memory_goes_to_a_file_and_is_the_same() {
        let budget = Budget::of(1000);
        let (mut a, mut b, mut c) = (numbers(5, 100), numbers(7, 0), numbers(1000, 100));
        budget.settle(&mut [&mut a]);
        assert_eq!((a.spilled_bytes(), budget.left()), (0, 600));
        budget.settle(&mut [&mut b, &mut c, &mut a]);
        assert_eq!(c.spilled_bytes() + a.spilled_bytes() + b.spilled_bytes(), 800);
        assert!(a.iter().eq(numbers(5, 100).iter()) && c.iter().eq(numbers(1000, 100).iter()) && b.is_empty());
        assert!(matches!(budget.make(150), Fresh::Here(_)));
        let mut fresh = budget.make(10);
        fresh[3] = ObjectId(9);
        let items = Items::from(fresh);
        assert_eq!((items.spilled_bytes(), items[3], items[4]), (40, ObjectId(9), ObjectId(0)));
    }
}
