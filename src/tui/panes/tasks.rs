//! Tasks: who awaits whom, which are unfolded to their stacks, and the cursor among the lines that follow from it.
//!
//! Which lines there are is in [`task_lines`](super::task_lines); how a line looks is
//! [`view`](crate::tui::view)'s. Variables are asked for when a frame is unfolded.

use super::task_lines::{Known, Line, Open, PAGE, Row, TaskOrder};
use super::{Detail, Motion, Scroll, Sight, State, Subject};
use crate::analysis::answers::{Frame, Local, Retaining, Task};
use crate::analysis::query::QueryError;
use crate::analysis::tasks::FIELDS;
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Request, Ticket};
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub struct TasksPane {
    /// Waits for the answer.
    pub slot: Slot,
    /// The answer.
    pub known: Option<Known>,
    /// A text or a query.
    pub filter: Filter,
    /// Sorted by.
    pub order: TaskOrder,
    /// The other way round.
    pub descending: bool,
    /// Cursor.
    pub scroll: Scroll,
    /// About the selected object.
    pub detail: Detail,
    /// What tasks keep alive, once it is known.
    pub retaining: Option<Arc<Retaining>>,
    /// The same of each row of the forest: of a crowd, the sum.
    sums: Vec<u64>,
    /// What is shown, from the top.
    pub lines: Vec<Line>,
    open: Open,
    locals: Slot,
    /// A task that the cursor goes to once it is there.
    wanted: Option<Addr>,
}

impl TasksPane {
    /// Puts the cursor on a task, now or when the answer is there.
    pub fn go_to(&mut self, task: Addr) {
        self.wanted = Some(task);
        if !self.filter.is_empty() || self.order != TaskOrder::Forest {
            self.filter = Filter::default();
            self.order = TaskOrder::Forest;
            self.arrange();
        }
        self.seek();
    }

    fn seek(&mut self) {
        let (Some(task), Some(known)) = (self.wanted, &self.known) else { return };
        self.wanted = None;
        let number = known.number(task);
        let at = self.lines.iter().position(|line| number.is_some() && known.number_of(line.row) == number);
        // the heading says what the task is part of
        let heads = |at: usize| {
            at.checked_sub(1).filter(|i| matches!(self.lines.get(*i), Some(Line { row: Row::Cycle(_), .. })))
        };
        if let Some(at) = at.map(|at| heads(at).unwrap_or(at)) {
            self.go(Motion::To(at as u64));
        }
    }

    /// The selected line.
    pub fn current(&self) -> Option<Row> {
        self.line(self.scroll.row).map(|line| line.row)
    }

    /// The line at a place of the list.
    pub fn line(&self, at: u64) -> Option<Line> {
        self.lines.get(usize::try_from(at).ok()?).copied()
    }

    /// A task by its number.
    pub fn task(&self, task: usize) -> Option<&Task> {
        self.known.as_ref()?.tasks.tasks.get(task)
    }

    /// A frame of it.
    pub fn frame(&self, task: usize, frame: usize) -> Option<&Frame> {
        self.task(task)?.stack.get(frame)
    }

    /// A variable.
    pub fn local(&self, row: Row) -> Option<&Local> {
        let Row::Local(task, frame, i) = row else { return None };
        self.locals_of(task, frame)?.get(i)
    }

    /// The variables of a frame, once they are here.
    pub fn locals_of(&self, task: usize, frame: usize) -> Option<&Vec<Local>> {
        self.known.as_ref()?.locals.get(&self.frame(task, frame)?.generator?)
    }

    /// Whether a line is about an object that the panel explains as such.
    pub fn is_object(&self, row: Row) -> bool {
        matches!(row, Row::Waits(_) | Row::Local(..))
    }

    /// Whether there is something below a line, and whether it is shown; `None`: there is nothing.
    pub fn fold(&self, row: Row) -> Option<bool> {
        let known = self.known.as_ref()?;
        match row {
            Row::Tree(i) if known.is_crowd(row) => Some(self.open.crowds.contains_key(&i)),
            Row::Tree(i) if known.tasks.forest.get(i).is_none_or(|r| r.shared) => None,
            Row::Tree(_) | Row::Member(..) | Row::Task(_) => {
                let t = known.number_of(row)?;
                let task = self.task(t)?;
                let has = !task.stack.is_empty() || task.waits_in.is_some() || !task.whole;
                has.then(|| self.open.tasks.contains(&t))
            }
            Row::Frame(t, f) => {
                let known = self.locals_of(t, f).map(Vec::len);
                (known != Some(0)).then(|| self.open.frames.contains(&(t, f)))
            }
            _ => None,
        }
    }

