//! The invariants that `src/lib.rs` states, held by reading the source as text.
//!
//! Comments, literals and test code are taken out first: a rule is about what the program does. What each rule looks
//! for is proved on small made-up sources at the end, so that a rule that has stopped looking is noticed.

#[path = "layers/source.rs"]
mod source;

use source::Source;

/// Each module with what it may use of the others. A module uses only what stands above it, so nothing points back.
/// `snapshot::Addr` allows that path alone.
const LAYERS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("progress", &[]),
    ("sys", &[]),
    ("snapshot", &["progress", "text"]),
    ("capture", &["progress", "snapshot", "sys", "text"]),
    ("image", &["snapshot"]),
    ("cpython", &["image", "snapshot", "text"]),
    ("alloc", &["cpython::layout", "snapshot"]),
    ("heap", &["alloc", "cpython", "progress", "snapshot", "sys"]),
    ("analysis", &["cpython", "heap", "progress", "snapshot", "sys", "text"]),
    ("worker", &["analysis", "cpython", "heap", "progress", "snapshot", "text"]),
    (
        "tui",
        &[
            "analysis::answers",
            "analysis::query",
            "analysis::memory::FIELDS",
            "analysis::memory::Line",
            "analysis::memory::of_line",
            "analysis::retained::FIELDS",
            "analysis::tasks::FIELDS",
            "analysis::tasks::of_task",
            "analysis::threads::FIELDS",
            "analysis::threads::of_thread",
            "progress::Reading",
            "snapshot::Addr",
            "text",
            "worker",
        ],
    ),
    ("report", &["analysis::answers", "snapshot::Addr", "text"]),
    ("cli", &["analysis::answers", "snapshot::Addr", "text::parse_size"]),
    (
        "command",
        &[
            "analysis", "capture", "cli", "cpython", "heap", "progress", "report", "snapshot", "sys", "text", "tui",
            "worker",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli", "command", "sys", "text::tell"]),
];

/// What only some modules may name, and why.
const RESERVED: &[(&[&str], &[&str], &str)] = &[
    (&["ratatui", "crossterm", "tui_tree_widget"], &["tui"], "only tui draws"),
    (&["unsafe"], &["capture", "snapshot", "sys"], "unsafe code is kept where it can be looked through"),
    (&["ptrace", "process_vm_readv"], &["capture", "sys"], "only capture touches another process"),
    (
        &["println!", "print!", "eprintln!", "eprint!"],
        &[],
        "they panic where nothing can be written; text::tell does not",
    ),
    (&["SIGSTOP"], &[], "it would tell the process's parent, and outlive us"),
    (
        &["process_vm_writev", "setregs", "PTRACE_SETREGS", "PTRACE_SETSIGMASK"],
        &["capture/fork"],
        "only a fork changes the process, and puts it back",
    ),
    (&["PTRACE_POKEDATA", "PTRACE_POKETEXT", "PTRACE_POKEUSER"], &[], "no code of a process is changed"),
    (&["todo!", "dbg!"], &[], "unfinished"),
];

/// Nothing that a snapshot holds may end the program, so these are nowhere.
const PANICS: [&str; 5] = [".unwrap()", ".expect(", "panic!", "unreachable!", "unimplemented!"];

/// A file longer than this is split; one longer than the second is mentioned when another is too long.
const LONGEST: usize = 600;
const LONG: usize = 400;

fn edges(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, (module, allowed)) in LAYERS.iter().enumerate() {
        for path in *allowed {
            if !LAYERS[..at].iter().any(|(above, _)| *above == head(path)) {
                wrong.push(format!("LAYERS: {module} may use {path}, which does not stand above it"));
            }
        }
    }
    for source in sources {
        let Some((_, allowed)) = LAYERS.iter().find(|(module, _)| *module == source.module) else {
            wrong.push(format!("{}: LAYERS does not say where {} stands", source.path, source.module));
            continue;
        };
        for (line, path) in &source.paths {
            let allows = |rule: &&str| path.strip_prefix(rule).is_some_and(|r| r.is_empty() || r.starts_with("::"));
            if head(path) != source.module && !allowed.iter().any(allows) {
                wrong.push(format!("{}:{line}: {} may not use {path}", source.path, source.module));
            }
        }
    }
    wrong
}

fn head(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

fn reserved(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for (line, word) in source.words() {
            for (words, modules, why) in RESERVED {
                let allowed = |m: &&str| source.module == **m || source.path.starts_with(&format!("{m}/"));
                if words.contains(&word) && !modules.iter().any(allowed) {
                    wrong.push(format!("{}:{line}: {word} in {}: {why}", source.path, source.module));
                }
            }
        }
    }
    wrong
}

