//! One object in one line, as Python would write it where that is short.
//!
//! Everything that comes from the snapshot is sanitised, cut to a width, and read only as far as it is shown; what an
//! object holds is shown one level deep. The exact value for scripts is [`value_text`].

mod parts;

use crate::cpython::types::{Type, TypeTable};
use crate::cpython::value::{Attribute, Data, FutureState, Origin, Part, Text};
use crate::cpython::{EdgeName, GeneratorState, Kind, Limits, Memory, Value};
use crate::snapshot::Addr;
use crate::text::{self, repr};
use parts::{Line, bracketed, file_line, short_name};

/// Columns of a line when nobody says otherwise.
pub const DEFAULT_WIDTH: usize = 80;

/// Items of a container that are tried before the width ends the line anyway.
const MAX_ITEMS: usize = 24;

/// Columns of an item within another object's line.
const ITEM_WIDTH: usize = 28;

/// The object at `addr`, whose type is `ty`, in at most `max_chars` columns.
pub fn describe(memory: &Memory<'_>, types: &TypeTable, addr: Addr, ty: &Type, max_chars: usize) -> String {
    let line = Describer { memory, types }.line(addr, ty, max_chars, 1);
    text::keep_start(&text::sanitize(&line), max_chars).into_owned()
}

/// The same for an object of which only the address is known.
pub fn describe_at(memory: &Memory<'_>, types: &TypeTable, addr: Addr, max_chars: usize) -> String {
    match memory.type_of(addr).and_then(|t| types.id_of(t)) {
        Some(ty) => describe(memory, types, addr, types.get(ty), max_chars),
        None => format!("<{addr}>"),
    }
}

