//! Which node is where.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::Role;

use crate::network::NodeIndex;
use crate::node::Node;

/// Where nodes are.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub of_node: HashMap<NodeId, NodeIndex, BuildHasherDefault<IdHasher>>,
    pub managers: Vec<NodeIndex>,
    pub sites: BTreeMap<u32, Vec<NodeIndex>>,
}

/// Ids are random already: eight of their bytes are hash enough.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(eight) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*eight);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

impl Places {
    pub fn add(&mut self, node: &Node, index: NodeIndex) {
        self.of_node.entry(node.identity.node).or_insert(index);
        if node.identity.role == Role::Manager {
            self.managers.push(index);
        }
        if let Some(site) = node.place.site {
            self.sites.entry(site).or_default().push(index);
        }
    }
}