fn panics(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for (at, line) in source.code.lines().enumerate() {
            // what is left of `.\n    unwrap()` and `unwrap ()` is rustfmt's business
            for panic in PANICS.iter().filter(|p| line.contains(**p)) {
                wrong.push(format!("{}:{}: {panic} outside tests", source.path, at + 1));
            }
        }
    }
    wrong
}

fn openings(sources: &[Source]) -> Vec<String> {
    let says = |s: &&Source| !s.text.starts_with("//! ");
    sources.iter().filter(says).map(|s| format!("{}: does not open with what it is for (//!)", s.path)).collect()
}

fn lengths(sources: &[Source]) -> Vec<String> {
    let length = |s: &Source| s.text.lines().count();
    let list =
        |least| sources.iter().filter(move |s| length(s) > least).map(|s| format!("{}: {} lines", s.path, length(s)));
    let mut wrong: Vec<_> = list(LONGEST).map(|l| format!("{l}; split it at {LONGEST}")).collect();
    if !wrong.is_empty() {
        wrong.extend(list(LONG).map(|l| format!("(for information) {l}")));
    }
    wrong
}

fn check(rule: fn(&[Source]) -> Vec<String>, with_tests: bool) {
    let sources = source::of_the_crate();
    assert!(sources.len() > 100, "only {} files were found", sources.len());
    let sources: Vec<_> = sources.into_iter().filter(|s| with_tests || !s.is_test).collect();
    assert!(sources.iter().map(|s| s.paths.len()).sum::<usize>() > 200, "few paths were found in them");
    let wrong = rule(&sources);
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_points_back() {
    check(edges, false);
}

#[test]
fn some_names_belong_to_some_modules() {
    check(reserved, false);
}

#[test]
fn nothing_panics_on_what_a_snapshot_holds() {
    check(panics, false);
}

#[test]
fn every_file_says_what_it_is_for() {
    check(openings, true);
}

#[test]
fn no_file_is_too_long() {
    check(lengths, true);
}

/// `docs/adversaries.md` names tests and files that there are.
#[test]
fn every_adversary_has_its_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                code += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let list = std::fs::read_to_string(root.join("docs/adversaries.md")).unwrap();
    let rows = list.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut names = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        for file in cells[2].split('`').filter(|word| word.starts_with("src/")) {
            assert!(root.join(file).exists(), "{file} is not there: {row}");
        }
        for test in cells[3].split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {test}()")), "{test} is not there: {row}");
            names += 1;
        }
    }
    assert!(names > 20, "{names} tests are named");
}

/// The rules on sources that are made up.
mod the_rules {
    use super::*;

