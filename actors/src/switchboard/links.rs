//! Links as membership is told of them: it knows full members alone.

use std::collections::{BTreeMap, VecDeque};

use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::NodeId;
use regatta_protocol::trust::authority::Credentials;
use regatta_protocol::trust::certificate::Rank;

use crate::membership::MembershipMessage;
use crate::network::Path;

/// Messages of one member that are kept until it is a full one: what two memberships say to each
/// other when a link comes up is less.
const HELD_EACH_MAX: usize = 16;
/// The same of all members together.
const HELD_MAX: usize = 256;

/// A link that is up.
struct Link {
    is_manager: bool,
    key: PublicKey,
    path: Path,
    /// Whether membership was told of it.
    told: bool,
}

impl Link {
    fn linked(&self, peer: NodeId) -> MembershipMessage {
        MembershipMessage::Linked {
            peer,
            is_manager: self.is_manager,
            key: self.key,
            path: self.path.clone(),
        }
    }
}

/// Every link that is up. Each change gives what membership is to be told, in this order.
#[derive(Default)]
pub(super) struct Links {
    links: BTreeMap<NodeId, Link>,
    /// What came from members that are no full ones yet: each side becomes one by a word of its own,
    /// and one of them first.
    held: VecDeque<(NodeId, MembershipMessage)>,
}

impl Links {
    pub(super) fn contains(&self, peer: &NodeId) -> bool {
        self.links.contains_key(peer)
    }

    pub(super) fn up(
        &mut self,
        peer: NodeId,
        credentials: &Credentials,
        path: Path,
        whole: bool,
    ) -> Option<MembershipMessage> {
        let own = credentials.own();
        let link = Link {
            is_manager: own.rank == Rank::Manager,
            key: own.keys.sign,
            path,
            told: whole,
        };
        let told = whole.then(|| link.linked(peer));
        self.links.insert(peer, link);
        told
    }

    pub(super) fn down(&mut self, peer: NodeId) -> Option<MembershipMessage> {
        self.held.retain(|(from, _)| *from != peer);
        let link = self.links.remove(&peer)?;
        link.told.then_some(MembershipMessage::Unlinked { peer })
    }

    pub(super) fn moved(&mut self, peer: NodeId, path: Path) -> Option<MembershipMessage> {
        let link = self.links.get_mut(&peer)?;
        link.path = path.clone();
        link.told
            .then_some(MembershipMessage::PathChanged { peer, path })
    }

    /// The ledger says whether a member is a full one.
    pub(super) fn stands(&mut self, peer: NodeId, whole: bool) -> Vec<MembershipMessage> {
        let Some(link) = self.links.get_mut(&peer) else {
            return Vec::new();
        };
        if std::mem::replace(&mut link.told, whole) == whole {
            return Vec::new();
        }
        if !whole {
            return vec![MembershipMessage::Unlinked { peer }];
        }
        let mut told = vec![link.linked(peer)];
        for (from, message) in std::mem::take(&mut self.held) {
            if from == peer {
                told.push(message);
            } else {
                self.held.push_back((from, message));
            }
        }
        told
    }

    /// A member says something to membership; kept, up to a bound, where it is no full one.
    pub(super) fn said(
        &mut self,
        from: NodeId,
        message: MembershipMessage,
    ) -> Option<MembershipMessage> {
        if self.links.get(&from).is_some_and(|link| link.told) {
            return Some(message);
        }
        let of_this = self.held.iter().filter(|(peer, _)| *peer == from).count();
        if self.contains(&from) && of_this < HELD_EACH_MAX && self.held.len() < HELD_MAX {
            self.held.push_back((from, message));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD_EACH_MAX, Link, Links};
    use crate::membership::MembershipMessage;
    use crate::network::{Address, Path};
    use regatta_protocol::crypto::sign::PublicKey;
    use regatta_protocol::ident::{Hash, NodeId};

    const PEER: NodeId = NodeId([7; 16]);

    fn path(relayed: bool) -> Path {
        let address: Address = "/memory/7".parse().expect("an address");
        Path {
            address,
            relayed,
            dialled: true,
        }
    }

    fn links(told: bool) -> Links {
        let link = Link {
            is_manager: false,
            key: PublicKey(Hash([7; 32])),
            path: path(false),
            told,
        };
        let mut links = Links::default();
        links.links.insert(PEER, link);
        links
    }

    fn message() -> MembershipMessage {
        MembershipMessage::Unlinked { peer: PEER }
    }

    #[test]
    fn who_is_no_full_member_is_no_link_until_it_is_one_and_then_nothing_overtakes_it() {
        let mut links = links(false);
        for _ in 0..2 * HELD_EACH_MAX {
            assert!(links.said(PEER, message()).is_none());
        }
        assert!(links.moved(PEER, path(true)).is_none());
        let told = links.stands(PEER, true);
        assert_eq!(told.len(), 1 + HELD_EACH_MAX);
        let relayed = matches!(&told[0], MembershipMessage::Linked { path, .. } if path.relayed);
        assert!(relayed, "told of it first, as it is now");
        assert!(links.stands(PEER, true).is_empty(), "told once");
        assert!(links.said(PEER, message()).is_some());
    }

    #[test]
    fn who_lapses_in_mid_session_is_no_link_any_more() {
        let mut links = links(true);
        let told = links.stands(PEER, false);
        assert!(matches!(told[..], [MembershipMessage::Unlinked { .. }]));
        assert!(links.said(PEER, message()).is_none());
        assert!(links.down(PEER).is_none(), "it knows of none");
        assert!(links.stands(PEER, true).is_empty(), "it is gone");
        assert!(links.said(PEER, message()).is_none());
    }
}
