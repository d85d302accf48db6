//! One whole node: what outlasts a crash of it, and its actors while it is up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use regatta_actors::clock::Clock;
use regatta_actors::config::ConfigPlan;
use regatta_actors::config::ground::Ground as FileGround;
use regatta_actors::config::hooks::Services;
use regatta_actors::crew::{Entropy, Ground, Handles, NodeCrew, NodePlan, Reach};
use regatta_actors::identity::NodeIdentity;
use regatta_actors::membership::Met;
use regatta_actors::network::{
    Address, MemoryNet, MemoryPort, NetworkLimits, NetworkSettings, NetworkTransport,
};
use regatta_actors::store::Sizes;
use regatta_actors::store::disk::simulated::SimulatedDisk;
use regatta_actors::store::index::OpenedIndex;
use regatta_actors::supervisor::{Ended, Running};
use regatta_protocol::contacts::SignedContact;
use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::KEEP_ALIVE_MS;
use regatta_protocol::membership::message::Profile;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::Rank;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::live::steady;

/// A node, up or down.
pub struct LiveNode {
    /// Its id.
    pub id: NodeId,
    /// Its disk, which outlasts it.
    pub disk: SimulatedDisk,
    /// How far its clock is off.
    pub off_ms: Arc<AtomicI64>,
    /// Whom it met when it joined.
    pub met: Vec<Met>,
    berth: Berth,
    identity: Arc<NodeIdentity>,
    contacts: Vec<SignedContact>,
    entropy: Entropy,
    /// What documents write to, which outlasts it too.
    files: TempDir,
    life: Life,
}

enum Life {
    /// Its disk was never opened.
    New,
    Down,
    Up(Up),
}

impl Life {
    fn end(&mut self) -> Option<Up> {
        match std::mem::replace(self, Self::Down) {
            Self::Up(up) => Some(up),
            Self::New => {
                *self = Self::New;
                None
            }
            Self::Down => None,
        }
    }
}

/// Its place in the network.
struct Berth {
    number: u64,
    port: MemoryPort,
}

struct Up {
    running: Running,
    handles: watch::Receiver<Option<Handles>>,
}

/// Limits of a node that shares its process with a whole fleet.
fn alone(limits: NetworkLimits) -> NetworkLimits {
    NetworkLimits {
        process_bytes_max: None,
        ..limits
    }
}

/// How the node of this number reaches others.
pub(super) fn reach(port: MemoryPort, number: u64) -> Reach {
    Reach {
        transport: NetworkTransport::Memory(port),
        settings: NetworkSettings {
            listen: vec![MemoryNet::address(number)],
            ..NetworkSettings::default()
        },
        limits: alone(NetworkLimits::agent()),
        profile: Profile::Normal,
        keep_alive_ms: KEEP_ALIVE_MS,
    }
}

impl LiveNode {
    pub(super) fn new(
        number: u64,
        identity: NodeIdentity,
        (contacts, met): (Vec<SignedContact>, Vec<Met>),
        port: MemoryPort,
        prng: Prng,
    ) -> Self {
        let certificate = identity.certificate.decode();
        let id = certificate.as_ref().map_or(NodeId::ZERO, |it| it.node);
        let prng = Mutex::new(prng);
        let entropy: Entropy = Arc::new(move || {
            let mut prng = prng
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            prng.bytes()
        });
        Self {
            id,
            disk: SimulatedDisk::new(),
            off_ms: steady(),
            met,
            berth: Berth { number, port },
            identity: Arc::new(identity),
            contacts,
            entropy,
            files: tempfile::tempdir().expect("a folder for files"),
            life: Life::New,
        }
    }

    /// How others find it.
    pub(super) fn met(&self) -> Met {
        Met {
            node: self.id,
            keys: self.identity.secrets.public(),
            addresses: vec![MemoryNet::address(self.berth.number)],
        }
    }

    /// As joining left it.
    #[must_use]
    pub fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Address {
        MemoryNet::address(self.berth.number)
    }

    /// Where a file of a document lies.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.files
            .path()
            .join("root")
            .join(path.trim_start_matches('/'))
    }

    /// Whether it is a manager.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        let certificate = self.identity.certificate.decode();
        certificate.is_ok_and(|it| it.rank == Rank::Manager)
    }

    /// Whether it is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.life, Life::Up(_))
    }

    pub(super) async fn start(&mut self, wall: Millis) {
        let disk = self.disk.clone();
        let mut reach = reach(self.berth.port.clone(), self.berth.number);
        if self.is_manager() {
            reach.limits = alone(NetworkLimits::manager());
            reach.settings.relay = true;
        }
        let plan = NodePlan {
            identity: Arc::clone(&self.identity),
            told: self.contacts.clone(),
            met: self.met.clone(),
            begun: !matches!(self.life, Life::New),
            ground: Arc::new(move || {
                Ok(Ground {
                    disk: Arc::new(disk.take()?),
                    index: Box::new(OpenedIndex::in_memory),
                    sizes: Sizes::default(),
                })
            }),
            reach,
            clock: Clock::simulated(wall, Arc::clone(&self.off_ms)),
            entropy: Arc::clone(&self.entropy),
            config: ConfigPlan {
                ground: FileGround::new(self.file("/"), vec!["/opt".into()]),
                attempts: self.files.path().join("attempts"),
                services: Services::default(),
            },
            service: None,
        };
        let (crew, handles) = NodeCrew::new(plan);
        let running = Running::start(crew).await.expect("a node starts");
        self.life = Life::Up(Up { running, handles });
    }

    /// Its actors, once they run.
    ///
    /// # Panics
    /// When it is down.
    pub async fn handles(&self) -> Handles {
        let Life::Up(up) = &self.life else {
            panic!("the node is down");
        };
        let mut handles = up.handles.clone();
        let found = handles.wait_for(Option::is_some).await;
        found
            .ok()
            .and_then(|found| found.clone())
            .expect("the node runs")
    }

    /// Its actors, where they run now.
    #[must_use]
    pub fn running(&self) -> Option<Handles> {
        match &self.life {
            Life::Up(up) => up.handles.borrow().clone(),
            Life::New | Life::Down => None,
        }
    }

    /// Waits until it has ended by itself, and says why.
    ///
    /// # Panics
    /// When it is down.
    pub async fn ended(&self) -> Ended {
        let Life::Up(up) = &self.life else {
            panic!("the node is down");
        };
        up.running.ended().await
    }

    /// Stops it as an operator does.
    pub async fn stop(&mut self) {
        if let Some(up) = self.life.end() {
            up.running.stop();
            up.running.ended().await;
        }
    }

    /// Stops it as a power cut does: nothing more is said or written, and the disk forgets what it was
    /// not asked to sync.
    pub async fn cut_power(&mut self, net: &MemoryNet, seed: u64) {
        if let Some(up) = self.life.end() {
            self.disk.kill();
            net.vanish(self.berth.number);
            up.running.kill().await;
            self.disk.crash(seed);
        }
    }

    /// Sets its clock off.
    pub fn set_clock(&self, off_ms: i64) {
        self.off_ms.store(off_ms, Ordering::Relaxed);
    }
}
