//! `report`: one page that asks for nothing, runs nothing, and shows what the commands say, on screen and on paper.
//!
//! Chromium opens it (tests/export/browser.mjs; skipped without it, unless PYMEM_TUI_REQUIRE_TOOLS names `chromium`).

#[path = "contract/ask.rs"]
mod ask;
mod support;

use ask::{ask, run};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Python's HTML parser goes through the page: tags, what they refer to, and the text of each element.
const PARSE: &str = r#"
import html.parser, json, sys
class Parser(html.parser.HTMLParser):
    open, tags, attributes, text, problems = [], set(), set(), [], []
    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)
        if tag not in ("meta", "br"): self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag: self.problems.append("</%s>" % tag)
    def handle_data(self, data):
        if "style" not in self.open: self.text.append(data)
parser = Parser()
parser.feed(open(sys.argv[1], encoding="utf-8").read())
parser.close()
print(json.dumps({"tags": sorted(parser.tags), "attributes": sorted(parser.attributes), "left": parser.open,
                  "problems": parser.problems, "text": "".join(parser.text)}))
"#;

#[test]
fn a_report_is_one_page_that_runs_nothing_and_says_what_the_commands_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut interpreters = support::interpreters();
    let at = interpreters.iter().position(|i| i.name.starts_with("3.12")).unwrap_or(0);
    let interpreter = interpreters.swap_remove(at);
    let target = support::Target::start(&interpreter, "graph.py", &[]);
    let dump = folder.path().join("<b>dump & \"x\"");
    ask(&["capture", "--pid", &target.pid.to_string(), "-o", dump.to_str().unwrap()]);
    let page = folder.path().join("report.html");
    let out = run(&["report", dump.to_str().unwrap(), "-o", page.to_str().unwrap(), "--locals"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let script = folder.path().join("parse.py");
    std::fs::write(&script, PARSE).unwrap();
    let (program, first) = interpreter.argv.split_first().unwrap();
    let mut python = Command::new(program);
    let out = python.args(first).arg(&script).arg(&page).envs(&interpreter.env).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let read: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&read["problems"], &read["left"]), (&json!([]), &json!([])), "every tag is closed");
    let tags: Vec<_> = read["tags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    for tag in &tags {
        const KNOWN: &str =
            " html head meta title style body h1 h2 h3 p ul li span table thead tr th td svg rect text pre ";
        assert!(KNOWN.contains(&format!(" {tag} ")), "{tag} is none of ours");
    }
    for attribute in read["attributes"].as_array().unwrap() {
        let name = attribute.as_str().unwrap();
        assert!(!name.starts_with("on") && !["src", "href", "srcset", "action"].contains(&name), "{name}");
    }
    let text = read["text"].as_str().unwrap();
    // a class whose name is full of markup reads as it is called
    assert!(text.contains(r#"Odd "quoted\\N" &amp; <b>"#) || text.contains(r#"Odd "quoted\N" &amp; <b>"#), "{text}");
    assert!(text.contains("<script>\"];x[label="), "the variable of a frame: {text}");
    let types = ask(&["types", dump.to_str().unwrap()]);
    for row in types["types"].as_array().unwrap().iter().take(20) {
        assert!(text.contains(row["name"].as_str().unwrap()), "{row}");
    }
    let leaks = ask(&["leaks", dump.to_str().unwrap()]);
    for suspect in leaks["suspects"].as_array().unwrap() {
        let told = [suspect["reason"].as_str().unwrap(), suspect["path_text"].as_str().unwrap()];
        assert!(told.iter().all(|part| text.contains(part)), "{suspect}");
    }
    assert!(!leaks["suspects"].as_array().unwrap().is_empty(), "the target gathers objects");
    for part in
        ["What stands out", "Leak suspects", "Types", "Deadlocks", "Memory", "Threads", &format!("pid {}", target.pid)]
    {
        assert!(text.contains(part), "{part}");
    }
}

/// The texts of a field of each row.
fn texts<'v>(rows: &'v Value, field: &str) -> Vec<&'v str> {
    rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

