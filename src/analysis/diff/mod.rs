//! What changed between two snapshots: growth by type, and which objects are new, gone, and still there.
//!
//! An address alone does not tell that an object survived: a freed one's place is given away again, often to one of the
//! same type. So a survivor has the same address, a type of the same address and name, and a content that agrees
//! (`content`), and how sure that is is told. Snapshots of two processes are compared by the names of types only.
//! Nothing is kept but one byte for each object of the newer snapshot; neither heap's references are built.

mod content;
mod relation;
mod rows;

pub use relation::{Relation, relation};
pub use rows::{Compared, objects, report};

use crate::cpython::types::TypeId;
use crate::heap::{Heap, ObjectId};
use crate::progress::{Cancelled, Progress};
use content::Judge;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// What became of an object of the newer snapshot, in the order of certainty that it is an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fate {
    /// No object of its type was there.
    Created,
    /// One of its type was, with another content.
    Reused,
    /// It survived as far as can be told: nothing in it tells it from others.
    Weak,
    /// It survived, changed.
    Likely,
    /// It survived: its content is the same.
    Exact,
}

impl Fate {
    fn from(byte: u8) -> Fate {
        match byte {
            0 => Fate::Created,
            1 => Fate::Reused,
            2 => Fate::Weak,
            3 => Fate::Likely,
            _ => Fate::Exact,
        }
    }

    /// Whether it is in both snapshots.
    pub fn survived(self) -> bool {
        self >= Fate::Weak
    }
}

/// Judging goes over all objects again until nothing changes; damaged or hostile heaps end here.
const MAX_ROUNDS: usize = 64;

/// The fate of every object of a newer snapshot.
#[derive(Debug)]
pub struct Comparison {
    fates: Vec<AtomicU8>,
    /// Whether the rounds came to their end.
    settled: bool,
}

impl Comparison {
    /// Compares two snapshots of one process (see [`relation`]). Time is that of reading both heaps' objects a few times;
    /// one byte an object.
    pub fn of(old: &Heap, new: &Heap, progress: &Progress) -> Result<Comparison, Cancelled> {
        let fates: Vec<AtomicU8> = std::iter::repeat_with(AtomicU8::default).take(new.objects().len()).collect();
        let mut comparison = Comparison { fates, settled: false };
        let types = same_types(old, new);
        comparison.each(old, new, progress, |judge: &mut Judge<'_>, id, fate| {
            let ty = judge.new_type(id);
            let there = judge.old_type().and_then(|t| types.get(t.0 as usize).copied().flatten());
            let same = ty.is_some() && there == ty;
            fate.store(if same { judge.value(id) } else { Fate::Created } as u8, Relaxed);
            false
        })?;
        // what holds another object than before is not the same itself, and so on up
        let down = comparison.rounds(old, new, progress, |judge, id, fate| {
            let before = Fate::from(fate.load(Relaxed));
            if !before.survived() || judge.is_plain(id) {
                return false;
            }
            let now = judge.references(id).min(before);
            fate.store(now as u8, Relaxed);
            now != before
        })?;
        // what changed as a whole is the same where its holder has it under the same name as before, and so on down
        let up = comparison.rounds(old, new, progress, |judge, id, fate| {
            Fate::from(fate.load(Relaxed)).survived() && !judge.is_plain(id) && judge.rescue(id)
        })?;
        comparison.settled = down && up;
        Ok(comparison)
    }

    /// What became of an object of the newer snapshot.
    pub fn fate(&self, id: ObjectId) -> Fate {
        self.fates.get(id.0 as usize).map_or(Fate::Created, |f| Fate::from(f.load(Relaxed)))
    }

    /// The object of the newer snapshot that an old one survived as.
    pub fn survivor(&self, old: &Heap, new: &Heap, id: ObjectId) -> Option<ObjectId> {
        let there = new.objects().object_at(old.objects().address(id))?;
        self.fate(there).survived().then_some(there)
    }

    /// The objects that were made between the first two snapshots and are in the third, by their numbers there. `first`
    /// compares the first two, `self` the last two.
    pub fn kept(&self, first: &Comparison, middle: &Heap, last: &Heap) -> Vec<ObjectId> {
        let made = |(id, address, _)| {
            let before = middle.objects().object_at(address)?;
            (self.fate(id).survived() && !first.fate(before).survived()).then_some(id)
        };
        let index = last.objects();
        (0..index.window_count()).into_par_iter().flat_map_iter(|i| index.window(i).filter_map(made)).collect()
    }

    /// Goes over the objects until nothing changes; whether it came to that.
    fn rounds(
        &self,
        old: &Heap,
        new: &Heap,
        progress: &Progress,
        step: impl Fn(&mut Judge<'_>, ObjectId, &AtomicU8) -> bool + Sync,
    ) -> Result<bool, Cancelled> {
        for _ in 0..MAX_ROUNDS {
            if !self.each(old, new, progress, &step)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Calls `step` for every object, window by window in parallel; whether it ever returned `true`.
    fn each(
        &self,
        old: &Heap,
        new: &Heap,
        progress: &Progress,
        step: impl Fn(&mut Judge<'_>, ObjectId, &AtomicU8) -> bool + Sync,
    ) -> Result<bool, Cancelled> {
        let windows = new.objects().window_count();
        progress.begin(windows as u64);
        let changed = AtomicBool::new(false);
        (0..windows).into_par_iter().try_for_each_init(
            || Judge::new(old, new, &self.fates),
            |judge, i| {
                progress.check()?;
                for (id, address, _) in new.objects().window(i) {
                    judge.look_at(address);
                    if let Some(fate) = self.fates.get(id.0 as usize)
                        && step(judge, id, fate)
                    {
                        changed.store(true, Relaxed);
                    }
                }
                progress.advance(1);
                Ok(())
            },
        )?;
        Ok(changed.load(Relaxed))
    }

    /// What should be said beside the answer.
    pub fn problems(&self) -> Vec<String> {
        let unsettled = "objects lead to each other in so long chains that not all of them were compared to the end: some that \
                         are told as survivors may be new";
        if self.settled { Vec::new() } else { vec![unsettled.to_owned()] }
    }
}

/// For each type of the older snapshot, the one of the newer that has its address and its name.
fn same_types(old: &Heap, new: &Heap) -> Vec<Option<TypeId>> {
    let there = |address, name: &str| {
        let id = new.types().id_of(address)?;
        (new.types().get(id).name == name).then_some(id)
    };
    old.types().iter().map(|(_, ty)| there(ty.address, &ty.name)).collect()
}
