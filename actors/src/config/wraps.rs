//! Handing the keys of secrets to devices that came, or were selected, after a document was written.

use ractor::ActorProcessingErr;
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::config::document::Secrets;
use regatta_protocol::config::rollout::{can, turn};
use regatta_protocol::config::selection::readers;
use regatta_protocol::crypto::seal::{BoxSecret, DataKey, WrapPlace};
use regatta_protocol::ident::NodeId;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::Capability;
use tokio::sync::oneshot;

use super::OpenedSecrets;
use super::library::Opener;
use super::state::ConfigState;
use crate::acts::secrets::wrap;
use crate::ledger::{LedgerMessage, LedgerView};

/// Wraps that one entry's worth of work makes; the others come at the next look.
const WRAPS_MAX: usize = 64;

/// The key of a revision's secrets, by the wrap that is for this node.
fn own_key(view: &LedgerView<'_>, id: &RevisionId, opener: &Opener) -> Option<DataKey> {
    let holdings = view.replica.holdings();
    let held = holdings.catalog().revision(id)?;
    let place = WrapPlace {
        fleet: &opener.fleet,
        revision: &held.entry,
        node: &opener.node,
    };
    let secret: &BoxSecret = &opener.secret;
    let mut wraps = holdings.wraps(&held.entry, &opener.node);
    wraps.find_map(|held| held.wrap.unwrap_key(secret, &place).ok())
}

/// Whether a revision may still be taken by somebody: it holds, or lost to one made without seeing it, or
/// goes out in waves and something stands behind it.
fn is_current(view: &LedgerView<'_>, id: &RevisionId) -> bool {
    let catalog = view.replica.holdings().catalog();
    let held = catalog.revision(id);
    let heads = held.and_then(|held| catalog.heads(&held.document()));
    heads.is_some_and(|heads| heads.winner == *id || heads.conflicts.contains(id))
}

impl ConfigState {
    /// The texts of a revision's secrets; none where no wrap of their key is for this node.
    pub(super) async fn open_secrets(
        &self,
        id: RevisionId,
        secrets: &Secrets,
    ) -> Result<Option<OpenedSecrets>, ActorProcessingErr> {
        let opener = self.driven.opener.clone();
        let node = opener.node;
        let found = self.look(move |view| {
            let holdings = view.replica.holdings();
            let entry = holdings.catalog().revision(&id)?.entry;
            let wraps: Vec<DeviceWrap> = holdings.wraps(&entry, &node).cloned().collect();
            Some((entry, wraps))
        });
        let found = found.await?;
        Ok(found.and_then(|(entry, wraps)| opener.open(&entry, secrets, &wraps)))
    }

    /// Hands out what is missing, where it is this manager's turn.
    pub(super) async fn hand_out_keys(&mut self) -> Result<(), ActorProcessingErr> {
        if self.documents.sealed.is_empty() || self.driving.hands_out {
            return Ok(());
        }
        let (managers, me) = (self.hear().await?.managers, self.driven.opener.node);
        let sealed = self.documents.sealed.clone();
        let mine = self.look(move |view| {
            let holdings = view.replica.holdings();
            let may = |it: &NodeId| can(holdings, it, Capability::SecretWrap, &[]);
            let managers: Vec<NodeId> = managers.into_iter().filter(may).collect();
            let sealed = sealed.into_iter();
            let mine = sealed.filter(|id| turn(id, managers.iter().copied()) == Some(me));
            mine.collect::<Vec<RevisionId>>()
        });
        let mine = mine.await?;
        if mine.is_empty() {
            return Ok(());
        }
        let (opener, mut prng) = (self.driven.opener.clone(), self.driving.prng.branch());
        self.driving.hands_out = true;
        let decide =
            Box::new(move |view: &LedgerView<'_>| missing(view, &mine, &opener, &mut prng));
        let (answer, written) = oneshot::channel();
        let ledger = &self.driven.beside.ledger;
        ledger.cast(LedgerMessage::Write { decide, answer })?;
        let myself = self.driven.myself.clone();
        tokio::spawn(async move {
            if let Ok(Err(error)) = written.await {
                tracing::warn!(%error, "the keys of secrets are not handed out");
            }
            // One that is gone is started again.
            let _ = myself.cast(super::ConfigMessage::KeysHandedOut);
        });
        Ok(())
    }
}

fn missing(
    view: &LedgerView<'_>,
    mine: &[RevisionId],
    opener: &Opener,
    prng: &mut Prng,
) -> Vec<regatta_protocol::ledger::replica::author::Draft> {
    let catalog = view.replica.holdings().catalog();
    let mut drafts = Vec::new();
    for id in mine.iter().filter(|id| is_current(view, id)) {
        let Some((held, key)) = catalog.revision(id).zip(own_key(view, id, opener)) else {
            continue;
        };
        for reader in readers(view.replica.holdings(), held) {
            if drafts.len() >= WRAPS_MAX {
                return drafts;
            }
            drafts.extend(wrap(view, held, &key, reader, prng));
        }
    }
    drafts
}
