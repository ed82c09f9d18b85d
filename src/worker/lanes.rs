//! Long work beside the loop: one job that a person waits for, and one in the background.
//!
//! A job runs on a thread of its own and reports its end as a message. What it answers is [`jobs`](super::jobs)'
//! business; here is only which jobs run, how far they are, and that they can be stopped.

use super::jobs::{self, Context, Outcome};
use super::protocol::{Request, SourceId, Stage, Ticket, Update};
use super::run::Message;
use crate::progress::Progress;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Where a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// A person waits for it.
    Urgent,
    /// Nobody does.
    Quiet,
}

impl Lane {
    /// The lane of a request.
    pub(super) fn of(request: &Request) -> Lane {
        if request.is_urgent() { Lane::Urgent } else { Lane::Quiet }
    }
}

/// What runs now, so that it can be stopped from another thread.
#[derive(Default)]
pub(super) struct Stop {
    running: Mutex<[Option<Arc<Progress>>; 2]>,
}

impl Stop {
    /// Stops what a person waits for, else what runs in the background.
    pub(super) fn cancel(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = running.iter().flatten().next() {
            progress.cancel();
        }
    }

    /// Stops all.
    pub(super) fn cancel_all(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().flatten().for_each(|progress| progress.cancel());
    }

    pub(super) fn set(&self, lane: Lane, progress: Option<Arc<Progress>>) {
        if let Some(slot) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get_mut(lane as usize) {
            *slot = progress;
        }
    }
}

/// Progress that is told at every tick.
pub(super) struct Watched {
    pub(super) progress: Arc<Progress>,
    stage: Stage,
    since: Instant,
}

impl Watched {
    pub(super) fn begin(stage: Stage, lane: Lane, stop: &Stop) -> Watched {
        let progress = Arc::new(Progress::default());
        stop.set(lane, Some(progress.clone()));
        Watched { progress, stage, since: Instant::now() }
    }

    /// How far it is.
    pub(super) fn told(&self, source: SourceId) -> Update {
        let reading = self.progress.read();
        let seconds = self.since.elapsed().as_secs_f64();
        // of the rest, only what reads memory from end to end counts bytes
        let in_bytes = matches!(self.stage, Stage::Scanning | Stage::Saving | Stage::Capturing);
        let rate = (seconds > 0.1 && reading.done > 0 && in_bytes).then(|| reading.done as f64 / seconds);
        Update::Progress { source, stage: self.stage, reading, rate }
    }
}

/// Work on a thread of its own.
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    pub(super) watched: Watched,
}

/// The jobs that run.
pub(super) struct Lanes {
    jobs: [Option<Job>; 2],
    stop: Arc<Stop>,
    done: SyncSender<Message>,
}

impl Lanes {
    pub(super) fn new(stop: Arc<Stop>, done: SyncSender<Message>) -> Lanes {
        Lanes { jobs: [None, None], stop, done }
    }

    pub(super) fn is_free(&self, lane: Lane) -> bool {
        self.job(lane).is_none()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.jobs.iter().all(Option::is_none)
    }

    /// What the status line tells of: the job that somebody waits for, else the other; also when the first one waits for
    /// what the other one builds.
    pub(super) fn watched(&self) -> Option<&Watched> {
        let begun = self.jobs.iter().flatten().find(|job| job.watched.progress.read().total > 0);
        begun.or(self.jobs.iter().flatten().next()).map(|job| &job.watched)
    }

    pub(super) fn job(&self, lane: Lane) -> Option<&Job> {
        self.jobs.get(lane as usize)?.as_ref()
    }

    pub(super) fn begin(&mut self, context: &Context, ticket: Ticket, request: Request) {
        let lane = Lane::of(&request);
        let watched = Watched::begin(jobs::stage(&request), lane, &self.stop);
        let (context, asked, progress) = (context.clone(), request.clone(), watched.progress.clone());
        let done = self.done.clone();
        std::thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| context.long(ticket, &asked, &progress)));
            // when nobody listens any more, nobody waits for it either
            let _ = done.send(Message::Done(lane, Box::new(outcome.unwrap_or_else(|_| Outcome::failed()))));
        });
        if let Some(slot) = self.jobs.get_mut(lane as usize) {
            *slot = Some(Job { ticket, request, watched });
        }
    }

    /// The job that has ended.
    pub(super) fn end(&mut self, lane: Lane) -> Option<Job> {
        self.stop.set(lane, None);
        self.jobs.get_mut(lane as usize)?.take()
    }

    /// Stops a job whose answer a newer request makes useless. References, once built, serve every question; so does a
    /// list another window on it.
    pub(super) fn overtake(&self, source: SourceId, newer: &Request) {
        let Some(job) = self.job(Lane::of(newer)).filter(|job| job.ticket.source == source) else { return };
        let same = newer == &job.request || jobs::same_list(newer, &job.request);
        if newer.supersedes(&job.request) && !same && job.watched.stage != Stage::Linking {
            job.watched.progress.cancel();
        }
    }
}
