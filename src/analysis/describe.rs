//! One object in one line, as Python would write it where that is short.
//!
//! Everything that comes from the snapshot is sanitised, cut to a width, and read only as far as it is shown; what an
//! object holds is shown one level deep. The exact value for scripts is [`value_text`].

mod facts;
mod literals;
mod named;
mod parts;

pub use facts::properties;

use crate::cpython::types::{Type, TypeTable};
use crate::cpython::value::{Attribute, Part};
use crate::cpython::{EdgeName, Kind, Limits, Memory, Value};
use crate::snapshot::Addr;
use crate::text::{self, repr};
use literals::{bytes_line, str_line};
use parts::{Line, bracketed, short_name};
use std::cell::Cell;

/// Columns of a line when nobody says otherwise.
pub const DEFAULT_WIDTH: usize = 80;

/// Items of a container that are tried before the width ends the line anyway.
const MAX_ITEMS: usize = 24;

/// Lines within lines; what is deeper is shown by its address.
const MAX_NESTED: u32 = 6;

/// Columns of an item within another object's line.
const ITEM_WIDTH: usize = 28;

/// The object at `addr`, whose type is `ty`, in at most `max_chars` columns.
pub fn describe(memory: &Memory<'_>, types: &TypeTable, addr: Addr, ty: &Type, max_chars: usize) -> String {
    let line = Describer { memory, types, nested: Cell::new(0) }.line(addr, ty, max_chars, 1);
    text::keep_start(&text::sanitize(&line), max_chars).into_owned()
}

/// The same for an object of which only the address is known.
pub fn describe_at(memory: &Memory<'_>, types: &TypeTable, addr: Addr, max_chars: usize) -> String {
    match memory.type_of(addr).and_then(|t| types.id_of(t)) {
        Some(ty) => describe(memory, types, addr, types.get(ty), max_chars),
        None => format!("<{addr}>"),
    }
}

/// The value for scripts, not sanitised: the text of a str itself (a lone surrogate as `\ud800`), numbers, bytes and constants as Python writes them,
/// all cut at `max_chars`; every other object in a line.
pub fn value_text(memory: &Memory<'_>, types: &TypeTable, addr: Addr, ty: &Type, max_chars: usize) -> String {
    let limits = Limits { chars: max_chars, items: 0 };
    match memory.value(addr, ty, types, limits) {
        Value::Str(text) => text.escaped(),
        Value::Bytes(data) => {
            let quoted = repr::bytes(&data.bytes, "");
            match types.kind(ty, memory.layout) {
                Kind::ByteArray => format!("bytearray({quoted})"),
                _ => quoted,
            }
        }
        value => literal(&value).unwrap_or_else(|| describe(memory, types, addr, ty, max_chars)),
    }
}

/// A reference's name as Python writes the way to it: `['key']`, `[3]`, `.attr`, `local x`, `stack[2]`, `+0x18`.
pub fn edge_name(memory: &Memory<'_>, types: &TypeTable, name: EdgeName<'_>) -> String {
    const MAX_NAME: usize = 60;
    let named = |addr: Addr| {
        let text = memory.text(addr, MAX_NAME).map_or_else(|| addr.to_string(), |(text, _)| text);
        text::keep_start(&text::sanitize(&text), MAX_NAME).into_owned()
    };
    match name {
        EdgeName::Index(i) => format!("[{i}]"),
        EdgeName::Value(key) => format!("[{}]", describe_at(memory, types, key, MAX_NAME)),
        EdgeName::Key => "key".to_owned(),
        EdgeName::Element => "element".to_owned(),
        EdgeName::Attribute(key) => format!(".{}", named(key)),
        EdgeName::Field(field) => format!(".{field}"),
        EdgeName::FieldItem(field, i) => format!(".{field}[{i}]"),
        EdgeName::Local(key) => format!("local {}", named(key)),
        EdgeName::Stack(i) => format!("stack[{i}]"),
        EdgeName::Dict => ".__dict__".to_owned(),
        EdgeName::Class => ".__class__".to_owned(),
        EdgeName::InInterpreter(field, id) => format!(".{field} in interpreter {id}"),
        EdgeName::Word(offset) => format!("+{offset:#x}"),
    }
}

