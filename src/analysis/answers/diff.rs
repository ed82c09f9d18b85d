//! What changed between snapshots, as answers.

use super::SnapshotInfo;
use crate::snapshot::Addr;
use serde::Serialize;

/// Growth by type, and how many objects are new, gone and still there. Counts of objects are `None` where two processes
/// were compared: an address means nothing then.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diff {
    /// The older snapshot; the newer one heads the answer.
    pub old: SnapshotInfo,
    /// The third snapshot, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<SnapshotInfo>,
    /// `None` when objects were compared one by one; else why only types were.
    pub only_types: Option<String>,
    /// One row a name of those that changed, the biggest change of bytes first; with a third snapshot, by what is kept.
    pub types: Vec<TypeChange>,
    /// The types of which nothing is new and nothing gone.
    pub unchanged: Unchanged,
    /// Their rows, for whoever chooses rows by a query.
    #[serde(skip)]
    pub same: Vec<TypeChange>,
    /// Over all types.
    pub total: Change,
    /// Objects that are in both.
    pub survivors: Option<u64>,
    /// How sure that is.
    pub confidence: Option<Survivors>,
    /// Objects that only the newer one has.
    pub created: Option<u64>,
    /// Objects that only the older one has.
    pub freed: Option<u64>,
    /// Of those: at the address of one of its type that was freed, told apart by content alone.
    pub reused: Option<u64>,
    /// Objects made between the first two snapshots that the third still has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// The objects that were asked for, in address order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<ChangedObject>>,
    /// How many of them there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects_total: Option<u64>,
    /// What else is to be said, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// Survivors by how sure it is that each is the same object. All have the same address and type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Survivors {
    /// The content is the same, and tells the object from others.
    pub exact: u64,
    /// Part of the content is the same, or the same holder has it under the same name.
    pub likely: u64,
    /// Nothing in it could tell (it is empty, or holds only what many hold), and nothing speaks against it.
    pub weak: u64,
}

/// Types that did not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Unchanged {
    /// How many.
    pub types: u64,
    /// Their objects.
    pub count: u64,
    /// The shallow sizes of these.
    pub bytes: u64,
}

/// A number of objects and of bytes, then and now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Objects in the older snapshot.
    pub old_count: u64,
    /// Objects in the newer one.
    pub new_count: u64,
    /// Their difference.
    pub delta_count: i64,
    /// Shallow sizes in the older snapshot.
    pub old_bytes: u64,
    /// Shallow sizes in the newer one.
    pub new_bytes: u64,
    /// Their difference.
    pub delta_bytes: i64,
}

impl Change {
    /// From what was and what is.
    pub fn new((old_count, old_bytes): (u64, u64), (new_count, new_bytes): (u64, u64)) -> Change {
        Change {
            old_count,
            new_count,
            delta_count: new_count.wrapping_sub(old_count) as i64,
            old_bytes,
            new_bytes,
            delta_bytes: new_bytes.wrapping_sub(old_bytes) as i64,
        }
    }
}

/// The types of one name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TypeChange {
    /// As in `types`.
    pub name: String,
    /// Then and now.
    #[serde(flatten)]
    pub change: Change,
    /// Objects in both.
    pub survivors: Option<u64>,
    /// Objects in the newer one only.
    pub created: Option<u64>,
    /// Objects in the older one only.
    pub freed: Option<u64>,
    /// Objects made between the first two that the third still has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
}

impl TypeChange {
    /// Whether anything is told of it but that it is there.
    pub fn is_change(&self) -> bool {
        let some = |n: Option<u64>| n.is_some_and(|n| n > 0);
        self.change.delta_count != 0 || self.change.delta_bytes != 0 || some(self.created) || some(self.freed)
    }
}

/// Which objects of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// Those that only the newer one has.
    Created,
    /// Those that only the older one has.
    Freed,
    /// Those that are in both.
    Survivors,
    /// Those made between the first two that the third still has.
    Kept,
}

/// One object of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedObject {
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Of a survivor: `exact`, `likely` or `weak`. Of others: `exact` when no object of its type is at its address in
    /// the other snapshot, `likely` when one is there, with another content.
    pub confidence: &'static str,
    /// `sys.getsizeof`.
    pub shallow_bytes: u64,
    /// The value in one line.
    pub summary: String,
}
