//! Bodies of simulated nodes: the shipped machine, who a node is to it, and what it still wants.
//!
//! A node wants every body that an entry on its disk names and that it may read, asks again for what
//! it could not have, and looks now and then whether it may read by now what it might not before.

pub mod papers;
pub mod store;

use std::collections::BTreeMap;

use regatta_protocol::crypto::sign::Verify;
use regatta_protocol::ident::{FleetId, Hash};
use regatta_protocol::ledger::bodies::library::{Library, Reading};
use regatta_protocol::ledger::bodies::sealing::SealPart;
use regatta_protocol::ledger::bodies::{Bodies, Requester};
use regatta_protocol::ledger::replica::Replica;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::authority::{Credentials, Denial};
use regatta_protocol::trust::certificate::SignedCertificate;

use crate::disk::Disk;
use crate::node::NEVER;

/// How long after a failure a body is wanted again.
pub const AGAIN_MS: u64 = 30_000;
/// How often a node looks whether it may read what it might not.
pub const LOOK_MS: u64 = 60_000;

/// A node's machine of bodies, and what the node wants of it.
#[derive(Debug)]
pub struct NodeBodies {
    /// The machine.
    pub machine: Bodies,
    /// When the machine wants to be woken.
    pub machine_wake: Millis,
    /// Bodies that are neither there nor asked for: their length, and when to look at them again.
    unsettled: BTreeMap<Hash, (u64, Millis)>,
    look_at: Millis,
}

impl NodeBodies {
    /// After a start: what entries on the disk name and the store does not have is to be looked at.
    #[must_use]
    pub fn new(me: Requester, disk: &Disk, now: Millis, prng: Prng) -> Self {
        let mut bodies = Self {
            machine: Bodies::new(me, prng),
            machine_wake: NEVER,
            unsettled: BTreeMap::new(),
            look_at: NEVER,
        };
        let named = disk.entries().iter().filter_map(|entry| entry.header.body);
        for body in named.filter(|body| !body.carried && !disk.bodies.has(&body.hash)) {
            bodies.look_later(body.hash, body.bytes, now);
        }
        bodies
    }

    /// Has a body looked at later.
    pub fn look_later(&mut self, hash: Hash, bytes: u64, at: Millis) {
        self.unsettled.insert(hash, (bytes, at));
        self.look_at = self.look_at.min(at);
    }

    /// Bodies whose time has come.
    pub fn due(&mut self, now: Millis) -> Vec<(Hash, u64)> {
        if self.look_at > now {
            return Vec::new();
        }
        let due = self.unsettled.extract_if(.., |_, (_, at)| *at <= now);
        let due = due.map(|(hash, (bytes, _))| (hash, bytes)).collect();
        let times = self.unsettled.values().map(|(_, at)| *at);
        self.look_at = times.min().unwrap_or(NEVER);
        due
    }

    /// When it wants to be woken.
    #[must_use]
    pub fn wake_at(&self) -> Millis {
        self.machine_wake.min(self.look_at)
    }
}

/// The ledgers as the library of bodies, with the seals of the run.
#[derive(Debug)]
pub struct Shelves<'a> {
    reading: Reading<'a>,
    sealing: &'a dyn SealPart,
}

impl<'a> Shelves<'a> {
    /// As a replica knows them now.
    #[must_use]
    pub fn of(replica: &'a Replica, now: Millis, sealing: &'a dyn SealPart) -> Self {
        let reading = reading(replica, now);
        Self { reading, sealing }
    }
}

/// Who may read what, as a replica knows it now.
#[must_use]
pub fn reading(replica: &Replica, now: Millis) -> Reading<'_> {
    Reading {
        holdings: replica.holdings(),
        shelf: replica.holdings().shelf(),
        reference: replica.reference(now),
    }
}

impl Library for Shelves<'_> {
    fn fleet(&self) -> FleetId {
        self.reading.fleet()
    }

    fn reference(&self) -> Millis {
        self.reading.reference()
    }

    fn verify(&self) -> &dyn Verify {
        self.reading.verify()
    }

    fn sealing(&self) -> &dyn SealPart {
        self.sealing
    }

    fn recognise(&self, presented: &[SignedCertificate]) -> Result<Credentials, Denial> {
        self.reading.recognise(presented)
    }

    fn stands(&self, who: &Credentials) -> bool {
        self.reading.stands(who)
    }

    fn is_named(&self, hash: &Hash, bytes: u64) -> bool {
        self.reading.is_named(hash, bytes)
    }

    fn may_read(&self, hash: &Hash, who: &Credentials) -> bool {
        self.reading.may_read(hash, who)
    }
}
