//! Where a reader or a writer stands in a pulled ledger, and how two of them find common ground.

use serde::{Deserialize, Serialize};

use crate::ident::{Hash, Incarnation};
use crate::limits::SPOOL_STARTS_MAX;

/// No honest ledger comes near; keeps `number + 1` from overflowing on what a peer sent.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// One entry by name: its incarnation, number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The author's start that wrote it.
    pub incarnation: Incarnation,
    /// Its number; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Position {
    /// Before the first entry.
    pub const START: Self = Self {
        incarnation: Incarnation::ZERO,
        number: 0,
        hash: Hash::ZERO,
    };
}

/// How often a ledger was found to lack what somebody had read of it: after a wiped disk, an older
/// image, a restored backup. The device counts, with what its readers tell it, so that whoever sees
/// two of its words knows which is the later one: nothing that a disk can forget decides it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Life(pub u64);

/// Further ahead than any number of lost disks explains: a lie that would use the numbers up.
const LIFE_LEAP_MAX: u64 = 1 << 16;

impl Life {
    /// The one after this one and the one that was heard of.
    #[must_use]
    pub fn after(self, heard: Self) -> Self {
        Self(self.0.max(heard.0).saturating_add(1))
    }

    /// Whether one who is at this one can have missed as many as lead to `heard`.
    #[must_use]
    pub fn can_become(self, heard: Self) -> bool {
        heard.0.saturating_sub(self.0) <= LIFE_LEAP_MAX
    }
}

/// The opening of an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its random id.
    pub incarnation: Incarnation,
    /// The head that it continues; its first number is one more.
    pub continues: Position,
}

/// The incarnations of a ledger in order; the oldest are forgotten beyond [`SPOOL_STARTS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts(Vec<Start>);

impl Starts {
    /// All that are remembered, oldest first.
    #[must_use]
    pub fn list(&self) -> &[Start] {
        &self.0
    }

    /// The incarnation that issued `number`; none where it is forgotten.
    #[must_use]
    pub fn at(&self, number: u64) -> Option<Incarnation> {
        let after = self
            .0
            .partition_point(|start| start.continues.number < number);
        after
            .checked_sub(1)
            .and_then(|index| self.0.get(index))
            .map(|start| start.incarnation)
    }

    /// Whether `incarnation` is among them.
    #[must_use]
    pub fn has(&self, incarnation: Incarnation) -> bool {
        self.0.iter().any(|start| start.incarnation == incarnation)
    }

    /// Notes that `incarnation` continues `continues`, if it is not the present one already.
    pub fn note(&mut self, incarnation: Incarnation, continues: Position) {
        if self
            .0
            .last()
            .is_some_and(|last| last.incarnation == incarnation)
        {
            return;
        }
        self.0.push(Start {
            incarnation,
            continues,
        });
        if self.0.len() > SPOOL_STARTS_MAX {
            self.0.remove(0);
        }
    }

    /// Those that issued a number up to and including `number`.
    #[must_use]
    pub fn up_to(&self, number: u64) -> Self {
        let end = self
            .0
            .partition_point(|start| start.continues.number < number);
        Self(self.0.iter().take(end).copied().collect())
    }

    fn are_sound(&self, head: u64) -> bool {
        self.0.len() <= SPOOL_STARTS_MAX
            && self
                .0
                .is_sorted_by(|a, b| a.continues.number < b.continues.number)
            && self.0.iter().all(|start| start.continues.number < head)
    }
}

/// What one knows of a ledger: from where, up to where, and by which incarnations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Everything up to here lies elsewhere: with managers, or in an earlier generation.
    pub floor: Position,
    /// The last entry.
    pub head: Position,
    /// Who issued what lies between, and before.
    pub starts: Starts,
}

/// How a reader's cursor lies to an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It names an entry that this ledger never had.
    Unknown,
    /// It is known, but what follows is no longer here.
    Behind,
    /// What follows can be read here.
    Within,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            floor: Position::START,
            head: Position::START,
            starts: Starts::default(),
        }
    }
}

impl Extent {
    /// Where `cursor` lies. A number is never issued twice in one incarnation, so the two name an
    /// entry; hashes are compared where they are at hand.
    #[must_use]
    pub fn place(&self, cursor: &Position) -> Place {
        let denied = [&self.floor, &self.head]
            .into_iter()
            .any(|edge| edge.number == cursor.number && edge.hash != cursor.hash);
        if cursor.number > 0 && (denied || !self.has(cursor.number, cursor.incarnation)) {
            Place::Unknown
        } else if cursor.number < self.floor.number {
            Place::Behind
        } else {
            Place::Within
        }
    }

