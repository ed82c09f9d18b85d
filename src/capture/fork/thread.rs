//! A stopped thread that makes system calls for us, and the child processes that come of them.
//!
//! The order of the steps is what keeps the process safe: at every moment, should we be killed, the kernel lets the
//! thread go, and what it runs then is its own way back ([`Frames`]). Which calls to make is decided elsewhere.

use super::frame::{self, Frames};
use super::gadgets::Gadgets;
use super::raw;
use crate::capture::proc::Map;
use crate::capture::threads::{Waited, detach, wait_status};
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// No call takes as long: the longest copies the page tables, 20 ms for a GB.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stops of clone and of system calls are told apart from signals.
pub(super) const OPTIONS: i32 =
    libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;

/// Why a thread does not do what it is asked to.
pub(super) type Refusal = String;

/// Makes sentences of the kernel's errors.
pub(super) fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Refusal {
    move |error| format!("{what}: {error}")
}

/// A thread of the process, while it works for us.
pub(super) struct Worker {
    tid: i32,
    saved: user_regs_struct,
    mask: u64,
    pub frames: Frames,
    call: u64,
    /// Of the options that its children need too.
    pub filters_lifted: bool,
    /// A signal that came meanwhile, to be handed on.
    late: i32,
    left: bool,
}

impl Worker {
    /// Prepares a stopped thread. When this fails it is as it was.
    pub(super) fn enter(
        tid: i32,
        regs: user_regs_struct,
        filtered: bool,
        gadgets: &Gadgets,
    ) -> Result<Worker, Refusal> {
        let mask = raw::signal_mask(tid).map_err(failed("PTRACE_GETSIGMASK"))?;
        let lift = if filtered { libc::PTRACE_O_SUSPEND_SECCOMP } else { 0 };
        raw::set_options(tid, OPTIONS | lift)
            .map_err(failed("its filter on system calls (seccomp) cannot be lifted for the fork"))?;
        let state = raw::extended_state(tid).map_err(failed("PTRACE_GETREGSET"))?;
        let frames = Frames::new(&regs, mask, &state, gadgets).ok_or("its stack has no room")?;
        raw::write(tid, frames.start, &frames.bytes).map_err(failed("process_vm_writev"))?;
        let mut worker = Worker {
            tid,
            saved: regs,
            mask,
            frames,
            call: gadgets.call,
            filters_lifted: filtered,
            late: 0,
            left: false,
        };
        // First the registers, then the mask: from the first on, the thread finds its way back alone.
        let way_back = worker.registers(libc::SYS_getpid, [0; 4]);
        if let Err(error) = ptrace::setregs(Pid::from_raw(tid), way_back) {
            worker.left = true;
            return Err(failed("PTRACE_SETREGS")(error));
        }
        raw::set_signal_mask(tid, u64::MAX).map_err(failed("PTRACE_SETSIGMASK"))?;
        Ok(worker)
    }

    fn registers(&self, number: libc::c_long, args: [u64; 4]) -> user_regs_struct {
        registers(self.saved, self.call, self.frames.start, number, args)
    }

    /// Makes a system call in the thread.
    pub(super) fn call(&mut self, number: libc::c_long, args: [u64; 4]) -> Result<Called, Refusal> {
        let registers = self.registers(number, args);
        let called = call(self.tid, registers)?;
        if called.late != 0 {
            self.late = called.late;
        }
        Ok(called)
    }

    /// Which child the thread waits for, should it be left alone.
    pub(super) fn await_only(&self, child: &Child) -> Result<(), Refusal> {
        raw::write(self.tid, self.frames.awaited, &child.inner.to_le_bytes()).map_err(failed("process_vm_writev"))
    }

    /// The word that a call wrote to [`Frames::scratch`].
    pub(super) fn scratch(&self) -> Result<u32, Refusal> {
        let mut word = [0; 4];
        let mem = std::fs::File::open(format!("/proc/{}/mem", self.tid)).map_err(failed("its memory"))?;
        std::os::unix::fs::FileExt::read_exact_at(&mem, &mut word, self.frames.scratch)
            .map_err(failed("its memory"))?;
        Ok(u32::from_le_bytes(word))
    }

