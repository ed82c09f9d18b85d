//! Several processes at once: which are meant, and where their snapshots lie.
//!
//! They are captured one after the other, so that each stands still for its own pause only. One that cannot be is told
//! and left out: a worker that ended meanwhile is no reason to lose the others.

use super::{one_sentence, source};
use crate::capture::{Destination, processes};
use crate::cli::Common;
use crate::cpython::runtime::Interpreter;
use crate::progress::Progress;
use crate::snapshot::{Snapshot, store};
use crate::text;
use anyhow::{Context, bail};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// A process that was captured just now, or a snapshot of one.
pub(super) struct Member {
    pub snapshot: Snapshot,
    pub pid: Option<i32>,
}

/// The processes that are meant, each once; with those below them when `children` are as well.
pub(super) fn meant(pids: &[i32], children: bool) -> Vec<i32> {
    let mut seen = std::collections::HashSet::new();
    let below = |pid: &i32| if children { processes::descendants(*pid) } else { Vec::new() };
    let tree = |pid: &i32| std::iter::once(*pid).chain(below(pid).into_iter().map(|p| p.pid)).collect::<Vec<_>>();
    pids.iter().flat_map(tree).filter(|pid| seen.insert(*pid)).collect()
}

/// Makes the directory that a snapshot of each goes into.
pub(super) fn folder(path: &Path) -> anyhow::Result<()> {
    store::check_absent(path)?;
    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    made.with_context(|| format!("{} cannot be made", path.display()))?;
    store::give_to_invoker(path);
    Ok(())
}

/// Captures each and opens it; an error when none of them can be.
pub(super) fn take(pids: &[i32], output: Option<&Path>, common: &Common) -> anyhow::Result<Vec<Member>> {
    output.map(folder).transpose()?;
    let one = |pid: i32| -> anyhow::Result<Snapshot> {
        let destination = output.map_or(Destination::Temporary, |o| Destination::Directory(o.join(pid.to_string())));
        let captured = source::take(pid, destination, common)?;
        source::tell(&captured, common);
        readable(captured.open()?)
    };
    let members = gather(pids, |pid| Ok(Member { snapshot: one(*pid)?, pid: Some(*pid) }), common);
    if let (Err(_), Some(output)) = (&members, output) {
        let _ = std::fs::remove_dir(output); // as far as nothing is in it
    }
    members
}

/// Opens the snapshots of a directory in which [`take`] or `capture` put those of several processes.
pub(super) fn open(path: &Path, common: &Common) -> anyhow::Result<Vec<Member>> {
    let one = |path: &std::path::PathBuf| -> anyhow::Result<Member> {
        source::tell_unpacking(path, common);
        let snapshot = readable(Snapshot::open_with(path, common.root(), &Progress::default())?)?;
        Ok(Member { snapshot, pid: None })
    };
    gather(&crate::snapshot::several(path), one, common)
}

/// What is no Python process is told here, not on a screen that has nothing to show.
fn readable(snapshot: Snapshot) -> anyhow::Result<Snapshot> {
    let found = Interpreter::find(&snapshot).map(drop);
    found.with_context(|| super::ask::unreadable(&snapshot))?;
    Ok(snapshot)
}

fn gather<T>(all: &[T], one: impl Fn(&T) -> anyhow::Result<Member>, common: &Common) -> anyhow::Result<Vec<Member>> {
    let (mut members, mut reasons) = (Vec::new(), Vec::new());
    for each in all {
        match one(each) {
            Ok(member) => members.push(member),
            Err(error) if all.len() == 1 => return Err(error),
            Err(error) => reasons.push(one_sentence(&error)),
        }
    }
    if members.is_empty() {
        bail!("none of the processes can be explored: {}", reasons.join("; "));
    }
    if !common.quiet {
        reasons.iter().for_each(|reason| text::tell(format_args!("pymem-tui: warning: left out: {reason}")));
    }
    Ok(members)
}
