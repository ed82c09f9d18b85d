//! The worker's loop: long jobs beside the quick answers, newest request first where they compete.

use super::jobs::{self, Context, Outcome};
use super::known::Gate;
use super::lanes::{Lane, Lanes, Stop, Watched};
use super::newer::Next;
use super::outside::Outside;
use super::protocol::{Request, SourceId, Stage, Ticket, Update};
use crate::analysis::{info, types};
use crate::cpython::runtime::Interpreter;
use crate::heap::{Heap, HeapError, Plan, ScanError};
use crate::snapshot::Snapshot;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How often progress is told, and a growing type table.
const TICK: Duration = Duration::from_millis(50);

/// Requests that may wait; the explorer asks for less.
const MAX_WAITING: usize = 256;

/// How long the end of a write is waited for, so that nothing half is left.
const TIDYING: Duration = Duration::from_secs(10);

/// What the loop hears.
pub(super) enum Message {
    /// The explorer asks.
    Asked(Ticket, Request),
    /// The explorer is gone.
    Closed,
    /// The scan has its plan, whose tally grows.
    Planned(Plan),
    /// The scan is over.
    Scanned(Box<Result<Heap, HeapError>>),
    /// A job is over.
    Done(Lane, Box<Outcome>),
}

pub(super) struct Worker {
    source: SourceId,
    snapshot: Arc<Snapshot>,
    messages: Receiver<Message>,
    /// Its other end, for the threads of jobs.
    mouth: SyncSender<Message>,
    outbox: SyncSender<Update>,
    stop: Arc<Stop>,
    next: Arc<Next>,
    /// Scans of several workers come one after the other.
    turn: Arc<Gate>,
}

/// The explorer has gone: nothing is left to do.
pub(super) struct Gone;

/// Requests that wait.
type Waiting = VecDeque<(Ticket, Request)>;

impl Worker {
    pub(super) fn new(
        source: SourceId,
        snapshot: Arc<Snapshot>,
        (outside, turn): (Arc<dyn Outside>, Arc<Gate>),
        (inbox, outbox): (Receiver<(Ticket, Request)>, SyncSender<Update>),
        stop: Arc<Stop>,
    ) -> std::io::Result<Worker> {
        let (mouth, messages) = sync_channel(MAX_WAITING);
        let asked = mouth.clone();
        std::thread::Builder::new().name("requests".into()).spawn(move || {
            for (ticket, request) in inbox {
                if asked.send(Message::Asked(ticket, request)).is_err() {
                    return;
                }
            }
            let _ = asked.send(Message::Closed);
        })?;
        Ok(Worker { source, snapshot, messages, mouth, outbox, stop, next: Arc::new(Next::new(outside)), turn })
    }

    pub(super) fn run(self) {
        let mut lanes = Lanes::new(self.stop.clone(), self.mouth.clone());
        let Err(Gone) = self.serve(&mut lanes) else { return };
        self.stop.cancel_all(); // whatever still runs has no reader
        let begun = Instant::now();
        let writes = |lanes: &Lanes| lanes.job(Lane::Urgent).is_some_and(|j| matches!(j.request, Request::Save { .. }));
        while writes(&lanes) && begun.elapsed() < TIDYING {
            if let Ok(Message::Done(lane, _)) = self.messages.recv_timeout(TICK) {
                lanes.end(lane);
            }
        }
    }

    fn send(&self, update: Update) -> Result<(), Gone> {
        self.outbox.send(update).map_err(|_| Gone)
    }

    fn serve(&self, lanes: &mut Lanes) -> Result<(), Gone> {
        let source = self.source;
        let interpreter = Interpreter::find(&self.snapshot);
        let info = info::info(&self.snapshot, interpreter.as_ref().ok());
        self.send(Update::Opened { source, info, problems: self.snapshot.problems().to_vec() })?;
        let mut waiting = Waiting::new();
        let error = match interpreter {
            Ok(interpreter) => loop {
                match self.scan(interpreter.clone(), &mut waiting)? {
                    Ok(heap) => return self.answer(&Arc::new(heap), waiting, lanes),
                    Err(HeapError::Scan(ScanError::Cancelled(_))) => {
                        self.send(Update::Unfinished { source })?;
                        self.raw_until(&mut waiting, |request| *request == Request::Scan)?;
                    }
                    Err(error) => break error,
                }
            },
            Err(error) => HeapError::from(error),
        };
        let reason = format!("{}: {error}", self.snapshot.source().display());
        self.send(Update::Failed { source, reason })?;
        self.raw_until(&mut waiting, |_| false)
    }

