//! Which tables there are: a file of `assets/layouts/` each, and those that a person adds at run time.
//!
//! A built-in table is found by its file's name, so that a new version needs no line of code. It is parsed when it is
//! first asked for and kept for as long as the program runs. Which version a snapshot is of is not known here.

use super::Layout;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, PoisonError, RwLock};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets/layouts");

/// Structs are smaller: `_PyRuntimeState`, the largest, has half a megabyte.
const LARGEST: i64 = 1 << 24;

/// A table's text, and the table once somebody asked for it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    text: &'static str,
    parsed: Option<&'static Layout>,
}

/// By `3.12` or `3.13t`, so that they sort as versions do.
type Entries = BTreeMap<(u32, u32, bool), (&'static str, Entry)>;

static TABLES: LazyLock<RwLock<Entries>> = LazyLock::new(|| {
    let files = BUILT_IN.files().filter(|f| f.path().extension().is_some_and(|e| e == "toml"));
    let entries = files.filter_map(|file| {
        let version = file.path().file_stem()?.to_str()?;
        Some((order(version)?, (version, Entry { text: file.contents_utf8()?, parsed: None })))
    });
    RwLock::new(entries.collect())
});

/// Why a table could not be added; one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// The folder or a file in it could not be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The folder holds no table.
    #[error("{}: no layout table (*.toml) is in it", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The text is no table of this program's.
    #[error("{}: this is no layout table: {why}", path.display())]
    Damaged {
        /// The file, or what it is called.
        path: PathBuf,
        /// The first thing wrong, in one line.
        why: String,
    },
}

/// A number in a table that no struct of CPython's has, of which readers could compute addresses that overflow.
fn beyond_bounds(value: &toml::Value) -> Option<i64> {
    match value {
        toml::Value::Integer(number) => (!(0..=LARGEST).contains(number)).then_some(*number),
        toml::Value::Array(values) => values.iter().find_map(beyond_bounds),
        toml::Value::Table(values) => values.values().find_map(beyond_bounds),
        _ => None,
    }
}

/// A version as numbers: major, minor, free-threaded.
fn order(version: &str) -> Option<(u32, u32, bool)> {
    let (number, threaded) = version.strip_suffix('t').map_or((version, false), |n| (n, true));
    let (major, minor) = number.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?, threaded))
}

/// The versions there is a table for, oldest first: `3.13`, and `3.13t` for its free-threaded build.
pub fn known_versions() -> Vec<&'static str> {
    TABLES.read().unwrap_or_else(PoisonError::into_inner).values().map(|(version, _)| *version).collect()
}

/// The table of a minor version (`"3.12"`), parsed at its first use and kept for good; `None` for a version that has
/// none. A built-in table that does not parse is a defect of this program, which a test finds.
pub fn table(version: &str) -> Option<&'static Layout> {
    let entry = entry(version)?;
    if entry.parsed.is_some() {
        return entry.parsed;
    }
    let mut tables = TABLES.write().unwrap_or_else(PoisonError::into_inner);
    let (_, entry) = tables.get_mut(&order(version)?)?;
    if entry.parsed.is_none() {
        entry.parsed = Some(Box::leak(Box::new(toml::from_str(entry.text).ok()?)));
    }
    entry.parsed
}

/// The text of a version's table.
pub fn table_text(version: &str) -> Option<&'static str> {
    entry(version).map(|entry| entry.text)
}

fn entry(version: &str) -> Option<Entry> {
    TABLES.read().unwrap_or_else(PoisonError::into_inner).get(&order(version)?).map(|(_, entry)| *entry)
}

/// A table from its text, when it can be used. `path` is what an error calls it.
pub fn parse(text: &str, path: &Path) -> Result<Layout, BadTable> {
    let damaged =
        |why: &str| BadTable::Damaged { path: path.to_owned(), why: why.lines().next().unwrap_or_default().to_owned() };
    let table: toml::Table = toml::from_str(text).map_err(|e| damaged(e.message()))?;
    if let Some(number) = table.values().find_map(beyond_bounds) {
        return Err(damaged(&format!("{number} is no offset and no size in CPython's structs")));
    }
    let layout = Layout::deserialize(table).map_err(|e| damaged(e.message()))?;
    if order(&layout.version).is_none() {
        return Err(damaged("its version is no version like 3.12"));
    }
    if !layout.alloc.pool_size.is_power_of_two() || !(1 << 12..=1 << 14).contains(&layout.alloc.pool_size) {
        return Err(damaged("its pool_size is neither 4, 8 nor 16 KiB"));
    }
    Ok(layout)
}

