//! Named facts of an object: what a reader asks of it first, typed.
//!
//! Where an object is no number, text or container, its value is a list of these. A fact that cannot be read is left
//! out; none is made up.

use super::{Data, Limits, Memory};
use crate::cpython::kind::Kind;
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

/// A named fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// As Python's attribute is called, where there is one.
    pub name: &'static str,
    /// What it is.
    pub value: FactValue,
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq)]
pub enum FactValue {
    /// `None`.
    None,
    /// A flag.
    Bool(bool),
    /// A number, as a C field or a small int has it.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text, cut at the limits.
    Text(String),
    /// Numbers in a row: a shape, strides.
    Numbers(Vec<i64>),
    /// Bytes, cut at the limits.
    Bytes(Data),
    /// Any other object.
    Object(Addr),
    /// An address that is no object's.
    Address(Addr),
}

impl Fact {
    pub(super) fn new(name: &'static str, value: FactValue) -> Fact {
        Fact { name, value }
    }

    pub(super) fn int(name: &'static str, value: impl Into<i64>) -> Fact {
        Fact { name, value: FactValue::Int(value.into()) }
    }

    /// Sizes beyond what an i64 holds are damage, and shown as the greatest there is.
    pub(super) fn size(name: &'static str, value: u64) -> Fact {
        Fact { name, value: FactValue::Int(i64::try_from(value).unwrap_or(i64::MAX)) }
    }

    pub(super) fn bool(name: &'static str, value: bool) -> Fact {
        Fact { name, value: FactValue::Bool(value) }
    }

    pub(super) fn text(name: &'static str, value: String) -> Fact {
        Fact { name, value: FactValue::Text(value) }
    }

    pub(super) fn object(name: &'static str, value: Option<Addr>) -> Fact {
        Fact { name, value: value.map_or(FactValue::None, FactValue::Object) }
    }
}

impl Memory<'_> {
    /// The object as a fact: itself where it is a constant, a number or a text, else which one it is.
    pub(super) fn fact_value(&self, addr: Addr, types: &TypeTable, limits: Limits) -> FactValue {
        let known = || {
            let ty = types.get(types.id_of(self.type_of(addr)?)?);
            Some(match types.kind(ty, self.layout) {
                _ if ty.is_heap_type() => return None,
                Kind::None => FactValue::None,
                Kind::Bool => FactValue::Bool(self.small_int(addr)? != 0),
                Kind::Int => FactValue::Int(self.small_int(addr)?),
                Kind::Float => {
                    FactValue::Float(f64::from_bits(self.reader.u64(addr + self.layout.structs.float.ob_fval)?))
                }
                Kind::Str => FactValue::Text(self.text(addr, limits.chars)?.0),
                _ => return None,
            })
        };
        known().unwrap_or(FactValue::Object(addr))
    }

    /// How many items a list, deque, set or dict has.
    pub(super) fn length(&self, addr: Addr, types: &TypeTable) -> Option<u64> {
        let s = &self.layout.structs;
        let ty = types.get(types.id_of(self.type_of(addr)?)?);
        match types.kind(ty, self.layout) {
            Kind::List | Kind::Tuple | Kind::Deque => u64::try_from(self.ob_size(addr)?).ok(),
            Kind::Set | Kind::FrozenSet => self.reader.u64(addr + s.set.used),
            Kind::Dict | Kind::OrderedDict | Kind::DefaultDict => self.reader.u64(addr + s.dict.ma_used),
            Kind::None => Some(0),
            _ => None,
        }
    }

    /// The references that the layout table lists for a C type, in its order, those that are set.
    pub(super) fn field_facts(&self, addr: Addr, ty: &Type) -> Vec<Fact> {
        let refs = ty.fields.map_or(&[][..], |fields| &fields.refs);
        let present = ty.fields.and_then(|f| f.guard).is_none_or(|g| self.reader.u8(addr + g).is_some_and(|b| b != 0));
        let set = |offset: u64| self.reader.pointer(addr + offset).filter(|p| present && !p.is_null());
        refs.iter().filter_map(|(name, offset)| Some(Fact::object(name, Some(set(*offset)?)))).collect()
    }
}
