//! What a lab stands on: namespaces and nftables of this machine, or a loud word that there are none.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use super::facts::say;

/// Says how absence is taken: `required` fails, `off` runs nothing. Else absence fails under `CI` only.
const VARIABLE: &str = "REGATTA_CHAOS";
/// Where administrators' tools are: not on every user's path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// All that a lab will do, once.
const TRIAL: &str = "ip link set lo up && ip link add trial0 type veth peer name trial1 \
     && ip link add trial type bridge && nft add table inet trial \
     && mount -t tmpfs -o size=1m trial /mnt && setpriv --pdeathsig KILL true";

/// How namespaces are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// As root.
    Root,
    /// In a user namespace of one's own.
    User,
}

impl Ground {
    /// What there is, or why there is nothing; found out once.
    fn found() -> &'static Result<Self, String> {
        static FOUND: OnceLock<Result<Ground, String>> = OnceLock::new();
        FOUND.get_or_init(|| {
            let root = std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
            let first = if root { Self::Root } else { Self::User };
            first.tried()
        })
    }

    fn tried(self) -> Result<Self, String> {
        let mut command = self.unshare();
        command.args(["--", "sh", "-c", TRIAL]);
        let output = command
            .output()
            .map_err(|error| format!("unshare does not start: {error}"))?;
        if output.status.success() {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().next().unwrap_or("it says nothing");
        Err(format!(
            "namespaces, veth pairs, nft, tmpfs or setpriv: {line}"
        ))
    }

    /// A command of this machine, with nothing of this process's environment.
    pub fn tool(name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Makes namespaces for what follows.
    pub fn unshare(self) -> Command {
        let mut command = Self::tool("unshare");
        if self == Self::User {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "--mount"]);
        command
    }

    /// Runs what follows in the namespaces of a process, in its place: no process comes between.
    pub fn enter(self, process: u32) -> Command {
        let mut command = Self::tool("nsenter");
        command.args(["--target", &process.to_string(), "--net", "--mount"]);
        if self == Self::User {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--");
        command
    }
}

/// The ground for this test; `None` once it was said that it is not run.
pub fn ground(test: &str) -> Option<Ground> {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    if asked == "off" {
        say(&format!("not run: {test}: {VARIABLE}=off"));
        return None;
    }
    match Ground::found() {
        Ok(found) => Some(*found),
        Err(why) => {
            absent(&format!("{test}: {why}"));
            None
        }
    }
}

/// Something that a test needs is not there: an error where it was required, else said.
pub fn absent(what: &str) {
    let required = std::env::var(VARIABLE).is_ok_and(|asked| asked == "required");
    let in_ci = std::env::var_os("CI").is_some();
    assert!(
        !(required || in_ci),
        "not run: {what}; that is an error under CI and with {VARIABLE}=required"
    );
    say(&format!("not run: {what}"));
}

/// Panics with what it said where a command failed.
pub fn done(mut command: Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}, {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