/// Adds a table, in place of the one of the same version if there is one, for as long as the program runs.
pub fn add(text: &str, path: &Path) -> Result<&'static Layout, BadTable> {
    Ok(keep(parse(text, path)?, text))
}

fn keep(layout: Layout, text: &str) -> &'static Layout {
    let layout: &'static Layout = Box::leak(Box::new(layout));
    let entry = Entry { text: Box::leak(text.to_owned().into_boxed_str()), parsed: Some(layout) };
    if let Some(order) = order(&layout.version) {
        TABLES.write().unwrap_or_else(PoisonError::into_inner).insert(order, (layout.version.as_str(), entry));
    }
    layout
}

/// Adds every table (`*.toml`) of a folder, or none of them; the versions, in order of their files' names.
pub fn add_folder(folder: &Path) -> Result<Vec<&'static str>, BadTable> {
    let tables = read_folder(folder)?;
    Ok(tables.into_iter().map(|(layout, text)| keep(layout, &text).version.as_str()).collect())
}

/// Every table (`*.toml`) of a folder with its text, in order of their files' names.
pub fn read_folder(folder: &Path) -> Result<Vec<(Layout, String)>, BadTable> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |error| BadTable::Unreadable { path, error }
    };
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = file.map_err(unreadable(folder))?.path();
        files.extend(path.extension().is_some_and(|e| e == "toml").then_some(path));
    }
    if files.is_empty() {
        return Err(BadTable::Empty { path: folder.to_owned() });
    }
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
        Ok((parse(&text, path)?, text))
    };
    files.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_parses_and_is_its_own_version() {
        let known = known_versions();
        assert!(known.len() >= 8, "{known:?}");
        for version in known {
            let text = table_text(version).unwrap();
            let layout: Layout = toml::from_str(text).unwrap_or_else(|e| panic!("{version}: {e}"));
            assert_eq!(layout.version, version);
            assert!(layout.objects.len() > 100, "{version} knows only {} types", layout.objects.len());
            assert!(std::ptr::eq(table(version).unwrap(), table(version).unwrap()), "parsed once");
        }
    }

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        assert!(order("3.9") < order("3.10") && order("3.13") < order("3.13t") && order("3.13t") < order("3.14"));
        assert_eq!(["3", "3.x", "", "t", "3.1.2"].map(order), [None; 5]);
        assert!(known_versions().iter().map(|v| order(v)).is_sorted());
    }

    #[test]
    fn what_is_no_table_is_refused_in_one_sentence() {
        let known = known_versions();
        let sized = table_text("3.12").unwrap().replace("pool_size = 16384", "pool_size = 3");
        for bad in ["", "version = 3", "][", sized.as_str()] {
            let why = add(bad, Path::new("made-up.toml")).unwrap_err().to_string();
            assert!(why.starts_with("made-up.toml: ") && !why.contains('\n'), "{why}");
        }
        let with =
            |number: i64| table_text("3.12").unwrap().replacen("ob_size = 16", &format!("ob_size = {number}"), 1);
        for number in [LARGEST + 1, i64::MAX, -1] {
            let why = parse(&with(number), Path::new("made-up.toml")).unwrap_err().to_string();
            assert!(why.contains("is no offset and no size"), "{why}");
        }
        assert!(parse(&with(LARGEST), Path::new("made-up.toml")).is_ok());
        let folder = tempfile::tempdir().unwrap();
        assert!(add_folder(folder.path()).unwrap_err().to_string().ends_with("no layout table (*.toml) is in it"));
        let new = table_text("3.12").unwrap().replace("version = \"3.12\"", "version = \"3.99\"");
        std::fs::write(folder.path().join("a.toml"), new).unwrap();
        std::fs::write(folder.path().join("b.toml"), "none").unwrap();
        assert!(matches!(add_folder(folder.path()), Err(BadTable::Damaged { .. })), "the first is not kept either");
        assert!(matches!(add_folder(&folder.path().join("none")), Err(BadTable::Unreadable { .. })));
        assert_eq!(known_versions(), known);
    }
}
