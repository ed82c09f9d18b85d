//! The command line: one definition that parsing, help, man page and completions share.
//!
//! Arguments are checked here as far as their text goes (numbers, addresses, which ones exclude each other). Nothing
//! is opened or run.

mod capture;
mod diff;
mod export;
mod garbage;
mod graph;
mod processes;
mod report;
mod retained;
mod shell;
mod split;
mod taking;
mod tasks;

pub use capture::{Capture, RedactArg, StreamFormat};
pub use export::{Export, Format as ExportFormat, TableName};
pub use graph::{Graph, Way};
pub use processes::Processes;
pub use report::Report;
pub use retained::{By, Path, Retained, Types};
pub use shell::{Completions, Man};
pub use taking::{ModeArg, Taking};
pub use tasks::{Stacks, Tasks, Threads};

use crate::snapshot::Addr;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, error::ErrorKind};
use std::ffi::OsString;
use std::path::PathBuf;

pub use diff::{Diff, Which as DiffObjects};
pub use garbage::{Audit, Garbage};

/// Words are split by hand (see [`split`]), so clap cannot write this itself.
macro_rules! usage {
    ($command:literal, $what:literal) => {
        concat!(
            "pymem-tui ",
            $command,
            " [OPTIONS] <SOURCE> <",
            $what,
            ">\n",
            "       pymem-tui ",
            $command,
            " [OPTIONS] --pid <PID> <",
            $what,
            ">"
        )
    };
}

const USAGE: &str = "\
pymem-tui [OPTIONS] <SNAPSHOT>
       pymem-tui [OPTIONS] --pid <PID>… [--children] [-o <PATH>]
       pymem-tui <COMMAND> …";

const EXAMPLES: &str = "\
Examples:
  pymem-tui demo leak                       explore a bundled program with a leak
  sudo pymem-tui --pid 4242                 capture a process and explore it
  sudo pymem-tui capture --pid 4242 -o dump capture only
  pymem-tui types dump/ --json              answer one question for a script

A snapshot that is named like a command is given as ./NAME.";

/// Explore the heap of running CPython processes.
///
/// Without a command: opens the explorer on a snapshot, or on a running process, which is captured first; without
/// arguments, lists the Python processes and asks for one. Capturing works from outside: nothing of Python runs in the
/// process, and it stands still only while its memory is copied, or made a copy-on-write child of (--mode).
#[derive(Debug, Parser)]
#[command(name = "pymem-tui", version, override_usage = USAGE, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub entry: Entry,
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to explore, when no command is given.
#[derive(Debug, Args)]
pub struct Entry {
    /// Snapshot to open: a directory, a stream or core file, compressed or not; `-` is standard input
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: Option<PathBuf>,
    /// A newer snapshot of the process to compare it with; a third one shows what of the new is there to stay
    #[arg(value_name = "NEWER", requires = "snapshot", num_args = 0..=2)]
    pub newer: Vec<PathBuf>,
    /// Capture this process and open it; given several times, each is opened, and all are compared
    #[arg(long, value_name = "PID", conflicts_with = "snapshot")]
    pub pid: Vec<i32>,
    /// Also the Python processes below it: the workers of a server
    #[arg(long, requires = "pid", conflicts_with = "snapshot")]
    pub children: bool,
    /// Keep the snapshot of --pid in this new directory; of several, each below it
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Print one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// Rows to print [default: 50 as text, all as JSON]
    #[arg(long, value_name = "N", global = true)]
    pub limit: Option<u64>,
    /// Threads to work with [default: one for each processor]
    #[arg(long, value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// More layout tables (*.toml), of versions that this program does not know
    #[arg(long, value_name = "DIR", global = true)]
    pub layouts: Option<PathBuf>,
    /// Where the programs and libraries lie that a core file names [default: /]
    #[arg(long, value_name = "DIR", global = true)]
    pub sysroot: Option<PathBuf>,
    /// When to use colour; `auto` heeds NO_COLOR
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: ColorWhen,
    /// Show no progress and no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(flatten)]
    pub taking: Taking,
}

impl Common {
    /// Below this lie the files that a core file names.
    pub fn root(&self) -> &std::path::Path {
        self.sysroot.as_deref().unwrap_or(std::path::Path::new("/"))
    }
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    Auto,
    Always,
    Never,
}

