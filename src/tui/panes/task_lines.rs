//! The lines of the tasks pane, as they follow from the answer and from what is unfolded.
//!
//! As a forest: cycles first, each under a heading and drawn closed by a gutter at the left; crowds in one line that
//! unfolds page by page. With a filter or an order: one line a task, whatever its state. Which line is selected is
//! [`tasks`](super::tasks)'s.

use crate::analysis::answers::{Retaining, Task, Tasks, TreeRow};
use crate::analysis::tasks::of_task;
use crate::snapshot::Addr;
use crate::tui::arrange::contains;
use crate::tui::filter::Wanted;
use std::collections::{HashMap, HashSet};

/// Tasks of a crowd that one step unfolds.
pub const PAGE: usize = 1000;

/// One line: numbers of a row of the forest, of a task, of a frame in it, of a variable in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// What is said of a cycle.
    Cycle(usize),
    /// What could not be read, in a sentence.
    Problem(usize),
    /// A row of the forest: a task, or a crowd.
    Tree(usize),
    /// One of a crowd.
    Member(usize, usize),
    /// The rest of a crowd.
    More(usize),
    /// A task by itself.
    Task(usize),
    /// What a task waits in.
    Waits(usize),
    /// A frame of a task, the innermost first.
    Frame(usize, usize),
    /// A variable.
    Local(usize, usize, usize),
    /// The rest of a stack is damaged.
    Cut(usize),
}

/// What stands at the left of a line of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gutter {
    /// Nothing: no part of a cycle.
    #[default]
    Blank,
    /// `╭▸`: what the last one awaits.
    Opens,
    /// `│`.
    Through,
    /// `├─╯`: awaits the first one, and others do too.
    Joins,
    /// `╰─╯`: awaits the first one.
    Closes,
}

/// A line of the pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What it shows.
    pub row: Row,
    /// How deep it stands.
    pub depth: u64,
    /// What stands before it.
    pub gutter: Gutter,
}

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskOrder {
    /// Who awaits whom.
    #[default]
    Forest,
    /// The task's name; numbers in it count.
    Name,
    /// The coroutine's name.
    Coroutine,
    /// File and line.
    Place,
    /// Its state.
    State,
    /// What it keeps alive, once that is known.
    Retained,
}

impl TaskOrder {
    /// In the order of the keys.
    pub const ALL: [TaskOrder; 6] = [
        TaskOrder::Forest,
        TaskOrder::Name,
        TaskOrder::Coroutine,
        TaskOrder::Place,
        TaskOrder::State,
        TaskOrder::Retained,
    ];

    /// The order so many places further, round the edge; the last one only when it is known what tasks keep alive.
    pub fn step(self, by: isize, retained: bool) -> TaskOrder {
        let at = Self::ALL.iter().position(|c| *c == self).unwrap_or(0) as isize;
        let count = Self::ALL.len() - usize::from(!retained);
        Self::ALL[(at + by).rem_euclid(count as isize) as usize]
    }

    /// For the title.
    pub fn name(self) -> &'static str {
        match self {
            TaskOrder::Forest => "who awaits whom",
            TaskOrder::Name => "name",
            TaskOrder::Coroutine => "coroutine",
            TaskOrder::Place => "place",
            TaskOrder::State => "state",
            TaskOrder::Retained => "retained size",
        }
    }
}

/// What is unfolded.
#[derive(Debug, Default)]
pub struct Open {
    /// Crowds, by their rows in the forest, and how many of each are shown.
    pub crowds: HashMap<usize, usize>,
    /// Tasks with their stacks.
    pub tasks: HashSet<usize>,
    /// Frames with their variables.
    pub frames: HashSet<(usize, usize)>,
}

/// The answer with what is looked up in it often.
#[derive(Debug)]
pub struct Known {
    /// The answer.
    pub tasks: std::sync::Arc<Tasks>,
    numbers: HashMap<Addr, usize>,
    gutters: Vec<Gutter>,
    /// Variables by generator, as far as they came.
    pub locals: HashMap<Addr, Vec<crate::analysis::answers::Local>>,
}

impl Known {
    /// Prepares an answer. `O(tasks)`.
    pub fn new(tasks: std::sync::Arc<Tasks>) -> Known {
        let numbers = tasks.tasks.iter().enumerate().map(|(i, t)| (t.address, i)).collect();
        let gutters = gutters(&tasks.forest);
        Known { tasks, numbers, gutters, locals: HashMap::new() }
    }

    /// The number of the task at an address.
    pub fn number(&self, address: Addr) -> Option<usize> {
        self.numbers.get(&address).copied()
    }

