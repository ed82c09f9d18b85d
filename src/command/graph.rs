//! `graph ADDR`: DOT on standard output, or a picture through Graphviz.

use super::output::Output;
use super::{ask, print, source, warn};
use crate::analysis::answers::{Graph, SnapshotInfo};
use crate::cli::{self, Common};
use crate::report::{self, Options};
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Names that are tried for the graphs of one object.
const MAX_FILES: u32 = 1000;

pub(super) fn run(args: &cli::Graph, common: &Common) -> anyhow::Result<()> {
    let Some(path) = &args.output else {
        let asked = ask::heap(source::open(&args.at.source, common)?, common)?;
        let graph = ask::graph(&asked, args)?;
        return print(graph, &asked.info, &asked.problems, common);
    };
    // what cannot be written is said before the work
    let format = match path.extension().and_then(OsStr::to_str) {
        Some("dot" | "gv") => None,
        Some(format @ ("svg" | "png" | "pdf")) => Some(format),
        _ => bail!("{}: a graph is written as .dot, .svg, .png or .pdf", path.display()),
    };
    if format.is_some() {
        graphviz_is_there()?;
    }
    let mut output = Output::new(path)?;
    let asked = ask::heap(source::open(&args.at.source, common)?, common)?;
    warn(&asked.problems, common);
    let graph = dot(ask::graph(&asked, args)?, &asked)?;
    match format {
        None => output.write_all(&graph)?,
        Some(format) => draw(&graph, format, &output)?,
    }
    output.finish()
}

/// Writes a graph to a new file in the working directory, which is named after the object: a picture when Graphviz is
/// there, else DOT.
pub(super) fn write(graph: Graph, info: &SnapshotInfo) -> anyhow::Result<PathBuf> {
    let centre = graph.centre;
    let mut text = Vec::new();
    report::print(graph, info, &[], Options::default(), &mut text)?;
    let form = if graphviz_is_there().is_ok() { "svg" } else { "dot" };
    let name = |n: u32| match n {
        1 => format!("graph-{centre}.{form}"),
        n => format!("graph-{centre}-{n}.{form}"),
    };
    let free = (1..=MAX_FILES).map(|n| PathBuf::from(name(n))).find(|path| path.symlink_metadata().is_err());
    let path = free.context("there are too many graphs of this object here; move them away")?;
    let mut output = Output::new(&path)?;
    match form {
        "dot" => output.write_all(&text)?,
        form => draw(&text, form, &output)?,
    }
    output.finish()?;
    Ok(std::path::absolute(&path).unwrap_or(path))
}

fn dot(graph: Graph, asked: &ask::Asked) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    report::print(graph, &asked.info, &[], Options::default(), &mut text)?;
    Ok(text)
}

fn graphviz_is_there() -> anyhow::Result<()> {
    let asked = Command::new("dot").arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match asked {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("Graphviz is not installed (there is no `dot` on PATH); install it, or name a .dot file")
        }
        Err(error) => Err(error).context("`dot` of Graphviz cannot be run"),
        Ok(_) => Ok(()),
    }
}

/// Graphviz writes the file itself; what it complains of is ours to tell.
fn draw(graph: &[u8], format: &str, output: &Output) -> anyhow::Result<()> {
    let mut dot = Command::new("dot");
    dot.arg(format!("-T{format}")).stdin(Stdio::piped()).stdout(output.handle()?).stderr(Stdio::piped());
    let mut child = dot.spawn().context("`dot` of Graphviz cannot be run")?;
    if let Some(mut input) = child.stdin.take() {
        // it reads all before it works; when it ends early, its own words say why
        let _ = input.write_all(graph);
    }
    let said = child.wait_with_output().context("Graphviz did not finish")?;
    if !said.status.success() {
        let words = String::from_utf8_lossy(&said.stderr);
        bail!("Graphviz could not draw the graph: {}", words.lines().next().unwrap_or("it did not say why"));
    }
    Ok(())
}
