//! Where the person was: back, forward, and the breadcrumbs of each place.
//!
//! A place is kept whole (filter, sort, position, what it shows), so going back looks as it did. It does not know
//! what a place contains.

/// Oldest places beyond this many are let go; the first one always stays.
const LIMIT: usize = 64;

/// A place and how it was reached.
#[derive(Debug)]
pub struct Entry<P> {
    /// The place.
    pub pane: P,
    /// From the top to here, for the breadcrumbs.
    pub crumbs: Vec<String>,
}

/// All places, one of them the present one.
#[derive(Debug)]
pub struct History<P> {
    entries: Vec<Entry<P>>,
    at: usize,
}

impl<P> History<P> {
    /// A history that begins here.
    pub fn new(pane: P, crumb: &str) -> History<P> {
        History { entries: vec![Entry { pane, crumbs: vec![crumb.to_owned()] }], at: 0 }
    }

    /// Where the person is.
    pub fn here(&self) -> &Entry<P> {
        &self.entries[self.at]
    }

    /// Where the person is.
    pub fn here_mut(&mut self) -> &mut P {
        &mut self.entries[self.at].pane
    }

    /// A step down from here: the breadcrumbs grow.
    pub fn drill(&mut self, pane: P, crumb: String) {
        let mut crumbs = self.here().crumbs.clone();
        crumbs.push(crumb);
        self.go(Entry { pane, crumbs });
    }

    /// A jump: the breadcrumbs begin anew.
    pub fn jump(&mut self, pane: P, crumb: String) {
        self.go(Entry { pane, crumbs: vec![crumb] });
    }

    /// To the nearest place at the top of its way that is wanted, earlier ones first; false when there is none.
    pub fn revisit(&mut self, is_wanted: impl Fn(&P) -> bool) -> bool {
        let fits = |i: &usize| self.entries.get(*i).is_some_and(|e| e.crumbs.len() == 1 && is_wanted(&e.pane));
        let found = (0..=self.at).rev().find(fits).or_else(|| (self.at + 1..self.entries.len()).find(fits));
        self.at = found.unwrap_or(self.at);
        found.is_some()
    }

    fn go(&mut self, entry: Entry<P>) {
        self.entries.truncate(self.at + 1);
        self.entries.push(entry);
        if self.entries.len() > LIMIT {
            self.entries.remove(1);
        }
        self.at = self.entries.len() - 1;
    }

    /// One place back; false at the beginning.
    pub fn back(&mut self) -> bool {
        let moved = self.at > 0;
        self.at -= usize::from(moved);
        moved
    }

    /// One place forward; false at the end.
    pub fn forward(&mut self) -> bool {
        let moved = self.at + 1 < self.entries.len();
        self.at += usize::from(moved);
        moved
    }

    /// Whether there is a place to go back to.
    pub fn at_top(&self) -> bool {
        self.at == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_and_forward_walk_the_same_places() {
        let mut history = History::new(0, "Types");
        history.drill(1, "Client".into());
        history.drill(2, ".futures".into());
        assert_eq!(history.here().crumbs, ["Types", "Client", ".futures"]);
        assert!(history.back() && history.back() && !history.back());
        assert!(history.forward());
        assert_eq!(history.here().pane, 1);
        history.jump(9, "Hex".into());
        assert!(!history.forward(), "a new way cuts the old one off");
        assert_eq!(history.here().crumbs, ["Hex"]);
    }

    #[test]
    fn a_place_at_the_top_is_found_again() {
        let mut history = History::new(0, "Overview");
        history.jump(1, "Types".into());
        history.drill(2, "Client".into());
        history.drill(1, "not at the top".into());
        assert!(history.revisit(|pane| *pane == 1));
        assert_eq!(history.here().crumbs, ["Types"]);
        assert!(!history.revisit(|pane| *pane == 2), "only reached from another place");
        assert!(history.forward());
        assert_eq!(history.here().pane, 2, "the way on is kept");
    }

    #[test]
    fn a_long_walk_forgets_its_middle_but_not_its_start() {
        let mut history = History::new(0, "Types");
        for i in 1..=LIMIT * 2 {
            history.drill(i, i.to_string());
        }
        let mut last = 0;
        while history.back() {
            last = history.here().pane;
        }
        assert_eq!(last, 0);
    }
}
