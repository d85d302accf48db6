//! How a body's name is made of its pieces, so that each can be checked as it comes.
//!
//! The name is a hash over the length and the *outline*. Up to 8 MiB, which is every document, the
//! outline holds the hash of each 16 KiB piece; of a longer body it holds the hash of each *list* of
//! 512 such hashes. A list is just as long as a piece, so whatever is sent fits one frame, and
//! nothing unchecked is ever kept. Two levels reach far beyond the 64 MiB that a file may have; a
//! deeper tree or a stream with interleaved hashes would buy nothing. The length, which is in the
//! name, says how many levels there are, so no piece can be passed off as a list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::Bytes;
use crate::ident::Hash;
use crate::ledger::bodies::pieces::Pieces;
use crate::limits::{BODY_LIST_HASHES_MAX, BODY_PIECE_BYTES_MAX, FILE_BYTES_MAX};

/// A part of a body that is read, sealed, sent and checked as one; 16 KiB at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// The hashes that the body's name is made of.
    Outline,
    /// Of a body above 8 MiB: the hashes of 512 pieces.
    List(u16),
    /// Its bytes.
    Piece(u16),
}

impl Unit {
    /// Three bytes, different for each unit.
    #[must_use]
    pub fn label(self) -> [u8; 3] {
        let (tag, index) = match self {
            Self::Outline => (0, 0),
            Self::List(index) => (1, index),
            Self::Piece(index) => (2, index),
        };
        let [low, high] = u16::to_le_bytes(index);
        [tag, low, high]
    }
}

/// How many units a body of some length has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    bytes: u64,
}

impl Layout {
    /// Of a body of this length; none where it is longer than any file may be.
    #[must_use]
    pub fn of(bytes: u64) -> Option<Self> {
        (bytes <= FILE_BYTES_MAX).then_some(Self { bytes })
    }

    /// How many pieces.
    #[must_use]
    pub fn pieces(self) -> u16 {
        let pieces = self.bytes.div_ceil(BODY_PIECE_BYTES_MAX as u64);
        u16::try_from(pieces).unwrap_or(u16::MAX)
    }

    /// How many lists; none where the outline names the pieces itself.
    #[must_use]
    pub fn lists(self) -> u16 {
        let lists = usize::from(self.pieces()).div_ceil(BODY_LIST_HASHES_MAX);
        if lists > 1 {
            u16::try_from(lists).unwrap_or(u16::MAX)
        } else {
            0
        }
    }

    /// How long a unit is; none where there is no such unit.
    #[must_use]
    pub fn unit_bytes(self, unit: Unit) -> Option<usize> {
        let share = |index: u16, of: u64, each: usize| {
            let start = u64::from(index) * each as u64;
            let left = of.checked_sub(start).filter(|left| *left > 0)?;
            usize::try_from(left.min(each as u64)).ok()
        };
        let hashes = 32 * u64::from(self.pieces());
        match unit {
            Unit::Outline if self.lists() == 0 => usize::try_from(hashes).ok(),
            Unit::Outline => Some(32 * usize::from(self.lists())),
            Unit::List(_) if self.lists() == 0 => None,
            Unit::List(index) => share(index, hashes, 32 * BODY_LIST_HASHES_MAX),
            Unit::Piece(index) => share(index, self.bytes, BODY_PIECE_BYTES_MAX),
        }
    }
}

/// The hashes of a body's pieces, in order.
#[must_use]
pub fn piece_hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(BODY_PIECE_BYTES_MAX).map(Hash::of).collect()
}

fn joined(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The outline over the pieces' hashes.
#[must_use]
pub fn outline_of(pieces: &[Hash]) -> Vec<Hash> {
    if pieces.len() <= BODY_LIST_HASHES_MAX {
        return pieces.to_vec();
    }
    let lists = pieces.chunks(BODY_LIST_HASHES_MAX);
    lists.map(|list| Hash::of(&joined(list))).collect()
}

/// A body's name.
#[must_use]
pub fn root_of(bytes: &[u8]) -> Hash {
    root_of_pieces(bytes.len() as u64, &piece_hashes(bytes))
}

/// The same from the pieces' hashes alone.
#[must_use]
pub fn root_of_pieces(length: u64, pieces: &[Hash]) -> Hash {
    root_of_outline(length, &outline_of(pieces))
}

fn root_of_outline(length: u64, outline: &[Hash]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"regatta/v1/body")
        .update(&length.to_le_bytes());
    for hash in outline {
        hasher.update(&hash.0);
    }
    Hash(*hasher.finalize().as_bytes())
}

