//! Names, keys and disks of the test world.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Stamp;
use crate::codec::{self, Bytes};
use crate::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use crate::ident::{FleetId, Hash, NodeId, Serial};
use crate::ledger::cursor::state::StreamState;
use crate::ledger::cursor::{Cursor, CursorArguments, Kept};
use crate::ledger::entry::{Entry, EntryKind, LedgerId, LedgerKind, Parcel};
use crate::ledger::spool::message::Item;
use crate::ledger::spool::position::{Position, Span};
use crate::ledger::spool::state::SpoolState;
use crate::ledger::spool::{Draft, Indexed, Spool, SpoolArguments};
use crate::limits::TELEMETRY_BATCH_BYTES_MAX;
use crate::machine::Millis;
use crate::prng::Prng;

/// Signs by hashing: who knows the public key could forge, which no test does by accident.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cheap(pub(crate) PublicKey);

fn cheap(key: &PublicKey, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
    let mut bytes = context.preimage(fleet, message);
    bytes.extend_from_slice(&key.0.0);
    Signature(Hash::of(&bytes), key.0)
}

impl Sign for Cheap {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
        cheap(&self.0, context, fleet, message)
    }
}

impl Verify for Cheap {
    fn verify(
        &self,
        key: &PublicKey,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signature: &Signature,
    ) -> bool {
        cheap(key, context, fleet, message) == *signature
    }
}

pub(crate) const FLEET: FleetId = FleetId([7; 32]);
pub(crate) const KEY: PublicKey = PublicKey(Hash([9; 32]));
pub(super) const DEVICE: NodeId = NodeId([1; 16]);
pub(crate) const LEDGER: LedgerId = LedgerId {
    kind: LedgerKind::Telemetry(0),
    scope: None,
    author: DEVICE,
};

pub(super) fn manager(index: usize) -> NodeId {
    NodeId([0xa0 + u8::try_from(index).unwrap_or(0); 16])
}

/// What a device has on disk.
#[derive(Clone, Default)]
pub(super) struct DeviceDisk {
    pub(super) entries: BTreeMap<u64, Parcel>,
    pub(super) state: Option<Vec<u8>>,
}

/// What a manager has on disk.
#[derive(Clone, Default)]
pub(super) struct ManagerDisk {
    pub(super) items: BTreeMap<(u32, u64), Kept>,
    pub(super) state: Option<Vec<u8>>,
}

fn arguments(ledger: LedgerId) -> SpoolArguments {
    SpoolArguments {
        ledger,
        fleet: FLEET,
        serial: Serial([3; 16]),
        signer: Arc::new(Cheap(KEY)),
    }
}

pub(super) fn restore_spool(disk: &DeviceDisk, ledger: LedgerId, prng: Prng) -> Spool {
    let state = disk
        .state
        .as_ref()
        .map_or(SpoolState::new(ledger), |bytes| {
            codec::decode(bytes).expect("own state")
        });
    let entries = disk.entries.values().map(|parcel| {
        let entry = Entry::open(parcel.clone()).expect("own entry");
        Indexed {
            position: Position {
                incarnation: entry.header.incarnation,
                number: entry.header.number,
                hash: entry.hash,
            },
            previous: entry.header.previous,
            bytes: u32::try_from(Item::Entry(parcel.clone()).cost()).expect("small"),
        }
    });
    Spool::restore(arguments(ledger), state, entries, prng)
}

pub(super) fn restore_cursor(index: usize, disk: &ManagerDisk, prng: Prng) -> Cursor {
    let arguments = CursorArguments {
        me: manager(index),
        fleet: FLEET,
        verify: Arc::new(Cheap(KEY)),
    };
    let state = disk
        .state
        .as_ref()
        .map(|bytes| codec::decode::<StreamState>(bytes).expect("own state"));
    Cursor::restore(arguments, state, prng)
}

impl ManagerDisk {
    pub(super) fn state(&self) -> Option<StreamState> {
        self.state
            .as_ref()
            .map(|bytes| codec::decode(bytes).expect("own state"))
    }

    /// The furthest number that is stored or listed, in any generation.
    pub(super) fn passed(&self) -> u64 {
        let Some(state) = self.state() else { return 0 };
        let past = state.past.iter().map(|past| past.extent.head.number);
        past.fold(state.timeline.cursor().number, u64::max)
    }

    /// Whether this entry is stored, in any generation.
    pub(super) fn holds(&self, number: u64, hash: Hash) -> bool {
        let stored = |kept: &Kept| match &kept.item {
            Item::Entry(parcel) => Hash::of(&parcel.header) == hash,
            Item::Gap(_) => false,
        };
        let mut items = self.items.iter();
        items.any(|((_, from), kept)| *from == number && stored(kept))
    }

    pub(super) fn has_gap(&self, number: u64) -> bool {
        let mut items = self.items.values();
        items.any(|kept| kept.span.has(number) && matches!(kept.item, Item::Gap(_)))
    }

    pub(super) fn read(&self, generation: u32, span: Span) -> Vec<Item> {
        let mut room = TELEMETRY_BATCH_BYTES_MAX;
        let stored = self.items.range((generation, 0)..=(generation, span.to));
        stored
            .filter(|(_, kept)| kept.span.to >= span.from)
            .map(|(_, kept)| kept.item.clone())
            .take_while(|item| {
                let fits = item.cost() <= room;
                room = room.saturating_sub(item.cost());
                fits
            })
            .collect()
    }
}

pub(crate) fn draft(now: Millis, bytes: usize) -> Draft {
    Draft {
        kind: EntryKind::RECORD,
        stamp: Stamp::at(now),
        payload: Bytes::default(),
        body: Some(Bytes::from(vec![0x5a; bytes])),
    }
}
