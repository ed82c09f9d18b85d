//! Child processes that do not outlive us.

use nix::sys::signal::Signal;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The kernel ends the child when the thread that starts it ends, whatever ends it.
pub fn ends_with_us(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec, prctl is one system call and allocates nothing.
    unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) }
}
