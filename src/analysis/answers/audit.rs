//! References that no object explains, as answers.

use super::RefCount;
use crate::snapshot::Addr;
use serde::Serialize;

/// Reference counts against the references that were found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Audit {
    /// Objects whose counts were compared.
    pub objects: u64,
    /// Of them: all references were found.
    pub accounted: u64,
    /// Of them: some are held by C code, and pointers in its memory were found to as many.
    pub held_by_c: u64,
    /// Of them: more references are counted than there are pointers anywhere. What leaks a reference looks like this.
    pub unexplained: u64,
    /// Of them: more references were found than are counted; a sign that this program is wrong about something.
    pub overcounted: u64,
    /// What is not compared, and why.
    pub excluded: Vec<Excluded>,
    /// By type, the most unexplained references first.
    pub types: Vec<AuditType>,
    /// The objects that are held by C code or unexplained, the latter first.
    pub rows: Vec<AuditRow>,
    /// How many there are.
    pub rows_total: u64,
    /// Some of the objects that have more references found than counted.
    pub overcounted_rows: Vec<AuditRow>,
    /// What could not be read, as sentences.
    #[serde(skip)]
    pub problems: Vec<String>,
}

/// Objects or references that have no part in the comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Excluded {
    /// What and why.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// The objects of one type with references that no object explains.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AuditType {
    /// The type's name.
    pub name: String,
    /// Objects that are held by C code or unexplained.
    pub objects: u64,
    /// Their references that no object, no root explains.
    pub unaccounted: u64,
    /// Of those: of objects to which fewer pointers were found than references are left.
    pub unexplained: u64,
    /// Objects with more references found than counted.
    pub overcounted: u64,
}

/// One object with references that no object explains.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    /// Where it is.
    pub address: Addr,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its reference count.
    pub refcount: RefCount,
    /// References found: from objects and from roots.
    pub found: u64,
    /// What is left: held by C code.
    pub unaccounted: u64,
    /// Pointers to it that may be those: in C's memory, on C stacks, in objects of unknown layout.
    pub pointers: u64,
    /// All that is unaccounted for where there are fewer pointers, else none: which of them are references, and which are
    /// borrowed or stale, cannot be told.
    pub unexplained: u64,
    /// Where such pointers are.
    pub places: Vec<String>,
    /// `sys.getsizeof`.
    pub shallow_bytes: u64,
    /// The value in one line.
    pub summary: String,
}
