//! `report -o PATH`: one HTML file with what every other command would say first.

use super::output::Output;
use super::{ask, harmless, source, warn};
use crate::cli::{self, Common};
use crate::report::html::{self, Page};
use std::io::Write;

pub(super) fn run(args: &cli::Report, common: &Common) -> anyhow::Result<()> {
    let mut output = Output::new(&args.output)?;
    let mut asked = ask::heap(source::open(&args.source, common)?, common)?;
    let types = ask::types(&asked, None)?;
    let threads = ask::threads(&asked);
    let tasks = ask::all_tasks(&asked);
    let memory = ask::memory(&asked)?;
    let leaks = ask::leaks(&asked)?;
    asked.problems.extend(ask::roots_problems(&asked));
    for problems in [&threads.problems, &tasks.problems, &memory.problems] {
        asked.problems.extend(problems.iter().cloned());
    }
    asked.problems.sort();
    asked.problems.dedup();
    warn(&asked.problems, common);
    let findings = ask::findings(&types, &threads, &tasks, &leaks);
    let page = Page {
        info: &asked.info,
        problems: &harmless(&asked.problems),
        findings: &findings,
        types: &types,
        threads: &threads,
        tasks: &tasks,
        memory: &memory,
        leaks: &leaks,
        locals: args.locals,
    };
    html::write(&page, &mut output)?;
    output.flush()?;
    output.finish()
}
