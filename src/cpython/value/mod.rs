//! What an object is worth: one decoder per kind hands out a typed, bounded [`Value`].
//!
//! A value is owned and never bigger than its [`Limits`]; what it refers to is named by address, so nothing is read
//! twice and no cycle matters. Nothing here is sanitised, sorted or laid out for a person: that is the business of
//! `analysis::describe`. What cannot be read makes the value [`Value::Opaque`], or leaves that part of it empty.

mod attributes;
mod code;
mod containers;
mod number;
mod stdlib;
mod streams;

pub use attributes::Attribute;

use super::generator::GeneratorState;
use super::kind::Kind;
use super::memory::Memory;
use super::types::{Type, TypeTable};
use crate::snapshot::Addr;

/// How much of an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Characters of text, bytes of data, digits of a number.
    pub chars: usize,
    /// Items of a container, attributes of an instance.
    pub items: usize,
}

/// Text, perhaps cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The first characters; lone surrogates are replaced.
    pub text: String,
    /// Characters there are.
    pub len: u64,
}

impl Text {
    /// Whether that is all of it.
    pub fn is_whole(&self) -> bool {
        self.text.chars().count() as u64 == self.len
    }
}

/// Bytes, perhaps cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// Bytes there are.
    pub len: u64,
}

/// The first items of something longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// The first ones, in order.
    pub items: Vec<T>,
    /// How many there are.
    pub len: u64,
}

/// Where a function was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `Class.method`; up to 3.10 a code object has only `method`.
    pub name: String,
    /// `co_filename`.
    pub file: String,
    /// First line, or the line a frame is at; `None` where there is none.
    pub line: Option<u32>,
}

/// How far a future is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FutureState {
    /// Without a result.
    Pending,
    /// Given up.
    Cancelled,
    /// With a result or an exception.
    Finished,
}

/// The value of an object.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the names are Python's
pub enum Value {
    None,
    Ellipsis,
    NotImplemented,
    Bool(bool),
    /// In decimal.
    Int(String),
    /// An int of more digits than the limit.
    BigInt {
        negative: bool,
        digits: u64,
    },
    Float(f64),
    Complex(f64, f64),
    Str(Text),
    /// bytes and bytearray
    Bytes(Data),
    /// tuple, list, set, frozenset, deque; `Kind` tells which.
    Sequence(Part<Addr>),
    /// dict and its like, key and value.
    Mapping(Part<(Addr, Addr)>),
    /// mappingproxy, dict views: of this mapping.
    View(Addr),
    Instance(Part<Attribute>),
    Function {
        origin: Origin,
        module: Option<String>,
        code: Addr,
    },
    Method {
        function: Addr,
        receiver: Addr,
    },
    /// A function written in C; the receiver of a module's function is the module.
    Builtin {
        name: String,
        receiver: Option<Addr>,
    },
    Descriptor {
        name: String,
        owner: Option<Addr>,
    },
    Code(Origin),
    Module {
        name: Option<String>,
        file: Option<String>,
    },
    Type(String),
    Generator {
        name: String,
        qualname: String,
        code: Addr,
        state: GeneratorState,
        line: Option<u32>,
        file: String,
        /// What it awaits or yields from.
        awaits: Option<Addr>,
    },
    Frame {
        origin: Origin,
        code: Addr,
    },
    Traceback {
        line: Option<u32>,
        frame: Addr,
        next: Option<Addr>,
    },
    Exception(Part<Addr>),
    /// `None`: dead.
    WeakRef(Option<Addr>),
    Slice([Addr; 3]),
    /// Start, stop, step.
    Range([String; 3]),
    Property(Option<Addr>),
    /// staticmethod, classmethod: of this function.
    Wrapper(Addr),
    Partial {
        function: Addr,
        args: Option<Addr>,
    },
    LruCache {
        function: Option<Addr>,
        hits: u64,
        len: u64,
    },
    Cell(Option<Addr>),
    /// What `str()` says: dates and times, Decimal, Fraction, UUID, paths.
    Plain(String),
    TimeDelta {
        days: i32,
        seconds: i32,
        microseconds: i32,
    },
    EnumMember {
        name: Option<String>,
        value: Option<Addr>,
    },
    Array {
        typecode: char,
        itemsize: u64,
        len: u64,
        data: Data,
    },
    MemoryView {
        format: String,
        dimensions: u64,
        data: Data,
        released: bool,
    },
    /// BytesIO
    Buffer(Data),
    /// StringIO
    TextBuffer(Text),
    Pattern {
        pattern: Option<Addr>,
        flags: u32,
        groups: u64,
    },
    Match {
        string: Option<Addr>,
        start: i64,
        end: i64,
    },
    Lock {
        locked: bool,
        /// How often an RLock is held.
        count: Option<u64>,
    },
    Future {
        state: FutureState,
        result: Option<Addr>,
        exception: Option<Addr>,
        task: Option<TaskValue>,
    },
    ContextVar(String),
    File {
        fd: Option<i32>,
        name: Option<Addr>,
    },
    Socket(i32),
    Opaque,
}

