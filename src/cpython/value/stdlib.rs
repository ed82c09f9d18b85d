//! Values of the standard library: dates, numbers, paths, enum members, patterns, locks, futures.

use super::{FutureState, Limits, Memory, TaskValue, Value};
use crate::cpython::kind::Kind;
use crate::cpython::memory::MAX_ITEMS;
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

impl Memory<'_> {
    pub(super) fn library_value(
        &self,
        addr: Addr,
        ty: &Type,
        types: &TypeTable,
        kind: Kind,
        limits: Limits,
    ) -> Option<Value> {
        let s = &self.layout.structs;
        let r = &self.reader;
        let field = |name: &str| self.field(addr, ty, name);
        let attribute = |name: &str| self.attribute(addr, ty, name);
        Some(match kind {
            Kind::DateTime => Value::Plain(self.datetime(addr, ty, types)?),
            Kind::Date => Value::Plain(self.date(addr + s.datetime.data)?),
            Kind::Time => Value::Plain(self.time(addr, addr + s.datetime.data, ty, types)?),
            Kind::TimeDelta => {
                let t = &s.timedelta;
                Value::TimeDelta {
                    days: r.i32(addr + t.days)?,
                    seconds: r.i32(addr + t.seconds)?,
                    microseconds: r.i32(addr + t.microseconds)?,
                }
            }
            Kind::Decimal => Value::Plain(self.decimal_value(addr, limits.chars)?),
            Kind::Fraction => {
                let part = |name| self.decimal_text(attribute(name)?, limits.chars);
                let (above, below) = (part("_numerator")?, part("_denominator")?);
                Value::Plain(if below == "1" { above } else { format!("{above}/{below}") })
            }
            Kind::Uuid => {
                let hex = format!("{:032x}", self.u128(attribute("int")?)?);
                let cut = |from, to| hex.get(from..to).unwrap_or_default();
                Value::Plain([cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)].join("-"))
            }
            Kind::Path => Value::Plain(self.path(addr, ty, types, limits)?),
            Kind::EnumMember => Value::EnumMember {
                // None for flags that are set together, up to 3.10
                name: attribute("_name_")
                    .filter(|a| !self.is_named(*a, types, "NoneType"))
                    .and_then(|a| self.short_text(a)),
                value: attribute("_value_"),
            },
            Kind::Pattern => Value::Pattern {
                pattern: field("pattern"),
                flags: r.u32(addr + s.pattern.flags)?,
                groups: r.u64(addr + s.pattern.groups)?,
            },
            Kind::Match => {
                let marks = addr + s.r#match.mark;
                let span = |i: u64| Some((r.i64(marks + i * 16)?, r.i64(marks + i * 16 + 8)?));
                let (start, end) = span(0)?;
                // the whole match is counted as a group
                let count = s.r#match.groups.and_then(|o| r.u64(addr + o)).unwrap_or(1).min(limits.items as u64 + 1);
                let groups = (1..count).map_while(span).collect();
                Value::Match { string: field("string"), start, end, groups }
            }
            Kind::Lock => Value::Lock { locked: self.lock_held(addr, ty)?, count: None },
            Kind::RLock => {
                let count = self.rlock_count(addr, ty)?;
                Value::Lock { locked: count > 0, count: Some(count) }
            }
            Kind::Future | Kind::Task => {
                // a task begins with a future's fields
                let state = match r.i32(addr + s.future.fut_state)? {
                    0 => FutureState::Pending,
                    1 => FutureState::Cancelled,
                    2 => FutureState::Finished,
                    _ => return None,
                };
                let task = (kind == Kind::Task).then(|| TaskValue {
                    name: field("_name").and_then(|name| self.task_name(name, types)),
                    coroutine: field("_coro"),
                    waits_for: field("_fut_waiter"),
                });
                let some = |a: &Addr| !self.is_named(*a, types, "NoneType");
                let exception = field("_exception").filter(some);
                Value::Future { state, result: field("_result").filter(|_| exception.is_none()), exception, task }
            }
            Kind::ContextVar => Value::ContextVar { name: self.short_text(field("name")?)?, default: field("default") },
            Kind::TimeZone => Value::Plain(match field("name").and_then(|n| self.short_text(n)) {
                Some(name) => name,
                None => match self.zone_offset(addr, types)?.as_str() {
                    "+00:00" => "UTC".to_owned(),
                    offset => format!("UTC{offset}"),
                },
            }),
            Kind::ZoneInfo => Value::Plain(self.short_text(field("key")?)?),
            _ => return None,
        })
    }

    /// An int n stands for "Task-n" until somebody asks, from 3.12 on.
    fn task_name(&self, name: Addr, types: &TypeTable) -> Option<String> {
        if self.is_named(name, types, "int") {
            return Some(format!("Task-{}", self.small_int(name)?));
        }
        self.short_text(name)
    }

    /// Up to 3.13.0 a semaphore and a flag, then a mutex of one byte; the object's size tells which.
    fn lock_held(&self, addr: Addr, ty: &Type) -> Option<bool> {
        const FLAG: u64 = 32;
        const MUTEX: u64 = 16;
        match ty.basicsize {
            40 => Some(self.reader.u8(addr + FLAG)? != 0),
            24 => Some(self.reader.u8(addr + MUTEX)? & 1 != 0),
            _ => None,
        }
    }

    fn rlock_count(&self, addr: Addr, ty: &Type) -> Option<u64> {
        let l = &self.layout.structs.rlock;
        match (l.lock, l.lock_level, l.rlock_count) {
            (Some(lock), Some(level), _) if ty.basicsize == l.size => {
                let held = self.reader.u8(addr + lock)? & 1 != 0;
                Some(if held { self.reader.u64(addr + level)?.saturating_add(1) } else { 0 })
            }
            (_, _, Some(count)) if ty.basicsize == l.size => self.reader.u64(addr + count),
            _ => None,
        }
    }

    fn date(&self, at: Addr) -> Option<String> {
        let year = u16::from_be_bytes([self.reader.u8(at)?, self.reader.u8(at + 1)?]);
        Some(format!("{year:04}-{:02}-{:02}", self.reader.u8(at + 2)?, self.reader.u8(at + 3)?))
    }

    /// `isoformat()` of a datetime.
    fn datetime(&self, addr: Addr, ty: &Type, types: &TypeTable) -> Option<String> {
        let at = addr + self.layout.structs.datetime.data;
        Some(format!("{}T{}", self.date(at)?, self.time(addr, at + 4, ty, types)?))
    }

    /// `isoformat()` of a time of day whose data lies at `at`.
    fn time(&self, addr: Addr, at: Addr, ty: &Type, types: &TypeTable) -> Option<String> {
        let byte = |i| self.reader.u8(at + i);
        let micro = u32::from_be_bytes([0, byte(3)?, byte(4)?, byte(5)?]);
        let mut text = format!("{:02}:{:02}:{:02}", byte(0)?, byte(1)?, byte(2)?);
        if micro != 0 {
            text.push_str(&format!(".{micro:06}"));
        }
        if self.reader.u8(addr + self.layout.structs.datetime.hastzinfo)? != 0
            && let Some(zone) = self.field(addr, ty, "tzinfo")
        {
            text.push_str(&match self.zone_offset(zone, types) {
                Some(offset) => offset,
                None => format!("[{}]", self.zone_name(zone, types)),
            });
        }
        Some(text)
    }

    /// `+02:00` of a fixed `datetime.timezone`; what other zones say depends on their code.
    fn zone_offset(&self, zone: Addr, types: &TypeTable) -> Option<String> {
        let ty = types.get(types.id_of(self.type_of(zone)?)?);
        let t = &self.layout.structs.timedelta;
        let delta = self.field(zone, ty, "offset").filter(|_| ty.name == "datetime.timezone")?;
        let seconds =
            i64::from(self.reader.i32(delta + t.days)?) * 86400 + i64::from(self.reader.i32(delta + t.seconds)?);
        let micro = self.reader.i32(delta + t.microseconds)?;
        if seconds.abs() > 86400 || !(0..1_000_000).contains(&micro) {
            return None;
        }
        let total = seconds * 1_000_000 + i64::from(micro);
        let (sign, total) = if total < 0 { ('-', -total) } else { ('+', total) };
        let (seconds, micro) = (total / 1_000_000, total % 1_000_000);
        let mut text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
        if seconds % 60 != 0 || micro != 0 {
            text.push_str(&format!(":{:02}", seconds % 60));
        }
        if micro != 0 {
            text.push_str(&format!(".{micro:06}"));
        }
        Some(text)
    }

    /// What stands for a zone whose offset is not known: the key of a ZoneInfo, else its class, as RFC 9557 puts it
    /// behind a time.
    fn zone_name(&self, zone: Addr, types: &TypeTable) -> String {
        let ty = self.type_of(zone).and_then(|t| types.id_of(t)).map(|t| types.get(t));
        let key = ty.and_then(|ty| self.field(zone, ty, "key").and_then(|k| self.short_text(k)));
        key.unwrap_or_else(|| ty.map_or("?", |ty| ty.name.as_str()).to_owned())
    }

    /// `str()` of a path: what it has worked out already, else what it was made from (`Lib/pathlib`).
    fn path(&self, addr: Addr, ty: &Type, types: &TypeTable, limits: Limits) -> Option<String> {
        let attribute = |name: &str| self.attribute(addr, ty, name);
        let text = |a: Addr| self.text(a, limits.chars.max(super::MAX_NAME)).map(|(text, _)| text);
        if let Some(known) = attribute("_str").and_then(text) {
            return Some(known);
        }
        let windows = types.bases(ty).any(|t| t.name.ends_with("PureWindowsPath"));
        let separator = if windows { '\\' } else { '/' };
        let texts = |a: Addr| -> Option<Vec<String>> {
            let items = match types.kind(types.get(types.id_of(self.type_of(a)?)?), self.layout) {
                Kind::List => self.list_addresses(a, limits.items.max(100))?,
                _ => self.tuple_items(a, limits.items.max(100))?.items,
            };
            Some(items.into_iter().filter_map(text).collect())
        };
        // up to 3.11: drive, root and parts, the first of which is drive and root together
        if let Some(parts) = attribute("_parts").and_then(texts) {
            let anchor = ["_drv", "_root"].map(|n| attribute(n).and_then(text).unwrap_or_default()).concat();
            let joined = if anchor.is_empty() {
                parts.join(&separator.to_string())
            } else {
                format!("{anchor}{}", parts.get(1..).unwrap_or_default().join(&separator.to_string()))
            };
            return Some(if joined.is_empty() { ".".to_owned() } else { joined });
        }
        let given = match attribute("_raw_paths").and_then(texts) {
            Some(paths) => paths,
            None => vec![attribute("_raw_path").and_then(text)?],
        };
        Some(joined(&given, windows))
    }

    fn list_addresses(&self, list: Addr, max: usize) -> Option<Vec<Addr>> {
        let items = self.reader.pointer(list + self.layout.structs.list.ob_item)?;
        let len = u64::try_from(self.ob_size(list)?).ok().filter(|n| *n < MAX_ITEMS)?;
        Some((0..len.min(max as u64)).map_while(|i| self.reader.pointer(items + i * 8)).collect())
    }
}

