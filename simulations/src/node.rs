//! One simulated node: the shipped machines, and what drives them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::ledger::replica::{Event, Replica, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::membership::message::Profile;
use regatta_protocol::membership::{self, KEEP_ALIVE_MS, Membership};
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::statement::Statement;

use crate::bodies::NodeBodies;
use crate::bodies::papers::Papers;
use crate::config::NodeConfig;
use crate::disk::Disk;
use crate::fleet::{EPOCH, Root};
use crate::network::NodeIndex;
use crate::pulled::Pulled;

/// The end of time: nothing is to be woken.
pub const NEVER: Millis = Millis(u64::MAX);

/// A node, up or down.
#[derive(Debug)]
pub struct Node {
    /// Who it is.
    pub identity: Identity,
    /// Its copy of the ledgers; none while it is down.
    pub replica: Option<Replica>,
    /// Who is there; none while it is down.
    pub membership: Option<Membership>,
    /// Its pulled ledgers; none while it is down, or where a run has none.
    pub pulled: Option<Pulled>,
    /// Its bodies; none while it is down, or where a run has none.
    pub bodies: Option<NodeBodies>,
    /// What outlasts a crash.
    pub disk: Disk,
    /// How far its clock is off.
    pub clock_off_ms: i64,
    /// Connections, each with the number of its session.
    pub links: BTreeMap<NodeIndex, u32>,
    /// Crash after so many more effects, of whatever machine.
    pub crash_after: Option<u32>,
    /// What the world keeps of it.
    pub place: Place,
}

/// What the world keeps of a node beside its machines.
#[derive(Debug)]
pub struct Place {
    /// Whom it dials beside those whom membership asks for, as long as there is no connection.
    pub dials: Vec<NodeIndex>,
    /// The local network that it is on.
    pub site: Option<u32>,
    /// When the queue will wake it.
    pub wake_at: Millis,
    /// Whether it never wrote anything.
    pub fresh: bool,
    /// Everybody that it ever had a connection with: it may hold what is for them.
    pub neighbours: BTreeSet<NodeId>,
    /// An image of the disk that was put aside.
    pub backup: Option<Disk>,
    /// What it shows to get bodies; none where a run has none.
    pub papers: Option<Papers>,
    /// Its configuration; none while it is down, or where a run has none.
    pub config: Option<Box<NodeConfig>>,
}

impl Node {
    /// A node that is down and has an empty disk.
    #[must_use]
    pub fn new(identity: Identity, dials: Vec<NodeIndex>) -> Self {
        Self {
            identity,
            replica: None,
            membership: None,
            pulled: None,
            bodies: None,
            disk: Disk::default(),
            clock_off_ms: 0,
            links: BTreeMap::new(),
            crash_after: None,
            place: Place {
                dials,
                site: None,
                wake_at: NEVER,
                fresh: true,
                neighbours: BTreeSet::new(),
                backup: None,
                papers: None,
                config: None,
            },
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.replica.is_some()
    }

    /// Whether it may write.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        self.identity.role == Role::Manager
    }

    /// What its own clock says.
    #[must_use]
    pub fn wall(&self, now: Millis) -> Millis {
        Millis(EPOCH.plus(now.0).0.saturating_add_signed(self.clock_off_ms))
    }

    /// Builds the machines from what is stored, as after every start.
    pub fn start(&mut self, root: &Root, joined: &[Statement], settings: Settings, mut prng: Prng) {
        let mut holdings = root.joined(joined);
        holdings.restore_all(self.disk.entries().iter().map(Arc::as_ref));
        let time = ReferenceTime::restore(self.disk.floors().iter().copied());
        let fresh = std::mem::replace(&mut self.place.fresh, false);
        let identity = self.identity.clone();
        let me = membership::Identity {
            fleet: root.fleet,
            node: identity.node,
            is_manager: self.is_manager(),
            profile: Profile::Normal,
            keep_alive_ms: KEEP_ALIVE_MS,
            sign: Arc::clone(&identity.signer),
            verify: Arc::clone(&root.verify),
        };
        self.membership = Some(Membership::new(me, prng.branch()));
        self.replica = Some(Replica::new(
            identity, settings, holdings, time, prng, fresh,
        ));
        self.place.wake_at = NEVER;
    }

    /// Drops the machines; what is on the disk stays.
    pub fn stop(&mut self) {
        self.replica = None;
        self.membership = None;
        self.pulled = None;
        self.bodies = None;
        self.place.config = None;
        self.crash_after = None;
    }

    /// The first event after a start.
    #[must_use]
    pub fn clock_event(&self, now: Millis) -> Event {
        Event::Clock {
            wall: self.wall(now),
        }
    }

    /// When each machine wants to be woken: the replica, membership, the cursor, bodies,
    /// configuration.
    #[must_use]
    pub fn wakes(&self) -> [Millis; 5] {
        let replica = self.replica.as_ref().and_then(Machine::wake_at);
        let membership = self.membership.as_ref().and_then(Machine::wake_at);
        let cursor = self.pulled.as_ref().and_then(Pulled::wake_at);
        let bodies = self.bodies.as_ref().map(NodeBodies::wake_at);
        let config = self.place.config.as_ref().map(|it| it.wake_at());
        [replica, membership, cursor, bodies, config].map(|at| at.unwrap_or(NEVER))
    }
}