    /// The task at an address.
    pub fn task_at(&self, address: Addr) -> Option<&Task> {
        self.tasks.tasks.get(self.number(address)?)
    }

    /// The task that a line is of.
    pub fn number_of(&self, row: Row) -> Option<usize> {
        match row {
            Row::Cycle(_) | Row::Problem(_) | Row::More(_) => None,
            Row::Tree(i) => self.number(self.tasks.forest.get(i)?.address),
            Row::Member(_, t) | Row::Task(t) | Row::Waits(t) | Row::Frame(t, _) | Row::Local(t, ..) | Row::Cut(t) => {
                Some(t)
            }
        }
    }

    /// Whether a row of the forest stands for several.
    pub fn is_crowd(&self, row: Row) -> bool {
        matches!(row, Row::Tree(i) if self.tasks.forest.get(i).is_some_and(|r| r.count > 1))
    }

    /// All lines: the forest, or the tasks that a filter leaves in an order.
    pub fn lines(
        &self,
        open: &Open,
        wanted: &Wanted,
        (order, descending): (TaskOrder, bool),
        retaining: Option<&Retaining>,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        if *wanted == Wanted::All && order == TaskOrder::Forest {
            self.forest(open, &mut lines);
            return lines;
        }
        let mut kept: Vec<usize> = (0..self.tasks.tasks.len()).filter(|t| self.keeps(*t, wanted, retaining)).collect();
        self.sort(&mut kept, order, retaining);
        if descending {
            kept.reverse();
        }
        for t in kept {
            let line = Line { row: Row::Task(t), depth: 0, gutter: Gutter::Blank };
            lines.push(line);
            self.stack(t, line, open, &mut lines);
        }
        lines
    }

    fn forest(&self, open: &Open, lines: &mut Vec<Line>) {
        let plain = |row| Line { row, depth: 0, gutter: Gutter::Blank };
        lines.extend((0..self.tasks.problems.len()).map(|i| plain(Row::Problem(i))));
        // a cycle of futures alone has no row of its own in the forest
        let drawn: HashSet<usize> = self.tasks.forest.iter().filter_map(|r| r.cycle).collect();
        lines.extend((0..self.tasks.cycles.len()).filter(|c| !drawn.contains(c)).map(|c| plain(Row::Cycle(c))));
        let mut headed = HashSet::new();
        for (i, row) in self.tasks.forest.iter().enumerate() {
            if let Some(cycle) = row.cycle.filter(|c| row.depth == 0 && headed.insert(*c)) {
                lines.push(plain(Row::Cycle(cycle)));
            }
            let gutter = self.gutters.get(i).copied().unwrap_or_default();
            let line = Line { row: Row::Tree(i), depth: row.depth, gutter };
            lines.push(line);
            if row.count > 1 {
                self.crowd(i, row, open, lines);
            } else if let Some(t) = self.number(row.address).filter(|_| !row.shared) {
                self.stack(t, line, open, lines);
            }
        }
    }

    fn crowd(&self, i: usize, row: &TreeRow, open: &Open, lines: &mut Vec<Line>) {
        let Some(shown) = open.crowds.get(&i) else { return };
        let members = self.members(row);
        let line = |row| Line { row, depth: 1, gutter: Gutter::Blank };
        for t in members.iter().take(*shown) {
            lines.push(line(Row::Member(i, *t)));
            self.stack(*t, line(Row::Member(i, *t)), open, lines);
        }
        lines.extend((members.len() > *shown).then(|| line(Row::More(i))));
    }

    /// The tasks of a crowd, by number.
    pub fn members(&self, row: &TreeRow) -> Vec<usize> {
        row.tasks.iter().filter_map(|address| self.number(*address)).collect()
    }

    /// What a task waits in, and its frames from the innermost out.
    fn stack(&self, t: usize, under: Line, open: &Open, lines: &mut Vec<Line>) {
        let Some(task) = self.tasks.tasks.get(t).filter(|_| open.tasks.contains(&t)) else { return };
        let gutter = match under.gutter {
            Gutter::Opens | Gutter::Through | Gutter::Joins => Gutter::Through,
            Gutter::Closes | Gutter::Blank => Gutter::Blank,
        };
        let line = |row| Line { row, depth: under.depth, gutter };
        lines.extend(task.waits_in.is_some().then(|| line(Row::Waits(t))));
        lines.extend((!task.whole).then(|| line(Row::Cut(t))));
        for (f, frame) in task.stack.iter().enumerate().rev() {
            lines.push(line(Row::Frame(t, f)));
            if open.frames.contains(&(t, f)) {
                let locals = frame.generator.and_then(|g| self.locals.get(&g)).map_or(0, Vec::len);
                lines.extend((0..locals).map(|i| line(Row::Local(t, f, i))));
            }
        }
    }