    /// Brings the thread back to the state it was found in: inside the kernel's handling of our interrupt, so that the
    /// kernel restarts by itself what it had interrupted. Returns a signal to hand on.
    pub(super) fn leave(mut self) -> Result<i32, Refusal> {
        let pid = Pid::from_raw(self.tid);
        ptrace::interrupt(pid).map_err(failed("PTRACE_INTERRUPT"))?;
        ptrace::cont(pid, None).map_err(failed("PTRACE_CONT"))?;
        let status = stopped(self.tid)?;
        if status >> 16 == 0 && libc::WSTOPSIG(status) != libc::SIGTRAP {
            self.late = libc::WSTOPSIG(status);
        }
        raw::set_signal_mask(self.tid, self.mask).map_err(failed("PTRACE_SETSIGMASK"))?;
        ptrace::setregs(pid, self.saved).map_err(failed("PTRACE_SETREGS"))?;
        self.left = true;
        Ok(self.late)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.left {
            detach(self.tid, self.late); // it goes its way back
        }
    }
}

/// What came of a call.
pub(super) struct Called {
    /// As in `rax`.
    pub result: i64,
    /// The child, when it was a clone.
    pub child: Option<i32>,
    late: i32,
}

impl Called {
    /// The result, if it is no error.
    pub(super) fn ok(&self, what: &'static str) -> Result<i64, Refusal> {
        match self.result {
            error @ -4095..=-1 => Err(failed(what)(nix::errno::Errno::from_raw(-error as i32).desc())),
            result => Ok(result),
        }
    }
}

fn registers(base: user_regs_struct, rip: u64, rsp: u64, number: libc::c_long, args: [u64; 4]) -> user_regs_struct {
    let [rdi, rsi, rdx, r10] = args;
    let rax = number as u64;
    user_regs_struct { orig_rax: u64::MAX, rip, rsp, rax, rdi, rsi, rdx, r10, r8: 0, r9: 0, ..base }
}

/// Makes a system call in a stopped thread and leaves it at its end.
fn call(tid: i32, registers: user_regs_struct) -> Result<Called, Refusal> {
    let pid = Pid::from_raw(tid);
    let mut called = Called { result: 0, child: None, late: 0 };
    for _ in 0..RETRIES {
        ptrace::setregs(pid, registers).map_err(failed("PTRACE_SETREGS"))?;
        let mut entered = false;
        loop {
            raw::run_to_call(tid).map_err(failed("PTRACE_SYSCALL"))?;
            let status = stopped(tid)?;
            let (event, signal) = (status >> 16, libc::WSTOPSIG(status));
            match (event, signal) {
                (libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK, _) => {
                    let child = ptrace::getevent(pid).map_err(failed("PTRACE_GETEVENTMSG"))?;
                    called.child = i32::try_from(child).ok();
                }
                (0, signal) if signal == libc::SIGTRAP | 0x80 => {
                    if entered {
                        break;
                    }
                    entered = true;
                }
                (0, signal) if signal != libc::SIGTRAP => called.late = signal, // only SIGSTOP is not blocked
                _ => {}
            }
        }
        called.result = ptrace::getregs(pid).map_err(failed("PTRACE_GETREGS"))?.rax as i64;
        if called.result != -ERESTARTNOINTR {
            break;
        }
    }
    Ok(called)
}

/// A clone that meets a pending signal asks to be made again.
const ERESTARTNOINTR: i64 = 513;
const RETRIES: usize = 5;

/// Waits until the thread stands still.
fn stopped(tid: i32) -> Result<i32, Refusal> {
    match wait_status(tid, Instant::now() + PATIENCE) {
        Waited::Stopped(status) => Ok(status),
        Waited::Gone => Err("the process ended".into()),
        Waited::Not => Err(format!("thread {tid} did not stop in {} s", PATIENCE.as_secs())),
    }
}

/// A child that a call has made: stopped, traced, and ended when we are.
pub(super) struct Child {
    pub pid: i32,
    /// How the process knows it: in its own pid namespace.
    pub inner: i64,
    options: i32,
    regs: user_regs_struct,
    call: u64,
    stack: u64,
    ended: bool,
}

impl Child {
    /// Takes the child that `called` tells of.
    pub(super) fn take(called: &Called, worker: &Worker) -> Result<Child, Refusal> {
        let inner = called.ok("it may not have one more process or thread (clone)")?;
        let pid = called.child.ok_or("its child was not seen")?;
        let lift = if worker.filters_lifted { libc::PTRACE_O_SUSPEND_SECCOMP } else { 0 };
        let options = lift | libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
        let stack = worker.frames.child_stack;
        let mut child = Child { pid, inner, options, regs: worker.saved, call: worker.call, stack, ended: false };
        stopped(pid)?;
        raw::set_options(pid, OPTIONS | options).map_err(failed("PTRACE_SETOPTIONS"))?;
        child.regs = ptrace::getregs(Pid::from_raw(pid)).map_err(failed("PTRACE_GETREGS"))?;
        Ok(child)
    }

