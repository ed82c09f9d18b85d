//! The query language: which objects (or rows of another list) a person means.
//!
//! ```text
//! type = dict and size > 1MB
//! (type ~ app.* or module = app.models) and not attr.closed = true
//! len >= 1000 and referrers = 1
//! ```
//!
//! A comparison names a field on the left and says a number, a word or a quoted text on the right: `=`, `!=`, `<`, `<=`,
//! `>`, `>=`, `~` (a pattern: `*` and `?` as in file names; without them, a part of the text; an upper-case letter makes
//! case matter) and `!~`. A field alone means that there is such a thing. `and`, `or`, `not` and parentheses bind as
//! in Python. Numbers may have a unit (`kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`). What an object does not have (the length of
//! an int) makes every comparison false; `not` turns that round.
//!
//! The text becomes an [`Expr`], which knows nothing of heaps: whoever has rows answers for the fields (see
//! [`Cell`]). [`objects`] evaluates it over the index, [`lists`] says what the fields of plain answers are.

mod cell;
mod lexer;
pub mod lists;
pub mod objects;
mod parser;
mod quick;

pub use cell::Cell;
pub use parser::{Expr, Field, Literal, Number, Op, is_query, parse};

/// What a field is: decides what it may be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A number of things or bytes.
    Number,
    /// A name.
    Text,
    /// Whatever the object is.
    Any,
}

/// A field of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub sort: Sort,
    /// Whether a path follows: `attr.x.y`.
    pub path: bool,
}

pub(super) const fn spec(name: &'static str, sort: Sort) -> Spec {
    Spec { name, sort, path: false }
}

/// The fields of objects.
pub const OBJECT_FIELDS: &[Spec] = &[
    spec("type", Sort::Text),
    spec("module", Sort::Text),
    spec("size", Sort::Number),
    spec("retained", Sort::Number),
    spec("native", Sort::Number),
    spec("refcount", Sort::Number),
    spec("len", Sort::Number),
    spec("value", Sort::Any),
    Spec { name: "attr", sort: Sort::Any, path: true },
    spec("referrers", Sort::Number),
    spec("referents", Sort::Number),
    spec("address", Sort::Number),
];

/// A query over a list whose rows are asked for their fields by name, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    expr: Expr,
    fields: &'static [Spec],
}

impl ListQuery {
    /// Reads a query.
    pub fn parse(text: &str, fields: &'static [Spec]) -> Result<ListQuery, QueryError> {
        Ok(ListQuery { expr: parse(text, fields)?, fields })
    }

    /// Whether it asks for a field.
    pub fn names(&self, name: &str) -> bool {
        self.expr.names(&|field| name_of(field, self.fields) == name)
    }

    /// Whether it means the row that `cell` tells the fields of.
    pub fn matches<'r>(&self, cell: &impl Fn(&'static str) -> Cell<'r>) -> bool {
        self.expr.matches(&|field: &Field| cell(name_of(field, self.fields)))
    }
}

/// The name of one of these fields.
pub fn name_of(field: &Field, fields: &'static [Spec]) -> &'static str {
    fields.get(field.index).map_or("", |spec| spec.name)
}

/// What is wrong with a query, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct QueryError {
    /// The column of its first character, from 1 on.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

#[cfg(test)]
mod tests;
