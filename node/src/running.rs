//! A node of this machine that runs: its folder, its settings and its actors put together.

use std::sync::Arc;
use std::time::Duration;

use regatta_actors::clock::Clock;
use regatta_actors::config::ConfigPlan;
use regatta_actors::config::ground::Ground;
use regatta_actors::control::Serving;
use regatta_actors::crew::{Ground as Disks, Handles, NodeCrew, NodePlan, Reach};
use regatta_actors::network::{NetworkLimits, NetworkSettings, NetworkTransport};
use regatta_actors::store::Sizes;
use regatta_actors::store::disk::real::RealDisk;
use regatta_actors::store::index::OpenedIndex;
use regatta_actors::store::index::on_disk::SledIndex;
use regatta_actors::supervisor::{Ended, Running};
use regatta_protocol::membership::message::Profile as LinkProfile;
use regatta_protocol::membership::{KEEP_ALIVE_METERED_MS, KEEP_ALIVE_MS};
use regatta_protocol::trust::certificate::Rank;
use thiserror::Error;
use tokio::sync::watch;

use crate::control::server::{BindError, Server, ServerSettings};
use crate::desk::Desk;
use crate::folder::{FolderError, Membership, StateFolder};
use crate::machine;
use crate::ports::{self, Listening};
use crate::settings::{Origins, Profile, Relay, Settings};

/// How long the control socket of the actors before may take to be gone.
const BIND_AGAIN: Duration = Duration::from_millis(200);
const BIND_TRIES: u32 = 10;

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its actors do not start.
    #[error("{0}")]
    Actors(String),
}

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    /// Who it is.
    pub member: Membership,
    /// Where it listens.
    pub listening: Listening,
    running: Running,
    handles: watch::Receiver<Option<Handles>>,
}

impl Node {
    /// Starts the node of a folder, with its control socket.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn start(
        folder: &StateFolder,
        settings: &Settings,
        origins: &Origins,
    ) -> Result<Self, StartError> {
        let member = folder.member()?;
        let listening = ports::choose(folder, &settings.network, origins)?;
        let plan = plan(folder, settings, &member, &listening);
        let (crew, handles) = NodeCrew::new(plan);
        let started = Running::start(crew).await;
        let running = started.map_err(|error| StartError::Actors(error.to_string()))?;
        // Not before: where the node of this folder runs already, its port is taken by itself.
        if let Some(port) = listening.keep {
            folder.keep_port(port)?;
        }
        folder.note_begun()?;
        Ok(Self {
            member,
            listening,
            running,
            handles,
        })
    }

    /// Its actors of now, once they run.
    pub async fn handles(&self) -> Option<Handles> {
        let mut handles = self.handles.clone();
        let found = handles.wait_for(Option::is_some).await.ok()?;
        found.clone()
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.member.certificate.name.as_str()
    }

    /// What operators would ask.
    pub async fn desk(&self) -> Option<Desk> {
        self.handles().await.map(Desk::of)
    }

    /// Whether its actors run just now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.handles.borrow().is_some()
    }

    /// Has it end; [`Self::ended`] tells when it has.
    pub fn stop(&self) {
        self.running.stop();
    }

    /// Waits until it has ended, and says why.
    pub async fn ended(&self) -> Ended {
        self.running.ended().await
    }
}

/// How a node with these settings reaches others.
#[must_use]
pub fn reach(settings: &Settings, is_manager: bool, listening: &Listening) -> Reach {
    let network = &settings.network;
    let relay = match network.relay {
        Relay::On => true,
        Relay::Off => false,
        Relay::Auto => is_manager,
    };
    let (profile, keep_alive_ms) = match network.profile {
        Profile::Normal => (LinkProfile::Normal, KEEP_ALIVE_MS),
        Profile::Metered => (LinkProfile::Metered, KEEP_ALIVE_METERED_MS),
    };
    let asked = network.keep_alive_ms.and_then(|ms| u32::try_from(ms).ok());
    let keep_alive_ms = asked.unwrap_or(keep_alive_ms);
    // A manager's peers are metered, some of them, and say so in membership.
    let (limits, heard_ms) = match is_manager {
        true => (NetworkLimits::manager(), KEEP_ALIVE_METERED_MS),
        false => (NetworkLimits::agent(), keep_alive_ms),
    };
    Reach {
        transport: NetworkTransport::Sockets,
        settings: NetworkSettings {
            listen: listening.listen.clone(),
            external: network.external.clone(),
            lan: network.lan,
            relay,
        },
        limits: limits.beside_keep_alives(Duration::from_millis(heard_ms.into())),
        profile,
        keep_alive_ms,
    }
}

fn plan(
    folder: &StateFolder,
    settings: &Settings,
    member: &Membership,
    listening: &Listening,
) -> NodePlan {
    let is_manager = member.certificate.rank == Rank::Manager;
    let (store, index) = (folder.store(), folder.index());
    let sizes = Sizes {
        free_min: settings.store.free_min_bytes,
        ..Sizes::default()
    };
    let control = settings.server();
    NodePlan {
        identity: Arc::new(member.identity.clone()),
        told: member.contacts.clone(),
        met: member.met.clone(),
        begun: folder.has_begun(),
        ground: Arc::new(move || {
            let index = index.clone();
            Ok(Disks {
                disk: Arc::new(RealDisk::open(&store)?),
                index: match is_manager {
                    true => Box::new(move || SledIndex::open(&index)),
                    // What a device holds is read back in a moment; sled's eight threads, which wake each
                    // second, would be half of the time that an idle one takes.
                    false => Box::new(OpenedIndex::in_memory),
                },
                sizes,
            })
        }),
        reach: reach(settings, is_manager, listening),
        clock: Clock::system(),
        entropy: Arc::new(machine::entropy),
        config: ConfigPlan {
            ground: Ground::new(settings.files.root.clone(), settings.files.allow.clone()),
            attempts: folder.attempts(),
            services: settings.services.clone(),
        },
        service: Some(Arc::new(move |handles| {
            let control = control.clone();
            Box::pin(async move {
                let server = bind(control).await.map_err(|error| error.to_string())?;
                let serving: Serving = Box::pin(async move {
                    let never = std::future::pending();
                    server.serve(Desk::of(handles), never).await;
                    Ok(())
                });
                Ok(serving)
            })
        })),
    }
}

/// The socket of the actors before may be there for a moment longer.
async fn bind(control: ServerSettings) -> Result<Server, BindError> {
    let mut tries = 0;
    loop {
        match Server::bind(control.clone()).await {
            Err(_) if tries < BIND_TRIES => {
                tries += 1;
                tokio::time::sleep(BIND_AGAIN).await;
            }
            bound => return bound,
        }
    }
}
