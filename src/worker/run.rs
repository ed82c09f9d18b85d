//! The worker's loop: one long job at a time beside the quick answers, newest request first where they compete.

use super::jobs::{self, Context, Outcome};
use super::protocol::{Request, SourceId, Stage, Ticket, Update};
use crate::analysis::{info, types};
use crate::cpython::runtime::Interpreter;
use crate::heap::{Heap, HeapError, Plan};
use crate::progress::Progress;
use crate::snapshot::Snapshot;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often progress is told, and a growing type table.
const TICK: Duration = Duration::from_millis(50);

/// Requests that may wait; the explorer asks for less.
const MAX_WAITING: usize = 256;

/// What runs now, so that it can be stopped from another thread.
#[derive(Default)]
pub(super) struct Stop {
    running: Mutex<Option<Arc<Progress>>>,
}

impl Stop {
    pub(super) fn cancel(&self) {
        if let Some(progress) = self.running.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            progress.cancel();
        }
    }

    fn set(&self, progress: Option<Arc<Progress>>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }
}

pub(super) struct Worker {
    source: SourceId,
    snapshot: Arc<Snapshot>,
    inbox: Receiver<(Ticket, Request)>,
    outbox: SyncSender<Update>,
    stop: Arc<Stop>,
}

/// The explorer has gone: nothing is left to do.
pub(super) struct Gone;

/// Work on a thread of its own.
struct Job {
    ticket: Ticket,
    request: Request,
    result: Receiver<Outcome>,
    watched: Watched,
}

/// Progress that is told at every tick.
struct Watched {
    progress: Arc<Progress>,
    stage: Stage,
    since: Instant,
}

impl Worker {
    pub(super) fn new(
        source: SourceId,
        snapshot: Arc<Snapshot>,
        inbox: Receiver<(Ticket, Request)>,
        outbox: SyncSender<Update>,
        stop: Arc<Stop>,
    ) -> Worker {
        Worker { source, snapshot, inbox, outbox, stop }
    }

    pub(super) fn run(self) {
        let Err(Gone) = self.serve() else { return };
        self.stop.cancel(); // whatever still runs has no reader
    }

    fn send(&self, update: Update) -> Result<(), Gone> {
        self.outbox.send(update).map_err(|_| Gone)
    }

    fn serve(&self) -> Result<(), Gone> {
        let source = self.source;
        let interpreter = Interpreter::find(&self.snapshot);
        let info = info::info(&self.snapshot, interpreter.as_ref().ok());
        self.send(Update::Opened { source, info, problems: self.snapshot.problems().to_vec() })?;
        let mut waiting = VecDeque::new();
        let scanned = match interpreter {
            Ok(interpreter) => self.scan(interpreter, &mut waiting)?,
            Err(error) => Err(HeapError::from(error)),
        };
        match scanned {
            Ok(heap) => self.answer(&Arc::new(heap), waiting),
            Err(error) => {
                let reason = format!("{}: {error}", self.snapshot.source().display());
                self.send(Update::Failed { source, reason })?;
                self.refuse_all(waiting)
            }
        }
    }

    /// Indexes the heap on another thread and shows the type table grow; requests wait, but for raw memory.
    fn scan(
        &self,
        interpreter: Interpreter,
        waiting: &mut VecDeque<(Ticket, Request)>,
    ) -> Result<Result<Heap, HeapError>, Gone> {
        let source = self.source;
        let watched = self.watch(Stage::Scanning);
        let progress = watched.progress.clone();
        let (plan_out, plan_in) = channel();
        let (out, result) = channel();
        let snapshot = self.snapshot.clone();
        std::thread::spawn(move || {
            let scan = || {
                let plan = Plan::new(&snapshot, &interpreter, &progress).map_err(crate::heap::ScanError::from)?;
                let _ = plan_out.send(plan.clone());
                Heap::scan(snapshot.clone(), interpreter.clone(), plan, &progress)
            };
            let _ = out.send(scan());
        });
        let mut plan: Option<Plan> = None;
        let heap = loop {
            match result.recv_timeout(TICK) {
                Ok(heap) => break heap,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Err(HeapError::Failed),
            }
            plan = plan.or_else(|| plan_in.try_recv().ok());
            self.tell(&watched)?;
            if let Some(plan) = &plan {
                let types = Arc::new(types::types(&plan.types, &plan.tally));
                self.send(Update::Types { source, types, complete: false, problems: Vec::new() })?;
            }
            self.receive(waiting)?;
            while let Some(at) = waiting.iter().position(|(_, r)| matches!(r, Request::Hex { .. })) {
                if let Some((ticket, request)) = waiting.remove(at) {
                    self.reply(ticket, jobs::raw(&self.snapshot, &request))?;
                }
            }
        };
        self.stop.set(None);
        self.send(Update::Idle { source })?;
        if let Ok(heap) = &heap {
            let types = Arc::new(types::types(heap.types(), heap.tally()));
            self.send(Update::Types { source, types, complete: true, problems: heap.problems() })?;
        }
        Ok(heap)
    }

