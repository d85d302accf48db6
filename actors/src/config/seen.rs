//! What the ledger says of configuration, for this node.

use std::collections::BTreeMap;

use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::catalog::{CONFIG, ROLLOUT, RevisionId};
use regatta_protocol::codec::Name;
use regatta_protocol::config::selection::{Reach, Selection};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::selector::Labels;

use crate::ledger::LedgerView;

/// What the ledger says, for this node.
#[derive(Default)]
pub(super) struct Seen {
    /// What a device is to take.
    pub(super) selection: Selection,
    /// Wraps of secrets for this node, by the entry of their revision.
    pub(super) wraps: BTreeMap<Hash, Vec<DeviceWrap>>,
    /// On a manager: where the words of every revision are.
    pub(super) bodies: Vec<(RevisionId, BodyRef)>,
}

impl Seen {
    /// As it stands now.
    pub(super) fn of(view: &LedgerView<'_>) -> Self {
        let holdings = view.replica.holdings();
        let own = &view.papers.certificate;
        if view.papers.is_manager() {
            let held = holdings.catalog().ids().filter_map(|id| {
                let held = holdings.catalog().revision(id)?;
                let known = [CONFIG, ROLLOUT].contains(&held.revision.kind);
                Some((*id, held.body.filter(|_| known)?))
            });
            return Self {
                bodies: held.collect(),
                ..Self::default()
            };
        }
        let labels = own.labels.with_name(&own.name);
        let selection = Selection::of(holdings, &labels, reach(view, &labels, &own.node));
        let wraps = selection.take.iter().map(|selected| {
            let entry = selected.chosen.entry;
            (entry, holdings.wraps(&entry, &own.node).cloned().collect())
        });
        Self {
            wraps: wraps.collect(),
            selection,
            bodies: Vec::new(),
        }
    }
}

/// How far revisions that go out in waves have come, for one device.
pub fn reach<'a>(
    _: &'a LedgerView<'_>,
    _: &'a Labels,
    _: &'a NodeId,
) -> impl Fn(&Name, &RevisionId) -> Reach + 'a {
    |_, _| Reach::Unknown
}
