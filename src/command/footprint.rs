//! The commands about what memory is used for: `memory`, `waste`.

use super::{ask, print, source};
use crate::analysis::query::lists::{WASTE_FIELDS, of_waste};
use crate::analysis::query::parse;
use crate::cli::{Common, Source};

pub(super) fn memory(source: &Source, common: &Common) -> anyhow::Result<()> {
    let mut asked = ask::heap(source::open(source, common)?, common)?;
    let answer = ask::memory(&asked)?;
    asked.problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &asked.problems, common)
}

pub(super) fn waste(source: &Source, query: Option<&str>, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(query, |text| parse(text, WASTE_FIELDS))?;
    let asked = ask::heap(source::open(source, common)?, common)?;
    let mut answer = ask::waste(&asked)?;
    if let Some(query) = query {
        answer.rows.retain(|row| query.matches(&|field| of_waste(row, field)));
    }
    print(answer, &asked.info, &asked.problems, common)
}
