//! Instructions that a process holds already, found in its program text: to make system calls from, and to fall back on.
//!
//! Nothing is added to a process's code. Reading is all that is done here.

use crate::capture::proc::Map;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Addresses of instructions in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gadgets {
    /// `syscall; ret`
    pub call: u64,
    /// `mov $15, %rax; syscall`: back from a signal handler (rt_sigreturn), as every C library has it.
    pub sigreturn: u64,
    /// `mov $231, %eax; syscall` (exit_group), or 60 (exit).
    pub exit: u64,
}

const CALL: &[&[u8]] = &[b"\x0f\x05\xc3"];
const SIGRETURN: &[&[u8]] = &[b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", b"\xb8\x0f\x00\x00\x00\x0f\x05"];
const EXIT: &[&[u8]] = &[b"\xb8\xe7\x00\x00\x00\x0f\x05", b"\xb8\x3c\x00\x00\x00\x0f\x05"];

/// No program text is as large; what is is not looked through.
const LARGEST: u64 = 256 << 20;

impl Gadgets {
    /// Looks through the program text of `tid`: the C library's first.
    pub(super) fn find(tid: i32, maps: &[Map]) -> Option<Gadgets> {
        let mem = File::open(format!("/proc/{tid}/mem")).ok()?;
        let mut text: Vec<&Map> = maps.iter().filter(|m| m.executable() && m.readable() && m.is_file()).collect();
        let name = |m: &Map| m.name.as_ref().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let is_library = |m: &Map| ["libc.", "libc-", "/ld-"].iter().any(|part| name(m).contains(part));
        text.sort_by_key(|m| !is_library(m));
        let mut found = [None; 3];
        for map in text.into_iter().filter(|m| m.end - m.start <= LARGEST) {
            let mut bytes = vec![0; (map.end - map.start) as usize];
            if mem.read_exact_at(&mut bytes, map.start).is_err() {
                continue;
            }
            for (place, patterns) in found.iter_mut().zip([CALL, SIGRETURN, EXIT]) {
                let first = || patterns.iter().find_map(|p| crate::snapshot::find_bytes(&bytes, p));
                *place = place.or_else(|| Some(map.start + first()? as u64));
            }
            if let [Some(call), Some(sigreturn), Some(exit)] = found {
                return Some(Gadgets { call, sigreturn, exit });
            }
        }
        None
    }
}
