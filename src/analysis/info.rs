//! What is known of a snapshot as a whole.

use super::answers::SnapshotInfo;
use crate::cpython::runtime::Interpreter;
use crate::snapshot::{Metadata, Snapshot};
use crate::text::sanitize;

/// The head of every answer about `snapshot`; the interpreter, when one was found.
pub fn info(snapshot: &Snapshot, interpreter: Option<&Interpreter>) -> SnapshotInfo {
    SnapshotInfo {
        python: interpreter.map(|i| i.version.text.clone()),
        interpreters: interpreter.map(|i| i.interpreters.len() as u64).filter(|n| *n > 0),
        bytes: snapshot.bytes(),
        source: sanitize(&snapshot.source().to_string_lossy()).into_owned(),
        ..of_metadata(snapshot.metadata())
    }
}

/// As far as the kernel's own words go.
pub fn of_metadata(metadata: Option<&Metadata>) -> SnapshotInfo {
    let program = metadata.and_then(|m| {
        let arguments = &m.process.command_line;
        // the script, when there is one: `python -u x.py` is x.py to people
        let script = arguments.iter().skip(1).find(|a| !a.starts_with('-') && a.ends_with(".py"));
        script.or(arguments.first()).map(|p| sanitize(p).into_owned())
    });
    let memory = metadata.map(|m| m.process.sharing());
    SnapshotInfo {
        pid: metadata.map(|m| m.process.pid),
        implementation: "CPython".into(),
        captured_at: metadata.and_then(|m| m.captured_at.as_deref()).map(|at| sanitize(at).into_owned()),
        program,
        pause_ms: metadata.and_then(|m| m.pause_ms),
        resident_bytes: memory.and_then(|m| m.resident),
        private_bytes: memory.and_then(|m| m.private),
        copy_on_write_bytes: memory.and_then(|m| m.copy_on_write),
        ..SnapshotInfo::default()
    }
}
