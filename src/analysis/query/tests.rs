//! The language against a plain evaluator, and where its errors point.

use super::lists::{CHANGE_FIELDS, TYPE_FIELDS, of_change, of_type};
use super::*;
use crate::analysis::answers::{Change, TypeChange, TypeRow};
use crate::snapshot::Addr;
use proptest::prelude::*;
use std::cmp::Ordering;

fn column(text: &str) -> usize {
    let error = parse(text, OBJECT_FIELDS).expect_err(text);
    assert!(!error.message.is_empty());
    error.column
}

#[test]
fn errors_point_at_the_column() {
    for (text, expected) in [
        ("", 1),
        ("   ", 4),
        ("sise > 3", 1),
        ("type = dict and sise > 3", 17),
        ("size >", 7),
        ("size > and", 8),
        ("size > large", 8),
        ("size > 3 type = x", 10),
        ("(size > 3", 1),
        ("(size > 3 type = x)", 11),
        ("size > 3)", 9),
        ("not", 4),
        ("> 3", 1),
        ("attr = 3", 1),
        ("attr. = 3", 1),
        ("size.x = 3", 1),
        ("size. = 3", 1),
        ("value = \"ab", 9),
        ("é = 1", 1),
        ("type = é and ! size", 14),
        ("size = 5XB", 8),
    ] {
        assert_eq!(column(text), expected, "{text:?}");
    }
    let error = parse("sise > 3", OBJECT_FIELDS).unwrap_err().to_string();
    assert!(error.starts_with("column 1: there is no field sise; fields are type, module, size"), "{error}");
    assert!(parse(&"(".repeat(1 << 20), OBJECT_FIELDS).is_err());
    assert!(parse(&"not ".repeat(1 << 20), OBJECT_FIELDS).is_err());
    assert!(parse(&["size = 1"; 5000].join(" and "), OBJECT_FIELDS).is_err());
}

#[test]
fn a_filter_is_a_query_when_it_compares_something() {
    for text in [
        "size > 1MB",
        "size>1",
        "type ~ x",
        "size >",
        "(size > 3",
        "not attr.x",
        "type and len",
        "sise > 3",
        "dict and size > 3",
        "size > 3 type = x",
        "type = \"a",
        "attr.x = ! 3",
    ] {
        assert!(is_query(text, OBJECT_FIELDS), "{text}");
    }
    for text in [
        "",
        "size",
        "dict",
        "attr.x",
        "!size > 3",
        "not",
        "a=b",
        "<Foo object>",
        "{'x': 3}",
        "'size' : 3",
        "x and y",
        "(",
        "= 3",
    ] {
        assert!(!is_query(text, OBJECT_FIELDS), "{text}");
    }
    assert!(is_query("growth > 0", lists::CHANGE_FIELDS) && !is_query("len>0", lists::CHANGE_FIELDS));
}

