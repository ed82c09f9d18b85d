//! Pieces that lines are put together from.

use crate::cpython::types::Type;
use crate::cpython::{Kind, Memory};
use crate::text;
use unicode_width::UnicodeWidthStr;

/// Items with commas between them, as many as fit.
pub(super) struct Line {
    text: String,
    count: u64,
    room: usize,
}

impl Line {
    pub(super) fn new(room: usize) -> Line {
        Line { text: String::new(), count: 0, room }
    }

    /// Appends an item; `false` when it does not fit.
    pub(super) fn push(&mut self, item: &str) -> bool {
        let comma = if self.count == 0 { "" } else { ", " };
        // what becomes visible when the line is sanitised takes room already now
        let item = text::sanitize(item);
        if self.count > 0 && self.text.width() + comma.len() + item.width() > self.room {
            return false;
        }
        self.text.push_str(comma);
        self.text.push_str(&item);
        self.count += 1;
        true
    }

    /// The items, with `…` for those that are left out of `len`.
    pub(super) fn finish(mut self, len: u64) -> String {
        if self.count < len {
            self.text.push_str(if self.count == 0 { "…" } else { ", …" });
        }
        self.text
    }
}

/// `Class` of `package.module.Class` and of `function.<locals>.Class`.
pub(super) fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// `app.py:31`.
pub(super) fn file_line(file: &str, line: Option<u32>) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"))
}

/// A sequence's brackets around what is shown of it.
pub(super) fn bracketed(kind: Kind, class: &str, own_class: bool, shown: &str, len: u64) -> String {
    match kind {
        Kind::List => format!("[{shown}]"),
        Kind::Tuple if len == 1 => format!("({shown},)"),
        Kind::Tuple => format!("({shown})"),
        Kind::Set | Kind::FrozenSet if len == 0 && own_class => String::new(),
        Kind::Set if len == 0 => "set()".to_owned(),
        Kind::Set => format!("{{{shown}}}"),
        Kind::FrozenSet if own_class => format!("{{{shown}}}"),
        Kind::FrozenSet if len == 0 => "frozenset()".to_owned(),
        Kind::FrozenSet => format!("frozenset({{{shown}}})"),
        _ if own_class => format!("[{shown}]"),
        _ => format!("{class}([{shown}])"),
    }
}

/// The `_fields` of a namedtuple.
pub(super) fn field_names(memory: &Memory<'_>, ty: &Type) -> Vec<String> {
    const MAX_FIELDS: u64 = 50;
    const TUPLE_SUBCLASS: u64 = 1 << 26;
    let s = &memory.layout.structs;
    if !ty.is_heap_type() || ty.items.is_some() {
        return Vec::new();
    }
    let fields = || {
        let dict = memory.reader.pointer(ty.address + s.type_object.tp_dict)?;
        let names = memory.dict_get(dict, "_fields")?;
        let flags = memory.reader.u64(memory.type_of(names)? + s.type_object.tp_flags)?;
        let is_tuple = flags & TUPLE_SUBCLASS != 0;
        let len = u64::try_from(memory.ob_size(names)?).ok().filter(|n| is_tuple && *n <= MAX_FIELDS)?;
        let item = |i: u64| memory.reader.pointer(names + s.tuple.ob_item + i * 8);
        (0..len).map(|i| Some(memory.text(item(i)?, 60)?.0)).collect::<Option<Vec<_>>>()
    };
    fields().unwrap_or_default()
}

/// `str()` of a timedelta.
pub(super) fn duration(days: i32, seconds: i32, microseconds: i32) -> String {
    let plural = if days.unsigned_abs() == 1 { "" } else { "s" };
    let days = if days == 0 { String::new() } else { format!("{days} day{plural}, ") };
    let time = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micro = if microseconds == 0 { String::new() } else { format!(".{microseconds:06}") };
    format!("{days}{time}{micro}")
}

/// Columns of a text once it is sanitised.
pub(super) fn width(text: &str) -> usize {
    text::sanitize(text).width()
}

/// The longest beginning of `text` that `fits`.
pub(super) fn longest(text: &str, fits: impl Fn(&str) -> bool) -> &str {
    let ends: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let n = ends.partition_point(|end| fits(&text[..*end]));
    &text[..n.checked_sub(1).and_then(|n| ends.get(n)).copied().unwrap_or(0)]
}