/// What is its own description, whole: numbers and constants.
fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::None => "None".to_owned(),
        Value::Ellipsis => "Ellipsis".to_owned(),
        Value::NotImplemented => "NotImplemented".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(digits) => digits.clone(),
        Value::Float(number) => repr::float(*number),
        Value::Complex(real, imag) => repr::complex(*real, *imag),
        _ => return None,
    })
}

struct Describer<'a, 's> {
    memory: &'a Memory<'s>,
    types: &'a TypeTable,
    /// How many lines this one is within.
    nested: Cell<u32>,
}

impl Describer<'_, '_> {
    fn type_of(&self, addr: Addr) -> Option<&Type> {
        self.memory.type_of(addr).and_then(|t| self.types.id_of(t)).map(|t| self.types.get(t))
    }

    /// An object within the line of another one.
    fn item(&self, addr: Addr, width: usize, depth: usize) -> String {
        let Some(ty) = self.type_of(addr) else { return format!("<{addr}>") };
        // damaged memory has futures that are their own result, and slices that begin with themselves
        if self.nested.get() >= MAX_NESTED {
            return format!("<{} {addr}>", short_name(&ty.name));
        }
        self.nested.set(self.nested.get() + 1);
        let line = self.line(addr, ty, width, depth);
        self.nested.set(self.nested.get() - 1);
        line
    }

    /// The line; `depth` levels of what it holds are shown. May be a little wider than `width`.
    fn line(&self, addr: Addr, ty: &Type, width: usize, depth: usize) -> String {
        let kind = self.types.kind(ty, self.memory.layout);
        let items = if depth == 0 { 0 } else { MAX_ITEMS.min(width / 3) };
        let value = self.memory.value(addr, ty, self.types, Limits { chars: width.max(20), items });
        let class = short_name(&ty.name);
        if let Some(whole) = literal(&value) {
            return self.in_class(whole, addr, ty, kind);
        }
        match value {
            Value::BigInt { negative, digits } => {
                format!("int, {} digits{}", text::count(digits), if negative { ", negative" } else { "" })
            }
            Value::Str(text) => self.in_class(str_line(&text, width), addr, ty, kind),
            Value::Bytes(data) => {
                let line =
                    bytes_line(&data, width, if kind == Kind::ByteArray { ("bytearray(", ")") } else { ("", "") });
                self.in_class(line, addr, ty, kind)
            }
            Value::Sequence(part) => self.sequence_line(&part, addr, ty, kind, width, depth),
            Value::Mapping(part) => self.mapping_line(&part, ty, kind, width, depth),
            Value::View(mapping) => match self.type_of(mapping) {
                Some(_) if depth > 0 => format!("{class}({})", self.item(mapping, width, depth)),
                _ => format!("<{class}>"),
            },
            Value::Instance(part) => self.instance_line(&part, ty, width, depth),
            Value::Record(facts) => self.record_line(&facts, ty, width, depth),
            Value::Exception(part) => {
                let args = self.items(&part, width.saturating_sub(class.len() + 5), depth);
                format!("{class}({args})")
            }
            other => self.named_line(other, ty, width, depth),
        }
    }

    /// Values of a subclass carry the class's name, members of an enum theirs.
    fn in_class(&self, line: String, addr: Addr, ty: &Type, kind: Kind) -> String {
        let plain = !ty.is_heap_type() || kind == Kind::Bool;
        if plain {
            return line;
        }
        let class = short_name(&ty.name);
        if self.types.bases(ty).any(|t| t.name == "enum.Enum") {
            let attributes = self.memory.attributes(addr, ty, MAX_ITEMS).items;
            let name = attributes.iter().find(|a| a.name == "_name_").and_then(|a| self.memory.text(a.value, 60));
            if let Some((name, _)) = name {
                return format!("<{class}.{name}: {line}>");
            }
        }
        format!("{class}({line})")
    }

