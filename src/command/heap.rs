//! The commands that ask about objects.

use super::{ask, harmless, print, report_options, source, warn};
use crate::analysis::answers::{self, Direction, Retaining};
use crate::analysis::query::ListQuery;
use crate::analysis::query::objects::Query;
use crate::analysis::{strings, tasks, threads};
use crate::cli::{Common, Links, Module, Objects, Show, Source, Stacks, Tasks, Threads};
use crate::report::{self, ObjectWriter};
use ask::Asked;
use std::io::{self, Write};

/// Objects that are asked for at a time, when all of them are printed.
const WINDOW: u64 = 4096;

pub(super) fn open(source: &Source, common: &Common) -> anyhow::Result<Asked> {
    ask::heap(source::open(source, common)?, common)
}

pub(super) fn show(args: &Show, common: &Common) -> anyhow::Result<()> {
    let asked = open(&args.at.source, common)?;
    print(ask::show(&asked, args.at.address, args)?, &asked.info, &asked.problems, common)
}

pub(super) fn edges(args: &Links, direction: Direction, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), Query::parse)?;
    let asked = open(&args.at.source, common)?;
    let rows = report_options(common).rows().unwrap_or(u64::MAX);
    print(ask::edges(&asked, args.at.address, direction, query.as_ref(), rows)?, &asked.info, &asked.problems, common)
}

pub(super) fn module(args: &Module, common: &Common) -> anyhow::Result<()> {
    let asked = open(&args.source, common)?;
    print(ask::module(&asked, args)?, &asked.info, &asked.problems, common)
}

pub(super) fn strings(source: &Source, bytes: bool, query: Option<&str>, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(query, |text| ListQuery::parse(text, strings::FIELDS))?;
    let asked = open(source, common)?;
    print(ask::strings(&asked, bytes, query.as_ref()), &asked.info, &asked.problems, common)
}

pub(super) fn threads(args: &Threads, common: &Common) -> anyhow::Result<()> {
    let (asked, threads) = those_threads(&args.source, args.where_.as_deref(), args.retained, common)?;
    print(threads, &asked.info, &asked.problems, common)
}

pub(super) fn stacks(args: &Stacks, common: &Common) -> anyhow::Result<()> {
    let (asked, threads) = those_threads(&args.source, args.where_.as_deref(), false, common)?;
    print(report::Stacks(threads), &asked.info, &asked.problems, common)
}

/// The threads that a query means; with what they keep alive if that is `weighed`, or asked for by the query.
fn those_threads(
    source: &Source,
    query: Option<&str>,
    weighed: bool,
    common: &Common,
) -> anyhow::Result<(Asked, answers::Threads)> {
    let query = ask::query(query, |text| ListQuery::parse(text, threads::FIELDS))?;
    let mut asked = open(source, common)?;
    let mut threads = ask::threads(&asked);
    let weighed = weighed || query.as_ref().is_some_and(|q| q.names("retained"));
    if let Some(retaining) = retaining(&mut asked, weighed)? {
        retaining.order(&mut threads);
    }
    if let Some(query) = query {
        threads::narrow(&query, &mut threads);
    }
    asked.problems.extend(threads.problems.iter().cloned());
    Ok((asked, threads))
}

pub(super) fn tasks(args: &Tasks, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), |text| ListQuery::parse(text, tasks::FIELDS))?;
    let mut asked = open(&args.source, common)?;
    let rows = report_options(common).rows().map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
    let weighed = args.retained || query.as_ref().is_some_and(|q| q.names("retained"));
    let retaining = retaining(&mut asked, weighed)?;
    let tasks = ask::tasks(&asked, args, query, common.json, rows, retaining);
    asked.problems.extend(tasks.problems.iter().cloned());
    print(tasks, &asked.info, &asked.problems, common)
}

/// What tasks and threads keep alive, if that is `wanted`, and what could not be read for it.
fn retaining(asked: &mut Asked, wanted: bool) -> anyhow::Result<Option<Retaining>> {
    if !wanted {
        return Ok(None);
    }
    let found = ask::retaining(asked)?;
    asked.problems.extend(ask::roots_problems(asked));
    Ok(Some(found))
}

pub(super) fn objects(args: &Objects, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), Query::parse)?;
    let asked = open(&args.source, common)?;
    let ids = ask::select(&asked, args.type_.as_deref(), args.subclasses, query.as_ref())?;
    let window = |offset, rows| ask::objects(&asked, &ids, offset, rows);
    if !common.json && !args.jsonl {
        let rows = report_options(common).rows().unwrap_or(u64::MAX);
        return print(window(0, rows), &asked.info, &asked.problems, common);
    }
    if args.jsonl {
        warn(&asked.problems, common);
    }
    let mut left = common.limit.unwrap_or(u64::MAX);
    let mut objects = window(0, left.min(WINDOW));
    let mut out = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut writer = ObjectWriter::begin(&mut out, args.jsonl, &asked.info, &harmless(&asked.problems))?;
    let mut offset = 0;
    loop {
        writer.rows(&objects)?;
        let got = objects.objects.len() as u64;
        offset += got;
        left -= got.min(left);
        if got == 0 || left == 0 || offset >= objects.total {
            break;
        }
        objects = window(offset, left.min(WINDOW));
    }
    writer.end(objects.total)?;
    Ok(out.flush()?)
}