/// Where a command finds its snapshot.
#[derive(Debug, Clone, Default, Args)]
pub struct Source {
    /// Snapshot: a directory, a stream or core file, compressed or not, or `-` for standard input
    #[arg(value_name = "SOURCE", required_unless_present = "pid", conflicts_with = "pid")]
    pub source: Option<PathBuf>,
    /// Capture this process instead
    #[arg(long, value_name = "PID")]
    pub pid: Option<i32>,
}

/// The questions that are answered on standard output.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a snapshot of a running process
    Capture(Capture),
    /// The Python processes of this machine, and whether they may be captured
    Processes(Processes),
    /// Count and size of the objects of every type
    #[command(visible_alias = "count-by-type")]
    Types(Types),
    /// The objects of a type, or all
    #[command(visible_alias = "find-all-objects")]
    Objects(Objects),
    /// One object: value, attributes, items, locals
    #[command(
        visible_alias = "repr",
        override_usage = usage!("show", "ADDR")
    )]
    Show(Show),
    /// What an object holds
    #[command(
        override_usage = usage!("referents", "ADDR")
    )]
    Referents(Links),
    /// What holds an object
    #[command(
        visible_alias = "find-references",
        override_usage = usage!("referrers", "ADDR")
    )]
    Referrers(Links),
    /// The objects around an object as a picture: DOT, or SVG and PNG through Graphviz
    #[command(
        override_usage = usage!("graph", "ADDR")
    )]
    Graph(Graph),
    /// Why an object is alive: the shortest paths to it from what the process holds
    #[command(
        override_usage = usage!("path", "ADDR")
    )]
    Path(Path),
    /// What would go with each object: the biggest first, or what is below one
    Retained(Retained),
    /// What looks like a leak, with the path to it
    Leaks {
        #[command(flatten)]
        source: Source,
        /// Only suspects that are like this: `retained > 100MB and path ~ app.*`
        #[arg(long = "where", value_name = "QUERY")]
        where_: Option<String>,
    },
    /// The captured memory, mapping by mapping
    Regions {
        #[command(flatten)]
        source: Source,
        /// Also list mappings that were not captured
        #[arg(long)]
        all: bool,
        /// Only mappings that are like this: `resident > 1MB and kind = anonymous`
        #[arg(long = "where", value_name = "QUERY")]
        where_: Option<String>,
    },
    /// Where the resident memory went: objects, buffers, free blocks, stacks, files
    Memory {
        #[command(flatten)]
        source: Source,
    },
    /// Bytes to win: duplicates, containers with room to spare, instances without slots, boxed numbers
    Waste {
        #[command(flatten)]
        source: Source,
        /// Only kinds that are like this: `kind ~ duplicate* and bytes > 1MB`
        #[arg(long = "where", value_name = "QUERY")]
        where_: Option<String>,
    },
    /// Memory around an address
    #[command(
        visible_alias = "context",
        override_usage = usage!("hex", "ADDR")
    )]
    Hex(Hex),
    /// Where bytes occur in memory
    #[command(
        override_usage = usage!("find", "PATTERN")
    )]
    Find(Find),
    /// A module's globals
    #[command(
        visible_alias = "find-module",
        override_usage = usage!("module", "NAME")
    )]
    Module(Module),
    /// Lengths of strings, and strings that occur more than once
    #[command(visible_alias = "aggregate-strings")]
    Strings {
        #[command(flatten)]
        source: Source,
        /// Look at bytes objects instead of str
        #[arg(long)]
        bytes: bool,
        /// Of values that occur more than once, only those that are like this: `wasted > 1MB and value ~ http*`
        #[arg(long = "where", value_name = "QUERY")]
        where_: Option<String>,
    },
    /// Every unfinished task of asyncio: what it awaits, where it stands, and which wait for each other for ever
    #[command(visible_alias = "async-task-graph")]
    Tasks(tasks::Tasks),
    /// Every thread: state, system call, who holds the GIL, its stack
    #[command(visible_alias = "find-all-threads")]
    Threads(tasks::Threads),
    /// The same with the variables of every frame
    #[command(visible_alias = "find-all-stacks")]
    Stacks(tasks::Stacks),
    /// What changed between two snapshots; with a third, what of the new is still there
    Diff(Diff),
    /// References that are counted and that no object explains: held by C code, or lost
    Audit(Audit),
    /// What only cycles keep alive, found without collecting
    Garbage(Garbage),
    /// Start a bundled program with a problem, capture it and open it
    Demo {
        /// Which one [default: list them]
        name: Option<String>,
        /// How big, for those that take a number
        size: Option<String>,
    },
    /// The whole heap for other tools: Parquet, CSV, JSON, or a heap snapshot for Chrome's DevTools
    Export(Export),
    /// One HTML page to attach to a ticket: what stands out, types, deadlocks, stacks, memory
    Report(Report),
    /// A script that makes a shell complete commands and options
    Completions(Completions),
    /// The manual page, as roff
    Man(Man),
}

