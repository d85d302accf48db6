//! Rewriting segments of which little is live, a step at a time between commits.
//!
//! What is still needed of a segment is appended to the log like any other batch; then a frame says
//! that the segment is no longer there; then its file goes. A crash between any two of these leaves
//! records twice, with the same bytes, and the later ones hold.

use super::batch::{self, Batch};
use super::error::StoreError;
use super::frame::{FRAME_HEADER_BYTES, Kind, SEGMENT_HEADER_BYTES, encode_segments};
use super::limits::{BATCH_BYTES_MAX, LIVE_PER_MILLE_MIN, SET_ASIDE_MAX};
use super::log::{DAMAGED_SUFFIX, segment_name};
use super::scan::{Found, Scanner};
use super::writer::Writer;

/// A segment that is being rewritten.
pub struct Compaction {
    segment: u32,
    scanner: Scanner,
    /// Its file is kept for a person to look at.
    aside: bool,
    /// There was no room for it: not again before something else was written, or tried.
    pub(super) stalled: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No segment is worth it.
    Idle,
    /// A part of one was rewritten.
    Working,
    /// A segment is gone.
    Freed,
}

impl Writer {
    /// Does a bounded part of what is worth rewriting.
    ///
    /// # Errors
    /// When the disk is full, and the step is repeated later; or when it failed.
    pub fn compact_step(&mut self) -> Result<Progress, StoreError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if self.compaction.is_none() {
            self.unlooked = 0;
            let worst = self.usage.worst(self.log.active(), LIVE_PER_MILLE_MIN);
            let Some(segment) = worst else {
                return Ok(Progress::Idle);
            };
            self.begin_compaction(segment, false)?;
        }
        self.continue_compaction()
    }

    /// Moves what is whole out of a damaged segment and keeps the rest for a person to look at.
    pub(super) fn set_aside(&mut self, segment: u32) -> Result<(), StoreError> {
        self.begin_compaction(segment, true)?;
        while self.continue_compaction()? == Progress::Working {}
        Ok(())
    }

    fn begin_compaction(&mut self, segment: u32, aside: bool) -> Result<(), StoreError> {
        let io = |error| StoreError::io("reading", &segment_name(segment), &error);
        let file = self.shared.files.segment(segment).map_err(io)?;
        let salt = self.places.watermark().salt;
        let scanner = Scanner::new(file, salt, SEGMENT_HEADER_BYTES as u64).map_err(io)?;
        self.compaction = Some(Compaction {
            segment,
            scanner,
            aside,
            stalled: false,
        });
        Ok(())
    }

    fn continue_compaction(&mut self) -> Result<Progress, StoreError> {
        let Some(mut compaction) = self.compaction.take() else {
            return Ok(Progress::Idle);
        };
        let from = compaction.scanner.offset();
        let outcome = self.step(&mut compaction);
        let failed = matches!(&outcome, Err(error) if !matches!(error, StoreError::Full { .. }));
        if failed {
            return outcome;
        }
        if outcome.is_err() {
            compaction.scanner.go_back(from);
            compaction.stalled = true;
        }
        if outcome != Ok(Progress::Freed) {
            self.compaction = Some(compaction);
        }
        outcome
    }

    fn step(&mut self, compaction: &mut Compaction) -> Result<Progress, StoreError> {
        let segment = compaction.segment;
        let until = compaction.scanner.offset() + self.sizes.compaction_step;
        let mut moved = vec![Batch::new()];
        let mut dropped = Vec::new();
        let mut ended = false;
        while !ended && compaction.scanner.offset() < until {
            let found = compaction.scanner.next();
            match found
                .map_err(|error| StoreError::io("reading", &segment_name(segment), &error))?
            {
                Found::End => ended = true,
                // What was live in there is missed below.
                Found::Bad { .. } => {}
                Found::Frame {
                    offset,
                    header,
                    payload,
                } if header.kind == Kind::Batch => {
                    let start = u32::try_from(offset).unwrap_or(u32::MAX);
                    let start = start.saturating_add(FRAME_HEADER_BYTES as u32);
                    for record in batch::records(payload) {
                        let at = start.saturating_add(record.offset);
                        let Some(place) = self.places.is_latest(segment, at, &record)? else {
                            continue;
                        };
                        if record.value.is_none() && !self.usage.has_any(place.older, segment) {
                            let mut key = Batch::new();
                            key.push_raw(record.bytes);
                            dropped.push((key, place));
                            continue;
                        }
                        let full =
                            |batch: &Batch| batch.len() + record.bytes.len() > BATCH_BYTES_MAX;
                        if moved.last().is_none_or(full) {
                            moved.push(Batch::new());
                        }
                        if let Some(last) = moved.last_mut() {
                            last.push_raw(record.bytes);
                        }
                    }
                }
                Found::Frame { .. } => {}
            }
        }
        let batches = moved.iter().filter(|batch| !batch.is_empty());
        let frames: Vec<_> = batches
            .map(|batch| (Kind::Batch, batch.payload()))
            .collect();
        self.write_important(&frames)?;
        for (deletion, place) in &dropped {
            for record in batch::records(deletion.payload()) {
                self.places
                    .drop_deletion(&mut self.usage, &record, *place)?;
            }
        }
        if ended {
            self.remove_segment(segment, compaction.aside)?;
            return Ok(Progress::Freed);
        }
        Ok(Progress::Working)
    }

    fn write_important(&mut self, frames: &[(Kind, &[u8])]) -> Result<(), StoreError> {
        let lengths = frames
            .iter()
            .map(|(_, payload)| FRAME_HEADER_BYTES + payload.len());
        let bytes = lengths.sum::<usize>() as u64;
        if bytes > 0 {
            self.space.admit(true, bytes)?;
        }
        self.write(frames)
    }

    /// Says that a segment is no longer there, then takes its file away.
    pub(super) fn remove_segment(&mut self, segment: u32, aside: bool) -> Result<(), StoreError> {
        // Something live could not be read: its reader will be told, and the file stays.
        let aside = aside || self.usage.live(segment) > 0;
        self.list_segments(Some(segment))?;
        self.usage.remove(segment);
        self.shared.files.forget(segment);
        let name = segment_name(segment);
        let gone = if aside {
            let kept = format!("{segment:010}{DAMAGED_SUFFIX}");
            self.shared.disk.rename(&name, &kept)
        } else {
            self.shared.disk.remove(&name)
        };
        let gone = gone.and_then(|()| self.shared.disk.sync_folder());
        gone.map_err(|error| {
            let error = StoreError::io("removing", &name, &error);
            self.failed.insert(error).clone()
        })?;
        if aside {
            self.forget_oldest_aside();
        }
        Ok(())
    }

    /// Has the log say which segments there are, `without` aside.
    pub(super) fn list_segments(&mut self, without: Option<u32>) -> Result<(), StoreError> {
        let there = self.usage.segments();
        // The active one, too: this frame may find no room in it and begin the next.
        let list = encode_segments(there.filter(|number| Some(*number) != without));
        // Not asked for room: it is small, and what follows gives more.
        self.write(&[(Kind::Segments, &list)])
    }

    fn forget_oldest_aside(&self) {
        let Ok(names) = self.shared.disk.list() else {
            return;
        };
        let mut aside: Vec<String> = names
            .into_iter()
            .filter(|name| name.ends_with(DAMAGED_SUFFIX))
            .collect();
        aside.sort_unstable();
        let more = aside.len().saturating_sub(SET_ASIDE_MAX);
        for name in aside.into_iter().take(more) {
            // It takes space, nothing else.
            let _ = self.shared.disk.remove(&name);
        }
    }
}
