//! Pulled ledgers of simulated nodes: a device's spools and a manager's cursor, as they are shipped.
//!
//! Every agent writes one `report` and one class of `telemetry`; every manager has one reader for the
//! streams of all devices. Membership says who pulls, the other managers take copies.

pub mod check;
pub mod scenes;
pub mod store;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regatta_protocol::clock::Stamp;
use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::cursor::{Cursor, CursorArguments, CursorEvent};
use regatta_protocol::ledger::entry::{EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::replica::Role;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::ledger::spool::{Draft, Pressure, Spool, SpoolArguments, SpoolEvent};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::membership::homes::RosterManager;
use regatta_protocol::prng::Prng;

use crate::fleet::Root;
use crate::network::NodeIndex;
use crate::pulled::store::PulledDisk;
use crate::world::World;

/// The ledgers that every agent writes.
pub const KINDS: [LedgerKind; 2] = [LedgerKind::Report, LedgerKind::Telemetry(0)];

/// A node's machines of pulled ledgers.
#[derive(Debug)]
pub struct Pulled {
    /// An agent's, by kind.
    pub spools: BTreeMap<LedgerKind, Spool>,
    /// A manager's.
    pub cursor: Option<Cursor>,
    /// Which start of the node this is: what the store answers to an earlier one is dropped.
    pub start: u32,
}

/// What one of these machines has to handle.
#[derive(Debug)]
pub enum PulledEvent {
    /// A spool.
    Spool(LedgerKind, SpoolEvent),
    /// The cursor.
    Cursor(CursorEvent),
}

impl Pulled {
    /// Builds the machines from what is stored, as after every start.
    #[must_use]
    pub fn restore(
        identity: &Identity,
        root: &Root,
        disk: &PulledDisk,
        start: u32,
        prng: &mut Prng,
    ) -> Self {
        let mut pulled = Self {
            spools: BTreeMap::new(),
            cursor: None,
            start,
        };
        if identity.role == Role::Manager {
            let arguments = CursorArguments {
                me: identity.node,
                fleet: root.fleet,
                verify: Arc::clone(&root.verify),
            };
            pulled.cursor = Some(Cursor::restore(arguments, disk.states(), prng.branch()));
            return pulled;
        }
        for kind in KINDS {
            let arguments = SpoolArguments {
                ledger: ledger(identity.node, kind),
                fleet: root.fleet,
                serial: identity.serial,
                signer: Arc::clone(&identity.signer),
            };
            let (state, entries) = disk.spool(&arguments.ledger);
            let spool = Spool::restore(arguments, state, entries, prng.branch());
            pulled.spools.insert(kind, spool);
        }
        pulled
    }

    /// When the cursor wants to be woken.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        self.cursor.as_ref().and_then(Machine::wake_at)
    }
}

/// A device's ledger.
#[must_use]
pub fn ledger(author: NodeId, kind: LedgerKind) -> LedgerId {
    LedgerId {
        kind,
        scope: None,
        author,
    }
}

/// Those of the managers that hold pulled ledgers.
#[must_use]
pub fn holders(managers: &[RosterManager]) -> BTreeSet<NodeId> {
    let holding = managers.iter().filter(|manager| manager.hold);
    holding.map(|manager| manager.id).collect()
}

/// Has a device write so many bytes.
pub fn append(world: &mut World, index: NodeIndex, kind: LedgerKind, bytes: usize) {
    let draft = Draft {
        kind: EntryKind::RECORD,
        stamp: Stamp::at(world.nodes[index as usize].wall(world.now)),
        payload: Bytes::default(),
        body: (bytes > 0).then(|| Bytes::from(vec![0x5a; bytes])),
    };
    let event = SpoolEvent::Append(Box::new(draft));
    world.tell_pulled(index, PulledEvent::Spool(kind, event));
}

/// The agents.
#[must_use]
pub fn agents(world: &World) -> Vec<NodeIndex> {
    let numbered = world.nodes.iter().zip(0..);
    numbered
        .filter(|(node, _)| !node.is_manager())
        .map(|(_, index)| index)
        .collect()
}

/// Some agents write something.
pub fn produce(world: &mut World) {
    if !world.manner().pulled {
        return;
    }
    for agent in agents(world) {
        if !world.nodes[agent as usize].is_up() || !world.prng().chance(PRODUCES) {
            continue;
        }
        for _ in 0..=world.prng().below(3) {
            let kind = KINDS[world.prng().below(KINDS.len() as u64) as usize];
            let bytes = match world.prng().below(20) {
                0 => world.prng().below(20_000),
                _ => world.prng().below(600),
            };
            append(world, agent, kind, bytes as usize);
        }
    }
}

/// In a million: whether an agent writes at one turn of the storm.
const PRODUCES: u32 = 250_000;

/// Every agent writes one more entry in each of its ledgers: the first word after a loss is what lets
/// readers go on.
pub fn produce_all(world: &mut World) {
    if !world.manner().pulled {
        return;
    }
    for agent in agents(world) {
        for kind in KINDS {
            append(world, agent, kind, 100);
        }
    }
}

/// A device's store runs short of room.
pub fn space_short(world: &mut World, index: NodeIndex) {
    let bytes = world.prng().below(20_000);
    for pressure in [Pressure::Release, Pressure::Drop, Pressure::DropReport] {
        if pressure == Pressure::DropReport && !world.prng().chance(300_000) {
            return;
        }
        for kind in KINDS {
            let event = SpoolEvent::SpaceShort { bytes, pressure };
            world.tell_pulled(index, PulledEvent::Spool(kind, event));
        }
    }
}
