//! Settings that cannot be wrong: what the rest of the program is handed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use regatta_actors::config::hooks::Services;
use regatta_actors::network::Address;
use regatta_protocol::codec::Name;
use regatta_protocol::trust::certificate::Capability;
use tracing_subscriber::filter::Targets;

use super::SettingsError;
use super::layers::{Origin, Origins, Value};
use crate::cli::span;
use crate::control::client::SOCKET_NAME;
use crate::control::server::ServerSettings;
use crate::folder::OWN_FILES;
use crate::log;

/// Everything that a node is started with, its state folder aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The node's name; none for the host's. It counts where a node is founded or joins.
    pub name: Option<Name>,
    /// How it is reached and reaches others.
    pub network: NetworkSettings,
    /// Who may use it on this machine.
    pub control: ControlSettings,
    /// What it says of itself.
    pub log: LogSettings,
    /// Who may read its numbers.
    pub metrics: MetricsSettings,
    /// What it keeps.
    pub store: StoreSettings,
    /// Where documents may have files written.
    pub files: FilesSettings,
    /// How services are told of changes.
    pub services: Services,
}

/// `[network]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Where it listens.
    pub listen: Vec<Address>,
    /// Where others reach it, besides what it finds out.
    pub external: Vec<Address>,
    /// Whether it looks for neighbours on the local network.
    pub lan: bool,
    /// Whether it relays for others.
    pub relay: Relay,
    /// How much it may send unasked.
    pub profile: Profile,
    /// How often it shows that it is there; none where the profile decides.
    pub keep_alive_ms: Option<u64>,
}

/// `network.relay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// A manager that others can reach does, nobody else.
    Auto,
    /// It does.
    On,
    /// It does not.
    Off,
}

/// `network.profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Two homes and neighbours.
    Normal,
    /// One home, no neighbours, at most 1 MB a day when idle.
    Metered,
}

/// `[control]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSettings {
    /// The control socket.
    pub socket: PathBuf,
    /// The unix group that may use it.
    pub group: String,
    /// Unix users who have a part of this node's capabilities.
    pub users: BTreeMap<String, Vec<Capability>>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// What is logged.
    pub filter: Targets,
    /// How.
    pub format: LogFormat,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, for the journal under systemd.
    Auto,
    /// For people.
    Human,
    /// One JSON object for each line.
    Json,
}

/// `[metrics]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Where `/metrics` is served besides the control socket: a loopback address.
    pub listen: Option<SocketAddr>,
}

/// `[store]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Bytes of the disk that ordinary writes leave free.
    pub free_min_bytes: u64,
}

/// `[files]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesSettings {
    /// What a document's `/` is on this node.
    pub root: PathBuf,
    /// Below what documents may have files written.
    pub allow: Vec<PathBuf>,
}

impl Settings {
    pub(super) fn check(origins: &Origins, state: &Path) -> Result<Self, SettingsError> {
        Ok(Self {
            name: Field(origins, "name").optional(|text| Name::new(text).map_err(said))?,
            network: NetworkSettings::check(origins)?,
            control: ControlSettings::check(origins, state)?,
            log: LogSettings {
                filter: Field(origins, "log.level").text(log::filter)?,
                format: match Field(origins, "log.format").word() {
                    "human" => LogFormat::Human,
                    "json" => LogFormat::Json,
                    _ => LogFormat::Auto,
                },
            },
            metrics: MetricsSettings {
                listen: Field(origins, "metrics.listen").optional(loopback)?,
            },
            store: StoreSettings {
                free_min_bytes: Field(origins, "store.free_min").text(size)?,
            },
            files: FilesSettings::check(origins, state)?,
            services: Services {
                restart: Field(origins, "services.restart").command()?,
                reload: Field(origins, "services.reload").command()?,
            },
        })
    }

    /// What the control API is started with.
    #[must_use]
    pub fn server(&self) -> ServerSettings {
        ServerSettings {
            socket: self.control.socket.clone(),
            group: self.control.group.clone(),
            users: self.control.users.clone(),
            metrics: self.metrics.listen,
        }
    }
}

