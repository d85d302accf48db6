//! The steps of a write, by which cuts of the power are counted.

use std::fmt;

/// One thing that is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A new file.
    Create,
    /// Bytes, of which any part may have arrived.
    Write,
    /// What follows in a file is cut off.
    Truncate,
    /// Room for what will be written.
    Allocate,
    /// A file is made durable.
    Sync,
    /// A file takes another name.
    Rename,
    /// A file goes.
    Remove,
    /// Names are made durable.
    SyncFolder,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Allocate => "allocate",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::SyncFolder => "sync folder",
        })
    }
}
