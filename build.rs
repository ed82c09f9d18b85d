//! Tells the program which commit it is built from: git's word, or what cargo put into a package; neither need be there.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=assets"); // a new file of a folder that the program includes
    // while one works on it, a name that changes with every commit would build everything anew each time
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    if let Some(commit) = of_git().or_else(of_package) {
        println!("cargo::rustc-env=PYMEM_TUI_COMMIT={commit}");
    }
}

/// `6463849f4b1c`, or `6463849f4b1c-dirty` where files differ from it. Only of a repository that this is the top of:
/// an unpacked package may lie in somebody else's.
fn of_git() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    for changed in ["src", "assets", "demo", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={changed}");
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let out = Command::new("git").args(arguments).output().ok().filter(|out| out.status.success())?;
    Some(String::from_utf8(out.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// `"sha1": "…"` of `.cargo_vcs_info.json`.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    // only where it is: for a file that is missing cargo builds everything anew each time
    println!("cargo::rerun-if-changed=.cargo_vcs_info.json");
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit: String =
        rest.chars().skip_while(|c| !c.is_ascii_hexdigit()).take_while(char::is_ascii_hexdigit).collect();
    commit.get(..12).map(str::to_owned)
}
