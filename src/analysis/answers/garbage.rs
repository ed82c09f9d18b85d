//! What only cycles keep alive, as answers.

use super::Total;
use crate::snapshot::Addr;
use serde::Serialize;

/// What `gc.collect()` would find, without collecting.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Garbage {
    /// The objects that the collector would find.
    pub garbage: Total,
    /// What else would be freed with them: objects that the collector does not watch.
    pub dependants: Total,
    /// The garbage by generation, youngest first.
    pub generations: Vec<Total>,
    /// Everything the collector watches, by generation.
    pub watched: Vec<Total>,
    /// What `gc.freeze` took out of the collector's sight; never garbage.
    pub frozen: Total,
    /// How many of the garbage objects have a finalizer (`__del__`, or one of C) that would run.
    pub finalizers: u64,
    /// The garbage by type, biggest first.
    pub types: Vec<GarbageType>,
    /// What holds it together, biggest first.
    pub cycles: Vec<GarbageCycle>,
    /// How many cycles there are.
    pub cycles_total: u64,
    /// The garbage objects in address order, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<GarbageObject>>,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// The garbage of one type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GarbageType {
    /// The type's name.
    pub name: String,
    /// Its garbage objects.
    pub count: u64,
    /// Their shallow sizes.
    pub shallow_bytes: u64,
    /// How many of them have a finalizer.
    pub finalizers: u64,
}

/// A strongly connected component of garbage, with what hangs on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GarbageCycle {
    /// The objects that hold each other.
    pub members: u64,
    /// The garbage that goes with it: its members, and what they lead to and no bigger cycle does.
    pub garbage: Total,
    /// What else would be freed with it.
    pub dependants: Total,
    /// The oldest generation that one of its members is in.
    pub generation: u8,
    /// How many of its garbage objects have a finalizer.
    pub finalizers: u64,
    /// Its members by type, the most frequent first.
    pub types: Vec<CycleType>,
    /// A shortest way round through its first member, cut where it is long.
    pub round: Vec<Round>,
}

/// One step of a way round a cycle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// How it is held by the one before, the first by the last.
    pub edge: String,
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The value in one line.
    pub summary: String,
}

/// The members of a cycle of one type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CycleType {
    /// The type's name.
    pub name: String,
    /// Members.
    pub count: u64,
}

/// One garbage object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GarbageObject {
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its generation.
    pub generation: u8,
    /// The number of its cycle, or of the one that it hangs on; `None` where no cycle leads to it.
    pub cycle: Option<u64>,
    /// Whether it has a finalizer.
    pub finalizer: bool,
    /// `sys.getsizeof`.
    pub shallow_bytes: u64,
    /// The value in one line.
    pub summary: String,
}
