//! Which interpreter a snapshot holds, from the snapshot alone.
//!
//! Symbols of the mapped images come first (`_PyRuntime`, `PyType_Type`, `Py_Version`), then the table of offsets
//! that 3.13 and later carry in `_PyRuntime`, then the version string, then the file name. Without symbols the
//! interpreter is found by its signature. Threads, frames and modules are not looked at here.

use super::debug_offsets;
use super::interpreters::{self, InterpreterState};
use super::layout::{self, Layout};
use super::patches;
use super::signature::{self, Signature};
pub use super::version::Version;
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
    /// The main interpreter and its subinterpreters, in the order of their ids; empty when `_PyRuntime` was not found.
    pub interpreters: Vec<InterpreterState>,
    /// Every ELF image of the snapshot.
    pub images: Vec<Image>,
    /// What was odd about its version or its offsets, as sentences.
    pub notes: Vec<String>,
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
    #[error("it runs a free-threaded build of CPython {version}; pymem-tui knows only default builds of {}", known())]
    FreeThreaded {
        /// The version found.
        version: String,
    },
}

fn known() -> String {
    let all: Vec<_> = layout::known_versions().into_iter().filter(|v| !v.ends_with('t')).collect();
    format!("{} to {}", all.first().unwrap_or(&""), all.last().unwrap_or(&""))
}

impl Interpreter {
    /// Finds the interpreter. Reads the images' heads and symbol tables; looks through their data, once for `type`
    /// and once for `_PyRuntime`, only when symbols do not tell.
    pub fn find(snapshot: &Snapshot) -> Result<Interpreter, NotPython> {
        let reader = snapshot.reader();
        let images = image::images(snapshot);
        let found = by_symbols(&reader, &images)
            .or_else(|| signature::find(snapshot, &reader, &images, &headers()))
            .ok_or(NotPython::NoInterpreter)?;
        let image = found.image.and_then(|i| images.get(i));
        let debug = found.runtime.filter(|a| reader.slice(*a, 8) == Some(signature::COOKIE));
        let hex = symbol(&reader, &images, image, "Py_Version")
            .and_then(|at| reader.u64(at))
            .or_else(|| reader.u64(debug? + 8))
            .and_then(Version::from_hex);
        let version = hex
            .or_else(|| Version::from_memory(snapshot, &reader, image))
            .or_else(|| Version::from_file_name(image?.file.as_deref()?))
            .ok_or(NotPython::NoVersion)?;
        let free_threaded = debug.and_then(|a| reader.u64(a + 16)) == Some(1);
        let suffix = if free_threaded { "t" } else { "" };
        let table = format!("{}.{}{suffix}", version.minor.0, version.minor.1);
        let mut notes = Vec::new();
        let mut layout = layout::table(&table);
        // a later version is read with the newest table only where it carries offsets to check it against
        if layout.is_none()
            && debug.is_some()
            && let known = layout::known_versions()
            && let Some(newest) = known.iter().rfind(|v| v.ends_with('t') == free_threaded)
            && version.is_later_than(newest)
        {
            notes.push(format!(
                "CPython {} is not known: its memory is read as that of {newest}, so that some of it may be wrong",
                version.text
            ));
            layout = layout::table(newest);
        }
        let layout = match layout {
            Some(layout) => layout,
            None if free_threaded => return Err(NotPython::FreeThreaded { version: version.text }),
            None => return Err(NotPython::UnknownVersion { version: version.text }),
        };
        let layout = patches::applied(layout, &version);
        let layout = match debug {
            Some(at) => debug_offsets::applied(&reader, at, layout, &mut notes),
            None => layout,
        };
        let type_type = found.type_type;
        let by_its_words = || interpreters::find_runtime(&reader, layout, image?, type_type);
        let runtime = found.runtime.or_else(by_its_words);
        let interpreters = runtime.map(|at| interpreters::all(&reader, layout, at)).unwrap_or_default();
        Ok(Interpreter { version, layout, type_type, runtime, interpreters, images, notes })
    }
}

/// Where the known versions keep `ob_type` and `tp_name`.
fn headers() -> Vec<signature::Header> {
    let layouts = layout::known_versions().into_iter().filter_map(layout::table);
    let mut headers: Vec<_> = layouts.map(|l| (l.structs.object.ob_type, l.structs.type_object.tp_name)).collect();
    headers.sort_unstable();
    headers.dedup();
    headers
}

/// The interpreter that an image's symbols tell of, when they tell all of it.
fn by_symbols(reader: &Reader<'_>, images: &[Image]) -> Option<Signature> {
    let (i, type_type) = images.iter().enumerate().find_map(|(i, image)| {
        let at = image.symbol(reader, "PyType_Type")?;
        signature::is_own_type(reader, at).then_some((i, at))
    })?;
    let runtime = symbol(reader, images, images.get(i), "_PyRuntime")?;
    Some(Signature { type_type, runtime: Some(runtime), image: Some(i) })
}

/// A symbol of `image`, else of any: an executable may have moved single ones to itself (copy relocations).
fn symbol(reader: &Reader<'_>, images: &[Image], image: Option<&Image>, name: &str) -> Option<Addr> {
    image.into_iter().chain(images).find_map(|i| i.symbol(reader, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_without_an_interpreter_says_so() {
        let snapshot = Snapshot::from_memory(vec![(Addr(0x1000), vec![0x41; 0x4000])], None);
        assert_eq!(Interpreter::find(&snapshot).unwrap_err(), NotPython::NoInterpreter);
    }
}
