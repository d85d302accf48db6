//! What callers ask for: the bodies of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Labels;

/// An invite that should be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteAsk {
    /// The labels that whoever uses it gets.
    #[serde(default)]
    pub labels: Labels,
    /// How many devices may use it.
    pub uses: u32,
    /// How long it can be used.
    pub ttl_ms: u64,
}

/// An invite that the root signed, for this node to record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedInviteText {
    /// The signed invite, without its secret, as text.
    pub text: String,
}

/// Labels to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelAsk {
    /// Labels to set.
    #[serde(default)]
    pub set: Labels,
    /// Keys to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// Why something is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeAsk {
    /// For whoever reads the verdict later.
    pub reason: Option<String>,
}

/// A certificate for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantAsk {
    /// The operator's name.
    pub to: String,
    /// The operator's public key, as text.
    pub key: String,
    /// Capabilities, such as `exec.run`.
    pub capabilities: Vec<String>,
    /// On which devices; empty for all.
    #[serde(default)]
    pub selector: String,
    /// The users as whom commands may run.
    #[serde(default)]
    pub run_as: Vec<String>,
    /// For how long.
    pub ttl_ms: u64,
}

/// Something that the root signed: a certificate, an order, a new root document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementText {
    /// The signed statement, as text.
    pub text: String,
}
