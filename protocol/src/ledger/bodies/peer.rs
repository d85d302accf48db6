//! What is known of a neighbour, and how much it may ask for.

use crate::machine::Millis;

/// Cost that a neighbour may cause at once.
const BURST: u64 = 512;
/// Cost that it may cause each second for ever.
const PER_SECOND: u64 = 128;
/// A request: signatures have to be checked.
pub(super) const REQUEST_COST: u64 = 8;
/// A message that fits nothing that is under way.
pub(super) const STRAY_COST: u64 = 1;
/// Messages over budget, without a pause, after which it is no accident: an honest neighbour passes
/// on no more than its own table of routes lets it.
const DROPPED_MAX: u32 = 2_048;

/// A connected member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Managers are asked first: they hold what others lack.
    pub manager: bool,
    /// It was reported and is to be hung up on; nothing more is said to it or heard from it.
    pub condemned: bool,
    left: u64,
    since: Millis,
    dropped: u32,
}

/// What becomes of a message by its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It is paid for.
    Paid,
    /// It is not looked at.
    Over,
    /// It is not looked at, and too many were not.
    Flood,
}

impl Peer {
    pub fn new(manager: bool, now: Millis) -> Self {
        Self {
            manager,
            condemned: false,
            left: BURST,
            since: now,
            dropped: 0,
        }
    }

    /// Takes `cost` from the budget.
    pub fn spend(&mut self, now: Millis, cost: u64) -> Spent {
        let earned = now.since(self.since).saturating_mul(PER_SECOND) / 1000;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.since = now;
        }
        if self.left == BURST {
            self.dropped = 0;
        }
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Spent::Paid
            }
            None => {
                self.dropped = self.dropped.saturating_add(1);
                if self.dropped > DROPPED_MAX {
                    Spent::Flood
                } else {
                    Spent::Over
                }
            }
        }
    }
}