    /// Indexes the heap on another thread and shows the type table grow; requests wait, but for raw memory.
    fn scan(&self, interpreter: Interpreter, waiting: &mut Waiting) -> Result<Result<Heap, HeapError>, Gone> {
        let source = self.source;
        let watched = Watched::begin(Stage::Scanning, Lane::Urgent, &self.stop);
        let (progress, mouth, snapshot) = (watched.progress.clone(), self.mouth.clone(), self.snapshot.clone());
        let turn = self.turn.clone();
        std::thread::spawn(move || {
            let scan = || {
                let plan = Plan::new(&snapshot, &interpreter, &progress).map_err(ScanError::from)?;
                let _ = mouth.send(Message::Planned(plan.clone()));
                Heap::scan(snapshot.clone(), interpreter.clone(), plan, &progress)
            };
            let guarded = || Ok(catch_unwind(AssertUnwindSafe(scan)).unwrap_or(Err(HeapError::Failed)));
            let scanned =
                turn.pass(&progress, guarded).unwrap_or_else(|cancelled| Err(ScanError::from(cancelled).into()));
            let _ = mouth.send(Message::Scanned(Box::new(scanned)));
        });
        let mut plan: Option<Plan> = None;
        let mut ticked = Instant::now();
        let heap = loop {
            match self.messages.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
                Ok(Message::Scanned(heap)) => break *heap,
                Ok(Message::Planned(made)) => plan = Some(made),
                Ok(Message::Asked(ticket, request)) if matches!(request, Request::Hex { .. }) => {
                    self.reply(ticket, jobs::raw(&self.snapshot, &request))?;
                }
                Ok(Message::Asked(ticket, request)) => waiting.push_back((ticket, request)),
                Ok(Message::Closed) | Err(RecvTimeoutError::Disconnected) => return Err(Gone),
                Ok(Message::Done(..)) | Err(RecvTimeoutError::Timeout) => {}
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.send(watched.told(source))?;
                if let Some(plan) = &plan {
                    let types = Arc::new(types::types(&plan.types, &plan.tally));
                    self.send(Update::Types { source, types, complete: false, problems: Vec::new() })?;
                }
            }
        };
        self.stop.set(Lane::Urgent, None);
        self.send(Update::Idle { source })?;
        if let Ok(heap) = &heap {
            let types = Arc::new(types::types(heap.types(), heap.tally()));
            self.send(Update::Types { source, types, complete: true, problems: heap.problems() })?;
        }
        Ok(heap)
    }

    fn answer(&self, heap: &Arc<Heap>, mut waiting: Waiting, lanes: &mut Lanes) -> Result<(), Gone> {
        let context = Context::new(heap.clone(), self.outbox.clone(), self.next.clone());
        let mut ticked = Instant::now();
        loop {
            self.serve_waiting(&context, &mut waiting, lanes)?;
            // wait for whatever comes first: a request, a job's end, a tick
            let first = if lanes.is_idle() {
                self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.messages.recv_timeout(TICK.saturating_sub(ticked.elapsed()))
            };
            let mut next = match first {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err(Gone),
            };
            // and take what else has come in, so that the newest is known
            while let Some(message) = next {
                match message {
                    Message::Asked(ticket, request) => waiting.push_back((ticket, request)),
                    Message::Done(lane, outcome) => {
                        let ended = lanes.end(lane);
                        // at once, so that nobody takes what has ended for what still runs
                        let now = lanes.watched().map(|other| other.told(self.source));
                        self.send(now.unwrap_or(Update::Idle { source: self.source }))?;
                        if let Some(job) = ended {
                            self.reply(job.ticket, *outcome)?;
                        }
                    }
                    Message::Closed => return Err(Gone),
                    Message::Planned(_) | Message::Scanned(_) => {}
                }
                next = if waiting.len() < MAX_WAITING { self.messages.try_recv().ok() } else { None };
            }
            if let Some(watched) = lanes.watched().filter(|_| ticked.elapsed() >= TICK) {
                ticked = Instant::now();
                self.send(watched.told(self.source))?;
            }
        }
    }

    /// Answers what can be answered now, begins what can be begun, and leaves the rest.
    fn serve_waiting(&self, context: &Context, waiting: &mut Waiting, lanes: &mut Lanes) -> Result<(), Gone> {
        waiting.iter().for_each(|(ticket, request)| lanes.overtake(ticket.source, request));
        let mut later = VecDeque::new();
        while let Some((ticket, request)) = waiting.pop_front() {
            if waiting.iter().any(|(t, newer)| t.source == ticket.source && newer.supersedes(&request)) {
                continue;
            }
            let other = match ticket.source == self.source {
                true => None,
                false => match context.of_other(ticket.source) {
                    Some(other) => Some(other),
                    None => {
                        self.reply(ticket, Outcome::Refused("that snapshot was replaced by a newer one".into()))?;
                        continue;
                    }
                },
            };
            let context = other.as_ref().unwrap_or(context);
            match context.quick(ticket, &request) {
                Some(outcome) => self.reply(ticket, outcome)?,
                None if lanes.is_free(Lane::of(&request)) => lanes.begin(context, ticket, request),
                None => later.push_back((ticket, request)),
            }
        }
        *waiting = later;
        Ok(())
    }

    fn reply(&self, ticket: Ticket, outcome: Outcome) -> Result<(), Gone> {
        match outcome {
            Outcome::Answer(answer) => self.send(Update::Answered { ticket, answer: *answer }),
            Outcome::Refused(reason) => self.send(Update::Refused { ticket, reason }),
            Outcome::Dropped => Ok(()),
        }
    }

    /// Without an index: raw memory is shown, everything else refused, until a request ends that.
    fn raw_until(&self, waiting: &mut Waiting, end: impl Fn(&Request) -> bool) -> Result<(), Gone> {
        loop {
            let (ticket, request) = match waiting.pop_front() {
                Some(next) => next,
                None => match self.messages.recv() {
                    Ok(Message::Asked(ticket, request)) => (ticket, request),
                    Ok(Message::Closed) | Err(_) => return Err(Gone),
                    Ok(_) => continue,
                },
            };
            if end(&request) {
                return Ok(());
            }
            self.reply(ticket, jobs::raw(&self.snapshot, &request))?;
        }
    }
}
