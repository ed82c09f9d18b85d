//! The whole heap for other tools: objects and references row by row, and as a graph of nodes.
//!
//! Rows come window by window, made in parallel and handed on in address order, so that memory does not grow with the
//! heap. What a file looks like is not known here; the small tables are made of the same answers as everywhere.

pub mod subgraph;

use super::answers::{Batch, RefCount, Values};
use super::describe::{DEFAULT_WIDTH, describe, edge_name};
use super::types::refcount;
use crate::cpython::{EdgeKind, EdgeName};
use crate::heap::Heap;
use crate::heap::dominators::Node;
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;
use std::sync::Arc;

/// Windows whose rows are made at a time, for each thread.
const WINDOWS: usize = 4;

/// Rows are handed on when there are so many.
const ROWS: usize = 1 << 18;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Somebody asked it to.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The rows could not be written.
    #[error("it cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// Takes rows.
pub type Sink<'s> = dyn FnMut(Batch) -> std::io::Result<()> + 's;

/// What is told of each object besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra {
    /// The object in one line.
    pub summaries: bool,
    /// Bytes that would go with it. Dominators take memory for every object.
    pub retained: bool,
}

/// Every object: address, type, sizes, reference count, and what else is asked for.
pub fn objects(heap: &Heap, extra: Extra, progress: &Progress, sink: &mut Sink<'_>) -> Result<(), ExportError> {
    let names = type_names(heap);
    let dominators = if extra.retained { Some(heap.dominators(progress)?) } else { None };
    in_order(heap, progress, sink, |window| {
        let memory = heap.memory();
        let (mut address, mut type_address) = (Vec::new(), Vec::new());
        let (mut shallow, mut native, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut type_name, mut summary): (Vec<Arc<str>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
        let mut retained = Vec::new();
        for (object, addr, id) in heap.objects().window(window) {
            let ty = heap.types().get(id);
            address.push(addr);
            type_address.push(ty.address);
            type_name.extend(names.get(id.0 as usize).cloned());
            shallow.push(signed(memory.shallow_size(addr, ty).unwrap_or(0)));
            native.push(memory.native_bytes(addr, ty, heap.types()).map(signed));
            counts.push(match refcount(&memory, addr) {
                RefCount::Count(n) => Some(n),
                RefCount::Immortal => None,
            });
            retained.extend(dominators.map(|tree| signed(tree.retained(Node::Object(object)))));
            if extra.summaries {
                summary.push(describe(&memory, heap.types(), addr, ty, DEFAULT_WIDTH).into());
            }
        }
        let mut columns = vec![
            ("address", Values::Address(address)),
            ("type", Values::Text(type_name)),
            ("type_address", Values::Address(type_address)),
            ("shallow_bytes", Values::Int(shallow)),
            ("native_bytes", Values::MaybeInt(native)),
            ("refcount", Values::MaybeInt(counts)),
        ];
        if extra.retained {
            columns.push(("retained_bytes", Values::Int(retained)));
        }
        if extra.summaries {
            columns.push(("summary", Values::Text(summary)));
        }
        Batch { columns }
    })
}

/// Every reference from object to object; with `names` as Python writes it.
pub fn edges(heap: &Heap, names: bool, progress: &Progress, sink: &mut Sink<'_>) -> Result<(), ExportError> {
    let kinds: [Arc<str>; 3] = ["strong", "weak", "guessed"].map(Arc::from);
    in_order(heap, progress, sink, |window| {
        let (memory, index, types) = (heap.memory(), heap.objects(), heap.types());
        let (mut from, mut to) = (Vec::new(), Vec::new());
        let (mut kind, mut name): (Vec<Arc<str>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
        for (_, addr, ty) in index.window(window) {
            let mut each = |edge: EdgeName<'_>, of: EdgeKind, target: Addr| {
                if index.object_at(target).is_none() {
                    return;
                }
                from.push(addr);
                to.push(target);
                let [strong, weak, guessed] = &kinds;
                kind.push(match of {
                    EdgeKind::Strong => strong.clone(),
                    EdgeKind::Weak => weak.clone(),
                    EdgeKind::Guessed => guessed.clone(),
                });
                if names {
                    name.push(edge_name(&memory, types, edge).into());
                }
            };
            memory.visit_edges(addr, types.get(ty), types, &mut each);
        }
        let mut columns =
            vec![("from", Values::Address(from)), ("to", Values::Address(to)), ("kind", Values::Text(kind))];
        if names {
            columns.push(("name", Values::Text(name)));
        }
        Batch { columns }
    })
}

fn type_names(heap: &Heap) -> Vec<Arc<str>> {
    heap.types().iter().map(|(_, ty)| Arc::from(ty.name.as_str())).collect()
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Calls `rows` for each window, in parallel, and hands the rows on in the windows' order. An empty heap has one empty
/// batch, so that its columns are known.
fn in_order(
    heap: &Heap,
    progress: &Progress,
    sink: &mut Sink<'_>,
    rows: impl Fn(usize) -> Batch + Sync,
) -> Result<(), ExportError> {
    let windows = heap.objects().window_count();
    progress.begin(windows as u64);
    let step = WINDOWS * rayon::current_num_threads();
    let mut waiting = rows(usize::MAX);
    let mut begin = 0;
    while begin < windows {
        progress.check()?;
        let end = windows.min(begin + step);
        let made: Vec<Batch> = (begin..end).into_par_iter().map(&rows).collect();
        for batch in made {
            waiting.append(batch);
            if waiting.rows() >= ROWS {
                sink(std::mem::replace(&mut waiting, rows(usize::MAX)))?;
            }
        }
        progress.advance((end - begin) as u64);
        begin = end;
    }
    Ok(sink(waiting)?)
}
