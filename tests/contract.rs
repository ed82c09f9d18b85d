//! The JSON contract of the commands (`docs/cli.md`), asked of the real program on a captured zoo.
//!
//! Every schema has its fields with their types, totals agree between commands and with what the target itself
//! recorded, referents and referrers are each other's inverse, values are the target's own, aliases answer the same.

#[path = "contract/ask.rs"]
mod ask;
mod support;

use ask::{ask, fits, head, hex, run, zoo};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The list under a name.
#[track_caller]
fn rows<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer[name].as_array().unwrap_or_else(|| panic!("{answer} has no list {name}"))
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_else(|| panic!("{row} has no text {name}"))
}

fn addresses(answer: &Value, name: &str) -> BTreeSet<String> {
    rows(answer, name).iter().map(|r| text(r, "address").to_owned()).collect()
}

#[test]
fn every_answer_has_the_fields_of_its_schema() {
    let zoo = zoo();
    let dump = zoo.path.as_str();
    let dict = hex(zoo.of_kind("dict", |e| e.value.as_array().is_some_and(|v| v.len() > 2)).id);
    let field = json!({"name": "string", "address": "address", "type": "string", "summary": "string"});
    let edge = json!({"address": "address", "type": "string", "edge": "string", "kind": "string", "summary": "string"});
    let fields = json!([field]);
    let frame = json!({
        "function": "string", "file": "string", "line": "null|count", "column": "null|count", "end_line": "null|count",
        "end_column": "null|count", "generator": "null|address", "locals": [field],
    });
    let tasks = json!({
        "tasks": [{
            "address": "address", "type": "string", "name": "null|string", "state": "null|string", "running": "bool",
            "coro": "null|string", "coroutine": "null|address", "result": "any", "exception": "any",
            "loop": "null|address", "interpreter": "null|count", "thread": "null|count", "fut_waiter": "null|address",
            "stack": [frame],
            "whole": "bool", "awaits": ["address"], "awaited_by": ["address"], "waits_in": "any", "cycle": "null|count",
        }],
        "futures": [{
            "address": "address", "type": "string", "state": "null|string", "loop": "null|address",
            "awaits": ["address"], "awaited_by": ["address"], "waits_in": "any", "cycle": "null|count",
        }],
        "cycles": [["address"]], "verdicts": [{"deadlock": "bool", "wakers": ["string"], "until": "null|number",
            "threads": ["count"], "sentence": "string"}],
        "forest": [{"address": "address", "count": "count", "tasks": ["address"], "depth": "count", "shared": "bool",
            "cycle": "null|count", "state": "null|string"}],
        "groups": [{"count": "count", "coro": "string", "place": "any", "waits_in": "null|string", "tasks": ["address"]}],
        "total": {"tasks": "count", "pending": "count", "futures": "count", "rows": "count"},
    });
    let share = json!({"name": "string", "count": "count", "resident_bytes": "count", "bytes": "count"});
    let footprint = json!({
        "resident_bytes": "count", "rss_before_stop": "count", "pss_bytes": "count", "shared_bytes": "count",
        "swap_bytes": "count", "page_tables_bytes": "count",
        "findings": [{"kind": "string", "sentence": "string", "bytes": "count"}],
        "rows": [{"kind": "string", "label": "string", "resident_bytes": "count", "bytes": "count", "count": "count",
            "detail": "string", "parts": [share]}],
        "arenas": "any", "large": "any",
        "heaps": [{"start": "address", "end": "address", "arena": "null|address", "resident_bytes": "count",
            "python_bytes": "count", "other_bytes": "count", "free_bytes": "count", "cached_bytes": "count",
            "top_bytes": "count"}],
        "regions": [{"start": "address", "end": "address", "resident_bytes": "count", "file": "null|string",
            "kind": "string", "parts": [{"kind": "string", "bytes": "count"}]}],
    });
    let threads = json!({"deadlocks": [["count"]], "explained": ["string"], "threads": [{
        "ident": "null|count", "native_id": "null|count", "interpreter": "null|count", "name": "null|string",
        "kernel_name": "null|string", "daemon": "null|bool", "state": "null|string", "syscall": "null|string",
        "holds_gil": "bool", "waits_for_gil": "null|bool",
        "waits_for": "any", "holds": ["address"], "handling": [field], "frames": [frame], "whole": "bool",
    }]});
    let mut cases: Vec<(Vec<&str>, &str, Value)> = vec![
        (
            vec!["types", dump],
            "types/1",
            json!({
                "types": [{"name": "string", "address": "address", "count": "count", "shallow_bytes": "count"}],
                "total": {"count": "count", "shallow_bytes": "count"},
            }),
        ),
        (
            vec!["objects", dump, "--type", "dict", "--limit", "500"],
            "objects/1",
            json!({
                "objects": [{"address": "address", "type": "string", "type_address": "address", "refcount": "null|number",
                    "shallow_bytes": "count", "summary": "string"}],
                "total": "count",
            }),
        ),
        (
            vec!["show", dump, &dict],
            "object/1",
            json!({
                "address": "address", "type": "string", "refcount": "null|number", "shallow_bytes": "count",
                "reachable": "null|bool", "value": "string", "fields": fields,
            }),
        ),
        (vec!["referents", dump, &dict], "edges/1", json!({"edges": [edge], "total": "count"})),
        (vec!["referrers", dump, &dict], "edges/1", json!({"edges": [edge], "total": "count"})),
        (
            vec!["types", dump, "--retained"],
            "types/1",
            json!({
                "types": [{"name": "string", "address": "address", "count": "count", "shallow_bytes": "count",
                    "retained_bytes": "count"}],
                "total": {"count": "count", "shallow_bytes": "count"},
            }),
        ),
        (
            vec!["path", dump, &dict, "--all", "3"],
            "path/1",
            json!({
                "paths": [[{"address": "address", "type": "string", "edge": "string", "kind": "string", "summary": "string"}]],
                "text": ["string"], "weak_total": "count",
            }),
        ),
        (
            vec!["retained", dump],
            "retained/1",
            json!({
                "objects": [{"address": "null|address", "type": "string", "shallow_bytes": "count", "retained_bytes": "count",
                    "retained_count": "count", "summary": "string"}],
                "total": "count", "heap_bytes": "count",
            }),
        ),
        (
            vec!["leaks", dump],
            "leaks/1",
            json!({
                "suspects": [{"kind": "string", "address": "address", "type": "string", "name": "null|string",
                    "retained_bytes": "count", "retained_count": "count", "reason": "string",
                    "path": [{"address": "address", "type": "string", "edge": "string", "kind": "string", "summary": "string"}],
                    "path_text": "string", "accumulates": "any"}],
                "heap_bytes": "count",
            }),
        ),
        (
            vec!["regions", dump],
            "regions/1",
            json!({
                "regions": [{"start": "address", "end": "address", "bytes": "count", "resident_bytes": "null|count",
                    "permissions": "null|string", "file": "null|string", "kind": "string"}],
            }),
        ),
        (
            vec!["hex", dump, &dict],
            "hex/1",
            json!({
                "address": "address", "start": "address", "bytes": "string",
                "words": [{"address": "address", "value": "address", "object": "address", "type": "string"}],
            }),
        ),
        (
            vec!["find", dump, "zoo"],
            "find/1",
            json!({
                "hits": [{"address": "address", "region": "address", "object": "null|address"}], "total": "count",
            }),
        ),
        (
            vec!["module", dump, "__main__"],
            "module/1",
            json!({
                "address": "address", "name": "string", "file": "null|string", "fields": fields,
            }),
        ),
        (
            vec!["graph", dump, &dict],
            "graph/1",
            json!({
                "centre": "address",
                "nodes": [{"address": "address", "type": "string", "summary": "string", "shallow_bytes": "count", "highlighted": "bool"}],
                "edges": [{"from": "address", "to": "address", "names": ["string"], "count": "count", "kind": "string"}],
                "folded": [{"address": "address", "direction": "string", "count": "count"}],
            }),
        ),
        (vec!["memory", dump], "memory/1", footprint),
        (
            vec!["waste", dump],
            "waste/1",
            json!({"rows": [{"kind": "string", "count": "count", "bytes": "count", "sentence": "string", "examples": [
                {"address": "address", "type": "string", "summary": "string", "count": "count", "bytes": "count"}]}]}),
        ),
        (
            vec!["tasks", dump, "--retained"],
            "tasks/1",
            with(&tasks, &["tasks", "forest"], "retained_bytes", "null|count"),
        ),
        (vec!["tasks", dump], "tasks/1", tasks),
        (vec!["threads", dump, "--retained"], "threads/1", with(&threads, &["threads"], "retained_bytes", "count")),
        (vec!["threads", dump], "threads/1", threads.clone()),
        (vec!["stacks", dump], "threads/1", threads),
        (
            vec!["strings", dump],
            "strings/1",
            json!({
                "histogram": [{"max_length": "count", "count": "count", "bytes": "count"}],
                "duplicates": [{"address": "address", "summary": "string", "length": "count", "count": "count",
                    "wasted_bytes": "count"}],
            }),
        ),
        (
            vec!["strings", dump, "--bytes"],
            "strings/1",
            json!({"histogram": [{"max_length": "count"}], "duplicates": ["any"]}),
        ),
    ];
    let total = json!({"count": "count", "shallow_bytes": "count"});
    let garbage = json!({
        "garbage": total, "dependants": total, "generations": [total], "watched": [total], "frozen": total,
        "finalizers": "count", "types": ["any"], "cycles": ["any"], "cycles_total": "count",
    });
    cases.push((vec!["garbage", dump], "garbage/1", garbage));
    let audit = json!({
        "objects": "count", "accounted": "count", "held_by_c": "count", "unexplained": "count", "overcounted": "count",
        "excluded": [{"reason": "string", "count": "count"}], "rows_total": "count",
        "types": [{"name": "string", "objects": "count", "unaccounted": "count", "unexplained": "count",
            "overcounted": "count"}],
        "rows": [{"address": "address", "type": "string", "refcount": "null|number", "found": "count",
            "unaccounted": "count", "pointers": "count", "unexplained": "count", "places": ["string"],
            "shallow_bytes": "count", "summary": "string"}],
    });
    cases.push((vec!["audit", dump], "audit/1", audit));
    cases.push((vec!["diff", dump, dump, "--objects", "survivors", "--limit", "500"], "diff/1", changes()));
    for (arguments, schema, shape) in cases {
        let answer = ask(&arguments);
        let what = arguments[0];
        assert_eq!(answer["schema"], format!("pymem-tui.{schema}"), "{what}");
        fits(&answer, &head(), what);
        fits(&answer, &shape, what);
        let snapshot = &answer["snapshot"];
        assert_eq!((&snapshot["pid"], &snapshot["source"]), (&zoo.pid.into(), &dump.into()), "{what}");
        assert!(
            snapshot["bytes"].as_u64() > Some(1 << 20) && snapshot["captured_at"].is_string(),
            "{what}: {snapshot}"
        );
        if what != "regions" {
            let version = zoo.interpreter.name.split('-').next().unwrap();
            assert_eq!(
                (&snapshot["python"], &snapshot["implementation"]),
                (&version.into(), &"CPython".into()),
                "{what}"
            );
        }
        let lists = shape.as_object().unwrap().iter().filter(|(_, s)| s.is_array());
        // the zoo has no deadlock, of threads or of tasks: `threads_that_wait_say_for_what` and tests/tasks.rs have some
        const MAY_BE_EMPTY: [&str; 10] = [
            "duplicates",
            "folded",
            "problems",
            "deadlocks",
            "explained",
            "cycles",
            "verdicts",
            "forest",
            "types",
            "cycles",
        ];
        for (name, _) in lists.filter(|(name, _)| !MAY_BE_EMPTY.contains(&name.as_str())) {
            assert!(!rows(&answer, name).is_empty(), "{what}: no {name}");
        }
    }
    fits(&zoo.captured, &head(), "capture");
    let unreadable = json!([{"start": "address", "end": "address", "reason": "string"}]);
    fits(
        &zoo.captured,
        &json!({"path": "string", "mode": "string", "pause_ms": "number", "bytes": "count",
        "pages_skipped": "count", "threads": "count", "unreadable": unreadable}),
        "capture",
    );
    assert_eq!(zoo.captured["schema"], "pymem-tui.capture/1");
}

