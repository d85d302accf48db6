//! What a configuration document says, in the form in which it is a body.

mod check;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::check::DocumentError;
use crate::codec::{Name, Wire};
use crate::config::value::{KeyPath, Tokens};
use crate::crypto::seal::SealedValue;
use crate::ident::Hash;
use crate::limits::DOCUMENT_BODY_BYTES_MAX;

/// A configuration document, but for its name and its selector, which stand in the entry's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDocument {
    /// Who wrote it, as the manager that he wrote it at knows him.
    pub by: String,
    /// Its weight among documents of its class; the greater one wins.
    pub priority: i32,
    /// What it sets: always a map.
    pub values: Tokens,
    /// How lists go together with those of documents of less weight, where it is not by replacing.
    pub lists: BTreeMap<KeyPath, ListRule>,
    /// The files that devices make of the effective tree, or get as they are.
    pub files: Vec<FileSpec>,
    /// What only those may read who have a wrap of the key.
    pub secrets: Option<Secrets>,
    /// What is run when, and as whom.
    pub hooks: Hooks,
    /// How it goes out; at once where there is nothing here.
    pub rollout: Option<RolloutSpec>,
}

impl Wire for ConfigDocument {
    const VERSION: u8 = 1;
    #[expect(clippy::cast_possible_truncation, reason = "a mebibyte")]
    const BYTES_MAX: usize = DOCUMENT_BODY_BYTES_MAX as usize;
    const WHAT: &'static str = "configuration document";
}

/// What a list does with the list of a document of less weight at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ListRule {
    /// It stands in its stead.
    Replace,
    /// What it has and the other has not follows the other's.
    Merge,
}

/// A file on a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileSpec {
    /// Where, as an absolute path.
    pub path: String,
    /// What is in it.
    pub source: FileSource,
    /// Its permissions; those of the file that is there, else 0644.
    pub mode: Option<u32>,
    /// Its owner, a user's name; as it is, else the node's.
    pub owner: Option<String>,
    /// Its group; as it is, else the owner's.
    pub group: Option<String>,
}

/// Where a file's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FileSource {
    /// A part of the effective tree, written out.
    Tree {
        /// Which part.
        from: KeyPath,
        /// How.
        format: FileFormat,
    },
    /// Bytes as they are, by the name of their body.
    Content {
        /// The body.
        hash: Hash,
        /// Its length.
        bytes: u64,
    },
}

/// How a part of the tree is written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FileFormat {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// TOML.
    Toml,
    /// `KEY=value` lines, as systemd's `EnvironmentFile=` reads them.
    Env,
    /// One text or number as it is, with a newline behind it.
    Text,
}

/// Values that are sealed, all of a document's under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Where in the tree they stand: not secret.
    pub paths: Vec<KeyPath>,
    /// A [`SecretTexts`], sealed.
    pub sealed: SealedValue,
}

/// The texts of a document's secrets, in the order of their paths.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretTexts(pub Vec<String>);

impl Wire for SecretTexts {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64 * 1024;
    const WHAT: &'static str = "secrets";
}

/// What a device runs because of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// As which user; the node's own where it is not said.
    pub run_as: Option<Name>,
    /// Before anything is written: whether the staged files are right.
    pub check: Option<Probe>,
    /// After the files were written, one after the other.
    pub on_change: Vec<Action>,
    /// After that: whether what runs on it is well.
    pub healthy: Option<Probe>,
    /// Take it back unless a manager was heard within this time after applying.
    pub confirm_ms: Option<u64>,
}

/// A command that has to succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The command and its arguments.
    pub exec: Vec<String>,
    /// Within which time.
    pub within_ms: u64,
}

/// What is done after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A command.
    Exec(Vec<String>),
    /// Restart a unit of the service manager.
    Restart(String),
    /// Have a unit of the service manager read its configuration anew.
    Reload(String),
}

/// How a change goes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutSpec {
    /// One after the other; each names how far it reaches in all.
    pub waves: Vec<Wave>,
    /// Of those heard in a wave, how many of a hundred have to be well with it.
    pub success_percent: u8,
    /// How long a wave that is well is watched before the next one.
    pub pause_ms: u64,
    /// For each value of these labels: how many ready devices stay untouched at any time.
    pub min_available: BTreeMap<Name, u32>,
}

/// How far a wave reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wave {
    /// So many devices.
    Count(u32),
    /// So many of a hundred of those heard.
    Percent(u8),
}

#[cfg(test)]
mod tests;