/// One unit of a body that is there as a whole: what a store answers a read with.
#[must_use]
pub fn unit_of(body: &[u8], unit: Unit) -> Option<Bytes> {
    let length = Layout::of(body.len() as u64)?.unit_bytes(unit)?;
    let bytes = match unit {
        Unit::Outline => joined(&outline_of(&piece_hashes(body))),
        Unit::List(index) => {
            let first = usize::from(index) * BODY_LIST_HASHES_MAX * BODY_PIECE_BYTES_MAX;
            let covered = body.get(first..)?;
            let most = BODY_LIST_HASHES_MAX * BODY_PIECE_BYTES_MAX;
            joined(&piece_hashes(&covered[..covered.len().min(most)]))
        }
        Unit::Piece(index) => {
            let first = usize::from(index) * BODY_PIECE_BYTES_MAX;
            body.get(first..)?.get(..length)?.to_vec()
        }
    };
    Some(bytes.into())
}

/// What is held of a body that is not all there: its hashes, and which pieces the store keeps.
/// At most 128 KiB of hashes, whatever the body's length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    outline: Option<Vec<Hash>>,
    lists: BTreeMap<u16, Vec<Hash>>,
    pieces: Pieces,
}

impl Partial {
    /// Checks a unit against what is held and, where it belongs, notes it; true where it is to be
    /// kept. Also how a restarted node reads its store: outline first, then lists, then pieces.
    pub fn take(&mut self, root: &Hash, layout: Layout, unit: Unit, bytes: &[u8]) -> bool {
        if layout.unit_bytes(unit) != Some(bytes.len()) {
            return false;
        }
        match unit {
            Unit::Outline => {
                let outline = split(bytes);
                let fits = root_of_outline(layout.bytes, &outline) == *root;
                if fits {
                    self.outline = Some(outline);
                }
                fits
            }
            Unit::List(index) => {
                let outline = self.outline.as_deref().unwrap_or_default();
                let fits = outline.get(usize::from(index)) == Some(&Hash::of(bytes));
                if fits {
                    self.lists.insert(index, split(bytes));
                }
                fits
            }
            Unit::Piece(index) => {
                let fits = self.piece_hash(layout, index) == Some(&Hash::of(bytes));
                if fits {
                    self.pieces.insert(index);
                }
                fits
            }
        }
    }

    fn piece_hash(&self, layout: Layout, index: u16) -> Option<&Hash> {
        let index = usize::from(index);
        if layout.lists() == 0 {
            return self.outline.as_ref()?.get(index);
        }
        let list = u16::try_from(index / BODY_LIST_HASHES_MAX).ok()?;
        self.lists.get(&list)?.get(index % BODY_LIST_HASHES_MAX)
    }

    /// Whether the outline is held, so that something can be asked for.
    #[must_use]
    pub fn has_outline(&self) -> bool {
        self.outline.is_some()
    }

    /// Whether a unit is held.
    #[must_use]
    pub fn has(&self, unit: Unit) -> bool {
        match unit {
            Unit::Outline => self.has_outline(),
            Unit::List(index) => self.lists.contains_key(&index),
            Unit::Piece(index) => self.pieces.contains(index),
        }
    }

