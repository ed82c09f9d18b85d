//! Raw data held by C objects: arrays, memoryviews, streams in memory, files and sockets.

use super::{Data, Limits, Memory, Text, Value};
use crate::cpython::kind::Kind;
use crate::cpython::memory::{MAX_ITEMS, wide_text};
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

/// `PyBUF_MAX_NDIM`.
const MAX_DIMENSIONS: u64 = 64;

/// `Include/cpython/memoryobject.h`.
const MEMORYVIEW_RELEASED: u32 = 1;

/// `STATE_ACCUMULATING` (`Modules/_io/stringio.c`).
const ACCUMULATING: u32 = 2;

impl Memory<'_> {
    pub(super) fn stream_value(
        &self,
        addr: Addr,
        ty: &Type,
        types: &TypeTable,
        kind: Kind,
        limits: Limits,
    ) -> Option<Value> {
        let s = &self.layout.structs;
        let r = &self.reader;
        Some(match kind {
            Kind::Array => {
                let descr = r.pointer(addr + s.array.ob_descr)?;
                let itemsize = u64::try_from(r.i32(descr + s.array_descr.itemsize)?).ok()?;
                let len = u64::try_from(self.ob_size(addr)?).ok().filter(|n| *n < MAX_ITEMS)?;
                let items = r.pointer(addr + s.array.ob_item?)?;
                let typecode = char::from(r.u8(descr + s.array_descr.typecode?)?);
                Value::Array {
                    typecode,
                    itemsize,
                    len,
                    data: self.data(items, len.checked_mul(itemsize)?, limits.chars),
                }
            }
            Kind::MemoryView => self.memoryview(addr, limits.chars)?,
            Kind::BytesIo => {
                let buffer = self.field(addr, ty, "buf")?;
                let len = r.u64(addr + s.bytesio.string_size?)?;
                let held = u64::try_from(self.ob_size(buffer)?).ok()?;
                Value::Buffer(self.data(buffer + s.bytes.ob_sval, len.min(held), limits.chars))
            }
            Kind::StringIo => Value::TextBuffer(self.stringio(addr, limits.chars)?),
            Kind::File => {
                // text over buffered over raw, or right over raw
                let (mut raw, mut raw_type) = (addr, ty);
                for below in ["buffer", "raw"] {
                    if let Some(next) = self.field(raw, raw_type, below)
                        && let Some(next_type) = self.type_of(next).and_then(|t| types.id_of(t))
                    {
                        (raw, raw_type) = (next, types.get(next_type));
                    }
                }
                let is_raw = types.bases(raw_type).any(|t| t.name == "_io.FileIO");
                let fd = if is_raw { r.i32(raw + s.fileio.fd) } else { None };
                let dict = r.pointer(raw + s.fileio.dict).filter(|d| is_raw && !d.is_null());
                // open() sets the mode of text as an attribute; a buffer has its raw file's
                let given = self.attribute(addr, ty, "mode").and_then(|m| self.short_text(m));
                let of_raw = || if is_raw { self.raw_mode(raw) } else { None };
                let is_text = types.bases(ty).any(|t| t.name == "_io.TextIOWrapper");
                let mode = if is_text { given } else { given.or_else(of_raw) };
                Value::File { fd, name: dict.and_then(|d| self.lookup(d, "name", 16)), mode }
            }
            _ => return None,
        })
    }

    /// The mode of a FileIO by its flags (`Modules/_io/fileio.c`, `mode_string`): bits of one byte, in the order
    /// created, readable, writable, appending.
    fn raw_mode(&self, raw: Addr) -> Option<String> {
        let flags = self.reader.u8(raw + self.layout.structs.fileio.created?)?;
        let set = |bit: u8| flags & (1 << bit) != 0;
        let (created, readable, writable, appending) = (set(0), set(1), set(2), set(3));
        let text = match (created, appending, readable, writable) {
            (true, _, true, _) => "xb+",
            (true, _, false, _) => "xb",
            (_, true, true, _) => "ab+",
            (_, true, false, _) => "ab",
            (_, _, true, true) => "rb+",
            (_, _, true, false) => "rb",
            _ => "wb",
        };
        Some(text.to_owned())
    }

    fn memoryview(&self, addr: Addr, max: usize) -> Option<Value> {
        let v = &self.layout.structs.memoryview;
        let r = &self.reader;
        let released = r.u32(addr + v.flags)? & MEMORYVIEW_RELEASED != 0;
        if released {
            return Some(Value::MemoryView { format: String::new(), dimensions: 0, data: Data::default(), released });
        }
        let format = r.pointer(addr + v.view_format).filter(|p| !p.is_null());
        let format = format
            .and_then(|p| r.c_string(p, 100))
            .map_or_else(|| "B".to_owned(), |text| String::from_utf8_lossy(text).into_owned());
        let dimensions = u64::try_from(r.i32(addr + v.view_ndim)?).ok().filter(|n| *n <= MAX_DIMENSIONS)?;
        let itemsize = r.u64(addr + v.view_itemsize)?.min(MAX_ITEMS);
        let len = r.u64(addr + v.view_len)?;
        let words = |at: u64| {
            let first = r.pointer(addr + at)?;
            (0..dimensions).map(|i| r.i64(first + i * 8)).collect::<Option<Vec<i64>>>()
        };
        let (shape, strides) = (words(v.view_shape)?, words(v.view_strides)?);
        let bytes = self.strided(r.pointer(addr + v.view_buf)?, &shape, &strides, itemsize, max);
        Some(Value::MemoryView { format, dimensions, data: Data { bytes, len }, released })
    }

    /// At most `max` bytes of the items in C order, wherever the strides put them: what `tobytes()` gives.
    pub(super) fn strided(&self, start: Addr, shape: &[i64], strides: &[i64], itemsize: u64, max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut index = vec![0i64; shape.len()];
        while shape.iter().all(|n| *n > 0) && itemsize > 0 && bytes.len() < max {
            let offset = index.iter().zip(strides).fold(0i64, |o, (i, s)| o.wrapping_add(i.wrapping_mul(*s)));
            let room = (max - bytes.len()) as u64;
            let before = bytes.len();
            for (_, piece) in self.reader.chunks(start.offset(offset), itemsize.min(room)) {
                bytes.extend_from_slice(piece);
            }
            if bytes.len() == before || !advance(&mut index, shape) {
                break;
            }
        }
        bytes
    }

    fn stringio(&self, addr: Addr, max: usize) -> Option<Text> {
        let s = &self.layout.structs.stringio;
        let r = &self.reader;
        let len = r.u64(addr + s.string_size).filter(|n| *n < MAX_ITEMS)?;
        let take = usize::try_from(len).ok()?.min(max);
        if r.u32(addr + s.state)? != ACCUMULATING {
            // UCS-4
            let mut bytes = Vec::new();
            for (_, piece) in r.chunks(r.pointer(addr + s.buf)?, take as u64 * 4) {
                bytes.extend_from_slice(piece);
            }
            let (text, surrogates) = wide_text(&bytes);
            return Some(Text { text, surrogates, len });
        }
        if let Some(offset) = s.accu_large {
            // up to 3.11: a list of large pieces, then one of small ones
            let (mut text, mut surrogates) = (String::new(), Vec::new());
            let mut left = take;
            let lists = [Some(offset), s.accu_small];
            for list in lists.into_iter().flatten().filter_map(|o| r.pointer(addr + o)).filter(|l| !l.is_null()) {
                let items = r.pointer(list + self.layout.structs.list.ob_item)?;
                let count = u64::try_from(self.ob_size(list)?).ok()?;
                for i in 0..count {
                    if left == 0 {
                        break;
                    }
                    let (piece, lone) = self.text_parts(r.pointer(items + i * 8)?, left)?;
                    let chars = piece.chars().count();
                    if chars == 0 && i > take as u64 {
                        break;
                    }
                    surrogates.extend(lone.into_iter().map(|(at, unit)| (take - left + at, unit)));
                    left -= chars.min(left);
                    text.push_str(&piece);
                }
            }
            return Some(Text { text, surrogates, len });
        }
        let buffer = match (s.writer_buffer, s.writer) {
            (Some(offset), _) => r.pointer(addr + offset)?,
            // a writer of its own, whose first field is the buffer
            (None, Some(offset)) => r.pointer(r.pointer(addr + offset)?)?,
            (None, None) => return None,
        };
        let (text, surrogates) = if take == 0 { Default::default() } else { self.text_parts(buffer, take)? };
        Some(Text { text, surrogates, len })
    }
}

/// Moves to the next index in C order; `false` at the end.
fn advance(index: &mut [i64], shape: &[i64]) -> bool {
    for (i, n) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < *n {
            return true;
        }
        *i = 0;
    }
    false
}
