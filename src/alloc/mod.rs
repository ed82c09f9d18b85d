//! Allocators: which blocks of memory live.
//!
//! An object of CPython is the beginning of a block that an allocator handed out. Knowing the blocks is what tells
//! an object from a word that looks like one: a freed block, a list of items, the middle of a tuple. Three allocators
//! are known: [`pymalloc`] (small blocks, in pools) and [`glibc`] (all others) of default builds, [`mimalloc`] of
//! free-threaded ones; [`debug`] is what CPython's debug hooks put around the blocks of any. What is in a block is not
//! known here.

pub mod arenas;
pub mod cached;
pub mod debug;
pub mod glibc;
pub mod mimalloc;
pub mod pymalloc;
