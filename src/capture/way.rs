//! The ways to take a process's memory, behind one trait, and which of them is taken.
//!
//! Production wants the shortest pause that changes nothing it can notice. So the default (`auto`) forks where that is
//! safe and shortens the pause by something a service would feel; everywhere else it copies while the process stands
//! still, which writes nothing to it. How a way works is its own file's business.

use super::backing::Backings;
use super::error::CaptureError;
use super::moment::Moment;
use super::pages::Region;
use super::proc::Map;
use super::survey::Survey;
use super::{Limits, fork, pages::Job, plain};
use crate::progress::Progress;
use crate::snapshot::meta;
use crate::snapshot::store::Store;
use memmap2::MmapMut;
use std::time::{Duration, Instant};

/// Which way to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Copy while the process stands still. Writes nothing to it.
    Plain,
    /// Copy from a frozen copy-on-write child; plain where that is not safe.
    Fork,
    /// Fork where that is safe and shortens the pause noticeably, else plain.
    #[default]
    Auto,
}

/// A plain pause up to this long is not worth a fork: a garbage collection of the process takes as long.
const WORTH_A_FORK: Duration = Duration::from_millis(50);

/// What to expect, before anything is stopped.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Bytes that are copied from the process.
    pub bytes: u64,
    /// How long it is going to stand still when it is copied plainly.
    pub plain: Duration,
    /// The same for a fork, or why there will be none.
    pub fork: Result<Duration, String>,
    /// Whether it will be forked.
    pub forks: bool,
}

impl Expectation {
    /// The expected pause of the way that is taken.
    pub fn pause(&self) -> Duration {
        match &self.fork {
            Ok(pause) if self.forks => *pause,
            _ => self.plain,
        }
    }

    /// Chooses; an error when no way that is allowed keeps the process waiting for less than `limit`.
    pub(super) fn choose(&mut self, pid: i32, mode: Mode, limit: Option<Duration>) -> Result<(), CaptureError> {
        self.forks = match (&self.fork, mode) {
            (Err(_), _) | (_, Mode::Plain) => false,
            (Ok(_), Mode::Fork) => true,
            (Ok(fork), Mode::Auto) => {
                fork < &self.plain && self.plain > limit.map_or(WORTH_A_FORK, |limit| limit.min(WORTH_A_FORK))
            }
        };
        let expected = self.pause();
        match limit {
            Some(limit) if expected > limit => Err(CaptureError::PauseExpected { pid, expected, limit }),
            _ => Ok(()),
        }
    }

    /// Why the way that was asked for is not the one that is taken.
    pub(super) fn reason(&self, mode: Mode) -> Option<&str> {
        let wanted = mode == Mode::Fork || mode == Mode::Auto && self.plain > WORTH_A_FORK;
        self.fork.as_ref().err().filter(|_| wanted).map(String::as_str)
    }
}

/// What a way works with.
pub(super) struct Work<'w> {
    pub pid: i32,
    pub survey: &'w Survey,
    pub backings: &'w Backings,
    pub store: &'w mut Store,
    pub threads: usize,
    pub limits: &'w Limits,
    pub progress: &'w Progress,
}

/// What was taken from the process.
pub(super) struct Taken {
    pub maps: Vec<Map>,
    /// For each of `maps`, its place in `regions`.
    pub captured: Vec<Option<usize>>,
    pub regions: Vec<Region>,
    pub threads: Vec<meta::Thread>,
    pub unreadable: Vec<meta::Unreadable>,
    pub problems: Vec<String>,
    pub at: Moment,
    pub pause: Duration,
    /// What was copied and is not written yet. The store is laid out, and all else but the files' own pages is in it.
    pub staged: Option<(MmapMut, Vec<Job>)>,
}

/// A way to take the memory of a process.
pub(super) trait Way {
    /// As `--mode` and `snapshot.json` name it.
    fn name(&self) -> &'static str;
    /// Stops the process, takes what must be taken at once, lets go, and takes the rest.
    fn take(&self, work: &mut Work) -> Result<Taken, CaptureError>;
}

/// The way that `expectation` tells.
pub(super) fn chosen(expectation: &Expectation) -> &'static dyn Way {
    if expectation.forks { &fork::Fork } else { &plain::Plain }
}

/// Runs `take` on a thread of its own: ptrace belongs to the thread, and whatever ends that thread makes the kernel let
/// go of the process.
pub(super) fn on_a_thread<T: Send>(
    pid: i32,
    take: impl FnOnce() -> Result<T, CaptureError> + Send,
) -> Result<T, CaptureError> {
    std::thread::scope(|scope| match std::thread::Builder::new().name("tracer".into()).spawn_scoped(scope, take) {
        Ok(tracer) => tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(error) => Err(CaptureError::System { pid, what: "a thread of our own", error }),
    })
}

/// The moment by which a process that stands still must go on.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    since: Instant,
    limit: Option<Duration>,
    forks: bool,
}

impl Deadline {
    pub(super) fn new(since: Instant, limit: Option<Duration>, forks: bool) -> Deadline {
        Deadline { since, limit, forks }
    }

    pub(super) fn check(&self, pid: i32) -> Result<(), CaptureError> {
        let forks = self.forks;
        match self.limit {
            Some(limit) if self.since.elapsed() > limit => Err(CaptureError::PauseTooLong { pid, limit, forks }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(plain: u64, fork: Result<u64, &str>) -> Expectation {
        let fork = fork.map(Duration::from_millis).map_err(str::to_owned);
        Expectation { bytes: 0, plain: Duration::from_millis(plain), fork, forks: false }
    }

    fn chosen(mut expectation: Expectation, mode: Mode, limit: Option<u64>) -> Option<bool> {
        expectation.choose(1, mode, limit.map(Duration::from_millis)).ok().map(|()| expectation.forks)
    }

    #[test]
    fn a_fork_is_taken_where_it_is_worth_it() {
        assert_eq!(chosen(expecting(300, Ok(20)), Mode::Auto, None), Some(true));
        assert_eq!(chosen(expecting(20, Ok(3)), Mode::Auto, None), Some(false));
        assert_eq!(chosen(expecting(20, Ok(3)), Mode::Auto, Some(10)), Some(true));
        assert_eq!(chosen(expecting(20, Ok(3)), Mode::Fork, None), Some(true));
        assert_eq!(chosen(expecting(300, Ok(20)), Mode::Plain, None), Some(false));
        assert_eq!(chosen(expecting(300, Err("seccomp")), Mode::Fork, None), Some(false));
    }

    #[test]
    fn a_pause_that_is_too_long_is_refused_before_anything_stops() {
        assert_eq!(chosen(expecting(300, Ok(20)), Mode::Plain, Some(100)), None);
        assert_eq!(chosen(expecting(300, Err("seccomp")), Mode::Auto, Some(100)), None);
        assert_eq!(chosen(expecting(300, Ok(20)), Mode::Auto, Some(10)), None);
    }

    #[test]
    fn the_reason_is_told_when_it_mattered() {
        assert_eq!(expecting(300, Err("seccomp")).reason(Mode::Auto), Some("seccomp"));
        assert_eq!(expecting(3, Err("seccomp")).reason(Mode::Auto), None);
        assert_eq!(expecting(3, Err("seccomp")).reason(Mode::Fork), Some("seccomp"));
        assert_eq!(expecting(300, Err("seccomp")).reason(Mode::Plain), None);
    }
}
