//! What keeps an object alive, what would go with it, and what looks like a leak: `path`, `retained`, `leaks`.

use super::ask::{self, Asked};
use super::heap::open;
use super::{print, report_options};
use crate::analysis::query::lists::{LEAK_FIELDS, of_leak};
use crate::analysis::query::objects::Query;
use crate::analysis::query::parse;
use crate::analysis::retained::{FIELDS, Which};
use crate::cli::{By, Common, Path, Retained, Source, Types};

pub(super) fn types(args: &Types, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), Query::parse)?;
    let mut asked = open(&args.source, common)?;
    if args.retained {
        let types = ask::types_retained(&asked)?;
        roots_problems(&mut asked);
        return print(types, &asked.info, &asked.problems, common);
    }
    print(ask::types(&asked, query.as_ref())?, &asked.info, &asked.problems, common)
}

pub(super) fn path(args: &Path, common: &Common) -> anyhow::Result<()> {
    let mut asked = open(&args.at.source, common)?;
    let paths = ask::paths(&asked, args.at.address, args.all.max(1))?;
    roots_problems(&mut asked);
    print(paths, &asked.info, &asked.problems, common)
}

pub(super) fn retained(args: &Retained, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(args.where_.as_deref(), |text| parse(text, FIELDS))?;
    let mut asked = open(&args.source, common)?;
    let which = match (args.under, args.by) {
        (Some(address), _) => Which::Object(asked.object(address)?),
        (None, None) => Which::Top,
        (None, Some(By::Type)) => Which::Types,
        (None, Some(By::Module)) => Which::Modules,
        (None, Some(By::Thread)) => Which::Threads,
        (None, Some(By::Frame)) => Which::Frames,
        (None, Some(By::Local)) => Which::Locals,
        (None, Some(By::Task)) => Which::Tasks,
        (None, Some(By::Root)) => Which::Roots,
    };
    let rows = ask::retained(&asked, which, query.as_ref(), report_options(common).rows().unwrap_or(u64::MAX))?;
    roots_problems(&mut asked);
    print(rows, &asked.info, &asked.problems, common)
}

pub(super) fn leaks(source: &Source, query: Option<&str>, common: &Common) -> anyhow::Result<()> {
    let query = ask::query(query, |text| parse(text, LEAK_FIELDS))?;
    let mut asked = open(source, common)?;
    let mut leaks = ask::leaks(&asked)?;
    if let Some(query) = query {
        let before = leaks.suspects.len();
        leaks.suspects.retain(|row| query.matches(&|field| of_leak(row, field)));
        leaks.left_out = (before - leaks.suspects.len()) as u64;
    }
    roots_problems(&mut asked);
    print(leaks, &asked.info, &asked.problems, common)
}

/// Adds what could not be read of the roots, once they were asked for.
fn roots_problems(asked: &mut Asked) {
    let problems = ask::roots_problems(asked);
    asked.problems.extend(problems);
}
