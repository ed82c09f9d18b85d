//! Threads that work in the background give way to the one that draws.

/// Lowers the priority of the calling thread, as far as the system lets it; on Linux `nice` is a thread's own.
pub fn give_way() {
    // SAFETY: takes a number and touches no memory of ours; that it may fail does not matter.
    unsafe { nix::libc::nice(10) };
}
