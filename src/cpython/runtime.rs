//! Which interpreter a snapshot holds, from the snapshot alone.
//!
//! Symbols of the mapped images come first (`_PyRuntime`, `PyType_Type`, `Py_Version`), then the table of offsets
//! that 3.13 and later carry in `_PyRuntime`, then the version string, then the file name. Without symbols the type
//! of all types is found by its signature: an object that is its own type and whose name is `type`. Threads, frames
//! and modules are not looked at here.

use super::debug_offsets;
use super::layout::{self, Layout, RefCountVariant};
use crate::image::{self, Image};
use crate::snapshot::{Addr, Reader, Snapshot};

/// The interpreter that made the objects of a snapshot.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Its version.
    pub version: Version,
    /// The offsets that fit.
    pub layout: &'static Layout,
    /// `PyType_Type`.
    pub type_type: Addr,
    /// `_PyRuntime`.
    pub runtime: Option<Addr>,
    /// Every ELF image of the snapshot.
    pub images: Vec<Image>,
    /// What was odd about its version or its offsets, as sentences.
    pub notes: Vec<String>,
}

/// A version of CPython.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Major and minor.
    pub minor: (u8, u8),
    /// All that is known: `3.12.1`, `3.14.0rc2`, `3.10`.
    pub text: String,
}

/// Why the objects of a snapshot cannot be read; one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPython {
    /// Nothing of an interpreter is in it.
    #[error("no CPython interpreter was found in it; is this a Python process?")]
    NoInterpreter,
    /// The interpreter was found, its version not.
    #[error("a Python interpreter was found, but not its version; pymem-tui knows CPython {}", known())]
    NoVersion,
    /// A version without a layout table, and without offsets of its own.
    #[error("it runs CPython {version}, which pymem-tui does not know; it knows {}", known())]
    UnknownVersion {
        /// The version found.
        version: String,
    },
    /// A build whose layout is another one.
    #[error("it runs a free-threaded build of CPython {version}; pymem-tui knows those of {}", known_threaded())]
    FreeThreaded {
        /// The version found.
        version: String,
    },
}

fn known() -> String {
    let all = default_builds();
    format!("{} to {}", all.first().unwrap_or(&""), all.last().unwrap_or(&""))
}

fn known_threaded() -> String {
    let all = layout::known_versions();
    all.iter().filter_map(|v| v.strip_suffix('t')).collect::<Vec<_>>().join(", ")
}

/// The known versions without those of free-threaded builds, oldest first.
fn default_builds() -> Vec<&'static str> {
    layout::known_versions().into_iter().filter(|v| !v.ends_with('t')).collect()
}

/// `_Py_DebugOffsets` begins with this (`Include/internal/pycore_debug_offsets.h`, 3.13).
const DEBUG_COOKIE: &[u8] = b"xdebugpy";

impl Interpreter {
    /// Finds the interpreter. Reads the images' heads and symbol tables; scans memory only when there are none.
    pub fn find(snapshot: &Snapshot) -> Result<Interpreter, NotPython> {
        let reader = snapshot.reader();
        let images = image::images(snapshot);
        let with_symbols = images.iter().find_map(|i| Some((i, i.symbol(&reader, "PyType_Type")?)));
        let (image, type_type) = match with_symbols {
            Some((image, type_type)) => (Some(image), type_type),
            None => (None, find_type_type(snapshot, &reader).ok_or(NotPython::NoInterpreter)?),
        };
        let runtime = image.and_then(|i| i.symbol(&reader, "_PyRuntime"));
        let debug = runtime.filter(|a| reader.slice(*a, 8) == Some(DEBUG_COOKIE));
        let hex = image
            .and_then(|i| reader.u64(i.symbol(&reader, "Py_Version")?))
            .or_else(|| reader.u64(debug? + 8))
            .and_then(Version::from_hex);
        let version = hex
            .or_else(|| find_version_text(snapshot, &reader, image))
            .or_else(|| Version::from_file_name(image?.file.as_deref()?))
            .ok_or(NotPython::NoVersion)?;
        let threaded = match debug {
            Some(at) => reader.u64(at + 16) == Some(1),
            None => is_threaded(&reader, type_type),
        };
        let table = format!("{}.{}{}", version.minor.0, version.minor.1, if threaded { "t" } else { "" });
        let mut notes = Vec::new();
        let mut layout = layout::table(&table);
        if threaded && layout.is_none() {
            return Err(NotPython::FreeThreaded { version: version.text });
        }
        // a later version is read with the newest table only where it carries offsets to check it against
        if layout.is_none()
            && debug.is_some()
            && let Some(newest) = default_builds().last().copied().filter(|v| version.is_later_than(v))
        {
            notes.push(format!(
                "CPython {} is not known: its memory is read as that of {newest}, so that some of it may be wrong",
                version.text
            ));
            layout = layout::table(newest);
        }
        let layout = layout.ok_or_else(|| NotPython::UnknownVersion { version: version.text.clone() })?;
        let layout = match debug {
            Some(at) => debug_offsets::applied(&reader, at, layout, &mut notes),
            None => layout,
        };
        Ok(Interpreter { version, layout, type_type, runtime, images, notes })
    }
}

