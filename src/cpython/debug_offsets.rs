//! The offsets that CPython 3.13 and later tell of themselves: `_Py_DebugOffsets`, with which `_PyRuntime` begins.
//!
//! A build whose offsets are not those of its version's table is read with its own. Where in the list each offset
//! stands is data (`[debug_offsets]` in `assets/layouts/`). The list itself changes with minor versions: fields that
//! are the same in every build show whether it is the one that the table expects, and one that is not is not used.
//! Only offsets come from it; encodings do not.

use super::layout::{DebugOffset, Layout};
use super::patches;
use crate::snapshot::{Addr, Reader};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// No field is further from its struct's beginning.
const MAX_OFFSET: u64 = 1 << 20;

/// Offsets that no default build has ever had otherwise, spread over the list.
const ANCHORS: [&str; 8] = [
    "PyObject.size",
    "PyObject.ob_type",
    "PyTypeObject.tp_name",
    "PyTupleObject.ob_size",
    "PyListObject.ob_size",
    "PyFloatObject.ob_fval",
    "PyBytesObject.ob_size",
    "PyASCIIObject.length",
];

/// More different sets of offsets than this are not kept.
const MAX_KEPT: usize = 256;

/// How many names a note tells.
const MAX_NAMES: usize = 6;

/// Offsets by `struct.field`.
type Offsets = BTreeMap<String, u64>;

/// The layout with the offsets of the list at `at` in it. Tells in `notes` when it is another one than `layout`, and
/// when the list is of no use.
pub fn applied(reader: &Reader<'_>, at: Addr, layout: &'static Layout, notes: &mut Vec<String>) -> &'static Layout {
    let Some(mut table) = patches::table(layout) else { return layout };
    let told: Offsets = layout
        .debug_offsets
        .iter()
        .filter_map(|(name, place)| {
            let (position, more) = match place {
                DebugOffset::At(position) => (*position, 0),
                DebugOffset::Beyond(position, more) => (*position, *more),
            };
            Some((name.clone(), reader.u64(at + position)?.wrapping_add(more)))
        })
        .collect();
    if told.is_empty() {
        return layout;
    }
    if ANCHORS.iter().any(|name| told.get(*name).copied() != expected(&table, name)) {
        notes.push(
            "the offsets that it tells of itself (_Py_DebugOffsets) are in an unknown order and are not used".into(),
        );
        return layout;
    }
    let (mut own, mut absurd) = (Offsets::new(), Vec::new());
    for (name, offset) in &told {
        match expected(&table, name) {
            Some(expected) if expected == *offset => {}
            Some(expected) if plausible(*offset, expected) => {
                own.insert(name.clone(), *offset);
            }
            _ => absurd.push(name.as_str()),
        }
    }
    if !absurd.is_empty() {
        notes.push(format!("it tells absurd offsets of itself, which are not used: {}", list(&absurd)));
    }
    if own.is_empty() {
        return layout;
    }
    for (name, offset) in &own {
        set(&mut table, name, *offset);
    }
    let Some(corrected) = kept(layout, &own, table) else { return layout };
    let names: Vec<_> = own.keys().map(String::as_str).collect();
    notes.push(format!(
        "it tells other offsets of itself than those of CPython {}, and is read with its own: {}",
        layout.patch,
        list(&names)
    ));
    corrected
}

/// The table's offset of a `struct.field`.
fn expected(table: &toml::Table, name: &str) -> Option<u64> {
    let (of, field) = name.split_once('.')?;
    let value = table.get("structs")?.get(of)?.get(field)?.as_integer()?;
    u64::try_from(value).ok()
}

fn set(table: &mut toml::Table, name: &str, offset: u64) -> Option<()> {
    let (of, field) = name.split_once('.')?;
    let value = table.get_mut("structs")?.get_mut(of)?.get_mut(field)?;
    *value = toml::Value::Integer(i64::try_from(offset).ok()?);
    Some(())
}

/// Whether a field may have moved so: not too far, and aligned as it was, up to a pointer's alignment.
fn plausible(offset: u64, expected: u64) -> bool {
    let alignment = 1 << expected.trailing_zeros().min(3);
    offset <= MAX_OFFSET && offset.is_multiple_of(alignment) && (offset > 0 || expected == 0)
}

