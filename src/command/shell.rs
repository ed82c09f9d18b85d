//! `completions`, `man` and `--version`: what the program says of itself, all from one definition.

use crate::cli;
use crate::cpython::layout::known_versions;
use anyhow::{Context, bail};
use std::io::{self, Write};
use std::sync::LazyLock;

pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition(), "pymem-tui", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}

/// The page of the program, or of one command.
pub(super) fn man(command: Option<&str>) -> anyhow::Result<()> {
    let mut page = cli::definition();
    page.build(); // so that a command's page has its whole name and the common options
    if let Some(name) = command {
        let Some(found) = page.find_subcommand(name) else {
            bail!("there is no command {name}; `pymem-tui help` lists them");
        };
        page = found.clone();
    }
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff).context("the page cannot be made")?;
    Ok(io::stdout().lock().write_all(&roff)?)
}

/// What `--version` says after the program's name: its own version, the commit it was built from, and the versions of
/// CPython that it has tables of.
pub fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let built =
            option_env!("PYMEM_TUI_COMMIT").map_or_else(|| "no commit known".to_owned(), |c| format!("commit {c}"));
        let known = known_versions();
        format!("{} ({built})\nCPython {}", env!("CARGO_PKG_VERSION"), known.join(", "))
    });
    &TEXT
}
