//! NumPy's arrays, dtypes and scalars, with the offsets of [`packages`](crate::cpython::layout::packages).
//!
//! The memory of an array belongs to one object: an array that owns it, or whatever is at the end of a view's `base`.
//! What the numbers in an array are is not worked out; its first bytes are shown as they lie, in C order.

use super::facts::{Fact, FactValue};
use super::{Data, Limits, Memory};
use crate::cpython::layout::packages;
use crate::cpython::memory::MAX_ITEMS;
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

/// `NPY_DATETIMEUNIT` (`numpy/ndarraytypes.h`), by number; 3 is not used.
const UNITS: [&str; 15] = ["Y", "M", "W", "", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic"];

/// What an array says of itself.
pub(in crate::cpython) struct Array {
    pub(in crate::cpython) shape: Vec<i64>,
    pub(in crate::cpython) strides: Vec<i64>,
    pub(in crate::cpython) data: Addr,
    pub(in crate::cpython) descr: Addr,
    /// Bytes an item.
    pub(in crate::cpython) itemsize: u64,
    /// `kind` of its dtype: `f`, `i`, `O`, ….
    pub(in crate::cpython) kind: u8,
    /// Bytes of all items.
    pub(in crate::cpython) bytes: u64,
    /// Whether the memory is its own.
    pub(in crate::cpython) owns: bool,
}

impl Memory<'_> {
    pub(in crate::cpython) fn ndarray(&self, addr: Addr, types: &TypeTable) -> Option<Array> {
        let a = packages::array()?;
        let r = &self.reader;
        let dimensions = u64::try_from(r.i32(addr + a.nd)?).ok().filter(|n| *n <= a.max_dimensions)?;
        let words = |at: u64| {
            let first = r.pointer(addr + at)?;
            (0..dimensions).map(|i| r.i64(first + i * 8)).collect::<Option<Vec<i64>>>()
        };
        let (shape, strides) = (words(a.dimensions)?, words(a.strides)?);
        let descr = r.pointer(addr + a.descr)?;
        let (kind, _, itemsize) = self.item_of(descr, types)?;
        let product = |n: u64, side: &i64| n.checked_mul(u64::try_from(*side).ok()?).filter(|n| *n < MAX_ITEMS);
        let bytes = shape.iter().try_fold(itemsize, product)?;
        let owns = r.u32(addr + a.flags)? & a.owndata != 0 && r.pointer(addr + a.base)?.is_null();
        Some(Array { shape, strides, data: r.pointer(addr + a.data)?, descr, itemsize, kind, bytes, owns })
    }

    /// Kind, byte order and bytes of an item of a dtype.
    fn item_of(&self, descr: Addr, types: &TypeTable) -> Option<(u8, u8, u64)> {
        let ty = types.get(types.id_of(self.type_of(descr)?)?);
        let is_dtype = types.bases(ty).any(|t| t.name == "numpy.dtype");
        let d = packages::descr(ty.basicsize).filter(|_| is_dtype)?;
        let size = match d.elsize_bytes {
            4 => u64::from(self.reader.u32(descr + d.elsize)?),
            _ => self.reader.u64(descr + d.elsize)?,
        };
        let (kind, order) = (self.reader.u8(descr + d.kind)?, self.reader.u8(descr + d.byteorder)?);
        (kind.is_ascii_graphic() && order.is_ascii_graphic() && size < MAX_ITEMS).then_some((kind, order, size))
    }

    /// `dtype.str`: byte order, kind, bytes (characters of a str), the unit of a datetime (`numpy/_core/_dtype.py`).
    pub(super) fn dtype_text(&self, descr: Addr, types: &TypeTable) -> Option<String> {
        let (kind, order, size) = self.item_of(descr, types)?;
        let order = if order == b'=' { '<' } else { char::from(order) };
        let letter = char::from(kind);
        Some(match kind {
            b'O' => "|O".to_owned(),
            b'U' => format!("{order}U{}", size / 4),
            b'M' | b'm' => format!("{order}{letter}{size}{}", self.unit_of(descr, types).unwrap_or_default()),
            _ => format!("{order}{letter}{size}"),
        })
    }

    /// `[ns]`, `[10us]`; nothing for a datetime of no unit.
    fn unit_of(&self, descr: Addr, types: &TypeTable) -> Option<String> {
        let d = packages::descr(types.get(types.id_of(self.type_of(descr)?)?).basicsize)?;
        let metadata = self.reader.pointer(descr + d.c_metadata?).filter(|m| !m.is_null())?;
        let unit = unit(self.reader.i32(metadata + d.unit?)?)?;
        match self.reader.i32(metadata + d.unit_count?)? {
            _ if unit == "generic" => None,
            1 => Some(format!("[{unit}]")),
            n => Some(format!("[{n}{unit}]")),
        }
    }

    pub(super) fn array_facts(&self, addr: Addr, ty: &Type, types: &TypeTable, limits: Limits) -> Option<Vec<Fact>> {
        let array = self.ndarray(addr, types)?;
        let data = self.strided(array.data, &array.shape, &array.strides, array.itemsize, limits.chars);
        Some(vec![
            Fact::text("dtype", self.dtype_text(array.descr, types)?),
            Fact::new("shape", FactValue::Numbers(array.shape)),
            Fact::new("strides", FactValue::Numbers(array.strides)),
            Fact::size("nbytes", array.bytes),
            Fact::object("base", self.field(addr, ty, "base")),
            Fact::size("owned", if array.owns { array.bytes } else { 0 }),
            Fact::new("data", FactValue::Bytes(Data { bytes: data, len: array.bytes })),
        ])
    }

    pub(super) fn scalar_facts(&self, addr: Addr, ty: &Type, types: &TypeTable) -> Option<Vec<Fact>> {
        let r = &self.reader;
        let at = addr + packages::array()?.scalar_value;
        let kind = types.bases(ty).find_map(|t| packages::scalar(&t.name))?;
        let float = |at: Addr| r.u64(at).map(f64::from_bits);
        let single = |at: Addr| r.u32(at).map(|bits| f64::from(f32::from_bits(bits)));
        let value = match kind {
            "b1" => FactValue::Bool(r.u8(at)? != 0),
            "i1" => FactValue::Int((r.u8(at)? as i8).into()),
            "i2" => FactValue::Int((r.u16(at)? as i16).into()),
            "i4" => FactValue::Int(r.i32(at)?.into()),
            "i8" => FactValue::Int(r.i64(at)?),
            "u1" => FactValue::Int(r.u8(at)?.into()),
            "u2" => FactValue::Int(r.u16(at)?.into()),
            "u4" => FactValue::Int(r.u32(at)?.into()),
            "u8" => {
                let value = r.u64(at)?;
                i64::try_from(value).map_or_else(|_| FactValue::Text(value.to_string()), FactValue::Int)
            }
            "f2" => FactValue::Float(half(r.u16(at)?)),
            "f4" => FactValue::Float(single(at)?),
            "f8" => FactValue::Float(float(at)?),
            "c8" => return Some(complex(single(at)?, single(at + 4)?)),
            "c16" => return Some(complex(float(at)?, float(at + 8)?)),
            "M8" | "m8" => {
                // obmeta follows: the unit, and how many of it
                let unit = unit(r.i32(at + 8)?)?.to_owned();
                let count = r.i32(at + 12)?;
                let value = FactValue::Int(r.i64(at)?);
                return Some(vec![Fact::new("value", value), Fact::text("unit", unit), Fact::int("count", count)]);
            }
            _ => return None,
        };
        Some(vec![Fact::new("value", value)])
    }
}

fn unit(number: i32) -> Option<&'static str> {
    UNITS.get(usize::try_from(number).ok()?).copied().filter(|u| !u.is_empty())
}

fn complex(real: f64, imag: f64) -> Vec<Fact> {
    vec![Fact::new("real", FactValue::Float(real)), Fact::new("imag", FactValue::Float(imag))]
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_those_of_ieee_754() {
        assert_eq!([0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000].map(half), [1.0, -2.0, 65504.0, 2f64.powi(-24), -0.0]);
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }
}
