//! The one bounds-checked way to read a snapshot.

use super::{Addr, Region, Snapshot};
use std::cell::Cell;

/// Reads a snapshot from one thread. Remembers which regions it was in, so that the common read is a few
/// instructions; make one per thread, it is cheap.
pub struct Reader<'s> {
    regions: &'s [Region],
    words: u64,
    /// First address and bytes of regions seen lately, by bits of the address.
    recent: [Cell<(u64, &'s [u8])>; SLOTS],
}

const SLOTS: usize = 64;

/// The address is not in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in the snapshot")]
pub struct Unreadable(pub Addr);

impl<'s> Reader<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Self {
        Reader {
            regions: &snapshot.regions,
            words: snapshot.bytes() / 8,
            recent: [const { Cell::new((0, &[] as &[u8])) }; SLOTS],
        }
    }

    /// The captured bytes from `addr` to the end of its region; empty when `addr` is not captured.
    #[inline]
    pub fn tail(&self, addr: Addr) -> &'s [u8] {
        let slot = &self.recent[(addr.0 >> 20) as usize % SLOTS];
        let (start, bytes) = slot.get();
        let offset = addr.0.wrapping_sub(start);
        if offset < bytes.len() as u64 {
            return &bytes[offset as usize..];
        }
        self.find(addr, slot)
    }

    #[cold]
    fn find(&self, addr: Addr, slot: &Cell<(u64, &'s [u8])>) -> &'s [u8] {
        let Some(i) = self.regions.partition_point(|r| r.start <= addr).checked_sub(1) else { return &[] };
        match self.regions.get(i) {
            Some(region) if region.contains(addr) => {
                slot.set((region.start.0, region.bytes()));
                region.bytes().get((addr.0 - region.start.0) as usize..).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// How many 8-byte words were captured: no object can hold more pointers than this.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// `len` bytes at `addr` as slices in order, across regions that touch. Ends early where memory is not captured.
    pub fn chunks(&self, addr: Addr, len: u64) -> impl Iterator<Item = (Addr, &'s [u8])> + '_ {
        let mut at = addr;
        let mut left = len;
        std::iter::from_fn(move || {
            let tail = self.tail(at);
            let piece = tail.get(..(tail.len() as u64).min(left) as usize).filter(|p| !p.is_empty())?;
            let here = at;
            at = at + piece.len() as u64;
            left -= piece.len() as u64;
            Some((here, piece))
        })
    }

    /// Fills `buffer` from `addr`. `Err` names the first address that is not captured; what came before it is filled.
    pub fn read(&self, addr: Addr, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let mut filled = 0;
        for (_, piece) in self.chunks(addr, buffer.len() as u64) {
            buffer[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        if filled == buffer.len() { Ok(()) } else { Err(Unreadable(addr + filled as u64)) }
    }

    /// `len` bytes at `addr` without copying; `None` when they are not captured or not in one region.
    #[inline]
    pub fn slice(&self, addr: Addr, len: usize) -> Option<&'s [u8]> {
        self.tail(addr).get(..len)
    }

    /// The bytes at `addr` up to a NUL, at most `max`.
    pub fn c_string(&self, addr: Addr, max: usize) -> Option<&'s [u8]> {
        let tail = self.tail(addr);
        let tail = &tail[..tail.len().min(max)];
        let end = tail.iter().position(|b| *b == 0)?;
        Some(&tail[..end])
    }

    #[inline]
    fn array<const N: usize>(&self, addr: Addr) -> Option<[u8; N]> {
        if let Some(bytes) = self.tail(addr).first_chunk::<N>() {
            return Some(*bytes);
        }
        let mut bytes = [0; N];
        self.read(addr, &mut bytes).ok().map(|()| bytes)
    }

    /// An 8-byte little-endian word.
    #[inline]
    pub fn u64(&self, addr: Addr) -> Option<u64> {
        self.array(addr).map(u64::from_le_bytes)
    }

    /// A signed 8-byte word (`Py_ssize_t`).
    #[inline]
    pub fn i64(&self, addr: Addr) -> Option<i64> {
        self.array(addr).map(i64::from_le_bytes)
    }

    /// A 4-byte word.
    #[inline]
    pub fn u32(&self, addr: Addr) -> Option<u32> {
        self.array(addr).map(u32::from_le_bytes)
    }

    /// A signed 4-byte word (`int`).
    #[inline]
    pub fn i32(&self, addr: Addr) -> Option<i32> {
        self.array(addr).map(i32::from_le_bytes)
    }

    /// A 2-byte word.
    #[inline]
    pub fn u16(&self, addr: Addr) -> Option<u16> {
        self.array(addr).map(u16::from_le_bytes)
    }

    /// A byte.
    #[inline]
    pub fn u8(&self, addr: Addr) -> Option<u8> {
        self.tail(addr).first().copied()
    }

    /// A pointer; `None` when `addr` cannot be read, [`Addr::NULL`] is a value.
    #[inline]
    pub fn pointer(&self, addr: Addr) -> Option<Addr> {
        self.u64(addr).map(Addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_touching_regions() -> Snapshot {
        Snapshot::from_memory(vec![(Addr(0x1000), vec![1; 16]), (Addr(0x1010), vec![2; 16])], None)
    }

    #[test]
    fn a_read_may_cross_regions_that_touch() {
        let snapshot = two_touching_regions();
        let reader = snapshot.reader();
        assert_eq!(reader.u64(Addr(0x100c)), Some(0x0202_0202_0101_0101));
        assert_eq!(reader.slice(Addr(0x100c), 8), None);
        assert_eq!(
            reader.chunks(Addr(0x1008), 100).map(|(a, b)| (a.0, b.len())).collect::<Vec<_>>(),
            [(0x1008, 8), (0x1010, 16)]
        );
    }

    #[test]
    fn what_is_not_captured_is_an_error_with_its_address() {
        let snapshot = two_touching_regions();
        let reader = snapshot.reader();
        let mut buffer = [0; 8];
        assert_eq!(reader.read(Addr(0x101c), &mut buffer), Err(Unreadable(Addr(0x1020))));
        assert_eq!(reader.u64(Addr(u64::MAX - 3)), None);
        assert_eq!(reader.u8(Addr(0xfff)), None);
        assert_eq!(reader.tail(Addr(0x1020)), &[] as &[u8]);
    }

    #[test]
    fn a_c_string_without_an_end_is_none() {
        let snapshot = Snapshot::from_memory(vec![(Addr(0x1000), b"name\0rest".to_vec())], None);
        let reader = snapshot.reader();
        assert_eq!(reader.c_string(Addr(0x1000), 100), Some(b"name".as_slice()));
        assert_eq!(reader.c_string(Addr(0x1000), 3), None);
        assert_eq!(reader.c_string(Addr(0x1005), 100), None);
    }
}
