//! What was typed to narrow a list: a text to look for, or a query.
//!
//! A query that cannot be read leaves the list as it is, with the reason beside it. What the fields of a row are is
//! said by [`analysis::query`](crate::analysis::query); which rows a text keeps is the list's own business.

use crate::analysis::query::{Cell, Expr, Field, QueryError, Spec, is_query, parse};

/// What a list is narrowed by.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Wanted {
    /// Nothing.
    #[default]
    All,
    /// A text as typed.
    Text(String),
    /// Rows that are like this, and the query as typed, without the spaces around it.
    Query(Expr, String),
}

impl Wanted {
    /// Whether a row is kept: by its fields, or as `text` judges what was typed; `!` before that inverts.
    pub fn keeps<'r>(&self, text: impl FnOnce(&str) -> bool, cell: impl Fn(&Field) -> Cell<'r>) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Text(typed) => {
                let (looked_for, inverse) = typed.strip_prefix('!').map_or((&**typed, false), |rest| (rest, true));
                looked_for.is_empty() || text(looked_for) != inverse
            }
            Wanted::Query(query, _) => query.matches(&cell),
        }
    }

    /// As it was typed.
    pub fn typed(&self) -> &str {
        match self {
            Wanted::All => "",
            Wanted::Text(typed) | Wanted::Query(_, typed) => typed,
        }
    }
}

/// A filter of a list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    text: String,
    wanted: Wanted,
    wrong: Option<QueryError>,
}

impl Filter {
    /// Takes what was typed so far, for a list with these fields; whether other rows are wanted now.
    pub fn set(&mut self, text: &str, fields: &[Spec]) -> bool {
        self.text = text.to_owned();
        self.wrong = None;
        let wanted = match text {
            "" => Wanted::All,
            text if !is_query(text, fields) => Wanted::Text(text.to_owned()),
            text => match parse(text, fields) {
                Ok(query) => Wanted::Query(query, text.trim().to_owned()),
                Err(wrong) => {
                    self.wrong = Some(wrong);
                    return false;
                }
            },
        };
        let other = self.wanted != wanted;
        self.wanted = wanted;
        other
    }

    /// As typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What the list is narrowed by: the last that could be read.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether the list is narrowed; not by what could not be read.
    pub fn narrows(&self) -> bool {
        self.wanted != Wanted::All
    }

    /// Whether the list is narrowed by a query with a field of this name.
    pub fn asks_for(&self, name: &str, fields: &[Spec]) -> bool {
        let is_it = |field: &Field| fields.get(field.index).is_some_and(|spec| spec.name == name);
        matches!(&self.wanted, Wanted::Query(query, _) if query.names(&is_it))
    }

    /// Why what was typed is not what the list is narrowed by.
    pub fn wrong(&self) -> Option<&QueryError> {
        self.wrong.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::query::OBJECT_FIELDS;

    #[test]
    fn what_cannot_be_read_leaves_the_list_as_it_is() {
        let mut filter = Filter::default();
        assert!(filter.set("size > 1", OBJECT_FIELDS));
        assert!(!filter.set("size > ", OBJECT_FIELDS));
        assert_eq!((filter.text(), filter.wanted().typed()), ("size > ", "size > 1"));
        assert_eq!(filter.wrong().map(|wrong| wrong.column), Some(8));
        assert!(filter.narrows() && filter.asks_for("size", OBJECT_FIELDS) && !filter.asks_for("len", OBJECT_FIELDS));
        assert!(filter.set("siz", OBJECT_FIELDS) && filter.wrong().is_none());
        assert_eq!(filter.wanted(), &Wanted::Text("siz".into()));
        assert!(filter.set("", OBJECT_FIELDS));
        assert_eq!(filter.wanted(), &Wanted::All);
        assert!(!filter.set("size >", OBJECT_FIELDS) && !filter.narrows());
    }
}
