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
    Stopped { signal: i32, by_us: bool },
    /// Ended.
    Gone,
}

impl Stopped {
    fn new(pid: i32) -> Stopped {
        let (threads, known) = (Vec::new(), HashSet::new());
        Stopped { pid, threads, known, since: Instant::now(), _this_thread: PhantomData }
    }

    /// Stops one thread of `pid`, and no other.
    pub(super) fn stop_one(pid: i32, tid: i32) -> Result<Stopped, CaptureError> {
        let mut one = Stopped::new(pid);
        ptrace::seize(Pid::from_raw(tid), ptrace::Options::empty())
            .map_err(|error| CaptureError::system(pid, "PTRACE_SEIZE", error.into()))?;
        one.threads.push(Tracee { tid, facts: ThreadFacts::default(), hold: Hold::Seized });
        one.interrupt(0)?;
        Ok(one)
    }

    /// Stops every thread of `pid`. On an error those that were stopped already run again.
    pub(super) fn stop(pid: i32) -> Result<Stopped, CaptureError> {
        let mut all = Stopped::new(pid);
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
                    // It had taken a signal before our interrupt. A signal that is held back here is lost when we are
                    // killed, so it is delivered first: the thread stops again at the first instruction of its handler.
                    Hold::Stopped { signal, .. } if signal != 0 => {
                        let _ = ptrace::interrupt(Pid::from_raw(thread.tid)); // the stop has cleared the first one
                        go_on(thread.tid, signal);
                    }
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

    /// The threads that stand in our interrupt and nothing else, with their registers.
    pub(super) fn interrupted(&self) -> impl Iterator<Item = (i32, libc::user_regs_struct)> {
        let ours = self.threads.iter().filter(|t| matches!(t.hold, Hold::Stopped { by_us: true, .. }));
        ours.filter_map(|t| Some((t.tid, ptrace::getregs(Pid::from_raw(t.tid)).ok()?)))
    }

    /// A signal that came for a thread while it stood still, 0 for none: handed on when it is let go.
    pub(super) fn hand_on(&mut self, tid: i32, late: i32) {
        if let Some(thread) = self.threads.iter_mut().find(|t| t.tid == tid)
            && let Hold::Stopped { signal, .. } = &mut thread.hold
            && late != 0
        {
            *signal = late;
        }
    }

    /// Since when it stands still.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// A sentence for each thread that goes on without having been stopped, because it waits in the kernel.
    pub(super) fn unstopped_told(&self) -> Vec<String> {
        let tell = |t: &Tracee| format!("thread {} waits in the kernel (state D) and could not be stopped", t.tid);
        self.threads.iter().filter(|t| t.hold == Hold::Seized).map(tell).collect()
    }

    /// Lets go and tells how long the process stood still.
    pub(super) fn release(mut self) -> Duration {
        self.detach();
        self.since.elapsed()
    }

    fn detach(&mut self) {
        for thread in &mut self.threads {
            if let Hold::Stopped { signal, .. } = thread.hold {
                detach(thread.tid, signal);
                thread.hold = Hold::Gone;
            }
        }
        // One that has come to its stop meanwhile must not stay in it. For the rest the kernel does it when this
        // thread, which exists for the capture alone, ends.
        for thread in &mut self.threads {
            if thread.hold == Hold::Seized
                && let Hold::Stopped { signal, .. } = wait_until(thread.tid, Instant::now())
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

/// Lets go of a thread, handing on a signal (0: none).
pub(super) fn detach(tid: i32, signal: i32) {
    // SAFETY: PTRACE_DETACH takes a signal number as data and touches no memory of ours. nix's wrapper knows no
    // real-time signals.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, tid, 0usize, signal as libc::c_long) };
}

/// Resumes a thread with a signal.
fn go_on(tid: i32, signal: i32) {
    // SAFETY: as above.
    unsafe { libc::ptrace(libc::PTRACE_CONT, tid, 0usize, signal as libc::c_long) };
}

/// What became of a thread that was waited for.
pub(super) enum Waited {
    /// It stands still; this is what waitpid(2) says of it.
    Stopped(i32),
    /// It has ended.
    Gone,
    /// Neither, in the time it was given.
    Not,
}

/// Waits for a stop of `tid`; [`Hold::Seized`] when there was none by `deadline`.
fn wait_until(tid: i32, deadline: Instant) -> Hold {
    match wait_status(tid, deadline) {
        Waited::Gone => Hold::Gone,
        Waited::Not => Hold::Seized,
        Waited::Stopped(status) => {
            // an event (our interrupt, or a stop by someone else) carries no signal to hand on
            let (event, signal) = (status >> 16, libc::WSTOPSIG(status));
            let by_us = event == libc::PTRACE_EVENT_STOP && signal == libc::SIGTRAP;
            Hold::Stopped { signal: if event == 0 { signal } else { 0 }, by_us }
        }
    }
}

/// Waits until `tid` stands still or is gone, until `deadline`. A stop is only looked at: one that is taken note of
/// (without WNOWAIT) makes the kernel forget the signal that caused it, should we be killed.
pub(super) fn wait_status(tid: i32, deadline: Instant) -> Waited {
    let mut rounds = 0;
    loop {
        // SAFETY: a struct of integers, for which all zeros is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL;
        // SAFETY: `info` is where the kernel writes.
        let failed = unsafe { libc::waitid(libc::P_PID, tid as libc::id_t, &mut info, options) } != 0;
        // SAFETY: the fields of a SIGCHLD are those that waitid sets, to zero when there was nothing.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if !failed && pid == tid {
            if matches!(info.si_code, libc::CLD_STOPPED | libc::CLD_TRAPPED) {
                return Waited::Stopped(status << 8 | 0x7f); // as waitpid would say it
            }
            // SAFETY: the kernel is asked to write nothing. It has ended, and is reaped.
            unsafe { libc::waitpid(tid, std::ptr::null_mut(), libc::__WALL | libc::WNOHANG) };
            return Waited::Gone;
        }
        if failed && Errno::last() != Errno::EINTR {
            return Waited::Gone;
        }
        if Instant::now() >= deadline {
            return Waited::Not;
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
    let registers = registers.as_ref().map(by_name).unwrap_or_default();
    meta::Thread {
        tid: thread.tid,
        name: thread.facts.name.clone(),
        state: thread.facts.state.clone(),
        wchan: thread.facts.wchan.clone(),
        syscall: meta::Thread::interrupted(&registers),
        registers,
    }
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
        let blocked_in = |number, result| meta::Thread::interrupted(&by_name(&regs(number, result)));
        let futex = blocked_in(202, -512).unwrap();
        assert_eq!((futex.number, futex.args.len(), futex.args[0], futex.args[5]), (202, 6, Addr(0x7f00), Addr(6)));
        assert!(blocked_in(232, -4).is_some() && blocked_in(230, -516).is_some());
        assert_eq!(blocked_in(-1, -512), None);
        assert_eq!(blocked_in(0, 17), None);
    }

    #[test]
    fn every_register_has_its_name() {
        let named = by_name(&regs(202, -512));
        assert_eq!(named.len(), 27);
        assert_eq!((named["orig_rax"], named["rdi"]), (Addr(202), Addr(0x7f00)));
        assert!(named.contains_key("fs_base"));
    }
}
