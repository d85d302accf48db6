//! Bytes on a control stream: a header in clear, then frames with a length before each.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use regatta_protocol::ident::NodeId;
use thiserror::Error;

use crate::network::limits::FRAME_BYTES_MAX;

/// The version, the id of whoever dials.
pub(super) const HEADER_BYTES: usize = 1 + 16;
/// The version of everything in this module.
const VERSION: u8 = 1;
/// How much is read at once.
const READ_BYTES: usize = 4096;
/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BYTES: usize = 16 * 1024;

/// Why a stream of frames ended.
#[derive(Debug, Error)]
pub(super) enum WireError {
    /// It broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// It ended.
    #[error("the peer closed the stream")]
    Ended,
    /// A length that no frame has.
    #[error("a frame of {0} bytes")]
    Length(usize),
}

/// What the dialler says first.
pub(super) fn header(own: NodeId) -> [u8; HEADER_BYTES] {
    let mut bytes = [VERSION; HEADER_BYTES];
    bytes[1..].copy_from_slice(&own.0);
    bytes
}

/// Who dials, where the version is ours.
pub(super) fn read_header(bytes: &[u8; HEADER_BYTES]) -> Option<NodeId> {
    let (version, id) = bytes.split_first()?;
    let id: [u8; 16] = id.try_into().ok()?;
    (*version == VERSION).then_some(NodeId(id))
}

/// Takes frames out of a stream; dropping `next` half-way loses nothing.
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    filled: usize,
    frame_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self::with_max(stream, FRAME_BYTES_MAX)
    }

    pub(super) fn with_max(stream: R, frame_bytes_max: usize) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            filled: 0,
            frame_bytes_max,
        }
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(frame) = self.whole()? {
                return Ok(frame);
            }
            if self.buffer.len() < self.filled + READ_BYTES {
                self.buffer.resize(self.filled + READ_BYTES, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..]).await? {
                0 => return Err(WireError::Ended),
                read => self.filled += read,
            }
        }
    }

    /// Takes a frame that is there. What is not there yet is never allocated for.
    fn whole(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let Some(length) = self.buffer[..self.filled].first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 || length > self.frame_bytes_max {
            return Err(WireError::Length(length));
        }
        let end = 4 + length;
        if self.filled < end {
            return Ok(None);
        }
        let frame = self.buffer[4..end].to_vec();
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        if self.filled == 0 && self.buffer.len() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(Some(frame))
    }
}

/// Puts frames into a stream; dropping `flush` half-way loses nothing.
pub(super) struct FrameWriter<W> {
    stream: W,
    buffer: Vec<u8>,
    written: usize,
    flushed: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(stream: W) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            written: 0,
            flushed: true,
        }
    }

    /// Bytes without a length before them: the header.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.flushed = false;
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.push_raw(&length.to_le_bytes());
        self.push_raw(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flushed
    }

    /// Everything that was pushed, out.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while self.written < self.buffer.len() {
            match self.stream.write(&self.buffer[self.written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        self.stream.flush().await?;
        self.written = 0;
        self.flushed = true;
        if self.buffer.len() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        Ok(())
    }

    /// Ends the stream.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameReader, FrameWriter, WireError, header, read_header};
    use regatta_protocol::ident::NodeId;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let mut wire = Vec::new();
        let mut writer = FrameWriter::new(&mut wire);
        writer.push(b"hoist");
        writer.push(b"lower");
        assert!(!writer.is_empty());
        writer.flush().await.expect("memory");
        let mut reader = FrameReader::new(wire.as_slice());
        assert_eq!(reader.next().await.expect("whole"), b"hoist");
        assert_eq!(reader.next().await.expect("whole"), b"lower");
        assert!(matches!(reader.next().await, Err(WireError::Ended)));
    }

    #[tokio::test]
    async fn a_length_is_checked_before_anything_is_held_for_it() {
        let mut reader = FrameReader::new(&[0xff; 4][..]);
        assert!(matches!(reader.next().await, Err(WireError::Length(_))));
        let mut reader = FrameReader::new(&[0; 4][..]);
        assert!(matches!(reader.next().await, Err(WireError::Length(0))));
    }

    #[test]
    fn a_header_of_another_version_is_none() {
        let id = NodeId([7; 16]);
        let mut bytes = header(id);
        assert_eq!(bytes[..3], [1, 7, 7]);
        assert_eq!(read_header(&bytes), Some(id));
        bytes[0] = 2;
        assert_eq!(read_header(&bytes), None);
    }
}
