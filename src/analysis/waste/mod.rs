//! Bytes to win: duplicates, containers that are larger than what they hold, instances and numbers that take more than
//! they need.
//!
//! One pass over all objects, then each kind of waste makes its rows. Bytes are those of `sys.getsizeof` and of the
//! tables of attributes, so they are what goes if the advice is followed, but for what allocators round up. The same
//! bytes may be in several rows: an equal tuple in an empty list's place is not both.

mod containers;
mod duplicates;
mod instances;
mod numbers;

use super::answers::{Waste, WasteExample, WasteRow};
use super::describe::{DEFAULT_WIDTH, describe};
use crate::cpython::layout::DecoderName;
use crate::cpython::types::{Type, TypeId};
use crate::cpython::{Count, Memory};
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::Addr;
use rayon::prelude::*;

/// Examples of each kind of waste.
const MAX_EXAMPLES: usize = 100;

/// Less than this is not worth a line.
const LEAST: u64 = 1000;

/// One object that is looked at.
struct Object<'r, 's> {
    heap: &'r Heap,
    memory: &'r Memory<'s>,
    id: ObjectId,
    addr: Addr,
    ty: &'r Type,
    type_id: TypeId,
}

impl Object<'_, '_> {
    fn size(&self) -> Option<u64> {
        self.memory.shallow_size(self.addr, self.ty)
    }

    /// Whether it can be freed at all.
    fn is_mortal(&self) -> bool {
        matches!(self.memory.count(self.addr), Some(Count::Live(_)))
    }
}

/// A container or class with bytes to win: how many, whose.
#[derive(Debug, Clone, Copy)]
struct Found {
    bytes: u64,
    count: u64,
    id: ObjectId,
}

/// What one thread found.
#[derive(Default)]
struct Pass {
    duplicates: duplicates::Values,
    containers: containers::Slack,
    instances: instances::Classes,
    numbers: numbers::Boxed,
}

/// All waste, most bytes first. Reads every object once; 16 bytes for each str, bytes and tuple.
pub fn waste(heap: &Heap, progress: &Progress) -> Result<Waste, Cancelled> {
    let index = heap.objects();
    progress.begin(index.window_count() as u64);
    let plain: Vec<bool> = heap.types().iter().map(|(_, ty)| instances::is_plain(heap, ty)).collect();
    let passes: Result<Vec<Pass>, Cancelled> = (0..index.window_count())
        .into_par_iter()
        .map(|window| {
            progress.check()?;
            progress.advance(1);
            let memory = heap.memory();
            let mut pass = Pass::default();
            for (id, addr, type_id) in index.window(window) {
                let ty = heap.types().get(type_id);
                let object = Object { heap, memory: &memory, id, addr, ty, type_id };
                let _ = pass.look(&object, plain.get(type_id.0 as usize).copied().unwrap_or(false));
            }
            Ok(pass)
        })
        .collect();
    let mut all = Pass::default();
    for pass in passes? {
        all.duplicates.merge(pass.duplicates);
        all.containers.merge(pass.containers);
        all.instances.merge(pass.instances);
        all.numbers.merge(pass.numbers);
    }
    let mut rows = all.duplicates.rows(heap);
    rows.extend(all.containers.rows(heap));
    rows.extend(all.instances.rows(heap));
    rows.extend(all.numbers.rows(heap));
    rows.retain(|row| row.bytes >= LEAST);
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    Ok(Waste { rows })
}

impl Pass {
    fn look(&mut self, object: &Object<'_, '_>, plain: bool) -> Option<()> {
        match object.ty.decoder {
            DecoderName::Str | DecoderName::Bytes => self.duplicates.look(object),
            DecoderName::Tuple => {
                self.duplicates.look(object)?;
                self.numbers.look(object)
            }
            DecoderName::List => {
                self.containers.look(object)?;
                self.numbers.look(object)
            }
            DecoderName::Dict
            | DecoderName::Defaultdict
            | DecoderName::Odict
            | DecoderName::Set
            | DecoderName::Deque
            | DecoderName::Bytearray => self.containers.look(object),
            _ if plain => self.instances.look(object),
            _ => Some(()),
        }
    }
}

/// A row from what was found, of which the largest are the examples.
fn row(heap: &Heap, kind: &'static str, mut found: Vec<Found>, sentence: impl Fn(u64, u64) -> String) -> WasteRow {
    let (count, bytes) =
        found.iter().fold((0, 0u64), |(count, bytes), f| (count + f.count, bytes.saturating_add(f.bytes)));
    found.sort_unstable_by_key(|f| (std::cmp::Reverse(f.bytes), f.id));
    found.truncate(MAX_EXAMPLES);
    let memory = heap.memory();
    let examples = found.iter().filter_map(|f| example(heap, &memory, f)).collect();
    WasteRow { kind, count, bytes, sentence: sentence(count, bytes), examples }
}

fn example(heap: &Heap, memory: &Memory<'_>, found: &Found) -> Option<WasteExample> {
    let address = heap.objects().address(found.id);
    let (_, ty) = heap.type_of(found.id)?;
    Some(WasteExample {
        address,
        type_name: ty.name.clone(),
        summary: describe(memory, heap.types(), address, ty, DEFAULT_WIDTH),
        count: found.count,
        bytes: found.bytes,
    })
}
