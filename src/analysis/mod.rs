//! The questions people ask of a heap, each answered as plain data.

pub mod answers;
pub mod describe;
