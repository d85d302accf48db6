//! What the ledger says of configuration, for this node.

use std::collections::BTreeMap;

use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::catalog::{CONFIG, ROLLOUT, RevisionId};
use regatta_protocol::config::rollout::{Rollouts, Unread};
use regatta_protocol::config::selection::Selection;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::BodyRef;

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
    /// Words of rollouts that are needed to say what a device is to take.
    pub(super) rollouts: Unread,
}

impl Seen {
    /// As it stands now.
    pub(super) fn of(view: &LedgerView<'_>, rollouts: &Rollouts) -> Self {
        let holdings = view.replica.holdings();
        let catalog = holdings.catalog();
        let own = &view.papers.certificate;
        if view.papers.is_manager() {
            let held = catalog.ids().filter_map(|id| {
                let held = catalog.revision(id)?;
                let known = [CONFIG, ROLLOUT].contains(&held.revision.kind);
                Some((*id, held.body.filter(|_| known)?))
            });
            return Self {
                bodies: held.collect(),
                ..Self::default()
            };
        }
        let labels = own.labels.with_name(&own.name);
        let (selection, unread) = rollouts.select(holdings, (&own.node, &labels));
        let wraps = selection.take.iter().map(|selected| {
            let entry = selected.chosen.entry;
            (entry, holdings.wraps(&entry, &own.node).cloned().collect())
        });
        Self {
            wraps: wraps.collect(),
            selection,
            bodies: Vec::new(),
            rollouts: unread,
        }
    }
}
