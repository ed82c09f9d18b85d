//! Whether two snapshots are of one process, so that an address means the same in both.
//!
//! The kernel's words come first (pid and start), then what address space layout randomisation moves: `type`, the
//! main interpreter, the classes. Snapshots of other programs have the latter only.

use crate::heap::Heap;
use crate::snapshot::Metadata;
use std::time::Duration;

/// How two snapshots belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// They are of the same process: addresses can be compared.
    SameProcess,
    /// They are of two processes, for this reason; only types can be compared.
    Different(String),
}

/// The kernel counts a process's start from its own, which the clock's adjustments move.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3);

/// Decides it. `O(types)`.
pub fn relation(old: &Heap, new: &Heap) -> Relation {
    let different = |why: String| Relation::Different(why);
    let (before, after) = (old.interpreter(), new.interpreter());
    if before.version.text != after.version.text {
        return different(format!(
            "the versions of Python differ ({} and {})",
            before.version.text, after.version.text
        ));
    }
    if let (Some(a), Some(b)) = (old.snapshot().metadata(), new.snapshot().metadata())
        && let Some(why) = told_apart(a, b)
    {
        return different(why);
    }
    let main = |heap: &Heap| heap.interpreter().interpreters.first().map(|i| i.address);
    if before.type_type != after.type_type || main(old) != main(new) {
        return different("the interpreter lies at another address, so these are two processes".into());
    }
    // an interpreter that is not moved about (a static build) still has its classes elsewhere
    let (mut classes, mut there) = (0u64, 0u64);
    for (_, ty) in old.types().iter().filter(|(_, ty)| ty.is_heap_type()) {
        let same = new.types().id_of(ty.address).is_some_and(|id| new.types().get(id).name == ty.name);
        classes += 1;
        there += u64::from(same);
    }
    if there * 2 < classes {
        return different("the classes lie at other addresses, so these are two processes".into());
    }
    Relation::SameProcess
}

/// What the kernel says against one process.
fn told_apart(old: &Metadata, new: &Metadata) -> Option<String> {
    if old.process.pid != new.process.pid {
        return Some(format!("the snapshots are of two processes (pid {} and {})", old.process.pid, new.process.pid));
    }
    let start = |m: &Metadata| m.process.started_at.as_deref().and_then(|t| humantime::parse_rfc3339(t).ok());
    let (a, b) = (start(old)?, start(new)?);
    let apart = a.duration_since(b).or_else(|_| b.duration_since(a)).unwrap_or_default();
    (apart > CLOCK_TOLERANCE).then(|| format!("process {} was started anew between the snapshots", new.process.pid))
}
