//! The layout tables say what the compilers' debug information says.
//!
//! `assets/layouts/3.X.toml` is what the program reads; `tests/data/dwarf-3.X.json` was written apart from it, with
//! C's own names. Every struct and every field that the tables name is looked up there, on every version.

use serde_json::{Map, Value};
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Offsets of the C fields that a table's name may mean: a whole path, or its last parts, joined by `_`
/// (assets/layouts/README.md). A whole path is meant alone; the head of an object is that of every object.
fn meant(dwarf: &Value, fields: &Map<String, Value>, name: &str) -> Vec<i64> {
    let head = match name {
        "ob_size" => "PyVarObject",
        "ob_refcnt" | "ob_type" => "PyObject",
        _ => "",
    };
    if let Some(exact) = fields.get(name).or_else(|| dwarf.get(head)?.get(name)).and_then(Value::as_i64) {
        return vec![exact];
    }
    let tails = fields.iter().filter(|(path, _)| {
        let parts: Vec<&str> = path.split('.').collect();
        (0..parts.len()).any(|from| parts[from..].join("_") == name)
    });
    tails.filter_map(|(_, offset)| offset.as_i64()).collect()
}

/// Of every table there is.
fn minors() -> Vec<String> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/layouts")).unwrap();
    let minor = |name: String| Some(name.strip_prefix("3.")?.strip_suffix(".toml")?.to_owned());
    let minors: Vec<String> = files.filter_map(|f| minor(f.unwrap().file_name().into_string().unwrap())).collect();
    assert!(minors.len() > 8, "{minors:?}");
    minors
}

#[test]
fn every_offset_is_the_debug_informations() {
    let mut wrong = Vec::new();
    for minor in minors() {
        let table: toml::Table = read(&format!("assets/layouts/3.{minor}.toml")).parse().unwrap();
        let dwarf: Value = serde_json::from_str(&read(&format!("tests/data/dwarf-3.{minor}.json"))).unwrap();
        let behind_length = minor.trim_end_matches('t').parse::<u32>().unwrap() >= 13;
        let (mut checked, mut apart) = (0, Vec::new());
        for (name, fields) in table["structs"].as_table().unwrap() {
            let Some(of_c) = dwarf.get(name).and_then(Value::as_object) else {
                apart.push(name.clone());
                continue;
            };
            for (field, offset) in fields.as_table().unwrap() {
                let mut offset = offset.as_integer().unwrap();
                if (name.as_str(), field.as_str()) == ("PyInterpreterState", "types_builtins") && behind_length {
                    offset -= 8; // the table names the array, which stands behind its length since 3.13
                }
                let meant = meant(&dwarf, of_c, field);
                match meant.contains(&offset) {
                    true if meant.iter().all(|m| *m == offset) => checked += 1,
                    true => wrong.push(format!("3.{minor}: {name}.{field} = {offset} may mean any of {meant:?}")),
                    false if meant.is_empty() => apart.push(format!("{name}.{field}")),
                    false => wrong.push(format!("3.{minor}: {name}.{field} = {offset}, in C {meant:?}")),
                }
            }
        }
        println!("3.{minor}: {checked} fields are equal, without a counterpart: {apart:?}");
        assert!(checked > 500, "3.{minor}: only {checked} fields were compared");
        assert!(apart.len() < 15, "3.{minor}: {apart:?} have no counterpart");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
