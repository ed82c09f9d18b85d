//! The loop: one channel of events in, effects out, a picture after each batch.
//!
//! Threads forward keys and the worker's updates into one bounded channel, and one thread arranges big type tables.
//! The loop itself never waits for anything but the next event, and decides nothing.

use super::Options;
use super::app::App;
use super::arrange::Job;
use super::deck::Deck;
use super::event::{Effect, Event};
use super::terminal::{self, Guard};
use super::theme::Theme;
use super::view;
use crate::worker::Handle;
use crate::worker::protocol::{Request, Ticket};
use anyhow::Context;
use crossterm::event as input;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Events that may wait; a worker that is faster than the screen waits itself.
const QUEUE: usize = 256;
/// Events handled before a picture is drawn, so that a flood cannot stop the pictures.
const BATCH: usize = 64;
/// What happened, and to which explorer; `None`: to the one that is seen.
type Happened = (Option<usize>, Event);

const TICK: Duration = Duration::from_millis(250);
/// While requests wait for room in the worker's queue.
const RETRY: Duration = Duration::from_millis(5);

/// Runs the explorer on workers, one a process, until the person leaves, or `is_ended` says that the program was told to
/// end. The terminal is given back on every way out, and the workers have tidied up when this returns.
pub fn run(workers: Vec<Handle>, options: Options, is_ended: &dyn Fn() -> bool) -> anyhow::Result<()> {
    let sources: Vec<_> = workers.iter().filter_map(|worker| worker.sources.first().copied()).collect();
    anyhow::ensure!(!sources.is_empty(), "there is no snapshot to explore");
    anyhow::ensure!(std::io::stdout().is_terminal(), "the explorer needs a terminal to draw on");
    let theme = Theme::choose(options.theme, |name| std::env::var(name).ok());
    let guard = Guard::enter(options.mouse).context("the terminal cannot be used")?;
    let mut terminal = Terminal::new(CrosstermBackend::new(std::io::stdout()))?;
    let size = terminal.size()?;
    let app = |source| {
        let mut app = App::new(source, theme, options.mouse, (size.width, size.height));
        app.wants_newer = options.compare;
        app
    };
    let mut deck = Deck::new(sources.into_iter().map(app).collect());

    let (events, queue) = sync_channel(QUEUE);
    let stop = Arc::new(AtomicBool::new(false));
    let keys = forward_input(events.clone(), stop.clone())?;
    let (mut outboxes, mut cancels, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    for (place, Handle { requests, updates, cancel, thread, .. }) in workers.into_iter().enumerate() {
        forward_updates(place, updates, events.clone())?;
        outboxes.push(Outbox { requests, waiting: VecDeque::new() });
        cancels.push(cancel);
        threads.push(thread);
    }
    let arranger = Arranger::start(events)?;

    let begun = Instant::now();
    let result = (|| -> anyhow::Result<()> {
        loop {
            let app = deck.seen();
            if app.dirty {
                terminal.draw(|frame| view::draw(frame, app))?;
                app.dirty = false;
            }
            let idle = outboxes.iter().all(|outbox| outbox.waiting.is_empty());
            let patience = if idle { TICK } else { RETRY };
            let (mut place, mut event) = match queue.recv_timeout(patience) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => (None, Event::Tick),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            anyhow::ensure!(!is_ended(), "told to end by a signal");
            deck.seen().clock = begun.elapsed();
            for _ in 0..BATCH {
                for (from, effect) in deck.update(place, event) {
                    match effect {
                        Effect::Send(ticket, request) => {
                            if let Some(outbox) = outboxes.get_mut(from) {
                                outbox.push(ticket, request);
                            }
                        }
                        Effect::Cancel(source) => {
                            if let Some(cancel) = cancels.get(from) {
                                cancel(source);
                            }
                        }
                        Effect::Arrange(job) => arranger.want(from, job),
                        Effect::Turn(_) => {} // the deck has turned
                        Effect::Copy(text) => terminal::copy(&text)?,
                        Effect::Mouse(on) => terminal::mouse(on)?,
                        Effect::Quit => return Ok(()),
                    }
                }
                match queue.try_recv() {
                    Ok(next) => (place, event) = next,
                    Err(_) => break,
                }
            }
            outboxes.iter_mut().for_each(Outbox::flush);
        }
    })();
    stop.store(true, Relaxed);
    drop(queue); // whoever waits for room in it ends
    drop(outboxes); // the workers end: no more requests
    let _ = keys.join();
    drop(guard); // the person has the terminal back before anything is waited for
    for thread in threads {
        let _ = thread.join();
    }
    result
}

/// Requests on their way to the worker: sent when it has room, replaced when a newer one makes them useless.
struct Outbox {
    requests: SyncSender<(Ticket, Request)>,
    waiting: VecDeque<(Ticket, Request)>,
}

impl Outbox {
    fn push(&mut self, ticket: Ticket, request: Request) {
        self.waiting.retain(|(t, older)| t.source != ticket.source || !request.supersedes(older));
        self.waiting.push_back((ticket, request));
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(next) = self.waiting.pop_front() {
            match self.requests.try_send(next) {
                Ok(()) => {}
                Err(TrySendError::Full(next)) => return self.waiting.push_front(next),
                Err(TrySendError::Disconnected(_)) => return self.waiting.clear(),
            }
        }
    }
}

/// Keys and mouse. Looks up from reading now and then, so that it does not eat what is typed after the explorer.
fn forward_input(events: SyncSender<Happened>, stop: Arc<AtomicBool>) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("input".into()).spawn(move || {
        while !stop.load(Relaxed) {
            match input::poll(Duration::from_millis(50)) {
                Ok(true) => {}
                Ok(false) if terminal::is_gone() => break,
                Ok(false) => continue,
                Err(_) => break,
            }
            let event = match input::read() {
                Ok(input::Event::Key(key)) => Event::Key(key),
                Ok(input::Event::Mouse(mouse)) if is_used(&mouse) => Event::Mouse(mouse),
                Ok(input::Event::Paste(text)) => Event::Paste(text),
                Ok(input::Event::Resize(columns, rows)) => Event::Resize(columns, rows),
                Ok(_) => continue,
                Err(_) => break,
            };
            if events.send((None, event)).is_err() {
                return;
            }
        }
        let _ = events.send((None, Event::InputGone));
    })
}

