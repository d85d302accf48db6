//! Invites, grants and requests, and what is said of a change that was saved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Labels, Moment};

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// It survives a power cut of this node.
    pub saved: bool,
    /// Managers that hold it, this one included.
    pub copies: u32,
    /// Managers that there are, this one included.
    pub managers: u32,
    /// What was done, in a few words: `amr-07 is stopped`.
    pub what: String,
}

/// Whether an invite can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InviteState {
    /// It can.
    Open,
    /// All its uses are used.
    Used,
    /// Its time is over.
    Expired,
    /// Somebody stopped it.
    Stopped,
}

/// An invite that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// Its id; the token itself is shown once, when it is made.
    pub id: String,
    /// The labels that it gives.
    pub labels: Labels,
    /// How many devices may use it.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// Their names.
    pub used_by: Vec<String>,
    /// When it expires.
    pub expires: Moment,
    /// Whether it can still be used.
    pub state: InviteState,
    /// Whether who uses it becomes a manager.
    pub for_manager: bool,
    /// The name of who gave it.
    pub by: String,
}

/// A new invite, with the token that nothing shows again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteGiven {
    /// The token: whoever has it can join.
    pub invite: String,
    /// Its id, to stop it by.
    pub id: String,
    /// The fleet's name.
    pub fleet: String,
    /// The labels that it gives.
    pub labels: Labels,
    /// How many devices may use it.
    pub uses: u32,
    /// When it expires.
    pub expires: Moment,
    /// Whether who uses it becomes a manager.
    pub for_manager: bool,
    /// Where it was recorded.
    pub saved: Saved,
}

/// A certificate that was signed for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Granted {
    /// The certificate, as text, for the operator to keep.
    pub certificate: String,
    /// Its serial, to stop it by.
    pub id: String,
    /// When it lapses.
    pub until: Moment,
    /// Where it was recorded.
    pub saved: Saved,
}

/// A node that waits until the root makes it a manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManagerRequest {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// What the root signs, as text.
    pub request: String,
    /// When it asked.
    pub asked: Moment,
}