/// Whether the type of all types has the header of a free-threaded build.
fn is_threaded(reader: &Reader<'_>, type_type: Addr) -> bool {
    let layouts = layout::known_versions().into_iter().filter_map(layout::table);
    let mut split = layouts.filter(|l| l.variants.refcount == RefCountVariant::Split);
    split.any(|l| reader.pointer(type_type + l.structs.object.ob_type) == Some(type_type))
}

impl Version {
    /// Whether it comes after a minor version (`"3.15"`).
    fn is_later_than(&self, minor: &str) -> bool {
        let parsed = minor.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        parsed.is_some_and(|parsed| self.minor > parsed)
    }

    /// From `PY_VERSION_HEX` (`Include/patchlevel.h`).
    pub fn from_hex(hex: u64) -> Option<Version> {
        let [_, _, _, _, major, minor, patch, level] = hex.to_be_bytes();
        if hex >> 32 != 0 || major != 3 || minor > 99 {
            return None;
        }
        let release = match level >> 4 {
            0xa => format!("a{}", level & 15),
            0xb => format!("b{}", level & 15),
            0xc => format!("rc{}", level & 15),
            _ => String::new(),
        };
        Some(Version { minor: (major, minor), text: format!("{major}.{minor}.{patch}{release}") })
    }

    /// From what `sys.version` begins with: `3.10.13 (main, …`.
    fn from_text(text: &[u8]) -> Option<Version> {
        let end = text.iter().position(|b| *b == b' ')?;
        let number = std::str::from_utf8(text.get(..end)?).ok()?;
        let mut parts = number.splitn(3, '.');
        let major: u8 = parts.next()?.parse().ok()?;
        let minor: u8 = parts.next()?.parse().ok()?;
        let patch = parts.next()?;
        let plain = patch.starts_with(|c: char| c.is_ascii_digit())
            && patch.len() <= 12
            && patch.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
        (major == 3 && plain).then(|| Version { minor: (major, minor), text: number.to_owned() })
    }

