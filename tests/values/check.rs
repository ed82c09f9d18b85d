//! One object compared with the line that its own interpreter wrote of it (`tests/targets/expect.py`).

use crate::support::Expected;
use pymem_tui::analysis::describe::{describe, edge_name, properties, value_text};
use pymem_tui::cpython::types::{Type, TypeTable};
use pymem_tui::cpython::value::{Data, Fact, FactValue, FutureState, Part};
use pymem_tui::cpython::{Count, EdgeKind, EdgeName, GeneratorState, Limits, Memory, Value};
use pymem_tui::heap::Heap;
use pymem_tui::snapshot::{Addr, Snapshot};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashSet};

/// Kinds of which only type and attributes are compared: what Python itself could not be asked about.
pub const OPAQUE: [&str; 1] = ["unknown"];

const LIMITS: Limits = Limits { chars: 1 << 20, items: 1 << 20 };

pub struct Check<'a> {
    pub memory: &'a Memory<'a>,
    pub types: &'a TypeTable,
}

impl Check<'_> {
    pub fn line(&self, expected: &Expected) -> Vec<String> {
        let addr = Addr(expected.id);
        let Some(ty) = self.memory.type_of(addr).and_then(|t| self.types.id_of(t)).map(|t| self.types.get(t)) else {
            return vec!["its type is not known".to_owned()];
        };
        let mut problems = Vec::new();
        let mut compare = |what: &str, found: Json, wanted: Json| {
            if found != wanted {
                let cut = |j: Json| j.to_string().chars().take(600).collect::<String>();
                problems.push(format!("{what} is {} and should be {}", cut(found), cut(wanted)));
            }
        };
        compare("the type", json!(ty.address.0), json!(expected.type_id));
        let shown = |part: Part<_>| -> Json {
            let pair = |a: pymem_tui::cpython::value::Attribute| json!([a.name, a.value.0]);
            part.items.into_iter().map(pair).collect()
        };
        if let Some(attrs) = &expected.attrs {
            compare("__dict__", shown(self.memory.dict_attributes(addr, ty, LIMITS.items)), json!(attrs));
        }
        if let Some(slots) = &expected.slots {
            let sorted = |mut pairs: Vec<Json>| {
                pairs.sort_by_key(Json::to_string);
                Json::Array(pairs)
            };
            let found = shown(self.memory.slot_attributes(addr, ty, LIMITS.items));
            let found = sorted(found.as_array().cloned().unwrap_or_default());
            compare("slots", found, sorted(slots.iter().map(|(n, v)| json!([n, v])).collect()));
        }
        let value = self.memory.value(addr, ty, self.types, LIMITS);
        if let Some(owned) = expected.value.get("owned").and_then(Json::as_str) {
            let native = self.memory.native_bytes(addr, ty, self.types);
            compare("what it owns outside its size", json!(native.map(|n| n.to_string())), json!(owned));
        }
        if !OPAQUE.contains(&expected.kind.as_str()) {
            let (found, wanted) = self.both(&value, addr, ty, expected);
            compare("the value", found, wanted);
        }
        for width in [0, 1, 20, 80, 200] {
            let line = describe(self.memory, self.types, addr, ty, width);
            if unicode_width::UnicodeWidthStr::width(line.as_str()) > width || line.chars().any(char::is_control) {
                problems.push(format!("does not fit {width} columns: {line:?}"));
            }
        }
        self.memory.visit_edges(addr, ty, self.types, &mut |name: EdgeName<'_>, _: EdgeKind, _: Addr| {
            let shown = edge_name(self.memory, self.types, name);
            if shown.is_empty() || shown.chars().count() > 70 || shown.chars().any(char::is_control) {
                problems.push(format!("has an edge called {shown:?}"));
            }
            if let EdgeName::Value(key) = name
                && let Value::Str(text) = self.value_at(key)
                && text.text.bytes().all(|b| b.is_ascii_alphanumeric())
                && text.len < 50
                && self.memory.type_of(key) == self.types.iter().find(|(_, t)| t.name == "str").map(|(_, t)| t.address)
                && shown != format!("['{}']", text.text)
            {
                problems.push(format!("has an edge called {shown} for the key {:?}", text.text));
            }
        });
        problems
    }

    /// Found and expected in the same form.
    fn both(&self, value: &Value, addr: Addr, ty: &Type, expected: &Expected) -> (Json, Json) {
        let wanted = expected.value.clone();
        let hex = |data: &Data| -> Json { data.bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into() };
        let id = |a: &Addr| json!(a.0);
        let maybe = |a: &Option<Addr>| a.map_or(Json::Null, |a| json!(a.0));
        let only = |names: &[&str]| -> Json { names.iter().map(|n| ((*n).to_owned(), wanted[*n].clone())).collect() };
        let found = match value {
            Value::None | Value::Ellipsis | Value::NotImplemented | Value::Bool(_) => {
                let text = value_text(self.memory, self.types, addr, ty, 100);
                return match &wanted {
                    Json::Bool(b) => (json!(text), json!(if *b { "True" } else { "False" })),
                    _ => (json!(text), wanted),
                };
            }
            Value::Int(text) if wanted.as_str().is_some_and(|w| w.contains("0x")) => json!(to_hex(text)),
            Value::Int(_) | Value::Float(_) | Value::Complex(..) => {
                json!(value_text(self.memory, self.types, addr, ty, LIMITS.chars))
            }
            Value::Str(text) if expected.kind == "surrogates" => {
                let repr = pymem_tui::text::repr::str_with(&text.text, &text.surrogates, "");
                let value = value_text(self.memory, self.types, addr, ty, 1000);
                assert_eq!(value, text.escaped(), "{addr}");
                json!({"escaped": value, "repr": repr})
            }
            Value::Str(text) => json!(text.text),
            Value::Bytes(data) => hex(data),
            Value::Sequence(part) => part.items.iter().map(id).collect(),
            Value::Mapping(part) => {
                assert!(expected.kind == "context" || part.len == part.items.len() as u64, "length of {addr}");
                part.items.iter().map(|(k, v)| json!([k.0, v.0])).collect()
            }
            Value::View(mapping) => self.view(*mapping),
            Value::Type(name) => return (json!(name), wanted["name"].clone()),
            Value::Module { name, file } => json!({"name": name, "file": file}),
            Value::Function { origin, module, code } => {
                let found = json!({"qualname": origin.name, "module": module, "code_id": code.0});
                return (found, only(&["qualname", "module", "code_id"]));
            }
            Value::Method { function, receiver } => json!({"func_id": function.0, "self_id": receiver.0}),
            Value::Builtin { name, receiver } => {
                return match receiver {
                    Some(receiver) => {
                        // a plain receiver (int, str, bool) is written as its value
                        let id = if wanted.get("self_id").is_some() { json!(receiver.0) } else { Json::Null };
                        let wanted_id = wanted.get("self_id").cloned().unwrap_or(Json::Null);
                        (json!([name, id]), json!([wanted["name"], wanted_id]))
                    }
                    None => (json!([name, null]), json!([wanted["name"], wanted.get("self").unwrap_or(&json!("?"))])),
                };
            }
            Value::Code(origin) => {
                let name = origin.name.rsplit('.').next().unwrap_or_default();
                let found = json!({"co_name": name, "co_filename": origin.file, "co_firstlineno": origin.line});
                return (found, only(&["co_name", "co_filename", "co_firstlineno"]));
            }
            Value::Cell(held) => json!({"contents_id": maybe(held)}),
            Value::Generator { name, qualname, code, state, line, awaits, .. } => {
                let slots = self.memory.generator_slots(addr);
                let mut found = json!({"name": name, "qualname": qualname, "code_id": code.0, "line": line});
                let state = match state {
                    GeneratorState::Created => "CREATED",
                    GeneratorState::Suspended => "SUSPENDED",
                    GeneratorState::Running => "RUNNING",
                    GeneratorState::Finished => "CLOSED",
                };
                let says = wanted["state"].as_str().map(|s| s.split_once('_').map_or(s, |(_, s)| s).to_owned());
                found["state"] = says.as_ref().map_or(Json::Null, |_| json!(state));
                found["locals_ids"] = slots.map_or(json!([]), |s| self.locals(&s));
                found["awaits_id"] = maybe(awaits);
                let mut wanted = wanted;
                wanted["state"] = json!(says);
                wanted["locals_ids"] = sorted(&wanted["locals_ids"]);
                return (found, wanted);
            }
            Value::Frame { origin, .. } => {
                let slots = self.memory.frame_object_slots(addr);
                let name = origin.name.rsplit('.').next().unwrap_or_default();
                let mut found = json!({"function": name, "file": origin.file, "line": origin.line});
                let mut wanted = wanted;
                wanted["locals_ids"] = sorted(&wanted["locals_ids"]);
                found["locals_ids"] = slots.map_or(json!([]), |s| self.locals(&s));
                return (found, wanted);
            }
            Value::Traceback { line, frame, next } => {
                let found = json!({"tb_lineno": line, "tb_frame_id": frame.0, "next": maybe(next)});
                let mut wanted = only(&["tb_lineno", "tb_frame_id"]);
                wanted["next"] = expected.value.get("tb_next_id").cloned().unwrap_or(Json::Null);
                return (found, wanted);
            }
            Value::Exception(args) => {
                return (args.items.iter().map(id).collect(), wanted["args_ids"].clone());
            }
            // calling it makes a method
            Value::WeakRef(target) if expected.r#type == "weakref.WeakMethod" => {
                assert!(target.is_some(), "the method of {addr}");
                return (Json::Null, Json::Null);
            }
            Value::WeakRef(target) => json!({"referent_id": maybe(target)}),
            Value::Slice([start, stop, step]) => json!({"start_id": start.0, "stop_id": stop.0, "step_id": step.0}),
            Value::Range([start, stop, step]) => json!({"start": start, "stop": stop, "step": step}),
            Value::Property(getter) => {
                return (maybe(getter), wanted.get("fget_id").cloned().unwrap_or(Json::Null));
            }
            Value::Wrapper(function) => json!({"func_id": function.0}),
            Value::Partial { function, args } => json!({"func_id": function.0, "args_id": maybe(args)}),
            Value::Plain(text) => json!(text),
            Value::TimeDelta { days, seconds, microseconds } => {
                json!({"days": days, "seconds": seconds, "microseconds": microseconds})
            }
            Value::Array { typecode, itemsize, len, data } => {
                json!({"typecode": typecode.to_string(), "itemsize": itemsize, "length": len, "hex": hex(data)})
            }
            Value::MemoryView { format, dimensions, data, released: false } => {
                json!({"format": format, "ndim": dimensions, "nbytes": data.len, "hex": hex(data)})
            }
            Value::Buffer(data) => hex(data),
            Value::TextBuffer(text) => json!(text.escaped()),
            Value::Pattern { pattern, flags, groups } => {
                let held = pattern.map(|p| match self.value_at(p) {
                    Value::Str(text) => json!({"pattern": text.text}),
                    _ => json!({"pattern_id": p.0}),
                });
                let mut found = held.unwrap_or_default();
                found["groups"] = json!(groups);
                // re.RegexFlag, an int, is written as an object of its own
                let wanted_flags = match &wanted["flags"] {
                    Json::Number(n) => n.as_u64(),
                    _ => None,
                };
                found["flags"] = json!(wanted_flags.map(|_| flags));
                found
            }
            Value::Match { string, start, end, groups } => {
                let mut found = json!({"start": start, "end": end, "groups": groups});
                match string.map(|s| (s, self.value_at(s))) {
                    Some((_, Value::Str(text))) => found["string"] = json!(text.text),
                    Some((s, _)) => found["string_id"] = json!(s.0),
                    None => found["string"] = Json::Null,
                }
                found
            }
            Value::Lock { locked, count: None } => json!({"locked": locked}),
            Value::Lock { locked, count } => json!({"locked": locked, "count": count}),
            Value::Future { state, result, exception, task } => {
                let state = match state {
                    FutureState::Pending => "pending",
                    FutureState::Cancelled => "cancelled",
                    FutureState::Finished => "finished",
                };
                let mut found = json!({"state": state});
                if let Some(task) = task {
                    found["name"] = json!(task.name);
                    found["coro_id"] = maybe(&task.coroutine);
                }
                if let Some(exception) = exception {
                    found["exception_id"] = id(exception);
                } else if let Some(result) = result {
                    found["result_id"] = id(result);
                }
                found
            }
            // its default is told as text only
            Value::ContextVar { name, default } => json!({"name": name, "default": default.is_some()}),
            Value::File { fd, name, mode } => {
                let name = name.map(|n| match self.value_at(n) {
                    Value::Str(text) => text.text,
                    Value::Int(text) => text,
                    _ => "?".to_owned(),
                });
                return (json!({"fd": fd, "name": name, "mode": mode}), only(&["fd", "name", "mode"]));
            }
            Value::EnumMember { name, value } => json!({"name": name, "value_id": maybe(value)}),
            Value::Instance(part) => {
                assert_eq!(part.len, part.items.len() as u64, "attributes of {addr}");
                let pair = |a: &pymem_tui::cpython::value::Attribute| json!([a.name, a.value.0]);
                let slots = expected.slots.iter().flatten().map(|(n, v)| json!([n, v]));
                let attrs = expected.attrs.iter().flatten().map(|(n, v)| json!([n, v]));
                let found = sorted(&part.items.iter().map(pair).collect());
                return (found, sorted(&slots.chain(attrs).collect()));
            }
            Value::LruCache { function, hits, misses, len, maxsize } => {
                json!({"wrapped_id": maybe(function), "hits": hits, "misses": misses, "size": len, "maxsize": maxsize})
            }
            Value::Record(facts) if wanted.get("referents_ids").is_some() => {
                let attributes = self.memory.dict_attributes(addr, ty, LIMITS.items);
                let mut attributes: HashSet<u64> = attributes.items.into_iter().map(|a| a.value.0).collect();
                // its dict is shown in place of the values, where there is one
                self.memory.visit_edges(addr, ty, self.types, &mut |name: EdgeName<'_>, _: EdgeKind, to: Addr| {
                    if name == EdgeName::Dict {
                        attributes.insert(to.0);
                    }
                });
                // what looking made (the dict of an object that had only values) is nowhere in the capture
                let lives = |id: &u64| {
                    let ty = self.memory.type_of(Addr(*id)).and_then(|t| self.types.id_of(t));
                    ty.is_some() && matches!(self.memory.count(Addr(*id)), Some(Count::Live(_) | Count::Immortal))
                };
                let told = wanted["referents_ids"].as_array().into_iter().flatten().filter_map(Json::as_u64);
                return referents(facts, ty, attributes, told.filter(lives).collect());
            }
            Value::Record(facts) => {
                let all = self.facts(facts);
                // what Python does not tell of itself is not compared
                let told = wanted.as_object().cloned().unwrap_or_default();
                return (all.into_iter().filter(|(name, _)| told.contains_key(name)).collect(), wanted);
            }
            Value::Descriptor { name, owner } => json!({"name": name, "owner_id": maybe(owner)}),
            Value::MemoryView { .. } | Value::BigInt { .. } => json!(format!("{value:?}")),
            // nothing is said of it; what the collector is shown is among its references all the same
            Value::Opaque if wanted.get("referents_ids").is_some() => {
                let mut found = HashSet::new();
                self.memory.visit_edges(addr, ty, self.types, &mut |_: EdgeName<'_>, _: EdgeKind, to: Addr| {
                    found.insert(to.0);
                });
                let told = wanted["referents_ids"].as_array().into_iter().flatten().filter_map(Json::as_u64);
                let missing: Vec<u64> = told.filter(|t| !found.contains(t)).collect();
                return (json!([] as [u64; 0]), json!(missing));
            }
            Value::Opaque => json!("opaque"),
        };
        (found, wanted)
    }

    /// Facts as expect.py writes them.
    fn facts(&self, facts: &[Fact]) -> BTreeMap<String, Json> {
        let one = |fact: &Fact| {
            let name = fact.name;
            match &fact.value {
                FactValue::None => (name.to_owned(), Json::Null),
                FactValue::Bool(flag) => (name.to_owned(), json!(flag)),
                FactValue::Int(n) => (name.to_owned(), json!(n.to_string())),
                FactValue::Float(n) => (name.to_owned(), json!(pymem_tui::text::repr::float(*n))),
                FactValue::Text(text) => (name.to_owned(), json!(text)),
                FactValue::Numbers(numbers) => (name.to_owned(), json!(numbers)),
                FactValue::Bytes(data) => {
                    let hex: String = data.bytes.iter().map(|b| format!("{b:02x}")).collect();
                    (if name == "data" { "hex".to_owned() } else { format!("{name}_hex") }, json!(hex))
                }
                FactValue::Object(addr) => match self.value_at(*addr) {
                    Value::Int(digits) if !self.is_heap(*addr) => (name.to_owned(), json!(digits)),
                    _ => (format!("{name}_id"), json!(addr.0)),
                },
                FactValue::Address(addr) => (name.to_owned(), json!(addr.to_string())),
            }
        };
        facts.iter().map(one).collect()
    }

    fn is_heap(&self, addr: Addr) -> bool {
        let ty = self.memory.type_of(addr).and_then(|t| self.types.id_of(t));
        ty.is_some_and(|ty| self.types.get(ty).is_heap_type())
    }

    fn value_at(&self, addr: Addr) -> Value {
        let ty = self.memory.type_of(addr).and_then(|t| self.types.id_of(t)).map(|t| self.types.get(t));
        ty.map_or(Value::Opaque, |ty| self.memory.value(addr, ty, self.types, LIMITS))
    }

    fn view(&self, mapping: Addr) -> Json {
        match self.value_at(mapping) {
            Value::Mapping(part) => part.items.iter().map(|(k, v)| json!([k.0, v.0])).collect(),
            other => json!(format!("a view of {other:?}")),
        }
    }

    fn locals(&self, slots: &pymem_tui::cpython::FrameSlots) -> Json {
        let named = self.memory.locals(slots, self.types, LIMITS.items);
        let pair = |(name, value): (Addr, Addr)| json!([self.memory.text(name, 1000).unwrap_or_default().0, value.0]);
        sorted(&named.into_iter().map(pair).collect())
    }
}

