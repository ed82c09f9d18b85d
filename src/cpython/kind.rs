//! What kind of thing the objects of a type are, for showing them.
//!
//! A C type counts as what its name says only when the version's layout table knows it and its size fits; a class
//! counts as what its nearest known base is. How references are followed does not depend on this.

use super::layout::{DecoderName, Layout, packages};
use super::types::{Attributes, Type, TypeTable};
use super::value::is_known_class;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are Python's
pub enum Kind {
    None,
    Ellipsis,
    NotImplemented,
    Int,
    Bool,
    Float,
    Complex,
    Str,
    Bytes,
    ByteArray,
    Tuple,
    List,
    Set,
    FrozenSet,
    Deque,
    Dict,
    OrderedDict,
    DefaultDict,
    /// mappingproxy, and the views of dicts
    View,
    Type,
    Module,
    Function,
    Method,
    Builtin,
    /// Descriptors of C functions, fields and slots.
    Descriptor,
    Code,
    Cell,
    Generator,
    Coroutine,
    AsyncGenerator,
    Frame,
    Traceback,
    Exception,
    WeakRef,
    Slice,
    Range,
    Property,
    /// staticmethod and classmethod
    Wrapper,
    Partial,
    LruCache,
    DateTime,
    Date,
    Time,
    TimeDelta,
    Decimal,
    Fraction,
    Uuid,
    Path,
    EnumMember,
    Array,
    MemoryView,
    BytesIo,
    StringIo,
    Pattern,
    Match,
    Lock,
    RLock,
    Future,
    Task,
    ContextVar,
    Context,
    File,
    Socket,
    TimeZone,
    ZoneInfo,
    Count,
    Repeat,
    Mmap,
    /// What `ContextVar.set` returns.
    Token,
    ThreadLocal,
    SimpleQueue,
    Struct,
    /// Objects of ctypes.
    CData,
    NdArray,
    /// NumPy's dtypes.
    DType,
    NumpyScalar,
    /// A class of the standard library whose attributes mean something known.
    Class,
    /// A C object of which the layout table knows the references, and nothing else is known.
    Fields,
    /// An object with attributes.
    Instance,
    /// A C object of which nothing else is known.
    Opaque,
}

impl Kind {
    /// Whether [`Value`](super::Value) tells how many items or characters such an object has; some of them may not say.
    pub fn has_len(self) -> bool {
        matches!(
            self,
            Kind::Str
                | Kind::Bytes
                | Kind::ByteArray
                | Kind::Tuple
                | Kind::List
                | Kind::Set
                | Kind::FrozenSet
                | Kind::Deque
                | Kind::Dict
                | Kind::OrderedDict
                | Kind::DefaultDict
                | Kind::Context
                | Kind::Array
                | Kind::MemoryView
                | Kind::BytesIo
                | Kind::StringIo
                | Kind::File
                | Kind::SimpleQueue
        )
    }
}

impl TypeTable {
    /// What the objects of a type are.
    pub fn kind(&self, ty: &Type, layout: &Layout) -> Kind {
        by_decoder(ty.decoder)
            .or_else(|| self.bases(ty).find_map(|base| by_name(ty, base, layout)))
            .unwrap_or_else(|| instance_or_opaque(ty, layout))
    }

    /// The type and its bases along `tp_base`, nearest first.
    pub fn bases<'a>(&'a self, ty: &'a Type) -> impl Iterator<Item = &'a Type> {
        const MAX_BASES: usize = 1000;
        std::iter::successors(Some(ty), |t| t.base.map(|b| self.get(b))).take(MAX_BASES)
    }
}

fn by_decoder(decoder: DecoderName) -> Option<Kind> {
    Some(match decoder {
        DecoderName::Int => Kind::Int,
        DecoderName::Bool => Kind::Bool,
        DecoderName::Float => Kind::Float,
        DecoderName::Complex => Kind::Complex,
        DecoderName::Str => Kind::Str,
        DecoderName::Bytes => Kind::Bytes,
        DecoderName::Bytearray => Kind::ByteArray,
        DecoderName::Tuple | DecoderName::Structseq => Kind::Tuple,
        DecoderName::List => Kind::List,
        DecoderName::Dict => Kind::Dict,
        DecoderName::Odict => Kind::OrderedDict,
        DecoderName::Defaultdict => Kind::DefaultDict,
        DecoderName::Deque => Kind::Deque,
        DecoderName::Type => Kind::Type,
        DecoderName::Code => Kind::Code,
        DecoderName::Frame => Kind::Frame,
        DecoderName::Weakref => Kind::WeakRef,
        DecoderName::LruCache => Kind::LruCache,
        DecoderName::Simplequeue => Kind::SimpleQueue,
        DecoderName::Ndarray => Kind::NdArray,
        // sets and generators are told apart by name
        _ => return None,
    })
}