    fn found(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> usize {
        rule(&[Source::new(path, text)]).len()
    }

    #[test]
    fn an_edge_that_points_back_is_found() {
        let back = |text| found(edges, "snapshot/open.rs", text);
        assert_eq!(back("use crate::progress::Progress;\nuse crate::snapshot::Addr;"), 0);
        assert_eq!(back("use crate::heap::Heap;"), 1);
        assert_eq!(back("use crate::{progress::Progress, tui};"), 1);
        assert_eq!(
            back("use crate::{\n    progress::{self, Progress},\n    cpython::{Memory, types::{Type, TypeTable}},\n};"),
            3
        );
        assert_eq!(back("fn f() { crate::report::json::write() }"), 1);
        assert_eq!(back("fn f() -> super::super::heap::Heap {}"), 1);
        assert_eq!(back("use super::{Addr, super::heap::Heap};"), 1);
        assert_eq!(back("use super::addr::Addr;"), 0);
        assert_eq!(found(edges, "snapshot/mod.rs", "use super::heap::Heap;"), 1);
        assert_eq!(found(edges, "tui/panes/hex.rs", "use super::super::worker::protocol::Ticket;"), 0);
        assert_eq!(found(edges, "tui/panes/hex.rs", "use super::super::super::worker::protocol::Ticket;"), 0);
        assert_eq!(found(edges, "tui/panes/hex.rs", "use super::super::super::heap::Heap;"), 1);
        assert_eq!(found(edges, "main.rs", "use pymem_tui::{cli, heap};"), 1);
        assert_eq!(found(edges, "unheard_of/mod.rs", ""), 1);
    }

    #[test]
    fn a_part_of_a_module_can_be_allowed_alone() {
        let tui = |text| found(edges, "tui/app.rs", text);
        assert_eq!(tui("use crate::snapshot::Addr;"), 0);
        assert_eq!(tui("use crate::snapshot::{Addr, Snapshot};"), 1);
        assert_eq!(tui("use crate::snapshot::Address;"), 1);
        assert_eq!(tui("use crate::snapshot::*;"), 1);
        assert_eq!(tui("use crate::snapshot::Addr as Snapshot;"), 0);
        assert_eq!(tui("use crate::snapshot;"), 1);
    }

    #[test]
    fn a_reserved_name_is_found_in_code_only() {
        let heap = |text| found(reserved, "heap/mod.rs", text);
        assert_eq!(heap("use ratatui::text::Line;"), 1);
        assert_eq!(
            heap("// ratatui draws\n/* crossterm /* too */ ratatui */ const S: &str = \"ratatui\\\" unsafe\";"),
            0
        );
        assert_eq!(heap("const S: &str = r#\"unsafe \" { } \"#; const C: char = '\"'; fn f<'a>() {}"), 0);
        assert_eq!(heap("const C: char = '\"'; fn f() { unsafe { g() } } const D: char = '\"';"), 1);
        assert_eq!(heap("fn f() { println!() }"), 1);
        assert_eq!(heap("fn unsafely() { sprint(); print(!todo); }"), 0);
        assert_eq!(heap("use nix::sys::ptrace;"), 1);
        assert_eq!(found(reserved, "capture/threads.rs", "use nix::sys::ptrace; fn f() { unsafe {} }"), 0);
        assert_eq!(found(reserved, "capture/threads.rs", "kill(pid, SIGSTOP); ptrace::setregs(pid, r);"), 2);
        assert_eq!(found(reserved, "capture/fork/thread.rs", "kill(pid, SIGSTOP); ptrace::setregs(pid, r);"), 1);
        assert_eq!(found(reserved, "capture/forked.rs", "ptrace::setregs(pid, r);"), 1);
        assert_eq!(found(reserved, "capture/threads.rs", "use ratatui::Frame;"), 1);
    }

    #[test]
    fn a_panic_is_found_outside_tests_only() {
        let heap = |text| found(panics, "heap/mod.rs", text);
        assert_eq!(heap("fn f() { g().unwrap(); h().expect(\"it\"); panic!() }"), 3);
        assert_eq!(heap("fn f() { g().unwrap_or(1); h().expect_err(2); }"), 0);
        assert_eq!(heap("#[cfg(test)]\nmod tests {\n    fn f() { if x { g().unwrap() } }\n}"), 0);
        assert_eq!(heap("#[cfg(test)]\n#[allow(dead_code)]\nfn f() { g().unwrap() }\nfn h() { g().unwrap() }"), 1);
        assert_eq!(heap("#[cfg(test)]\nuse a::{b, c};\nfn h() { panic!() }"), 1);
        assert_eq!(heap("#[cfg(test)]\nmod fake;\nfn h() { panic!() }"), 1);
        assert_eq!(heap("#[cfg(not(test))]\nfn h() { panic!() }"), 1);
    }

    #[test]
    fn a_missing_opening_and_a_long_file_are_found() {
        assert_eq!(found(openings, "heap/mod.rs", "//! Heaps.\nuse x;"), 0);
        assert_eq!(found(openings, "heap/mod.rs", "use x;\n"), 1);
        assert_eq!(found(lengths, "heap/mod.rs", &"x\n".repeat(600)), 0);
        assert_eq!(found(lengths, "heap/mod.rs", &"x\n".repeat(601)), 2);
        let long = [Source::new("heap/a.rs", &"x\n".repeat(601)), Source::new("heap/b.rs", &"x\n".repeat(401))];
        assert_eq!(lengths(&long).len(), 3);
        assert_eq!(lengths(&long[1..]).len(), 0);
    }

    #[test]
    fn files_of_test_modules_are_told_apart() {
        let sources = source::with_tests_marked(vec![
            Source::new("tui/mod.rs", "#[cfg(test)]\nmod fake;\n#[cfg(test)]\nmod tests;\nmod app;"),
            Source::new("tui/fake.rs", ""),
            Source::new("tui/tests/mod.rs", ""),
            Source::new("tui/tests/screens.rs", ""),
            Source::new("tui/app.rs", ""),
            Source::new("heap/fake.rs", ""),
        ]);
        let tests: Vec<_> = sources.iter().filter(|s| s.is_test).map(|s| s.path.as_str()).collect();
        assert_eq!(tests, ["tui/fake.rs", "tui/tests/mod.rs", "tui/tests/screens.rs"]);
    }
}
