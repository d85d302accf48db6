//! The reading side: any number of threads, beside the one that writes.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use super::batch;
use super::disk::Disk;
use super::error::StoreError;
use super::index::{Index, IndexError};
use super::log::{Files, segment_name};
use super::places::{Place, live_end, live_key, owner_key, place};
use super::table::Table;

/// Items of one page of [`Reader::each`].
const PAGE_ITEMS_MAX: usize = 1024;
/// Bytes of one page.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A key with its value.
pub type Item = (Vec<u8>, Vec<u8>);

/// What both sides use.
pub struct Shared {
    /// The folder.
    pub disk: Arc<dyn Disk>,
    /// Segments that are open.
    pub files: Files,
    /// Replaced by one in memory when it breaks.
    index: RwLock<Arc<dyn Index>>,
}

impl Shared {
    /// For a folder.
    pub fn new(disk: Arc<dyn Disk>, index: Arc<dyn Index>) -> Self {
        Self {
            files: Files::new(Arc::clone(&disk)),
            disk,
            index: RwLock::new(index),
        }
    }

    /// The index of now.
    pub fn index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another index, which is complete.
    pub fn replace_index(&self, index: Arc<dyn Index>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        Self::Index(error.0)
    }
}

/// Reads what is committed. Every call may block on the disk.
#[derive(Clone)]
pub struct Reader(pub(super) Arc<Shared>);

impl Reader {
    /// What stands under `key`.
    ///
    /// # Errors
    /// When it is damaged, or the disk or the index fails.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.value(&live_key(table.tag(), key))
    }

    /// Keys from `from` on, and below `until` where it is given, in order, with their values: at most
    /// `items_max`, and no more once they have `bytes_max` bytes. To go on, ask from the last key with
    /// a zero byte behind it.
    ///
    /// # Errors
    /// When one of them is damaged, or the disk or the index fails.
    pub fn scan(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
        items_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let tag = table.tag();
        let until = until.map_or_else(|| live_end(tag), |until| live_key(tag, until));
        let places = self
            .0
            .index()
            .scan(&live_key(tag, from), &until, items_max)?;
        let mut items = Vec::with_capacity(places.len());
        let mut bytes = 0;
        for (key, _) in places {
            // Gone since the index was asked: then it is not there.
            let Some(value) = self.value(&key)? else {
                continue;
            };
            let key = owner_key(&key).to_vec();
            bytes += key.len() + value.len();
            items.push((key, value));
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(items)
    }

    /// Hands over everything from `from` on, and below `until` where that is said, however much it is: a
    /// page at a time.
    ///
    /// # Errors
    /// As [`Self::scan`], or what `take` says.
    pub fn each(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
        mut take: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = from.to_vec();
        loop {
            let items = self.scan(table, &from, until, PAGE_ITEMS_MAX, PAGE_BYTES_MAX)?;
            let Some((last, _)) = items.last() else {
                return Ok(());
            };
            from.clone_from(last);
            from.push(0);
            for (key, value) in items {
                take(key, value)?;
            }
        }
    }

    /// How many bytes the disk has left.
    ///
    /// # Errors
    /// When it does not say.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        let free = self.0.disk.free_bytes();
        free.map_err(|error| {
            StoreError::io("asking how much is free beside", "the segments", &error)
        })
    }

    /// Keys of `from` up to `until`, as [`Reader::scan`] gives them, without their values.
    ///
    /// # Errors
    /// When the index fails.
    pub fn keys(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
        items_max: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let tag = table.tag();
        let until = until.map_or_else(|| live_end(tag), |until| live_key(tag, until));
        let places = self
            .0
            .index()
            .scan(&live_key(tag, from), &until, items_max)?;
        Ok(places
            .iter()
            .map(|(key, _)| owner_key(key).to_vec())
            .collect())
    }

    fn value(&self, live: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut before: Option<Place> = None;
        loop {
            let Some(bytes) = self.0.index().get(live)? else {
                return Ok(None);
            };
            let place = place(&bytes)?;
            if let Some(value) = self.record(live, place)? {
                return Ok(Some(value));
            }
            // A compaction may have moved it since the index was asked.
            if before == Some(place) {
                return Err(StoreError::Damaged {
                    file: segment_name(place.segment),
                    offset: place.offset.into(),
                });
            }
            before = Some(place);
        }
    }

    /// The value at a place, unless something else is there.
    fn record(&self, live: &[u8], place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        let file = match self.0.files.segment(place.segment) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let name = segment_name(place.segment);
                return Err(StoreError::io("opening", &name, &error));
            }
        };
        let mut bytes = vec![0; place.length as usize];
        // A sector that cannot be read is as lost as one that was overwritten.
        if file.read_at(&mut bytes, place.offset.into()).is_err() {
            return Ok(None);
        }
        let record = batch::record(&bytes);
        let found = record.filter(|record| live_key(record.tag, record.key) == live);
        Ok(found.and_then(|record| record.value.map(<[u8]>::to_vec)))
    }
}
