//! What can go wrong in the store: what, where, and what to do.

use std::io;

use thiserror::Error;

use super::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Why something was not stored or read. Shared by all whose batches went down together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The folder belongs to another process.
    #[error("{folder} is in use by process {pid}; stop that one, or choose another state folder")]
    Locked {
        /// The folder.
        folder: String,
        /// Who holds it, as far as its file says.
        pid: String,
    },
    /// No space for this write. Reads go on, and writes do once there is space.
    #[error("the disk is full: {free} bytes are free, {needed} are needed; make room on it")]
    Full {
        /// What the disk says.
        free: u64,
        /// What it must have before ordinary writes are taken.
        needed: u64,
    },
    /// The disk refused: what was to be stored may or may not be there after the next start.
    #[error(
        "{doing} {file}: {detail}; the node must be started again, then it reads what is there"
    )]
    Failed {
        /// The attempt.
        doing: &'static str,
        /// The file in the store's folder.
        file: String,
        /// What the system said.
        detail: String,
    },
    /// Bytes that were stored are not what they were.
    #[error(
        "{file}: damaged at byte {offset}; what it held is gone from this node, and peers may have it"
    )]
    Damaged {
        /// The file in the store's folder.
        file: String,
        /// Where.
        offset: u64,
    },
    /// Something does not fit into a batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The index cannot be read; it is rebuilt from the segments.
    #[error("the index: {0}; it is rebuilt from the segments")]
    Index(String),
    /// A segment of a version that this build does not read.
    #[error("{file}: version {found}, this build reads version {known}; start the newer build")]
    Version {
        /// The file in the store's folder.
        file: String,
        /// The version found.
        found: u8,
        /// The version that is read.
        known: u8,
    },
    /// The store has ended, or its actor has.
    #[error("the store is closed")]
    Closed,
}

/// Why something does not go into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// A key that is too long.
    #[error("a key has {0} bytes; at most {KEY_BYTES_MAX} are allowed")]
    Key(usize),
    /// A value that is too long.
    #[error("a value has {0} bytes; at most {VALUE_BYTES_MAX} are allowed, store it by pieces")]
    Value(usize),
    /// One batch with too much in it.
    #[error("a batch would have {0} bytes; at most {BATCH_BYTES_MAX} are allowed")]
    Batch(usize),
}

impl StoreError {
    /// From an error of the disk.
    pub(super) fn io(doing: &'static str, file: &str, error: &io::Error) -> Self {
        Self::Failed {
            doing,
            file: file.to_owned(),
            detail: error.to_string(),
        }
    }
}
