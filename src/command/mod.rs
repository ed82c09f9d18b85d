//! One file per subcommand: open a source, ask, hand the answer to a report.
//!
//! What a heap means is asked of `analysis`; how answers look is `report`'s. Results go to standard output; progress,
//! warnings and the one sentence of a failure to standard error.

mod ask;
mod capture;
mod demo;
mod diff;
mod explore;
mod export;
mod footprint;
mod garbage;
mod graph;
mod heap;
mod memory;
mod output;
mod processes;
mod redact;
mod report;
mod retained;
mod several;
mod shell;
mod source;
mod watch;

pub use shell::version;

use crate::analysis::answers::SnapshotInfo;
use crate::cli::{Cli, ColorWhen, Command, Common};
use crate::report::Report;
use crate::text;
use std::io::{self, IsTerminal, Write};

/// Runs what the arguments ask for.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    let common = cli.common;
    // the scans' pool; it exists once, and nothing has used it yet
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(common.threads.unwrap_or(0).into());
    if matches!(cli.command, None | Some(Command::Demo { .. })) {
        pool = pool.start_handler(|_| crate::sys::priority::give_way());
    }
    if let Err(error) = pool.build_global() {
        anyhow::bail!("threads cannot be started: {error}; raise the limit (ulimit -u, ulimit -v) or give --threads 1");
    }
    if let Some(folder) = &common.layouts {
        crate::cpython::layout::add_folder(folder)?;
    }
    if let Some(bytes) = common.taking.max_memory {
        crate::heap::spill::allow(bytes);
    }
    match cli.command {
        None => explore::run(cli.entry, &common),
        Some(Command::Capture(args)) => capture::run(args, &common),
        Some(Command::Processes(args)) => processes::run(&args, &common),
        Some(Command::Types(args)) => retained::types(&args, &common),
        Some(Command::Path(args)) => retained::path(&args, &common),
        Some(Command::Retained(args)) => retained::retained(&args, &common),
        Some(Command::Leaks { source, where_ }) => retained::leaks(&source, where_.as_deref(), &common),
        Some(Command::Objects(args)) => heap::objects(&args, &common),
        Some(Command::Show(args)) => heap::show(&args, &common),
        Some(Command::Referents(args)) => heap::edges(&args, crate::analysis::answers::Direction::Referents, &common),
        Some(Command::Referrers(args)) => heap::edges(&args, crate::analysis::answers::Direction::Referrers, &common),
        Some(Command::Graph(args)) => graph::run(&args, &common),
        Some(Command::Regions { source, all, where_ }) => memory::regions(&source, all, where_.as_deref(), &common),
        Some(Command::Memory { source }) => footprint::memory(&source, &common),
        Some(Command::Waste { source, where_ }) => footprint::waste(&source, where_.as_deref(), &common),
        Some(Command::Hex(args)) => memory::hex(&args, &common),
        Some(Command::Find(args)) => memory::find(&args, &common),
        Some(Command::Module(args)) => heap::module(&args, &common),
        Some(Command::Strings { source, bytes, where_ }) => heap::strings(&source, bytes, where_.as_deref(), &common),
        Some(Command::Tasks(args)) => heap::tasks(&args, &common),
        Some(Command::Threads(args)) => heap::threads(&args, &common),
        Some(Command::Stacks(args)) => heap::stacks(&args, &common),
        Some(Command::Diff(args)) => diff::run(&args, &common),
        Some(Command::Audit(args)) => garbage::audit(&args, &common),
        Some(Command::Garbage(args)) => garbage::run(&args, &common),
        Some(Command::Demo { name, size }) => demo::run(name.as_deref(), size.as_deref(), &common),
        Some(Command::Export(args)) => export::run(&args, &common),
        Some(Command::Report(args)) => report::run(&args, &common),
        Some(Command::Completions(args)) => shell::completions(args.shell),
        Some(Command::Man(args)) => shell::man(args.command.as_deref()),
    }
}

/// Whether the reader of our output has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}

/// Whether it is what was asked that is wrong: a query that cannot be read.
pub fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<crate::analysis::query::QueryError>())
}

/// An error as the one line a person reads. Names of files and processes may be in it, so it is made harmless.
pub fn one_sentence(error: &anyhow::Error) -> String {
    text::sanitize(&format!("{error:#}")).into_owned()
}

/// Prints an answer about `snapshot` to standard output, and what was wrong to standard error (JSON carries it).
fn print<R: Report>(answer: R, info: &SnapshotInfo, problems: &[String], common: &Common) -> anyhow::Result<()> {
    warn(problems, common);
    let mut out = io::BufWriter::new(io::stdout().lock());
    crate::report::print(answer, info, &harmless(problems), report_options(common), &mut out)?;
    Ok(out.flush()?)
}

fn harmless(problems: &[String]) -> Vec<String> {
    problems.iter().map(|p| text::sanitize(p).into_owned()).collect()
}

fn warn(problems: &[String], common: &Common) {
    if common.quiet || common.json {
        return;
    }
    for problem in problems.iter().take(20) {
        text::tell(format_args!("pymem-tui: warning: {}", text::sanitize(problem)));
    }
    if problems.len() > 20 {
        text::tell(format_args!("pymem-tui: warning: {} more", problems.len() - 20));
    }
}

fn report_options(common: &Common) -> crate::report::Options {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    let color = match common.color {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            io::stdout().is_terminal()
                && variable("NO_COLOR").is_none()
                && variable("TERM").is_some_and(|term| term != "dumb")
        }
    };
    crate::report::Options { json: common.json, limit: common.limit, color }
}
