//! The commands about what memory is used for: `memory`, `waste`.

use super::{ask, print, source};
use crate::cli::{Common, Source};

pub(super) fn memory(source: &Source, common: &Common) -> anyhow::Result<()> {
    let mut asked = ask::heap(source::open(source, common)?, common)?;
    let answer = ask::memory(&asked)?;
    asked.problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &asked.problems, common)
}

pub(super) fn waste(source: &Source, common: &Common) -> anyhow::Result<()> {
    let asked = ask::heap(source::open(source, common)?, common)?;
    print(ask::waste(&asked)?, &asked.info, &asked.problems, common)
}
