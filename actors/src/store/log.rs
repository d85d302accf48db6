//! The writing end: frames go to the newest segment, and one sync makes a group of them durable.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::{Disk, DiskFile, is_full};
use super::error::StoreError;
use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, Kind, SEGMENT_HEADER_BYTES, SegmentHeader, encode_segments,
};
use super::limits::OPEN_SEGMENTS_MAX;
use super::mark::{Mark, MarkFile};

const SUFFIX: &str = ".segment";
/// A segment before it has its name: whoever finds one removes it.
pub const UNFINISHED_SUFFIX: &str = ".segment.new";
/// A segment with damage, after what was left has been moved out of it.
pub const DAMAGED_SUFFIX: &str = ".segment.damaged";

/// The name of a segment's file.
#[must_use]
pub fn segment_name(number: u32) -> String {
    format!("{number:010}{SUFFIX}")
}

/// The number in such a name.
#[must_use]
pub fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number: u32 = digits.parse().ok()?;
    (number > 0 && segment_name(number) == name).then_some(number)
}

/// Segments that are open for reading.
pub struct Files {
    disk: Arc<dyn Disk>,
    open: Mutex<VecDeque<(u32, Arc<dyn DiskFile>)>>,
}

impl Files {
    /// None yet.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        let open = Mutex::new(VecDeque::new());
        Self { disk, open }
    }

    /// A segment, to read.
    pub fn segment(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(known, _)| *known == number)
            && let Some((number, file)) = open.remove(at)
        {
            open.push_front((number, Arc::clone(&file)));
            return Ok(file);
        }
        let file = self.disk.open(&segment_name(number))?;
        open.push_front((number, Arc::clone(&file)));
        open.truncate(OPEN_SEGMENTS_MAX);
        Ok(file)
    }

    /// Closes a segment that goes.
    pub fn forget(&self, number: u32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| *known != number);
    }
}

/// The segment that is written to.
pub struct Active {
    /// Its number.
    pub number: u32,
    /// The file.
    pub file: Arc<dyn DiskFile>,
    /// Where the next frame goes.
    pub length: u64,
}

/// Where the log stands after an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The segment that took it.
    pub segment: u32,
    /// The end of the last frame.
    pub end: u64,
    /// The number of the last frame.
    pub sequence: u64,
}

/// The writing end of the log.
pub struct Log {
    disk: Arc<dyn Disk>,
    salt: [u8; 8],
    segment_bytes: u64,
    mark: MarkFile,
    active: Option<Active>,
    next_segment: u32,
    next_sequence: u64,
}

/// Where a log goes on.
pub struct Next {
    /// In this segment, where one is open.
    pub active: Option<Active>,
    /// The number of the next segment.
    pub segment: u32,
    /// The number of the next frame.
    pub sequence: u64,
}

/// A write that did not happen.
pub enum LogError {
    /// For want of space; the log is as it was.
    Full,
    /// For another reason; what the log then holds is unknown.
    Failed(StoreError),
}

impl Log {
    /// Goes on where an earlier life ended.
    pub fn new(
        disk: Arc<dyn Disk>,
        salt: [u8; 8],
        segment_bytes: u64,
        mark: MarkFile,
        next: Next,
    ) -> Self {
        Self {
            disk,
            salt,
            segment_bytes,
            mark,
            active: next.active,
            next_segment: next.segment,
            next_sequence: next.sequence,
        }
    }

    /// The segment that is written to, if there is one.
    pub fn active(&self) -> Option<u32> {
        self.active.as_ref().map(|active| active.number)
    }

