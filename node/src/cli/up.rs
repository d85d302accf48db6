//! `regatta up`: runs this node in the foreground.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use regatta_actors::supervisor::Ended;
use regatta_protocol::trust::certificate::Rank;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::console::{Console, Done, Failure};
use super::place::Place;
use crate::control::api::{Role, Status};
use crate::exit::Exit;
use crate::folder::{FolderError, StateFolder};
use crate::log;
use crate::running::Node;
use crate::settings::{Flags, Origins, Settings};
use crate::systemd::Systemd;

/// How often it is looked whether the actors run, where systemd does not say.
const WATCH_EVERY: Duration = Duration::from_secs(10);

/// How long a node that starts waits for a manager before it is ready without.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks; what has not changed meanwhile is taken for all there is.
const SETTLE_EVERY: Duration = Duration::from_millis(200);

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

/// The settings that a node with these arguments has, and where each came from.
///
/// # Errors
/// When a file or a value is wrong: says where, and what would be right.
pub fn settings(arguments: &Arguments, place: &Place) -> Result<(Settings, Origins), Failure> {
    let flags = arguments.over.flags(place);
    let loaded = crate::settings::load(&place.state_dir, arguments.settings.as_deref(), flags);
    loaded.map_err(|error| Failure::usage(error.to_string()))
}

/// Runs until it is told to stop.
///
/// # Errors
/// When the settings are wrong, or the node cannot start.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let (settings, origins) = settings(&arguments, place)?;
    let folder = StateFolder::at(&place.state_dir);
    let refused = |error: FolderError| Failure::refused(error.to_string());
    let member = folder.member().map_err(refused)?;
    let role = match member.certificate.rank {
        Rank::Manager => Role::Manager,
        _ => Role::Agent,
    };
    if let Some(asked) = arguments.role.filter(|asked| *asked != role) {
        return Err(Failure::refused(format!(
            "the certificate of {} makes it {} {role}, not {} {asked}; what a node is, its certificate \
             says",
            member.certificate.name,
            role.article(),
            asked.article(),
        )));
    }
    log::start(&settings.log).map_err(|error| Failure::new(Exit::BUG, error.to_string()))?;
    let signals = Signals::listen()?;
    let node = Node::start(&folder, &settings, &origins)
        .await
        .map_err(|error| Failure::refused(error.to_string()))?;
    if let Some(note) = &node.listening.note {
        console.say(note);
    }
    serve(node, role, signals, place, console).await
}

/// Waits, for a moment, until the node listens and has heard from a manager what it missed: who asks
/// it as soon as it is ready is not to be told that there are no devices. Nothing, where it ended.
async fn settled(node: &Node) -> Option<Status> {
    let began = Instant::now();
    let mut last: Option<Status> = None;
    loop {
        // Actors that are being started again answer a moment later.
        let status = node.desk().await?.status().await.ok();
        if let Some(status) = &status {
            let entries = last.as_ref().map(|last| last.ledgers.entries);
            let still = entries == Some(status.ledgers.entries) && status.ledgers.entries > 0;
            let alone = status.reach.managers_known == 0;
            let met = status.reach.managers > 0 && (still || status.node.role == Role::Agent);
            if !status.addresses.is_empty() && (alone || met) {
                return Some(status.clone());
            }
        }
        if status.is_some() && began.elapsed() > SETTLE_WITHIN {
            return status;
        }
        last = status;
        tokio::time::sleep(SETTLE_EVERY).await;
    }
}

/// Says that it is ready, keeps systemd's watchdog content, and ends when it is told to.
async fn serve(
    node: Node,
    role: Role,
    mut signals: Signals,
    place: &Place,
    console: &mut Console<'_>,
) -> Done {
    let systemd = Systemd::from_environment();
    let settled = tokio::select! {
        settled = settled(&node) => settled,
        () = signals.next() => {
            systemd.stopping();
            node.stop();
            None
        }
    };
    let Some(Status { addresses, .. }) = settled else {
        return ended(node.ended().await);
    };
    let (name, fleet) = (&node.member.certificate.name, &node.member.fleet_name);
    let first = addresses.first().map_or("no address yet", String::as_str);
    let more = match addresses.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let ready = format!("ready: {name}, {role} of {fleet}, at {first}{more}");
    // Whoever waits for it reads one line from standard output.
    writeln!(console.out, "{ready}")?;
    console.out.flush()?;
    systemd.ready(&ready);
    if console.screen.columns.is_some() {
        let hint = place.hint();
        console.say(&format!(
            "Ctrl-C stops it; in another terminal: regatta status{hint}"
        ));
    }
    let watchdog = systemd.watchdog().unwrap_or(WATCH_EVERY);
    let mut beats = tokio::time::interval(watchdog);
    loop {
        tokio::select! {
            end = node.ended() => return ended(end),
            _ = beats.tick() => if node.is_up() { systemd.alive() },
            () = signals.next() => {
                systemd.stopping();
                node.stop();
            }
        }
    }
}

fn ended(ended: Ended) -> Done {
    match ended {
        Ended::Asked => Ok(Exit::ALL),
        // systemd starts it again, after a while.
        Ended::Exhausted { .. } => Err(Failure::new(Exit::BUG, ended.to_string())),
        Ended::Fatal { .. } => Err(Failure::refused(ended.to_string())),
    }
}

/// What a process is told to end by.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
