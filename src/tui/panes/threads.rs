//! Threads with their stacks: which are unfolded, and the cursor among the lines that follow from it.
//!
//! A line is a deadlock, a thread, what it waits for, an exception that it handles, a frame, or a variable of a frame.
//! What they say is the answer's; how a line looks is [`view`](crate::tui::view)'s.

use super::{Detail, Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{Frame, Local, Retaining, Thread, Threads};
use crate::analysis::query::{Cell, Field, QueryError};
use crate::analysis::threads::{FIELDS, of_thread};
use crate::tui::arrange::contains;
use crate::tui::ask::{Desk, Slot};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Request, Ticket};
use std::collections::HashSet;
use std::sync::Arc;

/// One line of the pane: numbers of a thread, of a frame in it, of a variable in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// A deadlock, in a sentence.
    Deadlock(usize),
    /// What could not be read, in a sentence.
    Problem(usize),
    /// A thread.
    Thread(usize),
    /// The lock that a thread waits for.
    Waits(usize),
    /// An exception that a thread handles.
    Handling(usize, usize),
    /// A frame.
    Frame(usize, usize),
    /// So many frames after the frame above stand at the same place: a recursion.
    Same(usize, usize, usize),
    /// A variable.
    Local(usize, usize, usize),
    /// The rest of a stack is damaged.
    Cut(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub struct ThreadsPane {
    /// Waits for the answer.
    pub slot: Slot,
    /// The answer.
    pub threads: Option<Arc<Threads>>,
    /// A text or a query.
    pub filter: Filter,
    /// Cursor.
    pub scroll: Scroll,
    /// About the selected object.
    pub detail: Detail,
    /// What threads keep alive, once it is known.
    pub retaining: Option<Arc<Retaining>>,
    /// Whether those that keep most come first.
    pub by_retained: bool,
    /// What is shown, from the top.
    pub rows: Vec<Row>,
    /// Threads without their stack.
    folded: HashSet<usize>,
    /// Frames with their variables.
    unfolded: HashSet<(usize, usize)>,
    /// The native id of a thread that the cursor goes to once it is there.
    wanted: Option<u64>,
}

impl ThreadsPane {
    /// Puts the cursor on a thread, now or when the answer is there; on its deadlock, if it is in one.
    pub fn go_to(&mut self, native_id: u64) {
        self.wanted = Some(native_id);
        self.filter = Filter::default();
        self.arrange();
        self.seek();
    }

    fn seek(&mut self) {
        let (Some(id), Some(threads)) = (self.wanted, &self.threads) else { return };
        self.wanted = None;
        let deadlock = threads.deadlocks.iter().position(|members| members.contains(&id)).map(Row::Deadlock);
        let thread = threads.threads.iter().position(|t| t.native_id == Some(id)).map(Row::Thread);
        if let Some(row) = deadlock.or(thread) {
            self.select(row);
        }
    }

    /// Threads that the filter leaves.
    pub fn shown(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row, Row::Thread(_))).count()
    }

    /// The selected line.
    pub fn current(&self) -> Option<Row> {
        self.row(self.scroll.row)
    }

    /// The line at a place of the list.
    pub fn row(&self, at: u64) -> Option<Row> {
        self.rows.get(usize::try_from(at).ok()?).copied()
    }

    /// A thread.
    pub fn thread(&self, thread: usize) -> Option<&Thread> {
        self.threads.as_ref()?.threads.get(thread)
    }

    /// A frame of it.
    pub fn frame(&self, thread: usize, frame: usize) -> Option<&Frame> {
        self.thread(thread)?.frames.get(frame)
    }

    /// The object that a line names.
    pub fn object(&self, row: Row) -> Option<&Local> {
        match row {
            Row::Handling(thread, i) => self.thread(thread)?.handling.get(i),
            Row::Local(thread, frame, i) => self.frame(thread, frame)?.locals.get(i),
            _ => None,
        }
    }

    /// Whether a line is about an object, which a panel can explain.
    pub fn is_object(&self, row: Row) -> bool {
        matches!(row, Row::Waits(_)) || self.object(row).is_some()
    }

    /// Whether what belongs to a line is shown below it.
    pub fn is_unfolded(&self, row: Row) -> bool {
        match row {
            Row::Thread(thread) => !self.folded.contains(&thread),
            Row::Frame(thread, frame) => self.unfolded.contains(&(thread, frame)),
            _ => false,
        }
    }

    /// Folds or unfolds a line; others stay as they are.
    pub fn toggle(&mut self, row: Row) {
        match row {
            Row::Thread(thread) => {
                if !self.folded.remove(&thread) {
                    self.folded.insert(thread);
                }
            }
            Row::Frame(thread, frame) => {
                if !self.unfolded.remove(&(thread, frame)) {
                    self.unfolded.insert((thread, frame));
                }
            }
            _ => return,
        }
        self.arrange();
        self.select(row);
    }

    fn go_to_parent(&mut self, row: Row) {
        let parent = match row {
            Row::Thread(_) | Row::Deadlock(_) | Row::Problem(_) => return,
            Row::Local(thread, frame, _) => Row::Frame(thread, frame),
            Row::Waits(thread)
            | Row::Handling(thread, _)
            | Row::Frame(thread, _)
            | Row::Same(thread, ..)
            | Row::Cut(thread) => Row::Thread(thread),
        };
        self.select(parent);
    }

    fn select(&mut self, row: Row) {
        if let Some(at) = self.rows.iter().position(|r| *r == row) {
            self.go(Motion::To(at as u64));
        }
    }

    /// Takes what threads keep alive, once that is known.
    pub fn weigh(&mut self, retaining: Option<&Arc<Retaining>>) {
        if self.retaining.is_none() {
            self.retaining = retaining.cloned();
            if self.retaining.is_some() && self.filter.asks_for("retained", FIELDS) {
                self.arrange();
            }
        }
    }

    /// What a line's thread keeps alive; `None` for other lines and as long as it is not known.
    pub fn retained(&self, row: Row) -> Option<u64> {
        let Row::Thread(thread) = row else { return None };
        self.retaining.as_ref()?.threads.get(&self.thread(thread)?.ident?).copied()
    }

    fn arrange(&mut self) {
        self.rows.clear();
        let Some(threads) = self.threads.clone() else { return };
        if self.filter.is_empty() {
            self.rows.extend((0..threads.explained.len()).map(Row::Deadlock));
            self.rows.extend((0..threads.problems.len()).map(Row::Problem));
        }
        let mut order: Vec<usize> = (0..threads.threads.len()).collect();
        if self.by_retained {
            order.sort_by_key(|t| std::cmp::Reverse(self.retained(Row::Thread(*t))));
        }
        for t in order {
            let Some(thread) = threads.threads.get(t) else { continue };
            if !self.keeps(&threads, thread) {
                continue;
            }
            self.rows.push(Row::Thread(t));
            if self.folded.contains(&t) {
                continue;
            }
            self.rows.extend(thread.waits_for.is_some().then_some(Row::Waits(t)));
            self.rows.extend((0..thread.handling.len()).map(|i| Row::Handling(t, i)));
            let mut f = 0;
            while let Some(frame) = thread.frames.get(f) {
                self.rows.push(Row::Frame(t, f));
                if self.unfolded.contains(&(t, f)) {
                    self.rows.extend((0..frame.locals.len()).map(|i| Row::Local(t, f, i)));
                }
                let same = thread.frames[f + 1..].iter().take_while(|next| next.is_at_the_place_of(frame)).count();
                if same > 1 {
                    self.rows.push(Row::Same(t, f, same));
                    f += same;
                }
                f += 1;
            }
            self.rows.extend((!thread.whole).then_some(Row::Cut(t)));
        }
    }

    fn keeps(&self, all: &Threads, thread: &Thread) -> bool {
        let text = |text: &str| {
            let named = thread.name.iter().chain(&thread.kernel_name).any(|name| contains(name, text));
            let stands = || thread.frames.iter().any(|f| contains(&f.function, text) || contains(&f.file, text));
            named || stands()
        };
        // what it keeps alive is not in the answer, but may be known by now
        let retained = || self.retaining.as_ref()?.threads.get(&thread.ident?).copied();
        let is_retained = |field: &Field| FIELDS.get(field.index).is_some_and(|spec| spec.name == "retained");
        self.filter.wanted().keeps(text, |field| match is_retained(field) {
            true => retained().map_or(Cell::Missing, |bytes| Cell::Int(bytes.into())),
            false => of_thread(all, thread, field),
        })
    }
}

