//! `garbage` and `audit`: what keeps objects alive although no name leads to them.

use super::{ask, print, report_options, source, watch};
use crate::analysis::garbage::garbage;
use crate::analysis::query::lists::{AUDIT_FIELDS, GARBAGE_FIELDS, of_audit, of_garbage};
use crate::analysis::query::parse;
use crate::cli::{Audit, Common, Garbage};

pub(super) fn run(args: &Garbage, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), |text| parse(text, GARBAGE_FIELDS))?;
    let asked = ask::heap(source::open(&args.source, common)?, common)?;
    let work = |progress: &_| garbage(&asked.heap, args.objects, progress);
    let mut answer = watch::cancellable("looking for garbage", common.quiet, work)?;
    if let (Some(query), Some(objects)) = (query, &mut answer.objects) {
        objects.retain(|row| query.matches(&|field| of_garbage(row, field)));
    }
    let mut problems = asked.problems.clone();
    problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &problems, common)
}

pub(super) fn audit(args: &Audit, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), |text| parse(text, AUDIT_FIELDS))?;
    let asked = ask::heap(source::open(&args.source, common)?, common)?;
    let limit = report_options(common).rows().unwrap_or(u64::MAX);
    let most = if query.is_some() { u64::MAX } else { limit };
    let work = |progress: &_| crate::analysis::audit::audit(&asked.heap, most, progress);
    let mut answer = watch::cancellable("auditing", common.quiet, work)?;
    if let Some(query) = query {
        answer.rows.retain(|row| query.matches(&|field| of_audit(row, field)));
        answer.rows_total = answer.rows.len() as u64;
        answer.rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let mut problems = asked.problems.clone();
    problems.extend(answer.problems.iter().cloned());
    print(answer, &asked.info, &problems, common)
}
