//! Objects of `ctypes`: what their memory holds, and whose it is.
//!
//! The layout is that of `CDataObject` (`Modules/_ctypes/ctypes.h`); what kind of thing it is says the class's
//! metaclass, and a simple type's `_type_` says how its value is written (`Modules/_ctypes/cfield.c`). The fields of
//! structures are not taken apart: their bytes are shown.

use super::facts::{Fact, FactValue};
use super::{Limits, Memory};
use crate::cpython::memory::MAX_ITEMS;
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

impl Memory<'_> {
    pub(super) fn cdata_facts(&self, addr: Addr, ty: &Type, types: &TypeTable, limits: Limits) -> Option<Vec<Fact>> {
        let c = &self.layout.structs.cdata;
        let at = self.reader.pointer(addr + c.b_ptr?)?;
        let size = self.reader.u64(addr + c.b_size?)?;
        let metaclass = types.id_of(ty.metatype).map_or("", |t| types.get(t).name.as_str());
        let mut facts = Vec::new();
        match metaclass.rsplit('.').next() {
            Some("PyCSimpleType") => facts.extend(self.simple_value(at, ty, types, limits)),
            Some("PyCPointerType") => {
                let target = self.reader.pointer(at)?;
                let contents = if target.is_null() { FactValue::None } else { FactValue::Address(target) };
                facts.push(Fact::new("contents", contents));
            }
            Some("PyCArrayType") => facts.push(Fact::size("length", self.reader.u64(addr + c.b_length?)?)),
            _ => {}
        }
        facts.push(Fact::size("size", size));
        facts.push(Fact::object("base", self.field(addr, ty, "b_base")));
        facts.push(Fact::size("owned", self.cdata_owned(addr, ty)?));
        facts.push(Fact::new("data", FactValue::Bytes(self.data(at, size.min(MAX_ITEMS), limits.chars))));
        Some(facts)
    }

    /// Bytes that an object of ctypes has allocated for itself: none where they lie in the object or are another's.
    pub(super) fn cdata_owned(&self, addr: Addr, ty: &Type) -> Option<u64> {
        let c = &self.layout.structs.cdata;
        let at = self.reader.pointer(addr + c.b_ptr?)?;
        let size = self.reader.u64(addr + c.b_size?)?.min(MAX_ITEMS);
        let must_free = self.reader.i32(addr + c.b_needsfree?)? != 0;
        let within = (addr..addr + ty.basicsize).contains(&at);
        let owns = must_free && !within && !at.is_null() && self.field(addr, ty, "b_base").is_none();
        Some(if owns { size } else { 0 })
    }

    /// The value of a simple type, by the letter of its class.
    fn simple_value(&self, at: Addr, ty: &Type, types: &TypeTable, limits: Limits) -> Option<Fact> {
        let r = &self.reader;
        let of_class = |name: &str| {
            let dict = |class: &Type| r.pointer(class.address + self.layout.structs.type_object.tp_dict);
            types.bases(ty).find_map(|class| self.dict_get(dict(class)?, name))
        };
        let letter = self.text(of_class("_type_")?, 1)?.0.chars().next()?;
        // the class for the other byte order is its own `__ctype_be__`
        if of_class("__ctype_be__").is_some_and(|swapped| types.bases(ty).any(|class| class.address == swapped)) {
            return None;
        }
        let pointed = || r.pointer(at).map(|p| if p.is_null() { FactValue::None } else { FactValue::Address(p) });
        let value = match letter {
            'b' => FactValue::Int((r.u8(at)? as i8).into()),
            'B' => FactValue::Int(r.u8(at)?.into()),
            '?' => FactValue::Bool(r.u8(at)? != 0),
            'c' => FactValue::Bytes(self.data(at, 1, limits.chars.max(1))),
            'h' => FactValue::Int((r.u16(at)? as i16).into()),
            'H' => FactValue::Int(r.u16(at)?.into()),
            'i' => FactValue::Int(r.i32(at)?.into()),
            'I' => FactValue::Int(r.u32(at)?.into()),
            'l' | 'q' => FactValue::Int(r.i64(at)?),
            'L' | 'Q' => {
                let value = r.u64(at)?;
                i64::try_from(value).map_or_else(|_| FactValue::Text(value.to_string()), FactValue::Int)
            }
            'f' => FactValue::Float(f32::from_bits(r.u32(at)?).into()),
            'd' => FactValue::Float(f64::from_bits(r.u64(at)?)),
            'u' => FactValue::Text(char::from_u32(r.u32(at)?)?.to_string()),
            'O' => return Some(Fact::object("value", r.pointer(at).filter(|p| !p.is_null()))),
            'z' => match r.pointer(at)? {
                Addr::NULL => FactValue::None,
                text => {
                    let bytes = r.c_string(text, limits.chars.max(1))?.to_vec();
                    let len = bytes.len() as u64;
                    FactValue::Bytes(super::Data { bytes, len })
                }
            },
            // c_void_p, c_wchar_p
            'P' | 'Z' => pointed()?,
            _ => return None,
        };
        Some(Fact::new("value", value))
    }
}
