//! What an object is worth: one decoder per kind hands out a typed, bounded [`Value`].
//!
//! A value is owned and never bigger than its [`Limits`]; what it refers to is named by address, so nothing is read
//! twice and no cycle matters. Nothing here is sanitised, sorted or laid out for a person: that is the business of
//! `analysis::describe`. What cannot be read makes the value [`Value::Opaque`], or leaves that part of it empty.

mod attributes;
mod classes;
mod code;
mod containers;
mod ctypes;
mod facts;
mod library;
mod native;
mod number;
mod numpy;
mod shape;
mod stdlib;
mod streams;

pub use attributes::Attribute;
pub(super) use classes::is_known as is_known_class;
pub use facts::{Fact, FactValue};
pub use shape::{Data, FutureState, Limits, Origin, Part, TaskValue, Text, Value};

use super::kind::Kind;
use super::memory::Memory;
use super::types::{Type, TypeTable};
use crate::snapshot::Addr;

/// Names of functions, files, attributes are cut here; the limits are for values.
const MAX_NAME: usize = 500;

impl Memory<'_> {
    /// What the object at `addr`, whose type is `ty`, is worth. Reads in proportion to the limits.
    pub fn value(&self, addr: Addr, ty: &Type, types: &TypeTable, limits: Limits) -> Value {
        self.value_of_kind(addr, ty, types, types.kind(ty, self.layout), limits).unwrap_or(Value::Opaque)
    }

    fn value_of_kind(&self, addr: Addr, ty: &Type, types: &TypeTable, kind: Kind, limits: Limits) -> Option<Value> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let field = |name: &str| self.field(addr, ty, name);
        Some(match kind {
            Kind::None => Value::None,
            Kind::Ellipsis => Value::Ellipsis,
            Kind::NotImplemented => Value::NotImplemented,
            Kind::Bool => Value::Bool(self.small_int(addr)? != 0),
            Kind::Int => self.int_value(addr, limits.chars)?,
            Kind::Float => Value::Float(f64::from_bits(r.u64(addr + s.float.ob_fval)?)),
            Kind::Complex => Value::Complex(
                f64::from_bits(r.u64(addr + s.complex.real)?),
                f64::from_bits(r.u64(addr + s.complex.imag)?),
            ),
            Kind::Str => Value::Str(self.text_value(addr, limits.chars)?),
            Kind::Bytes => {
                Value::Bytes(self.data(addr + s.bytes.ob_sval, u64::try_from(self.ob_size(addr)?).ok()?, limits.chars))
            }
            Kind::ByteArray => {
                let len = u64::try_from(self.ob_size(addr)?).ok()?;
                Value::Bytes(self.data(r.pointer(addr + s.bytearray.ob_start)?, len, limits.chars))
            }
            Kind::Tuple | Kind::List | Kind::Set | Kind::FrozenSet | Kind::Deque => {
                Value::Sequence(self.sequence(addr, ty, kind, limits.items)?)
            }
            Kind::Dict | Kind::DefaultDict => Value::Mapping(self.dict_items(addr, limits.items)?),
            Kind::OrderedDict => Value::Mapping(self.odict_items(addr, limits.items)?),
            Kind::Context => Value::Mapping(self.context_items(addr, ty, types, limits.items)?),
            Kind::View => Value::View(field("mapping")?),
            Kind::Type => Value::Type(types.get(types.id_of(addr)?).name.clone()),
            Kind::Module
            | Kind::Function
            | Kind::Method
            | Kind::Builtin
            | Kind::Descriptor
            | Kind::Code
            | Kind::Generator
            | Kind::Coroutine
            | Kind::AsyncGenerator
            | Kind::Frame
            | Kind::Traceback => self.code_value(addr, ty, kind)?,
            Kind::Exception => Value::Exception(match field("args") {
                Some(args) => self.tuple_items(args, limits.items)?,
                None => Part { items: Vec::new(), len: 0 },
            }),
            Kind::Cell => Value::Cell(field("cell_contents")),
            Kind::WeakRef => {
                let none = |a: &Addr| !self.is_named(*a, types, "NoneType");
                Value::WeakRef(r.pointer(addr + s.weakref.wr_object).filter(|a| !a.is_null()).filter(none))
            }
            Kind::Slice => Value::Slice([field("start")?, field("stop")?, field("step")?]),
            Kind::Range => {
                let number = |name| self.decimal_text(field(name)?, limits.chars);
                Value::Range([number("start")?, number("stop")?, number("step")?])
            }
            Kind::Property => Value::Property(field("fget")),
            Kind::Wrapper => Value::Wrapper(field("__func__")?),
            Kind::Partial => Value::Partial { function: field("func")?, args: field("args") },
            Kind::LruCache => Value::LruCache {
                function: field("__wrapped__"),
                hits: s.lru_cache.hits.and_then(|o| r.u64(addr + o)).unwrap_or(0),
                misses: s.lru_cache.misses.and_then(|o| r.u64(addr + o)).unwrap_or(0),
                maxsize: s.lru_cache.maxsize.and_then(|o| r.i64(addr + o)).and_then(|n| u64::try_from(n).ok()),
                len: field("cache").and_then(|c| r.u64(c + s.dict.ma_used)).unwrap_or(0),
            },
            Kind::Instance => Value::Instance(self.attributes(addr, ty, limits.items)),
            Kind::Opaque => Value::Opaque,
            Kind::BytesIo | Kind::StringIo | Kind::Array | Kind::MemoryView | Kind::File => {
                self.stream_value(addr, ty, types, kind, limits)?
            }
            Kind::SimpleQueue => self.simple_queue(addr, limits)?,
            Kind::CData => Value::Record(self.cdata_facts(addr, ty, types, limits)?),
            Kind::NdArray => Value::Record(self.array_facts(addr, ty, types, limits)?),
            Kind::DType => Value::Record(vec![Fact::text("str", self.dtype_text(addr, types)?)]),
            Kind::NumpyScalar => Value::Record(self.scalar_facts(addr, ty, types)?),
            Kind::Class => match self.record(addr, ty, types, kind, limits) {
                Some(facts) => Value::Record(facts),
                None => Value::Instance(self.attributes(addr, ty, limits.items)),
            },
            Kind::Fields
            | Kind::Count
            | Kind::Repeat
            | Kind::Mmap
            | Kind::Token
            | Kind::Struct
            | Kind::ThreadLocal
            | Kind::Socket => Value::Record(self.record(addr, ty, types, kind, limits)?),
            _ => self.library_value(addr, ty, types, kind, limits)?,
        })
    }

    /// The pointer that the layout table of `ty` calls `name`; `None` when it is null.
    fn field(&self, addr: Addr, ty: &Type, name: &str) -> Option<Addr> {
        let (_, offset) = ty.fields?.refs.iter().find(|(n, _)| n == name)?;
        self.reader.pointer(addr + *offset).filter(|a| !a.is_null())
    }

    /// Whether the object at `addr` is of the type with this name.
    fn is_named(&self, addr: Addr, types: &TypeTable, name: &str) -> bool {
        self.type_of(addr).and_then(|t| types.id_of(t)).is_some_and(|t| types.get(t).name == name)
    }

    /// A name or path held in a str object.
    fn short_text(&self, addr: Addr) -> Option<String> {
        self.text(addr, MAX_NAME).map(|(text, _)| text)
    }

    fn text_value(&self, addr: Addr, max: usize) -> Option<Text> {
        let (text, surrogates) = self.text_parts(addr, max)?;
        Some(Text { text, surrogates, len: self.str_at(addr)?.len })
    }

    fn data(&self, at: Addr, len: u64, max: usize) -> Data {
        let mut bytes = Vec::new();
        for (_, piece) in self.reader.chunks(at, len.min(max as u64)) {
            bytes.extend_from_slice(piece);
        }
        Data { bytes, len }
    }
}

#[cfg(test)]
mod tests;