fn holds(text: &str, cells: &[(&str, Cell<'static>)]) -> bool {
    let expr = parse(text, OBJECT_FIELDS).unwrap_or_else(|e| panic!("{text}: {e}"));
    expr.matches(&|field| {
        let mut name = OBJECT_FIELDS[field.index].name.to_owned();
        field.path.iter().for_each(|p| name = format!("{name}.{p}"));
        cells.iter().find(|(n, _)| *n == name).map_or(Cell::Missing, |(_, cell)| cell.clone())
    })
}

#[test]
fn operators_mean_what_the_documentation_says() {
    let row = [
        ("type", Cell::Text("app.models.User".into())),
        ("size", Cell::Int(1_500_000)),
        ("value", Cell::Float(0.5)),
        ("attr.closed", Cell::Bool(true)),
        ("attr.peer", Cell::None),
        ("attr.peer.name", Cell::Text("Ünder".into())),
    ];
    for text in [
        "size = 1.5MB",
        "size = 1_500_000",
        "size>=1500kb and size < 1.5MiB",
        "size = 0x16e360",
        "type ~ models",
        "type ~ app.*",
        "type ~ *.User",
        "type ~ 'app.*.us??'",
        "type !~ User.*",
        "type ~ USER or type ~ user",
        "not type ~ USER",
        "attr.closed = true and attr.closed = 1",
        "attr.closed",
        "not attr.open",
        "attr.peer = None",
        "attr.peer != 3",
        "attr.peer.name ~ ünder and not attr.peer.name ~ ÜNDER",
        "value < 1 and value > .25 and value = 5e-1",
        "not (len = 3 or len != 3)",
        "type = app.models.User",
        "type == \"app.models.User\"",
        "size ~ 15*",
        "NOT size = 1 AND Size != 2",
    ] {
        assert!(holds(text, &row), "{text}");
    }
    for text in ["len = 3", "len != 3", "len !~ x", "attr.peer = \"None\"", "size = 1 or size = 2 and size = 1.5MB"] {
        assert!(!holds(text, &row), "{text}");
    }
}

/// A query as the test means it.
#[derive(Debug, Clone)]
enum Plain {
    And(Box<Plain>, Box<Plain>),
    Or(Box<Plain>, Box<Plain>),
    Not(Box<Plain>),
    Has(usize),
    Number(usize, &'static str, i64),
    Text(&'static str, String),
}

const NUMBERS: [&str; 3] = ["size", "len", "refcount"];

/// A row: three numbers, some of which are missing, and a type's name.
type Facts = ([Option<i64>; 3], String);

impl Plain {
    fn text(&self) -> String {
        match self {
            Plain::And(a, b) => format!("({}) and {}", a.text(), b.grouped()),
            Plain::Or(a, b) => format!("{} or ({})", a.grouped(), b.text()),
            Plain::Not(a) => format!("not ({})", a.text()),
            Plain::Has(i) => NUMBERS[*i].to_owned(),
            Plain::Number(i, op, n) => format!("{}{op} {n}", NUMBERS[*i]),
            Plain::Text(op, text) => format!("type {op} \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }

    fn grouped(&self) -> String {
        format!("({})", self.text())
    }

    fn holds(&self, row: &Facts) -> bool {
        match self {
            Plain::And(a, b) => a.holds(row) & b.holds(row),
            Plain::Or(a, b) => a.holds(row) | b.holds(row),
            Plain::Not(a) => !a.holds(row),
            Plain::Has(i) => row.0[*i].is_some(),
            Plain::Number(i, op, n) => row.0[*i].is_some_and(|m| ordered(m.cmp(n), op)),
            Plain::Text("~", pattern) => glob(&row.1, pattern),
            Plain::Text("!~", pattern) => !glob(&row.1, pattern),
            Plain::Text(op, text) => ordered(row.1.cmp(text), op),
        }
    }
}

fn ordered(order: Ordering, op: &str) -> bool {
    match op {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

fn glob(text: &str, pattern: &str) -> bool {
    fn whole(text: &[char], pattern: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => whole(text, rest) || text.split_first().is_some_and(|(_, t)| whole(t, pattern)),
            (Some((p, rest)), Some((t, more))) if *p == '?' || p == t => whole(more, rest),
            _ => false,
        }
    }
    let exact = pattern.chars().any(|c| c.is_uppercase());
    let text = if exact { text.to_owned() } else { text.to_lowercase() };
    if !pattern.contains(['*', '?']) {
        return text.contains(pattern);
    }
    whole(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>())
}

fn plain() -> impl Strategy<Value = Plain> {
    let op = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let text_op = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">=", "~", "!~"]);
    let leaf = prop_oneof![
        (0usize..3).prop_map(Plain::Has),
        (0usize..3, op, -4i64..4).prop_map(|(i, op, n)| Plain::Number(i, op, n)),
        (text_op, "[abA.*?\"\\\\ ]{0,4}").prop_map(|(op, text)| Plain::Text(op, text)),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Plain::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Plain::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|a| Plain::Not(Box::new(a))),
        ]
    })
}

/// A row of every list, made of the same numbers, with what each field of it must be.
type Told = Vec<(&'static str, Option<i128>)>;

fn a_type([a, b, c, d]: [u32; 4], retained: Option<u32>) -> (TypeRow, Told) {
    let row = TypeRow { name: format!("t{a}"), address: Addr(b.into()), count: c.into(), shallow_bytes: d.into() };
    let told = [("address", Some(b)), ("count", Some(c)), ("size", Some(d)), ("retained", retained)];
    (row, told.map(|(name, n)| (name, n.map(i128::from))).to_vec())
}

fn a_change([a, b, c, d]: [u32; 4], known: bool) -> (TypeChange, Told) {
    let some = |n: u32| known.then_some(u64::from(n));
    let change = Change::new((a.into(), b.into()), (c.into(), d.into()));
    let row =
        TypeChange { name: format!("t{a}"), change, survivors: some(a), created: some(b), freed: some(c), kept: None };
    let [w, x, y, z] = [a, b, c, d].map(i128::from);
    let if_known = |n| known.then_some(n);
    let told = vec![
        ("growth", Some(z - x)),
        ("count", Some(y - w)),
        ("both", if_known(w)),
        ("new", if_known(x)),
        ("gone", if_known(y)),
        ("old_count", Some(w)),
        ("old_bytes", Some(x)),
        ("new_count", Some(y)),
        ("new_bytes", Some(z)),
    ];
    (row, told)
}

/// One comparison of each numeric field with a number means what the number is; every field is told of.
fn each_field<'r>(
    fields: &[Spec],
    told: &Told,
    n: i64,
    cell: impl Fn(&Field) -> Cell<'r>,
) -> Result<(), TestCaseError> {
    let numeric: Vec<_> = fields.iter().filter(|s| s.sort == Sort::Number).map(|s| s.name).collect();
    let mut named: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    prop_assert_eq!(numeric.len(), named.len());
    named.retain(|name| !numeric.contains(name));
    prop_assert!(named.is_empty(), "{:?}", named);
    for (name, value) in told {
        for op in ["=", "!=", "<", "<=", ">", ">="] {
            let text = format!("{name} {op} {n}");
            let expected = value.is_some_and(|v| ordered(v.cmp(&n.into()), op));
            prop_assert_eq!(parse(&text, fields).unwrap().matches(&cell), expected, "{} of {:?}", text, value);
        }
        prop_assert_eq!(parse(name, fields).unwrap().matches(&cell), value.is_some(), "{}", name);
    }
    Ok(())
}

proptest! {
    #[test]
    fn fields_of_lists_are_what_the_rows_say(
        numbers in prop::array::uniform4(0u32..4), more in prop::option::of(0u32..4), n in -4i64..5,
    ) {
        let (row, told) = a_type(numbers, more);
        each_field(TYPE_FIELDS, &told, n, |field| of_type(&row, more.map(u64::from), field))?;
        let named = format!("type = {}", row.name);
        prop_assert!(parse(&named, TYPE_FIELDS).unwrap().matches(&|f| of_type(&row, None, f)));
        let (row, told) = a_change(numbers, more.is_some());
        each_field(CHANGE_FIELDS, &told, n, |field| of_change(&row, field))?;
        let named = format!("type = {}", row.name);
        prop_assert!(parse(&named, CHANGE_FIELDS).unwrap().matches(&|f| of_change(&row, f)));
    }

    #[test]
    fn a_query_means_what_a_plain_evaluator_says(
        query in plain(),
        rows in prop::collection::vec((prop::array::uniform3(prop::option::of(-4i64..4)), "[abA.]{0,6}"), 1..20),
    ) {
        let text = query.text();
        let expr = parse(&text, OBJECT_FIELDS);
        prop_assert!(expr.is_ok(), "{}: {:?}", text, expr);
        let expr = expr.unwrap();
        for row in &rows {
            let found = expr.matches(&|field| {
                let name = OBJECT_FIELDS[field.index].name;
                match NUMBERS.iter().position(|n| *n == name) {
                    Some(i) => row.0[i].map_or(Cell::Missing, |n| Cell::Int(n.into())),
                    None => Cell::Text(row.1.as_str().into()),
                }
            });
            prop_assert_eq!(found, query.holds(row), "{} on {:?}", text, row);
        }
    }

    #[test]
    fn any_text_is_read_or_refused_within_it(text in "\\PC{0,40}") {
        is_query(&text, OBJECT_FIELDS);
        if let Err(error) = parse(&text, OBJECT_FIELDS) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
        }
    }

    #[test]
    fn any_words_are_read_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "size", "type", "attr.x", "(", ")", "and", "or", "not", "=", "~", ">=", "3", "1MB", "'a b'", "x", "!",
    ]), 0..12)) {
        let text = words.join(" ");
        if let Err(error) = parse(&text, OBJECT_FIELDS) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{}: {}", text, error);
        }
    }
}
