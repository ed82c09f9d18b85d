//! Why a process could not be captured, each in one sentence that says what to do.

use super::proc;
use crate::progress::Cancelled;
use crate::snapshot::store::WriteError;
use std::io;
use std::time::Duration;

/// Why a process could not be captured. The process is unharmed and running in every case but [`Exited`](Self::Exited).
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Nothing runs under this id.
    #[error("there is no process {0}; `ps -e` lists those that run")]
    NoProcess(i32),
    /// The id of a thread that does not lead its process.
    #[error("{tid} is a thread of process {pid}; give --pid {pid}")]
    IsThread {
        /// What was given.
        tid: i32,
        /// The process.
        pid: i32,
    },
    /// Us.
    #[error("process {0} is pymem-tui itself; give the id of another process")]
    Ourselves(i32),
    /// A kernel thread.
    #[error("process {0} is a kernel thread and has no memory of its own")]
    KernelThread(i32),
    /// Ended, and not yet waited for.
    #[error("process {0} has ended already; it is a zombie that its parent has not waited for")]
    Zombie(i32),
    /// Ended under our hands.
    #[error("process {0} ended while it was being captured; nothing was kept")]
    Exited(i32),
    /// Not Python.
    #[error("process {pid} ({name}) is not a Python process: no CPython is mapped in it")]
    NotPython {
        /// Which.
        pid: i32,
        /// What it runs.
        name: String,
    },
    /// A debugger was first.
    #[error("process {pid} is traced by process {tracer} ({name}); end that debugger or tracer first")]
    Traced {
        /// Which.
        pid: i32,
        /// Who traces it.
        tracer: i32,
        /// What that one is called.
        name: String,
    },
    /// The kernel does not let us.
    #[error("process {pid} may not be captured: {reason}")]
    Permission {
        /// Which.
        pid: i32,
        /// What is missing, and how to get it.
        reason: String,
    },
    /// A file of `/proc` that should be there.
    #[error("process {pid} cannot be captured: {what}: {error}")]
    System {
        /// Which.
        pid: i32,
        /// What was tried.
        what: &'static str,
        /// The system's words.
        error: io::Error,
    },
    /// No way that is allowed is short enough.
    #[error(
        "process {pid} would stand still for about {} ms, longer than --max-pause {}; allow more, or another --mode",
        expected.as_millis(), limit.as_millis()
    )]
    PauseExpected {
        /// Which.
        pid: i32,
        /// The shortest pause that was found.
        expected: Duration,
        /// What was allowed.
        limit: Duration,
    },
    /// It took longer than was thought.
    #[error(
        "process {pid} was let go after {} ms (--max-pause) before everything was copied, and nothing was kept; allow \
         more{}",
        limit.as_millis(), if *forks { "" } else { ", or give --mode fork, which copies while it runs" }
    )]
    PauseTooLong {
        /// Which.
        pid: i32,
        /// What was allowed.
        limit: Duration,
        /// Whether it was going to be forked.
        forks: bool,
    },
    /// A fork is not possible, or was given up; a plain capture may be.
    #[error("process {pid} cannot be captured through a fork: {reason}")]
    NoFork {
        /// Which.
        pid: i32,
        /// Why.
        reason: String,
    },
    /// The snapshot could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl CaptureError {
    /// What an error of the system means for a capture of `pid`.
    pub(super) fn system(pid: i32, what: &'static str, error: io::Error) -> CaptureError {
        use io::ErrorKind::{NotFound, PermissionDenied};
        match error.kind() {
            PermissionDenied => denied(pid),
            NotFound => CaptureError::Exited(pid),
            _ if error.raw_os_error() == Some(nix::libc::ESRCH) => CaptureError::Exited(pid),
            _ => CaptureError::System { pid, what, error },
        }
    }
}

/// Says which permission is missing.
pub(super) fn denied(pid: i32) -> CaptureError {
    let target = proc::status(pid).unwrap_or_default();
    if let Some(tracer) = target.get("TracerPid").and_then(|t| t.parse().ok()).filter(|t| *t != 0) {
        return CaptureError::Traced { pid, tracer, name: proc::thread_facts(tracer).name };
    }
    let first_number = |text: &str| text.split_ascii_whitespace().next()?.parse().ok();
    let ours = proc::status(std::process::id() as i32).unwrap_or_default();
    let capabilities = ours.get("CapEff").and_then(|c| u64::from_str_radix(c, 16).ok()).unwrap_or(0);
    let us = Us {
        uid: nix::unistd::geteuid().as_raw(),
        may_ptrace: capabilities >> CAP_SYS_PTRACE & 1 == 1,
        scope: std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().and_then(|s| s.trim().parse().ok()),
    };
    let owner = target.get("Uid").and_then(|uids| first_number(uids));
    CaptureError::Permission { pid, reason: us.reason(owner) }
}

const CAP_SYS_PTRACE: u32 = 19;

/// What decides whether we may trace.
struct Us {
    uid: u32,
    may_ptrace: bool,
    /// `kernel.yama.ptrace_scope`; `None` without Yama.
    scope: Option<u32>,
}

impl Us {
    fn reason(&self, owner: Option<u32>) -> String {
        if self.scope == Some(3) {
            return "kernel.yama.ptrace_scope is 3, which forbids all tracing until the next boot".into();
        }
        if self.may_ptrace {
            return "pymem-tui has CAP_SYS_PTRACE, but not over this process; run it outside its container or user \
                    namespace, or look for a security policy (SELinux, AppArmor) that forbids ptrace"
                .into();
        }
        if self.uid == 0 {
            return "root lacks CAP_SYS_PTRACE here; start the container with --cap-add=SYS_PTRACE".into();
        }
        match (owner, self.scope) {
            (Some(owner), _) if owner != self.uid => {
                format!("it belongs to user {}; use sudo, or run as that user", user_name(owner))
            }
            (_, Some(2)) => "kernel.yama.ptrace_scope is 2, which demands CAP_SYS_PTRACE; use sudo".into(),
            (_, Some(1)) => {
                "kernel.yama.ptrace_scope is 1, which lets a process trace its children only; use sudo, or \
                             `sudo sysctl kernel.yama.ptrace_scope=0`"
                    .into()
            }
            _ => {
                "it is protected (it changed its user, has capabilities, or forbids core dumps); use sudo, which gives \
                  CAP_SYS_PTRACE"
                    .into()
            }
        }
    }
}

/// Why `pid` may not be captured, as far as the kernel says without being asked to stop it; `None` when it may.
pub(super) fn refusal(pid: i32) -> Option<CaptureError> {
    let tracer = proc::status(pid).ok()?.get("TracerPid").is_some_and(|t| t != "0");
    // opening it takes the right to trace
    let opened = std::fs::File::open(format!("/proc/{pid}/mem"));
    (tracer || opened.is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied)).then(|| denied(pid))
}

/// The user's name, or number.
pub(super) fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_permission_is_missing() {
        let reason = |uid, may_ptrace, scope| Us { uid, may_ptrace, scope }.reason(Some(1000));
        assert!(reason(1000, false, Some(1)).contains("ptrace_scope is 1"));
        assert!(reason(1000, false, Some(2)).contains("ptrace_scope is 2"));
        assert!(reason(0, true, Some(3)).contains("ptrace_scope is 3"));
        assert!(reason(0, false, None).contains("--cap-add=SYS_PTRACE"));
        assert!(reason(0, true, Some(0)).contains("namespace"));
        assert!(reason(65534, false, Some(1)).contains("belongs to user "));
        assert!(reason(1000, false, Some(0)).contains("protected"));
    }
}
