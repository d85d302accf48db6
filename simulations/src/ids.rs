//! Maps by names that are random already: hashes, ids, incarnations.
//!
//! They are looked up, never walked: an order that came of hashing would say nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map by one name or several.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;
/// A set of names, or of pairs of them.
pub type IdSet<K> = HashSet<K, BuildHasherDefault<IdHasher>>;

/// Eight bytes of each name are hash enough; numbers beside them are mixed in.
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl IdHasher {
    fn add(&mut self, word: u64) {
        self.0 = self.0.rotate_left(23) ^ word;
    }
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(eight) = bytes.first_chunk() {
            self.add(u64::from_le_bytes(*eight));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    /// The length of an array says nothing.
    fn write_usize(&mut self, _: usize) {}

    /// Which variant of an enum.
    fn write_isize(&mut self, number: isize) {
        self.add(number as u64);
    }
}
