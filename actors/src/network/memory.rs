//! A network within one process, whose links can be cut, delayed and made lossy while they are used.
//!
//! The same network code runs over it as over sockets: it stands in place of TCP, below encryption
//! and multiplexing. In tokio's paused time a fleet's hours take seconds. libp2p's own memory
//! transport is not used, because its listeners are global to the process and never freed, so a node
//! could not come back under its address.

mod pipe;
mod port;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use regatta_protocol::prng::Prng;
use tokio::sync::{mpsc, watch};

pub(super) use self::port::MemoryTransport;
use crate::network::Address;

/// Connections that one listener has not taken yet.
const BACKLOG: usize = 128;
/// How long a lost segment takes to be sent again.
const SENT_AGAIN: Duration = Duration::from_millis(200);

/// What one direction of a link does to what crosses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How long everything takes.
    pub delay: Duration,
    /// How much longer it may take, drawn anew for each segment.
    pub jitter: Duration,
    /// How many segments of a million are lost; streams send them again, so loss is delay.
    pub lost_per_million: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            lost_per_million: 0,
        }
    }
}

/// A network of numbered nodes; each number is an address that stays.
#[derive(Clone)]
pub struct MemoryNet {
    fabric: Arc<Mutex<Fabric>>,
    /// Counts changes of what is cut: whoever waits for a link to heal looks again.
    changed: Arc<watch::Sender<u64>>,
}

struct Fabric {
    prng: Prng,
    usual: Shape,
    shapes: BTreeMap<(u64, u64), Shape>,
    cut: BTreeMap<(u64, u64), ()>,
    listeners: BTreeMap<u64, mpsc::Sender<port::Arrival>>,
    dialled: u64,
}

/// A place in a [`MemoryNet`]: what a node is given in place of sockets.
#[derive(Clone, Debug)]
pub struct MemoryPort {
    pub(super) net: MemoryNet,
    pub(super) number: u64,
}

impl MemoryNet {
    /// A network whose delays are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let fabric = Fabric {
            prng: Prng::from_number(seed),
            usual: Shape::default(),
            shapes: BTreeMap::new(),
            cut: BTreeMap::new(),
            listeners: BTreeMap::new(),
            dialled: 0,
        };
        Self {
            fabric: Arc::new(Mutex::new(fabric)),
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The place of the node with this number, which is not zero.
    #[must_use]
    pub fn port(&self, number: u64) -> MemoryPort {
        let net = self.clone();
        MemoryPort { net, number }
    }

    /// Where the node with this number listens.
    #[must_use]
    pub fn address(number: u64) -> Address {
        Address(Multiaddr::empty().with(Protocol::Memory(number)))
    }

    /// Nothing crosses between these two any more, and neither learns of it.
    pub fn cut(&self, one: u64, other: u64) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing crosses from the one to the other any more.
    pub fn cut_one_way(&self, from: u64, to: u64) {
        self.lock().cut.insert((from, to), ());
        self.tell();
    }

    /// What was in flight between these two when they were cut arrives, and what comes after it.
    pub fn heal(&self, one: u64, other: u64) {
        let mut fabric = self.lock();
        fabric.cut.remove(&(one, other));
        fabric.cut.remove(&(other, one));
        drop(fabric);
        self.tell();
    }

    /// Heals everything.
    pub fn heal_all(&self) {
        self.lock().cut.clear();
        self.tell();
    }

    /// Shapes one direction of one link.
    pub fn shape(&self, from: u64, to: u64, shape: Shape) {
        self.lock().shapes.insert((from, to), shape);
    }

    /// Shapes every direction that has no shape of its own.
    pub fn shape_all(&self, shape: Shape) {
        self.lock().usual = shape;
    }

    fn lock(&self) -> MutexGuard<'_, Fabric> {
        // Nothing that holds the lock can leave it half changed.
        self.fabric.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.lock().cut.contains_key(&(from, to))
    }

    /// How long the next segment takes.
    fn delay(&self, from: u64, to: u64) -> Duration {
        let mut fabric = self.lock();
        let shape = fabric.shapes.get(&(from, to)).copied();
        let shape = shape.unwrap_or(fabric.usual);
        let jitter = u64::try_from(shape.jitter.as_micros()).unwrap_or(u64::MAX);
        let mut delay = shape.delay + Duration::from_micros(fabric.prng.below(jitter));
        // A link that loses everything is a slow one here; `cut` is for those that carry nothing.
        for _ in 0..16 {
            if !fabric.prng.chance(shape.lost_per_million) {
                break;
            }
            delay += SENT_AGAIN;
        }
        delay
    }

    /// Ready once nothing between the two is cut.
    async fn carries(&self, one: u64, other: u64) {
        let mut changed = self.changed.subscribe();
        while self.is_cut(one, other) || self.is_cut(other, one) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for MemoryNet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "MemoryNet({} listen)", self.lock().listeners.len())
    }
}
