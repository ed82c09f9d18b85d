//! `export`: programs of others read what was written, and find what `types` and `regions` say.
//!
//! DuckDB and Spark read the tables, the code of Chrome's DevTools the heap snapshot (`.ci/tools` installs them into
//! `target/tools`; without one its part is skipped, unless PYMEM_TUI_REQUIRE_TOOLS names it: `duckdb`, `spark`,
//! `devtools`). The queries of docs/export.md are run as they stand there.

#[path = "contract/ask.rs"]
mod ask;
mod support;

use ask::{Zoo, ask, hex, refused, run, zoo};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `.ci/tools` installs, if it did.
fn installed(name: &str, path: &str) -> Option<PathBuf> {
    let path = root().join("target/tools").join(path);
    let required = std::env::var("PYMEM_TUI_REQUIRE_TOOLS").unwrap_or_default();
    assert!(path.exists() || !required.split(',').any(|r| r == name), "{name} is required: run .ci/tools");
    if !path.exists() {
        println!("{name} is not installed: skipped");
    }
    path.exists().then_some(path)
}

fn export(zoo: &Zoo, to: &Path, options: &[&str]) {
    let out = run(&[&["export", &zoo.path, "-o", to.to_str().unwrap()], options].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stdout.is_empty());
}

/// Name, count and bytes of each type, by its address.
fn told_by_types(zoo: &Zoo) -> BTreeMap<String, Value> {
    let types = ask(&["types", &zoo.path]);
    let rows = types["types"].as_array().unwrap().iter();
    rows.map(|t| (t["address"].as_str().unwrap().to_owned(), json!([t["name"], t["count"], t["shallow_bytes"]])))
        .collect()
}

#[test]
fn duckdb_reads_the_same_counts_and_sums_from_every_format() {
    let Some(python) = installed("duckdb", "duckdb/bin/python") else { return };
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let types = told_by_types(zoo);
    let regions = ask(&["regions", &zoo.path, "--all"]);
    let regions = regions["regions"].as_array().unwrap();
    let bytes: u64 = regions.iter().map(|r| r["bytes"].as_u64().unwrap()).sum();
    let stacks = ask(&["stacks", &zoo.path]);
    let tasks = ask(&["tasks", &zoo.path]);
    let frames = |list: &Value, name: &str| -> usize {
        list.as_array().unwrap().iter().map(|t| t[name].as_array().unwrap().len()).sum()
    };
    let mut edges = BTreeSet::new();
    let mut formats = vec![("csv", "csv"), ("json", "jsonl")];
    if cfg!(feature = "parquet") {
        formats.push(("parquet", "parquet"));
    }
    for (format, extension) in formats {
        let to = folder.path().join(format);
        export(zoo, &to, &["--format", format]);
        let mut asked = Command::new(&python);
        let out = asked.arg(root().join("tests/export/tables.py")).arg(&to).arg(extension).output().unwrap();
        assert!(out.status.success(), "{format}: {}", String::from_utf8_lossy(&out.stderr));
        let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
        let read = |name: &str| answer[name].as_object().unwrap().clone().into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!(read("objects"), types, "{format}: objects by type");
        assert_eq!(read("types"), types, "{format}: types");
        assert_eq!(answer["dangling"], 0, "{format}: every reference is between two objects");
        assert_eq!(answer["regions"], json!([regions.len(), bytes]), "{format}");
        assert_eq!(answer["tasks"], tasks["tasks"].as_array().unwrap().len(), "{format}");
        assert_eq!(
            answer["frames"],
            frames(&stacks["threads"], "frames") + frames(&tasks["tasks"], "stack"),
            "{format}"
        );
        assert_eq!(answer["snapshot"], json!([zoo.pid, stacks["snapshot"]["python"]]), "{format}");
        edges.insert(answer["edges"].as_u64().unwrap());
    }
    assert_eq!(edges.len(), 1, "all formats have as many references: {edges:?}");
    assert!(edges.first() > Some(&100_000));
}

