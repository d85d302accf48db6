//! Chaos on real processes: namespaces, cut links, SIGKILL, a full disk. Each test is a lab of its own.

#[path = "chaos/crowd.rs"]
mod crowd;
#[path = "chaos/draw.rs"]
mod draw;
#[path = "chaos/facts.rs"]
mod facts;
#[path = "chaos/fleet.rs"]
mod fleet;
#[path = "chaos/ground.rs"]
mod ground;
#[path = "chaos/history.rs"]
mod history;
#[path = "chaos/lab.rs"]
mod lab;
#[path = "chaos/loopback.rs"]
mod loopback;
#[path = "chaos/machine.rs"]
mod machine;

#[path = "chaos/adoption.rs"]
mod adoption;
#[path = "chaos/alone.rs"]
mod alone;
#[path = "chaos/crowds.rs"]
mod crowds;
#[path = "chaos/disk.rs"]
mod disk;
#[path = "chaos/folder.rs"]
mod folder;
#[path = "chaos/frozen.rs"]
mod frozen;
#[path = "chaos/killed.rs"]
mod killed;
#[path = "chaos/local.rs"]
mod local;
#[path = "chaos/narrow.rs"]
mod narrow;
#[path = "chaos/partition.rs"]
mod partition;
#[path = "chaos/refused.rs"]
mod refused;
#[path = "chaos/relayed.rs"]
mod relayed;
#[path = "chaos/restarts.rs"]
mod restarts;
