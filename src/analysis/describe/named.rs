//! Lines of what Python shows between angle brackets: functions, generators, futures, files, and what they are called.

use super::literals::{bytes_line, str_line};
use super::parts::{self, file_line, short_name};
use super::{Describer, ITEM_WIDTH};
use crate::cpython::types::Type;
use crate::cpython::value::{FutureState, Origin};
use crate::cpython::{GeneratorState, Kind, Limits, Value};
use crate::snapshot::Addr;
use crate::text::{self, repr};

impl Describer<'_, '_> {
    /// What Python shows between angle brackets.
    pub(super) fn named_line(&self, value: Value, ty: &Type, width: usize, depth: usize) -> String {
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
            Value::ContextVar { name, .. } => format!("<{class} {name}>"),
            Value::File { fd, name, mode } => {
                let name = name.map(|n| format!(" {}", self.item(n, width / 2, 0))).unwrap_or_default();
                let fd = match fd {
                    Some(fd) if fd < 0 => " closed".to_owned(),
                    Some(fd) => format!(" fd={fd}"),
                    None => String::new(),
                };
                let mode = mode.map(|m| format!(" {m}")).unwrap_or_default();
                format!("<{class}{name}{mode}{fd}>")
            }
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
    pub(super) fn callable_name(&self, addr: Addr) -> Option<String> {
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
