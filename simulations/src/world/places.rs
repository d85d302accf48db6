//! Which node is where.

use std::collections::BTreeMap;

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::Role;

use crate::ids::IdMap;
use crate::network::NodeIndex;
use crate::node::Node;

/// Where nodes are.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub of_node: IdMap<NodeId, NodeIndex>,
    pub managers: Vec<NodeIndex>,
    pub sites: BTreeMap<u32, Vec<NodeIndex>>,
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
