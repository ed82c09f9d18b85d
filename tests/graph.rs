//! `graph`: what is drawn is what `referents` and `referrers` say, and Graphviz reads it as it is meant.
//!
//! Graphviz itself is the parser: nodes, edges and labels of its JSON are compared with those of ours, on names and
//! values that are hostile to it. Without it on PATH that part is skipped, unless PYMEM_TUI_REQUIRE_TOOLS names `dot`.

#[path = "contract/ask.rs"]
mod ask;
mod support;

use ask::{ask, refused, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use support::{Target, interpreters, tool};

/// The target, captured once, and the addresses that it told.
fn captured() -> &'static (String, BTreeMap<String, String>, tempfile::TempDir) {
    static CAPTURED: OnceLock<(String, BTreeMap<String, String>, tempfile::TempDir)> = OnceLock::new();
    CAPTURED.get_or_init(|| {
        let interpreter = interpreters().pop().unwrap();
        let target = Target::start(&interpreter, "graph.py", &[]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump").to_str().unwrap().to_owned();
        ask(&["capture", "--pid", &target.pid.to_string(), "-o", &path]);
        let told = target.said.iter().filter_map(|l| l.split_once(' ')).map(|(n, a)| (n.to_owned(), a.to_owned()));
        (path, told.collect(), folder)
    })
}

fn at(name: &str) -> &'static str {
    &captured().1[name]
}

fn graph(name: &str, options: &[&str]) -> Value {
    ask(&[&["graph", &captured().0, at(name)], options].concat())
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("{value} has no list {name}"))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{value} has no text {name}"))
}

fn addresses(graph: &Value) -> BTreeSet<&str> {
    list(graph, "nodes").iter().map(|n| text(n, "address")).collect()
}

