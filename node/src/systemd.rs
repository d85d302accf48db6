//! What systemd is told: ready, stopping, still alive; nothing where it did not start us.
//!
//! By hand, because the whole protocol is one datagram of lines: see sd_notify(3).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to systemd.
#[derive(Debug)]
pub struct Systemd {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Systemd {
    /// Looks whether systemd started this process and wants to be told.
    #[must_use]
    pub fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let within = number("WATCHDOG_USEC").filter(|us| *us > 0 && ours);
        let address = std::env::var_os("NOTIFY_SOCKET");
        let socket = address.and_then(|address| {
            let opened = open(address.as_bytes());
            let failed =
                |error: &io::Error| tracing::warn!(%error, "systemd cannot be told how we are");
            opened.inspect_err(failed).ok()
        });
        Self {
            socket,
            // Twice within its patience, so that one that comes late kills nobody.
            watchdog: within.map(|us| Duration::from_micros(us) / 2),
        }
    }

    /// How often [`Self::alive`] should be said; none where nobody waits for it.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The node answers; `status` is a line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// The node is ending.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The node's own watchdog found everything answering.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!(%error, "systemd was not told how we are");
        }
    }
}

/// A path, or a name in the kernel's own space where it begins with `@`.
fn open(address: &[u8]) -> io::Result<UnixDatagram> {
    let address = match address.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not hold the node up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_reads_what_it_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("a socket");
        let ours = Systemd {
            socket: Some(open(path.as_os_str().as_bytes()).expect("it is there")),
            watchdog: None,
        };
        ours.ready("m1 of acme\nis ready");
        ours.alive();
        ours.stopping();
        let read = || {
            let mut bytes = [0; 200];
            let length = systemd.recv(&mut bytes).expect("told");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        assert_eq!(read(), "READY=1\nSTATUS=m1 of acme is ready");
        assert_eq!(read(), "WATCHDOG=1");
        assert_eq!(read(), "STOPPING=1");
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let nobody = Systemd {
            socket: None,
            watchdog: None,
        };
        nobody.ready("ready");
        assert!(open(b"/nonexistent/notify").is_err());
    }
}
