//! Comparisons with every field of a list, and which rows they mean, read plainly: what queries are compared with.

use std::collections::{BTreeMap, BTreeSet};

/// A field as the test means it.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    Number(f64),
    Text(String),
    Flag(bool),
}

pub type Row = BTreeMap<&'static str, Plain>;

/// A comparison; without an operator, that there is such a thing.
#[derive(Debug, Clone)]
pub struct Asked {
    field: &'static str,
    op: &'static str,
    value: Plain,
}

impl Asked {
    fn text(&self) -> String {
        match (self.op, &self.value) {
            ("", _) => self.field.to_owned(),
            (op, Plain::Number(n)) => format!("{} {op} {n}", self.field),
            (op, Plain::Text(text)) => {
                format!("{} {op} \"{}\"", self.field, text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            (op, Plain::Flag(flag)) => format!("{} {op} {flag}", self.field),
        }
    }

    fn holds(&self, row: &Row) -> bool {
        let Some(found) = row.get(self.field) else { return false };
        let order = match (found, &self.value) {
            _ if self.op.is_empty() => return true,
            (Plain::Number(a), Plain::Number(b)) => a.partial_cmp(b).expect("numbers"),
            (Plain::Text(text), Plain::Text(part)) if self.op.ends_with('~') => {
                let exact = part.chars().any(char::is_uppercase);
                let text = if exact { text.clone() } else { text.to_lowercase() };
                return text.contains(part.as_str()) != self.op.starts_with('!');
            }
            (Plain::Text(a), Plain::Text(b)) => a.cmp(b),
            (Plain::Flag(a), Plain::Flag(b)) => a.cmp(b),
            other => panic!("{other:?}"),
        };
        match self.op {
            "=" => order.is_eq(),
            "!=" => order.is_ne(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            _ => order.is_ge(),
        }
    }
}

/// Comparisons of every field with values that some rows have, by every operator in turn.
pub fn asked(rows: &[Row], fields: &[&'static str]) -> Vec<Asked> {
    const VALUES: usize = 2;
    let mut all = Vec::new();
    for &field in fields {
        all.push(Asked { field, op: "", value: Plain::Flag(true) });
        let mut values: Vec<&Plain> = Vec::new();
        for value in rows.iter().filter_map(|row| row.get(field)) {
            if values.len() < VALUES && !values.contains(&value) {
                values.push(value);
            }
        }
        for (i, value) in values.into_iter().enumerate() {
            let ops: &[&'static str] = match value {
                Plain::Number(_) => &["=", "!=", "<", "<=", ">", ">="],
                Plain::Text(_) => &["=", "~", "!=", "!~", "<", ">="],
                Plain::Flag(_) => &["=", "!="],
            };
            for op in [ops[i * 2 % ops.len()], ops[(i * 2 + 1) % ops.len()]] {
                let value = match value {
                    // a part without what patterns and escapes are made of
                    Plain::Text(text) if op.ends_with('~') => {
                        let part = text.split(|c: char| !c.is_alphanumeric()).max_by_key(|p| p.len());
                        Plain::Text(part.unwrap_or_default().to_owned())
                    }
                    value => value.clone(),
                };
                all.push(Asked { field, op, value });
            }
        }
    }
    all
}

/// Each comparison alone, and the neighbours joined; `select` gives the places of the rows that a query means.
pub fn compare(
    rows: &[Row],
    fields: &[&'static str],
    select: impl Fn(&str) -> Result<BTreeSet<usize>, String>,
) -> Vec<String> {
    let asked = asked(rows, fields);
    let mut wrong = Vec::new();
    let mut check = |text: String, holds: &dyn Fn(&Row) -> bool| {
        let expected: BTreeSet<usize> = (0..rows.len()).filter(|i| holds(&rows[*i])).collect();
        match select(&text) {
            Ok(found) if found == expected => {}
            Ok(found) => wrong.push(format!("{text}: {} rows, not {}", found.len(), expected.len())),
            Err(error) => wrong.push(format!("{text}: {error}")),
        }
    };
    for (i, one) in asked.iter().enumerate() {
        check(one.text(), &|row| one.holds(row));
        let other = &asked[(i * 7 + 3) % asked.len()];
        match i % 3 {
            0 => check(format!("{} and not {}", one.text(), other.text()), &|r| one.holds(r) && !other.holds(r)),
            1 => check(format!("{} or {}", one.text(), other.text()), &|r| one.holds(r) || other.holds(r)),
            _ => check(format!("not ({} and {})", one.text(), other.text()), &|r| !(one.holds(r) && other.holds(r))),
        }
    }
    wrong
}

pub fn number(n: Option<u64>) -> Option<Plain> {
    n.map(|n| Plain::Number(n as f64))
}

pub fn text(text: Option<&str>) -> Option<Plain> {
    text.map(|t| Plain::Text(t.to_owned()))
}

pub fn row(fields: Vec<(&'static str, Option<Plain>)>) -> Row {
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Those that no row has, and whose comparisons would say nothing.
pub fn unseen(rows: &[Row], fields: &[&'static str], allowed: &[&str]) -> Vec<String> {
    let nowhere = fields.iter().filter(|f| !rows.iter().any(|row| row.contains_key(*f)));
    nowhere.filter(|f| !allowed.contains(f)).map(|f| format!("no row has a {f}")).collect()
}

pub fn result(name: &str, rows: usize, mut wrong: Vec<String>) -> Result<(), String> {
    println!("{name}: {rows} rows, {} differences", wrong.len());
    wrong.truncate(8);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
}
