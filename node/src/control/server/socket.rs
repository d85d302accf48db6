//! The socket's file: its rights are there before its name is, and a dead process's file is replaced.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, os};

use regatta_actors::config::users;
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

/// Bytes that the kernel takes as a socket's path.
const PATH_BYTES_MAX: usize = 107;
/// The file that becomes the socket once its rights are right; no longer than `.sock`.
const UNFINISHED: &str = "new";

/// Why the control API cannot be served.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another node has this place.
    #[error("a node answers on {0:?} already: stop it first, or give this one another --state-dir")]
    InUse(PathBuf),
    /// The kernel takes no such long path.
    #[error(
        "the control socket's path {0:?} is longer than {PATH_BYTES_MAX} bytes: give a shorter one \
         with --control-socket"
    )]
    TooLong(PathBuf),
    /// Something else has the name.
    #[error("{0:?} is there and is no socket: move it away, or give --control-socket")]
    NoSocket(PathBuf),
    /// The place cannot be used.
    #[error("cannot open the control socket {path:?}: {error}")]
    Place {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The address for metrics is no loopback address.
    #[error(
        "metrics.listen {0} is not a loopback address: numbers of a fleet are for those who asked \
         through this machine; use 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The address for metrics cannot be used.
    #[error("cannot serve metrics on {address}: {error}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// The listening socket, whose file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, so that only our own is removed.
    file: (u64, u64),
    owner: u32,
    group: u32,
}

impl ControlSocket {
    /// Opens it with mode 0660 and, where that is allowed, with `group` as its group.
    pub fn bind(path: &Path, group: &str) -> Result<Self, BindError> {
        let placed = |error| BindError::Place {
            path: path.to_owned(),
            error,
        };
        let unfinished = path.with_extension(UNFINISHED);
        for one in [path, &unfinished] {
            if one.as_os_str().len() > PATH_BYTES_MAX {
                return Err(BindError::TooLong(path.to_owned()));
            }
        }
        is_free(path)?;
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(placed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&unfinished).map_err(placed)?;
        let named = finish(&unfinished, path, group).map_err(placed);
        let metadata = named.inspect_err(|_| {
            // Nobody knows it yet, and the error that counts is the first.
            let _ = fs::remove_file(&unfinished);
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
            owner: metadata.uid(),
            group: metadata.gid(),
        })
    }

    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// The user who made it: this process's.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// The group that may use it.
    pub fn group(&self) -> u32 {
        self.group
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if ours {
            // What stays is what a killed process leaves too: the next one replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_free(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(BindError::Place {
                path: path.to_owned(),
                error,
            });
        }
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // It answers, or it is somebody's whom we may not even ask.
        _ => Err(BindError::InUse(path.to_owned())),
    }
}

fn finish(unfinished: &Path, path: &Path, group: &str) -> io::Result<fs::Metadata> {
    // Until the group is right its members have no rights: 0600 first.
    fs::set_permissions(unfinished, fs::Permissions::from_mode(0o600))?;
    if let Some(id) = users::group(group)
        && let Err(error) = os::unix::fs::chown(unfinished, None, Some(id))
    {
        tracing::warn!(%group, %error, "the control socket keeps this process's own group");
    }
    fs::set_permissions(unfinished, fs::Permissions::from_mode(0o660))?;
    fs::rename(unfinished, path)?;
    fs::symlink_metadata(path)
}

pub async fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    let listening = TcpListener::bind(address).await;
    listening.map_err(|error| BindError::Metrics { address, error })
}
