//! What a node gives to another: nothing before trust is in step, and to nobody what is not for it.

use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{LedgerId, LedgerKind};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::Effect;

use crate::disk::Disk;
use crate::ids::{IdMap, IdSet};
use crate::invariants::bodies::BodyWatch;
use crate::invariants::config::ConfigWatch;
use crate::node::Node;

/// Whom a node may give what.
#[derive(Debug, Default)]
pub struct Given {
    /// Whether each node is a manager, and whether it may carry what is for others.
    members: IdMap<NodeId, (bool, bool)>,
    /// Who was once in step with whom on trust, since the first of the two started.
    agreed: IdSet<(NodeId, NodeId)>,
    /// Who may have which bodies.
    pub bodies: BodyWatch,
    /// What became of configuration.
    pub config: ConfigWatch,
}

impl Given {
    /// A node started: what it agreed on before is forgotten.
    pub fn started(&mut self, node: &Node) {
        let id = node.identity.node;
        let kind = (node.is_manager(), node.identity.carries);
        self.members.insert(id, kind);
        self.agreed.retain(|(from, _)| *from != id);
    }

    /// Looks at an effect before it is performed; `sent` are the entries that its message carries.
    pub fn effect(&mut self, node: &Node, effect: &Effect, sent: &[Hash]) -> Option<String> {
        let me = node.identity.node;
        match effect {
            Effect::Agreed(peer) => {
                self.agreed.insert((me, *peer));
                None
            }
            Effect::Send { to, message } => {
                let ledgers = named(message, sent, &node.disk);
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
                .filter_map(|hash| ledger_of(&node.disk, hash))
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
fn named(message: &Message, sent: &[Hash], disk: &Disk) -> Vec<LedgerId> {
    match message {
        Message::Push { .. } | Message::Entries { .. } => {
            let ledgers = sent.iter().filter_map(|hash| ledger_of(disk, hash));
            ledgers.collect()
        }
        Message::Announce { heads, .. } => heads.iter().map(|(ledger, _)| *ledger).collect(),
        Message::Heads(page) => page.ledgers.iter().map(|heads| heads.ledger).collect(),
        _ => Vec::new(),
    }
}

/// The ledger of an entry; one that is not on the disk must not be sent at all, which is looked at
/// elsewhere.
fn ledger_of(disk: &Disk, hash: &Hash) -> Option<LedgerId> {
    disk.entry(hash).map(|entry| entry.header.ledger)
}
