//! One identity on two machines: two starts of a node that both go on.
//!
//! A node that starts again never returns to an earlier start. So whoever hears a start on the node's
//! own link after a later one is hearing two machines with one key. Only own links count: what others
//! tell may be late, and what is signed may be replayed, but a link is proved anew by the key.
//!
//! Where each machine has its link to another manager, no one of them hears both. There it is time that
//! tells: we heard ours, then the other manager met the other start, and then we hear ours go on. Times
//! between managers are as exact as their messages are fast, hence [`APART_MS`]. What a network held up
//! may come long after its sender ended; but it comes at once, and its link ends behind it. So ours has
//! to be heard twice, and the other manager has to keep its own.

use std::collections::BTreeMap;

use crate::ident::NodeId;
use crate::machine::Millis;
use crate::membership::presence::{Moment, OBSERVER_FRESH_MS};

/// Between two managers' sightings that are told apart by time: a manager whose messages take longer
/// than half of it is cut off.
const APART_MS: u64 = 2 * OBSERVER_FRESH_MS;
/// What was held up has all come by this time after the first of it.
const BURST_MS: u64 = OBSERVER_FRESH_MS;
/// Starts of one node that are remembered beside the present one.
const STARTS_MAX: usize = 4;
/// Nodes of which earlier starts are remembered.
const NODES_MAX: usize = 4096;
/// It is said again after this.
const SAY_AGAIN_MS: u64 = 60_000;

/// That two machines go by one node's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    /// The starts of both: one that was heard on a link to us, and the other.
    pub boots: (u64, u64),
    /// Who has heard the other; ourselves where both came to us in turn.
    pub by: NodeId,
    /// When that was last so, in monotonic time.
    pub at: Millis,
}

/// A start that another manager has met while we hear another.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    boot: u64,
    by: NodeId,
    met: Moment,
    /// When we heard ours first after that.
    again: Option<Moment>,
}

/// Starts of nodes, as far as they tell two machines from one that started again.
#[derive(Clone, Debug, Default)]
pub(super) struct Twins {
    /// The latest start that each node has said on its own link to us.
    present: BTreeMap<NodeId, u64>,
    /// Those before, the latest last.
    earlier: BTreeMap<NodeId, Vec<u64>>,
    elsewhere: BTreeMap<NodeId, Elsewhere>,
    found: BTreeMap<NodeId, Twin>,
}

impl Twins {
    /// A node said so on its own link, and its signature holds. True where it is to be said that there
    /// are two of it.
    pub(super) fn heard(&mut self, node: NodeId, boot: u64, me: NodeId, now: Millis) -> bool {
        let Some(before) = self.present.insert(node, boot).filter(|it| *it != boot) else {
            return false;
        };
        if self.earlier.len() >= NODES_MAX && !self.earlier.contains_key(&node) {
            self.earlier.pop_first();
        }
        let earlier = self.earlier.entry(node).or_default();
        let again = earlier.contains(&boot);
        earlier.retain(|it| *it != boot && *it != before);
        if earlier.len() >= STARTS_MAX {
            earlier.remove(0);
        }
        earlier.push(before);
        again && self.find(node, (boot, before), me, now)
    }

    /// Another manager met a start of a node that has a link to us since `since`.
    pub(super) fn met_elsewhere(
        &mut self,
        node: NodeId,
        (boot, by): (u64, NodeId),
        met: Moment,
        since: Moment,
    ) {
        let other = self.present.get(&node).is_some_and(|ours| *ours != boot);
        let known = self.elsewhere.get(&node);
        let known = known.is_some_and(|it| (it.boot, it.by) == (boot, by));
        if other && !known && met >= since.plus(APART_MS) {
            let again = None;
            let elsewhere = Elsewhere {
                boot,
                by,
                met,
                again,
            };
            self.elsewhere.insert(node, elsewhere);
        }
    }

    /// Drops what managers met where `keeps` is false: they lost the node again, or fell silent, or
    /// know by now that they met the start that we hear.
    pub(super) fn keep_elsewhere(&mut self, keeps: impl Fn(&NodeId, &NodeId) -> bool) {
        self.elsewhere.retain(|node, it| keeps(node, &it.by));
    }