    fn keeps(&self, t: usize, wanted: &Wanted, retaining: Option<&Retaining>) -> bool {
        let Some(task) = self.tasks.tasks.get(t) else { return false };
        let retained = retaining.and_then(|all| all.tasks.get(&task.address)).copied();
        wanted.keeps(|typed| says(task, typed), |field| of_task(&self.tasks, task, retained, field))
    }

    /// What a task keeps alive, or the tasks of a crowd together.
    pub fn sum(&self, row: &TreeRow, retaining: &Retaining) -> u64 {
        let tasks = if row.tasks.is_empty() { std::slice::from_ref(&row.address) } else { row.tasks.as_slice() };
        retaining.sum(tasks).unwrap_or(0)
    }

    fn sort(&self, kept: &mut [usize], order: TaskOrder, retaining: Option<&Retaining>) {
        let of = |t: &usize| self.tasks.tasks.get(*t);
        match order {
            TaskOrder::Forest => {}
            TaskOrder::Name => kept.sort_by_cached_key(|t| {
                let name = of(t).and_then(|t| t.name.as_deref()).unwrap_or("");
                let text = name.trim_end_matches(|c: char| c.is_ascii_digit());
                (text.to_owned(), name[text.len()..].parse::<u64>().unwrap_or(0))
            }),
            TaskOrder::Coroutine => kept.sort_by_key(|t| of(t).and_then(|t| t.coro.as_deref())),
            TaskOrder::Place => kept.sort_by_key(|t| {
                of(t).and_then(|t| t.stack.last()).map(|f| (f.file.as_str(), f.line, f.function.as_str()))
            }),
            TaskOrder::State => kept.sort_by_key(|t| of(t).map(state)),
            TaskOrder::Retained => {
                kept.sort_by_key(|t| of(t).and_then(|t| retaining?.tasks.get(&t.address)).copied());
            }
        }
    }
}

/// In a word.
pub fn state(task: &Task) -> &'static str {
    if task.running { "running" } else { task.state.unwrap_or("damaged") }
}

/// Whether a task has a text somewhere: upper case is exact.
fn says(task: &Task, text: &str) -> bool {
    let named = || task.name.iter().chain(&task.coro).any(|name| contains(name, text));
    let state = || contains(state(task), text);
    let waits = || task.waits_in.as_ref().is_some_and(|w| contains(w.kind, text) || contains(&w.type_name, text));
    let stands = || task.stack.iter().any(|f| contains(&f.function, text) || contains(&f.file, text));
    named() || state() || waits() || stands()
}

/// Which rows of each cycle's tree lie between its root and the last row that awaits that root.
fn gutters(forest: &[TreeRow]) -> Vec<Gutter> {
    let mut gutters = vec![Gutter::Blank; forest.len()];
    let mut start = 0;
    while let Some(root) = forest.get(start) {
        let rest = forest.get(start + 1..).unwrap_or_default();
        let end = start + 1 + rest.iter().take_while(|row| row.depth > 0).count();
        let closes = |row: &TreeRow| row.shared && row.address == root.address;
        let tree = forest.get(start..end).unwrap_or_default();
        if let Some(last) = tree.iter().rposition(closes).filter(|_| root.cycle.is_some()) {
            for (i, (row, gutter)) in tree.iter().zip(gutters.iter_mut().skip(start)).enumerate().take(last + 1) {
                *gutter = match i {
                    0 => Gutter::Opens,
                    _ if i == last => Gutter::Closes,
                    _ if closes(row) => Gutter::Joins,
                    _ => Gutter::Through,
                };
            }
        }
        start = end;
    }
    gutters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: u64, depth: u64, shared: bool, cycle: Option<usize>) -> TreeRow {
        TreeRow { address: Addr(address), count: 1, depth, shared, cycle, ..TreeRow::default() }
    }

    #[test]
    fn a_cycle_is_closed_by_the_last_row_that_awaits_its_first() {
        use Gutter::*;
        let forest = [
            row(1, 0, false, Some(0)),
            row(2, 1, false, Some(0)),
            row(1, 2, true, Some(0)),
            row(3, 1, false, Some(0)),
            row(1, 2, true, Some(0)),
            row(4, 1, false, None),
            row(5, 0, false, None),
            row(1, 1, true, Some(0)),
        ];
        assert_eq!(gutters(&forest), [Opens, Through, Joins, Through, Closes, Blank, Blank, Blank]);
        assert_eq!(gutters(&[row(1, 0, false, Some(0)), row(1, 1, true, Some(0))]), [Opens, Closes]);
        assert!(gutters(&[]).is_empty());
    }
}
