//! Whether and how something is reached, what is wrong, and what is measured of a node itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Labels, Problem};

/// How two nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// From one to the other.
    Direct,
    /// Through a relay, which sees only what is encrypted.
    Relayed,
}

impl PathKind {
    /// The word that scripts see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        }
    }
}

/// An answer to one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pong {
    /// There and back, in microseconds.
    pub rtt_us: u64,
    /// How.
    pub path: PathKind,
    /// Where it answered.
    pub address: String,
}

/// One line of a ping's answer: one of the two is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PongLine {
    /// Which probe, counted from 1.
    pub number: u32,
    /// It answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pong: Option<Pong>,
    /// It did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How a device is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathReport {
    /// Directly, or through a relay.
    pub path: PathKind,
    /// The address that is in use.
    pub address: String,
    /// The relay's name, where there is one.
    pub via: Option<String>,
    /// There and back, in microseconds, where it was measured.
    pub rtt_us: Option<u64>,
    /// What was tried and what came of it, a line for each.
    pub hops: Vec<String>,
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty where nothing.
    pub advice: String,
}

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// It only grows, until the node is started again.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number that a node measures of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Its name, as Prometheus wants it: `regatta_ledger_entries`.
    pub name: String,
    /// What it is, in one sentence.
    pub help: String,
    /// How it moves.
    pub kind: MetricKind,
    /// What tells it from others of its name.
    pub labels: Labels,
    /// The number.
    pub value: f64,
}
