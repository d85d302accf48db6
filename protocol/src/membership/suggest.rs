//! Whom a manager suggests as neighbours: ready nodes drawn by a mix of names, then seekers.

use std::collections::{BTreeMap, VecDeque};

use crate::ident::NodeId;
use crate::limits::SUGGESTIONS_MAX;
use crate::membership::homes::{fold, mix};

/// Nodes that lately asked, and so have places free.
const SEEKERS_MAX: usize = 16;
/// Of one answer so many are seekers at most: the rest keeps the graph mixed.
const SEEKERS_NAMED_MAX: usize = 3;

/// The ready nodes in an order that says nothing about them.
#[derive(Clone, Debug, Default)]
pub(super) struct Suggester {
    ring: BTreeMap<u64, NodeId>,
    seekers: VecDeque<NodeId>,
}

impl Suggester {
    /// A node can be a neighbour from now on, or cannot any more.
    pub(super) fn set(&mut self, node: NodeId, ready: bool) {
        let place = fold(&node);
        if ready {
            self.ring.insert(place, node);
        } else if self.ring.get(&place) == Some(&node) {
            self.ring.remove(&place);
            self.seekers.retain(|seeker| *seeker != node);
        }
    }

    /// Whom `seeker` should try in this round; the same question has the same answer.
    pub(super) fn suggest(&mut self, seeker: NodeId, round: u32) -> Vec<NodeId> {
        let mut peers = Vec::with_capacity(SUGGESTIONS_MAX);
        for draw in 0..SUGGESTIONS_MAX as u64 {
            let place = mix(fold(&seeker) ^ mix(u64::from(round) << 8 | draw));
            let after = self.ring.range(place..).next();
            let drawn = after.or_else(|| self.ring.first_key_value());
            if let Some((_, peer)) = drawn
                && *peer != seeker
                && !peers.contains(peer)
                && peers.len() < SUGGESTIONS_MAX - SEEKERS_NAMED_MAX
            {
                peers.push(*peer);
            }
        }
        // Last, because they have a home in common: the graph would fall apart along the homes.
        let others = self.seekers.iter().rev().filter(|other| **other != seeker);
        for other in others.take(SEEKERS_NAMED_MAX) {
            if !peers.contains(other) {
                peers.push(*other);
            }
        }
        self.seekers.retain(|known| *known != seeker);
        if self.seekers.len() == SEEKERS_MAX {
            self.seekers.pop_front();
        }
        self.seekers.push_back(seeker);
        peers
    }
}

#[cfg(test)]
mod tests {
    use super::Suggester;
    use crate::ident::NodeId;
    use crate::limits::SUGGESTIONS_MAX;

    #[test]
    fn suggestions_are_bounded_ready_and_never_the_seeker() {
        let mut suggester = Suggester::default();
        let node = |n: u8| NodeId([n; 16]);
        (0..100).for_each(|n| suggester.set(node(n), true));
        suggester.set(node(50), false);
        for round in 0..20 {
            for n in 0..100 {
                let peers = suggester.suggest(node(n), round);
                assert!((1..=SUGGESTIONS_MAX).contains(&peers.len()));
                assert!(!peers.contains(&node(n)));
                assert!(n == 51 || !peers.contains(&node(50)) || round > 0 || n > 50);
            }
        }
    }

    #[test]
    fn one_that_is_alone_gets_an_empty_answer() {
        let mut suggester = Suggester::default();
        suggester.set(NodeId([1; 16]), true);
        assert!(suggester.suggest(NodeId([1; 16]), 0).is_empty());
    }
}