/// Movements of the mouse come by the hundred and mean nothing here.
fn is_used(mouse: &input::MouseEvent) -> bool {
    !matches!(mouse.kind, input::MouseEventKind::Moved | input::MouseEventKind::Drag(_))
}

fn forward_updates(
    place: usize,
    updates: Receiver<crate::worker::protocol::Update>,
    events: SyncSender<Happened>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("updates".into()).spawn(move || {
        for update in updates {
            if events.send((Some(place), Event::Worker(Box::new(update)))).is_err() {
                return;
            }
        }
        let _ = events.send((Some(place), Event::WorkerGone));
    })
}

/// A thread that sorts and filters big type tables; the newest wish wins.
struct Arranger {
    wish: Arc<Mutex<Option<(usize, Job)>>>,
    newest: Arc<AtomicU64>,
    wake: SyncSender<()>,
}

impl Arranger {
    fn start(events: SyncSender<Happened>) -> std::io::Result<Arranger> {
        let (wake, woken) = sync_channel(1); // a wake that is on its way is enough
        let wish: Arc<Mutex<Option<(usize, Job)>>> = Arc::default();
        let newest = Arc::new(AtomicU64::new(0));
        let arranger = Arranger { wish: wish.clone(), newest: newest.clone(), wake };
        thread::Builder::new().name("arrange".into()).spawn(move || {
            while woken.recv().is_ok() {
                let Some((place, job)) = wish.lock().ok().and_then(|mut wish| wish.take()) else { continue };
                let name = Arranger::name(place, &job);
                let done = job.run(|| newest.load(Relaxed) != name);
                if done.is_some_and(|done| events.send((Some(place), Event::Arranged(done))).is_err()) {
                    return;
                }
            }
        })?;
        Ok(arranger)
    }

    /// Tells a job from those of the other explorers.
    fn name(place: usize, job: &Job) -> u64 {
        (place as u64) << 48 | job.generation
    }

    fn want(&self, place: usize, job: Job) {
        self.newest.store(Arranger::name(place, &job), Relaxed);
        if let Ok(mut wish) = self.wish.lock() {
            *wish = Some((place, job));
        }
        let _ = self.wake.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Addr;
    use crate::worker::protocol::SourceId;

    #[test]
    fn a_full_worker_gets_only_the_newest_of_each_place() {
        let (requests, queue) = sync_channel(1);
        let mut outbox = Outbox { requests, waiting: VecDeque::new() };
        let ticket = |generation| Ticket { source: SourceId(0), generation };
        let hex = |at| Request::Hex { address: Addr(at), start: Addr(at), len: 16 };
        for generation in 1..=5 {
            outbox.push(ticket(generation), hex(generation));
        }
        outbox.push(ticket(6), Request::Object { address: Addr(1) });
        let mut got = Vec::new();
        while let Ok((ticket, _)) = queue.try_recv() {
            got.push(ticket.generation);
            outbox.flush();
        }
        assert_eq!(got, [1, 5, 6]);
    }
}
