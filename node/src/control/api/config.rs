//! Configuration: documents, what devices make of them, and how far they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, Saved};

/// Documents that are to be written, all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplyAsk {
    /// The documents as YAML; JSON is YAML too. Files by content are named by what `/v1/bodies` gave.
    #[serde(default)]
    pub manifests: String,
    /// Names of documents that are to be no more.
    #[serde(default)]
    pub delete: Vec<String>,
    /// Texts of secrets: by document, by their place in the tree.
    #[serde(default)]
    pub secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// Versions that have to be there, by document; 0 for a document that is not to be there.
    #[serde(default)]
    pub expect: BTreeMap<String, u32>,
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// A document that is to be written as it once was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackAsk {
    /// The version that it was then.
    pub to: u32,
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentChange {
    /// Its name.
    pub name: String,
    /// The version that was there.
    pub before: Option<u32>,
    /// The version that is there from now on.
    pub version: u32,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Whether nothing changes.
    pub unchanged: bool,
    /// The devices that it is for.
    pub devices: Vec<String>,
    /// The devices that it was for and is no more.
    pub leaves: Vec<String>,
}

/// What was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The documents, in their order.
    pub documents: Vec<DocumentChange>,
    /// Where it is kept; none where it was only tried.
    pub saved: Option<Saved>,
}

/// Bytes that the node keeps now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyGiven {
    /// Their name.
    pub hash: String,
    /// How many they are.
    pub bytes: u64,
}

/// How far devices are with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigCounts {
    /// Devices that it is for.
    pub desired: u32,
    /// Of these, those that reported that this version holds.
    pub applied: u32,
    /// Those that are heard and have not reported on it yet.
    pub pending: u32,
    /// Those that reported that they refused it or took it back.
    pub failed: u32,
    /// Those that are not heard and have not applied it.
    pub offline: u32,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSummary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Whom it is for; empty for all.
    pub select: String,
    /// Its weight among documents of its class.
    pub priority: i32,
    /// Who wrote it, and on which manager.
    pub by: String,
    /// When.
    pub at: Moment,
    /// How far devices are.
    pub devices: ConfigCounts,
    /// How many changes were made without seeing this one, and lost.
    pub conflicts: u32,
    /// How far it has gone out, where it goes out in waves.
    pub rollout: Option<String>,
}

/// How far a device is with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfigState {
    /// The version holds.
    Applied,
    /// It is heard, and has not reported on this version yet.
    Pending,
    /// It refused it, or took it back.
    Failed,
    /// It is not heard, and has not applied it.
    Offline,
}

/// A device that a document is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigDevice {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: ConfigState,
    /// The version that holds there.
    pub holds: Option<u32>,
    /// When it said so.
    pub at: Option<Moment>,
    /// What went wrong.
    pub why: Option<String>,
}

/// All that is known of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigDetail {
    /// In short.
    #[serde(flatten)]
    pub summary: ConfigSummary,
    /// As YAML; secrets are not in it.
    pub manifest: String,
    /// The devices that it is for.
    pub targets: Vec<ConfigDevice>,
}

/// One version of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigVersion {
    /// The version; two that were made without seeing each other may bear one number.
    pub version: u32,
    /// The beginning of its entry's name, which tells them apart.
    pub entry: String,
    /// Who wrote it, and on which manager.
    pub by: String,
    /// When.
    pub at: Moment,
    /// Whom it is for.
    pub select: String,
    /// `holds`, `replaced`, `lost` (to one made without seeing it) or `deletes`.
    pub state: String,
}

/// What one document says at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saying {
    /// The document.
    pub document: String,
    /// Its version.
    pub version: u32,
    /// Whom it is for.
    pub select: String,
    /// Who wrote it.
    pub by: String,
    /// When.
    pub at: Moment,
    /// What it says.
    pub value: serde_json::Value,
    /// `holds`, `merged` or `hidden`.
    pub state: String,
}

/// Why a place in a device's tree is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The device.
    pub device: String,
    /// The place.
    pub path: String,
    /// What is there, by the documents that hold; none where nothing is.
    pub value: Option<serde_json::Value>,
    /// What the documents say of it, the one that holds first.
    pub said: Vec<Saying>,
    /// What the device reported otherwise, where it did.
    pub note: Option<String>,
}

/// A device's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effective {
    /// The device.
    pub device: String,
    /// The tree; secrets masked.
    pub tree: serde_json::Value,
    /// The documents that it is made of, with their versions.
    pub documents: BTreeMap<String, u32>,
    /// What keeps it from being complete: documents whose words are on their way.
    pub missing: Vec<String>,
}

/// A device's tree before and after documents are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// The device.
    pub device: String,
    /// As it is; secrets masked.
    pub before: serde_json::Value,
    /// As it would be.
    pub after: serde_json::Value,
}

/// A value on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LocalValue {
    /// The place.
    pub path: String,
    /// What is there; none where nothing is.
    pub value: Option<serde_json::Value>,
}

/// A file that somebody changed by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftedFile {
    /// The device.
    pub device: String,
    /// The file.
    pub path: String,
    /// The document that it is of.
    pub document: String,
    /// Whether it is gone.
    pub gone: bool,
}

/// Changes that were made without seeing each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// The document.
    pub name: String,
    /// The one that holds.
    pub holds: ConfigVersion,
    /// Those that lost.
    pub lost: Vec<ConfigVersion>,
}

/// The devices of a rollout in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutCounts {
    /// Devices that the document is for.
    pub selected: u32,
    /// Of these, those heard during the wave.
    pub heard: u32,
    /// How many of the heard the wave is to reach.
    pub reach: u32,
    /// How many of the heard it has been opened for.
    pub open: u32,
    /// How many of the heard have applied it.
    pub applied: u32,
    /// How many of the heard refused it or took it back.
    pub failed: u32,
    /// Devices that it is open for and that were not heard: they follow when they come.
    pub following: u32,
    /// Devices that wait because `minAvailable` has nobody to spare, by label.
    pub held: BTreeMap<String, u32>,
}

/// How far a change has gone out in waves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutStatus {
    /// The document.
    pub name: String,
    /// The version that goes out.
    pub version: u32,
    /// `running`, `paused`, `aborted` or `complete`.
    pub state: String,
    /// Why it is paused, or who aborted it.
    pub why: Option<String>,
    /// The wave that is open, counted from 1.
    pub wave: u32,
    /// How many there are.
    pub waves: u32,
    /// Since when it is open.
    pub since: Moment,
    /// Its devices in numbers.
    #[serde(flatten)]
    pub devices: RolloutCounts,
}

/// What is to become of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RolloutAction {
    /// Nothing more opens.
    Pause,
    /// It goes on, though some failed.
    Resume,
    /// All devices go back to what was before.
    Abort,
}

/// An operator's word on a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutAsk {
    /// What is to become of it.
    pub action: RolloutAction,
    /// Why, for others to read.
    #[serde(default)]
    pub why: Option<String>,
}
