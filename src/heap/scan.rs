//! The scan: every window's objects, found in parallel and put together to the index.
//!
//! The [`Plan`] is what is known before: the pieces of memory, the types, and the [`Tally`] that fills while the scan
//! runs. How an object is told from other memory is `scanner`'s business. Edges are not followed.

use super::index::{Found, Index, Shallow, TooMany, Window};
use super::scanner::Scanner;
use super::survey::{Piece, Survey, WINDOW};
use crate::cpython::Memory;
use crate::cpython::runtime::Interpreter;
use crate::cpython::types::{TypeId, TypeTable};
use crate::progress::{Cancelled, Progress};
use crate::snapshot::{Addr, Snapshot};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Objects and bytes of each type, as far as the scan has come. Shared with whoever shows them meanwhile.
#[derive(Debug)]
pub struct Tally {
    pub(super) counts: Vec<(AtomicU64, AtomicU64)>,
    pub(super) disagreeing_pools: AtomicU64,
}

impl Tally {
    fn new(types: usize) -> Tally {
        let counts = std::iter::repeat_with(Default::default).take(types).collect();
        Tally { counts, disagreeing_pools: AtomicU64::new(0) }
    }

    /// Objects of a type, and the sum of their shallow sizes.
    pub fn get(&self, id: TypeId) -> (u64, u64) {
        self.counts.get(id.0 as usize).map_or((0, 0), |(n, b)| (n.load(Relaxed), b.load(Relaxed)))
    }

    /// Pools, pages and segments whose lists disagree with their header: the process was stopped in the middle of an
    /// allocation.
    pub fn disagreeing_pools(&self) -> u64 {
        self.disagreeing_pools.load(Relaxed)
    }
}

/// What the scan's result is made of, known before the scan begins.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every type.
    pub types: Arc<TypeTable>,
    /// Filled while the scan runs.
    pub tally: Arc<Tally>,
    pub(super) pieces: Arc<Vec<Piece>>,
}

/// Objects in address order.
pub(super) type Objects = Vec<Found>;

/// One window's work: its pieces of memory, and the type objects in it.
type Unit<'a> = (&'a [Piece], &'a [(Addr, TypeId)]);