    /// Folds or unfolds a line; a `… more` line shows the next ones.
    pub fn toggle(&mut self, row: Row) {
        let Some(known) = &self.known else { return };
        match row {
            Row::More(i) => {
                *self.open.crowds.entry(i).or_default() += PAGE;
                self.arrange();
                return;
            }
            Row::Tree(i) if known.is_crowd(row) => {
                if self.open.crowds.remove(&i).is_none() {
                    self.open.crowds.insert(i, PAGE);
                }
            }
            Row::Tree(_) | Row::Member(..) | Row::Task(_) if self.fold(row).is_some() => {
                let Some(t) = known.number_of(row) else { return };
                if !self.open.tasks.remove(&t) {
                    self.open.tasks.insert(t);
                }
            }
            Row::Frame(t, f) => {
                if !self.open.frames.remove(&(t, f)) {
                    self.open.frames.insert((t, f));
                }
            }
            _ => return,
        }
        self.arrange();
        self.select(row);
    }

    fn go_to_parent(&mut self, row: Row) {
        let at = self.scroll.row as usize;
        let Some(here) = self.lines.get(at).copied() else { return };
        let above = self.lines.get(..at).unwrap_or_default();
        let is_parent = |line: &Line| match row {
            Row::Local(t, f, _) => line.row == Row::Frame(t, f),
            Row::Waits(_) | Row::Frame(..) | Row::Cut(_) => {
                matches!(line.row, Row::Tree(_) | Row::Member(..) | Row::Task(_))
            }
            Row::Member(i, _) | Row::More(i) => line.row == Row::Tree(i),
            Row::Tree(_) => line.depth < here.depth && matches!(line.row, Row::Tree(_)),
            _ => false,
        };
        if let Some(parent) = above.iter().rposition(is_parent) {
            self.go(Motion::To(parent as u64));
        }
    }

    fn select(&mut self, row: Row) {
        if let Some(at) = self.lines.iter().position(|line| line.row == row) {
            self.go(Motion::To(at as u64));
        }
    }

    /// The number of tasks that the filter leaves.
    pub fn shown(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.row, Row::Task(_))).count()
    }

    /// Takes what tasks keep alive, once that is known.
    pub fn weigh(&mut self, retaining: Option<&Arc<Retaining>>) {
        if self.retaining.is_none() && retaining.is_some() {
            self.retaining = retaining.cloned();
            self.add_up();
            if self.filter.asks_for("retained", FIELDS) {
                self.arrange();
            }
        }
    }

    fn add_up(&mut self) {
        if let (Some(known), Some(retaining)) = (&self.known, &self.retaining) {
            self.sums = known.tasks.forest.iter().map(|row| known.sum(row, retaining)).collect();
        }
    }

    /// What a line's task keeps alive, or a crowd; `None` for other lines and as long as it is not known.
    pub fn retained(&self, row: Row) -> Option<u64> {
        let (known, retaining) = (self.known.as_ref()?, self.retaining.as_ref()?);
        match row {
            Row::Tree(i) => known.tasks.forest.get(i).filter(|r| !r.shared).and_then(|_| self.sums.get(i).copied()),
            Row::Member(..) | Row::Task(_) => retaining.tasks.get(&self.task(known.number_of(row)?)?.address).copied(),
            _ => None,
        }
    }

    fn arrange(&mut self) {
        self.lines = match &self.known {
            Some(known) => {
                let retaining = self.retaining.as_deref();
                known.lines(&self.open, self.filter.wanted(), (self.order, self.descending), retaining)
            }
            None => Vec::new(),
        };
    }

    /// Asks for the variables of the first unfolded frame that has none yet.
    fn ask_locals(&mut self, desk: &mut Desk) {
        let missing = self.open.frames.iter().find_map(|(t, f)| {
            let generator = self.frame(*t, *f)?.generator?;
            let here = self.known.as_ref()?.locals.contains_key(&generator);
            (!here).then_some(generator)
        });
        // the panel shows those of the selected frame
        let selected = match self.current() {
            Some(Row::Frame(t, f)) => self.frame(t, f).and_then(|frame| frame.generator),
            _ => None,
        };
        let selected = selected.filter(|g| self.known.as_ref().is_some_and(|k| !k.locals.contains_key(g)));
        if let Some(generator) = selected.or(missing).filter(|_| !self.locals.is_waiting()) {
            self.locals.want(Request::Locals { generator }, desk);
        }
    }
}