impl State for ThreadsPane {
    fn context(&self) -> Context {
        Context::THREADS
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            return self.go(motion);
        }
        let Some(row) = self.current() else { return };
        match action {
            Action::Toggle => self.toggle(row),
            Action::Right if self.is_unfolded(row) => self.go(Motion::By(1)),
            Action::Right => self.toggle(row),
            Action::Left if self.is_unfolded(row) => self.toggle(row),
            Action::Left => self.go_to_parent(row),
            _ => {}
        }
    }

    fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.rows.len() as u64);
    }

    fn choose(&mut self, line: u64) -> bool {
        self.scroll.choose(line, self.rows.len() as u64)
    }

    fn filter(&self) -> &str {
        self.filter.text()
    }

    fn wrong(&self) -> Option<&QueryError> {
        self.filter.wrong()
    }

    /// Keeps threads whose name, functions or files contain the text; upper case is exact, `!` inverts.
    fn set_filter(&mut self, filter: &str, _: &mut Desk) {
        if self.filter.set(filter, FIELDS) {
            self.scroll = Scroll::default();
            self.arrange();
        }
    }

    /// By what they keep alive, or as they were started.
    fn sort(&mut self, _: isize, _: &mut Desk) {
        self.by_retained = !self.by_retained && self.retaining.is_some();
        self.scroll = Scroll::default();
        self.arrange();
    }

    fn subject(&self) -> Option<Subject> {
        let row = self.current()?;
        if let Some(local) = self.object(row) {
            let name = if local.name.is_empty() { local.type_name.clone() } else { format!("local {}", local.name) };
            return Some(Subject { address: local.address, name });
        }
        if let Row::Waits(thread) = row {
            let wait = self.thread(thread)?.waits_for.as_ref()?;
            return Some(Subject { address: wait.address, name: wait.what.clone() });
        }
        let Row::Frame(thread, frame) = row else { return None };
        let frame = self.frame(thread, frame)?;
        Some(Subject { address: frame.generator?, name: frame.function.clone() })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        if sight.indexed && self.threads.is_none() {
            self.slot.want(Request::Threads, desk);
        }
        self.scroll.settle(self.rows.len() as u64, sight.rows);
        if sight.side && sight.indexed {
            let object = self.current().filter(|row| self.is_object(*row)).and_then(|_| self.subject());
            let object = object.map(|subject| subject.address);
            self.detail.want(object, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        match answer {
            Answer::Threads(threads) => {
                let mine = self.slot.accept(ticket, true).is_some();
                if mine {
                    self.threads = Some(threads);
                    self.arrange();
                    self.seek();
                }
                mine
            }
            other => self.detail.answer(ticket, other),
        }
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.slot.refuse(ticket, reason) || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
        self.detail.slot.forget_open();
    }
}
