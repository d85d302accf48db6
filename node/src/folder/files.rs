//! Files that are there wholly or not at all, and secrets that nobody else reads.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::folder::FolderError;
use crate::machine;

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
    put(path, content, |beside| fs::rename(beside, path)).map_err(failed("writing", path))
}

/// Has a file with this content named by `name`, which is given where it lies.
fn put(path: &Path, content: &[u8], name: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    // A name that nobody can have guessed, and a file that nobody has made: in a folder that others
    // may write they could have put a link there.
    let salt = HEXLOWER.encode(&machine::prng().bytes::<8>());
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{salt}.new"));
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(SECRET_MODE);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        name(&beside)
    });
    if written.is_err() {
        // The first error counts; a file that is not there is none.
        let _ = fs::remove_file(&beside);
    }
    written?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes a secret into a file that is not there yet.
///
/// # Errors
/// When there is one, or the system refuses.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    // Unlike a rename, a link takes nobody's place.
    let linked = put(path, content, |beside| match fs::hard_link(beside, path) {
        Ok(()) => fs::remove_file(beside),
        // Such as FAT, on the stick that a root key goes to: it has neither links nor other users.
        Err(error) if lacks_links(&error) && !path.try_exists()? => fs::rename(beside, path),
        Err(error) => Err(error),
    });
    linked
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::Error::new(
                io::ErrorKind::AlreadyExists,
                "it is there already; move it away, or name another file",
            ),
            _ => error,
        })
        .map_err(failed("writing", path))
}

fn lacks_links(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind())
}

/// Keeps others of this user from founding or joining in a folder meanwhile.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Locks a folder by a file in it; ends with the process too.
pub(super) fn lock(path: &Path) -> Result<FolderLock, FolderError> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(SECRET_MODE);
    let file = options
        .open(path)
        .map_err(failed("opening the lock", path))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(failed("locking", path)(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another `regatta init` or `join` is at this folder; wait for it, or stop it",
        ))),
        Err(TryLockError::Error(error)) => Err(failed("locking", path)(error)),
    }
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