impl State for TasksPane {
    fn context(&self) -> Context {
        Context::TASKS
    }

    fn act(&mut self, action: Action, rows: u64, _: &mut Desk) {
        if let Some(motion) = Motion::of(action, rows) {
            return self.go(motion);
        }
        let Some(row) = self.current() else { return };
        match (action, self.fold(row)) {
            (Action::Toggle, _) => self.toggle(row),
            (Action::Right, Some(false)) => self.toggle(row),
            (Action::Right, _) => self.go(Motion::By(1)),
            (Action::Left, Some(true)) => self.toggle(row),
            (Action::Left, _) => self.go_to_parent(row),
            _ => {}
        }
    }

    fn go(&mut self, motion: Motion) {
        self.scroll.go(motion, self.lines.len() as u64);
    }

    fn choose(&mut self, line: u64) -> bool {
        self.scroll.choose(line, self.lines.len() as u64)
    }

    fn filter(&self) -> &str {
        self.filter.text()
    }

    fn wrong(&self) -> Option<&QueryError> {
        self.filter.wrong()
    }

    fn set_filter(&mut self, filter: &str, _: &mut Desk) {
        if self.filter.set(filter, FIELDS) {
            self.scroll = Scroll::default();
            self.arrange();
        }
    }

    fn sort(&mut self, by: isize, _: &mut Desk) {
        match by {
            0 => self.descending = !self.descending,
            by => {
                self.order = self.order.step(by, self.retaining.is_some());
                self.descending = self.order == TaskOrder::Retained; // most first
            }
        }
        self.scroll = Scroll::default();
        self.arrange();
    }

    fn subject(&self) -> Option<Subject> {
        let row = self.current()?;
        let known = self.known.as_ref()?;
        if let Some(local) = self.local(row) {
            return Some(Subject { address: local.address, name: format!("local {}", local.name) });
        }
        if let Row::Cycle(i) = row {
            let address = *known.tasks.cycles.get(i)?.first()?;
            return Some(Subject { address, name: address.to_string() });
        }
        let task = self.task(known.number_of(row)?)?;
        match row {
            Row::Waits(_) => {
                let waits = task.waits_in.as_ref()?;
                Some(Subject { address: waits.address, name: waits.kind.to_owned() })
            }
            Row::Frame(t, f) => {
                let frame = self.frame(t, f)?;
                Some(Subject { address: frame.generator?, name: frame.function.clone() })
            }
            _ => {
                let name = task.name.clone().unwrap_or_else(|| task.address.to_string());
                Some(Subject { address: task.address, name })
            }
        }
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        if sight.indexed && self.known.is_none() {
            self.slot.want(Request::Tasks, desk);
        }
        self.scroll.settle(self.lines.len() as u64, sight.rows);
        if sight.indexed {
            self.ask_locals(desk);
        }
        if sight.side && sight.indexed {
            let object = self.current().filter(|row| self.is_object(*row)).and_then(|_| self.subject());
            self.detail.want(object.map(|subject| subject.address), desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        match answer {
            Answer::Tasks(tasks) => {
                let mine = self.slot.accept(ticket, true).is_some();
                if mine {
                    self.known = Some(Known::new(tasks));
                    self.add_up();
                    self.arrange();
                    self.seek();
                }
                mine
            }
            Answer::Locals(locals) => {
                let Some(Request::Locals { generator }) = self.locals.accept(ticket, true) else { return false };
                let generator = *generator;
                if let Some(known) = &mut self.known {
                    known.locals.insert(generator, locals);
                }
                let row = self.current();
                self.arrange();
                row.into_iter().for_each(|row| self.select(row));
                true
            }
            other => self.detail.answer(ticket, other),
        }
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        self.slot.refuse(ticket, reason)
            || self.locals.refuse(ticket, reason)
            || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
        self.locals.forget_open();
        self.detail.slot.forget_open();
    }
}
