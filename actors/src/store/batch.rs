//! What becomes durable together: puts and deletes, and their bytes as one frame's payload.
//!
//! A record is `op, table, key length, value length, key, value, crc32c`, little-endian. Each has a
//! checksum of its own beside the frame's, because it is read alone.

use super::error::BatchError;
use super::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use super::table::Table;

const PUT: u8 = 1;
const DELETE: u8 = 2;
/// Op, table, key length, value length.
const RECORD_HEADER_BYTES: usize = 7;
/// What a record has beside its key and its value.
pub const RECORD_FRAMING_BYTES: usize = RECORD_HEADER_BYTES + 4;

/// Puts and deletes that become durable together or not at all, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    payload: Vec<u8>,
    important: bool,
    puts: bool,
}

impl Batch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has this one written when the disk is nearly full, too: trust, and what a node needs to free
    /// space. What only deletes is important anyway.
    #[must_use]
    pub fn important(mut self) -> Self {
        self.important = true;
        self
    }

    /// Stores `value` under `key`, in place of what stood there.
    ///
    /// # Errors
    /// When the key, the value or the batch would be too long; the batch is then as it was.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), BatchError> {
        self.push(PUT, table.tag(), key, value)?;
        self.puts = true;
        Ok(())
    }

    /// Removes what stands under `key`, if anything does.
    ///
    /// # Errors
    /// When the key or the batch would be too long; the batch is then as it was.
    pub fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), BatchError> {
        self.push(DELETE, table.tag(), key, &[])
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// How many bytes it takes on disk, its frame aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether it may use the space that is kept for important writes: it is said to be important, or
    /// it only deletes.
    #[must_use]
    pub fn is_important(&self) -> bool {
        self.important || !self.puts
    }

    /// The bytes of its frame's payload.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Takes a record as it was read, for a compaction.
    pub(super) fn push_raw(&mut self, record: &[u8]) {
        self.payload.extend_from_slice(record);
    }

    fn push(&mut self, op: u8, tag: u8, key: &[u8], value: &[u8]) -> Result<(), BatchError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(BatchError::Key(key.len()));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(BatchError::Value(value.len()));
        }
        let length = self.payload.len() + RECORD_FRAMING_BYTES + key.len() + value.len();
        if length > BATCH_BYTES_MAX {
            return Err(BatchError::Batch(length));
        }
        let start = self.payload.len();
        let key_length = u8::try_from(key.len()).unwrap_or(u8::MAX);
        let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.payload.extend_from_slice(&[op, tag, key_length]);
        self.payload.extend_from_slice(&value_length.to_le_bytes());
        self.payload.extend_from_slice(key);
        self.payload.extend_from_slice(value);
        let crc = crc32c::crc32c(&self.payload[start..]);
        self.payload.extend_from_slice(&crc.to_le_bytes());
        Ok(())
    }
}

/// One record, as it lies in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The table's number, which may be one of a later build.
    pub tag: u8,
    /// The key.
    pub key: &'a [u8],
    /// The value; none removes.
    pub value: Option<&'a [u8]>,
    /// Where it begins in the payload.
    pub offset: u32,
    /// All of its bytes.
    pub bytes: &'a [u8],
}

/// The records of a payload, in order; ends early at bytes that are no record.
pub fn records(payload: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let mut record = record(payload.get(offset..)?)?;
        record.offset = u32::try_from(offset).ok()?;
        offset += record.bytes.len();
        Some(record)
    })
}

/// The record that `bytes` begin with, when its checksum holds.
pub fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let (&[op, tag, key_length, v0, v1, v2, v3], _) =
        bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
    let key_length = usize::from(key_length);
    let value_length = usize::try_from(u32::from_le_bytes([v0, v1, v2, v3])).ok()?;
    if key_length > KEY_BYTES_MAX || value_length > VALUE_BYTES_MAX {
        return None;
    }
    let end = RECORD_HEADER_BYTES + key_length + value_length;
    let content = bytes.get(..end)?;
    let crc = bytes.get(end..end + 4)?;
    if crc32c::crc32c(content).to_le_bytes() != crc {
        return None;
    }
    let (key, value) = content[RECORD_HEADER_BYTES..].split_at(key_length);
    let value = match op {
        PUT => Some(value),
        DELETE => None,
        _ => return None,
    };
    Some(Record {
        tag,
        key,
        value,
        offset: 0,
        bytes: &bytes[..end + 4],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        assert_eq!(
            crc32c::crc32c(b"123456789"),
            0xe306_9283,
            "the published check value"
        );
        let mut batch = Batch::new();
        batch
            .put(Table::Node, b"id", b"\x01\x02\x03")
            .expect("it fits");
        batch.delete(Table::Floors, b"k").expect("it fits");
        let hex: String = batch.payload().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "010a020300000069640102037f80b550",
                "020201000000006b144229d9"
            )
        );
        let found: Vec<_> = records(batch.payload()).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].key, found[0].value),
            (&b"id"[..], Some(&b"\x01\x02\x03"[..]))
        );
        assert_eq!((found[1].key, found[1].value), (&b"k"[..], None));
        assert_eq!(found[1].offset, 16);
    }

    #[test]
    fn too_much_is_refused_and_changes_nothing() {
        let mut batch = Batch::new();
        assert_eq!(
            batch.put(Table::Node, &[0; 129], b""),
            Err(BatchError::Key(129))
        );
        let long = vec![0; VALUE_BYTES_MAX + 1];
        assert_eq!(
            batch.put(Table::Node, b"", &long),
            Err(BatchError::Value(long.len()))
        );
        assert!(batch.is_empty());
        let value = &long[1..];
        batch.put(Table::Node, b"1", value).expect("it fits");
        batch.put(Table::Node, b"2", value).expect("it fits");
        let before = batch.clone();
        assert!(matches!(
            batch.put(Table::Node, b"3", value),
            Err(BatchError::Batch(_))
        ));
        assert_eq!(batch, before);
    }

    #[test]
    fn a_flipped_bit_ends_the_records() {
        let mut batch = Batch::new();
        batch.put(Table::Node, b"key", b"value").expect("it fits");
        for bit in 0..batch.len() * 8 {
            let mut bytes = batch.payload().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(records(&bytes).count(), 0, "bit {bit}");
        }
    }
}
