//! How far the log was once durable: a file beside the segments that nobody waits for.
//!
//! It is written after each sync and never synced itself, so what it says was true, if old. With it a
//! segment that lost its end is told from one whose last write was torn.

use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};

/// Its name.
pub const MARK: &str = "mark";
const MAGIC: [u8; 8] = *b"RGTTMARK";
const SLOT_BYTES: usize = 36;
/// Slots lie in sectors of their own, so that one torn write leaves the other.
const SLOTS_AT: [u64; 2] = [0, 4096];

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The store's salt.
    pub salt: [u8; 8],
    /// This frame and all before it were durable.
    pub sequence: u64,
    /// The segment that it is in.
    pub segment: u32,
    /// Whether a sync failed after that. The system may go on showing what it failed to write, as long
    /// as it runs; this word lives as long.
    pub sync_failed: bool,
}

impl Mark {
    /// Later words are greater.
    fn age(&self) -> (u64, bool) {
        (self.sequence, self.sync_failed)
    }

    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.salt);
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.segment.to_le_bytes());
        bytes[28] = u8::from(self.sync_failed);
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let crc = crc32c::crc32c(&bytes[..32]).to_le_bytes();
        if bytes[..8] != MAGIC || bytes[32..] != crc {
            return None;
        }
        Some(Self {
            salt: bytes[8..16].try_into().ok()?,
            sequence: u64::from_le_bytes(bytes[16..24].try_into().ok()?),
            segment: u32::from_le_bytes(bytes[24..28].try_into().ok()?),
            sync_failed: bytes[28] != 0,
        })
    }
}

/// The file, open.
pub struct MarkFile {
    file: Option<Arc<dyn DiskFile>>,
    turn: usize,
}

impl MarkFile {
    /// The file, and the furthest that it says.
    pub fn open(disk: &dyn Disk) -> io::Result<(Self, Option<Mark>)> {
        let file = match disk.open(MARK) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((
                    Self {
                        file: None,
                        turn: 0,
                    },
                    None,
                ));
            }
            Err(error) => return Err(error),
        };
        let mut best: Option<(Mark, usize)> = None;
        for (slot, at) in SLOTS_AT.into_iter().enumerate() {
            let mut bytes = [0; SLOT_BYTES];
            file.read_at(&mut bytes, at)?;
            if let Some(mark) = Mark::decode(&bytes)
                && best.is_none_or(|(known, _)| known.age() <= mark.age())
            {
                best = Some((mark, slot));
            }
        }
        let turn = best.map_or(0, |(_, slot)| 1 - slot);
        let file = Some(file);
        Ok((Self { file, turn }, best.map(|(mark, _)| mark)))
    }

    /// Makes a word durable, in place of all earlier ones and of none: the salt must not be lost, and
    /// an old word about a failed sync must not come back.
    pub fn settle(&mut self, disk: &dyn Disk, mark: Mark) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => disk.create(MARK)?,
        };
        for at in SLOTS_AT {
            file.write_at(&mark.encode(), at)?;
        }
        file.sync()?;
        self.file = Some(file);
        disk.sync_folder()
    }

    /// Says how far it is. A failure is nobody's loss: then it stays at an older word.
    pub fn write(&mut self, mark: Mark) {
        if let Some(file) = &self.file {
            let _ = file.write_at(&mark.encode(), SLOTS_AT[self.turn]);
            self.turn = 1 - self.turn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::simulated::SimulatedDisk;

    #[test]
    fn golden_bytes() {
        let mark = Mark {
            salt: *b"saltsalt",
            sequence: 301,
            segment: 7,
            sync_failed: false,
        };
        let hex: String = mark
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "524754544d41524b73616c7473616c742d0100000000000007000000000000007e55f83b"
        );
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
    }

    #[test]
    fn one_torn_slot_leaves_the_other() {
        let disk = SimulatedDisk::new();
        let (mut file, found) = MarkFile::open(&disk).expect("works");
        assert_eq!(found, None);
        let mark = |sequence| Mark {
            salt: *b"saltsalt",
            sequence,
            segment: 1,
            sync_failed: false,
        };
        file.settle(&disk, mark(0)).expect("works");
        for sequence in 1..10 {
            file.write(mark(sequence));
        }
        assert_eq!(MarkFile::open(&disk).expect("works").1, Some(mark(9)));
        disk.damage(MARK, |bytes| bytes[3] ^= 1);
        assert_eq!(MarkFile::open(&disk).expect("works").1, Some(mark(8)));
        disk.damage(MARK, Vec::clear);
        assert_eq!(MarkFile::open(&disk).expect("works").1, None);
    }
}
