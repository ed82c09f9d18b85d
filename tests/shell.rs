//! What the program says of itself: completions, manual page, version.
//!
//! All is made from the command line's one definition. The snapshots show what changed when that changes
//! (`INSTA_UPDATE=always cargo test --test shell` takes it over); bash runs its script.

use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_pymem-tui");

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(arguments: &[&str]) -> String {
    let out = run(arguments);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn completions_and_pages_are_what_they_were() {
    for shell in ["bash", "zsh", "fish"] {
        insta::assert_snapshot!(format!("completions_{shell}"), text(&["completions", shell]));
    }
    // the version on the page is the one thing that changes by itself
    let page = text(&["man"]).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("man", page);
    insta::assert_snapshot!("man_types", text(&["man", "types"]).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

/// What bash offers for a line whose last word is unfinished.
fn bash_offers(line: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("completions");
    std::fs::write(&path, text(&["completions", "bash"])).unwrap();
    let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  spec=$(complete -p pymem-tui) && f=${spec#*-F } && f=${f%% *} && \
                  \"$f\" pymem-tui \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\" && printf '%s\\n' \"${COMPREPLY[@]}\"";
    let out = Command::new("bash").args(["--norc", "-c", script, "bash"]).arg(&path).args(line).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|l| l.trim().to_owned()).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let commands = bash_offers(&["pymem-tui", ""]);
    for name in ["types", "objects", "graph", "capture", "demo", "completions"] {
        assert!(commands.iter().any(|c| c == name), "{name}: {commands:?}");
    }
    assert_eq!(bash_offers(&["pymem-tui", "regio"]), ["regions"]);
    assert_eq!(bash_offers(&["pymem-tui", "objects", "--subcl"]), ["--subclasses"]);
    assert_eq!(bash_offers(&["pymem-tui", "types", "--color", "n"]), ["never"]);
}

#[test]
fn every_command_has_a_page() {
    let help = text(&["--help"]);
    let listed = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<_> = listed.lines().filter_map(|l| l.strip_prefix("  ")?.split(' ').next()).collect();
    let names: Vec<_> = names.into_iter().filter(|n| !n.is_empty() && *n != "help").collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let page = text(&["man", name]);
        assert!(page.contains(".SH SYNOPSIS") && page.contains(&name.replace('-', "\\-")), "{name}: {page}");
    }
    let out = run(&["man", "nothing"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("there is no command nothing"));
}

#[test]
fn the_version_tells_the_commit_and_what_can_be_read() {
    let long = text(&["--version"]);
    let mut lines = long.lines();
    let first = lines.next().unwrap();
    let begin = concat!("pymem-tui ", env!("CARGO_PKG_VERSION"), " (");
    assert!(first.starts_with(begin) && first.ends_with(')'), "{first}");
    let known = lines.next().unwrap();
    for version in ["3.8", "3.12", "3.13t", "3.15"] {
        assert!(known.replace(',', " ").split_whitespace().any(|w| w == version), "{known}");
    }
    assert_eq!(lines.next(), None);
    assert_eq!(text(&["-V"]).trim(), concat!("pymem-tui ", env!("CARGO_PKG_VERSION")));
}
