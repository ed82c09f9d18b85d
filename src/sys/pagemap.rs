//! Which pages of a process are present, swapped, of a file, or the zero page.
//!
//! Three ways, best first: the `PAGEMAP_SCAN` ioctl (Linux 6.7), the `/proc/PID/pagemap` words, nothing. Which pages
//! are worth copying is not decided here.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Bytes in a page.
pub const PAGE: u64 = 4096;

/// What the kernel says about a run of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// In memory.
    pub present: bool,
    /// A page of the mapped file (or shared memory), not a private copy.
    pub file: bool,
    /// The shared page of zeros. Only known to `PAGEMAP_SCAN`.
    pub zero: bool,
}

/// The page tables of one process.
pub struct Pagemap {
    file: File,
    scan: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO: u64 = 1 << 5;

nix::ioctl_readwrite!(pagemap_scan, b'f', 16, ScanArg);

impl Pagemap {
    /// Opens the page tables of `pid`.
    pub fn open(pid: i32) -> io::Result<Pagemap> {
        let mut map = Pagemap { file: File::open(format!("/proc/{pid}/pagemap"))?, scan: true };
        // asked on an empty range: kernels before 6.7 answer ENOTTY
        map.scan = map.scan_once(0, 0, &mut [PageRegion::default()]).is_ok();
        Ok(map)
    }

    /// Calls `each` with every run of present or swapped pages between `start` and `end`, in order.
    pub fn runs(&self, start: u64, end: u64, mut each: impl FnMut(Range<u64>, Pages)) -> io::Result<()> {
        if self.scan { self.scan_runs(start, end, &mut each) } else { self.read_runs(start, end, &mut each) }
    }

    fn scan_runs(&self, start: u64, end: u64, each: &mut dyn FnMut(Range<u64>, Pages)) -> io::Result<()> {
        let mut found = vec![PageRegion::default(); 4096];
        let mut at = start;
        while at < end {
            let (count, walked) = self.scan_once(at, end, &mut found)?;
            let runs = found.get(..count).unwrap_or_default();
            for run in runs {
                let is = |bit| run.categories & bit != 0;
                let pages = Pages { present: is(IS_PRESENT), file: is(IS_FILE), zero: is(IS_ZERO) };
                each(run.start..run.end, pages);
            }
            // 6.18 says less than it walked once there were more than 512 runs: what was told would be told again
            let walked = runs.last().map_or(walked, |run| walked.max(run.end));
            if walked <= at {
                break;
            }
            at = walked;
        }
        Ok(())
    }

    fn scan_once(&self, start: u64, end: u64, found: &mut [PageRegion]) -> io::Result<(usize, u64)> {
        let mut arg = ScanArg {
            size: size_of::<ScanArg>() as u64,
            start,
            end,
            vec: found.as_mut_ptr() as u64,
            vec_len: found.len() as u64,
            category_anyof_mask: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT | IS_FILE | IS_ZERO,
            ..ScanArg::default()
        };
        // SAFETY: the argument has the layout of `struct pm_scan_arg`; `vec` and `vec_len` describe `found`, which is
        // borrowed for the call and made of the plain words the kernel writes.
        let count = unsafe { pagemap_scan(self.file.as_raw_fd(), &mut arg) }?;
        Ok((count as usize, arg.walk_end))
    }

    fn read_runs(&self, start: u64, end: u64, each: &mut dyn FnMut(Range<u64>, Pages)) -> io::Result<()> {
        let mut words = vec![0; 512 << 10];
        let mut run: Option<(Range<u64>, Pages)> = None;
        let mut at = start;
        while at < end {
            let wanted = (((end - at) / PAGE) * 8).min(words.len() as u64) as usize;
            let got = self.file.read_at(&mut words[..wanted], at / PAGE * 8)? / 8 * 8;
            if got == 0 {
                break;
            }
            for word in words[..got].as_chunks::<8>().0 {
                let pages = decode(u64::from_le_bytes(*word));
                match &mut run {
                    Some((range, same)) if pages == Some(*same) && range.end == at => range.end += PAGE,
                    _ => {
                        if let Some((range, pages)) = run.take() {
                            each(range, pages);
                        }
                        run = pages.map(|pages| (at..at + PAGE, pages));
                    }
                }
                at += PAGE;
            }
        }
        if let Some((range, pages)) = run {
            each(range, pages);
        }
        Ok(())
    }
}

/// One word of `/proc/PID/pagemap`; `None` for a page that was never touched.
fn decode(word: u64) -> Option<Pages> {
    let bit = |n: u32| word >> n & 1 == 1;
    (bit(63) || bit(62)).then(|| Pages { present: bit(63), file: bit(61), zero: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(map: &Pagemap, at: u64, len: u64) -> Vec<Range<u64>> {
        let mut runs = Vec::new();
        map.runs(at, at + len, |run, pages| {
            if pages.present && !pages.zero {
                runs.push((run.start - at) / PAGE..(run.end - at) / PAGE);
            }
        })
        .unwrap();
        runs
    }

    #[test]
    fn many_runs_are_each_told_once() {
        let pages = 10_000;
        let mut memory = memmap2::MmapMut::map_anon(pages * PAGE as usize).unwrap();
        let _ = memory.advise(memmap2::Advice::NoHugePage);
        let touched: Vec<_> = (0..pages).step_by(2).collect();
        touched.iter().for_each(|page| memory[page * PAGE as usize] = 1);
        let expected: Vec<_> = touched.iter().map(|page| *page as u64..*page as u64 + 1).collect();
        let mut map = Pagemap::open(std::process::id() as i32).unwrap();
        let at = memory.as_ptr() as u64;
        // (in one answer, and in several)
        for (scan, part) in [(true, 1400), (true, 10_000), (false, 10_000)] {
            map.scan &= scan;
            assert_eq!(present(&map, at, part * PAGE), expected[..part as usize / 2], "{scan} {part}");
        }
    }

    #[test]
    fn both_ways_find_the_touched_pages() {
        let mut memory = memmap2::MmapMut::map_anon(64 * PAGE as usize).unwrap();
        let _ = memory.advise(memmap2::Advice::NoHugePage);
        for page in [0, 1, 2, 9, 63] {
            memory[page * PAGE as usize] = 1;
        }
        let mut map = Pagemap::open(std::process::id() as i32).unwrap();
        let expected = [0..3, 9..10, 63..64];
        assert_eq!(present(&map, memory.as_ptr() as u64, 64 * PAGE), expected);
        map.scan = false;
        assert_eq!(present(&map, memory.as_ptr() as u64, 64 * PAGE), expected);
    }
}