/// What a task has beyond a future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskValue {
    /// Its name; `Task-n` where nobody has given or asked for one.
    pub name: Option<String>,
    /// Its coroutine.
    pub coroutine: Option<Addr>,
    /// The future it waits for.
    pub waits_for: Option<Addr>,
}

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
                len: field("cache").and_then(|c| r.u64(c + s.dict.ma_used)).unwrap_or(0),
            },
            Kind::Instance => Value::Instance(self.attributes(addr, ty, limits.items)),
            Kind::Opaque => Value::Opaque,
            Kind::BytesIo | Kind::StringIo | Kind::Array | Kind::MemoryView | Kind::File | Kind::Socket => {
                self.stream_value(addr, ty, types, kind, limits)?
            }
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
        let (text, _) = self.text(addr, max)?;
        Some(Text { text, len: self.str_at(addr)?.len })
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
mod tests {
    use super::*;
    use crate::cpython::layout::{self, DecoderName, SizeRule};
    use crate::cpython::types::{Attributes, Slot};
    use crate::snapshot::Snapshot;
    use proptest::prelude::*;

    const BASE: u64 = 0x1000;
    const LEN: u64 = 0x800;

    /// Every type of a version's table, and some classes, over the same bytes.
    fn every_type(version: &str) -> Vec<Type> {
        let Some(layout) = layout::table(version) else { return Vec::new() };
        let make = |name: &str, fields, decoder, flags| Type {
            address: Addr(BASE),
            metatype: Addr(BASE),
            base: None,
            name: name.to_owned(),
            flags,
            basicsize: 40,
            itemsize: 8,
            head: 0,
            decoder,
            size_rule: SizeRule::Generic,
            estimated: false,
            fields,
            slots: vec![
                Slot { name: "_raw_paths".to_owned(), offset: 16 },
                Slot { name: "int".to_owned(), offset: 24 },
            ],
            unknown_words: Vec::new(),
            unknown_items: false,
            items: None,
            attributes: Attributes::Managed { inline_at: Some(32) },
            cached_keys: Addr(BASE + 64),
        };
        let known = layout.objects.iter().map(|(name, object)| make(name, Some(object), object.decoder, 0));
        let classes = ["uuid.UUID", "pathlib.PurePath", "fractions.Fraction", "enum.Enum", "Any", "_thread.lock"];
        known.chain(classes.map(|name| make(name, None, DecoderName::Fields, 1 << 9))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_bytes_have_a_value_and_a_line(
            // small numbers and addresses within the memory lead further than noise does
            words in prop::collection::vec(
                prop_oneof![0u64..70, BASE..BASE + LEN, any::<u64>(), (0u64..256).prop_map(|b| b << 8 | 0xe4)],
                (LEN / 8) as usize,
            ),
            version in prop::sample::select(layout::known_versions()),
            at in 4u64..64,
        ) {
            let bytes = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let snapshot = Snapshot::from_memory(vec![(Addr(BASE), bytes)], None);
            let Some(layout) = layout::table(version) else { return Ok(()) };
            let memory = Memory { reader: snapshot.reader(), layout };
            let types = TypeTable::default();
            for ty in every_type(version) {
                for limits in [Limits { chars: 0, items: 0 }, Limits { chars: 50, items: 5 }, Limits { chars: 5000, items: 500 }] {
                    memory.value(Addr(BASE + at * 8), &ty, &types, limits);
                }
            }
            for at in (0..LEN).step_by(8) {
                memory.line_at(Addr(BASE + at), 6);
                memory.generator_line(Addr(BASE + at));
                memory.awaited(Addr(BASE + at));
                memory.frame_object_line(Addr(BASE + at));
            }
        }
    }
}
