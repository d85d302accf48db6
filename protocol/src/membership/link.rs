//! One link to one peer: when it was heard, whether an answer is due, how much it may still say.

use crate::machine::Millis;

/// How many messages a peer may send: this many at once, and so many a second.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    burst: u16,
    per_second: u16,
    /// Refused messages, without a pause to fill the bucket, after which the link is cut.
    refused_max: u16,
}

/// A node has a keep-alive, a presence now and then, and a few words with neighbours.
const NODE: Allowance = Allowance {
    burst: 40,
    per_second: 4,
    refused_max: 400,
};
/// A manager that meets another again sends a whole fleet's sightings, 150 to a message.
const MANAGER: Allowance = Allowance {
    burst: 4000,
    per_second: 500,
    refused_max: 8000,
};

/// What is to become of a message that has just come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Read it.
    Read,
    /// Drop it; the first of a flood.
    Refuse,
    /// Drop it, as those before.
    RefuseAgain,
    /// Drop it and cut the link.
    Cut,
}

/// An answer that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Until when.
    pub until: Millis,
    /// Whether to ask once more before the link counts as dead.
    pub again: bool,
}

/// A token bucket in eight bytes.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u16,
    refused: u16,
    /// Low bits of the second of the last refill.
    second: u32,
}

/// One link. Small: a node holds a handful, a manager 40,000.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Whether the peer's certificate says manager.
    pub is_manager: bool,
    /// Since when.
    pub since: Millis,
    /// When anything last came.
    pub heard: Millis,
    /// An answer that we wait for.
    pub due: Option<Due>,
    /// On a manager: what is known of the node at the other end.
    pub guest: Guest,
    bucket: Bucket,
}

/// What a manager keeps on the link itself, so that a keep-alive costs one look-up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guest {
    /// Which presence of it is held: boot and sequence, mixed.
    pub said: u64,
    /// Its keep-alive.
    pub keep_alive_ms: u32,
    /// When its silence is looked at next; an entry in the manager's list of lapses.
    pub lapse_at: Millis,
    /// Whether our own sighting of it is up.
    pub up: bool,
    /// Whether we pull from it.
    pub pulled: bool,
}

impl Link {
    /// A new link at `now`.
    pub(super) fn new(now: Millis, is_manager: bool) -> Self {
        let allowance = if is_manager { MANAGER } else { NODE };
        Self {
            is_manager,
            since: now,
            heard: now,
            due: None,
            guest: Guest::default(),
            bucket: Bucket {
                tokens: allowance.burst,
                refused: 0,
                second: second(now),
            },
        }
    }

    /// Counts a message that has come and says what is to become of it.
    pub(super) fn admit(&mut self, now: Millis) -> Admission {
        let allowance = if self.is_manager { MANAGER } else { NODE };
        let bucket = &mut self.bucket;
        let elapsed = second(now).wrapping_sub(bucket.second);
        if elapsed > 0 {
            bucket.second = second(now);
            let refill = elapsed.saturating_mul(u32::from(allowance.per_second));
            let tokens = u32::from(bucket.tokens).saturating_add(refill);
            let full = u32::from(allowance.burst);
            if tokens >= full {
                bucket.refused = 0;
            }
            bucket.tokens = u16::try_from(tokens.min(full)).unwrap_or(allowance.burst);
        }
        if let Some(left) = bucket.tokens.checked_sub(1) {
            bucket.tokens = left;
            return Admission::Read;
        }
        bucket.refused = bucket.refused.saturating_add(1);
        match bucket.refused {
            1 => Admission::Refuse,
            count if count >= allowance.refused_max => Admission::Cut,
            _ => Admission::RefuseAgain,
        }
    }
}

fn second(now: Millis) -> u32 {
    u32::try_from((now.0 / 1000) & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Admission, Link};
    use crate::machine::Millis;

    #[test]
    fn a_flood_is_refused_within_a_second_and_cut_soon_after() {
        let mut link = Link::new(Millis(0), false);
        let verdicts: Vec<_> = (0..1000).map(|i| link.admit(Millis(i / 10))).collect();
        assert_eq!(
            verdicts.iter().position(|v| *v == Admission::Refuse),
            Some(40)
        );
        assert!(verdicts.contains(&Admission::Cut));
    }

    #[test]
    fn four_messages_a_second_are_read_for_ever() {
        let mut link = Link::new(Millis(0), false);
        assert!((0..4000).all(|i| link.admit(Millis(i * 250)) == Admission::Read));
    }

    #[test]
    fn a_peer_that_calmed_down_is_heard_again() {
        let mut link = Link::new(Millis(0), false);
        for _ in 0..100 {
            link.admit(Millis(0));
        }
        assert_eq!(link.admit(Millis(10_000)), Admission::Read);
        assert_eq!(link.bucket.refused, 0);
    }
}
