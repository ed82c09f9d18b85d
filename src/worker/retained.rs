//! Windows on what keeps how much alive. A list that was narrowed is kept, for the next window on it.
//!
//! That dominators are worked out is for others to see to.

use super::filter::Filter;
use super::protocol::RetainedBy;
use crate::analysis::answers::Retained;
use crate::analysis::query::{is_query, parse};
use crate::analysis::retained::{Entry, FIELDS, Kept, Which, kept, rows};
use crate::heap::Heap;
use crate::heap::roots::GroupId;
use crate::progress::{Cancelled, Progress};
use std::sync::{Arc, Mutex, PoisonError};

/// A window that is asked for.
pub(super) struct Window<'r> {
    pub(super) by: RetainedBy,
    pub(super) filter: &'r str,
    pub(super) offset: u64,
    pub(super) limit: u64,
}

/// The list that was narrowed last.
#[derive(Default)]
pub(super) struct Narrowed(Mutex<Option<(RetainedBy, String, Arc<Kept>)>>);

impl Narrowed {
    /// A window; `None`: of what is no object.
    pub(super) fn window(
        &self,
        heap: &Heap,
        asked: &Window<'_>,
        progress: &Progress,
    ) -> Result<Option<Retained>, Cancelled> {
        if let Some(known) = self.known(heap, asked, progress) {
            return known.map(Some);
        }
        let Some(which) = which(heap, asked.by) else { return Ok(None) };
        if asked.filter.is_empty() {
            return rows(heap, which, asked.offset, asked.limit, progress).map(Some);
        }
        let made = Arc::new(narrow(heap, which, asked.filter, progress)?);
        let list = (asked.by, asked.filter.to_owned(), made.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(list);
        made.rows(heap, asked.offset, asked.limit, progress).map(Some)
    }

    /// A window on the list that is kept, if it is that one.
    pub(super) fn known(
        &self,
        heap: &Heap,
        asked: &Window<'_>,
        progress: &Progress,
    ) -> Option<Result<Retained, Cancelled>> {
        let list = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = known.as_ref().filter(|(by, filter, _)| (*by, filter.as_str()) == (asked.by, asked.filter));
            same.map(|(_, _, list)| list.clone())?
        };
        Some(list.rows(heap, asked.offset, asked.limit, progress))
    }
}

/// Those that a query means, or whose line has a text; all of them when the query cannot be read, which the explorer
/// tells.
fn narrow(heap: &Heap, which: Which, filter: &str, progress: &Progress) -> Result<Kept, Cancelled> {
    let text = Filter::new(filter);
    let query = is_query(filter, FIELDS).then(|| parse(filter, FIELDS).ok());
    let keeps = |entry: &Entry<'_>| match &query {
        None => text.accepts(&entry.line()),
        Some(query) => query.as_ref().is_none_or(|query| query.matches(&|field| entry.cell(field))),
    };
    kept(heap, which, &keeps, progress)
}

/// The rows of the dominator tree that are meant; `None`: of what is no object.
fn which(heap: &Heap, by: RetainedBy) -> Option<Which> {
    Some(match by {
        RetainedBy::Objects => Which::Top,
        RetainedBy::Types => Which::Types,
        RetainedBy::Modules => Which::Modules,
        RetainedBy::Threads => Which::Threads,
        RetainedBy::Frames => Which::Frames,
        RetainedBy::Locals => Which::Locals,
        RetainedBy::Tasks => Which::Tasks,
        RetainedBy::Roots => Which::Roots,
        RetainedBy::Object(address) => Which::Object(heap.object_at(address)?.0),
        RetainedBy::Group(group) => Which::Group(GroupId(group)),
    })
}
