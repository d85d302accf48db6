//! Handing out the keys of secrets: to the devices that a document selects, and to managers that may hand
//! them on.

use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::catalog::{CONFIG, Catalog, HeldRevision};
use regatta_protocol::codec::{self, Name};
use regatta_protocol::config::selection::readers;
use regatta_protocol::crypto::seal::{BoxKey, DataKey, WrapPlace};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::Capability;

use super::{ActError, write};
use crate::crew::Handles;
use crate::ledger::LedgerView;

/// Wraps the keys of what was just written for everybody who may have them.
///
/// # Errors
/// When they are not written; then another manager cannot do it either, and the documents have to be
/// applied again.
pub async fn hand_out(
    handles: &Handles,
    entry: Hash,
    keys: Vec<(Name, DataKey)>,
) -> Result<(), ActError> {
    let mut prng = Prng::from_seed((handles.entropy)());
    write(handles, move |view| {
        if !view.papers.can(Capability::SecretWrap) {
            let why = "this manager's certificate does not let it hand out secrets (secret.wrap)";
            return Err(ActError::Invalid(why.to_owned()));
        }
        let mut drafts = Vec::new();
        for (name, key) in &keys {
            let catalog = view.replica.holdings().catalog();
            if let Some(held) = revision(catalog, &entry, name) {
                for (node, to) in readers(view.replica.holdings(), held) {
                    drafts.extend(wrap(view, held, key, (node, to), &mut prng));
                }
            }
        }
        Ok((drafts, ()))
    })
    .await?;
    Ok(())
}

fn revision<'a>(catalog: &'a Catalog, entry: &Hash, name: &Name) -> Option<&'a HeldRevision> {
    let mut held = catalog.held();
    held.find(|held| {
        held.entry == *entry && held.revision.kind == CONFIG && held.revision.name == *name
    })
}

/// The entry that hands a key to somebody, unless he has it; a device's in its own scope, so that no other
/// holds it.
#[must_use]
pub fn wrap(
    view: &LedgerView<'_>,
    held: &HeldRevision,
    key: &DataKey,
    (node, to): (NodeId, BoxKey),
    prng: &mut Prng,
) -> Option<Draft> {
    let holdings = view.replica.holdings();
    let fleet = holdings.record().fleet();
    let place = WrapPlace {
        fleet: &fleet,
        revision: &held.entry,
        node: &node,
    };
    let commitment = key.commitment();
    let mut there = holdings.wraps(&held.entry, &node);
    if there.any(|wrap| wrap.key == to && wrap.commitment == commitment) {
        return None;
    }
    let wrap = match key.wrap_for(&to, &place, prng) {
        Ok(wrap) => wrap,
        Err(error) => {
            tracing::warn!(%node, %error, "a secret is not sealed for somebody");
            return None;
        }
    };
    let wrap = DeviceWrap {
        revision: held.entry,
        commitment,
        node,
        key: to,
        wrap,
    };
    let mut draft = Draft::new(0, LedgerKind::Fleet, EntryKind::WRAP, codec::encode(&wrap));
    let is_manager = holdings
        .record()
        .managers()
        .values()
        .any(|it| it.node == node);
    draft.scope = (!is_manager).then_some(node);
    Some(draft)
}