/// What Chromium says of a page; `screen.png` and `print.pdf` are left in `folder`.
fn browse(page: &Path, folder: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/browser.mjs");
    let mut node = Command::new("node");
    let out = node.arg(script).arg("chromium").arg(page).arg(folder).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn a_browser_shows_and_prints_it_and_asks_for_nothing() {
    if !support::tool("chromium") || !support::tool("node") {
        return;
    }
    let mut interpreters = support::interpreters();
    let at = interpreters.iter().position(|i| i.name.starts_with("3.12")).unwrap_or(0);
    let folder = tempfile::tempdir().unwrap();
    // a program in a folder whose name has no place to break a line at
    let deep = folder.path().join("deeply_".repeat(30));
    std::fs::create_dir(&deep).unwrap();
    let script = deep.join("report.py");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/targets/report.py"), &script).unwrap();
    let target = support::Target::start(&interpreters.swap_remove(at), script.to_str().unwrap(), &[]);
    let dump = folder.path().join("dump").to_str().unwrap().to_owned();
    ask(&["capture", "--pid", &target.pid.to_string(), "-o", &dump]);
    let page = folder.path().join("report.html");
    let out = run(&["report", &dump, "-o", page.to_str().unwrap(), "--locals"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let seen = browse(&page, folder.path());
    let only: Vec<String> = texts_of(&seen["requests"]);
    assert!(only.len() == 1 && only[0].starts_with("file://") && only[0].ends_with("/report.html"), "{only:?}");
    assert_eq!(seen["complaints"], json!([]), "nothing is blocked, and no script is there to run");

    let memory = ask(&["memory", &dump]);
    let [types, threads, tasks, leaks] = ["types", "threads", "tasks", "leaks"].map(|name| ask(&[name, &dump]));
    let deadlocked: Vec<&Value> =
        tasks["verdicts"].as_array().unwrap().iter().filter(|v| v["deadlock"] == true).collect();
    let of_tasks: Vec<&str> = deadlocked.iter().map(|v| v["sentence"].as_str().unwrap()).collect();
    let of_threads: Vec<String> = texts_of(&threads["explained"]);
    assert_eq!((of_tasks.len(), of_threads.len()), (1, 1), "the target has one deadlock of each kind");
    let mut regions: Vec<&Value> = memory["regions"].as_array().unwrap().iter().collect();
    regions.sort_by_key(|r| std::cmp::Reverse(r["resident_bytes"].as_u64()));
    let mut expected = [of_tasks, texts(&leaks["suspects"], "reason"), texts(&leaks["suspects"], "path_text")].concat();
    expected.extend(of_threads.iter().map(String::as_str));
    expected.extend(texts(&types["types"], "name").iter().take(40));
    expected.extend(texts(&memory["findings"], "sentence"));
    expected.extend(texts(&memory["rows"], "label"));
    expected.extend(regions.iter().take(40).map(|r| r["start"].as_str().unwrap()));
    expected.extend(["<img src=", "Deadlocks", "Leak suspects", "What stands out"]);
    // laid out on a wide screen, on a narrow one, and on paper, and nowhere wider than its window
    for medium in ["wide", "narrow", "print"] {
        let text = squeezed(seen[medium]["text"].as_str().unwrap());
        for part in &expected {
            assert!(text.contains(&squeezed(part)), "{medium}: {part}");
        }
        assert_eq!(seen[medium]["overflow"], 0, "{medium}: nothing has to be scrolled to");
        pictures(&seen[medium], &memory, regions.len(), medium);
    }
    assert!(seen["pages"].as_u64() >= Some(3), "{} pages", seen["pages"]);
    let printed = std::fs::read(folder.path().join("print.pdf")).unwrap();
    assert!(printed.starts_with(b"%PDF-") && printed.len() > 20_000);

    // the same with a picture from elsewhere and a script: what would be noticed
    let spoiled = folder.path().join("spoiled.html");
    let text = std::fs::read_to_string(&page).unwrap();
    let outside = "<img src=\"http://127.0.0.1:9/x\"><script>document.title = 'x'</script></body>";
    std::fs::write(&spoiled, text.replace("</body>", outside)).unwrap();
    let seen = browse(&spoiled, folder.path());
    assert_eq!(seen["requests"].as_array().unwrap().len(), 2, "it is asked for");
    assert!(seen["complaints"].as_array().unwrap().len() >= 2, "the page's policy stops both: {}", seen["complaints"]);
    assert_ne!(seen["wide"]["title"], "x");
}

fn texts_of(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap()
}

/// Without what wraps lines.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Each picture has an area and parts in colour within it; the first one's are as wide as the rows say.
fn pictures(seen: &Value, memory: &Value, regions: usize, medium: &str) {
    let all = seen["pictures"].as_array().unwrap();
    for picture in all {
        assert!(
            picture["width"].as_f64() > Some(20.0) && picture["height"].as_f64() > Some(2.0),
            "{medium}: {picture}"
        );
        for part in picture["parts"].as_array().unwrap() {
            assert!(part["inside"] == true && part["height"].as_f64() > Some(1.0), "{medium}: {part}");
            let fill = part["fill"].as_str().unwrap();
            assert!(fill.starts_with("rgb(") && fill != "rgb(0, 0, 0)", "{medium}: {part}");
        }
    }
    let named = |begin: &str| -> Vec<&Value> {
        all.iter().filter(|p| p["name"].as_str().is_some_and(|name| name.starts_with(begin))).collect()
    };
    let whole = named("where the memory went");
    assert_eq!(whole.len(), 1, "{medium}: one picture of it all");
    let whole = whole[0];
    // its own units are a thousandth of its width
    let width = whole["scale"].as_f64().unwrap() * 1000.0;
    assert!((whole["width"].as_f64().unwrap() - width).abs() < width / 500.0, "{medium}: {whole}");
    let resident = memory["resident_bytes"].as_u64().unwrap();
    let expected = memory["rows"].as_array().unwrap().iter();
    let expected = expected.map(|r| r["resident_bytes"].as_f64().unwrap() * width / resident as f64);
    let expected: Vec<f64> = expected.filter(|part| *part >= 0.05 * width / 1000.0).collect();
    let drawn: Vec<f64> = whole["parts"].as_array().unwrap().iter().map(|p| p["width"].as_f64().unwrap()).collect();
    assert_eq!(drawn.len(), expected.len(), "{medium}");
    for (drawn, expected) in drawn.iter().zip(&expected) {
        assert!((drawn - expected).abs() < 0.1, "{medium}: {drawn} instead of {expected}");
    }
    assert_eq!(named("mappings ").len(), regions.min(60).div_ceil(15), "{medium}");
}
