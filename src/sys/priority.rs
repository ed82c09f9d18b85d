//! Threads that work in the background give way to the one that draws; what keeps another process waiting is hurried.

/// Lowers the priority of the calling thread, as far as the system lets it; on Linux `nice` is a thread's own.
pub fn give_way() {
    // SAFETY: takes a number and touches no memory of ours; that it may fail does not matter.
    unsafe { nix::libc::nice(10) };
}

/// While this lives, the calling thread goes before all ordinary ones, where the system lets it (CAP_SYS_NICE).
#[derive(Debug)]
pub struct Urgent(());

/// Hurries the calling thread, and no thread that it makes.
pub fn urgent() -> Urgent {
    schedule(0, nix::libc::SCHED_FIFO | nix::libc::SCHED_RESET_ON_FORK, 1);
    Urgent(())
}

impl Drop for Urgent {
    fn drop(&mut self) {
        schedule(0, nix::libc::SCHED_OTHER, 0);
    }
}

/// Hurries thread `tid` for the rest of its life, and no thread or process that it makes.
pub fn hurry(tid: i32) {
    schedule(tid, nix::libc::SCHED_FIFO | nix::libc::SCHED_RESET_ON_FORK, 2);
}

fn schedule(tid: i32, policy: i32, priority: i32) {
    // SAFETY: plain integers, for which all zeros is a value (musl has more fields than the priority).
    let mut parameters: nix::libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: the kernel reads the parameters; that it may refuse does not matter.
    unsafe { nix::libc::sched_setscheduler(tid, policy, &parameters) };
}
