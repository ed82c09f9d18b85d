//! Which decoder reads the objects of a type, and what of them is unknown.
//!
//! A type has its own entry in the layout table, or its base's with whatever the class adds. Objects are not read here.

use super::read::Raw;
use super::{MAX_BASES, Type};
use crate::cpython::layout::{DecoderName, Layout, SizeRule, packages};

/// Gives each type its decoder: its own entry in the table, or its base's, and what is unknown beyond that.
pub(super) fn resolve(layout: &'static Layout, raw: &[Raw], types: &mut [Type]) {
    let mut done = vec![false; types.len()];
    for start in 0..types.len() {
        // from the first base that is done (or has none) down to this type
        let mut chain = Vec::new();
        let mut at = Some(start);
        while let Some(i) = at
            && !done[i]
            && chain.len() < MAX_BASES
            && !chain.contains(&i)
        {
            chain.push(i);
            at = types[i].base.map(|b| b.0 as usize);
        }
        for i in chain.into_iter().rev() {
            let base = types[i].base.filter(|b| done[b.0 as usize]).map(|b| types[b.0 as usize].clone());
            resolve_one(layout, &raw[i], &mut types[i], base.as_ref());
            done[i] = true;
        }
    }
}

fn resolve_one(layout: &'static Layout, raw: &Raw, ty: &mut Type, base: Option<&Type>) {
    let entry = layout.objects.get(&ty.name).filter(|o| o.size == ty.basicsize as i64);
    let entry = entry.or_else(|| packages::object(&ty.name, ty.basicsize));
    let grown = || base.and_then(|b| packages::grown(b.fields?, ty.basicsize)).filter(|_| !ty.is_heap_type());
    let entry = entry.or_else(grown);
    if let Some(entry) = entry {
        ty.decoder = entry.decoder;
        ty.size_rule = entry.sizeof;
        ty.fields = Some(entry);
    } else if let Some(base) = base {
        ty.decoder = base.decoder;
        ty.size_rule = base.size_rule;
        ty.estimated = base.estimated;
        ty.fields = base.fields;
        ty.unknown_items = base.unknown_items;
        ty.unknown_words.clone_from(&base.unknown_words);
        let mut inherited = base.slots.clone();
        inherited.append(&mut ty.slots);
        ty.slots = inherited;
        let known = |offset: u64| {
            ty.slots.iter().any(|s| s.offset == offset)
                || raw.dictoffset == offset as i64
                || raw.weaklistoffset == offset as i64
        };
        let first = base.basicsize.next_multiple_of(8);
        let last = ty.basicsize & !7;
        let unknown: Vec<u64> = (first..last).step_by(8).filter(|o| !known(*o)).collect();
        ty.unknown_words.extend(unknown);
        // a C type that derives from object and has items of its own
        ty.unknown_items |= ty.itemsize == 8 && base.itemsize == 0;
    }
    if ty.decoder == DecoderName::Unknown {
        ty.decoder = DecoderName::Fields;
        let first = layout.structs.object.size;
        ty.unknown_words = (first..ty.basicsize & !7).step_by(8).collect();
    }
    if ty.size_rule == SizeRule::Unknown {
        ty.size_rule = SizeRule::Generic;
        ty.estimated = true;
    }
}
