//! Killing the program at a chosen system call, and looking for what it left.
//!
//! The program is traced while it traces: it stops before and after each of its system calls that touch the process.
//! Nothing in it knows of this.

use super::target::{self, BINARY, until};
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Calls before and after which it may be killed.
const TOUCHING: [i64; 3] = [libc::SYS_ptrace, libc::SYS_process_vm_writev, libc::SYS_sched_setscheduler];

/// Captures `pid` through a fork and kills the program at the `step`th stop of such a call. False when it came to its
/// end before.
#[allow(clippy::zombie_processes)] // it is waited for below, with all its threads
pub fn at_step(pid: i32, step: usize) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    command.args(["capture", "-q", "--mode", "fork", "--threads", "1", "--pid", &pid.to_string(), "-o"]);
    command.arg(folder.path().join("dump")).stdout(std::process::Stdio::null());
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().unwrap();
    let tool = Pid::from_raw(child.id() as i32);
    let mut steps = 0;
    let mut set_up = false;
    loop {
        let mut status = 0;
        // SAFETY: `status` is where the kernel writes. Only children of this thread are waited for: those of other tests
        // are theirs.
        let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        assert!(tid > 0, "nothing is left to wait for");
        if !libc::WIFSTOPPED(status) {
            if tid == tool.as_raw() {
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the capture failed: {status:x}");
                return false;
            }
            continue;
        }
        let tid = Pid::from_raw(tid);
        if !set_up {
            let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
                | ptrace::Options::PTRACE_O_TRACECLONE
                | ptrace::Options::PTRACE_O_EXITKILL;
            ptrace::setoptions(tid, options).unwrap();
            set_up = true;
        }
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80 && touches(tid) {
            if steps == step {
                kill(tool, Signal::SIGKILL).unwrap();
                reap(tool);
                return true;
            }
            steps += 1;
        }
        // a new thread begins with a stop of its own, an event is none of its signals
        let deliver = if matches!(signal, libc::SIGTRAP | libc::SIGSTOP) || signal & 0x80 != 0 { 0 } else { signal };
        // SAFETY: touches no memory of ours.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid.as_raw(), 0usize, deliver as libc::c_long) };
    }
}

fn touches(tid: Pid) -> bool {
    ptrace::getregs(tid).is_ok_and(|regs| TOUCHING.contains(&(regs.orig_rax as i64)))
}

/// Waits until nothing is left of the program, its threads too.
fn reap(tool: Pid) {
    loop {
        let mut status = 0;
        // SAFETY: as above.
        let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        if tid == tool.as_raw() && !libc::WIFSTOPPED(status) {
            return;
        }
        assert!(tid > 0, "the program was not there to be reaped");
    }
}

/// The process runs free, with the signals blocked that it blocks itself, and nothing is left of the capture.
pub fn left_alone(pid: i32, what: &str) {
    until(&format!("{what}: every thread runs"), || target::all_run(pid));
    until(&format!("{what}: no signal is blocked"), || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let blocked = |tid: &str| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
            status.lines().find_map(|l| Some(l.strip_prefix("SigBlk:")?.trim().to_owned()))
        };
        // all of them were blocked while a thread worked for us
        tasks
            .map(|t| t.file_name().to_string_lossy().into_owned())
            .all(|t| blocked(&t).is_none_or(|b| !b.starts_with("fffffff")))
    });
    nothing_is_left_of(pid);
}

/// No process has the memory of `pid` or was made by it without its doing.
pub fn nothing_is_left_of(pid: i32) {
    let own = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    until("nothing is left of its child", || copies(pid, &own).is_empty());
}

/// Processes that were made of `pid`, whose command line is `own`, without its doing.
pub fn copies(pid: i32, own: &[u8]) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let others = processes.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()).filter(|p| *p != pid);
    let copies = others.filter(|p| {
        let stat = stat(*p);
        // told to nobody when it ends, and below it or with its memory
        stat.is_some_and(|(parent, exit_signal)| exit_signal == 0 && parent == pid)
            || std::fs::read(format!("/proc/{p}/cmdline")).is_ok_and(|c| c == own)
                && stat.is_some_and(|(parent, _)| parent != pid && parent != std::process::id() as i32)
    });
    copies.collect()
}

/// The children of `pid` that it did not make.
pub fn children(pid: i32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let all = processes.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|p| stat(*p) == Some((pid, 0))).collect()
}

/// Parent and exit signal.
fn stat(pid: i32) -> Option<(i32, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some((fields.get(1)?.parse().ok()?, fields.get(35)?.parse().ok()?))
}
