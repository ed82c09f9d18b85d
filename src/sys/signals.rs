//! Ctrl-C as a flag, and signals that should be errors.
//!
//! A handler does nothing but note that it ran; who looks at the note decides what to do.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: nix::libc::c_int) {
    INTERRUPTED.store(true, Relaxed);
}

/// While this lives, SIGINT, SIGTERM and SIGHUP set a flag instead of ending the program.
pub struct Interrupts {
    before: Vec<(Signal, SigAction)>,
}

impl Interrupts {
    /// Begins to take note.
    pub fn note() -> Interrupts {
        INTERRUPTED.store(false, Relaxed);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
        let before = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            // SAFETY: the handler stores to an atomic and does nothing else.
            .filter_map(|signal| unsafe { sigaction(signal, &action) }.ok().map(|old| (signal, old)))
            .collect();
        Interrupts { before }
    }

    /// Whether one came since.
    pub fn came(&self) -> bool {
        INTERRUPTED.load(Relaxed)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (signal, old) in &self.before {
            // SAFETY: puts back what was there before.
            let _ = unsafe { sigaction(*signal, old) };
        }
    }
}

/// Makes a write past `ulimit -f` an error (EFBIG) that can be told, where the default ends the program.
pub fn file_size_limit_is_an_error() {
    // SAFETY: SIG_IGN runs no code.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}
