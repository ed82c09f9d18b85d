//! The shapes of values: plain owned data, told apart by what a reader can do with it.
//!
//! Nothing here reads memory, and nothing is laid out for a person.

use crate::cpython::GeneratorState;
use crate::cpython::value::{Attribute, Fact};
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
    /// The first characters; U+FFFD stands where a lone surrogate is.
    pub text: String,
    /// The lone surrogates among them: at which character, and which.
    pub surrogates: Vec<(usize, u16)>,
    /// Characters there are.
    pub len: u64,
}

impl Text {
    /// Text without lone surrogates.
    #[cfg(test)]
    pub(crate) fn plain(text: String, len: u64) -> Text {
        Text { text, surrogates: Vec::new(), len }
    }

    /// The text with lone surrogates as escapes, as `errors="backslashreplace"` writes them: `\ud800`.
    pub fn escaped(&self) -> String {
        if self.surrogates.is_empty() {
            return self.text.clone();
        }
        let mut lone = self.surrogates.iter().peekable();
        let mut out = String::with_capacity(self.text.len() + 6);
        for (i, c) in self.text.chars().enumerate() {
            match lone.next_if(|(at, _)| *at == i) {
                Some((_, unit)) => out.push_str(&format!("\\u{unit:04x}")),
                None => out.push(c),
            }
        }
        out
    }

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
        misses: u64,
        /// Entries it holds.
        len: u64,
        /// `None`: without a bound.
        maxsize: Option<u64>,
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
        /// Start and end of each group; (-1, -1) for one that took no part.
        groups: Vec<(i64, i64)>,
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
    ContextVar {
        name: String,
        default: Option<Addr>,
    },
    File {
        fd: Option<i32>,
        name: Option<Addr>,
        /// `rb`; of text, what it was opened with.
        mode: Option<String>,
    },
    /// What is asked of everything else first; `Kind` tells what it is of.
    Record(Vec<Fact>),
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
