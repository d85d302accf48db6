//! The writing side: one owner, one group at a time, the index after the disk.

use std::sync::Arc;

use super::batch::{self, Batch};
use super::compact::Compaction;
use super::error::StoreError;
use super::frame::{FRAME_HEADER_BYTES, Kind};
use super::index::memory::MemoryIndex;
use super::index::{Index, IndexError};
use super::limits::Sizes;
use super::log::{Log, LogError};
use super::open::fill;
use super::places::Places;
use super::reader::{Reader, Shared};
use super::space::Space;
use super::usage::Usage;

/// Writes, compacts, and knows what is needed. Every call may block on the disk.
pub struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) places: Places,
    pub(super) usage: Usage,
    pub(super) space: Space,
    pub(super) sizes: Sizes,
    /// Bytes since somebody looked whether a segment is worth rewriting.
    pub(super) unlooked: u64,
    pub(super) compaction: Option<Compaction>,
    /// Set once and never cleared: what is on the disk is known again after the next start.
    pub(super) failed: Option<StoreError>,
    /// Why the index is not the one that was opened.
    pub(super) index_lost: Option<String>,
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How many segments there are.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of records in them that are still what their keys hold.
    pub live: u64,
    /// Whether the disk is so full that ordinary writes are refused.
    pub nearly_full: bool,
    /// Why the index is in memory until the next start, if it is.
    pub index_lost: Option<String>,
    /// What ended the store, if something did.
    pub failed: Option<StoreError>,
}

