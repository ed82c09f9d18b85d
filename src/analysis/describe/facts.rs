//! The facts of an object, in a line and one by one.

use super::literals::bytes_line;
use super::parts::{Line, short_name};
use super::{Describer, ITEM_WIDTH};
use crate::analysis::answers::Property;
use crate::cpython::types::{Type, TypeTable};
use crate::cpython::value::{Fact, FactValue, FutureState};
use crate::cpython::{Limits, Memory, Value};
use crate::snapshot::Addr;
use crate::text::{self, repr};

/// Characters of a text, bytes of data, in a property.
const MAX_PROPERTY: usize = 200;

impl Describer<'_, '_> {
    /// `<Class name=value, …>`; one level deep what objects there are is shown.
    pub(super) fn record_line(&self, facts: &[Fact], ty: &Type, width: usize, depth: usize) -> String {
        let class = short_name(&ty.name);
        if depth == 0 || facts.is_empty() {
            return format!("<{class}>");
        }
        let mut line = Line::new(width.saturating_sub(class.len() + 6));
        for fact in facts {
            let value = match &fact.value {
                FactValue::None => "None".to_owned(),
                FactValue::Bool(true) => "True".to_owned(),
                FactValue::Bool(false) => "False".to_owned(),
                FactValue::Int(n) => n.to_string(),
                FactValue::Float(n) => repr::float(*n),
                FactValue::Text(text) => repr::str(text, ""),
                FactValue::Numbers(numbers) => tuple(numbers),
                FactValue::Bytes(data) => bytes_line(data, ITEM_WIDTH, ("", "")),
                FactValue::Object(addr) => self.item(*addr, ITEM_WIDTH, 0),
                FactValue::Address(addr) => addr.to_string(),
            };
            if !line.push(&format!("{}={value}", fact.name)) {
                break;
            }
        }
        format!("<{class} {}>", line.finish(facts.len() as u64))
    }
}

/// `(3,)`, `(2, 3)`.
fn tuple(numbers: &[i64]) -> String {
    let all: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("({}{})", all.join(", "), if all.len() == 1 { "," } else { "" })
}

/// What is known of an object beside its fields, by name: sanitised texts, numbers, flags and addresses.
pub fn properties(memory: &Memory<'_>, types: &TypeTable, addr: Addr, ty: &Type) -> Vec<(String, Property)> {
    let value = memory.value(addr, ty, types, Limits { chars: MAX_PROPERTY, items: 20 });
    let int = |n: u64| Property::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let text = |t: &str| Property::Text(text::sanitize(t).into_owned());
    let object = |a: Option<Addr>| a.map_or(Property::None, Property::Address);
    let mut all: Vec<(&str, Property)> = Vec::new();
    match value {
        Value::Record(facts) => {
            all.extend(facts.iter().map(|fact| {
                let property = match &fact.value {
                    FactValue::None => Property::None,
                    FactValue::Bool(flag) => Property::Bool(*flag),
                    FactValue::Int(n) => Property::Int(*n),
                    FactValue::Float(n) => Property::Float(*n),
                    FactValue::Text(t) => text(t),
                    FactValue::Numbers(numbers) => Property::Numbers(numbers.clone()),
                    FactValue::Bytes(data) => text(&bytes_line(data, MAX_PROPERTY, ("", ""))),
                    FactValue::Object(addr) | FactValue::Address(addr) => Property::Address(*addr),
                };
                (fact.name, property)
            }));
        }
        Value::Lock { locked, count } => {
            all.push(("locked", Property::Bool(locked)));
            all.extend(count.map(|n| ("count", int(n))));
        }
        Value::LruCache { hits, misses, len, maxsize, .. } => {
            all.extend([("hits", int(hits)), ("misses", int(misses)), ("currsize", int(len))]);
            all.push(("maxsize", maxsize.map_or(Property::None, int)));
        }
        Value::File { fd, mode, .. } => {
            all.push(("fd", fd.map_or(Property::None, |fd| Property::Int(fd.into()))));
            all.push(("mode", mode.map_or(Property::None, |m| text(&m))));
        }
        Value::Array { typecode, itemsize, len, .. } => {
            let typecode = Property::Text(typecode.escape_default().to_string());
            all.extend([("typecode", typecode), ("itemsize", int(itemsize)), ("length", int(len))]);
        }
        Value::MemoryView { format, dimensions, data, released } => {
            all.push(("released", Property::Bool(released)));
            if !released {
                all.extend([("format", text(&format)), ("ndim", int(dimensions)), ("nbytes", int(data.len))]);
            }
        }
        Value::Pattern { flags, groups, .. } => all.extend([("flags", int(flags.into())), ("groups", int(groups))]),
        Value::Match { start, end, groups, .. } => {
            all.push(("span", Property::Numbers(vec![start, end])));
            let spans = groups.iter().flat_map(|(from, to)| [*from, *to]).collect();
            all.push(("groups", Property::Numbers(spans)));
        }
        Value::Future { state, task, .. } => {
            let state = match state {
                FutureState::Pending => "pending",
                FutureState::Cancelled => "cancelled",
                FutureState::Finished => "finished",
            };
            all.push(("state", text(state)));
            if let Some(task) = task {
                all.push(("name", task.name.map_or(Property::None, |n| text(&n))));
            }
        }
        Value::ContextVar { default, .. } => all.push(("default", object(default))),
        Value::WeakRef(target) => all.push(("alive", Property::Bool(target.is_some()))),
        Value::Buffer(data) => all.push(("length", int(data.len))),
        Value::TextBuffer(t) => all.push(("length", int(t.len))),
        _ => {}
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Property {
    /// As Python would write it, sanitised.
    pub fn text(&self) -> String {
        match self {
            Property::None => "None".to_owned(),
            Property::Bool(true) => "True".to_owned(),
            Property::Bool(false) => "False".to_owned(),
            Property::Int(n) => n.to_string(),
            Property::Float(n) => repr::float(*n),
            Property::Text(text) => text.clone(),
            Property::Numbers(numbers) => tuple(numbers),
            Property::Address(addr) => addr.to_string(),
        }
    }
}