/// `diff/1` of two snapshots of one process.
/// A shape with one more field in the rows of some lists.
fn with(shape: &Value, lists: &[&str], field: &str, kind: &str) -> Value {
    let mut shape = shape.clone();
    lists.iter().for_each(|list| shape[list][0][field] = json!(kind));
    shape
}

fn changes() -> Value {
    let change = json!({
        "old_count": "count", "new_count": "count", "delta_count": "number", "old_bytes": "count", "new_bytes": "count",
        "delta_bytes": "number",
    });
    let mut row = change.clone();
    for (name, kind) in [("name", "string"), ("survivors", "count"), ("created", "count"), ("freed", "count")] {
        row[name] = kind.into();
    }
    json!({
        "types": [row], "total": change, "survivors": "count", "created": "count", "freed": "count", "reused": "count",
        "confidence": {"exact": "count", "likely": "count", "weak": "count"}, "old": head()["snapshot"],
        "only_types": "null|string", "objects_total": "count",
        "unchanged": {"types": "count", "count": "count", "bytes": "count"},
        "objects": [{"address": "address", "type": "string", "confidence": "string", "shallow_bytes": "count",
            "summary": "string"}],
    })
}

#[test]
fn totals_agree_with_each_other_and_with_the_target() {
    let zoo = zoo();
    let types = ask(&["types", &zoo.path]);
    let sum = |field: &str| rows(&types, "types").iter().map(|t| t[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(types["total"], json!({"count": sum("count"), "shallow_bytes": sum("shallow_bytes")}));
    let all = ask(&["objects", &zoo.path, "--limit", "1"]);
    assert_eq!((&all["total"], rows(&all, "objects").len()), (&types["total"]["count"], 1));

    let mut told: BTreeMap<u64, (u64, BTreeSet<String>)> = BTreeMap::new();
    for object in &zoo.truth.objects {
        let entry = told.entry(object.type_address).or_default();
        entry.0 += object.size.unwrap_or(0);
        entry.1.insert(hex(object.address));
    }
    let own = zoo.truth.types.values().filter(|t| t.is_own() && t.has_gc() && told.contains_key(&t.address));
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|t| std::cmp::Reverse(told[&t.address].1.len()));
    assert!(own.len() > 20, "{} classes of the zoo have objects", own.len());
    for ty in own.iter().take(3).chain(own.last()) {
        let (bytes, addresses_told) = &told[&ty.address];
        let row = rows(&types, "types").iter().find(|t| t["address"] == hex(ty.address)).expect(&ty.name);
        assert_eq!(row["name"], ty.name.as_str());
        let by_name = ask(&["objects", &zoo.path, "--type", &ty.name]);
        let by_address = ask(&["objects", &zoo.path, "--type", &hex(ty.address)]);
        assert_eq!(addresses(&by_address, "objects"), *addresses_told, "{}", ty.name);
        assert!(addresses(&by_name, "objects").is_superset(addresses_told), "{}", ty.name);
        assert_eq!((&by_address["total"], row["count"].as_u64()), (&row["count"], Some(addresses_told.len() as u64)));
        if rows(&by_address, "objects").iter().all(|o| o.get("estimated").is_none()) {
            assert_eq!(row["shallow_bytes"].as_u64(), Some(*bytes), "{}", ty.name);
        }
    }
}

#[test]
fn objects_come_in_every_form() {
    let zoo = zoo();
    let whole = ask(&["objects", &zoo.path, "--type", "function"]);
    let out = run(&["objects", &zoo.path, "--type", "function", "--jsonl"]);
    let lines: Vec<Value> =
        String::from_utf8(out.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.len() > 4096, "more than one window: {}", lines.len());
    assert_eq!(lines, rows(&whole, "objects"));
    let some = ask(&["objects", &zoo.path, "--type", "function", "--limit", "5000"]);
    assert_eq!((rows(&some, "objects"), &some["total"]), (&lines[..5000.min(lines.len())], &whole["total"]));
    assert_eq!(rows(&ask(&["objects", &zoo.path, "--type", "function", "--limit", "0"]), "objects").len(), 0);
    let exact = ask(&["objects", &zoo.path, "--type", "zoo_classes.Slots"]);
    let wider = ask(&["objects", &zoo.path, "--type", "zoo_classes.Slots", "--subclasses"]);
    assert!(addresses(&wider, "objects").is_superset(&addresses(&exact, "objects")));
    assert!(rows(&wider, "objects").iter().any(|o| o["type"] == "zoo_classes.SlotsAndDict"), "{wider}");
    assert!(rows(&exact, "objects").iter().all(|o| o["type"] == "zoo_classes.Slots"), "{exact}");
    // text shows the first rows, and says how many more there are
    let table = run(&["objects", &zoo.path, "--type", "function"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert_eq!(table.lines().count(), 52, "head, 50 rows, and how many more");
    assert!(table.lines().last().unwrap().ends_with("more (--limit N)"), "{table}");
}

#[test]
fn referents_and_referrers_are_each_others_inverse() {
    let zoo = zoo();
    let samples = ["dict", "instance", "list", "function", "frozenset"].map(|kind| {
        zoo.of_kind(kind, |e| {
            let items = e.value.as_array().map_or(0, Vec::len) + e.attrs.as_ref().map_or(0, Vec::len);
            kind == "function" || items >= 1
        })
    });
    for sample in samples {
        let (address, what) = (hex(sample.id), &sample.kind);
        let held = ask(&["referents", &zoo.path, &address]);
        assert_eq!(held["total"].as_u64(), Some(rows(&held, "edges").len() as u64));
        let first = rows(&held, "edges").iter().find(|e| e["type"] != "type" && e["type"] != "NoneType").expect(what);
        let back = ask(&["referrers", &zoo.path, text(first, "address")]);
        let edge = rows(&back, "edges").iter().find(|e| e["address"] == address.as_str() && e["edge"] == first["edge"]);
        let edge = edge.unwrap_or_else(|| panic!("{what} {address} holds {first}, and is no referrer of it: {back}"));
        assert_eq!((&edge["kind"], &edge["type"]), (&first["kind"], &sample.r#type.as_str().into()));
        let holders = ask(&["referrers", &zoo.path, &address]);
        for holder in rows(&holders, "edges").iter().take(2) {
            let forth = ask(&["referents", &zoo.path, text(holder, "address")]);
            let same = |e: &&Value| e["address"] == address.as_str() && e["edge"] == holder["edge"];
            assert!(rows(&forth, "edges").iter().any(|e| same(&e)), "{what} {address} is held by {holder}: {forth}");
        }
        if let Some(object) = zoo.truth.objects.iter().find(|o| o.address == sample.id && what == "list") {
            let told: BTreeSet<String> = object.referents.iter().map(|a| hex(*a)).collect();
            assert_eq!(addresses(&held, "edges"), told);
        }
        let one = ask(&["referents", &zoo.path, &address, "--limit", "1"]);
        assert_eq!((rows(&one, "edges").len(), &one["total"]), (1, &held["total"]));
    }
}

#[test]
fn show_tells_the_targets_own_values() {
    let zoo = zoo();
    let show = |id: u64, more: &[&str]| ask(&[&["show", &zoo.path, &hex(id)], more].concat());
    let long = zoo.of_kind("str", |e| e.value.as_str().is_some_and(|s| s.is_ascii() && s.len() > 20));
    let value = long.value.as_str().unwrap();
    assert_eq!(show(long.id, &["--max-string", "1000000"])["value"], value);
    let cut = show(long.id, &["--max-string", "5"]);
    assert!(text(&cut, "value").starts_with(&value[..5]) && text(&cut, "value").len() < 20, "{cut}");
    let wide = zoo.of_kind("str", |e| e.value.as_str().is_some_and(|s| !s.is_ascii() && s.len() < 900));
    assert_eq!(show(wide.id, &[])["value"], wide.value);
    let number =
        zoo.of_kind("int", |e| e.value.as_str().is_some_and(|s| s.len() > 25 && s.len() < 900 && !s.contains('x')));
    assert_eq!(show(number.id, &[])["value"], number.value);

    let instance = zoo.of_kind("instance", |e| e.attrs.as_ref().is_some_and(|a| a.len() > 2 && a.len() < 50));
    let told: Vec<(String, String)> =
        instance.attrs.iter().flatten().map(|(name, id)| (format!(".{name}"), hex(*id))).collect();
    let shown = show(instance.id, &[]);
    assert_eq!((&shown["type"], &shown["address"]), (&instance.r#type.as_str().into(), &hex(instance.id).into()));
    assert_eq!(shown["type_address"], hex(instance.type_id));
    let found: Vec<_> = rows(&shown, "fields").iter().map(|f| (text(f, "name"), text(f, "address"))).collect();
    assert!(told.iter().all(|(n, a)| found.contains(&(n, a))), "{told:?} are not in {found:?}");
    let size = zoo.truth.objects.iter().find(|o| o.address == instance.id).and_then(|o| o.size);
    assert_eq!(shown["shallow_bytes"].as_u64(), size);

    let dict = zoo.of_kind("dict", |e| e.value.as_array().is_some_and(|v| v.len() > 5 && v.len() < 90));
    let pairs = dict.value.as_array().unwrap();
    let shown = show(dict.id, &["--depth", "2"]);
    let values: BTreeSet<String> = addresses(&shown, "fields");
    assert!(pairs.iter().all(|p| values.contains(&hex(p[1].as_u64().unwrap()))), "{shown}");
    let few = show(dict.id, &["--max-entries", "2"]);
    assert_eq!(rows(&few, "fields").len(), 2);
    let outer = zoo.of_kind("list", |e| e.value.as_array().is_some_and(|v| (1..50).contains(&v.len())));
    let depth = |n: &str| show(outer.id, &["--depth", n]);
    assert_eq!(rows(&depth("0"), "fields").len(), 0);
    assert!(rows(&depth("1"), "fields").iter().all(|f| f.get("fields").is_none()));
}

#[test]
fn raw_memory_and_objects_tell_the_same() {
    let zoo = zoo();
    let list = zoo.of_kind("list", |e| e.value.as_array().is_some_and(|v| !v.is_empty()));
    let address = hex(list.id);
    let memory = ask(&["hex", &zoo.path, &address, "--length", "24", "--before", "16"]);
    assert_eq!((text(&memory, "bytes").len(), &memory["start"]), (80, &hex(list.id - 16).into()));
    let word = |n: usize| {
        let digits = &text(&memory, "bytes")[n * 16..n * 16 + 16];
        u64::from_str_radix(digits, 16).unwrap().swap_bytes()
    };
    assert_eq!(word(3), list.type_id, "ob_type");
    let of_type = rows(&memory, "words").iter().find(|w| w["address"] == hex(list.id + 8)).expect("ob_type is a word");
    assert_eq!((&of_type["object"], &of_type["type"]), (&hex(list.type_id).into(), &"type".into()));
    let hits = ask(&["find", &zoo.path, &address, "--address"]);
    let items = ask(&["referrers", &zoo.path, &address]);
    for holder in rows(&items, "edges").iter().filter(|e| e["type"] == "tuple") {
        assert!(rows(&hits, "hits").iter().any(|h| h["object"] == holder["address"]), "{holder} is not among {hits}");
    }
    let regions = ask(&["regions", &zoo.path]);
    let sum: u64 = rows(&regions, "regions").iter().map(|r| r["bytes"].as_u64().unwrap()).sum();
    assert_eq!(Some(sum), regions["snapshot"]["bytes"].as_u64());
    assert_eq!(rows(&regions, "regions").len(), ask::region_files(zoo.path.as_ref()).len());
    let module = ask(&["module", &zoo.path, "__main__"]);
    let registry = rows(&module, "fields").iter().find(|f| text(f, "name").contains("REGISTRY")).expect("a global");
    assert_eq!(ask(&["show", &zoo.path, text(registry, "address")])["type"], "dict");
}

#[test]
fn aliases_answer_the_same() {
    let zoo = zoo();
    let list = hex(zoo.of_kind("list", |_| true).id);
    for (name, alias, rest) in [
        ("types", "count-by-type", &[][..]),
        ("objects", "find-all-objects", &["--type", "list"]),
        ("show", "repr", &[list.as_str()]),
        ("referrers", "find-references", &[&list]),
        ("strings", "aggregate-strings", &[]),
        ("tasks", "async-task-graph", &[]),
        ("threads", "find-all-threads", &[]),
        ("stacks", "find-all-stacks", &[]),
        ("module", "find-module", &["__main__"]),
        ("hex", "context", &[&list]),
    ] {
        let with = |command| ask(&[&[command, zoo.path.as_str()], rest].concat());
        assert!(with(name) == with(alias), "{alias} answers as {name} does");
    }
}

/// `zoo.py` has no thread that waits, so that what `threads` says of locks is asked of another program.
#[test]
fn threads_that_wait_say_for_what() {
    let interpreter = zoo().interpreter.clone();
    let target = support::Target::start(&interpreter, "locks.py", &[]);
    target.wait_until_in(34); // pause, on x86-64
    let answer = ask(&["threads", "--pid", &target.pid.to_string()]);
    let place = json!({"function": "string", "file": "string", "line": "null|count"});
    let of = json!({"name": "string", "address": "address", "type": "string", "summary": "string"});
    let wait = json!({
        "address": "address", "type": "string", "what": "string", "timeout": "bool", "holder": "null|count",
        "certainty": "null|string", "candidates": ["count"], "of": "any", "held_at": "any",
    });
    fits(&answer, &json!({"deadlocks": [["count"]], "explained": ["string"]}), "threads");
    let (mut waits, mut held, mut behind) = (0, 0, 0);
    for row in rows(&answer, "threads").iter().filter(|r| !r["waits_for"].is_null()) {
        fits(&row["waits_for"], &wait, "waits_for");
        let certainty = &row["waits_for"]["certainty"];
        assert!([&json!("owner"), &json!("frame"), &Value::Null].contains(&certainty), "{row}");
        assert_eq!(certainty.is_null(), row["waits_for"]["holder"].is_null(), "{row}");
        for (field, shape, count) in [("held_at", &place, &mut held), ("of", &of, &mut behind)] {
            let value = &row["waits_for"][field];
            if !value.is_null() {
                fits(value, shape, field);
                *count += 1;
            }
        }
        waits += 1;
    }
    assert!(waits > 30 && held > 10 && behind > 5, "{waits} wait, {held} held, {behind} behind");
    let out = run(&["threads", "--pid", &target.pid.to_string(), "--limit", "1"]);
    let text = String::from_utf8_lossy(&out.stdout);
    let deadlocks = rows(&answer, "deadlocks").len();
    assert_eq!(text.lines().filter(|l| l.starts_with("✗ deadlock: ")).count(), deadlocks, "{text}");
    assert!(text.lines().any(|l| l.starts_with("✗ deadlock ")), "{text}");
}
