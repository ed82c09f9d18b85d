//! What the bytes mean: which interpreter, its layout table, one decoder per kind of object.
//!
//! Everything here reads one object at a time and hands out its edges and its value; it keeps no object set.

pub mod layout;
mod memory;
pub mod runtime;
pub mod types;

pub use memory::{Count, Keys, MAX_ITEMS, Memory, Str};
