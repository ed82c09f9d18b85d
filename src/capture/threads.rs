//! Stopping every thread of a process, and letting go of them whatever happens.
//!
//! PTRACE_SEIZE and PTRACE_INTERRUPT only: SIGSTOP would tell the parent, and outlive us if we were killed. ptrace
//! belongs to the thread that calls it: [`Stopped`] stays on it, and should that thread end, the kernel lets go.

use super::error::{CaptureError, denied};
use super::proc::{self, ThreadFacts};
use crate::snapshot::{Addr, meta};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// A thread in an uninterruptible wait is waited for so long, then left: it cannot reach user mode without stopping.
const PATIENCE_D: Duration = Duration::from_millis(2);

/// Any other thread stops as soon as it is scheduled; on a machine that does not get to it in so long, we give up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process all of whose threads stand still. Dropping it lets them go.
pub(super) struct Stopped {
    pid: i32,
    threads: Vec<Tracee>,
    known: HashSet<i32>,
    since: Instant,
    /// ptrace calls of another thread would fail.
    _this_thread: PhantomData<*const ()>,
}

struct Tracee {
    tid: i32,
    facts: ThreadFacts,
    hold: Hold,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Seized, not stopped (yet).
    Seized,
    /// Stopped; this signal was on its way to the thread and is handed on when it is let go.
    Stopped { signal: i32 },
    /// Ended.
    Gone,
}

impl Stopped {
    /// Stops every thread of `pid`. On an error those that were stopped already run again.
    pub(super) fn stop(pid: i32) -> Result<Stopped, CaptureError> {
        let mut all = Stopped {
            pid,
            threads: Vec::new(),
            known: HashSet::new(),
            since: Instant::now(),
            _this_thread: PhantomData,
        };
        while all.seize_new()? > 0 {}
        all.since = Instant::now();
        let mut next = 0;
        while next < all.threads.len() {
            all.interrupt(next)?;
            next = all.threads.len();
            all.seize_new()?; // made by a thread before it stopped
        }
        if all.threads.iter().all(|t| t.hold == Hold::Gone) {
            return Err(CaptureError::Exited(pid));
        }
        Ok(all)
    }

    fn seize_new(&mut self) -> Result<usize, CaptureError> {
        let mut added = 0;
        for tid in proc::tasks(self.pid).map_err(|e| CaptureError::system(self.pid, "its threads", e))? {
            if self.known.contains(&tid) {
                continue;
            }
            let facts = proc::thread_facts(tid); // before the seizure, which changes the state of a stopped thread
            match ptrace::seize(Pid::from_raw(tid), ptrace::Options::empty()) {
                Ok(()) => {
                    self.known.insert(tid);
                    self.threads.push(Tracee { tid, facts, hold: Hold::Seized });
                    added += 1;
                }
                Err(Errno::ESRCH) => {}
                // a leader that ended before its threads stays in the list as a zombie
                Err(Errno::EPERM) if matches!(proc::state(tid), Some('Z' | 'X') | None) => {
                    self.known.insert(tid);
                }
                Err(Errno::EPERM) => return Err(denied(self.pid)),
                Err(error) => return Err(CaptureError::system(self.pid, "PTRACE_SEIZE", error.into())),
            }
        }
        Ok(added)
    }

    /// Interrupts the threads from `first` on and waits until they stand still.
    fn interrupt(&mut self, first: usize) -> Result<(), CaptureError> {
        for thread in self.threads.iter().skip(first) {
            let _ = ptrace::interrupt(Pid::from_raw(thread.tid)); // fails for one that is gone: seen below
        }
        let asked = Instant::now();
        for thread in self.threads.iter_mut().skip(first) {
            thread.hold = loop {
                match wait_until(thread.tid, asked + PATIENCE_D) {
                    Hold::Seized if proc::state(thread.tid) == Some('D') => break Hold::Seized,
                    Hold::Seized if asked.elapsed() > PATIENCE => {
                        let error = std::io::Error::other(format!("thread {} does not stop", thread.tid));
                        return Err(CaptureError::System { pid: self.pid, what: "PTRACE_INTERRUPT", error });
                    }
                    Hold::Seized => std::thread::sleep(Duration::from_micros(50)),
                    hold => break hold,
                }
            };
        }
        Ok(())
    }

    /// A thread through which the memory can be reached: the leader may have ended before the others.
    pub(super) fn any_tid(&self) -> i32 {
        let alive = |t: &&Tracee| t.hold != Hold::Gone;
        self.threads
            .iter()
            .find(|t| t.tid == self.pid)
            .filter(alive)
            .or_else(|| self.threads.iter().find(alive))
            .map_or(self.pid, |t| t.tid)
    }

    /// The threads as they stand.
    pub(super) fn describe(&self) -> Vec<meta::Thread> {
        self.threads.iter().filter(|t| t.hold != Hold::Gone).map(describe).collect()
    }

