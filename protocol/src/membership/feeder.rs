//! Which one peer pushes news to a node: the home that pulls from it, else the nearest neighbour.

use crate::ident::NodeId;
use crate::limits::{HOMES_MAX, NEIGHBOURS_MAX};
use crate::machine::Millis;

/// A feeder that failed is not asked again for so long.
const FAILED_MS: u64 = 60_000;
/// Hops of a neighbour that has not said: the farthest.
const HOPS_UNKNOWN: u8 = u8::MAX;
/// A neighbour must be nearer by so many hops to replace another: distances sway.
const HOPS_BETTER_MIN: u8 = 2;
const FAILED_MAX: usize = HOMES_MAX + NEIGHBOURS_MAX;

/// The choice, and what it rests on.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeder {
    current: Option<NodeId>,
    hops: Vec<(NodeId, u8)>,
    failed: Vec<(NodeId, Millis)>,
}

impl Feeder {
    /// Who feeds now.
    pub(super) fn current(&self) -> Option<NodeId> {
        self.current
    }

    /// When [`Self::choose`] is wanted because a failure is forgiven.
    pub(super) fn due(&self) -> Option<Millis> {
        self.failed.iter().map(|(_, until)| *until).min()
    }

    /// How far from the news a peer says it is.
    pub(super) fn set_hops(&mut self, peer: NodeId, hops: u8) {
        match self.hops.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, known)) => *known = hops,
            None => self.hops.push((peer, hops)),
        }
    }

    /// A peer announced and never pushed.
    pub(super) fn failed(&mut self, now: Millis, peer: NodeId) {
        self.failed.retain(|(known, _)| *known != peer);
        if self.failed.len() == FAILED_MAX {
            self.failed.remove(0);
        }
        self.failed.push((peer, now.plus(FAILED_MS)));
    }

    /// Chooses anew; tells whether the choice is another.
    pub(super) fn choose(
        &mut self,
        now: Millis,
        puller: Option<NodeId>,
        homes: &[NodeId],
        neighbours: &[NodeId],
    ) -> bool {
        self.failed.retain(|(_, until)| *until > now);
        self.hops
            .retain(|(peer, _)| homes.contains(peer) || neighbours.contains(peer));
        let usable = |peer: &&NodeId| self.failed.iter().all(|(failed, _)| failed != *peer);
        let home = puller.iter().chain(homes).find(usable).copied();
        let choice = home.or_else(|| {
            let near = neighbours
                .iter()
                .filter(usable)
                .min_by_key(|peer| (self.hops_of(peer), **peer))
                .copied()?;
            let kept = self.current.filter(|current| {
                neighbours.contains(current)
                    && usable(&current)
                    && self.hops_of(current).saturating_sub(self.hops_of(&near)) < HOPS_BETTER_MIN
            });
            kept.or(Some(near))
        });
        let changed = choice != self.current;
        self.current = choice;
        changed
    }

    fn hops_of(&self, peer: &NodeId) -> u8 {
        let found = self.hops.iter().find(|(known, _)| known == peer);
        found.map_or(HOPS_UNKNOWN, |(_, hops)| *hops)
    }
}

#[cfg(test)]
mod tests {
    use super::Feeder;
    use crate::ident::NodeId;
    use crate::machine::Millis;

    const A: NodeId = NodeId([1; 16]);
    const B: NodeId = NodeId([2; 16]);
    const C: NodeId = NodeId([3; 16]);

    #[test]
    fn the_home_that_pulls_comes_first_then_the_nearest_neighbour() {
        let mut feeder = Feeder::default();
        assert!(feeder.choose(Millis(0), Some(B), &[A, B], &[C]));
        assert_eq!(feeder.current(), Some(B));
        feeder.set_hops(A, 3);
        feeder.set_hops(C, 1);
        assert!(feeder.choose(Millis(0), None, &[], &[A, C]));
        assert_eq!(feeder.current(), Some(C));
        assert!(feeder.choose(Millis(0), None, &[], &[]));
        assert_eq!(feeder.current(), None);
    }

    #[test]
    fn one_hop_more_or_less_changes_nothing() {
        let mut feeder = Feeder::default();
        feeder.choose(Millis(0), None, &[], &[A, B]);
        feeder.set_hops(A, 3);
        feeder.set_hops(B, 2);
        assert!(!feeder.choose(Millis(0), None, &[], &[A, B]));
    }

    #[test]
    fn who_failed_is_not_taken_back_within_a_minute() {
        let mut feeder = Feeder::default();
        feeder.choose(Millis(0), Some(A), &[A, B], &[]);
        feeder.failed(Millis(5), A);
        assert!(feeder.choose(Millis(5), Some(A), &[A, B], &[]));
        assert_eq!(feeder.current(), Some(B));
        assert!(!feeder.choose(Millis(59_000), Some(A), &[A, B], &[]));
        assert_eq!(feeder.due(), Some(Millis(60_005)));
        assert!(feeder.choose(Millis(60_005), Some(A), &[A, B], &[]));
        assert_eq!(feeder.current(), Some(A));
    }
}
