//! Where the effective tree changed, so that only what is made of those places is made anew.

use std::collections::BTreeSet;

use super::trie::{NodeId, Trie};
use crate::config::value::KeyPath;

/// Of more places than this the nearest place above them is named.
const PLACES_MAX: usize = 64;

/// Places at which, or below which, something changed; nothing changed anywhere else. What changed may
/// be named wider than it is, never narrower.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed(BTreeSet<KeyPath>);

impl Changed {
    pub(super) fn of(trie: &Trie, nodes: &[NodeId]) -> Self {
        let mut nodes: BTreeSet<NodeId> = nodes.iter().copied().collect();
        while nodes.len() > PLACES_MAX {
            let deepest = nodes.iter().map(|node| trie.depth(*node)).max();
            let lifted = nodes
                .iter()
                .map(|node| match Some(trie.depth(*node)) == deepest {
                    true => trie.parent(*node),
                    false => *node,
                });
            nodes = lifted.collect();
        }
        Self(nodes.iter().map(|node| trie.path_of(*node)).collect())
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what is at or below a place may have changed.
    #[must_use]
    pub fn touches(&self, path: &KeyPath) -> bool {
        self.0.iter().any(|changed| changed.overlaps(path))
    }

    /// The places.
    pub fn places(&self) -> impl Iterator<Item = &KeyPath> {
        self.0.iter()
    }

    /// Adds what changed in another step.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}
