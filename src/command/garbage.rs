//! `garbage` and `audit`: what keeps objects alive although no name leads to them.

use super::{ask, print, source, watch};
use crate::analysis::garbage::garbage;
use crate::cli::{Common, Garbage};

pub(super) fn run(args: &Garbage, common: &Common) -> anyhow::Result<()> {
    let asked = ask::heap(source::open(&args.source, common)?, common)?;
    let work = |progress: &_| garbage(&asked.heap, args.objects, progress);
    let answer = watch::cancellable("looking for garbage", common.quiet, work)?;
    let mut problems = asked.problems.clone();
    problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &problems, common)
}
