//! Bytes to win: what takes memory that another way of writing the program would not need.

use crate::snapshot::Addr;
use serde::Serialize;

/// One thing to look at: a value, a container, a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WasteExample {
    /// The object, or one of them.
    pub address: Addr,
    /// Its type's name; of a class: its own.
    #[serde(rename = "type")]
    pub type_name: String,
    /// In one line, sanitised.
    pub summary: String,
    /// Objects.
    pub count: u64,
    /// Bytes to win.
    pub bytes: u64,
}

/// One kind of waste.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WasteRow {
    /// `duplicate_str`, `duplicate_bytes`, `duplicate_tuple`, `overallocated_list`, `sparse_dict`, `sparse_set`,
    /// `empty_container`, `no_slots`, `boxed_float`, `boxed_int`.
    pub kind: &'static str,
    /// Objects that could go or shrink.
    pub count: u64,
    /// Bytes to win.
    pub bytes: u64,
    /// One sentence: what it is and what to do.
    pub sentence: String,
    /// Where most of it is, most first.
    pub examples: Vec<WasteExample>,
}

/// All waste that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Waste {
    /// Most bytes first.
    pub rows: Vec<WasteRow>,
}
