//! Applying a redaction to copied bytes, word by word where nothing better is known.
//!
//! Of memory that is no object's, a word stays that could hold no text of any length: an address of captured memory,
//! small numbers, the marks of an allocator. Everything else becomes zero. Where the bytes come from, and where they
//! go, is not known here.

use super::Redaction;
use crate::snapshot::{Addr, Snapshot};
use std::ops::Range;

impl Redaction {
    /// Redacts `bytes`, a copy of the memory at `at` in `snapshot`. Both ends lie on multiples of 8.
    pub fn apply(&self, snapshot: &Snapshot, at: Addr, bytes: &mut [u8]) {
        let all = at.0..at.0 + bytes.len() as u64;
        for swept in overlapping(&self.swept, &all) {
            let mut from = swept.start;
            for kept in overlapping(&self.keep, &swept) {
                blank(snapshot, at, bytes, from..kept.start);
                from = kept.end;
            }
            blank(snapshot, at, bytes, from..swept.end);
        }
        for cleared in overlapping(&self.clear, &all) {
            let (start, end) = ((cleared.start - at.0) as usize, (cleared.end - at.0) as usize);
            if let Some(bytes) = bytes.get_mut(start..end) {
                bytes.fill(0);
            }
        }
        for masked in overlapping(&self.mask, &all) {
            let (start, end) = ((masked.start - at.0) as usize, (masked.end - at.0) as usize);
            let text = bytes.get_mut(start..end).into_iter().flatten();
            text.filter(|b| **b != 0).for_each(|b| *b = b'x');
        }
    }
}

/// The parts of `ranges` within `all`.
fn overlapping<'r>(ranges: &'r [Range<u64>], all: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<'r> {
    let (start, end) = (all.start, all.end);
    let first = ranges.partition_point(|r| r.end <= start);
    let within = ranges.iter().skip(first).take_while(move |r| r.start < end);
    within.map(move |r| r.start.max(start)..r.end.min(end))
}

/// Blanks the words that lie in `range`, in part at least.
fn blank(snapshot: &Snapshot, at: Addr, bytes: &mut [u8], range: Range<u64>) {
    let mut word_at = range.start & !7;
    while word_at < range.end {
        let offset = word_at.wrapping_sub(at.0) as usize;
        if let Some(word) = bytes.get_mut(offset..offset.wrapping_add(8)) {
            let value = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| word.get(i).copied().unwrap_or(0)));
            if !is_harmless(value, word_at, |a| snapshot.region_of(Addr(a)).is_some()) {
                // a word that an object begins or ends in keeps its part
                let (start, end) = (range.start.max(word_at) - word_at, range.end.min(word_at + 8) - word_at);
                word.iter_mut().take(end as usize).skip(start as usize).for_each(|b| *b = 0);
            }
        }
        word_at += 8;
    }
}

/// Whether both halves are characters of four bytes each.
fn is_wide_text(word: u64) -> bool {
    let is_letter = |half: u64| matches!(half, 0x20..0x3100 | 0x4e00..0xa000);
    is_letter(word & 0xffff_ffff) && is_letter(word >> 32)
}

/// User space ends here on x86-64.
const HIGHEST: u64 = 1 << 47;

/// Whether a word at an address may stay: it holds no text, as far as two or three characters are none.
pub fn is_harmless(word: u64, at: u64, is_mapped: impl Fn(u64) -> bool) -> bool {
    const SMALL: u64 = 1 << 20;
    let is_address = |a: u64| a < HIGHEST && is_mapped(a);
    let is_small = |half: u64| !(SMALL..=0xffff_ff00).contains(&half);
    let bytes = word.to_le_bytes();
    is_small(word & 0xffff_ffff) && is_small(word >> 32) && !is_wide_text(word)
        // flags in single bytes
        || bytes.iter().all(|b| *b < 0x20 || *b == 0xff)
        // what debug hooks fill memory with, and the sizes that they write the other way round
        || bytes.iter().filter(|b| **b == 0xfd).count() >= 7
        || bytes.iter().all(|b| *b == 0xcd)
        || bytes.iter().all(|b| *b == 0xdd)
        || word.swap_bytes() < SMALL
        || is_address(word & !7)
        // a link of malloc's, from 2.32 on xored with its own place
        || word >> 40 == at >> 40 && is_address(word ^ (at >> 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_and_structure_stays() {
        let mapped = |a: u64| (0x7f00_0000_0000..0x7f00_1000_0000).contains(&a);
        let harmless = |word: u64| is_harmless(word, 0x7f00_0000_8000, mapped);
        for word in [0, 1, 0x7f00_0000_1238, u64::MAX, 0xffff_ffff, 48 | 12 << 32, 65 << 32, 0x0101_0001_0100_0101] {
            assert!(harmless(word), "{word:x}");
        }
        assert!(harmless(0x7f00_0000_1238 ^ (0x7f00_0000_8000 >> 12)) && harmless(0xfdfd_fdfd_fdfd_fd6f));
        for text in [*b"password", *b"secret\0\0", *b"\0\0\0\0pass", *b"abcdefg\0", *b"a\0\0\0b\0\0\0", [0x93; 8]] {
            assert!(!harmless(u64::from_le_bytes(text)), "{text:?}");
        }
    }

    #[test]
    fn only_what_is_swept_is_blanked_and_what_is_kept_stays() {
        let snapshot = Snapshot::from_memory(vec![(Addr(0x1000), b"password".repeat(8))], None);
        let one = |range: Range<u64>| std::iter::once(range).collect();
        let keep = vec![0x1010..0x1014, 0x1028..0x1030];
        let (clear, mask) = (one(0x1028..0x102a), one(0x102d..0x102f));
        let redaction = Redaction { clear, mask, keep, swept: one(0x1008..0x1030) };
        let mut bytes = b"password".repeat(8);
        redaction.apply(&snapshot, Addr(0x1000), &mut bytes);
        let mut expected = b"password".repeat(8);
        expected[8..16].fill(0);
        expected[0x14..0x28].fill(0);
        expected[0x28..0x2a].fill(0);
        expected[0x2d..0x2f].fill(b'x');
        assert_eq!(bytes, expected);
    }
}
