//! Files that are there wholly or not at all, and secrets that nobody else reads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::folder::FolderError;

/// Read and written by the owner alone.
const SECRET_MODE: u32 = 0o600;
/// The owner's; the group may come through to the control socket.
const FOLDER_MODE: u32 = 0o750;
/// No file of ours is longer.
const BYTES_MAX: u64 = 1024 * 1024;

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |error| FolderError::Io { doing, path, error }
}

/// Makes a folder and those above it, where they are not there.
pub(super) fn make_folder(path: &Path) -> Result<(), FolderError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE);
    builder
        .create(path)
        .map_err(failed("making the folder", path))
}

/// Writes a file for its owner alone: wholly or not at all, and durable when this returns.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    let beside = path.with_extension("new");
    let put = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = options.mode(SECRET_MODE).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    put().map_err(failed("writing", path))
}

/// Writes a secret into a file that is not there yet.
///
/// # Errors
/// When there is one, or the system refuses.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    if path.symlink_metadata().is_ok() {
        return Err(FolderError::Io {
            doing: "writing",
            path: path.to_owned(),
            error: io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is there already; move it away, or name another file",
            ),
        });
    }
    write(path, content)
}

/// Reads a file that is none of others' business.
///
/// # Errors
/// When others may read it, it is too long or no text, or the system refuses.
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, FolderError> {
    let found = path.metadata().map_err(failed("reading", path))?;
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(FolderError::Open { path, mode });
    }
    read(path)
}

/// Reads a file of ours.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, FolderError> {
    let found = path.metadata().map_err(failed("reading", path))?;
    if found.len() > BYTES_MAX {
        return Err(FolderError::Broken {
            path: path.to_owned(),
            why: "it is longer than any file of its kind".to_owned(),
        });
    }
    let text = fs::read_to_string(path).map_err(failed("reading", path))?;
    Ok(Zeroizing::new(text))
}
