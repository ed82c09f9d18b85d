//! Processes beside each other.

use crate::snapshot::Addr;
use serde::Serialize;

/// The types of several processes, one row a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Beside {
    /// Those in which the processes differ most come first.
    pub types: Vec<BesideRow>,
}

/// A type's name in every process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BesideRow {
    /// The name.
    pub name: String,
    /// In the order of the processes; `None` where its objects are not known.
    pub cells: Vec<Option<BesideCell>>,
    /// From the process with the least to the one with the most: bytes, or objects.
    pub spread: u64,
}

/// The types of one name in one process; all zero where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BesideCell {
    /// Objects.
    pub count: u64,
    /// Their shallow sizes.
    pub shallow_bytes: u64,
    /// The type object; of several, that whose objects are biggest.
    pub address: Option<Addr>,
}

/// What processes are compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Shallow sizes.
    #[default]
    Size,
    /// Numbers of objects.
    Count,
}

impl BesideCell {
    /// What is compared.
    pub fn measured(&self, by: Measure) -> u64 {
        match by {
            Measure::Size => self.shallow_bytes,
            Measure::Count => self.count,
        }
    }
}