/// The value for scripts, not sanitised: the text of a str itself, numbers, bytes and constants as Python writes them,
/// all cut at `max_chars`; every other object in a line.
pub fn value_text(memory: &Memory<'_>, types: &TypeTable, addr: Addr, ty: &Type, max_chars: usize) -> String {
    let limits = Limits { chars: max_chars, items: 0 };
    match memory.value(addr, ty, types, limits) {
        Value::Str(text) => text.text,
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
}

impl Describer<'_, '_> {
    fn type_of(&self, addr: Addr) -> Option<&Type> {
        self.memory.type_of(addr).and_then(|t| self.types.id_of(t)).map(|t| self.types.get(t))
    }

    /// An object within the line of another one.
    fn item(&self, addr: Addr, width: usize, depth: usize) -> String {
        match self.type_of(addr) {
            Some(ty) => self.line(addr, ty, width, depth),
            None => format!("<{addr}>"),
        }
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
                Some(inner) if depth > 0 => format!("{class}({})", self.line(mapping, inner, width, depth)),
                _ => format!("<{class}>"),
            },
            Value::Instance(part) => self.instance_line(&part, ty, width, depth),
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

    /// What Python shows between angle brackets.
    fn named_line(&self, value: Value, ty: &Type, width: usize, depth: usize) -> String {
        let class = short_name(&ty.name);
        let below = |addr: Addr| self.item(addr, ITEM_WIDTH.max(width / 2), 0);
        match value {
            Value::Function { origin, module, .. } => {
                let module = module.filter(|m| m != "__main__").map(|m| m + ".").unwrap_or_default();
                format!("<function {module}{} {}>", origin.name, file_line(&origin.file, origin.line))
            }
            Value::Method { function, receiver } => match self.callable_name(function) {
                Some(name) => format!("<method {name} of {}>", self.brief(receiver)),
                None => format!("<method of {}>", self.brief(receiver)),
            },
            Value::Builtin { name, receiver } => match receiver {
                Some(receiver) if !self.is_module(receiver) => format!("<builtin {name} of {}>", self.brief(receiver)),
                _ => format!("<builtin {name}>"),
            },
            Value::Descriptor { name, owner } => {
                let owner = owner.and_then(|o| self.types.id_of(o)).map(|t| short_name(&self.types.get(t).name));
                format!("<{} {}{name}>", class.replace('_', " "), owner.map(|o| format!("{o}.")).unwrap_or_default())
            }
            Value::Code(origin) => format!("<code {} {}>", origin.name, file_line(&origin.file, origin.line)),
            Value::Module { name, file } => {
                let name = name.unwrap_or_else(|| "?".to_owned());
                match file {
                    Some(file) => format!("<module {name} '{file}'>"),
                    None => format!("<module {name}>"),
                }
            }
            Value::Type(name) => format!("<class {name}>"),
            Value::Generator { qualname, state, line, file, .. } => {
                let at = match state {
                    GeneratorState::Finished => String::new(),
                    _ => format!(" {}", file_line(&file, line)),
                };
                format!("<{class} {qualname}() {}{at}>", state.name())
            }
            Value::Frame { origin: Origin { name, file, line }, .. } => {
                format!("<frame {name}() {}>", file_line(&file, line))
            }
            Value::Traceback { line, frame, .. } => {
                let at = match self.type_of(frame).map(|t| self.frame_origin(frame, t)) {
                    Some(Some(origin)) => format!("{}() {}", origin.name, file_line(&origin.file, line)),
                    _ => format!("line {}", line.unwrap_or(0)),
                };
                format!("<traceback {at}>")
            }
            Value::WeakRef(None) => format!("<{class} dead>"),
            Value::WeakRef(Some(target)) => {
                let name = self.type_of(target).map_or("?", |t| short_name(&t.name));
                format!("<{class} to {name} {target}>")
            }
            Value::Slice(ends) => format!("slice({})", ends.map(|a| self.item(a, ITEM_WIDTH, 0)).join(", ")),
            Value::Range([start, stop, step]) => match step.as_str() {
                "1" => format!("range({start}, {stop})"),
                _ => format!("range({start}, {stop}, {step})"),
            },
            Value::Property(getter) => {
                let name = getter.and_then(|g| self.callable_name(g));
                name.map_or_else(|| format!("<{class}>"), |name| format!("<{class} {name}>"))
            }
            Value::Wrapper(function) | Value::Partial { function, .. } => match self.callable_name(function) {
                Some(name) => format!("<{class} of {name}>"),
                None => format!("<{class} of {}>", self.brief(function)),
            },
            Value::LruCache { function, len, .. } => {
                let name = function.and_then(|f| self.callable_name(f)).unwrap_or_else(|| "?".to_owned());
                format!("<cached {name}, {} entries>", text::count(len))
            }
            Value::Cell(None) => "<cell empty>".to_owned(),
            Value::Cell(Some(held)) if depth > 0 => format!("<cell {}>", below(held)),
            Value::Plain(text) => format!("<{class} {text}>"),
            Value::TimeDelta { days, seconds, microseconds } => {
                format!("<{class} {}>", parts::duration(days, seconds, microseconds))
            }
            Value::EnumMember { name, value } => {
                let value = value.map(|v| format!(": {}", self.item(v, ITEM_WIDTH, 0))).unwrap_or_default();
                format!("<{class}.{}{value}>", name.unwrap_or_else(|| "?".to_owned()))
            }
            Value::Array { typecode, len, .. } => format!("<{class} '{typecode}', {} items>", text::count(len)),
            Value::MemoryView { released: true, .. } => "<memoryview released>".to_owned(),
            Value::MemoryView { data, .. } => format!("<memoryview {}>", text::size(data.len)),
            Value::Buffer(data) => format!("<{class} {}>", bytes_line(&data, width.saturating_sub(12), ("", ""))),
            Value::TextBuffer(text) => format!("<{class} {}>", str_line(&text, width.saturating_sub(12))),
            Value::Pattern { pattern: Some(pattern), .. } => {
                format!("re.compile({})", self.item(pattern, width.saturating_sub(14), 0))
            }
            Value::Match { start, end, .. } => format!("<{class} span=({start}, {end})>"),
            Value::Lock { locked, count } => {
                let name = if count.is_some() { "RLock" } else { "Lock" };
                let times = count.filter(|n| *n > 1).map(|n| format!(" {n} times")).unwrap_or_default();
                format!("<{name} {}{times}>", if locked { "locked" } else { "unlocked" })
            }
            Value::Future { state, result, exception, task } => {
                let state = match state {
                    FutureState::Pending => "pending",
                    FutureState::Cancelled => "cancelled",
                    FutureState::Finished => "finished",
                };
                let mut line = format!("<{class}");
                if let Some(name) = task.as_ref().and_then(|t| t.name.as_ref()) {
                    line.push_str(&format!(" {}", repr::str(name, "")));
                }
                line.push_str(&format!(" {state}"));
                if let Some(coroutine) = task.and_then(|t| t.coroutine).and_then(|c| self.callable_name(c)) {
                    line.push_str(&format!(" {coroutine}()"));
                }
                match (exception, result) {
                    (Some(exception), _) => line.push_str(&format!(" exception={}", below(exception))),
                    (None, Some(result)) => line.push_str(&format!(" result={}", below(result))),
                    (None, None) => {}
                }
                line + ">"
            }
            Value::ContextVar(name) => format!("<{class} {name}>"),
            Value::File { fd, name } => {
                let name = name.map(|n| format!(" {}", self.item(n, width / 2, 0))).unwrap_or_default();
                let fd = match fd {
                    Some(fd) if fd < 0 => " closed".to_owned(),
                    Some(fd) => format!(" fd={fd}"),
                    None => String::new(),
                };
                format!("<{class}{name}{fd}>")
            }
            Value::Socket(fd) if fd < 0 => format!("<{class} closed>"),
            Value::Socket(fd) => format!("<{class} fd={fd}>"),
            _ => format!("<{class}>"),
        }
    }

    /// The shortest way to say which object it is.
    fn brief(&self, addr: Addr) -> String {
        match self.type_of(addr) {
            Some(ty) if ty.is_metatype() => {
                let name = self.types.id_of(addr).map(|t| short_name(&self.types.get(t).name));
                format!("<class {}>", name.unwrap_or("?"))
            }
            Some(ty) => format!("<{} {addr}>", short_name(&ty.name)),
            None => format!("<{addr}>"),
        }
    }

    fn is_module(&self, addr: Addr) -> bool {
        self.type_of(addr).is_some_and(|t| self.types.kind(t, self.memory.layout) == Kind::Module)
    }

    fn frame_origin(&self, frame: Addr, ty: &Type) -> Option<Origin> {
        match self.memory.value(frame, ty, self.types, Limits { chars: 0, items: 0 }) {
            Value::Frame { origin, .. } => Some(origin),
            _ => None,
        }
    }

    /// The qualified name of a function, coroutine or class.
    fn callable_name(&self, addr: Addr) -> Option<String> {
        let ty = self.type_of(addr)?;
        Some(match self.memory.value(addr, ty, self.types, Limits { chars: 0, items: 0 }) {
            Value::Function { origin, .. } => origin.name,
            Value::Generator { qualname, .. } => qualname,
            Value::Builtin { name, .. } | Value::Descriptor { name, .. } => name,
            Value::Type(name) => short_name(&name).to_owned(),
            Value::Method { function, .. } | Value::Wrapper(function) => {
                let ty = self.type_of(function)?;
                match self.memory.value(function, ty, self.types, Limits { chars: 0, items: 0 }) {
                    Value::Function { origin, .. } => origin.name,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// `'text'`, or `'the beginning…' (8,200 chars)`.
fn str_line(text: &Text, width: usize) -> String {
    let whole = repr::str(&text.text, "");
    if text.is_whole() && parts::width(&whole) <= width {
        return whole;
    }
    let note = format!(" ({} chars)", text::count(text.len));
    let room = width.saturating_sub(note.len() + 3);
    let kept = parts::longest(&text.text, |piece| parts::width(&repr::str(piece, "")) <= room + 2);
    repr::str(kept, "…") + &note
}

/// `b'data'`, or `b'the beginning…' (8.20 kB)`.
fn bytes_line(data: &Data, width: usize, around: (&str, &str)) -> String {
    let (before, after) = around;
    let extra = before.len() + after.len();
    let whole = repr::bytes(&data.bytes, "");
    if data.bytes.len() as u64 == data.len && whole.len() + extra <= width {
        return format!("{before}{whole}{after}");
    }
    let note = format!(" ({})", text::size(data.len));
    let room = width.saturating_sub(note.len() + extra + 1);
    // a byte takes a column at least, and the width grows with each
    let longest: Vec<usize> = (0..=data.bytes.len().min(room)).collect();
    let kept = longest.partition_point(|n| repr::bytes(&data.bytes[..*n], "").len() <= room).saturating_sub(1);
    format!("{before}{}{after}{note}", repr::bytes(&data.bytes[..kept], "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, len: u64) -> Text {
        Text { text: text.to_owned(), len }
    }

    #[test]
    fn long_text_is_cut_and_says_how_long_it_is() {
        assert_eq!(str_line(&text("short", 5), 20), "'short'");
        assert_eq!(str_line(&text("0123456789012345678901234", 8200), 26), "'012345678…' (8,200 chars)");
        // escapes take their columns
        assert_eq!(str_line(&text(&"\n".repeat(30), 30), 26), "'\\n\\n\\n\\n\\n\\n…' (30 chars)");
        let data = Data { bytes: vec![0; 40], len: 8200 };
        assert_eq!(bytes_line(&data, 24, ("", "")), "b'\\x00\\x00…' (8.20 kB)");
    }
}
