//! Reading a segment from front to back: whole frames, and the stretches between them that are none.

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{FRAME_HEADER_BYTES, FrameHeader};
use super::limits::{BATCH_BYTES_MAX, READ_AHEAD_BYTES};

/// What comes next in a segment.
#[derive(Debug)]
pub enum Found<'a> {
    /// A frame whose checksums hold.
    Frame {
        /// Where its header begins.
        offset: u64,
        /// The header.
        header: FrameHeader,
        /// The payload.
        payload: &'a [u8],
    },
    /// Bytes that are no frame, up to the next one or to the end.
    Bad {
        /// Where they begin.
        offset: u64,
    },
    /// Nothing more.
    End,
}

/// Reads one segment in large steps.
pub struct Scanner {
    file: Arc<dyn DiskFile>,
    salt: [u8; 8],
    length: u64,
    offset: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl Scanner {
    /// From `offset` on, which is the end of the segment's header or of a frame.
    pub fn new(file: Arc<dyn DiskFile>, salt: [u8; 8], offset: u64) -> io::Result<Self> {
        Ok(Self {
            length: file.len()?,
            file,
            salt,
            offset,
            window: Vec::new(),
            window_start: 0,
        })
    }

    /// Where it is: the end of what it found last.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads on from where it once was.
    pub fn go_back(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The length of the segment.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next frame, or what is in its place.
    pub fn next(&mut self) -> io::Result<Found<'_>> {
        let offset = self.offset;
        if offset >= self.length {
            return Ok(Found::End);
        }
        let Some(header) = self.frame_at(offset)? else {
            self.offset = self.next_frame(offset + 1)?;
            return Ok(Found::Bad { offset });
        };
        let payload_start = offset + FRAME_HEADER_BYTES as u64;
        self.offset = payload_start + u64::from(header.length);
        let payload = self.bytes(payload_start, header.length as usize)?;
        Ok(Found::Frame {
            offset,
            header,
            payload,
        })
    }

    /// The header of the frame at `offset`, when all of the frame is there and holds.
    fn frame_at(&mut self, offset: u64) -> io::Result<Option<FrameHeader>> {
        let salt = self.salt;
        let bytes = self.bytes(offset, FRAME_HEADER_BYTES)?;
        let Some(header) = FrameHeader::decode(bytes, salt) else {
            return Ok(None);
        };
        let length = header.length as usize;
        if length > BATCH_BYTES_MAX {
            return Ok(None);
        }
        let payload = self.bytes(offset + FRAME_HEADER_BYTES as u64, length)?;
        let whole = payload.len() == length && crc32c::crc32c(payload) == header.crc;
        Ok(whole.then_some(header))
    }

    /// Where the next whole frame begins, from `from` on; the end when there is none.
    fn next_frame(&mut self, from: u64) -> io::Result<u64> {
        let mut at = from;
        while at + FRAME_HEADER_BYTES as u64 <= self.length {
            let salt = self.salt;
            let bytes = self.bytes(at, READ_AHEAD_BYTES)?;
            let found = bytes.windows(salt.len()).position(|part| part == salt);
            match found {
                Some(position) => {
                    at += position as u64;
                    if self.frame_at(at)?.is_some() {
                        return Ok(at);
                    }
                    at += 1;
                }
                None => at += (bytes.len().max(salt.len()) - salt.len() + 1) as u64,
            }
        }
        Ok(self.length)
    }

    /// `length` bytes at `offset`, or as many as there are.
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let available = self.length.saturating_sub(offset);
        let length = usize::try_from(available).map_or(length, |available| length.min(available));
        let end = offset + length as u64;
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || end > window_end {
            let ahead = length.max(READ_AHEAD_BYTES);
            let ahead = usize::try_from(available).map_or(ahead, |most| ahead.min(most));
            self.window.resize(ahead, 0);
            let read = self.file.read_at(&mut self.window, offset)?;
            self.window.truncate(read);
            self.window_start = offset;
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        let end = (start + length).min(self.window.len());
        Ok(self.window.get(start..end).unwrap_or_default())
    }
}
