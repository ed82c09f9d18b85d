//! Long work as a line on standard error, and Ctrl-C as its cancellation.

use crate::progress::{Progress, Reading};
use crate::sys::signals::Interrupts;
use crate::text::size;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(100);

/// Runs `work` with a line that tells how far it is (on a terminal, unless `quiet`). Ctrl-C and its like cancel the
/// work, so that it can tidy up.
pub(super) fn cancellable<T>(label: &str, quiet: bool, work: impl FnOnce(&Progress) -> T) -> T {
    let interrupts = Interrupts::note();
    let progress = Progress::default();
    let draw = !quiet && std::io::stderr().is_terminal();
    std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        let (progress_seen, interrupts) = (&progress, &interrupts);
        // without a thread to spare (a limit of the system), work goes on unseen
        let _ = std::thread::Builder::new().spawn_scoped(scope, move || {
            let mut line = Line::new(label);
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if interrupts.came() {
                    progress_seen.cancel();
                }
                if draw {
                    let _ = write!(std::io::stderr(), "\r{}\x1b[K", line.text(progress_seen.read()));
                    line.drawn = true;
                }
            }
            if line.drawn {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        });
        let _until_the_end = done; // dropped after `work`, whether it returns or panics
        work(&progress)
    })
}

struct Line<'l> {
    label: &'l str,
    last: Reading,
    since: Instant,
    drawn: bool,
}

impl<'l> Line<'l> {
    fn new(label: &'l str) -> Line<'l> {
        Line { label, last: Reading::default(), since: Instant::now(), drawn: false }
    }

    fn text(&mut self, now: Reading) -> String {
        if now.done < self.last.done || now.total != self.last.total {
            self.since = Instant::now(); // a new stage
        }
        self.last = now;
        let Some(percent) = now.percent() else { return format!("{} …", self.label) };
        let seconds = self.since.elapsed().as_secs_f64();
        let rate =
            if seconds > 0.05 { format!(", {}/s", size((now.done as f64 / seconds) as u64)) } else { String::new() };
        format!("{} {percent}% of {}{rate}", self.label, size(now.total))
    }
}
