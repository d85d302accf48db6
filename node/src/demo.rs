//! A small fleet on this machine: a manager and agents, each a whole node with a folder of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use regatta_actors::network::Address;
use regatta_protocol::codec::Name;
use regatta_protocol::trust::invite::token::Token;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::control::api::{Device, DeviceState, InviteAsk, Labels, Problem};
use crate::control::server::{Caller, Rights};
use crate::desk::Desk;
use crate::folder::{FolderError, OWN_FILES, StateFolder};
use crate::founding::{FoundAsk, found};
use crate::joining::{JoinAsk, JoiningError, join};
use crate::machine;
use crate::ports;
use crate::running::{Node, StartError};
use crate::settings::{Flags, Origins, Settings, SettingsError, load_with};

/// Sites that the agents are spread over.
const SITES: [&str; 3] = ["osaka", "kyoto", "nara"];
/// Longer than a fleet on one machine ever takes to form.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether all are there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a demo's invite is good: it is used at once.
const INVITE_MS: u64 = 3_600_000;

/// Why there is no fleet.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A node does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A node is not let in.
    #[error(transparent)]
    Join(#[from] JoiningError),
    /// The settings are wrong, which only a bug can do.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The manager did not do what it was asked.
    #[error("{0}")]
    Manager(Problem),
    /// Something that did not come about.
    #[error("{0}")]
    Late(&'static str),
}

/// A fleet that runs.
#[derive(Debug)]
pub struct Demo {
    folder: PathBuf,
    manager: Node,
    agents: Vec<Node>,
}

struct Place {
    folder: StateFolder,
    port: u16,
    settings: Settings,
    origins: Origins,
}

impl Place {
    async fn start(&self) -> Result<Node, DemoError> {
        let node = Node::start(&self.folder, &self.settings, &self.origins).await?;
        self.folder.keep_port(self.port)?;
        Ok(node)
    }
}

/// A node's folder, and settings that keep it to this machine.
fn place(folder: &Path, name: &str) -> Result<Place, DemoError> {
    let folder = StateFolder::at(&folder.join(name));
    folder.make()?;
    let port = ports::kept_or_free(&folder)?;
    let mut flags = Flags::default();
    let listen = ["udp/{}/quic-v1", "tcp/{}"]
        .map(|form| format!("/ip4/127.0.0.1/{}", form.replace("{}", &port.to_string())));
    flags.list("network.listen", "demo", listen.to_vec());
    flags.switch("network.lan", "demo", false);
    let files = folder.path().join(OWN_FILES);
    let files = std::path::absolute(&files).unwrap_or(files);
    flags.text("files.root", "demo", &files.to_string_lossy());
    // What this machine's environment says is meant for other nodes.
    let (settings, origins) = load_with(folder.path(), None, [], flags)?;
    Ok(Place {
        folder,
        port,
        settings,
        origins,
    })
}

fn name(text: &str) -> Result<Name, DemoError> {
    Name::new(text).map_err(|_| DemoError::Late("a name of the demo breaks the rules"))
}

impl Demo {
    /// Starts it, and says what it does; a folder that has a demo already goes on with it.
    ///
    /// # Errors
    /// What does not work.
    pub async fn start(
        folder: &Path,
        agents: u32,
        mut tell: impl FnMut(&str),
    ) -> Result<Self, DemoError> {
        let m1 = place(folder, "m1")?;
        if let Err(FolderError::NoMember { .. }) = m1.folder.member() {
            tell("founding the fleet demo, with m1 as its first manager");
            let ask = FoundAsk {
                fleet: name("demo")?,
                node: name("m1")?,
                root_key: folder.join("demo-root.key"),
            };
            found(&m1.folder, &ask, machine::wall(), &mut machine::prng())?;
        }
        let manager = m1.start().await?;
        let mut demo = Self {
            folder: folder.to_owned(),
            manager,
            agents: Vec::new(),
        };
        demo.listening().await?;
        tell("m1 is ready");
        for number in 1..=agents {
            let agent = format!("amr-{number:02}");
            let site = SITES[(number as usize - 1) % SITES.len()];
            let place = place(folder, &agent)?;
            let known = !matches!(place.folder.member(), Err(FolderError::NoMember { .. }));
            if !known {
                demo.join(&place, &agent, site).await?;
            }
            demo.agents.push(place.start().await?);
            tell(&match known {
                true => format!("{agent} is up again"),
                false => format!("{agent} joined, at site {site}"),
            });
        }
        demo.all_ready().await?;
        Ok(demo)
    }

    async fn join(&self, place: &Place, agent: &str, site: &str) -> Result<(), DemoError> {
        let ask = InviteAsk {
            labels: Labels::from([
                ("site".to_owned(), site.to_owned()),
                ("role".to_owned(), "amr".to_owned()),
            ]),
            uses: 1,
            ttl_ms: INVITE_MS,
        };
        let given = self.desk().await?.invite(&own_caller(), ask).await;
        let given = given.map_err(DemoError::Manager)?;
        let token = Token::parse(&given.invite)
            .map_err(|error| DemoError::Manager(Problem::bug(error.to_string())))?;
        let ask = JoinAsk {
            token,
            name: name(agent)?,
            patience: PATIENCE,
        };
        join(&place.folder, &place.settings, ask, |_| {}).await?;
        Ok(())
    }

    /// What operators would ask the manager.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn desk(&self) -> Result<Desk, DemoError> {
        let desk = self.manager.desk().await;
        desk.ok_or(DemoError::Late("the manager has ended"))
    }

    /// Waits until the manager can be dialled.
    async fn listening(&self) -> Result<(), DemoError> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let status = self.desk().await?.status().await;
            if status.is_ok_and(|status| !status.addresses.is_empty()) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(DemoError::Late("the manager does not listen"))
    }

    /// Waits until the manager hears all agents.
    async fn all_ready(&self) -> Result<(), DemoError> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let devices = self.devices().await?;
            let names: Vec<&str> = self.agents.iter().map(|it| it.name()).collect();
            // Who was revoked in a run before is not waited for.
            let gone = [DeviceState::Stopped, DeviceState::Forgotten];
            let mut awaited = devices
                .iter()
                .filter(|it| names.contains(&it.name.as_str()) && !gone.contains(&it.state));
            if awaited.all(|it| it.state == DeviceState::Ready) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(DemoError::Late("not all agents are heard"))
    }

    /// The fleet's devices.
    ///
    /// # Errors
    /// When the manager has ended.
    pub async fn devices(&self) -> Result<Vec<Device>, DemoError> {
        let devices = self.desk().await?.devices(None).await;
        devices.map_err(DemoError::Manager)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the manager listens.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.manager.listening.listen
    }

    /// Stops all of its nodes, and waits until they have ended.
    pub async fn stop(self) {
        for node in self.agents.iter().chain([&self.manager]) {
            node.stop();
        }
        for node in self.agents.iter().chain([&self.manager]) {
            node.ended().await;
        }
    }
}

/// Who asks the manager for invites: this process.
fn own_caller() -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        pid: None,
        user: Some("demo".to_owned()),
        rights: Rights::Node,
    }
}
