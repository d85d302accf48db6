//! The lab of the chaos tests, for benchmarks on real processes; each needs a part of it.

#![allow(dead_code, reason = "a benchmark needs a part of the lab")]

#[path = "../tests/chaos/crowd.rs"]
pub mod crowd;
#[path = "../tests/chaos/facts.rs"]
pub mod facts;
#[path = "../tests/chaos/fleet.rs"]
pub mod fleet;
#[path = "../tests/chaos/ground.rs"]
pub mod ground;
#[path = "../tests/chaos/lab.rs"]
pub mod lab;
#[path = "../tests/chaos/machine.rs"]
pub mod machine;
