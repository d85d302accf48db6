//! The store against a model, on a disk that forgets, tears, lies and fills up.

use std::collections::BTreeMap;
use std::sync::Arc;

use regatta_protocol::prng::Prng;

use super::disk::simulated::SimulatedDisk;
use super::index::OpenedIndex;
use super::{Batch, Opened, Sizes, StoreError, Table, Writer, open};

mod actor;
mod compaction;
mod damage;
mod full;
mod index;
mod torture;

pub const SALT: [u8; 8] = *b"saltsalt";
pub const TABLES: [Table; 3] = [Table::Entries, Table::SpoolEntries, Table::Node];

/// Small, so that a few batches make many segments.
pub const SMALL: Sizes = Sizes {
    segment: 4096,
    compaction_step: 1024,
    free_min: 32 * 1024,
    ballast: 16 * 1024,
};

/// How many seeds: `fewest`, or as many as `REGATTA_SEEDS` says.
pub fn seeds(fewest: u64) -> std::ops::Range<u64> {
    let asked = std::env::var("REGATTA_SEEDS").ok();
    0..asked.and_then(|text| text.parse().ok()).unwrap_or(fewest)
}

pub fn reopen(disk: &SimulatedDisk) -> Result<(Writer, Opened), StoreError> {
    open(
        Arc::new(disk.clone()),
        OpenedIndex::in_memory(),
        SALT,
        SMALL,
    )
}

pub type Contents = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Everything that a store holds.
pub fn contents(store: &Writer) -> Result<Contents, StoreError> {
    let mut found = Contents::new();
    for table in TABLES {
        for (key, value) in store.reader().scan(table, b"", None, 100_000, usize::MAX)? {
            found.insert((table, key), value);
        }
    }
    Ok(found)
}

/// A batch, and what it makes of the model.
pub fn random_batch(prng: &mut Prng, model: &Contents) -> (Batch, Contents) {
    let mut batch = Batch::new();
    let mut after = model.clone();
    for _ in 0..=prng.below(4) {
        let table = TABLES[prng.below(3) as usize];
        let key = format!("key {}", prng.below(30)).into_bytes();
        if prng.chance(350_000) {
            batch.delete(table, &key).expect("works");
            after.remove(&(table, key));
        } else {
            let mut value = vec![0; prng.below(200) as usize];
            prng.fill(&mut value);
            batch.put(table, &key, &value).expect("works");
            after.insert((table, key), value);
        }
    }
    (batch, after)
}
