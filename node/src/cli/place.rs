//! Which node is meant: its state folder and its control socket.

use std::path::PathBuf;

use clap::Args;

use crate::control::client::{Client, SOCKET_NAME, STATE_DIR};

/// Options that every command has.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The node's state folder
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "REGATTA_STATE_DIR",
        hide_env_values = true,
        default_value = STATE_DIR,
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

    /// Asks that node.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.socket(), self.state_dir.clone())
    }
}
