//! A node's disk: what was stored before a crash, and nothing else, is there after it.

use std::sync::Arc;

use regatta_protocol::clock::reference::Floor;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{Entry, Parcel};

use crate::bodies::store::BodyDisk;
use crate::config::ConfigDisk;
use crate::ids::IdMap;
use crate::pulled::store::PulledDisk;

/// What a node has stored.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    log: Vec<Arc<Entry>>,
    by_hash: IdMap<Hash, u32>,
    floors: Vec<Floor>,
    remembered: Vec<NodeId>,
    /// What it has of pulled ledgers.
    pub pulled: PulledDisk,
    /// Its bodies.
    pub bodies: BodyDisk,
    /// How far it is with its configuration, and the device itself.
    pub config: ConfigDisk,
}

impl Disk {
    /// Keeps an entry; a body that rode along with it is kept elsewhere.
    pub fn store(&mut self, entry: &Arc<Entry>) {
        let index = u32::try_from(self.log.len()).unwrap_or(u32::MAX);
        self.by_hash.insert(entry.hash, index);
        self.log.push(match entry.riding() {
            Some(_) => Arc::new(Entry {
                parcel: entry.bare(),
                ..(**entry).clone()
            }),
            None => Arc::clone(entry),
        });
    }

    /// Keeps a floor of reference time.
    pub fn store_floor(&mut self, floor: Floor) {
        self.floors
            .retain(|known| (known.by, known.firm) != (floor.by, floor.firm));
        self.floors.push(floor);
    }

    /// Keeps whom membership wants to find again.
    pub fn store_remembered(&mut self, neighbours: Vec<NodeId>) {
        self.remembered = neighbours;
    }

    /// Whom membership wanted to find again.
    #[must_use]
    pub fn remembered(&self) -> &[NodeId] {
        &self.remembered
    }

    /// Everything, in the order in which it was stored.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.log
    }

    /// The floors.
    #[must_use]
    pub fn floors(&self) -> &[Floor] {
        &self.floors
    }

    /// Whether an entry is there.
    #[must_use]
    pub fn has(&self, hash: &Hash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// The entry of a hash.
    #[must_use]
    pub fn entry(&self, hash: &Hash) -> Option<&Arc<Entry>> {
        let index = *self.by_hash.get(hash)?;
        self.log.get(index as usize)
    }

    /// The entry of a hash, to send.
    #[must_use]
    pub fn parcel(&self, hash: &Hash) -> Option<Parcel> {
        self.entry(hash).map(|entry| entry.bare())
    }
}
