//! Which of a full node's edges gives way to a newcomer.

use crate::ident::NodeId;
use crate::limits::NEIGHBOURS_MAX;
use crate::machine::Millis;
use crate::membership::message::MembershipMessage;
use crate::membership::neighbours::{
    LAN_FIRST_MAX, Neighbours, SPLIT_MS, Slot, Surroundings, index_of,
};

impl Neighbours {
    /// Whether a full node would part from a far neighbour for one on its LAN.
    pub(super) fn swaps_for_lan(&self, now: Millis) -> bool {
        now >= self.split_at
            && self.slots.len() == NEIGHBOURS_MAX
            && self.slots.iter().all(|slot| slot.agreed)
            && self.slots.iter().filter(|slot| slot.lan).count() < LAN_FIRST_MAX
    }

    /// Makes room for a newcomer by parting from a neighbour and sending it there: a far one, or one
    /// of a LAN that keeps to itself where the newcomer has nobody at all.
    pub(super) fn split(
        &mut self,
        around: &mut Surroundings<'_>,
        newcomer: NodeId,
        have: u8,
    ) -> bool {
        let others = |lan: bool| {
            let other = move |slot: &&Slot| slot.agreed && slot.lan == lan && slot.peer != newcomer;
            self.slots.iter().filter(other).map(|slot| slot.peer)
        };
        let mut open: Vec<NodeId> = others(false).collect();
        if open.is_empty() && have == 0 {
            open.extend(others(true));
        }
        let index = around.prng.below(open.len() as u64);
        let Some(leaving) = open.get(index_of(index)).copied() else {
            return false;
        };
        self.part(around, leaving, Some(newcomer));
        true
    }

    pub(super) fn part(
        &mut self,
        around: &mut Surroundings<'_>,
        leaving: NodeId,
        instead: Option<NodeId>,
    ) {
        self.split_at = around.now.plus(SPLIT_MS);
        self.slots.retain(|slot| slot.peer != leaving);
        around.send(leaving, MembershipMessage::NeighbourLeave { instead });
    }
}
