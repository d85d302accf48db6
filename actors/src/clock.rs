//! What time it is for a node's machines: monotonic, and as its wall clock says.
//!
//! Both run on tokio's clock, so a fleet in paused time lives hours in seconds; only the wall clock of
//! a real node asks the system.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regatta_protocol::machine::Millis;
use tokio::time::Instant;

/// A wall clock that differs by more from what the monotonic one leads to expect was set.
pub const SET_MS_MIN: u64 = 1_000;

/// A node's clocks.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    wall: Wall,
}

#[derive(Clone, Debug)]
enum Wall {
    System,
    /// Begins at a time and goes with tokio's; off by so much, which a test may change.
    Simulated(Millis, Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self {
            started: Instant::now(),
            wall: Wall::System,
        }
    }

    /// A wall clock that shows `epoch` now, goes with tokio's clock, and is off by what `off_ms` says.
    #[must_use]
    pub fn simulated(epoch: Millis, off_ms: Arc<AtomicI64>) -> Self {
        Self {
            started: Instant::now(),
            wall: Wall::Simulated(epoch, off_ms),
        }
    }

    /// Monotonic time, for machines.
    #[must_use]
    pub fn now(&self) -> Millis {
        let passed = self.started.elapsed().as_millis();
        Millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Wall time.
    #[must_use]
    pub fn wall(&self) -> Millis {
        match &self.wall {
            Wall::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                let millis = since.unwrap_or_default().as_millis();
                Millis(u64::try_from(millis).unwrap_or(u64::MAX))
            }
            Wall::Simulated(epoch, off_ms) => {
                let shown = epoch.plus(self.now().0).0;
                Millis(shown.saturating_add_signed(off_ms.load(Ordering::Relaxed)))
            }
        }
    }

    /// How long it is until a monotonic time.
    #[must_use]
    pub fn until(&self, at: Millis) -> Duration {
        Duration::from_millis(at.since(self.now()))
    }
}

/// Reference time, as the ledger last knew it, for everybody else of the node.
#[derive(Clone, Debug)]
pub struct ReferenceClock {
    clock: Clock,
    /// How far reference time is ahead of monotonic time.
    ahead_ms: Arc<AtomicU64>,
}

impl ReferenceClock {
    /// What the wall clock shows, until the ledger knows better.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        let ahead = clock.wall().since(clock.now());
        Self {
            clock: clock.clone(),
            ahead_ms: Arc::new(AtomicU64::new(ahead)),
        }
    }

    /// From the ledger: this is the time at a monotonic time.
    pub fn set(&self, now: Millis, reference: Millis) {
        self.ahead_ms.store(reference.since(now), Ordering::Relaxed);
    }

    /// What time it is.
    #[must_use]
    pub fn read(&self) -> Millis {
        self.clock.now().plus(self.ahead_ms.load(Ordering::Relaxed))
    }
}

/// Notices when a wall clock was set.
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    wall: Millis,
    at: Millis,
}

impl ClockWatch {
    /// From now on.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            wall: clock.wall(),
            at: clock.now(),
        }
    }

    /// What the wall clock shows, where it was set since the last look.
    pub fn look(&mut self, clock: &Clock) -> Option<Millis> {
        let (wall, at) = (clock.wall(), clock.now());
        let expected = self.wall.plus(at.since(self.at)).0;
        *self = Self { wall, at };
        (wall.0.abs_diff(expected) >= SET_MS_MIN).then_some(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, ClockWatch};
    use regatta_protocol::machine::Millis;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_is_noticed_and_one_that_goes_is_not() {
        let off_ms = Arc::new(AtomicI64::new(0));
        let clock = Clock::simulated(Millis(5_000_000), Arc::clone(&off_ms));
        let mut watch = ClockWatch::new(&clock);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(watch.look(&clock), None);
        off_ms.store(-60_000, Ordering::Relaxed);
        assert_eq!(watch.look(&clock), Some(Millis(5_000_000 + 3_540_000)));
        assert_eq!(watch.look(&clock), None);
    }
}
