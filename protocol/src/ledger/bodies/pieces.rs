//! Pieces of a body as a set: which are held, asked for, or given away.

use crate::prng::Prng;

const BITS: u16 = 64;

/// A set of pieces of one body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces(Vec<u64>);

fn place(index: u16) -> (usize, u64) {
    (usize::from(index / BITS), 1 << (index % BITS))
}

impl Pieces {
    /// The pieces from one to another, that one not included.
    #[must_use]
    pub fn span(from: u16, until: u16) -> Self {
        let mut pieces = Self::default();
        for index in from..until {
            pieces.insert(index);
        }
        pieces
    }

    /// Adds a piece; true where it was not there.
    pub fn insert(&mut self, index: u16) -> bool {
        let (word, bit) = place(index);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Whether a piece is in it.
    #[must_use]
    pub fn contains(&self, index: u16) -> bool {
        let (word, bit) = place(index);
        self.0.get(word).is_some_and(|found| found & bit != 0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds those of another set.
    pub fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Leaves out those of another set.
    pub fn leave_out(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
    }

    /// Leaves only those of another set.
    pub fn keep_only(&mut self, other: &Self) {
        for (index, word) in self.0.iter_mut().enumerate() {
            *word &= other.0.get(index).copied().unwrap_or(0);
        }
    }

    /// Its pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let words = (0u16..).zip(&self.0);
        words.flat_map(|(number, word)| {
            let bits = (0..BITS).filter(move |bit| word & (1 << bit) != 0);
            bits.map(move |bit| number * BITS + bit)
        })
    }

    /// The first one from a place on, and behind the last one from the first on.
    fn next(&self, from: u16) -> Option<u16> {
        let (first, _) = place(from);
        let behind = self.0.get(first).map_or(0, |word| word >> (from % BITS));
        if behind != 0 {
            return Some(from + behind.trailing_zeros() as u16);
        }
        let words = self.0.len();
        let mut later = (1..=words).map(|step| (first.min(words) + step) % words);
        let found = later.find(|number| self.0[*number] != 0)?;
        let lowest = self.0[found].trailing_zeros() as u16;
        Some(u16::try_from(found).ok()? * BITS + lowest)
    }

    /// So many of them, one after the other from where the last ones were taken; where that run ends,
    /// from somewhere else on, so that several who take from one set seldom meet.
    pub fn draw(&self, count: usize, cursor: &mut u16, prng: &mut Prng) -> Vec<u16> {
        let mut left = self.clone();
        let mut drawn = Vec::new();
        let pieces = u64::try_from(self.0.len()).unwrap_or(u64::MAX) * u64::from(BITS);
        while drawn.len() < count {
            if !left.contains(*cursor) {
                let from = u16::try_from(prng.below(pieces.max(1))).unwrap_or(0);
                let Some(found) = left.next(from) else { break };
                *cursor = found;
            }
            drawn.push(*cursor);
            let (word, bit) = place(*cursor);
            left.0[word] &= !bit;
            *cursor = cursor.wrapping_add(1);
        }
        drawn
    }
}

impl FromIterator<u16> for Pieces {
    fn from_iter<I: IntoIterator<Item = u16>>(indices: I) -> Self {
        let mut pieces = Self::default();
        for index in indices {
            pieces.insert(index);
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, proptest};

    use super::Pieces;
    use crate::prng::Prng;

    proptest! {
        #[test]
        fn it_is_a_set(one: BTreeSet<u16>, other: BTreeSet<u16>, seed in any::<u64>()) {
            let of = |set: &BTreeSet<u16>| set.iter().copied().collect::<Pieces>();
            let (mut both, mut rest, mut common) = (of(&one), of(&one), of(&one));
            both.add(&of(&other));
            rest.leave_out(&of(&other));
            common.keep_only(&of(&other));
            assert!(both.iter().eq(one.union(&other).copied()));
            assert!(rest.iter().eq(one.difference(&other).copied()));
            assert!(common.iter().eq(one.intersection(&other).copied()));
            assert_eq!(both.len(), one.union(&other).count());
            assert_eq!(common.is_empty(), one.is_disjoint(&other));
            // Whatever is drawn is in it, each once, and in the end all of it.
            let (mut cursor, mut prng) = (0, Prng::from_number(seed));
            let half = of(&one).draw(one.len() / 2, &mut cursor, &mut prng);
            assert_eq!(half.len(), one.len() / 2);
            let all = of(&one).draw(usize::MAX, &mut cursor, &mut prng);
            let drawn: BTreeSet<u16> = all.iter().copied().collect();
            assert_eq!((all.len(), &drawn), (one.len(), &one));
            assert!(half.iter().all(|piece| one.contains(piece)));
        }
    }

    #[test]
    fn what_is_drawn_runs_on_from_where_it_was() {
        let (mut cursor, mut prng) = (3, Prng::from_number(1));
        let pieces = Pieces::span(0, 200);
        assert_eq!(pieces.draw(3, &mut cursor, &mut prng), [3, 4, 5]);
        assert_eq!(pieces.draw(2, &mut cursor, &mut prng), [6, 7]);
    }
}