    fn answer(&self, heap: &Arc<Heap>, mut waiting: VecDeque<(Ticket, Request)>) -> Result<(), Gone> {
        let context = Context::new(heap.clone(), self.outbox.clone());
        let mut job: Option<Job> = None;
        loop {
            // wait for whatever comes first: a request, the job's end, a tick
            match &job {
                Some(running) => match running.result.recv_timeout(TICK) {
                    Ok(outcome) => {
                        self.end_job(job.take(), outcome)?;
                    }
                    Err(RecvTimeoutError::Timeout) => self.tell(&running.watched)?,
                    Err(RecvTimeoutError::Disconnected) => self.end_job(job.take(), Outcome::failed())?,
                },
                None if waiting.is_empty() => waiting.push_back(self.inbox.recv().map_err(|_| Gone)?),
                None => {}
            }
            self.receive(&mut waiting)?;
            // the references, once built, serve every question; so does a list another window of it
            if let Some(running) = &job
                && running.watched.stage != Stage::Linking
                && waiting.iter().any(|(_, r)| r.supersedes(&running.request) && !jobs::same_list(r, &running.request))
            {
                running.watched.progress.cancel();
            }
            let mut later = VecDeque::new();
            while let Some((ticket, request)) = waiting.pop_front() {
                if waiting.iter().any(|(_, newer)| newer.supersedes(&request)) {
                    continue;
                }
                match context.quick(ticket, &request) {
                    Some(outcome) => self.reply(ticket, outcome)?,
                    None if job.is_none() => job = Some(self.begin_job(&context, ticket, request)),
                    None => later.push_back((ticket, request)),
                }
            }
            waiting = later;
        }
    }

    fn begin_job(&self, context: &Context, ticket: Ticket, request: Request) -> Job {
        let watched = self.watch(jobs::stage(&request));
        let (out, result) = channel();
        let (context, asked, progress) = (context.clone(), request.clone(), watched.progress.clone());
        std::thread::spawn(move || {
            let _ = out.send(context.long(ticket, &asked, &progress));
        });
        Job { ticket, request, result, watched }
    }

    fn end_job(&self, job: Option<Job>, outcome: Outcome) -> Result<(), Gone> {
        self.stop.set(None);
        self.send(Update::Idle { source: self.source })?;
        match job {
            Some(job) => self.reply(job.ticket, outcome),
            None => Ok(()),
        }
    }

    fn watch(&self, stage: Stage) -> Watched {
        let progress = Arc::new(Progress::default());
        self.stop.set(Some(progress.clone()));
        Watched { progress, stage, since: Instant::now() }
    }

    fn tell(&self, watched: &Watched) -> Result<(), Gone> {
        let reading = watched.progress.read();
        let seconds = watched.since.elapsed().as_secs_f64();
        // of the rest, only what reads memory from end to end counts bytes
        let in_bytes = matches!(watched.stage, Stage::Scanning | Stage::Saving | Stage::Capturing);
        let rate = (seconds > 0.1 && reading.done > 0 && in_bytes).then(|| reading.done as f64 / seconds);
        self.send(Update::Progress { source: self.source, stage: watched.stage, reading, rate })
    }

    fn reply(&self, ticket: Ticket, outcome: Outcome) -> Result<(), Gone> {
        match outcome {
            Outcome::Answer(answer) => self.send(Update::Answered { ticket, answer: *answer }),
            Outcome::Refused(reason) => self.send(Update::Refused { ticket, reason }),
            Outcome::Dropped => Ok(()),
        }
    }

    /// Takes what has come in, without waiting.
    fn receive(&self, waiting: &mut VecDeque<(Ticket, Request)>) -> Result<(), Gone> {
        while waiting.len() < MAX_WAITING {
            match self.inbox.try_recv() {
                Ok(request) => waiting.push_back(request),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(Gone),
            }
        }
        Ok(())
    }

    fn refuse_all(&self, waiting: VecDeque<(Ticket, Request)>) -> Result<(), Gone> {
        let rest = std::iter::from_fn(|| self.inbox.recv().ok());
        for (ticket, request) in waiting.into_iter().chain(rest) {
            self.reply(ticket, jobs::raw(&self.snapshot, &request))?;
        }
        Err(Gone)
    }
}
