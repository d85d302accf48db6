//! What a node says of itself: signed anew when it changes, never for a keep-alive.

use crate::ident::NodeId;
use crate::machine::Millis;
use crate::membership::Identity;
use crate::membership::message::{Presence, Profile, SignedPresence};

/// A node's own presence.
#[derive(Clone, Debug)]
pub(super) struct Own {
    boot: u64,
    sequence: u64,
    profile: Profile,
    homes: Vec<NodeId>,
    puller: Option<NodeId>,
    signed: Option<SignedPresence>,
}

impl Own {
    /// Nothing is said yet in this boot.
    pub(super) fn new(boot: u64, profile: Profile) -> Self {
        Self {
            boot,
            sequence: 0,
            profile,
            homes: Vec::new(),
            puller: None,
            signed: None,
        }
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// Boot and sequence of what was said last.
    pub(super) fn version(&self) -> (u64, u64) {
        (self.boot, self.sequence)
    }

    /// What was said last.
    pub(super) fn signed(&self) -> Option<SignedPresence> {
        self.signed.clone()
    }

    /// Signs anew where something changed, and gives what is to be sent.
    pub(super) fn update(
        &mut self,
        me: &Identity,
        wall: Millis,
        homes: &[NodeId],
        puller: Option<NodeId>,
    ) -> Option<SignedPresence> {
        if self.signed.is_some() && self.homes == homes && self.puller == puller {
            return None;
        }
        self.homes = homes.to_vec();
        self.puller = puller;
        self.sequence += 1;
        let presence = Presence {
            node: me.node,
            boot: self.boot,
            sequence: self.sequence,
            wall,
            homes: self.homes.clone(),
            puller,
            keep_alive_ms: me.keep_alive_ms,
            profile: self.profile,
        };
        let signed = SignedPresence::seal(&presence, &me.fleet, &*me.sign);
        self.signed = Some(signed.clone());
        Some(signed)
    }
}
