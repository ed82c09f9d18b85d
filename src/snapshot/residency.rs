//! Which pages of the process were in memory when it was stopped.
//!
//! What the kernel said of each mapping, as one list of runs of pages to ask how much of a range was resident. What
//! lies in the pages is not known here.

use super::{Addr, Metadata};
use std::ops::Range;

/// The resident pages of all mappings that are in the snapshot, in address order.
#[derive(Debug, Clone, Default)]
pub struct Residency {
    runs: Vec<Range<Addr>>,
}

impl Residency {
    /// From what the kernel said; `None` when a captured mapping's pages are not known.
    pub fn of(metadata: &Metadata) -> Option<Residency> {
        let mut runs: Vec<Range<Addr>> = Vec::new();
        for mapping in metadata.regions.iter().filter(|m| m.captured) {
            for run in mapping.resident()? {
                match runs.last_mut() {
                    Some(last) if run.start < last.end => return None, // damaged: mappings do not overlap
                    Some(last) if run.start == last.end => last.end = run.end,
                    _ => runs.push(run),
                }
            }
        }
        Some(Residency { runs })
    }

    /// Something to ask about ranges in address order.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { runs: &self.runs, at: 0 }
    }

    /// Resident bytes between two addresses. `O(log n)` and the runs between them.
    pub fn between(&self, start: Addr, end: Addr) -> u64 {
        self.cursor().between(start, end)
    }
}

/// Asks about one range after the other: quick when each begins where the one before ended.
#[derive(Debug, Clone)]
pub struct Cursor<'r> {
    runs: &'r [Range<Addr>],
    at: usize,
}

impl Cursor<'_> {
    /// Resident bytes between two addresses.
    #[inline]
    pub fn between(&mut self, start: Addr, end: Addr) -> u64 {
        if let Some(run) = self.runs.get(self.at)
            && run.start <= start
            && end <= run.end
        {
            return end.0.saturating_sub(start.0);
        }
        self.seek(start);
        let mut sum = 0;
        for (i, run) in self.runs.iter().enumerate().skip(self.at) {
            if run.start >= end {
                break;
            }
            self.at = i;
            sum += run.end.min(end).0.saturating_sub(run.start.max(start).0);
        }
        sum
    }

    /// To the first run that ends after `start`.
    fn seek(&mut self, start: Addr) {
        let here = self.runs.get(self.at..).unwrap_or(&[]);
        let near = here.iter().take(8).position(|r| r.end > start);
        let follows = self.at == 0 || self.runs.get(self.at - 1).is_some_and(|r| r.end <= start);
        self.at = match near {
            Some(step) if follows => self.at + step,
            _ => self.runs.partition_point(|r| r.end <= start),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_counts_what_counting_page_by_page_gives(
            pages in prop::collection::vec(any::<bool>(), 1..60),
            ranges in prop::collection::vec((0u64..70 * 4096, 0u64..20 * 4096), 1..40),
        ) {
            let mut runs: Vec<Range<Addr>> = Vec::new();
            for (i, _) in pages.iter().enumerate().filter(|(_, p)| **p) {
                let (start, end) = (Addr(i as u64 * 4096), Addr((i as u64 + 1) * 4096));
                match runs.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => runs.push(start..end),
                }
            }
            let residency = Residency { runs };
            let mut cursor = residency.cursor();
            for (start, len) in ranges {
                let is_in = |at: u64| pages.get((at / 4096) as usize).copied().unwrap_or(false);
                let mut expected = 0;
                let mut at = start;
                while at < start + len {
                    let next = (at / 4096 + 1) * 4096;
                    expected += if is_in(at) { next.min(start + len) - at } else { 0 };
                    at = next;
                }
                prop_assert_eq!(cursor.between(Addr(start), Addr(start + len)), expected);
                prop_assert_eq!(residency.between(Addr(start), Addr(start + len)), expected);
            }
        }
    }
}
