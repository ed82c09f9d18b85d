//! What fuzzing asks of pymem-tui: one function a target, the seeds they begin with, and damage to real memory.
//!
//! libFuzzer (`fuzz/run`) and the tests (`tests/fuzz.rs`, `tests/damaged.rs`) call the same functions. A target takes
//! any bytes; it must come back, without a panic, and with answers that agree with each other.
#![allow(dead_code)] // each user takes its part

pub mod damage;
pub mod mutate;
pub mod seeds;
pub mod targets;
