//! Patch releases whose layout is not that of their version's table.
//!
//! What differs is data (`[[patches]]` in `assets/layouts/`), chosen by the release that a snapshot says it is. Offsets
//! that a snapshot tells of itself come on top, in [`debug_offsets`](super::debug_offsets).

use super::layout::{self, Layout, Patch};
use super::version::Version;
use std::sync::Mutex;

/// The layout for a release: the version's own, where nothing is known to differ.
pub(super) fn applied(layout: &'static Layout, version: &Version) -> &'static Layout {
    let Some(release) = version.patch() else { return layout };
    let fits = |(_, patch): &(usize, &Patch)| holds_for(patch, release);
    let fitting: Vec<usize> = layout.patches.iter().enumerate().filter(fits).map(|(i, _)| i).collect();
    if fitting.is_empty() {
        return layout;
    }
    // layouts live as long as the program: one for each set of overlays
    static KEPT: Mutex<Vec<(&'static Layout, &'static Layout)>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let same =
        |(of, patched): &&(&'static Layout, &'static Layout)| std::ptr::eq(*of, layout) && patched.patched == fitting;
    if let Some((_, known)) = kept.iter().find(same) {
        return known;
    }
    let patched = merged(&layout.version, &fitting).and_then(|table| table.try_into().ok());
    let Some(patched) = patched.map(|p: Layout| -> &'static Layout { Box::leak(Box::new(p)) }) else { return layout };
    kept.push((layout, patched));
    patched
}

/// The text of a layout's table, with the patches in it that the layout has.
pub(super) fn table(layout: &Layout) -> Option<toml::Table> {
    merged(&layout.version, &layout.patched)
}

fn merged(version: &str, fitting: &[usize]) -> Option<toml::Table> {
    let mut table: toml::Table = layout::table_text(version)?.parse().ok()?;
    let patches = table.get("patches").and_then(|p| p.as_array()).cloned().unwrap_or_default();
    for patch in fitting.iter().filter_map(|i| patches.get(*i)) {
        for of in ["structs", "objects", "roots"] {
            let (Some(new), Some(old)) = (patch.get(of), table.get_mut(of)) else { continue };
            if let (Some(new), Some(old)) = (new.as_table(), old.as_table_mut()) {
                old.extend(new.clone());
            }
        }
    }
    let indices = fitting.iter().filter_map(|i| i64::try_from(*i).ok()).map(toml::Value::Integer).collect();
    table.insert("patched".to_owned(), toml::Value::Array(indices));
    Some(table)
}

fn holds_for(patch: &Patch, release: u32) -> bool {
    let number = |text: &str| text.rsplit('.').next()?.parse::<u32>().ok();
    let after = patch.from.as_deref().is_none_or(|from| number(from).is_some_and(|first| first <= release));
    let before = patch.until.as_deref().is_none_or(|until| number(until).is_some_and(|last| release <= last));
    after && before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(minor: u8, patch: u8) -> (&'static Layout, &'static Layout) {
        let base = layout::table(&format!("3.{minor}")).unwrap();
        let hex = 3 << 24 | u64::from(minor) << 16 | u64::from(patch) << 8 | 0xf0;
        (base, applied(base, &Version::from_hex(hex).unwrap()))
    }

    #[test]
    fn a_release_gets_what_it_has_otherwise() {
        let sizes = |patch| {
            let layout = of(13, patch).1;
            (layout.objects["_thread.lock"].size, layout.objects["_pickle.Unpickler"].size)
        };
        assert_eq!(
            [0, 4, 5, 14, 15, 18].map(sizes),
            [(40, 264), (40, 264), (24, 272), (24, 272), (24, 296), (24, 296)]
        );
        let lock = |patch| of(13, patch).1.structs.lock.clone();
        assert_eq!((lock(0).locked, lock(0).lock), (Some(32), None));
        assert_eq!((lock(18).locked, lock(18).lock), (None, Some(16)), "a struct is replaced whole");
        assert_eq!([2, 3, 18].map(|patch| of(9, patch).1.objects["_sre.SRE_Scanner"].size), [232, 240, 240]);
    }

    #[test]
    fn a_release_like_the_table_is_read_with_the_table() {
        for (base, patched) in [of(13, 0), of(9, 18), of(11, 7), of(12, 1), of(15, 2)] {
            assert!(std::ptr::eq(base, patched), "{}", base.version);
        }
        assert!(std::ptr::eq(of(13, 15).1, of(13, 18).1), "one layout for the same overlays");
        assert!(!std::ptr::eq(of(13, 5).1, of(13, 18).1));
    }
}
