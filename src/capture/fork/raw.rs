//! ptrace requests that nix has no name for, and writing to the memory of a stopped thread.
//!
//! Thin: each function is one request. Only `fork` uses them, and only on threads that it has stopped.

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::uio::{RemoteIoVec, process_vm_writev};
use nix::unistd::Pid;
use std::io::IoSlice;

const NT_X86_XSTATE: usize = 0x202;
const PTRACE_GETSIGMASK: libc::c_uint = 0x420a;
const PTRACE_SETSIGMASK: libc::c_uint = 0x420b;
const PTRACE_GET_RSEQ_CONFIGURATION: libc::c_uint = 0x420f;

/// Larger than any extended state (AMX makes it 11 KB).
const LARGEST_STATE: usize = 64 << 10;

/// The signals that a thread blocks.
pub(super) fn signal_mask(tid: i32) -> Result<u64, Errno> {
    let mut mask = 0u64;
    // SAFETY: the kernel writes the 8 bytes it is told of to `mask`.
    Errno::result(unsafe { libc::ptrace(PTRACE_GETSIGMASK, tid, 8usize, &mut mask as *mut u64) })?;
    Ok(mask)
}

/// Sets the signals that a thread blocks.
pub(super) fn set_signal_mask(tid: i32, mask: u64) -> Result<(), Errno> {
    // SAFETY: the kernel reads 8 bytes of `mask`.
    Errno::result(unsafe { libc::ptrace(PTRACE_SETSIGMASK, tid, 8usize, &mask as *const u64) }).map(drop)
}

/// Sets PTRACE_O_* options.
pub(super) fn set_options(tid: i32, options: i32) -> Result<(), Errno> {
    // SAFETY: the options are data.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, tid, 0usize, c_long::from(options)) }).map(drop)
}

/// The extended state (floating point and vectors) of a thread, in the standard format.
pub(super) fn extended_state(tid: i32) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0u8; LARGEST_STATE];
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: `vector` describes `bytes`; the kernel writes no more and sets the length it wrote.
    let done = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, &mut vector as *mut libc::iovec) };
    Errno::result(done)?;
    bytes.truncate(vector.iov_len);
    Ok(bytes)
}

/// Where a thread says which restartable sequence (rseq(2)) it is in; `None` when it has none.
pub(super) fn rseq_area(tid: i32) -> Option<u64> {
    let mut configuration = [0u64; 3]; // struct ptrace_rseq_configuration: pointer, size, signature, flags, pad
    let size = size_of_val(&configuration);
    let into = configuration.as_mut_ptr();
    // SAFETY: the kernel writes at most `size` bytes to `configuration`.
    let got = unsafe { libc::ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, size, into) };
    (got > 0 && configuration[0] != 0).then_some(configuration[0])
}

/// Runs a thread to the next stop at a system call.
pub(super) fn run_to_call(tid: i32) -> Result<(), Errno> {
    // SAFETY: touches no memory of ours.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, 0usize, 0usize) }).map(drop)
}

/// Writes to the memory of a stopped process.
pub(super) fn write(tid: i32, at: u64, bytes: &[u8]) -> Result<(), Errno> {
    let remote = RemoteIoVec { base: at as usize, len: bytes.len() };
    match process_vm_writev(Pid::from_raw(tid), &[IoSlice::new(bytes)], &[remote])? {
        written if written == bytes.len() => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}
