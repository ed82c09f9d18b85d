//! The few unsafe wrappers that several modules need, each behind a safe function.
//!
//! Nothing here decides anything: no policy, no messages, no knowledge of Python. What only one module needs lives in
//! that module.

pub mod child;
pub mod headroom;
pub mod mapped;
pub mod memory;
pub mod pagemap;
pub mod priority;
pub mod signals;
