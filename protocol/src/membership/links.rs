//! All links of one node: a short list on most nodes, a tree on a manager.

use std::collections::BTreeMap;

use crate::ident::NodeId;
use crate::membership::link::Link;

/// Up to so many links lie in a list: a tree's node would hold eleven for the six that there are.
const FEW_MAX: usize = 16;

/// Links by peer, in order of id. One of the two parts is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    few: Vec<(NodeId, Link)>,
    many: BTreeMap<NodeId, Link>,
    changes: u64,
}

impl Links {
    fn find(&self, peer: &NodeId) -> Result<usize, usize> {
        self.few.binary_search_by(|(id, _)| id.cmp(peer))
    }

    /// A number that is another one whenever a link has come or gone.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// The link to a peer.
    pub(super) fn get(&self, peer: &NodeId) -> Option<&Link> {
        if !self.many.is_empty() {
            return self.many.get(peer);
        }
        let index = self.find(peer).ok()?;
        Some(&self.few[index].1)
    }

    /// The link to a peer, to change it.
    pub(super) fn get_mut(&mut self, peer: &NodeId) -> Option<&mut Link> {
        if !self.many.is_empty() {
            return self.many.get_mut(peer);
        }
        let index = self.find(peer).ok()?;
        Some(&mut self.few[index].1)
    }

    /// Whether there is a link to a peer.
    pub(super) fn contains_key(&self, peer: &NodeId) -> bool {
        self.get(peer).is_some()
    }

    /// Adds a link, in place of an older one to the same peer.
    pub(super) fn insert(&mut self, peer: NodeId, link: Link) {
        self.changes += 1;
        if self.many.is_empty() && self.few.len() < FEW_MAX {
            match self.find(&peer) {
                Ok(index) => self.few[index].1 = link,
                Err(index) => {
                    self.few.reserve_exact(1);
                    self.few.insert(index, (peer, link));
                }
            }
        } else {
            self.many.extend(std::mem::take(&mut self.few));
            self.many.insert(peer, link);
        }
    }

    /// Takes a link out. What has grown into a tree stays one until it is empty.
    pub(super) fn remove(&mut self, peer: &NodeId) -> Option<Link> {
        self.changes += 1;
        if !self.many.is_empty() {
            return self.many.remove(peer);
        }
        let index = self.find(peer).ok()?;
        Some(self.few.remove(index).1)
    }

    /// All, in order of id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Link)> {
        let few = self.few.iter().map(|(id, link)| (id, link));
        few.chain(&self.many)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{FEW_MAX, Links};
    use crate::ident::NodeId;
    use crate::machine::Millis;
    use crate::membership::link::Link;
    use crate::prng::Prng;

    #[test]
    fn list_and_tree_behave_as_one_map() {
        let mut prng = Prng::from_number(1);
        let (mut links, mut model) = (Links::default(), BTreeMap::new());
        for step in 0..20_000_u64 {
            let peer = NodeId([u8::try_from(prng.below(40)).unwrap_or(0); 16]);
            // Grows for a while, shrinks for a while, so that both forms come and go.
            let grows = if step / 500 % 2 == 0 {
                700_000
            } else {
                100_000
            };
            if prng.chance(grows) {
                links.insert(peer, Link::new(Millis(step), false));
                model.insert(peer, Millis(step));
            } else {
                let removed = links.remove(&peer).map(|link| link.since);
                assert_eq!(removed, model.remove(&peer));
            }
            assert!(links.few.is_empty() || links.many.is_empty());
            assert!(links.few.len() <= FEW_MAX && links.len() == model.len());
            assert!(links.iter().map(|(id, link)| (id, &link.since)).eq(&model));
            assert_eq!(links.get(&peer).map(|l| l.since), model.get(&peer).copied());
        }
    }
}
