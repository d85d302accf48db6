//! How pulled ledgers lie in the store: a device's own entries, and what a manager has read.

use regatta_protocol::codec;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::cursor::Kept;
use regatta_protocol::ledger::cursor::state::StreamState;
use regatta_protocol::ledger::entry::{Entry, LedgerId, LedgerKind, Parcel};
use regatta_protocol::ledger::spool::message::Item;
use regatta_protocol::ledger::spool::position::{Position, Span};
use regatta_protocol::ledger::spool::state::SpoolState;
use regatta_protocol::ledger::spool::{Indexed, Part};
use regatta_protocol::limits::TELEMETRY_BATCH_BYTES_MAX;

use crate::store::{Batch, BatchError, Reader, StoreError, Table};

/// Items that one read takes from the store.
const READ_ITEMS_MAX: usize = 1024;
/// Bytes that one read takes from the store.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One byte for a kind of pulled ledger. Numbers are on disk.
fn tag(kind: LedgerKind) -> u8 {
    match kind {
        LedgerKind::Telemetry(class) => 0x40_u8.saturating_add(class),
        LedgerKind::Report => 1,
        LedgerKind::Trust | LedgerKind::Fleet | LedgerKind::Managers => 0,
    }
}

fn own(kind: LedgerKind, number: u64) -> Vec<u8> {
    [&[tag(kind)][..], &number.to_be_bytes()].concat()
}

fn stream(ledger: &LedgerId) -> Vec<u8> {
    [&ledger.author.0[..], &[tag(ledger.kind)]].concat()
}

fn item(ledger: &LedgerId, generation: u32, number: u64) -> Vec<u8> {
    let mut key = stream(ledger);
    key.extend_from_slice(&generation.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Adds an own entry to a batch, and the spool's state where there is one.
pub fn put_own(
    batch: &mut Batch,
    entry: &Entry,
    state: Option<&SpoolState>,
) -> Result<(), BatchError> {
    let key = own(entry.header.ledger.kind, entry.header.number);
    batch.put(Table::SpoolEntries, &key, &codec::encode(&entry.parcel))?;
    state.map_or(Ok(()), |state| put_spool(batch, state))
}

/// Adds a spool's state to a batch.
pub fn put_spool(batch: &mut Batch, state: &SpoolState) -> Result<(), BatchError> {
    let key = [tag(state.ledger.kind)];
    batch.put(Table::SpoolStates, &key, &codec::encode(state))
}

/// Adds the removal of own entries to a batch.
pub fn remove_own(batch: &mut Batch, kind: LedgerKind, span: Span) -> Result<(), BatchError> {
    for number in span.from..=span.to {
        batch.delete(Table::SpoolEntries, &own(kind, number))?;
    }
    Ok(())
}

fn indexed(parcel: Parcel) -> Option<Indexed> {
    let bytes = Item::Entry(parcel.clone()).cost();
    let entry = Entry::open(parcel).ok()?;
    Some(Indexed {
        position: Position {
            incarnation: entry.header.incarnation,
            number: entry.header.number,
            hash: entry.hash,
        },
        previous: entry.header.previous,
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
    })
}

/// What a spool is restored from.
pub fn spool(reader: &Reader, ledger: LedgerId) -> Result<(SpoolState, Vec<Indexed>), StoreError> {
    let state = reader.get(Table::SpoolStates, &[tag(ledger.kind)])?;
    let state = state.and_then(|bytes| codec::decode(&bytes).ok());
    let state = state.unwrap_or_else(|| SpoolState::new(ledger));
    let mut entries = Vec::new();
    let span = Span {
        from: 0,
        to: u64::MAX,
    };
    each_own(reader, ledger.kind, span, |parcel| {
        entries.extend(indexed(parcel));
    })?;
    Ok((state, entries))
}

fn each_own(
    reader: &Reader,
    kind: LedgerKind,
    span: Span,
    mut take: impl FnMut(Parcel),
) -> Result<(), StoreError> {
    let from = own(kind, span.from);
    let mut until = own(kind, span.to);
    until.push(0);
    reader.each(Table::SpoolEntries, &from, Some(&until), |_, value| {
        if let Ok(parcel) = codec::decode(&value) {
            take(parcel);
        }
        Ok(())
    })
}

/// The items of a batch of the node's own.
pub fn parts(reader: &Reader, kind: LedgerKind, parts: Vec<Part>) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    for part in parts {
        match part {
            Part::Gap(statement) => items.push(Item::Gap(statement)),
            Part::Entries(span) => {
                each_own(reader, kind, span, |parcel| items.push(Item::Entry(parcel)))?;
            }
        }
    }
    Ok(items)
}

/// Adds what was read of a stream to batches, with its state in the last of them.
///
/// What a batch brings is at most [`TELEMETRY_BATCH_BYTES_MAX`], which a batch of the store has room for.
pub fn put_stream(
    batch: &mut Batch,
    generation: u32,
    items: Vec<Kept>,
    state: &StreamState,
) -> Result<(), BatchError> {
    for Kept { span, item: kept } in items {
        // Under its last number: so a gap that reaches into a range is found from its beginning on.
        let key = item(&state.ledger, generation, span.to);
        batch.put(Table::StreamItems, &key, &codec::encode(&kept))?;
    }
    let key = stream(&state.ledger);
    batch.put(Table::StreamStates, &key, &codec::encode(state))
}

/// The stored items of these numbers, as many as fit into a batch.
pub fn read_stream(
    reader: &Reader,
    ledger: &LedgerId,
    generation: u32,
    span: Span,
) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    let mut room = TELEMETRY_BATCH_BYTES_MAX;
    let from = item(ledger, generation, span.from);
    // A gap may reach out of the range at its end.
    let until = item(ledger, generation, u64::MAX);
    let found = reader.scan(
        Table::StreamItems,
        &from,
        Some(&until),
        READ_ITEMS_MAX,
        READ_BYTES_MAX,
    )?;
    for (key, value) in found {
        let Ok(item) = codec::decode::<Item>(&value) else {
            break;
        };
        let cost = item.cost();
        if cost > room {
            break;
        }
        room -= cost;
        items.push(item);
        let last = key.last_chunk().copied().map(u64::from_be_bytes);
        if last.is_none_or(|last| last >= span.to) {
            break;
        }
    }
    Ok(items)
}

/// Every entry that was read of a device's ledger, in order, with its generation.
pub fn each_of_stream(
    reader: &Reader,
    author: NodeId,
    kind: LedgerKind,
    mut take: impl FnMut(u32, Entry),
) -> Result<(), StoreError> {
    let ledger = LedgerId {
        kind,
        scope: None,
        author,
    };
    let from = item(&ledger, 0, 0);
    let generation_at = stream(&ledger).len();
    let mut until = stream(&ledger);
    until.extend_from_slice(&[u8::MAX; 13]);
    reader.each(Table::StreamItems, &from, Some(&until), |key, value| {
        let generation = key.get(generation_at..generation_at + 4);
        let generation = generation.and_then(|bytes| bytes.try_into().ok());
        if let Ok(Item::Entry(parcel)) = codec::decode::<Item>(&value)
            && let (Ok(entry), Some(generation)) = (Entry::open(parcel), generation)
        {
            take(u32::from_be_bytes(generation), entry);
        }
        Ok(())
    })
}

/// How far every stream was read.
pub fn streams(values: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<StreamState> {
    let states = values.into_iter();
    states
        .filter_map(|(_, value)| codec::decode(&value).ok())
        .collect()
}