    fn items(&self, part: &Part<Addr>, width: usize, depth: usize) -> String {
        let mut line = Line::new(width);
        for item in &part.items {
            if !line.push(&self.item(*item, ITEM_WIDTH, depth.saturating_sub(1))) {
                break;
            }
        }
        line.finish(part.len)
    }

    fn sequence_line(
        &self,
        part: &Part<Addr>,
        addr: Addr,
        ty: &Type,
        kind: Kind,
        width: usize,
        depth: usize,
    ) -> String {
        let class = short_name(&ty.name);
        let fields = if kind == Kind::Tuple { parts::field_names(self.memory, ty) } else { Vec::new() };
        if !fields.is_empty() && depth > 0 {
            let named = fields.into_iter().zip(&part.items).map(|(name, value)| Attribute { name, value: *value });
            return format!("{class}({})", self.pairs(&named.collect::<Vec<_>>(), part.len, width, depth));
        }
        let own_class = ty.is_heap_type() && !matches!(ty.name.as_str(), "collections.deque");
        if depth == 0 {
            return match (kind, part.len) {
                (Kind::List, 0) if !own_class => "[]".to_owned(),
                (Kind::Tuple, 0) if !own_class => "()".to_owned(),
                (Kind::Tuple, _) if !own_class => "(…)".to_owned(),
                _ => bracketed(kind, class, own_class, "…", part.len),
            };
        }
        // brackets, the class's name, and how many there are need their place as well
        let around = format!("{class}(frozenset({{}})) {} items", text::count(part.len)).len();
        let shown = self.items(part, width.saturating_sub(around), depth);
        let line = self.in_class_if(own_class, bracketed(kind, class, own_class, &shown, part.len), addr, ty, kind);
        if shown.ends_with('…') { format!("{line} {} items", text::count(part.len)) } else { line }
    }

    fn in_class_if(&self, own: bool, line: String, addr: Addr, ty: &Type, kind: Kind) -> String {
        if own { self.in_class(line, addr, ty, kind) } else { line }
    }

    fn mapping_line(&self, part: &Part<(Addr, Addr)>, ty: &Type, kind: Kind, width: usize, depth: usize) -> String {
        let class = short_name(&ty.name);
        let plain = kind == Kind::Dict && !ty.is_heap_type();
        if depth == 0 {
            return if plain {
                if part.len == 0 { "{}".to_owned() } else { "{…}".to_owned() }
            } else {
                format!("{class}({})", if part.len == 0 { "" } else { "{…}" })
            };
        }
        let mut line = Line::new(width.saturating_sub(12 + if plain { 0 } else { class.len() + 2 }));
        for (key, value) in &part.items {
            let key = self.item(*key, ITEM_WIDTH, 0);
            let value = self.item(*value, ITEM_WIDTH, 0);
            if !line.push(&format!("{key}: {value}")) {
                break;
            }
        }
        let shown = line.finish(part.len);
        if part.len == 0 && !plain {
            return format!("{class}()");
        }
        if shown.ends_with('…') {
            return format!("{class}, {} entries", text::count(part.len));
        }
        if plain { format!("{{{shown}}}") } else { format!("{class}({{{shown}}})") }
    }

    fn pairs(&self, attributes: &[Attribute], len: u64, width: usize, depth: usize) -> String {
        let mut line = Line::new(width.saturating_sub(6));
        for attribute in attributes {
            let value = self.item(attribute.value, ITEM_WIDTH, depth.saturating_sub(1));
            if !line.push(&format!("{}={value}", attribute.name)) {
                break;
            }
        }
        line.finish(len)
    }

    fn instance_line(&self, part: &Part<Attribute>, ty: &Type, width: usize, depth: usize) -> String {
        let class = short_name(&ty.name);
        match part.len {
            _ if depth == 0 => format!("<{class}>"),
            0 => format!("<{class}>"),
            n => {
                let head = format!("<{class}, {n} attribute{}", if n == 1 { "" } else { "s" });
                let room = width.saturating_sub(head.len());
                if room < 16 {
                    return format!("{head}>");
                }
                format!("{head}: {}>", self.pairs(&part.items, n, room, depth))
            }
        }
    }
}
