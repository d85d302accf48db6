//! What things are called: names for ids, words for states, texts for bytes.

use std::collections::BTreeMap;

use regatta_actors::ledger::LedgerView;
use regatta_protocol::ident::NodeId;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::roll::Roll;

use crate::control::api::Labels as LabelMap;

/// Names of everybody, by id.
pub(super) type Names = BTreeMap<NodeId, String>;

/// What everybody is called: managers as the root says, devices as they were enrolled.
pub(super) fn names(view: &LedgerView<'_>) -> Names {
    let holdings = view.replica.holdings();
    let devices = Roll::of(holdings).devices().into_iter();
    let mut names: Names = devices.map(|it| (it.node, it.name().to_string())).collect();
    for manager in holdings.record().managers().values() {
        names.insert(manager.node, manager.name.to_string());
    }
    for (node, credentials) in view.members {
        let name = || credentials.own().name.to_string();
        names.entry(*node).or_insert_with(name);
    }
    names
}

/// The name of a node, or the beginning of its id where nobody knows it.
pub(super) fn name_of(names: &Names, node: &NodeId) -> String {
    match names.get(node) {
        Some(name) => name.clone(),
        None => node.to_string()[..8].to_owned(),
    }
}

/// Labels as the API gives them.
pub(super) fn label_map(labels: &Labels) -> LabelMap {
    let pairs = labels.iter();
    pairs
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}