    /// Has room for a group of so many bytes in one segment, a new one where needed, which then says
    /// that `segments` are all that are older. Gives the length of the one that was sealed.
    pub fn make_room(
        &mut self,
        bytes: u64,
        segments: &mut dyn Iterator<Item = u32>,
    ) -> Result<Option<Written>, LogError> {
        let mut sealed = None;
        if let Some(active) = &self.active
            && active.length + bytes + FRAME_HEADER_BYTES as u64 > self.segment_bytes
        {
            sealed = Some(self.append(&[(Kind::Seal, &[])])?);
            self.active = None;
        }
        if self.active.is_none() {
            self.begin(&encode_segments(segments))?;
        }
        Ok(sealed)
    }

    /// Writes frames and makes them durable, together; there is a segment with room for them.
    pub fn append(&mut self, frames: &[(Kind, &[u8])]) -> Result<Written, LogError> {
        let Some(active) = &mut self.active else {
            return Err(LogError::Failed(StoreError::Closed));
        };
        let name = segment_name(active.number);
        let group = self.next_sequence;
        let mut bytes = Vec::new();
        let mut sequence = group;
        for (kind, payload) in frames {
            let header = FrameHeader::new(*kind, sequence, group, payload);
            bytes.extend_from_slice(&header.encode(self.salt));
            bytes.extend_from_slice(payload);
            sequence += 1;
        }
        if let Err(error) = active.file.write_at(&bytes, active.length) {
            if !is_full(&error) {
                return Err(failed("writing to", &name, &error));
            }
            // What was refused for want of space must not come back after a crash. Nothing was lost
            // yet, so this one error is survived, if cutting off works.
            let cut = active.file.truncate(active.length);
            cut.and_then(|()| active.file.sync())
                .map_err(|error| failed("cutting off", &name, &error))?;
            return Err(LogError::Full);
        }
        if let Err(error) = active.file.sync() {
            self.mark.write(Mark {
                salt: self.salt,
                sequence: group - 1,
                segment: active.number,
                sync_failed: true,
            });
            return Err(failed("syncing", &name, &error));
        }
        active.length += bytes.len() as u64;
        self.next_sequence = sequence;
        let written = Written {
            segment: active.number,
            end: active.length,
            sequence: sequence - 1,
        };
        self.mark.write(Mark {
            salt: self.salt,
            sequence: written.sequence,
            segment: written.segment,
            sync_failed: false,
        });
        Ok(written)
    }

    /// A new segment: durable with its first frame before it has its name.
    fn begin(&mut self, segments: &[u8]) -> Result<(), LogError> {
        let number = self.next_segment;
        let unfinished = format!("{number:010}{UNFINISHED_SUFFIX}");
        match self.write_new(number, &unfinished, segments) {
            Ok(active) => {
                self.next_segment += 1;
                self.next_sequence += 1;
                self.active = Some(active);
                Ok(())
            }
            Err(error) if is_full(&error) => {
                // One that has its name already is found at the next start, or replaced.
                let _ = self.disk.remove(&unfinished);
                Err(LogError::Full)
            }
            Err(error) => Err(failed("beginning", &unfinished, &error)),
        }
    }

    fn write_new(&self, number: u32, unfinished: &str, segments: &[u8]) -> io::Result<Active> {
        let header = SegmentHeader {
            number,
            salt: self.salt,
            first: self.next_sequence,
        };
        let sequence = self.next_sequence;
        let first = FrameHeader::new(Kind::Segments, sequence, sequence, segments);
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES);
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&first.encode(self.salt));
        bytes.extend_from_slice(segments);
        let file = self.disk.create(unfinished)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        self.disk.rename(unfinished, &segment_name(number))?;
        self.disk.sync_folder()?;
        Ok(Active {
            number,
            file,
            length: bytes.len() as u64,
        })
    }
}

fn failed(doing: &'static str, file: &str, error: &io::Error) -> LogError {
    LogError::Failed(StoreError::io(doing, file, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(segment_name(7), "0000000007.segment");
        for number in [1, 7, u32::MAX] {
            assert_eq!(segment_number(&segment_name(number)), Some(number));
        }
        for name in [
            "0000000000.segment",
            "7.segment",
            "0000000007.segment.new",
            "mark",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
