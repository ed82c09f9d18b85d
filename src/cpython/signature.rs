//! An interpreter without symbols: one pass over memory for what only CPython has there.
//!
//! `type` is an object that is its own type, and whose name is `type`; `_PyRuntime` of 3.13 and later begins with a
//! cookie. Neither needs a symbol table or a version. What follows from them is decided in
//! [`runtime`](super::runtime).

use crate::image::Image;
use crate::snapshot::{Addr, Reader, Snapshot};

/// `_Py_DebugOffsets` begins with this (`Include/internal/pycore_debug_offsets.h`, 3.13).
pub(super) const COOKIE: &[u8; 8] = b"xdebugpy";

/// Offsets of `ob_type` and `tp_name` in a type.
pub(super) type Header = (u64, u64);

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    /// `PyType_Type`.
    pub(super) type_type: Addr,
    /// `_PyRuntime`, where it has a cookie.
    pub(super) runtime: Option<Addr>,
    /// The number of the image that `type_type` lies in.
    pub(super) image: Option<usize>,
}

/// Looks through the images' writable data once; through all writable memory only when no image's head was captured.
pub(super) fn find(
    snapshot: &Snapshot,
    reader: &Reader<'_>,
    images: &[Image],
    headers: &[Header],
) -> Option<Signature> {
    for (i, image) in images.iter().enumerate() {
        let mut found = Found::default();
        for (start, end) in &image.data {
            for (at, bytes) in reader.chunks(*start, end.0 - start.0) {
                found.look(reader, headers, at, bytes);
            }
        }
        if let Some(type_type) = found.type_type {
            return Some(Signature { type_type, runtime: found.cookie, image: Some(i) });
        }
    }
    if !images.is_empty() {
        return None;
    }
    let mut found = Found::default();
    for region in snapshot.regions().iter().filter(|r| r.is_writable()) {
        for extent in region.extents() {
            let bytes = region.bytes().get(extent.start as usize..extent.end as usize).unwrap_or(&[]);
            found.look(reader, headers, region.start + extent.start, bytes);
        }
    }
    Some(Signature { type_type: found.type_type?, runtime: found.cookie, image: None })
}

#[derive(Default)]
struct Found {
    type_type: Option<Addr>,
    cookie: Option<Addr>,
}

impl Found {
    fn look(&mut self, reader: &Reader<'_>, headers: &[Header], start: Addr, bytes: &[u8]) {
        for (i, word) in bytes.chunks_exact(8).enumerate() {
            let at = start + i as u64 * 8;
            if word == COOKIE {
                self.cookie = self.cookie.or(Some(at));
                continue;
            }
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            // an object that is its own type: the word points a header's length before itself
            let back = at.0.wrapping_sub(word);
            let mut of_header = headers.iter().filter(|(ob_type, _)| *ob_type == back);
            if self.type_type.is_none() && of_header.any(|(_, tp_name)| is_named_type(reader, Addr(word) + *tp_name)) {
                self.type_type = Some(Addr(word));
            }
        }
    }
}

fn is_named_type(reader: &Reader<'_>, name_at: Addr) -> bool {
    reader.pointer(name_at).and_then(|name| reader.c_string(name, 8)) == Some(b"type")
}

/// Whether the object at `address` is its own type: not so for the copy of `type` in a library that an executable
/// has moved to itself (a copy relocation).
pub(super) fn is_own_type(reader: &Reader<'_>, address: Addr) -> bool {
    const HEADER_WORDS: u64 = 8;
    (1..HEADER_WORDS).any(|i| reader.pointer(address + i * 8) == Some(address))
}
