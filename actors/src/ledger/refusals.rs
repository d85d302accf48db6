//! Whom this node refuses: said once in a while for each, however often it comes.

use std::collections::BTreeMap;

use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;

/// Between two warnings of one peer.
const QUIET_MS: u64 = 60_000;
/// Peers that are remembered; of more, the one that was warned of longest ago is forgotten.
const PEERS_MAX: usize = 1024;

/// When it was last warned of each.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<NodeId, Millis>);

impl Refusals {
    /// Whether this refusal is worth a warning.
    fn is_news(&mut self, peer: NodeId, now: Millis) -> bool {
        if let Some(said) = self.0.get(&peer)
            && now.since(*said) < QUIET_MS
        {
            return false;
        }
        if self.0.len() >= PEERS_MAX && !self.0.contains_key(&peer) {
            let oldest = self.0.iter().min_by_key(|(_, said)| **said);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(peer, now);
        true
    }

    /// Says that a peer was refused, and why.
    pub(super) fn say(&mut self, peer: NodeId, now: Millis, why: &dyn std::fmt::Display) {
        if self.is_news(peer, now) {
            tracing::warn!(%peer, %why, "refused; said once a minute, however often it comes");
        } else {
            tracing::debug!(%peer, %why, "refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PEERS_MAX, QUIET_MS, Refusals};
    use regatta_protocol::ident::NodeId;
    use regatta_protocol::machine::Millis;

    fn node(number: usize) -> NodeId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        NodeId(bytes)
    }

    #[test]
    fn a_refused_node_that_keeps_dialling_is_said_once_a_minute() {
        let mut refusals = Refusals::default();
        assert!(refusals.is_news(node(1), Millis(0)));
        assert!(!refusals.is_news(node(1), Millis(QUIET_MS - 1)));
        assert!(refusals.is_news(node(2), Millis(5)), "another");
        assert!(refusals.is_news(node(1), Millis(QUIET_MS)));
    }

    #[test]
    fn more_peers_than_are_remembered_take_the_oldest_place() {
        let mut refusals = Refusals::default();
        for number in 0..=PEERS_MAX {
            let now = Millis(number as u64);
            assert!(refusals.is_news(node(number), now));
        }
        assert_eq!(refusals.0.len(), PEERS_MAX);
        assert!(refusals.is_news(node(0), Millis(PEERS_MAX as u64)));
    }
}
