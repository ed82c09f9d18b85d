//! Lists that the explorer narrows: what keeps how much alive, and where the memory went.

use crate::heap_of;
use crate::plain::{Row, compare, number, result, row, text, unseen};
use crate::support::{Target, on_every_version};
use pymem_tui::analysis::answers::{Footprint, RetainedRow};
use pymem_tui::analysis::memory::{self, Line};
use pymem_tui::analysis::query::{Spec, objects, parse};
use pymem_tui::analysis::retained::{self, Which, kept, rows};
use pymem_tui::heap::{Heap, ObjectId};
use pymem_tui::progress::Progress;
use std::collections::BTreeSet;

fn names(fields: &[Spec]) -> Vec<&'static str> {
    fields.iter().map(|f| f.name).collect()
}

fn of_retained(of: &RetainedRow, which: Which) -> Row {
    let size = of.address.map(|_| of.shallow_bytes);
    assert!(of.address.is_some() || which != Which::Types);
    row(vec![
        ("type", text(Some(&of.type_name))),
        ("size", number(size)),
        ("retained", number(Some(of.retained_bytes))),
        ("count", number(Some(of.retained_count))),
        ("what", text(Some(&of.summary))),
        ("address", number(of.address.map(|a| a.0))),
    ])
}

fn window(heap: &Heap, which: Which) -> Vec<RetainedRow> {
    rows(heap, which, 0, u64::MAX, &Progress::default()).expect("nobody cancels it").objects
}

/// The places of the rows that a query keeps among all, which come in the same order.
fn places(heap: &Heap, which: Which, all: &[RetainedRow], query: &str) -> Result<BTreeSet<usize>, String> {
    let progress = Progress::default();
    let query = parse(query, retained::FIELDS).map_err(|e| e.to_string())?;
    let list = kept(heap, which, &|entry| query.matches(&|field| entry.cell(field)), &progress);
    let list = list.and_then(|list| list.rows(heap, 0, u64::MAX, &progress)).map_err(|e| e.to_string())?;
    let (mut next, mut found) = (0, BTreeSet::new());
    for row in &list.objects {
        let at = all[next..].iter().position(|other| other == row).ok_or("a row is another, or elsewhere")?;
        found.insert(next + at);
        next += at + 1;
    }
    if list.total == found.len() as u64 { Ok(found) } else { Err(format!("{} in all", list.total)) }
}

#[test]
fn rows_of_the_dominator_tree_that_a_query_means_are_those_of_a_plain_reading() {
    const FIELDS: [&str; 6] = ["type", "size", "retained", "count", "what", "address"];
    on_every_version(|interpreter| {
        let target = Target::start(interpreter, "retained.py", &[]);
        let heap = heap_of(&target)?;
        let top = window(&heap, Which::Top);
        let largest = top.iter().max_by_key(|row| row.retained_count).and_then(|row| row.address);
        let largest = largest.and_then(|at| heap.objects().object_at(at)).ok_or("there is no object at the top")?;
        let (mut wrong, mut seen) = (Vec::new(), 0);
        for which in [
            Which::Top,
            Which::Object(largest),
            Which::Roots,
            Which::Types,
            Which::Modules,
            Which::Threads,
            Which::Frames,
            Which::Locals,
            Which::Tasks,
        ] {
            let all = window(&heap, which);
            let plain: Vec<Row> = all.iter().map(|row| of_retained(row, which)).collect();
            let groups = matches!(which, Which::Threads | Which::Frames);
            let allowed: &[&str] = if groups { &["size", "address"] } else { &[] };
            wrong.extend(unseen(&plain, &FIELDS, allowed).into_iter().map(|w| format!("{which:?}: {w}")));
            let differ = compare(&plain, &FIELDS, |query| places(&heap, which, &all, query));
            wrong.extend(differ.into_iter().map(|w| format!("{which:?}: {w}")));
            wrong.extend(as_objects(&heap, which, &all)?);
            seen += all.len();
        }
        result(&interpreter.name, seen, wrong)
    });
}