fn sorted(list: &Json) -> Json {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.sort_by_key(Json::to_string);
    Json::Array(items)
}

/// A decimal number as Python's `hex()` writes it.
fn to_hex(decimal: &str) -> String {
    let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |d| ("-", d));
    let mut limbs: Vec<u32> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u64::from(digit - b'0');
        for limb in &mut limbs {
            let value = u64::from(*limb) * 10 + carry;
            (*limb, carry) = (value as u32, value >> 32);
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let text: String = limbs.iter().rev().map(|l| format!("{l:08x}")).collect();
    format!("{sign}0x{}", text.trim_start_matches('0'))
}

/// Facts that are references alone, and what the collector is shown of the object: all of that is among them. Objects in
/// C arrays and behind C pointers are no facts.
fn referents(facts: &[Fact], ty: &Type, mut objects: HashSet<u64>, told: Vec<u64>) -> (Json, Json) {
    objects.extend(facts.iter().filter_map(|fact| match fact.value {
        FactValue::Object(addr) => Some(addr.0),
        _ => None,
    }));
    let elsewhere = ty.fields.is_some_and(|f| !f.deep.is_empty() || !f.arrays.is_empty());
    let missing: Vec<u64> = told.into_iter().filter(|t| !objects.contains(t) && !elsewhere).collect();
    (json!([] as [u64; 0]), json!(missing))
}