/// Which objects.
#[derive(Debug, Args)]
pub struct Objects {
    #[command(flatten)]
    pub source: Source,
    /// Only objects of this type, by name or address
    #[arg(long = "type", value_name = "NAME or ADDR")]
    pub type_: Option<String>,
    /// Also objects of its subclasses
    #[arg(long, requires = "type_")]
    pub subclasses: bool,
    /// Only objects that are like this: `type ~ app.* and size > 1MB and not attr.closed = true`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
    /// Print one JSON object per line, as objects are found
    #[arg(long, conflicts_with = "json")]
    pub jsonl: bool,
}

/// An object, and which of its references.
#[derive(Debug, Args)]
pub struct Links {
    #[command(flatten)]
    pub at: At,
    /// Only objects that are like this: `type ~ app.* and size > 1kB`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
}

/// An address in a snapshot.
#[derive(Debug, Args)]
pub struct At {
    /// Snapshot (left out with --pid), then an address, with or without 0x
    #[arg(value_names = ["SOURCE", "ADDR"], num_args = 0..)]
    words: Vec<OsString>,
    /// Capture this process instead
    #[arg(long)]
    pid: Option<i32>,
    #[arg(skip)]
    pub source: Source,
    #[arg(skip)]
    pub address: Addr,
}

/// One object in full.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub at: At,
    /// How deep to look into what it holds, 50 levels at most
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub depth: u32,
    /// Entries of each container to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max_entries: u64,
    /// Characters of each string to show
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_string: u64,
    /// Tell whether a root reaches it (follows every reference of the heap)
    #[arg(long)]
    pub reachable: bool,
}

/// A stretch of memory.
#[derive(Debug, Args)]
pub struct Hex {
    #[command(flatten)]
    pub at: At,
    /// Bytes to show
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub length: u64,
    /// Bytes to show before the address
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub before: u64,
}

/// Bytes to look for.
#[derive(Debug, Args)]
pub struct Find {
    /// Snapshot (left out with --pid), then the text to look for, as UTF-8
    #[arg(value_names = ["SOURCE", "PATTERN"], num_args = 0..)]
    words: Vec<OsString>,
    /// Capture this process instead
    #[arg(long)]
    pid: Option<i32>,
    /// PATTERN is bytes as hex digits
    #[arg(long)]
    pub hex: bool,
    /// PATTERN is an address: find the words that hold it
    #[arg(long, conflicts_with = "hex")]
    pub address: bool,
    /// Only places that are like this: `type = str and file ~ heap`
    #[arg(long = "where", value_name = "QUERY")]
    pub where_: Option<String>,
    #[arg(skip)]
    pub source: Source,
    /// As bytes; never empty.
    #[arg(skip)]
    pub pattern: Vec<u8>,
}

/// A module by name.
#[derive(Debug, Args)]
pub struct Module {
    /// Snapshot (left out with --pid), then the module's `__name__`
    #[arg(value_names = ["SOURCE", "NAME"], num_args = 0..)]
    words: Vec<OsString>,
    /// Capture this process instead
    #[arg(long)]
    pid: Option<i32>,
    /// Globals to show
    #[arg(long, value_name = "N")]
    pub max_entries: Option<u64>,
    /// The module of the interpreter with this id, where there are several [default: the first that has it]
    #[arg(long, value_name = "ID")]
    pub interpreter: Option<i64>,
    #[arg(skip)]
    pub source: Source,
    #[arg(skip)]
    pub name: String,
}

/// The definition itself, from which completions and the manual page are made.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Reads the arguments; `--version` answers with `version`. `Err` carries its own text and exit code.
pub fn parse(arguments: impl IntoIterator<Item = OsString>, version: &'static str) -> Result<Cli, clap::Error> {
    let mut matches = definition().long_version(version).try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut definition()))?;
    split::settle(&mut cli.command)?;
    let entry = &cli.entry;
    if cli.command.is_some() && (entry.snapshot.is_some() || !entry.pid.is_empty()) {
        let text = "SNAPSHOT and --pid come after the command";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
    }
    if entry.output.is_some() && entry.pid.is_empty() {
        return Err(Cli::command().error(ErrorKind::MissingRequiredArgument, "-o needs --pid"));
    }
    Ok(cli)
}

#[cfg(test)]
mod tests;
