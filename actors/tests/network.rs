//! The network between real nodes: over sockets in real time, over memory in tokio's paused time.

#[path = "network/fleet.rs"]
mod fleet;
#[path = "network/links.rs"]
mod links;
#[path = "network/meetings.rs"]
mod meetings;
#[path = "network/members.rs"]
mod members;
#[path = "network/relays.rs"]
mod relays;
#[path = "network/strangers.rs"]
mod strangers;