/// What an engine finds in the exports of several processes, and what it answers to the queries of docs/export.md.
fn ask_fleet(python: &Path, engine: &str, folder: &Path) -> Value {
    let mut asked = Command::new(python);
    asked.arg(root().join("tests/export/fleet.py")).arg(engine).arg(root().join("docs/export.md")).current_dir(folder);
    let out = asked.output().unwrap();
    assert!(out.status.success(), "{engine}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn a_fleet_is_asked_the_same_in_duckdb_and_spark() {
    if !cfg!(feature = "parquet") {
        return;
    }
    let duckdb = installed("duckdb", "duckdb/bin/python");
    let spark = installed("spark", "spark/bin/python");
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let target = support::Target::start(&zoo.interpreter, "report.py", &[]);
    let other = folder.path().join("other").to_str().unwrap().to_owned();
    ask(&["capture", "--pid", &target.pid.to_string(), "-o", &other]);
    std::fs::create_dir(folder.path().join("exports")).unwrap();
    let number = |text: &Value| u64::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap();
    let (mut sums, mut types, mut retained) = (Vec::new(), Vec::new(), Vec::new());
    for (pod, snapshot) in [("api", &other), ("zoo", &zoo.path)] {
        let to = folder.path().join(format!("exports/pod={pod}"));
        let out = run(&["export", snapshot, "--format", "parquet", "--retained", "-o", to.to_str().unwrap()]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let told = ask(&["types", snapshot, "--retained"]);
        let mut rows: Vec<&Value> = told["types"].as_array().unwrap().iter().collect();
        rows.sort_by_key(|t| number(&t["address"]));
        for t in rows {
            let at = number(&t["address"]);
            // a type that is known and has no object is in `types` alone
            if t["count"] != 0 {
                sums.push(json!([pod, at, t["count"], t["shallow_bytes"]]));
            }
            types.push(json!([pod, at, t["count"], t["shallow_bytes"], t["retained_bytes"]]));
            retained.push((t["retained_bytes"].as_f64().unwrap(), json!([pod, t["name"]])));
        }
    }
    retained.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut answers = Vec::new();
    for (engine, python) in [("duckdb", duckdb), ("spark", spark)] {
        let Some(python) = python else { continue };
        let answer = ask_fleet(&python, engine, folder.path());
        assert_eq!(answer["objects"], json!(sums), "{engine}: objects by pod and type");
        assert_eq!(answer["types"], json!(types), "{engine}: types by pod");
        assert_eq!(answer["dangling"], 0, "{engine}: every reference is between two objects");
        let queries = answer["queries"].as_array().unwrap();
        assert!(queries.len() >= 7 && queries.iter().all(|rows| !rows.as_array().unwrap().is_empty()), "{queries:?}");
        // the first is what `types --retained` says
        let first = &queries[0][0];
        assert_eq!(json!([first[0], first[1]]), retained[0].1, "{engine}");
        answers.push(answer);
    }
    if let [one, two] = &answers[..] {
        assert_eq!(one, two, "both engines find the same rows");
    }
}

/// The rows of a JSON export.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
}

#[test]
fn rows_are_what_objects_and_referents_say() {
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    export(zoo, &to, &["--format", "json", "--tables", "objects,edges", "--edge-names", "--summaries"]);
    let mut names: Vec<_> = std::fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["edges.jsonl", "objects.jsonl"]);
    let objects = lines(&to.join("objects.jsonl"));
    let told = ask(&["objects", &zoo.path]);
    assert_eq!(objects.len() as u64, told["total"].as_u64().unwrap());
    for (row, told) in objects.iter().zip(told["objects"].as_array().unwrap()) {
        for field in ["address", "type", "type_address", "refcount", "shallow_bytes", "summary"] {
            assert_eq!(row[field], told[field], "{row} {told}");
        }
    }
    let mut by_holder: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for edge in lines(&to.join("edges.jsonl")) {
        let holder = edge["from"].as_str().unwrap().to_owned();
        by_holder.entry(holder).or_default().push(json!([edge["to"], edge["kind"], edge["name"]]));
    }
    for kind in ["dict", "instance", "list", "function"] {
        let object = hex(zoo.of_kind(kind, |e| e.value.as_array().is_none_or(|v| v.len() > 1)).id);
        let told = ask(&["referents", &zoo.path, &object]);
        let told = told["edges"].as_array().unwrap().iter();
        let told: Vec<_> = told.map(|e| json!([e["address"], e["kind"], e["edge"]])).collect();
        assert_eq!(by_holder.get(&object).cloned().unwrap_or_default(), told, "{kind} {object}");
    }
}

#[test]
fn retained_sizes_are_those_of_the_commands() {
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    export(zoo, &to, &["--format", "json", "--tables", "objects,types", "--retained"]);
    let table = |name: &str| -> BTreeMap<String, u64> {
        let rows = lines(&to.join(format!("{name}.jsonl"))).into_iter();
        rows.map(|r| (r["address"].as_str().unwrap().to_owned(), r["retained_bytes"].as_u64().unwrap())).collect()
    };
    let objects = table("objects");
    let told = ask(&["retained", &zoo.path, "--limit", "1000"]);
    let told: Vec<_> = told["objects"].as_array().unwrap().iter().filter(|r| !r["address"].is_null()).collect();
    assert!(told.len() > 900, "{}", told.len());
    for row in told {
        assert_eq!(Some(&objects[row["address"].as_str().unwrap()]), row["retained_bytes"].as_u64().as_ref(), "{row}");
    }
    let types = ask(&["types", &zoo.path, "--retained"]);
    let told = types["types"].as_array().unwrap().iter();
    let told: BTreeMap<_, _> =
        told.map(|t| (t["address"].as_str().unwrap().to_owned(), t["retained_bytes"].as_u64().unwrap())).collect();
    assert_eq!(table("types"), told);
}

