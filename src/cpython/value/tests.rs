//! Whatever bytes an object is made of, it has a value, and reading it ends.

use super::*;
use crate::cpython::layout::{self, DecoderName, SizeRule};
use crate::cpython::types::{Attributes, Slot};
use crate::snapshot::Snapshot;
use proptest::prelude::*;

const BASE: u64 = 0x1000;
const LEN: u64 = 0x800;

/// Every type of a version's table, and some classes, over the same bytes.
fn every_type(version: &str) -> Vec<Type> {
    let Some(layout) = layout::table(version) else { return Vec::new() };
    let make = |name: &str, fields, decoder, flags| Type {
        address: Addr(BASE),
        metatype: Addr(BASE),
        base: None,
        name: name.to_owned(),
        flags,
        basicsize: 40,
        itemsize: 8,
        head: 0,
        decoder,
        size_rule: SizeRule::Generic,
        estimated: false,
        fields,
        slots: vec![Slot { name: "_raw_paths".to_owned(), offset: 16 }, Slot { name: "int".to_owned(), offset: 24 }],
        unknown_words: Vec::new(),
        unknown_items: false,
        items: None,
        attributes: Attributes::Managed { inline_at: Some(32) },
        cached_keys: Addr(BASE + 64),
    };
    let known = layout.objects.iter().map(|(name, object)| make(name, Some(object), object.decoder, 0));
    let classes = [
        "uuid.UUID",
        "pathlib.PurePath",
        "fractions.Fraction",
        "enum.Enum",
        "Any",
        "_thread.lock",
        "threading.Thread",
        "queue.Queue",
        "numpy.dtype",
    ];
    let package = |name: &str, size| layout::packages::object(name, size).map(|o| make(name, Some(o), o.decoder, 0));
    let packages = [("numpy.ndarray", 96), ("numpy.float64", 24), ("numpy.datetime64", 32), ("numpy.complex128", 32)];
    let packages: Vec<Type> = packages.into_iter().filter_map(|(name, size)| package(name, size)).collect();
    known.chain(packages).chain(classes.map(|name| make(name, None, DecoderName::Fields, 1 << 9))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_bytes_have_a_value_and_a_line(
        // small numbers and addresses within the memory lead further than noise does
        words in prop::collection::vec(
            prop_oneof![0u64..70, BASE..BASE + LEN, any::<u64>(), (0u64..256).prop_map(|b| b << 8 | 0xe4)],
            (LEN / 8) as usize,
        ),
        version in prop::sample::select(layout::known_versions()),
        at in 4u64..64,
    ) {
        let bytes = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let snapshot = Snapshot::from_memory(vec![(Addr(BASE), bytes)], None);
        let Some(layout) = layout::table(version) else { return Ok(()) };
        let memory = Memory { reader: snapshot.reader(), layout };
        let types = TypeTable::default();
        for ty in every_type(version) {
            for limits in [Limits { chars: 0, items: 0 }, Limits { chars: 50, items: 5 }, Limits { chars: 5000, items: 500 }] {
                memory.value(Addr(BASE + at * 8), &ty, &types, limits);
                memory.native_bytes(Addr(BASE + at * 8), &ty, &types);
            }
        }
        for at in (0..LEN).step_by(8) {
            memory.line_at(Addr(BASE + at), 6);
            memory.generator_line(Addr(BASE + at));
            memory.awaited(Addr(BASE + at));
            memory.frame_object_line(Addr(BASE + at));
        }
    }
}