    /// Makes a system call in the child.
    pub(super) fn call(&self, number: libc::c_long, args: [u64; 4]) -> Result<Called, Refusal> {
        call(self.pid, registers(self.regs, self.call, self.stack, number, args))
    }

    /// Ends the child in the way that every process ends, so that nobody who reaps it is alarmed.
    pub(super) fn end(mut self) -> Result<(), Refusal> {
        let pid = Pid::from_raw(self.pid);
        let exit = registers(self.regs, self.call, self.stack, libc::SYS_exit_group, [0; 4]);
        ptrace::setregs(pid, exit).map_err(failed("PTRACE_SETREGS"))?;
        raw::set_options(self.pid, self.options & !libc::PTRACE_O_TRACESYSGOOD).map_err(failed("PTRACE_SETOPTIONS"))?;
        ptrace::cont(pid, None).map_err(failed("PTRACE_CONT"))?;
        self.ended = self.is_gone();
        Ok(())
    }

    fn is_gone(&self) -> bool {
        matches!(wait_status(self.pid, Instant::now() + PATIENCE), Waited::Gone)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            let _ = nix::sys::signal::kill(Pid::from_raw(self.pid), nix::sys::signal::Signal::SIGKILL);
            self.is_gone();
        }
    }
}

/// The thread that is best asked, of those that stand still, with its registers.
///
/// One that waits in a call which the kernel restarts by itself is as it was before it has noticed anything. One in the
/// middle of its program may be in a restartable sequence, which would lose its protection.
pub(super) fn choose(
    threads: impl Iterator<Item = (i32, user_regs_struct)>,
    has_room: impl Fn(&user_regs_struct) -> bool,
) -> Option<(i32, user_regs_struct)> {
    let ranked =
        threads.filter(|(_, regs)| has_room(regs)).filter_map(|(tid, regs)| Some((rank(tid, &regs)?, tid, regs)));
    ranked.min_by_key(|(rank, ..)| *rank).map(|(_, tid, regs)| (tid, regs))
}

/// Smaller is better.
fn rank(tid: i32, regs: &user_regs_struct) -> Option<u8> {
    const USER_CODE_64: u64 = 0x33;
    if regs.cs != USER_CODE_64 {
        return None;
    }
    match (regs.orig_rax as i64, -(regs.rax as i64)) {
        (call, _) if AVOIDED.contains(&call) => None,
        (libc::SYS_futex, 512) => Some(0),
        (0.., 512..=514) => Some(1),
        (0.., 516) => Some(4),
        (0.., _) => Some(2),
        _ => in_no_sequence(tid).then_some(3),
    }
}

/// Calls with a signal mask of their own that the kernel puts back later, that make processes, or that share memory
/// with the kernel.
const AVOIDED: [i64; 13] = [
    libc::SYS_pselect6,
    libc::SYS_ppoll,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    333, // io_pgetevents
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_io_uring_enter,
];

fn in_no_sequence(tid: i32) -> bool {
    let Some(area) = raw::rseq_area(tid) else { return true };
    let mut word = [0; 8];
    let mem = std::fs::File::open(format!("/proc/{tid}/mem"));
    // struct rseq: cpu_id_start, cpu_id (4 bytes each), rseq_cs
    let read = mem.and_then(|mem| std::os::unix::fs::FileExt::read_exact_at(&mem, &mut word, area + 8));
    read.is_ok() && word == [0; 8]
}

/// Whether the stack that `regs` point into has room for the frames, in one writable mapping.
pub(super) fn has_room(maps: &[Map], regs: &user_regs_struct) -> bool {
    const STATE: usize = 12 << 10;
    let at = maps.partition_point(|m| m.start <= regs.rsp);
    let stack = at.checked_sub(1).and_then(|i| maps.get(i)).filter(|m| regs.rsp < m.end);
    stack.is_some_and(|m| m.permissions.starts_with("rw") && m.private() && regs.rsp - m.start >= frame::room(STATE))
}