#[test]
fn devtools_read_the_same_graph() {
    let Some(module) = installed("devtools", "devtools/node_modules/heap-snapshot-toolkit/index.js") else { return };
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, options: &[&str]| -> Value {
        let to = folder.path().join(name);
        export(zoo, &to, &[&["--format", "heapsnapshot"], options].concat());
        let mut node = Command::new("node");
        let out = node.arg(root().join("tests/export/devtools.mjs")).arg(&module).arg(&to).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let whole = read("whole.heapsnapshot", &[]);
    let types = ask(&["types", &zoo.path]);
    const GROUPS: u64 = 8;
    assert_eq!(
        whole["nodes"].as_u64().unwrap(),
        types["total"]["count"].as_u64().unwrap() + GROUPS,
        "every object is a node"
    );
    // what objects own beside their shallow size comes on top
    assert!(whole["bytes"].as_u64() >= types["total"]["shallow_bytes"].as_u64());
    assert_eq!(whole["retained"], whole["bytes"], "the root retains everything");
    let out = folder.path().join("edges");
    export(zoo, &out, &["--format", "csv", "--tables", "edges"]);
    let edges = std::fs::read_to_string(out.join("edges.csv")).unwrap().lines().count() as u64 - 1;
    let beyond = whole["edges"].as_u64().unwrap().checked_sub(edges).expect("no edge is missing");
    assert!(beyond > 0 && beyond < edges, "the groups' own edges come on top: {beyond}");
    let dicts = types["types"].as_array().unwrap().iter().find(|t| t["name"] == "dict").unwrap();
    assert_eq!(whole["names"]["dict"], dicts["count"]);

    let part = read("part.heapsnapshot", &["--max-objects", "1000"]);
    assert_eq!(part["nodes"], 1000 + GROUPS);
    let list = hex(zoo.of_kind("list", |e| e.value.as_array().is_some_and(|v| v.len() > 1)).id);
    let below = read("below.heapsnapshot", &["--from", &list]);
    assert!(below["nodes"].as_u64() > Some(GROUPS + 1) && below["nodes"].as_u64() <= whole["nodes"].as_u64());
}

#[test]
fn what_cannot_be_written_is_said_before_the_work() {
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().to_str().unwrap();
    for command in [&["export", &zoo.path, "--format", "csv", "-o", taken][..], &["report", &zoo.path, "-o", taken]] {
        assert!(refused(command).contains("exists already"), "{command:?}");
    }
    let nowhere = folder.path().join("none/out");
    let error = refused(&["export", &zoo.path, "--format", "csv", "-o", nowhere.to_str().unwrap()]);
    assert!(error.contains("nothing can be written in"), "{error}");
    let error = refused(&["export", &zoo.path, "--format", "csv", "--from", "1", "-o", &format!("{taken}/x")]);
    assert!(error.contains("heapsnapshot"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

/// What is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    entries.collect()
}

/// Starts an export into `folder` and kills it as soon as it `has_begun`; what is left there then.
fn killed(zoo: &Zoo, folder: &Path, options: &[&str], has_begun: &dyn Fn(u32) -> bool) -> Vec<String> {
    for _ in 0..20 {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
        program.args(["export", &zoo.path, "-q", "-o"]).arg(folder.join("out")).args(options);
        let mut program = program.spawn().unwrap();
        while !has_begun(program.id()) && program.try_wait().unwrap().is_none() {}
        program.kill().unwrap();
        if !program.wait().unwrap().success() {
            return names(folder);
        }
        // it was quicker than we
        let out = folder.join("out");
        if out.is_dir() {
            std::fs::remove_dir_all(&out).unwrap()
        } else {
            std::fs::remove_file(&out).unwrap()
        };
    }
    panic!("it is never caught while it writes");
}

#[test]
fn a_killed_export_leaves_nothing_or_what_the_next_one_removes() {
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let tables = ["--format", "csv"];
    let writes = |_| {
        names(folder.path())
            .iter()
            .any(|name| std::fs::read_dir(folder.path().join(name)).is_ok_and(|mut d| d.next().is_some()))
    };
    let left = killed(zoo, folder.path(), &tables, &writes);
    assert!(left.len() == 1 && left[0].starts_with(".out.partial-"), "{left:?}");
    export(zoo, &folder.path().join("out"), &tables);
    assert_eq!(names(folder.path()), ["out"]);

    // one file has no name before it is whole
    let folder = tempfile::tempdir().unwrap();
    let graph = ["--format", "heapsnapshot"];
    let at = folder.path().to_string_lossy().into_owned();
    let writes = |pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut files = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        files.any(|file| file.to_string_lossy().starts_with(&at))
    };
    let left = killed(zoo, folder.path(), &graph, &writes);
    let nameless = left.is_empty();
    assert!(nameless || left.len() == 1 && left[0].starts_with(".out.partial-"), "{left:?}");
    println!("a file without a name: {nameless}");
    export(zoo, &folder.path().join("out"), &graph);
    assert_eq!(names(folder.path()), ["out"]);
}
