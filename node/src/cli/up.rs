//! `regatta up`: runs this node in the foreground.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::console::{Console, Done, Failure};
use super::place::Place;
use crate::control::api::Role;
use crate::settings::{Flags, Settings};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Refuse to start as anything else; what a node is follows from its certificate
    #[arg(long, value_name = "manager|agent", value_parser = role)]
    pub role: Option<Role>,
    /// The settings file, if not regatta.toml in the state folder
    #[arg(
        long,
        value_name = "FILE",
        env = "REGATTA_SETTINGS",
        hide_env_values = true
    )]
    pub settings: Option<PathBuf>,
    /// What goes before the file.
    #[command(flatten)]
    pub over: Over,
}

/// Settings that are given as arguments, which go before all others.
#[derive(Args, Clone, Debug, Default)]
pub struct Over {
    /// An address to listen on, such as /ip4/0.0.0.0/udp/4700/quic-v1; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Whether to find neighbours on the local network
    #[arg(long, value_name = "on|off", value_parser = switch, action = ArgAction::Set)]
    pub lan: Option<bool>,
    /// What is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "manager" => Ok(Role::Manager),
        "agent" => Ok(Role::Agent),
        _ => Err("it is either manager or agent".to_owned()),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is either on or off".to_owned()),
    }
}

impl Over {
    /// The same as settings.
    #[must_use]
    pub fn flags(&self, place: &Place) -> Flags {
        let mut flags = Flags::default();
        if !self.listen.is_empty() {
            flags.list("network.listen", "--listen", self.listen.clone());
        }
        if let Some(lan) = self.lan {
            flags.switch("network.lan", "--lan", lan);
        }
        if let Some(level) = &self.log_level {
            flags.text("log.level", "--log-level", level);
        }
        if let Some(socket) = &place.control_socket {
            flags.text(
                "control.socket",
                "--control-socket",
                &socket.to_string_lossy(),
            );
        }
        flags
    }
}

/// The settings that a node with these arguments has.
///
/// # Errors
/// When a file or a value is wrong: says where, and what would be right.
pub fn settings(arguments: &Arguments, place: &Place) -> Result<Settings, Failure> {
    let flags = arguments.over.flags(place);
    let loaded = crate::settings::load(&place.state_dir, arguments.settings.as_deref(), flags);
    let (settings, _) = loaded.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(settings)
}

/// Runs until it is told to stop.
///
/// # Errors
/// When the settings are wrong, or the node cannot start.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let _ = (settings(&arguments, place)?, console);
    Err(Failure::refused("this build cannot run nodes yet"))
}
