//! Devices, as `get devices` and `describe device` show them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, PathReport};

/// Labels, by their keys.
pub type Labels = BTreeMap<String, String>;

/// What a certificate makes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It may write.
    Manager,
    /// It takes what managers write.
    Agent,
}

impl Role {
    /// What goes before it in a sentence.
    #[must_use]
    pub const fn article(self) -> &'static str {
        match self {
            Self::Manager => "a",
            Self::Agent => "an",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Manager => "manager",
            Self::Agent => "agent",
        })
    }
}

/// How a device is, as far as anybody can tell.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// Heard of within its keep-alive.
    Ready,
    /// Known not to answer.
    Unreachable,
    /// Nobody has heard of it lately, which says nothing about it.
    Unknown,
    /// Enrolled, and never heard of since.
    Pending,
    /// Its certificate was stopped.
    Stopped,
    /// No longer listed, unless asked for.
    Forgotten,
}

impl DeviceState {
    /// The word that scripts see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Stopped => "stopped",
            Self::Forgotten => "forgotten",
        }
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its id, which stays.
    pub id: String,
    /// How it is.
    pub state: DeviceState,
    /// What its certificate makes it.
    pub role: Role,
    /// The labels of the certificate that it bears.
    pub labels: Labels,
    /// Labels that it was given and has not taken yet.
    pub pending_labels: Option<Labels>,
    /// The names of its home managers.
    pub homes: Vec<String>,
    /// When it was last heard.
    #[serde(flatten)]
    pub heard: Heard,
    /// Its papers.
    #[serde(flatten)]
    pub papers: Papers,
    /// Where two machines go by its key: what this node knows of them.
    pub copied: Option<Copied>,
}

/// That two machines go by one node's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Copied {
    /// From where they came to this node.
    pub came_from: Vec<String>,
    /// Where the latest word of either says that it can be reached.
    pub says: Vec<String>,
    /// The name of the manager that heard the other; this one where both came to it in turn.
    pub heard_by: String,
    /// How long ago that was last so.
    pub noticed_ms: u64,
}

/// When a device was last heard, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heard {
    /// How long ago; none where nobody heard of it since the nodes that we ask were started.
    pub last_heard_ms: Option<u64>,
    /// The name of the manager that heard it.
    pub heard_by: Option<String>,
}

/// When a device came, and until when it may stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Papers {
    /// When it was enrolled.
    pub enrolled: Option<Moment>,
    /// When its certificate lapses.
    pub certificate_until: Option<Moment>,
    /// The version of the program that it runs, where that is known.
    pub version: Option<String>,
}

/// A device, with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub device: Device,
    /// Its keys.
    pub keys: Vec<KeyPrint>,
    /// How it became a member.
    pub enrolment: Option<Enrolment>,
    /// How this node reaches it.
    pub path: Option<PathReport>,
    /// What somebody has to settle: a name borne twice, a key seen in two places.
    pub conflicts: Vec<String>,
    /// What is worth knowing and needs nobody.
    pub notes: Vec<String>,
}

/// A key, by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyPrint {
    /// What it is for: `sign` or `seal`.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// How a device became a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolment {
    /// The id of the invite that it used.
    pub invite: String,
    /// The name of the manager that admitted it.
    pub by: String,
    /// When.
    pub when: Moment,
}