fn by_name(ty: &Type, base: &Type, layout: &Layout) -> Option<Kind> {
    let kind = match base.name.as_str() {
        "set" => Kind::Set,
        "frozenset" => Kind::FrozenSet,
        "NoneType" => Kind::None,
        "ellipsis" => Kind::Ellipsis,
        "NotImplementedType" => Kind::NotImplemented,
        "mappingproxy" | "dict_keys" | "dict_values" | "dict_items" | "odict_keys" | "odict_values" | "odict_items" => {
            Kind::View
        }
        "module" => Kind::Module,
        "function" => Kind::Function,
        "method" => Kind::Method,
        "builtin_function_or_method" | "builtin_method" => Kind::Builtin,
        "method_descriptor"
        | "classmethod_descriptor"
        | "wrapper_descriptor"
        | "getset_descriptor"
        | "member_descriptor" => Kind::Descriptor,
        "cell" => Kind::Cell,
        "generator" => Kind::Generator,
        "coroutine" => Kind::Coroutine,
        "async_generator" => Kind::AsyncGenerator,
        "traceback" => Kind::Traceback,
        "slice" => Kind::Slice,
        "range" => Kind::Range,
        "property" => Kind::Property,
        "staticmethod" | "classmethod" => Kind::Wrapper,
        "functools.partial" => Kind::Partial,
        "datetime.datetime" => Kind::DateTime,
        "datetime.date" => Kind::Date,
        "datetime.time" => Kind::Time,
        "datetime.timedelta" => Kind::TimeDelta,
        "decimal.Decimal" => Kind::Decimal,
        "array.array" => Kind::Array,
        "memoryview" => Kind::MemoryView,
        "_io.BytesIO" => Kind::BytesIo,
        "_io.StringIO" => Kind::StringIo,
        "re.Pattern" => Kind::Pattern,
        "re.Match" => Kind::Match,
        "_asyncio.Future" => Kind::Future,
        "_asyncio.Task" => Kind::Task,
        "_contextvars.ContextVar" | "ContextVar" => Kind::ContextVar,
        "_contextvars.Context" | "Context" => Kind::Context,
        "_io.FileIO" | "_io.BufferedReader" | "_io.BufferedWriter" | "_io.BufferedRandom" | "_io.TextIOWrapper" => {
            Kind::File
        }
        "_socket.socket" => Kind::Socket,
        "datetime.timezone" => Kind::TimeZone,
        "zoneinfo.ZoneInfo" => Kind::ZoneInfo,
        "itertools.count" => Kind::Count,
        "itertools.repeat" => Kind::Repeat,
        "_contextvars.Token" | "Token" => Kind::Token,
        "_thread._local" => Kind::ThreadLocal,
        "_queue.SimpleQueue" => Kind::SimpleQueue,
        "_struct.Struct" | "Struct" => Kind::Struct,
        "_ctypes._CData" | "_ctypes.CFuncPtr" | "_ctypes._CFuncPtr" => Kind::CData,
        "types.SimpleNamespace" => Kind::Instance,
        "numpy.dtype" => return Some(Kind::DType),
        name if packages::scalar(name).is_some() => Kind::NumpyScalar,
        // not in every table under the size it has there: its patch versions differ (mmap gained its last fields so)
        "mmap.mmap" if base.basicsize >= layout.structs.mmap.size && !base.is_metatype() => return Some(Kind::Mmap),
        "_thread.lock" if !base.is_metatype() => return Some(Kind::Lock),
        "_thread.RLock" if !base.is_metatype() => return Some(Kind::RLock),
        "BaseException" => {
            let known = layout.objects.get("BaseException").is_some_and(|o| o.size == base.basicsize as i64);
            return known.then_some(Kind::Exception);
        }
        name if base.is_heap_type() => {
            return Some(match name {
                "fractions.Fraction" => Kind::Fraction,
                "uuid.UUID" => Kind::Uuid,
                "pathlib.PurePath" | "pathlib._local.PurePath" => Kind::Path,
                "enum.Enum" => Kind::EnumMember,
                name if is_known_class(name) => Kind::Class,
                _ => return None,
            });
        }
        _ => return None,
    };
    let entry = layout.objects.get(&base.name).or_else(|| packages::object(&base.name, base.basicsize))?;
    let same = ty.fields.is_some_and(|fields| std::ptr::eq(fields, entry));
    same.then_some(kind)
}

fn instance_or_opaque(ty: &Type, layout: &Layout) -> Kind {
    let plain = match (ty.fields, layout.objects.get("object")) {
        (None, _) => true,
        (Some(fields), Some(object)) => std::ptr::eq(fields, object),
        _ => false,
    };
    let named = ty.attributes != Attributes::None || !ty.slots.is_empty();
    let explained = plain && ty.unknown_words.is_empty() && !ty.unknown_items;
    let fields = ty.fields.is_some_and(|f| !f.refs.is_empty()) && ty.decoder == DecoderName::Fields;
    // a C type of its own, not a class that derives from one
    let own = ty.fields.is_some_and(|f| layout.objects.get(&ty.name).is_some_and(|o| std::ptr::eq(o, f)));
    match ty.is_heap_type() {
        true if fields && own => Kind::Fields,
        true if named || explained => Kind::Instance,
        _ if fields => Kind::Fields,
        _ => Kind::Opaque,
    }
}
