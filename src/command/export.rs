//! `export --format F -o PATH`: the whole heap for other tools, streamed.

use super::output::{Folder, Output};
use super::{ask, memory, source, warn};
use crate::analysis::answers::Batch;
use crate::analysis::export::ExportError;
use crate::cli::{self, Common, ExportFormat, TableName};
use crate::report::export::{self, Format, GraphEdge, HeapSnapshot, NodeType};
use crate::text;
use anyhow::bail;
use ask::{Asked, Class, Label};
use std::io::Write;

const ALL: [TableName; 7] = [
    TableName::Snapshot,
    TableName::Types,
    TableName::Objects,
    TableName::Edges,
    TableName::Tasks,
    TableName::Frames,
    TableName::Regions,
];

pub(super) fn run(args: &cli::Export, common: &Common) -> anyhow::Result<()> {
    let format = match args.format {
        ExportFormat::Heapsnapshot => return heapsnapshot(args, common),
        ExportFormat::Parquet => Format::Parquet,
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Json => Format::Json,
    };
    if !format.is_built_in() {
        bail!("this pymem-tui was built without Parquet (cargo's feature `parquet`); csv and json are there");
    }
    if args.from.is_some() {
        bail!("--from is for --format heapsnapshot; tables hold the whole heap");
    }
    let folder = Folder::new(&args.output, is_table)?;
    let asked = ask::heap(source::open(&args.source, common)?, common)?;
    warn(&asked.problems, common);
    let wanted = if args.tables.is_empty() { &ALL[..] } else { &args.tables };
    for table in ALL.iter().filter(|t| wanted.contains(t)) {
        write_table(args, format, *table, &asked, &folder)?;
    }
    folder.finish()
}

fn write_table(
    args: &cli::Export,
    format: Format,
    table: TableName,
    asked: &Asked,
    folder: &Folder,
) -> anyhow::Result<()> {
    let name = name(table);
    let mut out = folder.file(&format!("{name}.{}", format.extension()))?;
    let mut writer = export::writer(format, name, &mut out)?;
    let mut sink = |batch: Batch| writer.rows(&batch);
    match table {
        TableName::Objects => {
            let extra = ask::Extra { summaries: args.summaries, retained: args.retained };
            ask::export_objects(asked, extra, &mut sink)?;
        }
        TableName::Edges => ask::export_edges(asked, args.edge_names, &mut sink)?,
        TableName::Snapshot => sink(export::snapshot(&asked.info, &super::harmless(&asked.problems)))?,
        TableName::Types if args.retained => sink(export::types_retained(&ask::types_retained(asked)?))?,
        TableName::Types => sink(export::types(&ask::types(asked, None)?))?,
        TableName::Tasks => sink(export::tasks(&ask::all_tasks(asked)))?,
        TableName::Frames => sink(export::frames(&ask::threads(asked), &ask::all_tasks(asked)))?,
        TableName::Regions => sink(export::regions(&memory::list(asked.snapshot(), true)))?,
    }
    writer.end()?;
    Ok(out.flush()?)
}

fn name(table: TableName) -> &'static str {
    match table {
        TableName::Snapshot => "snapshot",
        TableName::Types => "types",
        TableName::Objects => "objects",
        TableName::Edges => "edges",
        TableName::Tasks => "tasks",
        TableName::Frames => "frames",
        TableName::Regions => "regions",
    }
}

/// Whether an export may have a file of this name.
fn is_table(file: &str) -> bool {
    let of = |(stem, extension): (&str, &str)| {
        let formats = [Format::Parquet, Format::Csv, Format::Json];
        ALL.iter().any(|table| name(*table) == stem) && formats.iter().any(|format| format.extension() == extension)
    };
    file.split_once('.').is_some_and(of)
}

fn heapsnapshot(args: &cli::Export, common: &Common) -> anyhow::Result<()> {
    let mut out = Output::new(&args.output)?;
    let asked = ask::heap(source::open(&args.source, common)?, common)?;
    warn(&asked.problems, common);
    let left_out = ask::subgraph(&asked, args.from, args.max_objects, |graph| -> Result<u64, ExportError> {
        let (mut nodes, mut edges) = (0, 0);
        for node in graph.nodes() {
            nodes += 1;
            edges += node.edges;
        }
        let mut file = HeapSnapshot::begin(&mut out, nodes, edges)?;
        for node in graph.nodes() {
            let of = match node.class {
                Class::Group => NodeType::Synthetic,
                Class::Text => NodeType::String,
                Class::Number => NodeType::Number,
                Class::Closure => NodeType::Closure,
                Class::Code => NodeType::Code,
                Class::Object => NodeType::Object,
            };
            file.node(of, &node.name, node.bytes, node.edges)?;
        }
        file.begin_edges()?;
        graph.edges(|label, to| match &label {
            Label::Index(i) => file.edge(&GraphEdge::Element(*i), to.into()),
            Label::Name(name) => file.edge(&GraphEdge::Property(name), to.into()),
            Label::Weak(name) => file.edge(&GraphEdge::Weak(name), to.into()),
        })?;
        file.end()?;
        Ok(graph.left_out)
    })?;
    if left_out > 0 && !common.quiet {
        text::tell(format_args!("pymem-tui: {} objects are not in it (--max-objects N)", text::count(left_out)));
    }
    out.finish()
}
