//! Seeded, single-threaded simulator of whole fleets, in virtual time, over the shipped machines.
//!
//! One seed replays everything. Faults run until the work is done, then the network heals and the
//! fleet has to converge: safety first, then liveness. What is asserted is in [`invariants`].

pub mod bodies;
pub mod config;
pub mod disk;
pub mod fleet;
pub mod forge;
pub mod ids;
pub mod invariants;
pub mod large;
#[cfg(feature = "live")]
pub mod live;
pub mod network;
pub mod node;
pub mod plan;
pub mod pulled;
pub mod queue;
pub mod report;
pub mod run;
pub mod scenarios;
pub mod scheme;
pub mod sessions;
pub mod steady;
pub mod trace;
pub mod wire;
pub mod world;
