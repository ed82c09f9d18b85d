//! Allocators: which blocks of memory live.
//!
//! An object of CPython is the beginning of a block that an allocator handed out. Knowing the blocks is what tells
//! an object from a word that looks like one: a freed block, a list of items, the middle of a tuple. Two allocators
//! are known: [`pymalloc`] (small blocks, in pools) and [`glibc`] (all others); [`debug`] is what CPython's debug hooks
//! put around the blocks of either. What is in a block is not known here.

pub mod debug;
pub mod glibc;
pub mod pymalloc;