    /// Threads that go on without having been stopped, because they wait in the kernel.
    pub(super) fn unstopped(&self) -> Vec<i32> {
        self.threads.iter().filter(|t| t.hold == Hold::Seized).map(|t| t.tid).collect()
    }

    /// Lets go and tells how long the process stood still.
    pub(super) fn release(mut self) -> Duration {
        self.detach();
        self.since.elapsed()
    }

    fn detach(&mut self) {
        for thread in &mut self.threads {
            if let Hold::Stopped { signal } = thread.hold {
                detach(thread.tid, signal);
                thread.hold = Hold::Gone;
            }
        }
        // One that has come to its stop meanwhile must not stay in it. For the rest the kernel does it when this
        // thread, which exists for the capture alone, ends.
        for thread in &mut self.threads {
            if thread.hold == Hold::Seized
                && let Hold::Stopped { signal } = wait_until(thread.tid, Instant::now())
            {
                detach(thread.tid, signal);
                thread.hold = Hold::Gone;
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.detach();
    }
}

fn detach(tid: i32, signal: i32) {
    // SAFETY: PTRACE_DETACH takes a signal number as data and touches no memory of ours. nix's wrapper knows no
    // real-time signals.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, 0usize, signal as libc::c_long) };
}

/// Waits for a stop of `tid`; [`Hold::Seized`] when there was none by `deadline`.
fn wait_until(tid: i32, deadline: Instant) -> Hold {
    let mut rounds = 0;
    loop {
        let mut status = 0;
        // SAFETY: `status` is where the kernel writes. nix's wrapper fails on real-time signals after consuming them.
        let got = unsafe { libc::waitpid(tid, &mut status, libc::__WALL | libc::WNOHANG) };
        if got == tid {
            if !libc::WIFSTOPPED(status) {
                return Hold::Gone;
            }
            // an event (our interrupt, or a stop by someone else) carries no signal to hand on
            let event = status >> 16;
            return Hold::Stopped { signal: if event == 0 { libc::WSTOPSIG(status) } else { 0 } };
        }
        if got < 0 && Errno::last() != Errno::EINTR {
            return Hold::Gone;
        }
        if Instant::now() >= deadline {
            return Hold::Seized;
        }
        rounds += 1;
        if rounds < 20 { std::thread::yield_now() } else { std::thread::sleep(Duration::from_micros(20)) }
    }
}

fn describe(thread: &Tracee) -> meta::Thread {
    let registers = match thread.hold {
        Hold::Stopped { .. } => ptrace::getregs(Pid::from_raw(thread.tid)).ok(),
        _ => None,
    };
    meta::Thread {
        tid: thread.tid,
        name: thread.facts.name.clone(),
        state: thread.facts.state.clone(),
        wchan: thread.facts.wchan.clone(),
        syscall: registers.as_ref().and_then(blocked_in),
        registers: registers.as_ref().map(by_name).unwrap_or_default(),
    }
}

/// The call that the stop interrupted: the kernel's restart codes (or EINTR) in `rax` tell that the arguments are
/// still in their registers.
fn blocked_in(regs: &libc::user_regs_struct) -> Option<meta::Syscall> {
    let (number, result) = (regs.orig_rax as i64, regs.rax as i64);
    let interrupted = (-516..=-512).contains(&result) || result == -i64::from(libc::EINTR);
    let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
    (number >= 0 && interrupted).then(|| meta::Syscall { number, args: args.map(Addr).to_vec() })
}

fn by_name(regs: &libc::user_regs_struct) -> BTreeMap<String, Addr> {
    macro_rules! named {
        ($($name:ident)*) => { [$((stringify!($name), regs.$name)),*] };
    }
    let all = named!(r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss
                     fs_base gs_base ds es fs gs);
    all.into_iter().map(|(name, value)| (name.to_owned(), Addr(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regs(orig_rax: i64, rax: i64) -> libc::user_regs_struct {
        // SAFETY: a struct of integers, for which all zeros is a value.
        let mut regs: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        (regs.orig_rax, regs.rax, regs.rdi, regs.r9) = (orig_rax as u64, rax as u64, 0x7f00, 6);
        regs
    }

    #[test]
    fn only_an_interrupted_call_counts_as_blocked() {
        let futex = blocked_in(&regs(202, -512)).unwrap();
        assert_eq!((futex.number, futex.args.len(), futex.args[0], futex.args[5]), (202, 6, Addr(0x7f00), Addr(6)));
        assert!(blocked_in(&regs(232, -4)).is_some() && blocked_in(&regs(230, -516)).is_some());
        assert_eq!(blocked_in(&regs(-1, -512)), None);
        assert_eq!(blocked_in(&regs(0, 17)), None);
    }

    #[test]
    fn every_register_has_its_name() {
        let named = by_name(&regs(202, -512));
        assert_eq!(named.len(), 27);
        assert_eq!((named["orig_rax"], named["rdi"]), (Addr(202), Addr(0x7f00)));
        assert!(named.contains_key("fs_base"));
    }
}