    /// From `…/libpython3.10.so.1.0` or `…/python3.10`.
    fn from_file_name(file: &str) -> Option<Version> {
        let name = file.rsplit('/').next()?;
        let rest = &name[name.find("python3.")? + "python3.".len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let minor = rest[..digits].parse().ok()?;
        Some(Version { minor: (3, minor), text: format!("3.{minor}") })
    }
}

/// What follows the number in `sys.version` (`Python/getversion.c`; 3.13 and 3.14 name free-threaded builds).
const BUILDS: [&[u8]; 3] = [b" (", b" experimental free-threading build (", b" free-threading build ("];

/// The static buffer of `Py_GetVersion` lies in the interpreter's `.bss`; without its image, `sys.version` is
/// somewhere in writable memory.
fn find_version_text(snapshot: &Snapshot, reader: &Reader<'_>, image: Option<&Image>) -> Option<Version> {
    let search = |bytes: &[u8]| {
        let mut from = 0;
        while let Some(at) = bytes.get(from..)?.windows(2).position(|w| w == b"3.") {
            let here = &bytes[from + at..];
            let head = &here[..here.len().min(120)];
            // "3.10.13 (main, May  9 2026, 07:34:36) [GCC 12.2.0]"; up to 3.9 a newline stands before the bracket
            if let Some(version) = Version::from_text(head)
                && BUILDS.iter().any(|build| head.get(version.text.len()..).is_some_and(|rest| rest.starts_with(build)))
                && head.windows(3).any(|w| w == b") [" || w == b") \n" || w == b")\n[" || w[1..] == *b"\n[")
            {
                return Some(version);
            }
            from += at + 2;
        }
        None
    };
    let in_image = image
        .into_iter()
        .flat_map(|i| &i.data)
        .find_map(|(start, end)| reader.chunks(*start, end.0 - start.0).find_map(|(_, bytes)| search(bytes)));
    in_image.or_else(|| {
        let regions = snapshot.regions().iter().filter(|r| r.is_writable());
        regions
            .flat_map(|r| r.extents().iter().map(move |e| (r, e)))
            .find_map(|(r, e)| search(r.bytes().get(e.start as usize..e.end as usize)?))
    })
}

/// The address of the object that is its own type and is called `type`, whichever of the known versions it is of.
fn find_type_type(snapshot: &Snapshot, reader: &Reader<'_>) -> Option<Addr> {
    let layouts = layout::known_versions().into_iter().filter_map(layout::table);
    let mut offsets: Vec<_> = layouts.map(|l| (l.structs.object.ob_type, l.structs.type_object.tp_name)).collect();
    offsets.sort_unstable();
    offsets.dedup();
    let is_type = |at: Addr, word: u64| {
        offsets.iter().find_map(|(ob_type, tp_name)| {
            // the object that the word says is the type of the object that the word is in
            let own = at.0.checked_sub(*ob_type).map(Addr).filter(|own| own.0 == word)?;
            let name = reader.pointer(own + *tp_name).and_then(|n| reader.c_string(n, 8));
            (name == Some(b"type")).then_some(own)
        })
    };
    for region in snapshot.regions().iter().filter(|r| r.is_writable()) {
        for extent in region.extents() {
            let bytes = region.bytes().get(extent.start as usize..extent.end as usize)?;
            for (i, word) in bytes.chunks_exact(8).enumerate() {
                let at = region.start + extent.start + i as u64 * 8;
                if let Some(found) = is_type(at, u64::from_le_bytes(word.try_into().ok()?)) {
                    return Some(found);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_all_that_tells_them() {
        assert_eq!(Version::from_hex(0x030c_01f0).unwrap().text, "3.12.1");
        assert_eq!(Version::from_hex(0x030e_00c2).unwrap().text, "3.14.0rc2");
        assert_eq!(Version::from_hex(0x7f00_0000_0000), None);
        assert_eq!(Version::from_text(b"3.10.13 (main, May").unwrap().minor, (3, 10));
        assert_eq!(Version::from_text(b"3.14.0rc2+ (").unwrap().text, "3.14.0rc2+");
        assert_eq!(Version::from_text(b"3.1 (").map(|v| v.text), None);
        assert_eq!(Version::from_file_name("/usr/lib/libpython3.9.so.1.0").unwrap().text, "3.9");
        assert_eq!(Version::from_file_name("/usr/bin/perl"), None);
        let later = |hex| Version::from_hex(hex).unwrap().is_later_than("3.15");
        assert_eq!([later(0x0309_00f0), later(0x030f_02f0), later(0x0310_00a1)], [false, false, true]);
    }

    #[test]
    fn memory_without_an_interpreter_says_so() {
        let snapshot = Snapshot::from_memory(vec![(Addr(0x1000), vec![0x41; 0x4000])], None);
        assert_eq!(Interpreter::find(&snapshot).unwrap_err(), NotPython::NoInterpreter);
    }
}
