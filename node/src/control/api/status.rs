//! The node itself and those who write: `status`, `get managers`, the fleet that all are members of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Moment;
use super::devices::Role;

/// How this node is, in one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// This node.
    pub node: NodeName,
    /// The fleet that it is a member of.
    pub fleet: FleetName,
    /// Since it was started.
    pub uptime_ms: u64,
    /// What time it is for the fleet.
    pub time: Time,
    /// Whom it reaches.
    pub reach: Reach,
    /// The devices that it knows.
    pub devices: DeviceCounts,
    /// What it holds.
    pub ledgers: Ledgers,
    /// Where it keeps that.
    pub disk: Disk,
    /// What somebody should look at: certificates that lapse, conflicts, clones; a line for each.
    pub warnings: Vec<String>,
    /// Where others can reach it.
    pub addresses: Vec<String>,
}

/// A node, as `status` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeName {
    /// Its name.
    pub name: String,
    /// Its id, which stays.
    pub id: String,
    /// What its certificate makes it.
    pub role: Role,
    /// The version of the program that runs.
    pub version: String,
}

/// A fleet's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetName {
    /// Its name.
    pub name: String,
    /// The hash of its first root document.
    pub id: String,
}

/// Reference time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Time {
    /// What time it is.
    pub reference: Moment,
    /// Whether managers signed it; without, it is this node's own clock.
    pub signed: bool,
}

/// Whom a node reaches now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// Its home managers that are connected.
    pub homes: u32,
    /// All managers that are connected.
    pub managers: u32,
    /// Managers that there are, this node aside.
    pub managers_known: u32,
    /// Members that it has a session with.
    pub links: u32,
}

/// How many devices are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceCounts {
    /// Heard of within their keep-alive.
    pub ready: u32,
    /// Known not to answer.
    pub unreachable: u32,
    /// Nobody has heard of them lately, which says nothing about them.
    pub unknown: u32,
}

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ledgers {
    /// Entries of all ledgers.
    pub entries: u64,
    /// One hash over all fleet-wide ledgers: nodes with the same one hold the same.
    pub digest: String,
}

/// The store's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// What the store takes.
    pub bytes: u64,
    /// What is left for it.
    pub free: u64,
    /// Whether ordinary writes are refused because too little is left.
    pub full: bool,
}

/// Whether a manager's certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ManagerState {
    /// Its certificate counts.
    Good,
    /// Its certificate has lapsed.
    Lapsed,
    /// The root stopped it.
    Stopped,
    /// It waits for the root's signature.
    Pending,
}

/// A manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manager {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it may write.
    pub state: ManagerState,
    /// When its certificate lapses.
    pub certificate_until: Option<Moment>,
    /// Whether this node has a session with it.
    pub reachable: bool,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// Whether it is the node that answers.
    pub is_self: bool,
}

/// What somebody needs who works with the root key: `invite --manager`, `root sign`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetInfo {
    /// The fleet's name.
    pub name: String,
    /// The hash of its first root document.
    pub id: String,
    /// The root document in force, as text.
    pub root: String,
    /// How many of its keys have to sign.
    pub threshold: u32,
    /// The fingerprints of its keys, in their order.
    pub keys: Vec<String>,
    /// Where managers can be reached, for invites.
    pub addresses: Vec<String>,
    /// Reference time, milliseconds since 1970: what an expiry is counted from.
    pub reference_ms: u64,
    /// What the root said so far and stands by: a rotation has to keep it.
    pub keeps: Vec<String>,
    /// What the root would sign to stop each manager.
    pub managers: Vec<ManagerStop>,
}

/// A manager, and the order that stops it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManagerStop {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The unsigned verdict, as text: what it wrote until now counts, and nothing after.
    pub verdict: String,
}
