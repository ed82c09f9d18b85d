//! The fields of lists whose rows are answers: types, what changed between two snapshots, waste, suspects, garbage,
//! references that nothing explains, captured memory, places where bytes occur. What depends on a heap is
//! [`objects`](super::objects)'s.

use super::{Cell, Field, Sort, Spec, spec};
use crate::analysis::answers::{
    AuditRow, ChangedObject, GarbageObject, Hit, RefCount, RegionRow, Suspect, TypeChange, TypeRow, WasteRow,
};

/// The fields of a list of types; sizes are those of all objects of the type.
pub const TYPE_FIELDS: &[Spec] = &[
    spec("type", Sort::Text),
    spec("count", Sort::Number),
    spec("size", Sort::Number),
    spec("retained", Sort::Number),
    spec("address", Sort::Number),
];

/// A field of a type; `retained`: what its objects keep alive, once that is known.
pub fn of_type<'r>(row: &'r TypeRow, retained: Option<u64>, field: &Field) -> Cell<'r> {
    match field.index {
        0 => text(&row.name),
        1 => number(row.count),
        2 => number(row.shallow_bytes),
        3 => retained.map_or(Cell::Missing, number),
        _ => number(row.address.0),
    }
}

/// The fields of a type in a comparison.
pub const CHANGE_FIELDS: &[Spec] = &[
    spec("type", Sort::Text),
    spec("growth", Sort::Number),
    spec("count", Sort::Number),
    spec("new", Sort::Number),
    spec("gone", Sort::Number),
    spec("both", Sort::Number),
    spec("old_count", Sort::Number),
    spec("new_count", Sort::Number),
    spec("old_bytes", Sort::Number),
    spec("new_bytes", Sort::Number),
];

/// A field of a type in a comparison: `growth` is in bytes, `count` how many objects more there are.
pub fn of_change<'r>(row: &'r TypeChange, field: &Field) -> Cell<'r> {
    let counted = |n: Option<u64>| n.map_or(Cell::Missing, number);
    match field.index {
        0 => text(&row.name),
        1 => Cell::Int(row.change.delta_bytes.into()),
        2 => Cell::Int(row.change.delta_count.into()),
        3 => counted(row.created),
        4 => counted(row.freed),
        5 => counted(row.survivors),
        6 => number(row.change.old_count),
        7 => number(row.change.new_count),
        8 => number(row.change.old_bytes),
        _ => number(row.change.new_bytes),
    }
}

/// The fields of a new or gone object.
pub const CHANGED_FIELDS: &[Spec] =
    &[spec("type", Sort::Text), spec("size", Sort::Number), spec("value", Sort::Any), spec("address", Sort::Number)];

/// A field of a new or gone object; its value is what its line says.
pub fn of_changed<'r>(row: &'r ChangedObject, field: &Field) -> Cell<'r> {
    match field.index {
        0 => text(&row.type_name),
        1 => number(row.shallow_bytes),
        2 => text(&row.summary),
        _ => number(row.address.0),
    }
}

/// The fields of a kind of waste.
pub const WASTE_FIELDS: &[Spec] =
    &[spec("kind", Sort::Text), spec("count", Sort::Number), spec("bytes", Sort::Number), spec("sentence", Sort::Text)];

/// A field of a kind of waste.
pub fn of_waste<'r>(row: &'r WasteRow, field: &Field) -> Cell<'r> {
    match field.index {
        0 => text(row.kind),
        1 => number(row.count),
        2 => number(row.bytes),
        _ => text(&row.sentence),
    }
}

/// The fields of what looks like a leak.
pub const LEAK_FIELDS: &[Spec] = &[
    spec("kind", Sort::Text),
    spec("type", Sort::Text),
    spec("name", Sort::Text),
    spec("retained", Sort::Number),
    spec("count", Sort::Number),
    spec("reason", Sort::Text),
    spec("path", Sort::Text),
    spec("address", Sort::Number),
];

