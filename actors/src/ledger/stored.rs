//! How entries and floors lie in the store, and how they come back after a start.
//!
//! An entry lies under its hash; its value begins with a number that says in which order entries were
//! stored, which is the order in which they must be taken back.

use regatta_protocol::clock::reference::Floor;
use regatta_protocol::codec::{self, DecodeError};
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::{Entry, LedgerKind, Parcel};
use thiserror::Error;

use crate::store::{Batch, BatchError, Reader, Store, StoreError, Table};

/// The number in front of an entry.
const ORDER_BYTES: usize = 8;

/// What was there.
#[derive(Debug, Default)]
pub struct Stored {
    /// In the order in which they were stored.
    pub entries: Vec<Entry>,
    /// Floors of reference time.
    pub floors: Vec<Floor>,
    /// The number of the next entry.
    pub next: u64,
    /// Records that this build cannot read; they stay where they are.
    pub unread: usize,
}

/// Why something stored cannot be used.
#[derive(Debug, Error)]
pub enum StoredError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not fit into a batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// It does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

fn table_of(kind: LedgerKind) -> Table {
    match kind {
        LedgerKind::Trust => Table::Trust,
        _ => Table::Entries,
    }
}

/// Adds an entry to a batch; a body that rides along with it is kept elsewhere.
pub fn put_entry(batch: &mut Batch, order: u64, entry: &Entry) -> Result<(), BatchError> {
    let mut value = order.to_be_bytes().to_vec();
    value.extend_from_slice(&codec::encode(&entry.bare()));
    let table = table_of(entry.header.ledger.kind);
    batch.put(table, &entry.hash.0, &value)
}

/// Adds a floor to a batch, in the place of the signer's one before.
pub fn put_floor(batch: &mut Batch, floor: &Floor) -> Result<(), BatchError> {
    let mut key = floor.by.0.to_vec();
    key.push(u8::from(floor.firm));
    batch.put(Table::Floors, &key, &codec::encode(floor))
}

/// The parcels of entries, in their order; one that is not there is left out.
pub fn parcels(reader: &Reader, entries: &[Hash]) -> Result<Vec<Parcel>, StoreError> {
    let mut parcels = Vec::with_capacity(entries.len());
    for hash in entries {
        let value = match reader.get(Table::Entries, &hash.0)? {
            Some(value) => Some(value),
            None => reader.get(Table::Trust, &hash.0)?,
        };
        let parcel = value.and_then(|value| {
            codec::decode::<Parcel>(value.get(ORDER_BYTES..).unwrap_or(&[])).ok()
        });
        parcels.extend(parcel);
    }
    Ok(parcels)
}

/// Every value of a table.
pub async fn whole(store: &Store, table: Table) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    let read = store.read(move |reader| {
        let mut all = Vec::new();
        reader.each(table, &[], None, |key, value| {
            all.push((key, value));
            Ok(())
        })?;
        Ok(all)
    });
    read.await
}

/// Reads back what a replica had stored.
pub async fn read(store: &Store) -> Result<Stored, StoreError> {
    let mut stored = Stored::default();
    let mut entries = Vec::new();
    for table in [Table::Trust, Table::Entries] {
        for (_, value) in whole(store, table).await? {
            let Some((order, parcel)) = value.split_first_chunk::<ORDER_BYTES>() else {
                stored.unread += 1;
                continue;
            };
            let order = u64::from_be_bytes(*order);
            stored.next = stored.next.max(order.saturating_add(1));
            let parcel = codec::decode::<Parcel>(parcel);
            match parcel.map(Entry::open) {
                Ok(Ok(entry)) => entries.push((order, entry)),
                _ => stored.unread += 1,
            }
        }
    }
    entries.sort_by_key(|(order, _)| *order);
    stored.entries = entries.into_iter().map(|(_, entry)| entry).collect();
    for (_, value) in whole(store, Table::Floors).await? {
        match codec::decode(&value) {
            Ok(floor) => stored.floors.push(floor),
            Err(_) => stored.unread += 1,
        }
    }
    Ok(stored)
}
