//! Where a device lets itself be configured, and how a file is written there: wholly or not at all.
//!
//! Directories are opened one by one below an allowed root, and the kernel is told to follow no link on the
//! way (`openat2`), so nobody on the device can redirect a write between the check and the deed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, fchmod, fchown, fsync, mkdirat,
    openat, openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use thiserror::Error;

/// What of a file's name stands in the name of its unfinished copy; disks take 255 bytes.
const BEGIN_BYTES_MAX: usize = 200;

/// A file that is not written by the path that a document gives.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// Not where this device takes files.
    #[error(
        "{path}: outside of what this device lets be configured ({allowed}); its settings list more under files.allow"
    )]
    Outside {
        /// As the document says.
        path: String,
        /// Where files may be.
        allowed: String,
    },
    /// A link on the way leads out, or changed while it was looked at.
    #[error(
        "{path}: a symbolic link on the way leads out of {allowed}; write to where it leads, if settings allow that"
    )]
    Link {
        /// As the document says.
        path: String,
        /// The root that it leads out of.
        allowed: String,
    },
    /// Something other than a file is there.
    #[error("{path}: a {what} is there, no file; move it away, or choose another path")]
    Special {
        /// As the document says.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// The system refused.
    #[error("{path}: {doing}: {detail}")]
    System {
        /// As the document says.
        path: String,
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        detail: String,
    },
}

/// Permissions and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The permissions.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// Where files may be.
#[derive(Clone, Debug)]
pub struct Ground {
    /// What a document's `/` is on this node.
    root: PathBuf,
    /// Below what files may be, as documents name it.
    allowed: Vec<PathBuf>,
}

impl Ground {
    /// Files of documents lie below `root`, and there only in these places.
    #[must_use]
    pub fn new(root: PathBuf, allowed: Vec<PathBuf>) -> Self {
        Self { root, allowed }
    }

    fn shown(&self) -> String {
        let shown = self.allowed.iter().map(|it| it.display().to_string());
        shown.collect::<Vec<_>>().join(", ")
    }

    fn system(&self, path: &str, doing: &'static str, error: impl Into<io::Error>) -> FileError {
        let error: io::Error = error.into();
        FileError::System {
            path: path.to_owned(),
            doing,
            detail: error.to_string(),
        }
    }

    /// The allowed root that a path is under, and what is left of it.
    fn split<'a>(&self, path: &'a str) -> Result<(&PathBuf, &'a Path), FileError> {
        let outside = || FileError::Outside {
            path: path.to_owned(),
            allowed: self.shown(),
        };
        let asked = Path::new(path);
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !asked.is_absolute() || !asked.components().all(plain) {
            return Err(outside());
        }
        // The longest one: its links are the fewest.
        let mut under: Vec<(&PathBuf, &Path)> = Vec::new();
        for root in &self.allowed {
            if let Ok(rest) = asked.strip_prefix(root)
                && rest.components().next().is_some()
            {
                under.push((root, rest));
            }
        }
        under.sort_by_key(|(root, _)| root.components().count());
        under.pop().ok_or_else(outside)
    }

    /// Whether files may be there, as far as the path alone says.
    ///
    /// # Errors
    /// When they may not.
    pub fn allows(&self, path: &str) -> Result<(), FileError> {
        self.split(path).map(|_| ())
    }

    /// The place of a file, its directory open; none where the directory is not there. `make` has it made.
    ///
    /// # Errors
    /// When the path, or a link on it, leads to where no files may be, or the system refuses.
    pub fn spot(&self, path: &str, make: bool) -> Result<Option<Spot>, FileError> {
        let (allowed, rest) = self.split(path)?;
        let below = allowed.strip_prefix("/").unwrap_or(allowed);
        let base = self.root.join(below);
        if make && !base.exists() {
            std::fs::create_dir_all(&base)
                .map_err(|error| self.system(path, "making a directory", error))?;
        }
        let Ok(base) = base.canonicalize() else {
            return Ok(None);
        };
        let (parent, name) = (rest.parent().unwrap_or(Path::new("")), rest.file_name());
        let name = name.unwrap_or_else(|| OsStr::new("")).to_owned();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let opened = openat(rustix::fs::CWD, &base, flags, Mode::empty());
        let mut directory =
            opened.map_err(|error| self.system(path, "opening its directory", error))?;
        let led_out = || FileError::Link {
            path: path.to_owned(),
            allowed: allowed.display().to_string(),
        };
        // Links that stay within are followed, once, as they are now.
        let within = match base.join(parent).canonicalize() {
            Ok(real) => real.strip_prefix(&base).map_err(|_| led_out())?.to_owned(),
            Err(_) => parent.to_owned(),
        };
        for part in within.components() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let part = Path::new(part.as_os_str());
            let mut next = openat2(&directory, part, flags, Mode::empty(), resolve);
            if matches!(next, Err(Errno::NOENT)) {
                if !make {
                    return Ok(None);
                }
                match mkdirat(&directory, part, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.system(path, "making a directory", error)),
                }
                sync(&directory).map_err(|error| self.system(path, "making a directory", error))?;
                next = openat2(&directory, part, flags, Mode::empty(), resolve);
            }
            directory = match next {
                Ok(next) => next,
                Err(Errno::LOOP | Errno::XDEV) => return Err(led_out()),
                Err(error) => return Err(self.system(path, "opening its directory", error)),
            };
        }
        Ok(Some(Spot {
            directory,
            name,
            path: path.to_owned(),
        }))
    }
}

