//! Which of two sessions with one peer stays: the lower id decides, and its word is the order.
//!
//! Two nodes that dial at once make two connections, and a node that lost a link dials again while
//! the other still believes in it. The two look alike but for one thing: how many sessions the
//! higher id had begun when it took the present one. What it began later, it began because it has
//! none; what it began before, crossed.

use crate::network::meeting::Cause;
use crate::network::word::Standing;

/// The session that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    pub(super) number: u32,
    /// How many sessions the higher id had begun when it took this one; none until it says so.
    pub(super) settled: Option<u64>,
    /// The higher id's start.
    pub(super) instance: u64,
    /// Whether the lower id dialled its connection.
    pub(super) lower_dialled: bool,
}

/// The session that could be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Whether the lower id began it.
    pub(super) lower_began: bool,
    /// Why, in the mind of whoever began it; of the higher id's causes only `Contact` is known.
    pub(super) cause: Cause,
    /// What the higher id says of itself.
    pub(super) theirs: Standing,
}

/// What the lower id decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// There is none: it is the first.
    First,
    /// It follows the present one, which hands over.
    Follow,
    /// It takes the place of one that the higher id has no more.
    Replace,
    /// The present one stays.
    Duplicate,
    /// The present one is not settled yet: ask again when it is.
    Wait,
}

/// The lower id's choice.
pub(super) fn choose(present: Option<Present>, candidate: Candidate) -> Choice {
    let Some(present) = present else {
        return Choice::First;
    };
    let Some(settled) = present.settled else {
        return Choice::Wait;
    };
    let theirs = candidate.theirs;
    if theirs.instance != present.instance {
        return Choice::Replace;
    }
    if candidate.lower_began {
        // The connection that the lower id dialled stays.
        let better = candidate.cause != Cause::Contact || !present.lower_dialled;
        return if better {
            Choice::Follow
        } else {
            Choice::Duplicate
        };
    }
    if theirs.begun <= settled {
        Choice::Duplicate
    } else if theirs.holds == present.number {
        Choice::Follow
    } else {
        Choice::Replace
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Choice, Present, choose};
    use crate::network::meeting::Cause;
    use crate::network::word::Standing;

    const PRESENT: Present = Present {
        number: 4,
        settled: Some(10),
        instance: 1,
        lower_dialled: true,
    };

    fn from_higher(begun: u64, holds: u32) -> Candidate {
        let theirs = Standing {
            instance: 1,
            begun,
            holds,
        };
        Candidate {
            lower_began: false,
            cause: Cause::Contact,
            theirs,
        }
    }

    fn from_lower(cause: Cause) -> Candidate {
        Candidate {
            lower_began: true,
            cause,
            ..from_higher(0, 4)
        }
    }

    #[test]
    fn the_connection_that_the_lower_id_dialled_stays() {
        assert_eq!(choose(Some(PRESENT), from_higher(10, 0)), Choice::Duplicate);
        let present = Present {
            lower_dialled: false,
            ..PRESENT
        };
        let candidate = from_lower(Cause::Contact);
        assert_eq!(choose(Some(present), candidate), Choice::Follow);
        assert_eq!(choose(Some(PRESENT), candidate), Choice::Duplicate);
    }

    #[test]
    fn whoever_comes_again_without_the_link_gets_another() {
        assert_eq!(choose(Some(PRESENT), from_higher(11, 0)), Choice::Replace);
        let mut restarted = from_higher(1, 0);
        restarted.theirs.instance = 2;
        assert_eq!(choose(Some(PRESENT), restarted), Choice::Replace);
    }

    #[test]
    fn renewals_and_better_paths_follow() {
        assert_eq!(choose(Some(PRESENT), from_higher(11, 4)), Choice::Follow);
        let renewal = from_lower(Cause::Renewal);
        assert_eq!(choose(Some(PRESENT), renewal), Choice::Follow);
    }

    #[test]
    fn nothing_is_decided_before_the_last_decision_has_arrived() {
        let present = Present {
            settled: None,
            ..PRESENT
        };
        assert_eq!(choose(Some(present), from_higher(11, 0)), Choice::Wait);
        assert_eq!(choose(None, from_higher(11, 0)), Choice::First);
    }
}