impl FilesSettings {
    fn check(origins: &Origins, state: &Path) -> Result<Self, SettingsError> {
        let mut allow = Field(origins, "files.allow").paths()?;
        let own = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        allow.push(own.join(OWN_FILES));
        Ok(Self {
            root: Field(origins, "files.root").text(absolute)?,
            allow,
        })
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let plain = |it: Component<'_>| matches!(it, Component::RootDir | Component::Normal(_));
    match path.is_absolute() && path.components().all(plain) {
        true => Ok(path),
        false => Err("is no absolute path without '..'".to_owned()),
    }
}

impl NetworkSettings {
    fn check(origins: &Origins) -> Result<Self, SettingsError> {
        let keep_alive = |text: &str| match text {
            "auto" => Ok(None),
            text => span::parse(text).and_then(|ms| match ms {
                5_000..=3_600_000 => Ok(Some(ms)),
                _ => Err("is \"auto\", or from 5s to 1h".to_owned()),
            }),
        };
        Ok(Self {
            listen: Field(origins, "network.listen").addresses()?,
            external: Field(origins, "network.external").addresses()?,
            lan: Field(origins, "network.lan").switch(),
            relay: match Field(origins, "network.relay").word() {
                "on" => Relay::On,
                "off" => Relay::Off,
                _ => Relay::Auto,
            },
            profile: match Field(origins, "network.profile").word() {
                "metered" => Profile::Metered,
                _ => Profile::Normal,
            },
            keep_alive_ms: Field(origins, "network.keep_alive").text(keep_alive)?,
        })
    }
}

impl ControlSettings {
    fn check(origins: &Origins, state: &Path) -> Result<Self, SettingsError> {
        let absolute = |text: &str| std::path::absolute(text).map_err(said);
        let socket = Field(origins, "control.socket").optional(absolute)?;
        Ok(Self {
            socket: socket.unwrap_or_else(|| state.join(SOCKET_NAME)),
            group: Field(origins, "control.group").text(|text| Ok(text.to_owned()))?,
            users: Field(origins, "control.users").users()?,
        })
    }
}

/// One key, while it is checked.
struct Field<'a>(&'a Origins, &'static str);

impl<'a> Field<'a> {
    fn origin(&self) -> &'a Origin {
        self.0.of(self.1)
    }

    fn wrong(&self, detail: String) -> SettingsError {
        self.origin().wrong(self.1, detail)
    }

    /// The kinds were checked when the layers were read.
    fn word(&self) -> &'a str {
        match &self.origin().value {
            Value::Text(text) => text,
            other => panic!("{} is a text, not {other:?}", self.1),
        }
    }

    fn switch(&self) -> bool {
        match &self.origin().value {
            Value::Switch(on) => *on,
            other => panic!("{} is a switch, not {other:?}", self.1),
        }
    }

    fn text<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, SettingsError> {
        read(self.word()).map_err(|detail| self.wrong(detail))
    }

    /// An empty text is none.
    fn optional<T>(
        &self,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        match self.word() {
            "" => Ok(None),
            _ => self.text(read).map(Some),
        }
    }

    fn addresses(&self) -> Result<Vec<Address>, SettingsError> {
        let Value::List(items) = &self.origin().value else {
            panic!("{} is a list", self.1);
        };
        let address = |text: &String| {
            text.parse().map_err(|_| {
                self.wrong(format!(
                    "{text:?} is not an address such as /ip4/10.0.0.1/udp/4700/quic-v1 or /dns4/m1.example.org/tcp/4700"
                ))
            })
        };
        items.iter().map(address).collect()
    }

    fn paths(&self) -> Result<Vec<PathBuf>, SettingsError> {
        let Value::List(items) = &self.origin().value else {
            panic!("{} is a list", self.1);
        };
        let path =
            |text: &String| absolute(text).map_err(|why| self.wrong(format!("{text:?} {why}")));
        items.iter().map(path).collect()
    }

    /// A command with a place for the unit.
    fn command(&self) -> Result<Vec<String>, SettingsError> {
        let Value::List(words) = &self.origin().value else {
            panic!("{} is a list", self.1);
        };
        match words.iter().any(|word| word.contains("{unit}")) {
            true => Ok(words.clone()),
            false => {
                Err(self.wrong("has no {unit} in it, which stands for the unit's name".to_owned()))
            }
        }
    }

    fn users(&self) -> Result<BTreeMap<String, Vec<Capability>>, SettingsError> {
        let Value::Map(map) = &self.origin().value else {
            panic!("{} is a map", self.1);
        };
        let capability = |user: &str, word: &String| {
            let found: Result<Capability, _> = word.parse();
            found.map_err(|error| self.wrong(format!("{user} cannot have {error}")))
        };
        let mut users = BTreeMap::new();
        for (user, words) in map {
            let part: Result<Vec<_>, _> = words.iter().map(|word| capability(user, word)).collect();
            users.insert(user.clone(), part?);
        }
        Ok(users)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| {
            format!("{text:?} is not a loopback address with a port, such as 127.0.0.1:9470")
        })
}

/// `16MiB`, `1GiB`.
fn size(text: &str) -> Result<u64, String> {
    const MIB: u64 = 1024 * 1024;
    let (number, unit) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
        (Some(number), _) => (number, MIB),
        (_, Some(number)) => (number, 1024 * MIB),
        _ => ("", 0),
    };
    let bytes = number
        .trim()
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(unit));
    let within = bytes.filter(|bytes| (16 * MIB..=1024 * 1024 * MIB).contains(bytes));
    within.ok_or_else(|| format!("{text:?} is not a size from 16MiB to 1024GiB"))
}
