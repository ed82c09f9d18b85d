//! `garbage` and `audit`: what keeps objects alive although no name leads to them.

use super::{ask, print, report_options, source, watch};
use crate::analysis::garbage::garbage;
use crate::cli::{Common, Garbage, Source};

pub(super) fn run(args: &Garbage, common: &Common) -> anyhow::Result<()> {
    let asked = ask::heap(source::open(&args.source, common)?, common)?;
    let work = |progress: &_| garbage(&asked.heap, args.objects, progress);
    let answer = watch::cancellable("looking for garbage", common.quiet, work)?;
    let mut problems = asked.problems.clone();
    problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &problems, common)
}

pub(super) fn audit(source: &Source, common: &Common) -> anyhow::Result<()> {
    let asked = ask::heap(source::open(source, common)?, common)?;
    let limit = report_options(common).rows().unwrap_or(u64::MAX);
    let work = |progress: &_| crate::analysis::audit::audit(&asked.heap, limit, progress);
    let answer = watch::cancellable("auditing", common.quiet, work)?;
    let mut problems = asked.problems.clone();
    problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &problems, common)
}