/// Why a scan ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// There are more objects than numbers.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl Plan {
    /// Surveys the memory and finds every type.
    pub fn new(snapshot: &Snapshot, interpreter: &Interpreter, progress: &Progress) -> Result<Plan, Cancelled> {
        let survey = Survey::of(snapshot, interpreter, progress)?;
        let memory = Memory { reader: snapshot.reader(), layout: interpreter.layout };
        let types = Arc::new(TypeTable::build(&memory, interpreter, survey.candidates));
        let tally = Arc::new(Tally::new(types.len()));
        tally.disagreeing_pools.fetch_add(survey.disagreeing_segments, Relaxed);
        Ok(Plan { types, tally, pieces: Arc::new(survey.pieces) })
    }

    /// The pieces of memory, by who manages them.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Finds every object, in parallel over windows. Time is that of reading the heads of all live blocks once.
    pub fn scan(
        &self,
        snapshot: &Snapshot,
        interpreter: &Interpreter,
        progress: &Progress,
    ) -> Result<Index, ScanError> {
        progress.begin(self.pieces.iter().map(|p| p.end.0 - p.start.0).sum());
        let types_by_window = self.types.iter().filter(|(_, t)| t.is_ready());
        let mut types_by_window = types_by_window.map(|(id, t)| (t.address, id)).collect::<Vec<_>>();
        types_by_window.sort_unstable_by_key(|(addr, _)| *addr);
        let windows = self.windows(&types_by_window);
        let found: Result<Vec<(Window, Objects)>, Cancelled> = windows
            .par_iter()
            .map_init(
                || Scanner::new(self, snapshot, interpreter),
                |scanner, (pieces, types)| {
                    progress.check()?;
                    let window = scanner.window(pieces, types);
                    progress.found(scanner.flush());
                    progress.advance(pieces.iter().map(|p| p.end.0 - p.start.0).sum());
                    Ok(window)
                },
            )
            .collect();
        let mut windows = Vec::with_capacity(windows.len());
        let mut over = Vec::new();
        for (window, beyond) in found? {
            // an empty window has no place among the others
            windows.extend((!window.is_empty()).then_some(window));
            over.extend(beyond);
        }
        over.extend(self.live_without_ready(&Memory { reader: snapshot.reader(), layout: interpreter.layout }));
        Ok(Index::new(with_stragglers(windows, over))?)
    }

    /// Static types that were never made ready are unused code, unless there are objects of them.
    fn live_without_ready(&self, memory: &Memory<'_>) -> Objects {
        let mut found = Vec::new();
        for (id, ty) in self.types.iter().filter(|(id, t)| !t.is_ready() && self.tally.get(*id).0 > 0) {
            let Some(metatype) = self.types.id_of(ty.metatype) else { continue };
            let size = memory.shallow_size(ty.address, self.types.get(metatype));
            if let Some((count, bytes)) = self.tally.counts.get(metatype.0 as usize) {
                count.fetch_add(1, Relaxed);
                bytes.fetch_add(size.unwrap_or(0), Relaxed);
            }
            found.push((self.types.get(id).address, metatype, Shallow::of(size)));
        }
        found
    }

    /// Pieces and type objects, window by window.
    fn windows<'a>(&'a self, types: &'a [(Addr, TypeId)]) -> Vec<Unit<'a>> {
        let key = |addr: Addr| addr.0 / WINDOW;
        let (mut pieces, mut types) = (self.pieces.as_slice(), types);
        let mut windows = Vec::new();
        while let Some(next) = pieces.first().map(|p| p.start).into_iter().chain(types.first().map(|t| t.0)).min() {
            let these = pieces.partition_point(|p| key(p.start) <= key(next));
            let those = types.partition_point(|t| key(t.0) <= key(next));
            windows.push((&pieces[..these], &types[..those]));
            pieces = &pieces[these..];
            types = &types[those..];
        }
        windows
    }
}

/// Puts objects that were found from the window before into their own.
fn with_stragglers(mut windows: Vec<Window>, stragglers: Objects) -> Vec<Window> {
    for (addr, ty, size) in stragglers {
        let at = windows.partition_point(|w| w.key() < addr.0 / WINDOW);
        let mut objects = vec![(addr, ty, size)];
        let found =
            windows.get(at).filter(|w| w.key() == addr.0 / WINDOW).map(|w| objects.extend(w.objects())).is_some();
        objects.sort_unstable_by_key(|(addr, ..)| *addr);
        objects.dedup_by_key(|(addr, ..)| *addr);
        if found {
            windows[at] = Window::new(&objects);
        } else {
            windows.insert(at, Window::new(&objects));
        }
    }
    windows
}

const _: () = assert!(WINDOW.is_multiple_of(16 << 10), "a pool lies within one window");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_on_a_border_belongs_to_the_window_it_begins_in() {
        let at = |window: u64, offset: u64| (Addr(window * WINDOW + offset), TypeId(7), Shallow::of(Some(offset)));
        let windows = vec![Window::new(&[at(1, 0x20), at(1, 0x100)]), Window::new(&[at(4, 0x40)])];
        // one begins exactly where a known window does, one in a window of its own
        let windows = with_stragglers(windows, vec![at(4, 0), at(2, 0x10)]);
        let found: Vec<_> = windows.iter().flat_map(|w| w.objects()).map(|(addr, ..)| addr).collect();
        assert_eq!(found, [at(1, 0x20), at(1, 0x100), at(2, 0x10), at(4, 0), at(4, 0x40)].map(|o| o.0));
        let index = Index::new(windows).unwrap();
        assert!([at(2, 0x10), at(4, 0), at(4, 0x40)].iter().all(|o| index.object_at(o.0).is_some()));
    }
}