    /// The pieces that are held.
    #[must_use]
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// The lists that are held.
    pub fn lists(&self) -> impl Iterator<Item = u16> + '_ {
        self.lists.keys().copied()
    }

    /// Lists that are missing and that could be checked if they came now.
    pub fn missing_lists(&self, layout: Layout) -> impl Iterator<Item = u16> + '_ {
        let lists = 0..layout.lists();
        lists.filter(|index| self.has_outline() && !self.lists.contains_key(index))
    }

    /// Pieces that are missing and that could be checked if they came now.
    #[must_use]
    pub fn missing_pieces(&self, layout: Layout) -> Pieces {
        let mut missing = Pieces::default();
        if layout.lists() == 0 && self.has_outline() {
            missing = Pieces::span(0, layout.pieces());
        }
        for list in self.lists.keys() {
            let each = u16::try_from(BODY_LIST_HASHES_MAX).unwrap_or(u16::MAX);
            let from = list.saturating_mul(each);
            let until = from.saturating_add(each).min(layout.pieces());
            missing.add(&Pieces::span(from, until));
        }
        missing.leave_out(&self.pieces);
        missing
    }

    /// A part that is held in memory: the outline or a list, as it is sent.
    #[must_use]
    pub fn hashes(&self, unit: Unit) -> Option<Bytes> {
        let hashes = match unit {
            Unit::Outline => self.outline.as_deref()?,
            Unit::List(index) => self.lists.get(&index)?,
            Unit::Piece(_) => return None,
        };
        Some(joined(hashes).into())
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self, layout: Layout) -> bool {
        self.has_outline() && self.pieces.len() == usize::from(layout.pieces())
    }
}

fn split(bytes: &[u8]) -> Vec<Hash> {
    let (hashes, _) = bytes.as_chunks::<32>();
    hashes.iter().map(|hash| Hash(*hash)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Layout, Partial, Unit, root_of, unit_of};
    use crate::prng::Prng;

    fn body(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Prng::from_number(length as u64).fill(&mut bytes);
        bytes
    }

    /// Takes every unit in the order in which they are missing, with every one spoilt first.
    fn rebuild(length: usize) {
        let body = body(length);
        let root = root_of(&body);
        let layout = Layout::of(length as u64).expect("within the limit");
        let mut partial = Partial::default();
        let outline = unit_of(&body, Unit::Outline).expect("every body has an outline");
        if let Some((_, shorter)) = outline.split_first() {
            assert!(!partial.take(&root, layout, Unit::Outline, shorter));
        }
        assert!(partial.take(&root, layout, Unit::Outline, &outline));
        let mut rebuilt = vec![0; length];
        loop {
            let list = partial.missing_lists(layout).next().map(Unit::List);
            let pieces = partial.missing_pieces(layout);
            let piece = pieces.iter().next().map(Unit::Piece);
            let Some(unit) = list.or(piece) else { break };
            let bytes = unit_of(&body, unit).expect("what is missing exists");
            let mut spoilt = bytes.to_vec();
            spoilt[0] ^= 1;
            assert!(!partial.take(&root, layout, unit, &spoilt), "{unit:?}");
            assert!(partial.take(&root, layout, unit, &bytes), "{unit:?}");
            if let Unit::Piece(index) = unit {
                let at = usize::from(index) * crate::limits::BODY_PIECE_BYTES_MAX;
                rebuilt[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        assert!(partial.is_complete(layout));
        assert!(rebuilt == body, "{length} bytes come out as they went in");
    }

    #[test]
    fn every_length_comes_out_as_it_went_in_and_no_spoilt_unit_is_taken() {
        let list = 512 * 16 * 1024;
        for length in [0, 1, 16_384, 16_385, 100_000, list, list + 1, 2 * list + 5] {
            rebuild(length);
        }
    }

    #[test]
    fn the_longest_file_fits_and_nothing_longer() {
        let longest = Layout::of(64 * 1024 * 1024).map(|layout| (layout.pieces(), layout.lists()));
        assert_eq!(longest, Some((4096, 8)));
        assert_eq!(Layout::of(64 * 1024 * 1024 + 1), None);
    }

    #[test]
    fn a_body_of_another_length_has_another_name() {
        let mut longer = vec![7; 10];
        let root = root_of(&longer);
        longer.push(0);
        assert_ne!(root, root_of(&longer));
        let layout = Layout::of(11).expect("within the limit");
        let outline = unit_of(&longer[..10], Unit::Outline).expect("an outline");
        assert!(!Partial::default().take(&root, layout, Unit::Outline, &outline));
    }
}
