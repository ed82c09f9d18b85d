//! Memory of our own: what happens when there is none left (a sentence and exit code 1, where the default is to abort), and
//! room for large tables.
//!
//! The allocator is only for a whole program, which installs it.

use nix::libc;
use std::alloc::{GlobalAlloc, Layout, System};

/// From here on a block is worth large pages.
const LARGE: usize = 2 << 20;

/// An empty vector with room for `n`, in large pages where the system gives them. A fault of a page of 4 KiB takes 5 to
/// 10 µs on a virtual machine, more than most passes need for what is in it.
pub fn roomy<T>(n: usize) -> Vec<T> {
    let room: Vec<T> = Vec::with_capacity(n);
    let bytes = room.capacity().saturating_mul(size_of::<T>());
    if bytes >= LARGE {
        let from = (room.as_ptr() as usize).next_multiple_of(4096);
        let len = (room.as_ptr() as usize + bytes).saturating_sub(from) / 4096 * 4096;
        // SAFETY: advice on whole pages within a block that is ours; it changes nothing of what is in them. Where it is not
        // taken, the pages are small ones.
        unsafe { libc::madvise(from as *mut libc::c_void, len, libc::MADV_HUGEPAGE) };
    }
    room
}

/// The system's allocator; ends the program with a sentence when it has nothing to give.
pub struct OrSayIt;

const SENTENCE: &[u8] = b"pymem-tui: there is not enough memory; raise the limit (ulimit -v) or close other programs\n";

#[cold]
fn say_it() -> ! {
    // SAFETY: two system calls, on memory that is there; nothing of ours runs after them.
    unsafe {
        libc::write(2, SENTENCE.as_ptr().cast(), SENTENCE.len());
        libc::_exit(1)
    }
}

fn checked(bytes: *mut u8) -> *mut u8 {
    if bytes.is_null() { say_it() } else { bytes }
}

// SAFETY: every call goes to the system's allocator as it came, and what it gives is given on.
unsafe impl GlobalAlloc for OrSayIt {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of this method, which is that of the one called.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, bytes: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.realloc(bytes, layout, size) })
    }

    unsafe fn dealloc(&self, bytes: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(bytes, layout) }
    }
}