fn sync(directory: &OwnedFd) -> Result<(), Errno> {
    fsync(directory.as_fd())
}

/// The place of one file, there or not.
#[derive(Debug)]
pub struct Spot {
    directory: OwnedFd,
    name: OsString,
    path: String,
}

impl Spot {
    fn system(&self, doing: &'static str, error: impl Into<io::Error>) -> FileError {
        let error: io::Error = error.into();
        FileError::System {
            path: self.path.clone(),
            doing,
            detail: error.to_string(),
        }
    }

    fn stat(&self) -> Result<Option<Stat>, FileError> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.system("looking at it", error)),
        }
    }

    /// What stands there; none where nothing does.
    ///
    /// # Errors
    /// When that is no file, or the system refuses.
    pub fn attributes(&self) -> Result<Option<Attributes>, FileError> {
        let Some(stat) = self.stat()? else {
            return Ok(None);
        };
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                return Ok(Some(Attributes {
                    mode: stat.st_mode & 0o7777,
                    uid: stat.st_uid,
                    gid: stat.st_gid,
                }));
            }
            FileType::Symlink => "symbolic link",
            FileType::Directory => "directory",
            _ => "device, pipe or socket",
        };
        Err(FileError::Special {
            path: self.path.clone(),
            what,
        })
    }

    /// When it was changed last, and how long it is: what says that it may be another one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn print(&self) -> Result<Option<[i64; 4]>, FileError> {
        let stat = self.stat()?;
        Ok(stat.map(|stat| {
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            [
                stat.st_mtime,
                stat.st_mtime_nsec.try_into().unwrap_or(i64::MAX),
                stat.st_size,
                number(stat.st_ino),
            ]
        }))
    }

    /// Opens it to read; none where nothing is there.
    ///
    /// # Errors
    /// When that is no file, or the system refuses.
    pub fn open(&self) -> Result<Option<File>, FileError> {
        if self.attributes()?.is_none() {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.directory, &self.name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.system("reading it", error)),
        }
    }

    /// Of a long name only the beginning: the whole one with an ending would be more than a disk takes, and
    /// a device that can neither write it nor remove it would take nothing any more.
    fn unfinished(&self) -> OsString {
        let bytes = self.name.as_bytes();
        let mut name = OsString::from(".");
        name.push(OsStr::from_bytes(
            &bytes[..bytes.len().min(BEGIN_BYTES_MAX)],
        ));
        name.push(".regatta-new");
        name
    }

    /// Puts a file there: under another name first, synced, then in its place. Whoever looks sees what was
    /// there or what is there now, also after the power failed.
    ///
    /// # Errors
    /// When something else than a file is there, or the system refuses; what was there still is.
    pub fn put(&self, content: &mut dyn Read, attributes: Attributes) -> Result<(), FileError> {
        self.attributes()?;
        let unfinished = self.unfinished();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.discard()?;
        let file = openat(
            &self.directory,
            &unfinished,
            flags,
            Mode::from_raw_mode(0o600),
        )
        .map_err(|error| self.system("writing beside it", error))?;
        let mut file = File::from(file);
        let written = copy(content, &mut file).and_then(|()| {
            let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
            let stat = rustix::fs::fstat(&file)?;
            if (stat.st_uid, stat.st_gid) != (attributes.uid, attributes.gid) {
                fchown(&file, Some(uid), Some(gid))?;
            }
            fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
            file.sync_all()
        });
        if let Err(error) = written {
            self.discard()?;
            return Err(self.system("writing beside it", error));
        }
        renameat(&self.directory, &unfinished, &self.directory, &self.name)
            .map_err(|error| self.system("putting it in place", error))?;
        sync(&self.directory).map_err(|error| self.system("putting it in place", error))
    }

    /// Removes what a write that was cut off left beside it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn discard(&self) -> Result<(), FileError> {
        match unlinkat(&self.directory, self.unfinished(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.system("removing an unfinished copy", error)),
        }
    }

    /// Removes it; where it is not there that is fine.
    ///
    /// # Errors
    /// When something else than a file is there, or the system refuses.
    pub fn remove(&self) -> Result<(), FileError> {
        if self.attributes()?.is_none() {
            return Ok(());
        }
        match unlinkat(&self.directory, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(self.system("removing it", error)),
        }
        sync(&self.directory).map_err(|error| self.system("removing it", error))
    }
}

fn copy(content: &mut dyn Read, file: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read])?;
    }
}

#[cfg(test)]
mod tests;
