//! What a node has stored of pulled ledgers: a device's spools, a manager's streams.

use std::collections::BTreeMap;

use regatta_protocol::codec;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::cursor::Kept;
use regatta_protocol::ledger::cursor::state::StreamState;
use regatta_protocol::ledger::entry::{Entry, LedgerId, Parcel};
use regatta_protocol::ledger::spool::message::Item;
use regatta_protocol::ledger::spool::position::{Position, Span};
use regatta_protocol::ledger::spool::state::SpoolState;
use regatta_protocol::ledger::spool::{Indexed, Part};
use regatta_protocol::limits::TELEMETRY_BATCH_BYTES_MAX;

use crate::ids::IdSet;

/// What a node has stored of pulled ledgers.
#[derive(Clone, Debug, Default)]
pub struct PulledDisk {
    /// A device's own.
    pub spools: BTreeMap<LedgerId, SpoolDisk>,
    /// A manager's.
    pub streams: BTreeMap<LedgerId, StreamDisk>,
}

/// One spool.
#[derive(Clone, Debug, Default)]
pub struct SpoolDisk {
    /// The last state, encoded.
    state: Option<Vec<u8>>,
    /// What was neither released nor dropped, by number.
    pub entries: BTreeMap<u64, (Parcel, Indexed)>,
    /// What was ever written in this life of the disk, from number 1 on: for the checks.
    pub issued: Vec<Hash>,
}

/// One stream.
#[derive(Clone, Debug)]
pub struct StreamDisk {
    /// The last state.
    pub state: StreamState,
    /// What was stored, by generation and first number.
    pub items: BTreeMap<(u32, u64), Kept>,
    /// The entries among it.
    pub entries: IdSet<Hash>,
    /// How many entries each generation has.
    pub counts: BTreeMap<u32, u64>,
}

impl PulledDisk {
    /// What a spool is restored from.
    #[must_use]
    pub fn spool(&self, ledger: &LedgerId) -> (SpoolState, Vec<Indexed>) {
        let fresh = || (SpoolState::new(*ledger), Vec::new());
        self.spools.get(ledger).map_or_else(fresh, |disk| {
            let state = disk
                .state
                .as_ref()
                .and_then(|bytes| codec::decode(bytes).ok());
            let state = state.unwrap_or_else(|| SpoolState::new(*ledger));
            let entries = disk.entries.values().map(|(_, indexed)| *indexed);
            (state, entries.collect())
        })
    }

    /// What a cursor is restored from, through the bytes that a store would keep.
    #[must_use]
    pub fn states(&self) -> Vec<StreamState> {
        let states = self.streams.values().map(|disk| &disk.state);
        states
            .filter_map(|state| codec::decode(&codec::encode(state)).ok())
            .collect()
    }

    /// Keeps an entry, and the state where there is one.
    pub fn append(&mut self, entry: &Entry, state: Option<&SpoolState>) {
        let disk = self.spools.entry(entry.header.ledger).or_default();
        let number = entry.header.number;
        let indexed = Indexed {
            position: Position {
                incarnation: entry.header.incarnation,
                number,
                hash: entry.hash,
            },
            previous: entry.header.previous,
            bytes: u32::try_from(Item::Entry(entry.parcel.clone()).cost()).unwrap_or(u32::MAX),
        };
        disk.entries.insert(number, (entry.parcel.clone(), indexed));
        disk.issued.truncate(number as usize - 1);
        disk.issued.push(entry.hash);
        if let Some(state) = state {
            disk.state = Some(codec::encode(state));
        }
    }

    /// Keeps a spool's state and lets go of entries.
    pub fn keep(&mut self, state: &SpoolState, removed: &[Span]) {
        let disk = self.spools.entry(state.ledger).or_default();
        disk.state = Some(codec::encode(state));
        for span in removed {
            let mut rest = disk.entries.split_off(&span.from);
            let mut kept = rest.split_off(&span.to.saturating_add(1));
            disk.entries.append(&mut kept);
        }
    }

    /// The items of a batch of the device's own.
    #[must_use]
    pub fn parts(&self, ledger: &LedgerId, parts: Vec<Part>) -> Vec<Item> {
        let mut items = Vec::new();
        let disk = self.spools.get(ledger);
        for part in parts {
            match part {
                Part::Gap(statement) => items.push(Item::Gap(statement)),
                Part::Entries(span) => {
                    let entries = disk
                        .into_iter()
                        .flat_map(|disk| disk.entries.range(span.from..=span.to));
                    items.extend(entries.map(|(_, (parcel, _))| Item::Entry(parcel.clone())));
                }
            }
        }
        items
    }

    /// Keeps what a cursor read, with its state.
    pub fn store(&mut self, generation: u32, items: Vec<Kept>, state: StreamState) {
        let disk = self
            .streams
            .entry(state.ledger)
            .or_insert_with(|| StreamDisk::new(StreamState::new(state.ledger)));
        for kept in items {
            if let Some(hash) = entry_hash(&kept.item) {
                disk.entries.insert(hash);
                *disk.counts.entry(generation).or_default() += 1;
            }
            disk.items.insert((generation, kept.span.from), kept);
        }
        disk.state = state;
    }

    /// The stored items of these numbers, as many as fit into a batch.
    #[must_use]
    pub fn read(&self, ledger: &LedgerId, generation: u32, span: Span) -> Vec<Item> {
        let Some(disk) = self.streams.get(ledger) else {
            return Vec::new();
        };
        // What begins before the span may be a gap that reaches into it.
        let mut before = disk.items.range((generation, 0)..(generation, span.from));
        let before = before
            .next_back()
            .filter(|(_, kept)| kept.span.to >= span.from);
        let within = disk
            .items
            .range((generation, span.from)..=(generation, span.to));
        let mut room = TELEMETRY_BATCH_BYTES_MAX;
        before
            .into_iter()
            .chain(within)
            .map(|(_, kept)| &kept.item)
            .take_while(|item| {
                let cost = item.cost();
                let fits = cost <= room;
                room = room.saturating_sub(cost);
                fits
            })
            .cloned()
            .collect()
    }

    /// Whether a manager has this entry.
    #[must_use]
    pub fn holds(&self, ledger: &LedgerId, hash: &Hash) -> bool {
        self.streams
            .get(ledger)
            .is_some_and(|disk| disk.entries.contains(hash))
    }
}

impl StreamDisk {
    fn new(state: StreamState) -> Self {
        Self {
            state,
            items: BTreeMap::new(),
            entries: IdSet::default(),
            counts: BTreeMap::new(),
        }
    }
}

/// The hash of an entry; none of a gap.
#[must_use]
pub fn entry_hash(item: &Item) -> Option<Hash> {
    match item {
        Item::Entry(parcel) => Some(Hash::of(&parcel.header)),
        Item::Gap(_) => None,
    }
}
