//! Layouts of C types that are not CPython's: NumPy's, pandas'. One file a package in `assets/layouts/packages/`.
//!
//! A package keeps its layouts over many versions of its own and of CPython, so an entry is chosen by the type's name
//! and its `tp_basicsize`, never by a version. Only default builds (with the GIL) are described.

use super::ObjectLayout;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::LazyLock;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets/layouts/packages");

/// Everything known of packages.
#[derive(Debug, Default, Deserialize)]
pub struct Packages {
    /// C types by name; of each the layouts that differ in size.
    #[serde(default)]
    objects: HashMap<String, Vec<ObjectLayout>>,
    /// NumPy's scalar types, and how the number within is written: kind and bytes, as in a dtype's `str`.
    #[serde(default)]
    scalars: HashMap<String, String>,
    /// `PyArrayObject_fields`.
    #[serde(default)]
    array: Option<NdArray>,
    /// `PyArray_Descr` and what it grew to, by size.
    #[serde(default)]
    descr: Vec<Descr>,
}

/// Offsets in `PyArrayObject_fields` (`numpy/ndarraytypes.h`).
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct NdArray {
    pub data: u64,
    pub nd: u64,
    pub dimensions: u64,
    pub strides: u64,
    pub base: u64,
    pub descr: u64,
    pub flags: u64,
    /// Bit of `flags`: the memory is the array's own (`NPY_ARRAY_OWNDATA`).
    pub owndata: u32,
    /// An array has no more dimensions (`NPY_MAXDIMS`).
    pub max_dimensions: u64,
    /// Where a scalar keeps its value (`obval`).
    pub scalar_value: u64,
}

/// Offsets in `PyArray_Descr` (`numpy/ndarraytypes.h`).
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Descr {
    /// Bytes of the struct: `tp_basicsize` of the dtype's class.
    pub size: u64,
    pub kind: u64,
    pub byteorder: u64,
    pub elsize: u64,
    /// Bytes of `elsize`: 4 in NumPy 1, 8 in NumPy 2.
    pub elsize_bytes: u64,
    /// Absent where the dtype is of the new kind.
    pub c_metadata: Option<u64>,
    /// In what `c_metadata` points to: the unit of a datetime, and how many of it (`PyArray_DatetimeMetaData`).
    pub unit: Option<u64>,
    pub unit_count: Option<u64>,
}

/// The layouts, read when they are first asked for. A file that does not parse is a defect, which a test finds.
static PACKAGES: LazyLock<Packages> = LazyLock::new(|| {
    let mut all = Packages::default();
    for file in FILES.files() {
        let Some(Ok(package)) = file.contents_utf8().map(toml::from_str::<Packages>) else { continue };
        all.objects.extend(package.objects);
        all.scalars.extend(package.scalars);
        all.descr.extend(package.descr);
        all.array = package.array.or(all.array);
    }
    all
});

/// What objects hold whose type has this name and this `tp_basicsize`.
pub fn object(name: &str, size: u64) -> Option<&'static ObjectLayout> {
    PACKAGES.objects.get(name)?.iter().find(|o| o.size == size as i64)
}

/// The layout of another size under the same name: a class that derives from one that is known, and whose struct is
/// another one that is known.
pub fn grown(base: &ObjectLayout, size: u64) -> Option<&'static ObjectLayout> {
    let family = PACKAGES.objects.values().find(|all| all.iter().any(|o| std::ptr::eq(o, base)))?;
    family.iter().find(|o| o.size == size as i64 && !std::ptr::eq(*o, base))
}

/// Offsets of NumPy's arrays.
pub fn array() -> Option<&'static NdArray> {
    PACKAGES.array.as_ref()
}

/// Offsets of a dtype whose class has this `tp_basicsize`.
pub fn descr(size: u64) -> Option<&'static Descr> {
    PACKAGES.descr.iter().find(|d| d.size == size)
}

/// Kind and bytes of the number in a NumPy scalar: `f8` of `numpy.float64`.
pub fn scalar(name: &str) -> Option<&'static str> {
    PACKAGES.scalars.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read() {
        for file in FILES.files().filter(|f| f.path().extension().is_some_and(|e| e == "toml")) {
            let parsed = toml::from_str::<Packages>(file.contents_utf8().unwrap());
            assert!(parsed.is_ok(), "{}: {}", file.path().display(), parsed.unwrap_err());
        }
        assert!(array().is_some() && object("numpy.ndarray", 96).is_some() && descr(96).is_some());
    }

    #[test]
    fn a_class_that_grew_has_the_layout_of_its_own_size() {
        let small = object("numpy.dtype", 88).unwrap();
        assert_eq!(grown(small, 120).map(|o| o.size), Some(120));
        assert!(grown(small, 88).is_none() && grown(small, 104).is_none());
    }
}
