//! The type table in the order and with the filter the person chose.
//!
//! Small tables are arranged at once, big ones by a thread, so that a key press is drawn before a million names are
//! compared. It decides nothing about how rows look.

use super::filter::Wanted;
use crate::analysis::answers::Types;
use crate::analysis::query::lists;
use crate::snapshot::Addr;
use fuzzy_matcher::FuzzyMatcher;
use fuzzy_matcher::skim::SkimMatcherV2;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Up to so many types are arranged between a key press and its picture.
pub const AT_ONCE: usize = 4096;

/// What the type table can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeColumn {
    /// The type's name.
    Name,
    /// How many objects.
    Count,
    /// The sum of their sizes.
    Size,
    /// What would go with them.
    Retained,
}

/// What the objects of each type keep alive, by type object; empty as long as it is not known.
pub type RetainedByType = Arc<HashMap<Addr, u64>>;

impl TypeColumn {
    /// Left to right, as on the screen.
    pub const ALL: [TypeColumn; 4] = [TypeColumn::Name, TypeColumn::Count, TypeColumn::Size, TypeColumn::Retained];

    /// The column so many places to the right, round the edge; `shown` of them are on the screen.
    pub fn step(self, by: isize, shown: usize) -> TypeColumn {
        let at = Self::ALL.iter().position(|c| *c == self).unwrap_or(0) as isize;
        let next = (at + by).rem_euclid(shown.clamp(1, Self::ALL.len()) as isize) as usize;
        Self::ALL.get(next).copied().unwrap_or(TypeColumn::Size)
    }
}

/// A table to arrange.
#[derive(Debug, Clone)]
pub struct Job {
    /// Names the job; only the newest one's result is used.
    pub generation: u64,
    /// The table.
    pub types: Arc<Types>,
    /// By what.
    pub column: TypeColumn,
    /// Biggest first, or Z to A.
    pub descending: bool,
    /// A text is a [`Pattern`].
    pub filter: Wanted,
    /// What types keep alive.
    pub retained: RetainedByType,
    /// The type the cursor should stay on.
    pub selected: Option<Addr>,
}

/// A table arranged.
#[derive(Debug, Clone)]
pub struct Arrangement {
    /// The job's.
    pub generation: u64,
    /// The job's.
    pub types: Arc<Types>,
    /// Indices into `types`, in the order to show.
    pub rows: Arc<Vec<u32>>,
    /// Where the selected type is among `rows`.
    pub selected_row: Option<usize>,
}

impl Job {
    /// Does it; `None` once `stale` says that nobody wants it any more.
    pub fn run(self, stale: impl Fn() -> bool) -> Option<Arrangement> {
        let all = &self.types.types;
        let pattern = Pattern::of(&self.filter);
        let query = match &self.filter {
            Wanted::Query(query, _) => Some(query),
            Wanted::All | Wanted::Text(_) => None,
        };
        // What contains the filter as it was typed comes first, then what matches with gaps
        let (mut rows, mut scattered) = (Vec::new(), Vec::new());
        for (i, row) in all.iter().enumerate() {
            if i % 1024 == 1023 && stale() {
                return None;
            }
            let retained = || self.retained.get(&row.address).copied();
            if query.is_some_and(|q| !q.matches(&|field| lists::of_type(row, retained(), field))) {
                continue;
            }
            match pattern.matches(&row.name) {
                Some(Fit::Whole) => rows.push(i as u32),
                Some(Fit::Scattered) => scattered.push(i as u32),
                None => {}
            }
        }
        let order = |a: &u32, b: &u32| {
            let (x, y) = (&all[*a as usize], &all[*b as usize]);
            let order = match self.column {
                TypeColumn::Name => x.name.cmp(&y.name),
                TypeColumn::Count => x.count.cmp(&y.count),
                TypeColumn::Size => x.shallow_bytes.cmp(&y.shallow_bytes),
                TypeColumn::Retained => self.retained.get(&x.address).cmp(&self.retained.get(&y.address)),
            };
            let order = if self.descending { order.reverse() } else { order };
            order.then_with(|| x.name.cmp(&y.name))
        };
        rows.sort_by(order);
        scattered.sort_by(order);
        rows.append(&mut scattered);
        let selected_row = self.selected.and_then(|s| rows.iter().position(|i| all[*i as usize].address == s));
        Some(Arrangement { generation: self.generation, types: self.types, rows: Arc::new(rows), selected_row })
    }
}

static MATCHER: LazyLock<SkimMatcherV2> = LazyLock::new(|| SkimMatcherV2::default().smart_case());

/// How a name matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It contains the text.
    Whole,
    /// It contains the text's characters in their order.
    Scattered,
}

/// A filter as typed: fuzzy, smart case; `!text` keeps the names that do not contain the text.
#[derive(Debug, Clone, Copy)]
pub struct Pattern<'a> {
    text: &'a str,
    inverse: bool,
}

