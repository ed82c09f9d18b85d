//! Classes made at run time and their instances: the part that every version does in another way.

use super::{GC, HEAPTYPE, INLINE_VALUES, MANAGED_DICT, Process};

impl Process {
    /// A class made at run time, in a chunk of its own: of the module `app`, with slots or with attributes.
    pub fn class(&mut self, name: &str, slots: &[&str], attributes: &[&str]) -> u64 {
        let at = self.chunk(16 + self.of("PyHeapTypeObject", "size") + slots.len() as u64 * 40) + 16;
        let (mut basic, mut flags) = (16 + slots.len() as u64 * 8, GC | HEAPTYPE);
        if !attributes.is_empty() {
            match self.minor {
                10 => basic += 8,
                11 | 12 => flags |= MANAGED_DICT,
                _ => flags |= MANAGED_DICT | INLINE_VALUES,
            }
        }
        self.write_type(at, &format!("app.{name}"), basic, 0, flags);
        self.space.put(at, 5);
        self.tracked.push(at - 16);
        let mut dict = vec![("__module__", self.str("app"))];
        for (i, slot) in slots.iter().enumerate() {
            let member = self.gc(48);
            self.head(member, "member_descriptor");
            let (slot_name, text, def) =
                (self.c_string(slot), self.str(slot), at + self.of("PyHeapTypeObject", "size") + i as u64 * 40);
            [(16, at), (24, text), (40, def)]
                .iter()
                .for_each(|(offset, value)| self.space.put(member + offset, *value));
            self.space.put(def, slot_name);
            self.space.put32(def + 8, 16); // T_OBJECT_EX
            self.space.put(def + 16, 16 + i as u64 * 8);
            self.note(member, "member_descriptor", Some(64), &[text]);
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
            if self.minor == 10 {
                self.space.put(at + self.of("PyTypeObject", "tp_dictoffset"), 16);
            }
        }
        at
    }

    /// An instance of a class with slots.
    pub fn slotted(&mut self, class: &str, values: &[u64]) -> u64 {
        let at = self.gc(16 + values.len() as u64 * 8);
        self.head(at, class);
        values.iter().enumerate().for_each(|(i, v)| self.space.put(at + 16 + i as u64 * 8, *v));
        let holds = self.objects(values);
        self.note(at, class, Some(32 + values.len() as u64 * 8), &holds)
    }

    /// An instance of a class with attributes, as each version keeps them (`Objects/dictobject.c`).
    pub fn instance(&mut self, class: &str, values: &[u64]) -> u64 {
        let keys = self.cached_keys[class];
        let count = values.len() as u64;
        let holds = self.objects(values);
        if self.minor == 10 {
            // a dict of its own whose keys are the class's
            let shared = self.alloc(5 * 8);
            values.iter().enumerate().for_each(|(i, v)| self.space.put(shared + i as u64 * 8, *v));
            let dict = self.gc(self.of("PyDictObject", "size"));
            self.head(dict, "dict");
            for (field, value) in [("ma_used", count), ("ma_keys", keys), ("ma_values", shared)] {
                self.space.put(dict + self.of("PyDictObject", field), value);
            }
            // the names are the class's, not the dict's
            self.note(dict, "dict", None, &holds);
            let at = self.gc(24);
            self.head(at, class);
            self.space.put(at + 16, dict);
            return self.note(at, class, Some(40), &[dict]);
        }
        // two words lie before the GC header: attributes (or, in 3.11, dict and values)
        let inline = if self.minor >= 13 { 8 + 5 * 8 + 8 } else { 0 };
        let block = self.alloc(16 + 16 + 16 + inline);
        self.tracked.push(block + 16);
        let at = block + 32;
        self.head(at, class);
        let write_values = |p: &mut Process, first: u64| {
            values.iter().enumerate().for_each(|(i, v)| p.space.put(first + i as u64 * 8, *v));
        };
        if self.minor >= 13 {
            self.space.put_bytes(at + 16, &[5, count as u8, 1, 1]); // capacity, size, embedded, valid
            write_values(self, at + 24);
        } else {
            let first = self.alloc(8 + 5 * 8) + 8;
            self.space.put_bytes(first - 2, &[count as u8, 8]); // how many, and how much precedes them
            write_values(self, first);
            // 3.11: values at -4 words, dict at -3; 3.12: one word at -3, values with the lowest bit for a tag
            let (offset, word) = if self.minor == 11 { (32, first) } else { (24, first - 1) };
            self.space.put(at - offset, word);
        }
        self.note(at, class, (self.minor < 13).then_some(48), &holds)
    }
}
