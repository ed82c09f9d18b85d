//! What is read from a command line, and what is refused.

use super::*;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    parse(std::iter::once("pymem-tui").chain(line.split_whitespace()).map(Into::into), "")
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_source_is_a_path_or_a_pid_and_the_address_stays_itself() {
    for (line, path, pid) in [
        ("show memdump/ 7f00", Some("memdump/"), None),
        ("show --pid 42 0x7f00", None, Some(42)),
        ("show 7F00 --pid 42", None, Some(42)),
        ("repr - 7f00 --json", Some("-"), None),
        ("show memdump/ --depth 2 7f00", Some("memdump/"), None),
        ("--json show memdump/ 7f00", Some("memdump/"), None),
    ] {
        let cli = parsed(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let Some(Command::Show(show)) = cli.command else { panic!("{line}") };
        assert_eq!(show.at.address, Addr(0x7f00), "{line}");
        assert_eq!(show.at.source.source, path.map(PathBuf::from), "{line}");
        assert_eq!(show.at.source.pid, pid, "{line}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        "show 7f00",
        "show --pid 42 memdump/ 7f00",
        "show memdump/ 7xyz",
        "show memdump/ 7f00 7f01",
        "find memdump/ --hex 7",
        "types",
        "--pid 42 types memdump/",
        "-o out memdump/",
        "memdump/ --pid 42",
        "--children",
        "memdump/ --children",
        "capture --pid 42",
        "types memdump/ --limit -1",
        "types memdump/ --threads 0",
        "objects memdump/ --json --jsonl",
        "memdump/ other/ third/ fourth/",
        "tasks memdump/ x",
        "diff memdump/",
        "diff a b c d",
        "diff a b c --pid 42",
        "diff a b --objects kept",
        "diff a b --type dict",
    ] {
        let error = parsed(line).err().unwrap_or_else(|| panic!("{line:?} was taken"));
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_explorers_entries_and_the_aliases_are_taken() {
    let cli = parsed("--pid 42 -o kept").unwrap();
    assert_eq!((cli.entry.pid, cli.entry.output), (vec![42], Some("kept".into())));
    let cli = parsed("--pid 42 --pid 43 --children").unwrap();
    assert_eq!((cli.entry.pid, cli.entry.children), (vec![42, 43], true));
    assert_eq!(parsed("memdump/").unwrap().entry.snapshot, Some("memdump/".into()));
    assert_eq!(parsed("one/ two/ three/").unwrap().entry.newer, ["two/", "three/"].map(std::path::PathBuf::from));
    for line in [
        "count-by-type d",
        "find-all-objects d --type dict",
        "find-references d 7f00",
        "context d 7f00",
        "find-module d json",
        "aggregate-strings d --bytes",
        "find d text",
        "regions d",
        "referents --pid 1 7f",
        "diff a b",
        "diff a b c --objects kept --type dict",
        "diff a --pid 42",
        "demo",
        "demo big 1000",
    ] {
        assert!(parsed(line).is_ok(), "{line}");
    }
}
