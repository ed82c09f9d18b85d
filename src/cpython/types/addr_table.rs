//! A map from addresses to numbers.
//!
//! Made for being asked a hundred million times and never changed. Which numbers these are is the caller's business.

use crate::snapshot::Addr;

/// A map from addresses to numbers, made for being asked a hundred million times.
#[derive(Debug, Clone, Default)]
pub struct AddrTable {
    slots: Vec<(u64, u32)>,
    shift: u32,
}

impl AddrTable {
    /// From distinct addresses, none of them null. A quarter full, so that a miss usually ends at the first look.
    pub fn new(entries: impl ExactSizeIterator<Item = (Addr, u32)>) -> AddrTable {
        let size = (entries.len() * 4).next_power_of_two().max(16);
        let mut table = AddrTable { slots: vec![(0, 0); size], shift: 64 - size.trailing_zeros() };
        for (addr, value) in entries {
            let mut i = table.start(addr.0);
            while table.slots[i].0 != 0 {
                i = (i + 1) & (size - 1);
            }
            table.slots[i] = (addr.0, value);
        }
        table
    }

    #[inline]
    fn start(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// The number of an address.
    #[inline]
    pub fn get(&self, addr: Addr) -> Option<u32> {
        if self.slots.is_empty() || addr.is_null() {
            return None;
        }
        let mut i = self.start(addr.0);
        loop {
            let (key, value) = self.slots[i];
            if key == addr.0 {
                return Some(value);
            }
            if key == 0 {
                return None;
            }
            i = (i + 1) & (self.slots.len() - 1);
        }
    }
}