impl Writer {
    /// For readers.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.shared))
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let (bytes, live) = self.usage.totals();
        Health {
            segments: self.usage.segments().count(),
            bytes,
            live,
            nearly_full: self.space.is_short(),
            index_lost: self.index_lost.clone(),
            failed: self.failed.clone(),
        }
    }

    /// Notices room that was made, where nothing is committed because all is refused.
    pub fn look_for_room(&mut self) {
        self.space.restore();
    }

    /// Makes batches durable with one sync, in order, each wholly or not at all, and says for each
    /// what became of it. Together they have at most `GROUP_BYTES_MAX` bytes.
    pub fn commit(&mut self, batches: &[Batch]) -> Vec<Result<(), StoreError>> {
        if let Some(compaction) = &mut self.compaction {
            compaction.stalled = false;
        }
        let mut bytes = 0;
        let mut outcomes: Vec<Result<(), StoreError>> = Vec::with_capacity(batches.len());
        for batch in batches {
            let outcome = match &self.failed {
                Some(failed) => Err(failed.clone()),
                None => {
                    let with = bytes + (FRAME_HEADER_BYTES + batch.len()) as u64;
                    self.space
                        .admit(batch.is_important(), with)
                        .map(|()| bytes = with)
                }
            };
            outcomes.push(outcome);
        }
        if let Err(error) = self.write_taken(batches, &outcomes, false) {
            // Whatever is urgent is tried once more in the space that the ballast held.
            let again = matches!(error, StoreError::Full { .. })
                && self.write_taken(batches, &outcomes, true).is_ok();
            for (outcome, batch) in outcomes.iter_mut().zip(batches) {
                if outcome.is_ok() && !(again && batch.is_important()) {
                    *outcome = Err(self.failed.clone().unwrap_or_else(|| error.clone()));
                }
            }
        }
        self.space.restore();
        outcomes
    }

    fn write_taken(
        &mut self,
        batches: &[Batch],
        outcomes: &[Result<(), StoreError>],
        important_only: bool,
    ) -> Result<(), StoreError> {
        let taken = batches.iter().zip(outcomes).filter(|(batch, outcome)| {
            outcome.is_ok() && (batch.is_important() || !important_only) && !batch.is_empty()
        });
        let frames: Vec<(Kind, &[u8])> = taken
            .map(|(batch, _)| (Kind::Batch, batch.payload()))
            .collect();
        self.write(&frames)
    }

    /// Whether enough has changed for a compaction to look for work, or goes on with it.
    #[must_use]
    pub fn is_compaction_due(&self) -> bool {
        if self.failed.is_some() {
            return false;
        }
        match &self.compaction {
            Some(compaction) => !compaction.stalled,
            // On a full disk every commit may have been the delete that helps.
            None if !self.space.has_ballast() => self.unlooked > 0,
            None => self.unlooked >= self.sizes.compaction_step,
        }
    }

    /// Takes space back that was given up while the disk was full, where there is enough again.
    pub fn look_for_space(&mut self) {
        self.space.restore();
    }

    /// Leaves an index that a reader found broken, for another that is built from the segments.
    ///
    /// # Errors
    /// When the segments cannot be read either.
    pub fn rebuild_index(&mut self, why: &str) -> Result<(), StoreError> {
        self.replace_index(&IndexError(why.to_owned()))
    }

    /// Writes what is in memory of the index, so that the next start replays little.
    ///
    /// # Errors
    /// When the index is broken, which the next start will find and mend.
    pub fn flush_index(&self) -> Result<(), StoreError> {
        Ok(self.places.index().flush()?)
    }

    /// Makes frames durable and takes what they hold into the index.
    pub(super) fn write(&mut self, frames: &[(Kind, &[u8])]) -> Result<(), StoreError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if frames.is_empty() {
            return Ok(());
        }
        let lengths = frames
            .iter()
            .map(|(_, payload)| FRAME_HEADER_BYTES + payload.len());
        let bytes = lengths.sum::<usize>() as u64;
        let before = self.log.active();
        let sealed = self.log.make_room(bytes, &mut self.usage.segments());
        if let Some(sealed) = sealed.map_err(|error| self.refused(error, bytes))? {
            self.usage.set_bytes(sealed.segment, sealed.end);
        }
        let written = self.log.append(frames);
        if self.log.active() != before
            && let Some(active) = self.log.active()
        {
            self.usage.set_bytes(active, 0);
        }
        let written = written.map_err(|error| self.refused(error, bytes))?;
        self.usage.set_bytes(written.segment, written.end);
        self.unlooked += bytes;
        let taken = self.take(frames, written.segment, written.end - bytes);
        let applied = taken.and_then(|()| {
            let end = u32::try_from(written.end).unwrap_or(u32::MAX);
            self.places.apply(written.segment, end, written.sequence)
        });
        applied.or_else(|error| self.replace_index(&error))
    }

    fn take(
        &mut self,
        frames: &[(Kind, &[u8])],
        segment: u32,
        start: u64,
    ) -> Result<(), IndexError> {
        let mut at = start;
        for (kind, payload) in frames {
            at += FRAME_HEADER_BYTES as u64;
            if *kind == Kind::Batch {
                for record in batch::records(payload) {
                    let offset = u32::try_from(at).unwrap_or(u32::MAX) + record.offset;
                    self.places
                        .take(&mut self.usage, segment, offset, &record)?;
                }
            }
            at += payload.len() as u64;
        }
        Ok(())
    }

    fn refused(&mut self, error: LogError, bytes: u64) -> StoreError {
        match error {
            LogError::Full => self.space.refused(bytes),
            LogError::Failed(error) => self.failed.insert(error).clone(),
        }
    }

    /// The index broke; the segments have everything, so another is built from them.
    fn replace_index(&mut self, error: &IndexError) -> Result<(), StoreError> {
        let index: Arc<dyn Index> = Arc::new(MemoryIndex::default());
        let salt = self.places.watermark().salt;
        let built = Places::open(Arc::clone(&index), salt)
            .map_err(StoreError::from)
            .and_then(|(mut places, _)| {
                fill(&self.shared, salt, &mut places, &mut self.usage)?;
                places.count(&mut self.usage)?;
                Ok(places)
            });
        match built {
            Ok(places) => {
                self.places = places;
                self.shared.replace_index(index);
                self.index_lost = Some(error.0.clone());
                // It was about to look for records by the old one.
                self.compaction = None;
                Ok(())
            }
            Err(error) => Err(self.failed.insert(error).clone()),
        }
    }
}
