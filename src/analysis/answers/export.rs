//! Rows for other tools, column by column: shapes only.

use crate::snapshot::Addr;
use std::sync::Arc;

/// The values of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Addresses.
    Address(Vec<Addr>),
    /// Addresses that may be missing.
    MaybeAddress(Vec<Option<Addr>>),
    /// Counts and sizes.
    Int(Vec<i64>),
    /// Numbers that may be missing.
    MaybeInt(Vec<Option<i64>>),
    /// Sanitised text.
    Text(Vec<Arc<str>>),
    /// Sanitised text that may be missing.
    MaybeText(Vec<Option<Arc<str>>>),
    /// Yes or no.
    Bool(Vec<bool>),
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Address(v) => v.len(),
            Values::MaybeAddress(v) => v.len(),
            Values::Int(v) => v.len(),
            Values::MaybeInt(v) => v.len(),
            Values::Text(v) => v.len(),
            Values::MaybeText(v) => v.len(),
            Values::Bool(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over the values of another part of the same column.
    pub fn append(&mut self, more: Values) {
        match (self, more) {
            (Values::Address(v), Values::Address(m)) => v.extend(m),
            (Values::MaybeAddress(v), Values::MaybeAddress(m)) => v.extend(m),
            (Values::Int(v), Values::Int(m)) => v.extend(m),
            (Values::MaybeInt(v), Values::MaybeInt(m)) => v.extend(m),
            (Values::Text(v), Values::Text(m)) => v.extend(m),
            (Values::MaybeText(v), Values::MaybeText(m)) => v.extend(m),
            (Values::Bool(v), Values::Bool(m)) => v.extend(m),
            _ => {} // parts of one table have the same columns
        }
    }
}

/// Some rows of a table: columns of equal length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Each with its name; the same names, in the same order, for each part of a table.
    pub columns: Vec<(&'static str, Values)>,
}

impl Batch {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// Adds the rows of another part of the same table.
    pub fn append(&mut self, more: Batch) {
        if self.columns.is_empty() {
            *self = more;
            return;
        }
        for ((_, values), (_, more)) in self.columns.iter_mut().zip(more.columns) {
            values.append(more);
        }
    }
}
