//! What stands where: the latest record of every key, and the deletions that must still be kept.
//!
//! This is the one reader of what an [`Index`] holds. It knows up to which frame the index is
//! complete, and a sum over all of it: an index that lost a key without a word is found at opening.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Record;
use super::index::{Index, IndexChange, IndexError, IndexItem};
use super::usage::{Span, Usage};

/// Keys of the index begin with one of these.
const META: u8 = 0;
const LIVE: u8 = 1;
const DELETED: u8 = 2;
/// A version byte is part of it: an index of another layout has no watermark and is rebuilt.
const WATERMARK_KEY: [u8; 2] = [META, 1];
const PLACE_BYTES: usize = 20;
const WATERMARK_BYTES: usize = 40;
/// How many keys one step of a walk over the whole index takes.
const WALK_ITEMS: usize = 1024;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: u32,
    /// From where in it.
    pub offset: u32,
    /// The whole record.
    pub length: u32,
    /// Segments that may have earlier records of its key.
    pub older: Span,
}

impl Place {
    fn encode(&self) -> Vec<u8> {
        let Span { from, until } = self.older;
        let numbers = [self.segment, self.offset, self.length, from, until];
        numbers.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Result<Self, IndexError> {
        let bytes: &[u8; PLACE_BYTES] = bytes
            .try_into()
            .map_err(|_| IndexError("a place has another length".to_owned()))?;
        let [segment, offset, length, from, until] = {
            let (chunks, _) = bytes.as_chunks::<4>();
            [0, 1, 2, 3, 4].map(|at: usize| u32::from_le_bytes(chunks[at]))
        };
        Ok(Self {
            segment,
            offset,
            length,
            older: Span { from, until },
        })
    }
}

/// Up to where an index is complete, and what it then holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The store that it belongs to.
    pub salt: [u8; 8],
    /// The last frame that it has seen, by segment.
    pub segment: u32,
    /// The end of that frame.
    pub offset: u32,
    /// The number of that frame.
    pub sequence: u64,
    /// How many keys it has.
    count: u64,
    /// Sum over all of them.
    sum: u64,
}

impl Watermark {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(WATERMARK_BYTES);
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        for number in [self.sequence, self.count, self.sum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; WATERMARK_BYTES] = bytes.try_into().ok()?;
        let (eights, _) = bytes.as_chunks::<8>();
        let place = u64::from_le_bytes(eights[1]);
        Some(Self {
            salt: eights[0],
            segment: u32::try_from(place & u64::from(u32::MAX)).ok()?,
            offset: u32::try_from(place >> 32).ok()?,
            sequence: u64::from_le_bytes(eights[2]),
            count: u64::from_le_bytes(eights[3]),
            sum: u64::from_le_bytes(eights[4]),
        })
    }
}

/// The writer's view: changes that are gathered, above the index.
pub struct Places {
    index: Arc<dyn Index>,
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    watermark: Watermark,
}

/// The key of the index under which a live record stands.
pub fn live_key(tag: u8, key: &[u8]) -> Vec<u8> {
    [&[LIVE, tag], key].concat()
}

/// What comes after all keys of a table.
pub fn live_end(tag: u8) -> Vec<u8> {
    tag.checked_add(1)
        .map_or(vec![LIVE + 1], |next| vec![LIVE, next])
}

/// The owner's key within a key of [`live_key`].
pub fn owner_key(live: &[u8]) -> &[u8] {
    live.get(2..).unwrap_or_default()
}

/// A place as it stands in the index.
pub fn place(bytes: &[u8]) -> Result<Place, IndexError> {
    Place::decode(bytes)
}

fn deleted_key(tag: u8, key: &[u8]) -> Vec<u8> {
    [&[DELETED, tag], key].concat()
}