/// Rows that are objects have what objects have: those are meant that the query over objects gives.
fn as_objects(heap: &Heap, which: Which, all: &[RetainedRow]) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for query in [
        "len > 3 and module = builtins",
        "not refcount > 1",
        "value ~ a",
        "referrers = 1 or referents > 5",
        "native > 0 or attr.name",
    ] {
        let among = objects::Query::parse(query).map_err(|e| e.to_string())?;
        let among = among.select(heap, None, &Progress::default()).map_err(|e| e.to_string())?;
        let among: BTreeSet<ObjectId> = among.into_iter().collect();
        let is_meant = |row: &RetainedRow| match row.address.filter(|_| which != Which::Types) {
            Some(at) => heap.objects().object_at(at).is_some_and(|id| among.contains(&id)),
            // what has no such field
            None => query.starts_with("not "),
        };
        let expected: BTreeSet<usize> = (0..all.len()).filter(|i| is_meant(&all[*i])).collect();
        let found = places(heap, which, all, query)?;
        if found != expected {
            wrong.push(format!("{which:?}, {query}: {} rows, not {}", found.len(), expected.len()));
        }
    }
    Ok(wrong)
}

fn lines(of: &Footprint) -> Vec<Line<'_>> {
    let arenas = of.arenas.iter().flat_map(|a| &a.arenas);
    let mut lines: Vec<Line<'_>> = of.rows.iter().map(Line::Kind).collect();
    lines.extend(of.large.iter().map(Line::Large));
    lines.extend(arenas.map(Line::Arena));
    lines.extend(of.heaps.iter().map(Line::Heap));
    lines.extend(of.regions.iter().map(Line::Region));
    lines
}

fn of_line(of: &Footprint, line: Line<'_>) -> Row {
    match line {
        Line::Kind(r) => row(vec![
            ("list", text(Some("rows"))),
            ("kind", text(Some(r.kind))),
            ("label", text(Some(r.label))),
            ("size", number(Some(r.bytes))),
            ("resident", number(r.resident_bytes)),
            ("count", number(Some(r.count))),
        ]),
        Line::Large(b) => row(vec![
            ("list", text(Some("large"))),
            ("type", text(b.type_name.as_deref())),
            ("start", number(Some(b.address.0))),
            ("end", number(Some(b.address.0 + b.bytes))),
            ("size", number(Some(b.bytes))),
            ("resident", number(b.resident_bytes)),
            ("owner", number(b.owner.map(|a| a.0))),
        ]),
        Line::Arena(a) => row(vec![
            ("list", text(Some("arenas"))),
            ("start", number(Some(a.start.0))),
            ("resident", number(a.resident_bytes)),
            ("count", number(Some(a.live_blocks))),
            ("live", number(Some(a.live_bytes))),
            ("owner", number(a.holder.map(|a| a.0))),
        ]),
        Line::Heap(h) => row(vec![
            ("list", text(Some("heaps"))),
            ("start", number(Some(h.start.0))),
            ("end", number(Some(h.end.0))),
            ("size", number(Some(h.end.0 - h.start.0))),
            ("resident", number(h.resident_bytes)),
            ("live", number(Some(h.python_bytes + h.other_bytes))),
            ("python", number(Some(h.python_bytes))),
            ("other", number(Some(h.other_bytes))),
            ("free", number(Some(h.free_bytes))),
            ("cached", number(Some(h.cached_bytes))),
            ("top", number(Some(h.top_bytes))),
        ]),
        Line::Region(r) => row(vec![
            ("list", text(Some("regions"))),
            ("kind", text(Some(r.kind))),
            // a kind without a row has no resident byte
            ("label", text(of.rows.iter().find(|row| row.kind == r.kind).map(|row| row.label))),
            ("file", text(r.file.as_deref())),
            ("start", number(Some(r.start.0))),
            ("end", number(Some(r.end.0))),
            ("size", number(Some(r.end.0 - r.start.0))),
            ("resident", number(r.resident_bytes)),
        ]),
    }
}

#[test]
fn lines_of_memory_that_a_query_means_are_those_of_a_plain_reading() {
    on_every_version(|interpreter| {
        // with large blocks whose owner is known
        let target = Target::start(interpreter, "memory.py", &["buffers", "10"]);
        let heap = heap_of(&target)?;
        let of = memory::memory(&heap, &Progress::default()).map_err(|e| e.to_string())?;
        let lines = lines(&of);
        let plain: Vec<Row> = lines.iter().map(|line| of_line(&of, *line)).collect();
        let fields = names(memory::FIELDS);
        let select = |query: &str| {
            let query = parse(query, memory::FIELDS).map_err(|e| e.to_string())?;
            let is_meant = |i: &usize| query.matches(&|field| memory::of_line(lines[*i], field));
            Ok((0..lines.len()).filter(is_meant).collect())
        };
        let mut wrong = unseen(&plain, &fields, &[]);
        wrong.extend(compare(&plain, &fields, select));
        result(&interpreter.name, plain.len(), wrong)
    });
}
