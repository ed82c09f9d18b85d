//! Facts of C objects of the standard library: iterators with a state, mappings of files, tokens, locals of threads.

use super::facts::{Fact, FactValue};
use super::{Limits, Memory, Part, Value};
use crate::cpython::kind::Kind;
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

impl Memory<'_> {
    pub(super) fn record(
        &self,
        addr: Addr,
        ty: &Type,
        types: &TypeTable,
        kind: Kind,
        limits: Limits,
    ) -> Option<Vec<Fact>> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let field = |name: &str| self.field(addr, ty, name);
        let fact = |name, at: Option<Addr>| {
            Fact::new(name, at.map_or(FactValue::None, |at| self.fact_value(at, types, limits)))
        };
        Some(match kind {
            Kind::Class => self.class_facts(addr, ty, types, limits)?,
            Kind::Fields => self.field_facts(addr, ty),
            // `countobject`: a C number, until it or the step needs an int (`Modules/itertoolsmodule.c`)
            Kind::Count => {
                let cnt = r.i64(addr + s.count.cnt?)?;
                let next = if cnt == i64::MAX { fact("next", field("long_cnt")) } else { Fact::int("next", cnt) };
                vec![next, fact("step", field("long_step"))]
            }
            Kind::Repeat => {
                let left = r.i64(addr + s.repeat.cnt?)?;
                let times = if left < 0 { FactValue::None } else { FactValue::Int(left) };
                vec![Fact::object("object", field("element")), Fact::new("times", times)]
            }
            Kind::Mmap => {
                let m = &s.mmap;
                let closed = r.pointer(addr + m.data?)?.is_null();
                let mut facts = vec![Fact::bool("closed", closed)];
                if !closed {
                    facts.push(Fact::size("size", r.u64(addr + m.size_field?)?));
                    facts.push(Fact::size("pos", r.u64(addr + m.pos?)?));
                    facts.push(Fact::int("offset", r.i64(addr + m.offset?)?));
                    facts.push(Fact::int("fd", r.i32(addr + m.fd?)?));
                }
                facts
            }
            Kind::Token => {
                let missing = |a: &Addr| !self.is_named(*a, types, "Token.MISSING");
                vec![
                    Fact::object("var", field("var")),
                    fact("old_value", field("old_value").filter(missing)),
                    Fact::bool("used", r.i32(addr + s.token.tok_used?)? != 0),
                ]
            }
            Kind::Struct => {
                // a bytes object up to 3.14, a str since
                let format = r.pointer(addr + s.struct_object.s_format)?;
                let text = if self.is_named(format, types, "bytes") {
                    let len = u64::try_from(self.ob_size(format)?).ok()?;
                    let data = self.data(format + s.bytes.ob_sval, len, limits.chars);
                    String::from_utf8_lossy(&data.bytes).into_owned()
                } else {
                    self.text(format, limits.chars)?.0
                };
                vec![Fact::text("format", text), Fact::size("size", r.u64(addr + s.struct_object.s_size?)?)]
            }
            Kind::ThreadLocal => self.thread_locals(addr, types, limits)?,
            Kind::Socket => {
                let k = &s.socket;
                let timeout = r.i64(addr + k.sock_timeout?)?;
                // nanoseconds; below 0: blocking without an end
                let timeout =
                    if timeout < 0 { FactValue::None } else { FactValue::Float(timeout as f64 / 1_000_000_000.0) };
                vec![
                    Fact::int("fd", r.i32(addr + k.sock_fd)?),
                    Fact::int("family", r.i32(addr + k.sock_family?)?),
                    Fact::int("type", r.i32(addr + k.sock_type?)?),
                    Fact::int("proto", r.i32(addr + k.sock_proto?)?),
                    Fact::new("timeout", timeout),
                ]
            }
            _ => return None,
        })
    }

    /// The dict of each thread that has used a `threading.local` (`Modules/_threadmodule.c`): the values of a dict,
    /// under weak references up to 3.12, under what watches a thread since.
    fn thread_locals(&self, addr: Addr, types: &TypeTable, limits: Limits) -> Option<Vec<Fact>> {
        let l = &self.layout.structs.local;
        let all = self.reader.pointer(addr + l.localdicts.or(l.dummies)?).filter(|d| !d.is_null())?;
        let is_dict = |a: &Addr| self.is_named(*a, types, "dict");
        if !is_dict(&all) {
            return None;
        }
        let dicts = self.dict_items(all, limits.items.min(100))?;
        let mut facts = vec![Fact::size("threads", dicts.len)];
        facts.extend(dicts.items.iter().filter(|(_, d)| is_dict(d)).map(|(_, d)| Fact::object("dict", Some(*d))));
        Some(facts)
    }

    /// Items of a `queue.SimpleQueue` (`Modules/_queuemodule.c`): a list and how many of it were taken, up to 3.12; a
    /// ring since.
    pub(super) fn simple_queue(&self, addr: Addr, limits: Limits) -> Option<Value> {
        let q = &self.layout.structs.simplequeue;
        let r = &self.reader;
        if let (Some(items), Some(first), Some(count), Some(capacity)) = (q.items, q.get_idx, q.num_items, q.items_cap)
        {
            let items = r.pointer(addr + items)?;
            let capacity = r.u64(addr + capacity)?;
            let (first, len) = (r.u64(addr + first)?, r.u64(addr + count)?.min(capacity));
            let at = |i: u64| items + (first.wrapping_add(i) % capacity.max(1)).wrapping_mul(8);
            let items = (0..len.min(limits.items as u64)).map_while(|i| r.pointer(at(i))).collect();
            return Some(Value::Sequence(Part { items, len }));
        }
        let list = r.pointer(addr + q.lst?)?;
        let taken = r.u64(addr + q.lst_pos?)?;
        let len = u64::try_from(self.ob_size(list)?).ok()?.saturating_sub(taken);
        let first = r.pointer(list + self.layout.structs.list.ob_item)? + taken.wrapping_mul(8);
        Some(Value::Sequence(self.pointers(first, len, limits.items)))
    }
}
