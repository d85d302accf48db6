//! The actors that give the machines of `regatta-protocol` disks, keys and sockets.
//!
//! The protocol decides, an actor acts: it turns what the world does into a machine's events and
//! performs the effects that come back, in their order, `Store` before the `Send` that promises it.
//! [`drive`] is how each of them drives its machine, [`clock`] what time it is for them, [`crew`] the
//! list of them, [`supervisor`] what happens when one fails.
//!
//! # Who owns what
//!
//! | actor | owns alone | asks whom |
//! |---|---|---|
//! | `NodeActor` | the tree: who is started with what, and how often again | nobody |
//! | `StoreActor` | every byte of the store, and its only fdatasync | nobody |
//! | `NetworkActor` | every socket; libp2p's types stop inside it | nobody: it tells the switchboard |
//! | `LedgerActor` | the replica: entries held, folds, who is a member | store, network, membership |
//! | `BodiesActor` | bodies on their way | store, network, ledger |
//! | `PulledActor` | what this node reports, and what it reads of others | store, network |
//! | `MembershipActor` | soft state about others; never an entry | store, network, ledger |
//! | `ConfigActor` | what documents make of a device, their files too; a manager's rollouts | the six above |
//! | `SwitchboardActor` | who was admitted | ledger, membership |
//! | `ControlActor` | the control socket and its callers' identities | all of them |
//!
//! Those for commands and telemetry come with their features.
//!
//! # Architecture invariants
//!
//! - **A rule stands in `regatta-protocol` or nowhere.** An `if` on a certificate, an order of
//!   entries or a deadline that is found here is a bug even when it is right, because the simulator
//!   cannot torture it.
//! - **One owner.** A machine belongs to one actor and is never behind a lock or shared.
//! - **Nothing is found by a global name.** An actor is handed what it needs as arguments; two nodes
//!   live in one process, and a node can be dropped and another started.
//! - **Nothing waits in a handler.** Disk, name lookups and process starts go to a bounded pool.
//! - **Every population is bounded**: what is in a mailbox holds a permit, what is in flight on a
//!   stream holds credit.
//! - **An actor that fails is started again by one file only**, five times in a minute with back-off;
//!   then the process ends and whoever started it decides. What an actor held in memory alone is
//!   rebuilt from the store, on the path that a restart takes.
//! - **Cleanup is in `Drop`**, because nothing else runs when a handler panics.

pub mod acts;
pub mod bodies;
pub mod clock;
pub mod config;
pub mod control;
pub mod crew;
pub mod drive;
pub mod identity;
pub mod join;
pub mod ledger;
pub mod membership;
pub mod network;
pub mod pulled;
pub mod store;
pub mod supervisor;
pub mod switchboard;

// Tests from `tests/` that are also used inside name this crate as they do there.
#[cfg(test)]
extern crate self as regatta_actors;
