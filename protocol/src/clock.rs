//! Hybrid stamps, reference time with its stored floor, and the rule for stamps from the future.

pub mod reference;
pub mod utc;

use serde::{Deserialize, Serialize};

use crate::machine::Millis;

/// A hybrid logical time: wall milliseconds, and a counter for what happened within one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp {
    /// Wall time, in milliseconds since 1970.
    pub wall: Millis,
    /// Distinguishes stamps of one millisecond.
    pub counter: u32,
}

impl Stamp {
    /// The first stamp of a millisecond.
    #[must_use]
    pub fn at(wall: Millis) -> Self {
        Self { wall, counter: 0 }
    }

    /// The smallest stamp after both `self` and the beginning of `wall`.
    #[must_use]
    pub fn next(self, wall: Millis) -> Self {
        if wall > self.wall {
            return Self::at(wall);
        }
        match self.counter.checked_add(1) {
            Some(counter) => Self {
                wall: self.wall,
                counter,
            },
            None => Self::at(self.wall.plus(1)),
        }
    }
}
