//! A node's state folder: who it is, its keys, its ports; the store lies beside them.
//!
//! ```text
//! identity/keys.toml     the secret keys; 0600, and refused where others may read it
//! identity/member.toml   the fleet, its root, this node's certificate, where managers were
//! identity/lock          held while a fleet is founded or joined here
//! identity/begun         there once the node has run: then an empty store is a loss
//! ports.toml             ports that were chosen because the usual ones were taken
//! store/                 what the node holds; see `regatta_actors::store`
//! index/                 where things are in a manager's store; it can be thrown away
//! control.sock           where operators ask
//! attempts/              files that are being put in place, and those that were there before
//! files/                 the node's own folder for files of documents
//! ```

mod default;
mod files;
mod keys;
mod member;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::default::{SYSTEM_STATE_DIR, default_state_dir};
pub use self::files::{FolderLock, read_secret, write_secret};
pub use self::keys::fresh as fresh_keys;
pub use self::member::Membership;

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The system refused.
    #[error("{doing} {}: {error}", path.display())]
    Io {
        /// The attempt.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Others may read a secret.
    #[error(
        "{} can be read by others (mode {mode:03o}): `chmod 600 {}`, and if somebody may have read \
         it, have what it is the key of revoked or rotated",
        path.display(),
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file is not what was written there.
    #[error("{}: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is no member of a fleet.
    #[error(
        "{} belongs to no fleet yet: `regatta join <invite>`, or `regatta init <name>` for a new one",
        path.display()
    )]
    NoMember {
        /// The folder.
        path: PathBuf,
    },
    /// It is a member already.
    #[error(
        "{} is '{name}' of the fleet '{fleet}' already; use another --state-dir, or remove this one \
         where that node is to be no more",
        path.display()
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// Who it is.
        name: String,
        /// Of which fleet.
        fleet: String,
    },
}

/// The node's own folder for files of documents, in its state folder.
pub const OWN_FILES: &str = "files";

/// A state folder.
#[derive(Clone, Debug)]
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// The folder at a path; nothing is made yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where the store's index is, which can be thrown away.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.path.join("index")
    }

    /// Where files lie that are being put in place.
    #[must_use]
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts")
    }

    fn identity(&self) -> PathBuf {
        self.path.join("identity")
    }

    fn begun(&self) -> PathBuf {
        self.identity().join("begun")
    }

    /// Where the ports are that were chosen.
    #[must_use]
    pub fn ports(&self) -> PathBuf {
        self.path.join("ports.toml")
    }

    /// Makes the folder, closed to others.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn make(&self) -> Result<(), FolderError> {
        files::make_folder(&self.path)?;
        files::make_folder(&self.identity())
    }

    /// Makes the folder for a node that is to be, and keeps others from doing so meanwhile.
    ///
    /// # Errors
    /// When somebody is at it, it is a node's already, or the system refuses.
    pub fn begin(&self) -> Result<FolderLock, FolderError> {
        self.refuse_members()?;
        self.make()?;
        let lock = files::lock(&self.identity().join("lock"))?;
        // Whoever had the lock may have finished.
        self.refuse_members()?;
        Ok(lock)
    }

    /// Makes the folder alone, for something else than a node.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn make_plain(&self) -> Result<(), FolderError> {
        files::make_folder(&self.path)
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, path: &Path) -> Result<bool, FolderError> {
        path.try_exists().map_err(|error| FolderError::Io {
            doing: "reading",
            path: path.to_owned(),
            error,
        })
    }

    /// Whether the node has run before.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun().exists()
    }

    /// Whether a node lives here, as far as can be seen.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.identity().exists()
    }

    /// Reads a file of the folder.
    pub(crate) fn read_own(&self, path: &Path) -> Result<String, FolderError> {
        files::read(path).map(|text| text.to_string())
    }

    /// Writes a file of the folder, wholly or not at all.
    pub(crate) fn write_own(&self, path: &Path, content: &[u8]) -> Result<(), FolderError> {
        files::write(path, content)
    }

    /// Notes that it runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn note_begun(&self) -> Result<(), FolderError> {
        if self.has_begun() {
            return Ok(());
        }
        files::write(&self.begun(), b"")
    }
}