/// Damages the heap's memory, more from time to time: every object has a value, a line, properties all the same.
pub fn survives_damage(heap: &Heap) {
    let writable = heap.snapshot().regions().iter().filter(|r| r.is_writable());
    let pieces: Vec<(Addr, Vec<u8>)> = writable.map(|r| (r.start, r.bytes().to_vec())).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for one_in in [64, 16, 4] {
        let mut pieces = pieces.clone();
        for word in pieces.iter_mut().flat_map(|(_, bytes)| bytes.chunks_exact_mut(8)) {
            // xorshift: reproducible noise
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state.is_multiple_of(one_in) {
                let noise = if state & 256 == 0 { state } else { state >> 56 };
                word.copy_from_slice(&noise.to_le_bytes());
            }
        }
        let damaged = Snapshot::from_memory(pieces, None);
        let memory = Memory { reader: damaged.reader(), layout: heap.interpreter().layout };
        for (_, addr, ty) in heap.objects().iter().step_by(7) {
            let line = describe(&memory, heap.types(), addr, heap.types().get(ty), 80);
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let ty = heap.types().get(ty);
            for (name, value) in properties(&memory, heap.types(), addr, ty) {
                assert!(!value.text().chars().any(char::is_control), "{name}: {value:?}");
            }
            memory.native_bytes(addr, ty, heap.types());
        }
    }
}
