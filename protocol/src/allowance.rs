//! How many messages a peer may still send: a burst, and then one every so often.

use crate::machine::Millis;

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u16,
    /// One more each time that so long has passed.
    pub every_ms: u64,
}

/// What is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    rate: Rate,
    left: u16,
    since: Millis,
}

impl Allowance {
    /// All of it.
    #[must_use]
    pub fn new(rate: Rate, now: Millis) -> Self {
        Self {
            rate,
            left: rate.burst,
            since: now,
        }
    }

    /// Takes one; false where none is left.
    pub fn take(&mut self, now: Millis) -> bool {
        let earned = now.since(self.since) / self.rate.every_ms.max(1);
        if earned > 0 {
            let earned = u16::try_from(earned).unwrap_or(self.rate.burst);
            self.left = self.left.saturating_add(earned).min(self.rate.burst);
            self.since = now;
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Rate};
    use crate::machine::Millis;

    #[test]
    fn a_burst_and_then_one_every_so_often() {
        let rate = Rate {
            burst: 3,
            every_ms: 100,
        };
        let mut allowance = Allowance::new(rate, Millis(0));
        let at_once: Vec<bool> = (0..5).map(|_| allowance.take(Millis(0))).collect();
        assert_eq!(at_once, [true, true, true, false, false]);
        assert!(allowance.take(Millis(150)) && !allowance.take(Millis(160)));
        let later: Vec<bool> = (0..5).map(|_| allowance.take(Millis(9_000))).collect();
        assert_eq!(later, [true, true, true, false, false]);
    }
}
