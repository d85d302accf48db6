//! What a node gives to another: nothing before trust is in step, and to nobody what is not for it.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{Entry, LedgerId, LedgerKind, Parcel};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::Effect;

use crate::invariants::bodies::BodyWatch;
use crate::node::Node;

/// Whom a node may give what.
#[derive(Debug, Default)]
pub struct Given {
    /// Whether each node is a manager, and whether it may carry what is for others.
    members: BTreeMap<NodeId, (bool, bool)>,
    /// Who was once in step with whom on trust, since the first of the two started.
    agreed: BTreeSet<(NodeId, NodeId)>,
    /// Who may have which bodies.
    pub bodies: BodyWatch,
}

impl Given {
    /// A node started: what it agreed on before is forgotten.
    pub fn started(&mut self, node: &Node) {
        let id = node.identity.node;
        let kind = (node.is_manager(), node.identity.carries);
        self.members.insert(id, kind);
        self.agreed.retain(|(from, _)| *from != id);
    }

    /// Looks at an effect before it is performed.
    pub fn effect(&mut self, node: &Node, effect: &Effect) -> Option<String> {
        let me = node.identity.node;
        match effect {
            Effect::Agreed(peer) => {
                self.agreed.insert((me, *peer));
                None
            }
            Effect::Send { to, message } => {
                let ledgers = named(message);
                let mut pairs = to
                    .iter()
                    .flat_map(|to| ledgers.iter().map(move |it| (to, it)));
                let parcels = match message {
                    Message::Push { parcels, .. } | Message::Entries { parcels, .. } => {
                        &parcels[..]
                    }
                    _ => &[],
                };
                pairs
                    .find_map(|(to, ledger)| self.refused(me, *to, ledger))
                    .or_else(|| self.bodies.sent(to, parcels.iter()))
            }
            Effect::SendStored { to, entries, .. } => entries
                .iter()
                .filter_map(|hash| node.disk.parcel(hash))
                .filter_map(ledger_of)
                .find_map(|ledger| self.refused(me, *to, &ledger)),
            _ => None,
        }
    }

    fn refused(&self, from: NodeId, to: NodeId, ledger: &LedgerId) -> Option<String> {
        if ledger.kind == LedgerKind::Trust {
            return None;
        }
        if !self.agreed.contains(&(from, to)) {
            return Some(format!(
                "I3: gave {to:?} {ledger:?} before trust was in step"
            ));
        }
        let (is_manager, carries) = self.members.get(&to).copied().unwrap_or_default();
        let may = match (ledger.kind, ledger.scope) {
            (LedgerKind::Fleet, None) => true,
            (LedgerKind::Fleet, Some(device)) => {
                is_manager || carries || device == to || device == from
            }
            _ => is_manager,
        };
        (!may).then(|| format!("I3: gave {to:?} {ledger:?}, which is not for it"))
    }
}

/// The ledgers of which a message gives entries, or heads that are held.
fn named(message: &Message) -> Vec<LedgerId> {
    match message {
        Message::Push { parcels, .. } | Message::Entries { parcels, .. } => {
            parcels.iter().cloned().filter_map(ledger_of).collect()
        }
        Message::Announce { heads, .. } => heads.iter().map(|(ledger, _)| *ledger).collect(),
        Message::Heads(page) => page.ledgers.iter().map(|heads| heads.ledger).collect(),
        _ => Vec::new(),
    }
}

fn ledger_of(parcel: Parcel) -> Option<LedgerId> {
    Entry::open(parcel).ok().map(|entry| entry.header.ledger)
}