/// Joined and normalised as `pathlib` does: a later absolute path wins, `.` and double separators go.
fn joined(paths: &[String], windows: bool) -> String {
    let separator = if windows { '\\' } else { '/' };
    let mut whole = String::new();
    for path in paths {
        let path = if windows { path.replace('/', "\\") } else { path.clone() };
        let drive = windows && path.as_bytes().get(1) == Some(&b':');
        if path.starts_with(separator) || drive {
            whole.clear();
        } else if !whole.is_empty() {
            whole.push(separator);
        }
        whole.push_str(&path);
    }
    let (drive, rest) = match whole.char_indices().nth(2) {
        _ if windows && whole.len() == 2 && whole.ends_with(':') => (whole.as_str(), ""),
        Some((i, _)) if windows && whole[..i].ends_with(':') => whole.split_at(i),
        _ => ("", whole.as_str()),
    };
    let root = match rest.len() - rest.trim_start_matches(separator).len() {
        0 => String::new(),
        2 if !windows => "//".to_owned(),
        _ => separator.to_string(),
    };
    let parts: Vec<&str> = rest.split(separator).filter(|p| !p.is_empty() && *p != ".").collect();
    let text = format!("{drive}{root}{}", parts.join(&separator.to_string()));
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn paths_are_joined_as_pathlib_joins_them() {
        let of = |paths: &[&str], windows| joined(&paths.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), windows);
        assert_eq!(of(&["/tmp//zoo/./file.txt"], false), "/tmp/zoo/file.txt");
        assert_eq!(of(&["a", "b.txt"], false), "a/b.txt");
        assert_eq!(of(&["a", "/b"], false), "/b");
        assert_eq!(of(&[""], false), ".");
        assert_eq!(of(&["//x"], false), "//x");
        assert_eq!(of(&["C:/x"], true), "C:\\x");
        assert_eq!(of(&["C:", "x"], true), "C:\\x");
        assert_eq!(of(&["é:", "é"], true), "é:\\é");
    }
}
