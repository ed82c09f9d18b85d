//! The newer snapshot that the explored one is compared with: a second heap beside the first.
//!
//! One at a time is kept, so the memory that snapshots and their indexes take is at most doubled; a further one
//! replaces it. It is a source of its own: requests with its number are asked of it. A third snapshot is indexed to be
//! compared, and let go of: what it still has of the newer one is there under the same addresses.

use super::jobs::{Context, Outcome};
use super::outside::Outside;
use super::protocol::{Answer, SourceId, Update};
use crate::analysis::answers::Which;
use crate::analysis::diff::{self, Compared};
use crate::analysis::{info, types};
use crate::heap::{Heap, ObjectId};
use crate::progress::Progress;
use crate::text;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

/// The newer heap, and what became of its objects.
#[derive(Clone)]
struct Newer {
    source: SourceId,
    heap: Arc<Heap>,
    context: Context,
    /// Nothing where two processes were compared.
    comparison: Option<Arc<diff::Comparison>>,
    /// What is new in it and still there in a third snapshot.
    kept: Arc<Vec<ObjectId>>,
}

/// Where it is kept, and how one is made.
pub(super) struct Next {
    kept: Mutex<(u32, Option<Newer>)>,
    pub(super) outside: Arc<dyn Outside>,
}

impl Next {
    pub(super) fn new(outside: Arc<dyn Outside>) -> Next {
        Next { kept: Mutex::new((0, None)), outside }
    }

    fn newer(&self) -> Option<Newer> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// What answers for a source beside the first.
    pub(super) fn context(&self, source: SourceId) -> Option<Context> {
        self.newer().filter(|newer| newer.source == source).map(|newer| newer.context)
    }

    /// Takes a newer snapshot, indexes it and compares it with `old`.
    pub(super) fn compare(&self, old: &Heap, outbox: &SyncSender<Update>, progress: &Progress) -> Outcome {
        match self.compared(old, outbox, progress) {
            Ok(answer) => Outcome::Answer(Box::new(answer)),
            Err(reason) => Outcome::Refused(text::sanitize(&reason).into_owned()),
        }
    }

    fn compared(&self, old: &Heap, outbox: &SyncSender<Update>, progress: &Progress) -> Result<Answer, String> {
        let first = self.newer().is_none();
        let snapshot = self.outside.newer(first, progress)?;
        let heap = Heap::index(snapshot.clone(), progress).map_err(|e| format!("the newer snapshot: {e}"))?;
        let later = self.outside.later(first).map(|later| Heap::index(later, progress));
        let later = later.transpose().map_err(|e| format!("the third snapshot: {e}"))?;
        let cancelled = |_| "comparing was cancelled".to_owned();
        let compared = diff::report(old, &heap, later.as_ref(), None, 0, progress).map_err(cancelled)?;
        let Compared { answer: mut diff, comparison, kept } = compared;
        if let Some(later) = &later {
            diff.problems.extend(later.problems().into_iter().map(|p| format!("the third snapshot: {p}")));
        }
        let here = |id: &ObjectId| heap.objects().object_at(later.as_ref()?.objects().address(*id));
        let kept = Arc::new(kept.iter().filter_map(here).collect());
        drop(later);
        let heap = Arc::new(heap);
        let mut place = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        place.0 += 1;
        let source = SourceId(place.0);
        let next = Arc::new(Next::new(self.outside.clone()));
        let context = Context::new(heap.clone(), outbox.clone(), next);
        let comparison = comparison.map(Arc::new);
        place.1 = Some(Newer { source, heap: heap.clone(), context, comparison, kept });
        drop(place);
        let info = info::info(&snapshot, Some(heap.interpreter()));
        let types = Arc::new(types::types(heap.types(), heap.tally()));
        // whoever is gone needs neither
        let _ = outbox.send(Update::Opened { source, info, problems: snapshot.problems().to_vec() });
        let _ = outbox.send(Update::Types { source, types, complete: true, problems: heap.problems() });
        Ok(Answer::Compared(source, Arc::new(diff)))
    }

    /// The objects of a type's name that are new, gone, or new and there to stay.
    pub(super) fn changes(&self, old: &Heap, which: Which, name: &str, limit: u64) -> Outcome {
        let Some(Newer { heap, comparison: Some(comparison), kept, .. }) = self.newer() else {
            return Outcome::Refused("the objects of two processes are not compared, only their types".into());
        };
        let (objects, total) = diff::objects(&comparison, old, &heap, Some((&heap, &kept)), which, Some(name), limit);
        Outcome::Answer(Box::new(Answer::Changes(objects, total)))
    }
}
