//! One object in full, and a module's globals: named parts, as deep as is asked for.

use super::answers::{Field, ModuleReport, ObjectDetail};
use super::describe::{DEFAULT_WIDTH, describe, edge_name, properties, value_text};
use super::types::{is_estimate, refcount};
use crate::cpython::layout::DecoderName;
use crate::cpython::types::{Type, flags};
use crate::cpython::{EdgeKind, EdgeName, Memory};
use crate::heap::{Heap, ObjectId};
use crate::snapshot::Addr;
use crate::text;

/// How much of an object is shown.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// Levels of fields: 0 is none.
    pub levels: u32,
    /// Fields of each object.
    pub entries: u64,
    /// Characters of its value.
    pub chars: usize,
}

/// Fields of the object itself are not more than this.
const MOST_FIELDS: u64 = 1_000_000;

/// What is told of all levels below it together, and what is looked at for that: an object that many share is told, and
/// read, below each.
#[derive(Clone, Copy)]
struct Budget {
    fields: u64,
    references: u64,
}

const BELOW: Budget = Budget { fields: 100_000, references: 50_000_000 };

/// Levels are not more than this, however deep a heap is nested: each is a call, and two levels of JSON, of which many
/// readers take 128.
pub const MAX_LEVELS: u32 = 50;

/// One object in full.
pub fn object(heap: &Heap, id: ObjectId, depth: Depth) -> Option<ObjectDetail> {
    let memory = heap.memory();
    let address = heap.objects().address(id);
    let (_, ty) = heap.type_of(id)?;
    let depth = Depth { levels: depth.levels.min(MAX_LEVELS), entries: depth.entries.min(MOST_FIELDS), ..depth };
    let mut above = vec![address];
    let (fields, fields_total) = fields(heap, &memory, address, ty, depth, &mut above, &mut { BELOW });
    let is_module = ty.decoder == DecoderName::Module;
    let interpreter = is_module.then(|| super::modules::interpreters(heap)).and_then(|all| all.get(&address).copied());
    let mut facts = facts(heap, &memory, id, address, ty);
    facts.extend(interpreter.map(|id| ("interpreter".to_owned(), id.to_string())));
    Some(ObjectDetail {
        address,
        type_name: ty.name.clone(),
        type_address: ty.address,
        refcount: refcount(&memory, address),
        shallow_bytes: memory.shallow_size(address, ty).unwrap_or(0),
        estimated: is_estimate(heap, ty),
        native_bytes: memory.native_bytes(address, ty, heap.types()),
        interpreter,
        reachable: heap.built_roots().map(|roots| !roots.unreachable().contains(id)),
        value: value_text(&memory, heap.types(), address, ty, depth.chars),
        summary: describe(&memory, heap.types(), address, ty, DEFAULT_WIDTH),
        properties: properties(&memory, heap.types(), address, ty),
        fields,
        fields_total,
        facts,
    })
}

/// Attributes (those of the instance's dict among them), items, locals and fields; what a dict is keyed by is told by
/// its values' names.
fn fields(
    heap: &Heap,
    memory: &Memory<'_>,
    address: Addr,
    ty: &Type,
    depth: Depth,
    above: &mut Vec<Addr>,
    budget: &mut Budget,
) -> (Vec<Field>, u64) {
    let mut found: Vec<(String, Addr)> = Vec::new();
    let mut total = 0;
    let is_first = above.len() == 1; // the object itself
    if depth.levels == 0 || !is_first && (budget.fields == 0 || budget.references == 0) {
        return (Vec::new(), 0);
    }
    let types = heap.types();
    let mut attribute_dict = None;
    {
        let mut add = |name: EdgeName<'_>, target: Addr| {
            if total < depth.entries && (is_first || budget.fields > 0) {
                budget.fields -= u64::from(!is_first);
                found.push((edge_name(memory, types, name), target));
            }
            total += 1;
        };
        let mut last = (Addr(0), false);
        let mut each = |name: EdgeName<'_>, kind: EdgeKind, target: Addr| {
            if last.0 != target {
                last = (target, heap.objects().object_at(target).is_some());
            }
            if kind == EdgeKind::Guessed || !last.1 {
                return;
            }
            match name {
                EdgeName::Dict => attribute_dict = Some(target),
                EdgeName::Key | EdgeName::Class => {}
                name => add(name, target),
            }
        };
        memory.visit_edges(address, ty, types, &mut each);
        if let Some(dict) = attribute_dict {
            memory.dict_entries(dict, |_, key, value| {
                if heap.objects().object_at(value).is_some() {
                    add(EdgeName::Attribute(key), value);
                }
                true
            });
        }
    }
    if !is_first {
        budget.references = budget.references.saturating_sub(total);
    }
    let below = Depth { levels: depth.levels - 1, ..depth };
    let fields = found
        .into_iter()
        .filter_map(|(name, address)| {
            let (_, ty) = heap.object_at(address)?;
            let inner = if above.contains(&address) {
                Vec::new() // a cycle
            } else {
                above.push(address);
                let inner = fields(heap, memory, address, ty, below, above, budget).0;
                above.pop();
                inner
            };
            let summary = describe(memory, heap.types(), address, ty, DEFAULT_WIDTH);
            Some(Field { name, address, type_name: ty.name.clone(), summary, fields: inner })
        })
        .collect();
    (fields, total)
}

