//! The bytes of segments: a header that names the segment, then frames that each stand or fall whole.
//!
//! Every frame begins with the store's salt, 8 random bytes that never leave the node: after damage
//! the reader looks for the next frame, and bytes that a peer had stored must not pass for one.

/// What a segment begins with.
pub const SEGMENT_HEADER_BYTES: usize = 40;
/// What a frame has before its payload.
pub const FRAME_HEADER_BYTES: usize = 40;
/// Magic of a segment.
const MAGIC: [u8; 8] = *b"RGTTASEG";
/// The version of segments and of frames in them.
pub const VERSION: u8 = 1;
/// No cipher; the byte is there so that one can be named.
const PLAIN: u8 = 0;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which one.
    pub number: u32,
    /// The store's salt.
    pub salt: [u8; 8],
    /// The number of its first frame.
    pub first: u64,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Too short, other magic, or the checksum does not hold.
    Damaged,
    /// A version or a cipher that this build does not know.
    Version(u8),
}

impl SegmentHeader {
    /// Its bytes: magic, version, cipher, two of nothing, number, salt, first frame, zeros, crc32c.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = VERSION;
        bytes[9] = PLAIN;
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt);
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are no header, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; SEGMENT_HEADER_BYTES] = bytes.first_chunk().ok_or(HeaderError::Damaged)?;
        let crc = crc32c::crc32c(&bytes[..36]).to_le_bytes();
        if bytes[..8] != MAGIC || bytes[36..] != crc {
            return Err(HeaderError::Damaged);
        }
        if bytes[8] != VERSION || bytes[9] != PLAIN {
            return Err(HeaderError::Version(bytes[8]));
        }
        Ok(Self {
            number: u32::from_le_bytes(part(bytes, 12)),
            salt: part(bytes, 16),
            first: u64::from_le_bytes(part(bytes, 24)),
        })
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Records.
    Batch = 1,
    /// The numbers of all segments older than this one: whatever is not among them may go.
    Segments = 2,
    /// The last one of its segment.
    Seal = 3,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it is.
    pub kind: Kind,
    /// Frames are numbered through all segments, without holes.
    pub sequence: u64,
    /// The first one of the commit that wrote it: all before were durable when this was written.
    pub group: u64,
    /// Bytes of the payload.
    pub length: u32,
    /// Their checksum.
    pub crc: u32,
}

impl FrameHeader {
    /// For a payload.
    #[must_use]
    pub fn new(kind: Kind, sequence: u64, group: u64, payload: &[u8]) -> Self {
        Self {
            kind,
            sequence,
            group,
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            crc: crc32c::crc32c(payload),
        }
    }

    /// Its bytes: salt, version, kind, two of nothing, length, sequence, group, crc32c of the
    /// payload, crc32c of all this.
    #[must_use]
    pub fn encode(&self, salt: [u8; 8]) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..8].copy_from_slice(&salt);
        bytes[8] = VERSION;
        bytes[9] = self.kind as u8;
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.group.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// From bytes, when they are the header of a frame of this store.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: [u8; 8]) -> Option<Self> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        let crc = crc32c::crc32c(&bytes[..36]).to_le_bytes();
        if bytes[..8] != salt || bytes[36..] != crc || bytes[8] != VERSION {
            return None;
        }
        let kind = match bytes[9] {
            1 => Kind::Batch,
            2 => Kind::Segments,
            3 => Kind::Seal,
            _ => return None,
        };
        Some(Self {
            kind,
            length: u32::from_le_bytes(part(bytes, 12)),
            sequence: u64::from_le_bytes(part(bytes, 16)),
            group: u64::from_le_bytes(part(bytes, 24)),
            crc: u32::from_le_bytes(part(bytes, 32)),
        })
    }
}

/// The payload of [`Kind::Segments`]: four bytes for each.
#[must_use]
pub fn encode_segments(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The numbers in such a payload.
pub fn decode_segments(payload: &[u8]) -> impl Iterator<Item = u32> {
    let (chunks, _) = payload.as_chunks::<4>();
    chunks.iter().map(|chunk| u32::from_le_bytes(*chunk))
}

/// `N` bytes from `at` on, of an array that is known to have them.
fn part<const N: usize, const M: usize>(bytes: &[u8; M], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 8] = *b"saltsalt";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_segment_header() {
        let header = SegmentHeader {
            number: 7,
            salt: SALT,
            first: 300,
        };
        let bytes = header.encode();
        assert_eq!(
            hex(&bytes),
            "5247545441534547010000000700000073616c7473616c742c01000000000000000000006a044fa9"
        );
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    }

    #[test]
    fn golden_frame_header() {
        let header = FrameHeader::new(Kind::Batch, 301, 300, b"payload");
        let bytes = header.encode(SALT);
        assert_eq!(
            hex(&bytes),
            "73616c7473616c7401010000070000002d010000000000002c010000000000007069e3f4001b2539"
        );
        assert_eq!(FrameHeader::decode(&bytes, SALT), Some(header));
        assert_eq!(FrameHeader::decode(&bytes, *b"another!"), None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let segment = SegmentHeader {
            number: 1,
            salt: SALT,
            first: 1,
        }
        .encode();
        let frame = FrameHeader::new(Kind::Seal, 9, 9, b"").encode(SALT);
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut bytes = frame;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&bytes, SALT), None, "bit {bit}");
            let mut bytes = segment;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&bytes),
                Err(HeaderError::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = SegmentHeader {
            number: 1,
            salt: SALT,
            first: 1,
        }
        .encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Version(2)));
    }
}
