//! Redacting a snapshot that was just taken, on its way to where it is kept.
//!
//! The heap decides what is payload; until it is known, the memory lies in a file without a name.

use super::{source, watch};
use crate::analysis::redact::{Identifiers, Redaction, sweep};
use crate::capture::Destination;
use crate::cli::{Common, RedactArg};
use crate::heap::Heap;
use crate::snapshot::store::{Store, Stored, check_absent};
use crate::snapshot::{Addr, Metadata, Snapshot, save};
use anyhow::Context;
use std::sync::Arc;

/// Captures `pid` and writes what is left of it to `destination`.
pub(super) fn take(
    pid: i32,
    what: RedactArg,
    destination: &Destination,
    common: &Common,
) -> anyhow::Result<(Stored, Metadata)> {
    if let Destination::Directory(path) = destination {
        check_absent(path)?;
    }
    let captured = source::take(pid, Destination::Temporary, common)?;
    let snapshot = Arc::new(captured.open()?);
    watch::cancellable("redacting", common.quiet, |progress| {
        let heap = Heap::index(snapshot.clone(), progress)
            .with_context(|| format!("process {pid} cannot be redacted, so nothing was kept"))?;
        let identifiers = if what == RedactArg::KeysKept { Identifiers::Kept } else { Identifiers::Cleared };
        let redaction = Redaction::plan(&heap, identifiers, progress)?;
        drop(heap);
        let metadata = metadata(&snapshot, what);
        let store = match destination {
            Destination::Directory(path) => Store::directory(path, snapshot.data_bytes())?,
            Destination::Temporary => Store::temporary(snapshot.data_bytes())?,
            Destination::Stream { to, packing } => Store::stream(Box::new(to.clone()), *packing)?,
        };
        let edit = |at: Addr, bytes: &mut [u8]| redaction.apply(&snapshot, at, bytes);
        let stored = save::write_edited(&snapshot, store, &metadata, &edit, progress)?;
        Ok((stored, metadata))
    })
}

/// What is said of the process, without what its user gave it.
fn metadata(snapshot: &Snapshot, what: RedactArg) -> Metadata {
    let mut metadata = snapshot.metadata().cloned().unwrap_or_default();
    metadata.redacted = Some(if what == RedactArg::KeysKept { "keys-kept".into() } else { "all".into() });
    metadata.process.command_line.truncate(1);
    let harmless = |value: Addr| sweep::is_harmless(value.0, 0, |a| snapshot.region_of(Addr(a)).is_some());
    for thread in &mut metadata.threads {
        let arguments = thread.syscall.iter_mut().flat_map(|call| call.args.iter_mut());
        let general = |name: &str| !matches!(name, "rip" | "rsp" | "fs_base" | "gs_base" | "orig_rax" | "eflags");
        let registers = thread.registers.iter_mut().filter(|(name, _)| general(name)).map(|(_, value)| value);
        registers.chain(arguments).filter(|value| !harmless(**value)).for_each(|value| *value = Addr(0));
    }
    metadata
}