/// What a side panel tells of any object.
fn facts(heap: &Heap, memory: &Memory<'_>, id: ObjectId, address: Addr, ty: &Type) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
    let region = heap.snapshot().region_of(address);
    let place = region.and_then(|r| r.file.clone()).unwrap_or_else(|| "anonymous memory".to_owned());
    add("in", text::sanitize(&place).into_owned());
    // static types have no GC header, though their type says so
    let own_flags = memory.reader.u64(address + memory.layout.structs.type_object.tp_flags).unwrap_or(0);
    let has_head = ty.has(flags::HAVE_GC) && !(ty.is_metatype() && own_flags & flags::HEAPTYPE == 0);
    let gc = match memory.is_tracked(address) {
        _ if !has_head => "not collected",
        Some(true) => "tracked",
        _ => "untracked",
    };
    add("gc", gc.to_owned());
    if let Some(edges) = heap.built_edges() {
        add("referrers", text::count(edges.referrers(id).len() as u64));
        add("referents", text::count(edges.referents(heap, id).len() as u64));
    }
    if let Some(bytes) = memory.native_bytes(address, ty, heap.types()) {
        add("native bytes", text::count(bytes));
    }
    for (name, value) in properties(memory, heap.types(), address, ty) {
        facts.push((name, value.text()));
    }
    facts
}

/// A module's globals, by the module's name: that of the interpreter with the id `interpreter`, else of the first that
/// imported one. `None` when there is none.
pub fn module(heap: &Heap, name: &str, interpreter: Option<i64>, entries: u64) -> Option<ModuleReport> {
    let memory = heap.memory();
    let module_types = super::types::find_types(heap, "module", true);
    let s = &memory.layout.structs.module;
    let named = |id: &ObjectId| {
        let name_at = memory.reader.pointer(heap.objects().address(*id) + s.md_name);
        name_at.is_some_and(|n| memory.text(n, 4096).is_some_and(|(text, _)| text == name))
    };
    let importers = super::modules::interpreters(heap);
    let of_main = heap.interpreter().interpreters.len() < 2;
    let found = super::types::select(heap, Some(&module_types)).into_iter().filter(named);
    let found = found.map(|id| heap.objects().address(id)).map(|module| (module, importers.get(&module).copied()));
    // what nobody imported comes last
    let (address, importer) = match interpreter {
        Some(0) if of_main => found.min_by_key(|(module, _)| *module),
        Some(wanted) => found.filter(|(_, id)| *id == Some(wanted)).min_by_key(|(module, _)| *module),
        None => found.min_by_key(|(module, id)| (id.is_none(), *id, *module)),
    }?;
    let depth = Depth { levels: 1, entries: entries.min(MOST_FIELDS), chars: 0 };
    let dict = memory.reader.pointer(address + s.md_dict)?;
    let (mut fields, _) =
        fields(heap, &memory, dict, heap.object_at(dict)?.1, depth, &mut vec![address], &mut { BELOW });
    for field in &mut fields {
        // the globals are the dict's values: `['x']` is the global x
        let plain = field.name.strip_prefix("['").and_then(|n| n.strip_suffix("']")).map(str::to_owned);
        field.name = plain.unwrap_or_else(|| std::mem::take(&mut field.name));
    }
    let fields_total = memory.reader.u64(dict + memory.layout.structs.dict.ma_used).unwrap_or(0);
    let file = memory.dict_get(dict, "__file__").and_then(|f| memory.text(f, 4096));
    Some(ModuleReport {
        address,
        name: text::sanitize(name).into_owned(),
        file: file.map(|(f, _)| text::sanitize(&f).into_owned()),
        interpreter: importer,
        fields,
        fields_total,
    })
}
