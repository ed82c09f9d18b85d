//! The questions people ask of a heap, each answered as plain data.
//!
//! One file a question. The answers' shapes are in [`answers`]; how they look on paper or on a screen is not known
//! here. Everything reads the same index.

pub mod answers;
pub mod audit;
pub mod beside;
pub mod describe;
pub mod detail;
pub mod diff;
pub mod export;
mod frames;
pub mod garbage;
pub mod graph;
pub mod info;
pub mod leaks;
pub mod links;
mod locks;
pub mod memory;
pub mod modules;
mod ownership;
pub mod paths;
pub mod query;
pub mod raw;
pub mod redact;
pub mod retained;
pub mod roots;
pub mod strings;
pub mod tasks;
pub mod threads;
pub mod types;
pub mod variables;
pub mod verdict;
pub mod waste;
