//! Who pulls from whom, and what membership must not do.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::{HangUpReason, MembershipEffect};

use crate::invariants::Invariants;
use crate::network::NodeIndex;
use crate::node::Node;
use crate::pulled::check::Streams;

/// Who pulls from whom, and what came of it.
#[derive(Debug, Default)]
pub struct Pulls {
    /// By manager: the devices that it was told to pull from.
    told: BTreeMap<NodeId, BTreeSet<NodeId>>,
    /// The ledgers that are pulled.
    pub streams: Streams,
}

impl Pulls {
    /// How many managers pull from each device.
    #[must_use]
    pub fn by_device(&self) -> BTreeMap<NodeId, BTreeSet<NodeId>> {
        let mut pullers: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
        for (manager, devices) in &self.told {
            for device in devices {
                pullers.entry(*device).or_default().insert(*manager);
            }
        }
        pullers
    }
}

impl Invariants {
    /// A node is down: it pulls from nobody.
    pub fn stopped(&mut self, node: NodeId) {
        self.pulls.told.remove(&node);
    }

    /// Looks at an effect of membership before it is performed.
    pub fn membership_effect(
        &mut self,
        index: NodeIndex,
        node: &Node,
        now: Millis,
        effect: &MembershipEffect,
    ) {
        let me = node.identity.node;
        let broken = match effect {
            MembershipEffect::StartPulling { device } => {
                let new = self.pulls.told.entry(me).or_default().insert(*device);
                (!new).then(|| format!("I5: told twice to pull from {device:?}"))
            }
            MembershipEffect::StopPulling { device } => {
                let known = self.pulls.told.entry(me).or_default().remove(device);
                (!known).then(|| format!("I5: told to stop a pull from {device:?} that was none"))
            }
            MembershipEffect::HangUp {
                peer,
                reason: HangUpReason::Flood,
            } => (!self.hostile.contains(peer))
                .then(|| "I7: membership hung up on an honest member for a flood".to_owned()),
            MembershipEffect::Misbehaved { peer, reason } => (!self.hostile.contains(peer))
                .then(|| format!("I7: an honest member is blamed for {reason:?}")),
            MembershipEffect::Cloned { node } => (!self.hostile.contains(node))
                .then(|| format!("I7: one machine is taken for two: {node:?}")),
            MembershipEffect::HangUp { .. }
            | MembershipEffect::Dial { .. }
            | MembershipEffect::Send { .. }
            | MembershipEffect::SetFeeder(_)
            | MembershipEffect::PresenceChanged { .. }
            | MembershipEffect::PresencesChanged { .. }
            | MembershipEffect::Remember { .. } => None,
        };
        if let Some(what) = broken {
            self.broken(now, index, what);
        }
    }
}
