//! Mapped files that may shrink or fail under our eyes.
//!
//! Reading a mapped page that its file no longer has raises SIGBUS. The handler here maps zeros over what is gone and
//! marks the mapping; whoever reads goes on with zeros, and whoever answers looks at the mark first
//! ([`Snapshot::damage`](super::Snapshot::damage)). A SIGBUS anywhere else does what it did before.

use memmap2::Mmap;
use nix::libc;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, Once, PoisonError};
use std::time::SystemTime;

const PAGE: usize = 4096;

/// A read-only mapping whose lost pages read as zeros.
#[derive(Debug)]
pub(super) struct Guarded {
    map: Mmap,
    slot: &'static Slot,
    /// What the file was when it was mapped, for one that has a name.
    seen: Option<(PathBuf, Seen)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    identity: (u64, u64),
    /// What changes when a file is written to.
    state: (u64, Option<SystemTime>),
}

impl Seen {
    fn of(info: &Metadata) -> Seen {
        Seen { identity: (info.dev(), info.ino()), state: (info.len(), info.modified().ok()) }
    }
}

impl Guarded {
    /// Maps all of `file`. With a `name`, [`changed`](Self::changed) also notices that it was written to.
    pub(super) fn map(file: &File, name: Option<&Path>) -> io::Result<Guarded> {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(install);
        let info = file.metadata()?;
        // SAFETY: the mapping is read-only and private. That the file may shrink while it is mapped is what the
        // handler is for; that its bytes may change is no more than any hostile snapshot could hold.
        let map = unsafe { Mmap::map(file) }?;
        let start = map.as_ptr() as usize;
        let slot = Slot::claim(start, start + map.len().next_multiple_of(PAGE));
        let seen = name.map(|name| (name.to_owned(), Seen::of(&info)));
        Ok(Guarded { map, slot, seen })
    }

    /// Whether pages were lost, or the file is another than when it was mapped.
    pub(super) fn changed(&self) -> bool {
        if self.slot.lost.load(SeqCst) {
            return true;
        }
        let Some((path, seen)) = &self.seen else { return false };
        // one that was removed or replaced lives on behind the mapping
        let Ok(info) = std::fs::metadata(path) else { return false };
        let now = Seen::of(&info);
        now.identity == seen.identity && now.state != seen.state
    }
}

impl Deref for Guarded {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // before the mapping goes: another may get its place
        self.slot.end.store(0, SeqCst);
        self.slot.start.store(0, SeqCst);
    }
}

/// A mapping that the handler knows; slots are used again and never freed, so that the handler may walk them.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    lost: AtomicBool,
    next: AtomicPtr<Slot>,
}

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

fn slots() -> impl Iterator<Item = &'static Slot> {
    let mut at = SLOTS.load(SeqCst);
    std::iter::from_fn(move || {
        // SAFETY: every pointer in the list comes from Box::leak.
        let slot: &'static Slot = unsafe { at.as_ref() }?;
        at = slot.next.load(SeqCst);
        Some(slot)
    })
}

impl Slot {
    fn claim(start: usize, end: usize) -> &'static Slot {
        static CLAIM: Mutex<()> = Mutex::new(());
        let _one_at_a_time = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots().find(|s| s.start.load(SeqCst) == 0).unwrap_or_else(|| {
            let new = Box::leak(Box::new(Slot {
                start: AtomicUsize::new(0),
                end: AtomicUsize::new(0),
                lost: AtomicBool::new(false),
                next: AtomicPtr::new(SLOTS.load(SeqCst)),
            }));
            SLOTS.store(new, SeqCst);
            new
        });
        slot.lost.store(false, SeqCst);
        slot.start.store(start, SeqCst);
        slot.end.store(end, SeqCst);
        slot
    }
}

/// What SIGBUS did before us, as a `sigaction` that the handler puts back.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

fn install() {
    // SAFETY: all zeros is a value of this struct of integers, and the kernel fills it in below.
    let before = Box::leak(Box::new(unsafe { std::mem::zeroed::<libc::sigaction>() }));
    // SAFETY: asks for the present action, into memory of its type.
    unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), before) };
    BEFORE.store(before, SeqCst);
    // SAFETY: as above.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = lost as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the handler touches atomics and memory that is never freed, and calls mmap and sigaction, which are
    // system calls and nothing more.
    unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };
}

extern "C" fn lost(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid siginfo to a handler with SA_SIGINFO.
    let at = unsafe { (*info).si_addr() } as usize;
    for slot in slots() {
        let (start, end) = (slot.start.load(SeqCst), slot.end.load(SeqCst));
        if start == 0 || at < start || at >= end {
            continue;
        }
        slot.lost.store(true, SeqCst);
        // what lies behind a page that a file lost is lost too: one fault, not one for each page
        let page = at & !(PAGE - 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range is within a mapping of ours, which is read only and stays mapped as long as its slot says
        // so; readers see zeros where the file had bytes.
        let got = unsafe { libc::mmap(page as *mut libc::c_void, end - page, libc::PROT_READ, flags, -1, 0) };
        if got != libc::MAP_FAILED {
            return;
        }
    }
    // SAFETY: puts back what was there; the instruction faults again and gets it.
    unsafe { libc::sigaction(libc::SIGBUS, BEFORE.load(SeqCst), std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_shrinks_reads_as_zeros_and_is_marked() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 64 * PAGE]).unwrap();
        let map = Guarded::map(file.as_file(), Some(file.path())).unwrap();
        let other = Guarded::map(file.as_file(), None).unwrap();
        assert!(map[40 * PAGE] == 7 && !map.changed());
        file.as_file().set_len(10 * PAGE as u64).unwrap();
        assert_eq!((map[9 * PAGE], map[10 * PAGE], map[63 * PAGE], map[30 * PAGE + 5]), (7, 0, 0, 0));
        assert!(map.changed() && !other.changed());
        assert_eq!(other[50 * PAGE], 0);
        assert!(other.changed());
    }

    #[test]
    fn a_file_that_is_written_to_is_noticed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 2 * PAGE]).unwrap();
        let map = Guarded::map(file.as_file(), Some(file.path())).unwrap();
        file.as_file().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(map.changed());
    }

    #[test]
    fn a_place_is_used_again() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; PAGE]).unwrap();
        let before = slots().count();
        for _ in 0..100 {
            let _ = Guarded::map(file.as_file(), None).unwrap();
        }
        assert!(slots().count() < before + 50, "places are not used again");
    }
}