/// Every edge is all of its holder's references to the object at its end; how many edges there are.
fn edges_are_references(graph: &Value) -> usize {
    let nodes = addresses(graph);
    assert!(nodes.len() == list(graph, "nodes").len(), "each object once: {graph}");
    let mut compared = 0;
    for node in &nodes {
        let from: Vec<_> = list(graph, "edges").iter().filter(|e| e["from"] == *node).collect();
        if from.is_empty() {
            continue;
        }
        let said = ask(&["referents", &captured().0, node]);
        for edge in from {
            let of: Vec<_> = list(&said, "edges").iter().filter(|e| e["address"] == edge["to"]).collect();
            let of: Vec<_> = of.into_iter().filter(|e| e["kind"] == edge["kind"]).collect();
            assert_eq!(edge["count"].as_u64(), Some(of.len() as u64), "{edge}: {of:?}");
            let names: BTreeSet<_> = of.iter().map(|e| text(e, "edge")).collect();
            assert!(list(edge, "names").iter().all(|n| names.contains(n.as_str().unwrap())), "{edge}: {names:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, list(graph, "edges").len(), "no edge is without its objects");
    compared
}

/// What is drawn for paths are the paths that `path` tells: their objects, their steps, the roots where they begin.
#[test]
fn paths_to_an_object_are_those_that_path_tells() {
    for limit in ["1", "8"] {
        let graph = graph("middle", &[&format!("--paths={limit}")]);
        let paths = ask(&["path", &captured().0, at("middle"), "--all", limit]);
        let paths: Vec<_> = list(&paths, "paths").iter().map(|p| p.as_array().unwrap()).collect();
        assert!(!paths.is_empty());
        let steps: BTreeSet<_> = paths.iter().flat_map(|p| p.iter()).map(|s| text(s, "address")).collect();
        assert_eq!(addresses(&graph), steps);
        let pairs = paths.iter().flat_map(|p| p.iter().zip(&p[1..]));
        let pairs: BTreeSet<_> = pairs.map(|(a, b)| (text(a, "address"), text(b, "address"))).collect();
        let drawn: BTreeSet<_> = list(&graph, "edges").iter().map(|e| (text(e, "from"), text(e, "to"))).collect();
        assert_eq!(drawn, pairs);
        assert_eq!(edges_are_references(&graph), pairs.len(), "each step once");
        let begin: BTreeSet<_> = paths.iter().map(|p| (text(&p[0], "edge"), text(&p[0], "address"))).collect();
        let roots: BTreeSet<_> = list(&graph, "roots").iter().map(|r| (text(r, "name"), text(r, "address"))).collect();
        assert_eq!(roots, begin);
        assert!(graph.get("paths_left_out").is_none());
    }
    let none = graph("middle", &["--paths", "--exclude", "dict"]);
    assert!(none["paths_left_out"].as_u64() > Some(0), "every path goes through a namespace: {none}");
}

#[test]
fn every_edge_is_one_of_its_holders_references() {
    let graph = graph("middle", &["--depth", "3", "--breadth", "12", "--all-edges"]);
    assert!(edges_are_references(&graph) > 10);
    let twice = list(&graph, "edges").iter().find(|e| e["from"] == at("twice")).unwrap();
    assert_eq!((&twice["count"], list(twice, "names").len()), (&5.into(), 3), "five references in one line: {twice}");
}

#[test]
fn fans_are_folded_and_what_is_folded_is_counted() {
    let graph = graph("wide", &["--depth", "1", "--breadth", "6", "--only", "referents"]);
    assert_eq!(list(&graph, "nodes").len(), 7);
    let folded = list(&graph, "folded");
    assert_eq!((folded.len(), &folded[0]["count"]), (1, &4994.into()));
    let dot = run(&["graph", &captured().0, at("wide"), "--depth", "1", "--breadth", "6", "--only", "referents"]);
    assert!(String::from_utf8(dot.stdout).unwrap().contains("… 4,994 more"));

    let holders = self::graph("middle", &["--depth", "1", "--breadth", "3", "--only", "referrers"]);
    let shown: u64 = list(&holders, "edges").iter().map(|e| e["count"].as_u64().unwrap()).sum();
    let total = ask(&["referrers", &captured().0, at("middle"), "--limit", "0"])["total"].as_u64().unwrap();
    assert!(total > 100, "100 dicts hold it: {total}");
    assert_eq!(shown + list(&holders, "folded")[0]["count"].as_u64().unwrap(), total);
    assert!(list(&holders, "edges").iter().all(|e| e["to"] == at("middle")));

    let small = self::graph("middle", &["--max-objects", "5", "--depth", "9"]);
    assert_eq!(list(&small, "nodes").len(), 5);
}

/// How far each object is from the centre, by the edges that were drawn.
fn distances(graph: &Value, forward: bool) -> BTreeMap<&str, usize> {
    let (from, to) = if forward { ("from", "to") } else { ("to", "from") };
    let mut far = BTreeMap::from([(text(graph, "centre"), 0)]);
    for step in 1.. {
        let before: BTreeSet<&str> = far.keys().copied().collect();
        let edges = list(graph, "edges").iter().filter(|e| before.contains(text(e, from)));
        let new: Vec<_> = edges.map(|e| text(e, to)).filter(|a| !before.contains(a)).collect();
        if new.is_empty() {
            return far;
        }
        far.extend(new.into_iter().map(|a| (a, step)));
    }
    far
}

#[test]
fn limits_and_choices_are_kept() {
    for depth in [0, 1, 2, 4] {
        let graph = graph("middle", &["--depth", &depth.to_string(), "--only", "referents"]);
        let far = distances(&graph, true);
        assert_eq!(far.len(), addresses(&graph).len(), "all hang together");
        assert_eq!(far.values().max(), Some(&depth), "{graph}");
    }
    let up = graph("leaf", &["--depth", "2", "--only", "referrers"]);
    assert_eq!(distances(&up, false).len(), addresses(&up).len());

    let all = graph("middle", &["--depth", "2"]);
    let types = |g: &Value| list(g, "nodes").iter().map(|n| text(n, "type").to_owned()).collect::<BTreeSet<_>>();
    assert!(types(&all).contains("list") && addresses(&all).contains(at("leaf")));
    let without = graph("middle", &["--depth", "2", "--exclude", "list", "--exclude", at("leaf")]);
    assert!(!types(&without).contains("list") && !addresses(&without).contains(at("leaf")), "{without}");
    assert!(addresses(&without).contains(at("odd")));

    let marked = graph("middle", &["--depth", "2", "--highlight", "__main__.Node", "--highlight", at("wide")]);
    for node in list(&marked, "nodes") {
        let expected = node["type"] == "__main__.Node" || node["address"] == at("wide");
        assert_eq!(node["highlighted"], expected, "{node}");
    }
    let error = refused(&["graph", &captured().0, at("leaf"), "--exclude", "no.such.Type"]);
    assert!(error.contains("no.such.Type"), "{error}");
}

type Labels = BTreeMap<String, String>;
type Lines = BTreeSet<(String, String, String)>;

/// What Graphviz makes of a graph: labels by node, and pairs of nodes with their labels.
fn read_by_graphviz(dot: &[u8]) -> (Labels, Lines) {
    let mut child = Command::new("dot").arg("-Tjson0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let dot = dot.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&dot).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.status.success());
    let read: Value = serde_json::from_slice(&out.stdout).unwrap();
    let nodes = list(&read, "objects");
    let name = |i: &Value| text(&nodes[i.as_u64().unwrap() as usize], "name").to_owned();
    let labels = nodes.iter().map(|n| (text(n, "name").to_owned(), text(n, "label").to_owned())).collect();
    let label = |e: &Value| e.get("label").and_then(Value::as_str).unwrap_or("").to_owned();
    (labels, list(&read, "edges").iter().map(|e| (name(&e["tail"]), name(&e["head"]), label(e))).collect())
}

#[test]
fn graphviz_reads_what_is_meant() {
    if !tool("dot") {
        return;
    }
    let options = ["--depth", "3", "--breadth", "5"];
    let graph = graph("middle", &options);
    let dot = run(&[&["graph", &captured().0, at("middle")], &options[..]].concat());
    let (labels, edges) = read_by_graphviz(&dot.stdout);
    // as Graphviz keeps a label: two backslashes are one that is shown, `&amp;` is an ampersand
    let shown =
        |label: &str| label.replace("\\\\", "\u{0}").replace("\\n", "\n").replace('\u{0}', "\\").replace("&amp;", "&");
    let mut odd = 0;
    for node in list(&graph, "nodes") {
        let label = shown(&labels[text(node, "address")]);
        let lines: Vec<_> = label.split('\n').collect();
        assert_eq!((lines.len(), lines[1]), (3, text(node, "summary")), "{node}");
        assert!(text(node, "type").ends_with(lines[0].trim_start_matches('…')), "{node}: {label}");
        odd += usize::from(lines[0].contains("quoted") || lines[1].contains("script"));
    }
    assert!(odd >= 2, "the hostile ones are among them: {labels:?}");
    let folds = list(&graph, "folded").len();
    assert!(folds > 0);
    assert_eq!(labels.len(), list(&graph, "nodes").len() + folds);
    assert_eq!(edges.len(), list(&graph, "edges").len() + folds);
    for edge in list(&graph, "edges") {
        let (from, to) = (text(edge, "from"), text(edge, "to"));
        let names: Vec<_> = list(edge, "names").iter().map(|n| n.as_str().unwrap()).collect();
        let there = edges.iter().any(|(f, t, l)| f == from && t == to && shown(l).starts_with(&names.join(", ")));
        assert!(there, "{edge}");
    }
}

#[test]
fn pictures_are_drawn_by_graphviz_and_nothing_in_them_is_markup() {
    let (dump, folder) = (&captured().0, &captured().2);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let missing = Command::new(env!("CARGO_BIN_EXE_pymem-tui"))
        .args(["graph", dump, at("odd"), "-o", &path("never.svg")])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&missing.stderr);
    assert!(missing.status.code() == Some(1) && error.contains("Graphviz is not installed"), "{error}");
    assert!(refused(&["graph", dump, at("odd"), "-o", &path("x.jpeg")]).contains(".dot, .svg"));

    let dot = path("x.dot");
    assert!(run(&["graph", dump, at("odd"), "-o", &dot]).status.success());
    assert_eq!(std::fs::read(&dot).unwrap(), run(&["graph", dump, at("odd")]).stdout);
    assert!(refused(&["graph", dump, at("odd"), "-o", &dot]).contains("exists already"));
    if !tool("dot") {
        return;
    }
    for (name, begins) in [("x.svg", &b"<?xml"[..]), ("x.png", b"\x89PNG"), ("x.pdf", b"%PDF")] {
        let out = run(&["graph", dump, at("odd"), "-o", &path(name)]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(std::fs::read(path(name)).unwrap().starts_with(begins), "{name}");
    }
    // Python's XML parser reads the picture; what is a tag in a value is text there
    let check = "import sys, xml.etree.ElementTree as E\n\
                 tags = {e.tag.split('}')[1] for e in E.parse(sys.argv[1]).iter()}\n\
                 text = ''.join(e.text or '' for e in E.parse(sys.argv[1]).iter())\n\
                 assert '<script>' in text, text\n\
                 print(*sorted(tags))";
    let python = &interpreters().pop().unwrap();
    let (program, first) = python.argv.split_first().unwrap();
    let out = Command::new(program).args(first).args(["-c", check, &path("x.svg")]).envs(&python.env).output().unwrap();
    let tags = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(tags.trim(), "g path polygon polyline svg text title".replace("polyline ", ""), "no other tags");
}
