//! Classes made at run time and their instances: the part that every version does in another way.

use super::{Attributes, GC, HEAPTYPE, INLINE_VALUES, MANAGED_DICT, Process, ValuesAs};

impl Process {
    /// A class made at run time, in a chunk of its own: of the module `app`, with slots or with attributes.
    pub fn class(&mut self, name: &str, slots: &[&str], attributes: &[&str]) -> u64 {
        let at = self.chunk(16 + self.of("PyHeapTypeObject", "size") + slots.len() as u64 * 40) + 16;
        let header = self.header();
        let (mut basic, mut flags) = (header + slots.len() as u64 * 8, GC | HEAPTYPE);
        if !attributes.is_empty() {
            match self.encoding.attributes {
                Attributes::DictOffset => basic += 8,
                Attributes::ValuesDict | Attributes::Tagged => flags |= MANAGED_DICT,
                Attributes::Inline | Attributes::InlineAfter => flags |= MANAGED_DICT | INLINE_VALUES,
            }
        }
        self.write_type(at, &format!("app.{name}"), basic, 0, flags);
        self.space.put(at + self.of("PyObject", "ob_refcnt"), 5);
        self.tracked.push(at - 16);
        let mut dict = vec![("__module__", self.str("app"))];
        for (i, slot) in slots.iter().enumerate() {
            let len = self.of("PyMemberDescrObject", "size");
            let member = self.gc(len);
            self.head(member, "member_descriptor");
            let (slot_name, text, def) =
                (self.c_string(slot), self.str(slot), at + self.of("PyHeapTypeObject", "size") + i as u64 * 40);
            let common = |field: &str| self.one_of("PyMemberDescrObject", [field, &format!("d_common.{field}")]);
            [(common("d_type"), at), (common("d_name"), text), (self.of("PyMemberDescrObject", "d_member"), def)]
                .iter()
                .for_each(|(offset, value)| self.space.put(member + offset, *value));
            let field = |name: &str| def + self.of("PyMemberDef", name);
            let (named, kind, offset) = (field("name"), field("type"), field("offset"));
            self.space.put(named, slot_name);
            self.space.put32(kind, 16); // T_OBJECT_EX
            self.space.put(offset, header + i as u64 * 8);
            self.note(member, "member_descriptor", Some(16 + len), &[text]);
            dict.push((slot, member));
        }
        let dict = self.dict(&dict);
        let text = self.str(name);
        let slot_names: Vec<u64> = slots.iter().map(|s| self.str(s)).collect();
        let names = if slots.is_empty() { 0 } else { self.tuple(&slot_names) };
        for (field, value) in [("ht_name", text), ("ht_qualname", text), ("ht_slots", names)] {
            self.space.put(at + self.of("PyHeapTypeObject", field), value);
        }
        self.space.put(at + self.of("PyTypeObject", "tp_dict"), dict);
        if !attributes.is_empty() {
            let entries: Vec<(u64, u64)> = attributes.iter().map(|a| (self.str(a), 0)).collect();
            let keys = self.keys(&entries, true).0;
            self.space.put(at + self.of("PyHeapTypeObject", "ht_cached_keys"), keys);
            self.cached_keys.insert(format!("app.{name}"), keys);
            if self.encoding.attributes == Attributes::DictOffset {
                self.space.put(at + self.of("PyTypeObject", "tp_dictoffset"), header);
            }
        }
        at
    }

    /// An instance of a class with slots.
    pub fn slotted(&mut self, class: &str, values: &[u64]) -> u64 {
        let len = self.header() + values.len() as u64 * 8;
        let at = self.gc(len);
        self.head(at, class);
        let first = at + self.header();
        values.iter().enumerate().for_each(|(i, v)| self.space.put(first + i as u64 * 8, *v));
        let holds = self.objects(values);
        self.note(at, class, Some(16 + len), &holds)
    }

    fn write_values(&mut self, first: u64, values: &[u64]) {
        values.iter().enumerate().for_each(|(i, v)| self.space.put(first + i as u64 * 8, *v));
    }

    /// The values of a split dict that lie apart from its object: what points to them points there.
    fn values(&mut self, values: &[u64]) -> u64 {
        let count = values.len() as u8;
        match self.encoding.values {
            ValuesAs::Array => {
                let at = self.alloc(5 * 8);
                self.write_values(at, values);
                at
            }
            ValuesAs::Prefix => {
                let first = self.alloc(8 + 5 * 8) + 8;
                self.space.put_bytes(first - 2, &[count, 8]); // how many, and how much precedes them
                self.write_values(first, values);
                first
            }
            ValuesAs::Header => {
                let at = self.alloc(8 + 5 * 8 + 8);
                self.values_header(at, count, false);
                self.write_values(at + self.of("PyDictValues", "values"), values);
                at
            }
        }
    }

    fn values_header(&mut self, at: u64, count: u8, embedded: bool) {
        let fields = [("capacity", 5), ("size_field", count), ("embedded", u8::from(embedded)), ("valid", 1)];
        for (field, byte) in fields {
            self.space.put_bytes(at + self.of("PyDictValues", field), &[byte]);
        }
    }

    /// An instance of a class with attributes, as each version keeps them (`Objects/dictobject.c`).
    pub fn instance(&mut self, class: &str, values: &[u64]) -> u64 {
        let keys = self.cached_keys[class];
        let (header, count) = (self.header(), values.len() as u64);
        let holds = self.objects(values);
        let attributes = self.encoding.attributes;
        if attributes == Attributes::DictOffset {
            // a dict of its own whose keys are the class's
            let shared = self.values(values);
            let dict = self.gc(self.of("PyDictObject", "size"));
            self.head(dict, "dict");
            for (field, value) in [("ma_used", count), ("ma_keys", keys), ("ma_values", shared)] {
                self.space.put(dict + self.of("PyDictObject", field), value);
            }
            // the names are the class's, not the dict's
            self.note(dict, "dict", None, &holds);
            let at = self.gc(header + 8);
            self.head(at, class);
            self.space.put(at + header, dict);
            return self.note(at, class, Some(16 + header + 8), &[dict]);
        }
        // two words lie before the GC header: attributes (or, in 3.11, dict and values)
        let inline = matches!(attributes, Attributes::Inline | Attributes::InlineAfter);
        let block = self.alloc(16 + 16 + header + if inline { 8 + 5 * 8 + 8 } else { 0 });
        self.tracked.push(block + 16);
        let at = block + 32;
        self.head(at, class);
        match attributes {
            // after the header, which is where such a class's basic size ends
            Attributes::Inline | Attributes::InlineAfter => {
                self.values_header(at + header, count as u8, true);
                self.write_values(at + header + self.of("PyDictValues", "values"), values);
            }
            Attributes::Tagged => {
                let word = self.values(values) - 1;
                self.space.put(at - 24, word);
            }
            _ => {
                let word = self.values(values);
                self.space.put(at - 32, word);
            }
        }
        self.note(at, class, (!inline).then_some(32 + header), &holds)
    }
}