impl<'a> Pattern<'a> {
    /// Reads what was typed.
    pub fn new(text: &'a str) -> Pattern<'a> {
        match text.strip_prefix('!') {
            Some(rest) => Pattern { text: rest, inverse: true },
            None => Pattern { text, inverse: false },
        }
    }

    /// What a filter looks for in names: nothing, where it is a query.
    pub fn of(filter: &'a Wanted) -> Pattern<'a> {
        match filter {
            Wanted::Text(text) => Pattern::new(text),
            Wanted::All | Wanted::Query(..) => Pattern::new(""),
        }
    }

    /// Whether and how well `name` fits.
    pub fn matches(&self, name: &str) -> Option<Fit> {
        if self.text.is_empty() {
            Some(Fit::Whole)
        } else if self.inverse {
            // The opposite of fuzzy would throw out nearly everything
            (!contains(name, self.text)).then_some(Fit::Whole)
        } else if contains(name, self.text) {
            Some(Fit::Whole)
        } else {
            MATCHER.fuzzy_match(name, self.text).map(|_| Fit::Scattered)
        }
    }

    /// Which characters of `name` made it match, for the eye.
    pub fn matched(&self, name: &str) -> Vec<usize> {
        if self.inverse || self.text.is_empty() {
            return Vec::new();
        }
        MATCHER.fuzzy_indices(name, self.text).map(|(_, indices)| indices).unwrap_or_default()
    }
}

/// Whether `text` contains `part`; an upper-case letter in `part` makes case matter.
pub fn contains(text: &str, part: &str) -> bool {
    if part.chars().any(char::is_uppercase) { text.contains(part) } else { text.to_lowercase().contains(part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answers::{Total, TypeRow};
    use crate::tui::filter::Filter;

    fn table() -> Arc<Types> {
        let row =
            |name: &str, count, bytes| TypeRow { name: name.into(), address: Addr(bytes), count, shallow_bytes: bytes };
        let types = vec![row("dict", 10, 900), row("_asyncio.Future", 40, 800), row("app.Dict", 5, 700)];
        Arc::new(Types { types, total: Total { count: 55, shallow_bytes: 2400 } })
    }

    fn wanted(text: &str) -> Wanted {
        let mut filter = Filter::default();
        filter.set(text, lists::TYPE_FIELDS);
        filter.wanted().clone()
    }

    fn rows(column: TypeColumn, descending: bool, filter: &str) -> Vec<u32> {
        let job = Job {
            generation: 1,
            types: table(),
            column,
            descending,
            filter: wanted(filter),
            retained: Arc::new(HashMap::from([(Addr(700), 9), (Addr(800), 5)])),
            selected: Some(Addr(700)),
        };
        job.run(|| false).unwrap().rows.to_vec()
    }

    #[test]
    fn sorts_by_every_column_both_ways() {
        assert_eq!(rows(TypeColumn::Size, true, ""), [0, 1, 2]);
        assert_eq!(rows(TypeColumn::Count, true, ""), [1, 0, 2]);
        assert_eq!(rows(TypeColumn::Count, false, ""), [2, 0, 1]);
        assert_eq!(rows(TypeColumn::Name, false, ""), [1, 2, 0]);
        assert_eq!(rows(TypeColumn::Retained, true, ""), [2, 1, 0]);
    }

    #[test]
    fn filters_fuzzily_with_smart_case_and_inverse() {
        assert_eq!(rows(TypeColumn::Size, true, "dct"), [0, 2]);
        assert_eq!(rows(TypeColumn::Size, true, "p.d"), [2]);
        assert_eq!(rows(TypeColumn::Size, true, "u"), [1]);
        assert_eq!(rows(TypeColumn::Size, true, "Dct"), [2]);
        assert_eq!(rows(TypeColumn::Size, true, "!dict"), [1]);
        assert_eq!(rows(TypeColumn::Size, true, "!"), [0, 1, 2]);
        assert_eq!(Pattern::new("fut").matched("_asyncio.Future"), [9, 10, 11]);
    }

    #[test]
    fn a_query_is_asked_of_each_row() {
        assert_eq!(rows(TypeColumn::Size, true, "count >= 10"), [0, 1]);
        assert_eq!(rows(TypeColumn::Size, true, "size < 850 and type ~ d*"), [0; 0]);
        assert_eq!(rows(TypeColumn::Size, true, "size < 850 and type ~ *f*"), [1]);
        assert_eq!(rows(TypeColumn::Size, true, "not retained > 5 or address = 700"), [0, 1, 2]);
        assert_eq!(rows(TypeColumn::Size, true, "retained > 5"), [2]);
    }

    #[test]
    fn an_unwanted_job_stops() {
        let many = (0..5000).map(|i| TypeRow { name: format!("t{i}"), address: Addr(i), count: 1, shallow_bytes: 1 });
        let types = Arc::new(Types { types: many.collect(), total: Total::default() });
        let job = Job {
            generation: 1,
            types,
            column: TypeColumn::Name,
            descending: false,
            filter: Wanted::All,
            retained: Arc::default(),
            selected: None,
        };
        assert!(job.run(|| true).is_none());
    }
}
