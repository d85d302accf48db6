//! The shape of every machine: an event and the time go in, effects come out, nothing waits.

use serde::{Deserialize, Serialize};

/// Milliseconds: of the monotonic clock where a machine is handed `now`, of wall time in stamps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// This time, `millis` later; the end of time where it would pass it.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero where it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A state machine that decides and never waits.
///
/// `handle` is total: bad input from a peer becomes an effect or a counter, never a panic; a broken
/// invariant of our own is an `assert!` that stays on in release. Effects are performed in the order
/// in which they were pushed: a `Store` is durable before the `Send` that promises it is performed.
pub trait Machine {
    /// Everything that can happen to it: a closed enum.
    type Event;
    /// Everything it can ask for: a closed enum.
    type Effect;

    /// Takes one event at monotonic time `now` and pushes what is to be done.
    fn handle(&mut self, now: Millis, event: Self::Event, out: &mut Vec<Self::Effect>);

    /// When it wants its `Wake` event at the latest, if nothing else happens.
    fn wake_at(&self) -> Option<Millis>;
}
