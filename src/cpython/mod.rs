//! What the bytes mean: which interpreter, its layout table, one decoder per kind of object.
//!
//! Everything here reads one object at a time and hands out its edges and its value; it keeps no object set.

mod debug_offsets;
pub mod edges;
mod frame;
mod generator;
pub mod interpreters;
mod kind;
pub mod layout;
mod lines;
mod lock;
mod memory;
mod patches;
pub mod runtime;
mod signature;
mod size;
mod thread;
pub mod types;
pub mod value;
mod version;

pub use edges::{AttributeStore, EdgeKind, EdgeName, Visitor};
pub use frame::FrameSlots;
pub use generator::{GeneratorState, Step};
pub use kind::Kind;
pub use lines::Position;
pub use lock::{ASYNC_EXIT, EXIT, Entered, ExceptionTables, Word};
pub use memory::{Count, Keys, MAX_ITEMS, Memory, Str};
pub use thread::{Stack, StackFrame, ThreadState};
pub use value::{Limits, Value};
