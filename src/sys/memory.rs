//! What happens when there is no memory left: a sentence and exit code 1, where the default is to abort.
//!
//! Only for a whole program, which installs it as its allocator.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator; ends the program with a sentence when it has nothing to give.
pub struct OrSayIt;

const SENTENCE: &[u8] = b"pymem-tui: there is not enough memory; raise the limit (ulimit -v) or close other programs\n";

#[cold]
fn say_it() -> ! {
    // SAFETY: two system calls, on memory that is there; nothing of ours runs after them.
    unsafe {
        nix::libc::write(2, SENTENCE.as_ptr().cast(), SENTENCE.len());
        nix::libc::_exit(1)
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