    /// Whether number `number` was issued here, by `incarnation` as far as that is remembered.
    #[must_use]
    pub fn has(&self, number: u64, incarnation: Incarnation) -> bool {
        number <= self.head.number
            && self
                .starts
                .at(number)
                .is_none_or(|issuer| issuer == incarnation)
    }

    /// The last position that both ledgers share; the start of all where they share none.
    #[must_use]
    pub fn common(&self, theirs: &Self) -> Position {
        let shared = self
            .starts
            .list()
            .iter()
            .rev()
            .find(|start| theirs.starts.has(start.incarnation));
        if let Some(start) = shared {
            let ours = self.end_of(start.incarnation);
            let other = theirs.end_of(start.incarnation);
            return if ours.number <= other.number {
                ours
            } else {
                other
            };
        }
        match theirs.starts.list().first() {
            // Their beginning is forgotten: what lies before their floor cannot be compared.
            Some(first) if first.continues.number > 0 => theirs.floor,
            _ => Position::START,
        }
    }

    /// The last position that `incarnation` issued.
    pub(in crate::ledger) fn end_of(&self, incarnation: Incarnation) -> Position {
        let list = self.starts.list();
        list.iter()
            .position(|start| start.incarnation == incarnation)
            .and_then(|index| list.get(index + 1))
            .map_or(self.head, |next| next.continues)
    }

    /// After which number `incarnation` began, and the last one it issued.
    pub(in crate::ledger) fn issued_by(&self, incarnation: Incarnation) -> Option<(u64, u64)> {
        let list = self.starts.list();
        let start = list.iter().find(|start| start.incarnation == incarnation)?;
        Some((start.continues.number, self.end_of(incarnation).number))
    }

    /// Whether it can be at all; asked of what a peer sent.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.floor.number <= self.head.number
            && self.head.number < NUMBER_MAX
            && self.starts.are_sound(self.head.number)
    }
}

/// Consecutive numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

impl Span {
    /// How many numbers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.to.saturating_add(1).saturating_sub(self.from)
    }

    /// Whether `number` is one of them.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        (self.from..=self.to).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, Place, Position, Starts};
    use crate::ident::{Hash, Incarnation};

    fn position(incarnation: u8, number: u64) -> Position {
        Position {
            incarnation: Incarnation([incarnation; 8]),
            number,
            hash: Hash([incarnation ^ u8::try_from(number).unwrap_or(0); 32]),
        }
    }

    /// Incarnations by the numbers with which they end.
    fn extent(floor: u64, runs: &[(u8, u64)]) -> Extent {
        let mut starts = Starts::default();
        let (mut head, mut bottom) = (Position::START, Position::START);
        for (incarnation, end) in runs {
            starts.note(Incarnation([*incarnation; 8]), head);
            if floor > head.number && floor <= *end {
                bottom = position(*incarnation, floor);
            }
            head = position(*incarnation, *end);
        }
        Extent {
            floor: bottom,
            head,
            starts,
        }
    }

    #[test]
    fn a_cursor_is_placed_by_incarnation_and_number() {
        let device = extent(4, &[(1, 6), (2, 9)]);
        for (cursor, place) in [
            (Position::START, Place::Behind),
            (position(1, 3), Place::Behind),
            (position(1, 4), Place::Within),
            (position(1, 6), Place::Within),
            (position(1, 7), Place::Unknown),
            (position(2, 7), Place::Within),
            (position(2, 9), Place::Within),
            (position(2, 10), Place::Unknown),
            (position(3, 2), Place::Unknown),
        ] {
            assert_eq!(device.place(&cursor), place, "{cursor:?}");
        }
    }

    #[test]
    fn common_ground_is_the_lower_end_of_the_last_shared_incarnation() {
        let reader = extent(0, &[(1, 50), (2, 70)]);
        for (device, common) in [
            (extent(0, &[(1, 40), (3, 90)]), position(1, 40)),
            (extent(0, &[(1, 60), (3, 90)]), position(1, 50)),
            (extent(0, &[(4, 5)]), Position::START),
            (extent(0, &[]), Position::START),
        ] {
            assert_eq!(reader.common(&device), common);
        }
    }
}
