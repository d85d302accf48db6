//! Where a node keeps bodies: whole ones, and parts of those that are on their way.

use std::collections::BTreeMap;

use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::bodies::tree::{Layout, Partial, Unit, unit_of};
use regatta_protocol::prng::Prng;

/// The bodies on a disk.
#[derive(Clone, Debug, Default)]
pub struct BodyDisk {
    whole: BTreeMap<Hash, Bytes>,
    parts: BTreeMap<Hash, Parts>,
}

/// What there is of a body that is not all there.
#[derive(Clone, Debug, Default)]
struct Parts {
    units: BTreeMap<Unit, Bytes>,
    /// The last that was written: a crash may tear it.
    last: Option<Unit>,
}

impl BodyDisk {
    /// Whether a body is there as a whole.
    #[must_use]
    pub fn has(&self, hash: &Hash) -> bool {
        self.whole.contains_key(hash)
    }

    /// A whole body.
    #[must_use]
    pub fn get(&self, hash: &Hash) -> Option<&Bytes> {
        self.whole.get(hash)
    }

    /// Those that are there as a whole.
    pub fn whole(&self) -> impl Iterator<Item = (&Hash, &Bytes)> {
        self.whole.iter()
    }

    /// Bodies of which something is there.
    pub fn begun(&self) -> impl Iterator<Item = &Hash> {
        self.parts.keys()
    }

    /// Keeps a whole body.
    pub fn keep(&mut self, hash: Hash, bytes: Bytes) {
        self.parts.remove(&hash);
        self.whole.insert(hash, bytes);
    }

    /// Keeps a part; false where it was there.
    pub fn store(&mut self, hash: Hash, unit: Unit, bytes: Bytes) -> bool {
        let parts = self.parts.entry(hash).or_default();
        parts.last = Some(unit);
        parts.units.insert(unit, bytes).is_none()
    }

    /// Makes a body of its parts.
    #[must_use]
    pub fn assemble(&self, hash: &Hash) -> Option<Bytes> {
        let units = &self.parts.get(hash)?.units;
        let pieces = units.iter().filter_map(|(unit, bytes)| match unit {
            Unit::Piece(_) => Some(bytes),
            _ => None,
        });
        let bytes: Vec<u8> = pieces.flat_map(|bytes| bytes.iter().copied()).collect();
        Some(bytes.into())
    }

    /// A part of a whole body, to hand out.
    #[must_use]
    pub fn read(&self, hash: &Hash, unit: Unit) -> Option<Bytes> {
        unit_of(self.whole.get(hash)?, unit)
    }

    /// What is there of a body; parts that a crash tore are thrown away.
    pub fn partial(&mut self, hash: &Hash, bytes: u64) -> Partial {
        let mut partial = Partial::default();
        if let (Some(parts), Some(layout)) = (self.parts.get_mut(hash), Layout::of(bytes)) {
            // Units are in the order in which they can be checked.
            parts
                .units
                .retain(|unit, part| partial.take(hash, layout, *unit, part));
        }
        partial
    }

    /// A crash: of each body under way the part that was written last may be lost, or torn.
    pub fn crash(&mut self, prng: &mut Prng) {
        for parts in self.parts.values_mut() {
            let Some(last) = parts.last.take() else {
                continue;
            };
            match prng.below(4) {
                0 => {
                    parts.units.remove(&last);
                }
                1 => {
                    if let Some(part) = parts.units.get_mut(&last) {
                        *part = torn(part);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The first half as it was written, then what the disk had there before.
fn torn(part: &Bytes) -> Bytes {
    let mut bytes = part.to_vec();
    let half = bytes.len() / 2;
    bytes[half..].fill(0);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::BodyDisk;
    use regatta_protocol::codec::Bytes;
    use regatta_protocol::ledger::bodies::root_of;
    use regatta_protocol::ledger::bodies::tree::{Unit, unit_of};
    use regatta_protocol::prng::Prng;

    #[test]
    fn a_torn_part_is_thrown_away_and_the_others_are_kept() {
        let mut prng = Prng::from_number(1);
        let mut body = vec![0; 40_000];
        prng.fill(&mut body);
        let hash = root_of(&body);
        for _ in 0..20 {
            let mut disk = BodyDisk::default();
            for unit in [Unit::Outline, Unit::Piece(0), Unit::Piece(2)] {
                let part = unit_of(&body, unit).unwrap_or_else(|| Bytes::from(Vec::new()));
                assert!(disk.store(hash, unit, part));
            }
            disk.crash(&mut prng);
            let partial = disk.partial(&hash, 40_000);
            assert!(partial.has(Unit::Outline) && partial.has(Unit::Piece(0)));
            let kept = disk.parts[&hash].units.contains_key(&Unit::Piece(2));
            assert_eq!(kept, partial.has(Unit::Piece(2)));
        }
    }
}