/// Layouts live as long as the program: one for each set of offsets that was met.
fn kept(layout: &'static Layout, own: &Offsets, table: toml::Table) -> Option<&'static Layout> {
    static KEPT: Mutex<Vec<(&'static Layout, Offsets, &'static Layout)>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, _, known)) = kept.iter().find(|(of, o, _)| std::ptr::eq(*of, layout) && o == own) {
        return Some(known);
    }
    if kept.len() >= MAX_KEPT {
        return None;
    }
    let corrected: &'static Layout = Box::leak(Box::new(table.try_into().ok()?));
    kept.push((layout, own.clone(), corrected));
    Some(corrected)
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::*;
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    const AT: Addr = Addr(0x1000);

    /// The list that a build with the table's own offsets has.
    fn same_as(layout: &Layout) -> Vec<u8> {
        let table: toml::Table = layout::table_text(&layout.version).unwrap().parse().unwrap();
        let mut bytes = vec![0; 1024];
        for (name, place) in &layout.debug_offsets {
            if let DebugOffset::At(at) = place {
                let offset = expected(&table, name).unwrap_or_else(|| panic!("{}: no {name}", layout.version));
                put(&mut bytes, *at, offset);
            }
        }
        bytes
    }

    fn put(bytes: &mut [u8], at: u64, value: u64) {
        bytes[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn place(layout: &Layout, name: &str) -> u64 {
        match layout.debug_offsets[name] {
            DebugOffset::At(at) | DebugOffset::Beyond(at, _) => at,
        }
    }

    fn read(bytes: Vec<u8>, layout: &'static Layout) -> (&'static Layout, Vec<String>) {
        let snapshot = Snapshot::from_memory(vec![(AT, bytes)], None);
        let mut notes = Vec::new();
        (applied(&snapshot.reader(), AT, layout, &mut notes), notes)
    }

    fn carrying() -> impl Iterator<Item = &'static Layout> {
        layout::known_versions().into_iter().filter_map(layout::table).filter(|l| !l.debug_offsets.is_empty())
    }

    #[test]
    fn a_build_like_the_table_is_read_with_the_table() {
        let carry: Vec<_> = carrying().map(|l| l.version.as_str()).collect();
        let from =
            |version: &str| layout::known_versions().into_iter().skip_while(|v| *v != version).collect::<Vec<_>>();
        assert_eq!(carry, from("3.13"), "all versions from then on");
        for layout in carrying() {
            let (used, notes) = read(same_as(layout), layout);
            assert!(std::ptr::eq(used, layout) && notes.is_empty(), "{}: {notes:?}", layout.version);
        }
    }

    #[test]
    fn other_offsets_win_and_are_told() {
        for layout in carrying() {
            let mut bytes = same_as(layout);
            put(&mut bytes, place(layout, "PyListObject.ob_item"), 32);
            put(&mut bytes, place(layout, "_PyRuntimeState.interpreters_head"), 2048);
            let (used, notes) = read(bytes.clone(), layout);
            assert_eq!(used.structs.list.ob_item, 32);
            assert_eq!(used.structs.runtime.interpreters_main, Some(2056));
            assert_eq!(used.structs.list.allocated, layout.structs.list.allocated);
            assert!(notes.len() == 1 && notes[0].contains("PyListObject.ob_item"), "{notes:?}");
            let again = read(bytes, layout).0;
            assert!(std::ptr::eq(used, again), "the same offsets are one layout");
        }
    }

    #[test]
    fn absurd_offsets_and_another_order_are_not_used() {
        for layout in carrying() {
            for absurd in [0, 12, MAX_OFFSET + 8, u64::MAX] {
                let mut bytes = same_as(layout);
                put(&mut bytes, place(layout, "PyDictObject.ma_keys"), absurd);
                let (used, notes) = read(bytes, layout);
                assert!(std::ptr::eq(used, layout));
                assert!(notes.len() == 1 && notes[0].contains("absurd"), "{absurd}: {notes:?}");
            }
            // a later version has one field more before the anchors
            let mut shifted = same_as(layout);
            shifted.splice(80..80, 7000u64.to_le_bytes());
            let (used, notes) = read(shifted, layout);
            assert!(std::ptr::eq(used, layout));
            assert!(notes.len() == 1 && notes[0].contains("unknown order"), "{notes:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))] // each parses whole tables
        #[test]
        fn any_bytes_leave_a_layout(bytes in prop::collection::vec(any::<u8>(), 0..1100), flips in prop::collection::vec((0usize..1024, any::<u8>()), 0..4)) {
            for layout in carrying() {
                read(bytes.clone(), layout);
                let mut mutated = same_as(layout);
                for (at, byte) in &flips {
                    mutated[*at] = *byte;
                }
                read(mutated, layout);
            }
        }
    }
}