    /// Looks at those who were met elsewhere: `heard` says when each was last heard here, and nothing
    /// where its link is gone. Gives whom it is to be said of.
    pub(super) fn look(
        &mut self,
        heard: impl Fn(&NodeId) -> Option<Moment>,
        now: Millis,
    ) -> Vec<NodeId> {
        let mut say = Vec::new();
        for (node, mut elsewhere) in std::mem::take(&mut self.elsewhere) {
            let Some(heard) = heard(&node) else {
                continue;
            };
            let after = heard >= elsewhere.met.plus(APART_MS);
            let again = after.then(|| *elsewhere.again.get_or_insert(heard));
            if again.is_none_or(|again| heard < again.plus(BURST_MS)) {
                self.elsewhere.insert(node, elsewhere);
                continue;
            }
            let ours = self.present.get(&node).copied().unwrap_or_default();
            if self.find(node, (ours, elsewhere.boot), elsewhere.by, now) {
                say.push(node);
            }
        }
        say
    }

    fn find(&mut self, node: NodeId, boots: (u64, u64), by: NodeId, at: Millis) -> bool {
        let before = self.found.insert(node, Twin { boots, by, at });
        before.is_none_or(|before| at.since(before.at) >= SAY_AGAIN_MS)
    }

    pub(super) fn of(&self, node: &NodeId) -> Option<Twin> {
        self.found.get(node).copied()
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        self.present.remove(node);
        self.earlier.remove(node);
        self.elsewhere.remove(node);
        self.found.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::{APART_MS, BURST_MS, Moment, Twins};
    use crate::ident::NodeId;
    use crate::machine::Millis;

    const NODE: NodeId = NodeId([1; 16]);
    const ME: NodeId = NodeId([2; 16]);
    const OTHER: NodeId = NodeId([3; 16]);

    fn found(starts: &[u64]) -> bool {
        let mut twins = Twins::default();
        for boot in starts {
            twins.heard(NODE, *boot, ME, Millis(0));
        }
        twins.of(&NODE).is_some()
    }

    #[test]
    fn a_start_that_comes_back_is_another_machine_and_a_new_one_is_not() {
        for (starts, twins) in [
            (&[1][..], false),
            (&[1, 1, 1], false),
            (&[1, 2, 3, 4, 5, 6, 7, 8], false),
            (&[1, 2, 1], true),
            (&[1, 2, 3, 1], true),
            (&[1, 2, 3, 4, 2], true),
        ] {
            assert_eq!(found(starts), twins, "{starts:?}");
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::ago(Millis(millis), 0)
    }

    /// The other manager met a start while ours was here since 0.
    fn met(met: u64) -> Twins {
        let mut twins = Twins::default();
        twins.heard(NODE, 1, ME, Millis(0));
        twins.met_elsewhere(NODE, (2, OTHER), at(met), at(0));
        twins
    }

    /// Whether two are seen where ours was heard last at these times, one look after the other.
    fn seen(twins: &mut Twins, heard: &[Option<u64>]) -> bool {
        let now = Millis(1_000_000);
        let mut looks = heard.iter();
        looks.any(|heard| !twins.look(|_| heard.map(at), now).is_empty())
    }

    #[test]
    fn two_at_two_managers_are_told_apart_by_time() {
        let (first, on) = (2 * APART_MS, 2 * APART_MS + BURST_MS);
        for (begun, heard, two, what) in [
            (APART_MS, [Some(first), Some(on)], true, "both go on"),
            (
                APART_MS,
                [Some(9), Some(APART_MS + 1)],
                false,
                "a last word",
            ),
            (APART_MS, [Some(first), Some(on - 1)], false, "a burst"),
            (
                APART_MS - 1,
                [Some(first), Some(on)],
                false,
                "it moved to us",
            ),
            (APART_MS, [Some(first), None], false, "it left us"),
        ] {
            assert_eq!(seen(&mut met(begun), &heard), two, "{what}");
        }
    }

    #[test]
    fn a_start_that_another_manager_loses_again_was_the_one_before() {
        let mut twins = met(APART_MS);
        twins.keep_elsewhere(|node, by| (*node, *by) == (NODE, OTHER));
        assert!(!seen(&mut twins, &[Some(2 * APART_MS)]));
        twins.keep_elsewhere(|_, by| *by != OTHER);
        assert!(!seen(
            &mut twins,
            &[Some(9 * APART_MS), Some(99 * APART_MS)]
        ));
    }

    #[test]
    fn it_is_said_once_a_minute_and_forgotten_with_the_node() {
        let mut twins = Twins::default();
        let said =
            (0..240_u64).filter(|second| twins.heard(NODE, second % 2, ME, Millis(second * 1_000)));
        let said: Vec<u64> = said.collect();
        assert_eq!(said, [2]);
        twins.forget(&NODE);
        assert_eq!(twins.of(&NODE), None);
    }
}
