//! Which node is meant: its state folder and its control socket.

use std::path::PathBuf;

use clap::Args;
use regatta_protocol::codec::Name;

use super::console::Failure;
use crate::control::client::{Client, SOCKET_NAME};
use crate::folder::{SYSTEM_STATE_DIR, StateFolder, default_state_dir};
use crate::machine;
use crate::settings::{self, Flags, Settings};

/// Options that every command has.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The node's state folder [default: /var/lib/regatta for root, for others
    /// $XDG_STATE_HOME/regatta or ~/.local/state/regatta]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "REGATTA_STATE_DIR",
        hide_env_values = true,
        default_value_os_t = default_state_dir(),
        hide_default_value = true,
        help_heading = "Which node"
    )]
    pub state_dir: PathBuf,
    /// The node's control socket, if not control.sock in its state folder
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REGATTA_CONTROL_SOCKET",
        hide_env_values = true,
        help_heading = "Which node"
    )]
    pub control_socket: Option<PathBuf>,
}

impl Place {
    /// Where the control socket is, as long as no settings file says otherwise.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let named = self.control_socket.clone();
        named.unwrap_or_else(|| self.state_dir.join(SOCKET_NAME))
    }

    /// ` --state-dir X`, where that has to be typed to mean this node.
    #[must_use]
    pub fn hint(&self) -> String {
        crate::control::client::hint(&self.state_dir)
    }

    /// Where the state folder was named, as `regatta settings` shows it.
    #[must_use]
    pub fn whence(&self) -> &'static str {
        const VARIABLE: &str = "REGATTA_STATE_DIR";
        let named = std::env::var_os(VARIABLE).map(PathBuf::from);
        if named.as_ref() == Some(&self.state_dir) {
            VARIABLE
        } else if self.state_dir == default_state_dir() {
            "default"
        } else {
            "--state-dir"
        }
    }

    /// The settings of the state folder, for commands that work on files.
    ///
    /// # Errors
    /// When a file or a value is wrong.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let loaded = settings::load(&self.state_dir, None, Flags::default());
        let (settings, _) = loaded.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(settings)
    }

    /// What the node is called: as typed, else as the settings say, else as the host is.
    ///
    /// # Errors
    /// When a name breaks the rules, or there is none.
    pub fn node_name(&self, typed: Option<&str>) -> Result<Name, Failure> {
        if let Some(typed) = typed {
            return Name::new(typed).map_err(|error| Failure::usage(format!("--name: {error}")));
        }
        let named = self.settings()?.name.or_else(machine::host_name);
        named.ok_or_else(|| Failure::usage("this machine has no name for the node: give --name"))
    }

    /// Asks that node.
    #[must_use]
    pub fn client(&self) -> Client {
        let system = PathBuf::from(SYSTEM_STATE_DIR);
        let socket = system.join(SOCKET_NAME);
        // Who has no node at home and may see the machine's means that one.
        if self.control_socket.is_none()
            && self.state_dir == default_state_dir()
            && !StateFolder::at(&self.state_dir).is_taken()
            && socket.exists()
        {
            return Client::new(socket, system);
        }
        Client::new(self.socket(), self.state_dir.clone())
    }
}
