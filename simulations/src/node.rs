//! One simulated node: the shipped machines, and what drives them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{Entry, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::ledger::replica::{Event, Replica, Role, Settings};
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::statement::Statement;

use crate::disk::Disk;
use crate::fleet::{EPOCH, Root};
use crate::network::NodeIndex;

/// A node, up or down.
#[derive(Debug)]
pub struct Node {
    /// Who it is.
    pub identity: Identity,
    /// Its machine; none while it is down.
    pub replica: Option<Replica>,
    /// What outlasts a crash.
    pub disk: Disk,
    /// An image of the disk that was put aside.
    pub backup: Option<Disk>,
    /// How far its clock is off.
    pub clock_off_ms: i64,
    /// Whom it wants a connection with; it dials, the other answers.
    pub dials: Vec<NodeIndex>,
    /// Connections, each with the number of its session.
    pub links: BTreeMap<NodeIndex, u32>,
    /// When the queue will wake it.
    pub wake_at: Millis,
    /// Crash after so many more effects.
    pub crash_after: Option<u32>,
    /// Whether it never wrote anything.
    pub fresh: bool,
    /// Everybody that it ever had a connection with: it may hold what is for them.
    pub neighbours: BTreeSet<NodeId>,
}

impl Node {
    /// A node that is down and has an empty disk.
    #[must_use]
    pub fn new(identity: Identity, dials: Vec<NodeIndex>) -> Self {
        Self {
            identity,
            replica: None,
            disk: Disk::default(),
            backup: None,
            clock_off_ms: 0,
            dials,
            links: BTreeMap::new(),
            wake_at: Millis(u64::MAX),
            crash_after: None,
            fresh: true,
            neighbours: BTreeSet::new(),
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

    /// Builds the machine from what is stored, as after every start.
    pub fn start(&mut self, root: &Root, joined: &[Statement], settings: Settings, prng: Prng) {
        let mut holdings = root.joined(joined);
        restore(&mut holdings, self.disk.entries());
        let time = ReferenceTime::restore(self.disk.floors().iter().copied());
        let fresh = std::mem::replace(&mut self.fresh, false);
        let identity = self.identity.clone();
        self.replica = Some(Replica::new(
            identity, settings, holdings, time, prng, fresh,
        ));
    }

    /// The first event after a start.
    #[must_use]
    pub fn clock_event(&self, now: Millis) -> Event {
        Event::Clock {
            wall: self.wall(now),
        }
    }
}

/// Reads stored entries back, trust before all else.
pub fn restore(holdings: &mut Holdings, entries: &[Arc<Entry>]) {
    let is_trust = |entry: &&Arc<Entry>| entry.header.ledger.kind == LedgerKind::Trust;
    entries.iter().filter(is_trust).for_each(|entry| {
        holdings.restore(entry);
    });
    entries
        .iter()
        .filter(|entry| !is_trust(entry))
        .for_each(|entry| {
            holdings.restore(entry);
        });
}
