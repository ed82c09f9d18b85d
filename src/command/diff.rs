//! `diff OLD NEW [LATER]`.

use super::{ask, print, report_options, source, watch};
use crate::analysis::answers::Which;
use crate::analysis::diff;
use crate::analysis::query::lists::{CHANGE_FIELDS, of_change};
use crate::analysis::query::parse;
use crate::cli::{Common, Diff, DiffObjects, Source};
use anyhow::Context;

pub(super) fn run(args: &Diff, common: &Common) -> anyhow::Result<()> {
    let parsed = args.where_.as_deref().map(|text| parse(text, CHANGE_FIELDS)).transpose();
    let query = parsed.context("--where")?;
    let mut sources: Vec<Source> =
        args.snapshots.iter().map(|path| Source { source: Some(path.clone()), pid: None }).collect();
    sources.extend(args.pid.map(|pid| Source { source: None, pid: Some(pid) }));
    let mut heaps = Vec::new();
    for source in &sources {
        heaps.push(ask::heap(source::open(source, common)?, common)?);
    }
    let (old, new, later) = match heaps.as_slice() {
        [old, new] => (old, new, None),
        [old, new, later] => (old, new, Some(later)),
        _ => anyhow::bail!("give two or three snapshots"),
    };
    let which = args.objects.map(|which| match which {
        DiffObjects::Created => Which::Created,
        DiffObjects::Freed => Which::Freed,
        DiffObjects::Survivors => Which::Survivors,
        DiffObjects::Kept => Which::Kept,
    });
    let which = which.map(|which| (which, args.type_.as_deref()));
    let limit = report_options(common).rows().unwrap_or(u64::MAX);
    let mut answer = watch::cancellable("comparing", common.quiet, |progress| {
        diff::report(&old.heap, &new.heap, later.map(|l| &l.heap), which, limit, progress)
            .map(|compared| compared.answer)
    })?;
    if let Some(query) = query {
        answer.types.append(&mut answer.same);
        answer.types.retain(|row| query.matches(&|field| of_change(row, field)));
    }
    let mut problems = new.problems.clone();
    let names = ["the older snapshot", "the third snapshot"];
    for (name, other) in names.iter().zip([Some(old), later]) {
        problems.extend(other.iter().flat_map(|asked| &asked.problems).map(|p| format!("{name}: {p}")));
    }
    problems.extend(answer.problems.iter().cloned());
    print(answer, &new.info, &problems, common)
}