/// A field of a suspect; `count`: the objects that would go with it.
pub fn of_leak<'r>(row: &'r Suspect, field: &Field) -> Cell<'r> {
    match field.index {
        0 => text(row.kind),
        1 => text(&row.type_name),
        2 => row.name.as_deref().map_or(Cell::Missing, text),
        3 => number(row.retained_bytes),
        4 => number(row.retained_count),
        5 => text(&row.reason),
        6 => text(&row.path_text),
        _ => number(row.address.0),
    }
}

/// The fields of a garbage object.
pub const GARBAGE_FIELDS: &[Spec] = &[
    spec("type", Sort::Text),
    spec("size", Sort::Number),
    spec("generation", Sort::Number),
    spec("cycle", Sort::Number),
    spec("finalizer", Sort::Any),
    spec("value", Sort::Any),
    spec("address", Sort::Number),
];

/// A field of a garbage object; its value is what its line says.
pub fn of_garbage<'r>(row: &'r GarbageObject, field: &Field) -> Cell<'r> {
    match field.index {
        0 => text(&row.type_name),
        1 => number(row.shallow_bytes),
        2 => number(row.generation.into()),
        3 => row.cycle.map_or(Cell::Missing, number),
        4 => Cell::Bool(row.finalizer),
        5 => text(&row.summary),
        _ => number(row.address.0),
    }
}

/// The fields of an object with references that nothing explains.
pub const AUDIT_FIELDS: &[Spec] = &[
    spec("type", Sort::Text),
    spec("size", Sort::Number),
    spec("refcount", Sort::Number),
    spec("found", Sort::Number),
    spec("unaccounted", Sort::Number),
    spec("pointers", Sort::Number),
    spec("unexplained", Sort::Number),
    spec("value", Sort::Any),
    spec("address", Sort::Number),
];

/// A field of such an object; its value is what its line says.
pub fn of_audit<'r>(row: &'r AuditRow, field: &Field) -> Cell<'r> {
    match field.index {
        0 => text(&row.type_name),
        1 => number(row.shallow_bytes),
        2 => match row.refcount {
            RefCount::Count(n) => Cell::Int(n.into()),
            RefCount::Immortal => Cell::Missing,
        },
        3 => number(row.found),
        4 => number(row.unaccounted),
        5 => number(row.pointers),
        6 => number(row.unexplained),
        7 => text(&row.summary),
        _ => number(row.address.0),
    }
}

/// The fields of a run of memory.
pub const REGION_FIELDS: &[Spec] = &[
    spec("kind", Sort::Text),
    spec("file", Sort::Text),
    spec("permissions", Sort::Text),
    spec("start", Sort::Number),
    spec("end", Sort::Number),
    spec("size", Sort::Number),
    spec("resident", Sort::Number),
    spec("captured", Sort::Any),
];

/// A field of a run of memory.
pub fn of_region<'r>(row: &'r RegionRow, field: &Field) -> Cell<'r> {
    let known = |said: &'r Option<String>| said.as_deref().map_or(Cell::Missing, text);
    match field.index {
        0 => text(row.kind),
        1 => known(&row.file),
        2 => known(&row.permissions),
        3 => number(row.start.0),
        4 => number(row.end.0),
        5 => number(row.bytes),
        6 => row.resident_bytes.map_or(Cell::Missing, number),
        _ => Cell::Bool(row.captured),
    }
}

/// The fields of a place where bytes occur.
pub const HIT_FIELDS: &[Spec] = &[
    spec("address", Sort::Number),
    spec("region", Sort::Number),
    spec("file", Sort::Text),
    spec("object", Sort::Number),
    spec("type", Sort::Text),
    spec("summary", Sort::Text),
];

/// A field of such a place; `object` and `type` are those of the object that it lies in.
pub fn of_hit<'r>(row: &'r Hit, field: &Field) -> Cell<'r> {
    let known = |said: &'r Option<String>| said.as_deref().map_or(Cell::Missing, text);
    match field.index {
        0 => number(row.address.0),
        1 => number(row.region.0),
        2 => known(&row.file),
        3 => row.object.map_or(Cell::Missing, |at| number(at.0)),
        4 => known(&row.type_name),
        _ => text(&row.summary),
    }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(text.into())
}

fn number<'r>(n: u64) -> Cell<'r> {
    Cell::Int(n.into())
}