/// Enough to notice what disk and database lose by themselves; nobody attacks it.
fn mixed(key: &[u8], value: &[u8]) -> u64 {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in key.iter().chain([&0xff]).chain(value) {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    sum ^= sum >> 33;
    sum = sum.wrapping_mul(0xff51_afd7_ed55_8ccd);
    sum ^ (sum >> 33)
}

impl Places {
    /// What the index holds, when it is whole and belongs to this store; an empty one otherwise, with
    /// the reason.
    pub fn open(
        index: Arc<dyn Index>,
        salt: [u8; 8],
    ) -> Result<(Self, Option<String>), IndexError> {
        let watermark = index
            .get(&WATERMARK_KEY)?
            .map(|bytes| Watermark::decode(&bytes));
        let mut places = Self {
            index,
            pending: BTreeMap::new(),
            watermark: Watermark::default(),
        };
        let trouble = match watermark {
            Some(Some(watermark)) if watermark.salt == salt => {
                places.watermark = watermark;
                let (mut count, mut sum) = (0_u64, 0_u64);
                places.walk(|key, value| {
                    count += 1;
                    sum = sum.wrapping_add(mixed(key, value));
                    Ok(())
                })?;
                ((count, sum) != (watermark.count, watermark.sum)).then(|| {
                    let had = watermark.count;
                    format!("it has {count} keys where {had} were written, or others")
                })
            }
            Some(Some(_)) => Some("it belongs to another store".to_owned()),
            Some(None) => Some("its watermark is damaged".to_owned()),
            None => Some("it is empty".to_owned()),
        };
        if trouble.is_some() {
            places.forget(salt)?;
        }
        Ok((places, trouble))
    }

    /// Begins again, with nothing.
    pub fn forget(&mut self, salt: [u8; 8]) -> Result<(), IndexError> {
        self.pending.clear();
        self.watermark = Watermark {
            salt,
            ..Watermark::default()
        };
        self.index.clear()
    }

    /// Up to where it is complete.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The index below, for readers.
    pub fn index(&self) -> Arc<dyn Index> {
        Arc::clone(&self.index)
    }

    /// Takes a record that lies at `offset` of `segment`.
    pub fn take(
        &mut self,
        usage: &mut Usage,
        segment: u32,
        offset: u32,
        record: &Record<'_>,
    ) -> Result<(), IndexError> {
        let live = live_key(record.tag, record.key);
        let deleted = deleted_key(record.tag, record.key);
        let was_live = self.place(&live)?;
        let was_deleted = match was_live {
            Some(_) => None,
            None => self.place(&deleted)?,
        };
        let older = match (was_live, was_deleted) {
            (Some(was), _) => usage.pruned(was.older).with(was.segment),
            (None, Some(was)) => usage.pruned(was.older),
            (None, None) => Span::NONE,
        };
        let place = Place {
            segment,
            offset,
            length: u32::try_from(record.bytes.len()).unwrap_or(u32::MAX),
            older,
        };
        if record.value.is_none() && was_live.is_none() && was_deleted.is_none() {
            return Ok(()); // Nothing that it could delete is left anywhere.
        }
        if let Some(was) = was_live {
            usage.remove_live(was.segment, was.length);
        }
        if let Some(was) = was_deleted {
            usage.remove_deleted(was.segment, was.length, was.older);
        }
        if record.value.is_some() {
            usage.add_live(segment, place.length);
            if was_deleted.is_some() {
                self.change(deleted, None)?;
            }
            self.change(live, Some(place.encode()))
        } else {
            usage.add_deleted(segment, place.length, older);
            if was_live.is_some() {
                self.change(live, None)?;
            }
            self.change(deleted, Some(place.encode()))
        }
    }

    /// Whether the record at `offset` of `segment` is the one that says what its key holds.
    pub fn is_latest(
        &self,
        segment: u32,
        offset: u32,
        record: &Record<'_>,
    ) -> Result<Option<Place>, IndexError> {
        let key = match record.value {
            Some(_) => live_key(record.tag, record.key),
            None => deleted_key(record.tag, record.key),
        };
        let place = self.place(&key)?;
        Ok(place.filter(|place| (place.segment, place.offset) == (segment, offset)))
    }

    /// Drops a deletion that has nothing left to delete.
    pub fn drop_deletion(
        &mut self,
        usage: &mut Usage,
        record: &Record<'_>,
        place: Place,
    ) -> Result<(), IndexError> {
        usage.remove_deleted(place.segment, place.length, place.older);
        self.change(deleted_key(record.tag, record.key), None)
    }

    /// How many changes are gathered.
    pub fn gathered(&self) -> usize {
        self.pending.len()
    }

    /// Gives what is gathered to the index, complete up to the end of this frame.
    pub fn apply(&mut self, segment: u32, offset: u32, sequence: u64) -> Result<(), IndexError> {
        self.watermark.segment = segment;
        self.watermark.offset = offset;
        self.watermark.sequence = sequence;
        let pending = std::mem::take(&mut self.pending);
        let mut changes: Vec<IndexChange> = pending.into_iter().collect();
        changes.push((WATERMARK_KEY.to_vec(), Some(self.watermark.encode())));
        self.index.apply(changes)
    }

    /// Counts what each segment has, and removes what points to segments that are gone. Gives how many
    /// live records these were. Nothing may be gathered.
    pub fn count(&mut self, usage: &mut Usage) -> Result<u64, IndexError> {
        let mut gone: Vec<Vec<u8>> = Vec::new();
        let mut lost = 0;
        usage.clear();
        self.walk(|key, value| {
            let place = Place::decode(value)?;
            let live = key.first() == Some(&LIVE);
            if !usage.exists(place.segment) {
                lost += u64::from(live);
                gone.push(key.to_vec());
            } else if live {
                usage.add_live(place.segment, place.length);
            } else {
                usage.add_deleted(place.segment, place.length, place.older);
            }
            Ok(())
        })?;
        for key in gone {
            self.change(key, None)?;
        }
        Ok(lost)
    }

    fn walk(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut from = vec![LIVE];
        loop {
            let items: Vec<IndexItem> = self.index.scan(&from, &[DELETED + 1], WALK_ITEMS)?;
            for (key, value) in &items {
                each(key, value)?;
            }
            match items.last() {
                Some((key, _)) if items.len() == WALK_ITEMS => {
                    from.clone_from(key);
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    fn place(&self, key: &[u8]) -> Result<Option<Place>, IndexError> {
        self.value(key)?
            .map(|bytes| Place::decode(&bytes))
            .transpose()
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.index.get(key),
        }
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), IndexError> {
        let Watermark { count, sum, .. } = &mut self.watermark;
        let before = match self.pending.get(&key) {
            Some(value) => value.clone(),
            None => self.index.get(&key)?,
        };
        if let Some(before) = before {
            *count = count.wrapping_sub(1);
            *sum = sum.wrapping_sub(mixed(&key, &before));
        }
        if let Some(value) = &value {
            *count = count.wrapping_add(1);
            *sum = sum.wrapping_add(mixed(&key, value));
        }
        self.pending.insert(key, value);
        Ok(())
    }
}
