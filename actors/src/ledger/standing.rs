//! Standing: who of those with whom there is a link is a full member now, who may only be renewed,
//! and who has to go.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::ActorProcessingErr;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::{Event, PeerInfo, Role};
use regatta_protocol::machine::Millis;
use regatta_protocol::trust::authority::{self, Credentials, Denial};
use regatta_protocol::trust::certificate::{Capability, Certificate, Rank};
use regatta_protocol::trust::roll::Roll;

use crate::ledger::LedgerMessage;
use crate::ledger::state::LedgerState;
use crate::network::NetworkMessage;
use crate::switchboard::Standing as Word;

/// How long a device may stay with a manager that does not renew it.
const RENEWED_WITHIN_MS: u64 = 2 * 60 * 1000;

/// Who is no full member now.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Members that may be renewed and exchange ledgers alone, and since when.
    pub(super) restricted: BTreeMap<NodeId, Millis>,
    /// Whether that is so of this very node, so that nobody takes more from it.
    own: bool,
    /// Whether a look is on its way already.
    asked: bool,
}

/// What the replica needs to know of a member: to who only came to be renewed nothing is open that
/// is for managers or for carriers.
pub(super) fn info(node: NodeId, credentials: &Credentials, is_whole: bool) -> PeerInfo {
    let own = credentials.own();
    let mut grants = own.grants.iter();
    PeerInfo {
        node,
        role: match own.rank {
            Rank::Manager if is_whole => Role::Manager,
            _ => Role::Agent,
        },
        carries: is_whole && grants.any(|grant| grant.capability == Capability::Carry),
    }
}

impl LedgerState {
    pub(super) fn stands(&self, who: &Credentials) -> Result<(), Denial> {
        let now = self.machine.reference(self.around.clock.now());
        authority::stands(self.machine.holdings().judgement(), who, now)
    }

    /// Whether this node's own certificate holds now, as far as it can tell.
    pub(super) fn is_whole(&self) -> bool {
        let record = self.machine.holdings().record();
        let own = authority::taken(record, &self.papers.certificate);
        own.is_none_or(|own| self.stands(&own).is_ok())
    }

    /// Whether a link is one of a full member, or goes on to be renewed alone; else why it ends.
    pub(super) fn may_stay(&self, peer: NodeId, who: &Credentials) -> Result<bool, Denial> {
        match self.stands(who) {
            Ok(()) => Ok(true),
            Err(denial) if denial.is_renewable() && self.may_wait(peer, who.own()) => Ok(false),
            Err(denial) => Err(denial),
        }
    }

    /// Whether somebody may come to be renewed: with a manager, one that is on the roll with this
    /// key, so that a certificate for an id that nobody enrolled opens nothing. Managers are renewed
    /// by testimony, wherever they are.
    fn may_wait(&self, peer: NodeId, own: &Certificate) -> bool {
        if !self.papers.is_manager() || own.rank == Rank::Manager {
            return true;
        }
        let enrolled = Roll::of(self.machine.holdings()).standing(&peer);
        enrolled.is_some_and(|it| it.is_live() && it.certificate.keys.sign == own.keys.sign)
    }

    /// Has all members looked at once this message is done.
    pub(super) fn ask_for_a_look(&mut self) {
        if !std::mem::replace(&mut self.driven.standing.asked, true) {
            // One that is gone needs no look.
            let _ = self.around.myself.cast(LedgerMessage::LookAtMembers);
        }
    }

    /// The same where somebody waits for it: what just came may be what it lacked.
    pub(super) fn ask_for_a_look_at_the_waiting(&mut self) {
        let standing = &self.driven.standing;
        if standing.own || !standing.restricted.is_empty() {
            self.ask_for_a_look();
        }
    }

    /// Time, orders and new certificates change who stands.
    pub(super) async fn look_at_members(&mut self) -> Result<(), ActorProcessingErr> {
        self.driven.standing.asked = false;
        let lacks = !self.is_whole();
        let changed = std::mem::replace(&mut self.driven.standing.own, lacks) != lacks;
        if changed && lacks {
            tracing::warn!("the own certificate does not hold now: only its renewal is open");
        }
        let peers: Vec<NodeId> = self.members.keys().copied().collect();
        for peer in peers {
            self.look_at_member(peer).await?;
            if changed {
                self.tell_whether_whole(peer);
            }
        }
        Ok(())
    }

    /// Whether a member stands as its link has it; else the link changes with it, or ends.
    pub(super) async fn look_at_member(&mut self, peer: NodeId) -> Result<(), ActorProcessingErr> {
        let Some(who) = self.members.get(&peer).map(Arc::clone) else {
            return Ok(());
        };
        let is_whole = match self.may_stay(peer, &who) {
            Ok(is_whole) => is_whole,
            Err(denial) => {
                tracing::warn!(%peer, %denial, "hanging up");
                self.around.tell_network(NetworkMessage::HangUp { peer });
                return Ok(());
            }
        };
        let now = self.around.clock.now();
        let restricted = &mut self.driven.standing.restricted;
        let since = restricted.get(&peer).copied();
        match (is_whole, since) {
            (true, Some(_)) => {
                restricted.remove(&peer);
                tracing::info!(%peer, "a full member again");
            }
            (false, None) => {
                restricted.insert(peer, now);
                tracing::info!(%peer, "no full member any more, until it is renewed");
                self.renew(peer, false);
            }
            (false, Some(since)) if now.since(since) >= RENEWED_WITHIN_MS => {
                // Managers are renewed by testimony, which may take its time.
                if self.papers.is_manager() && who.own().rank != Rank::Manager {
                    tracing::info!(%peer, "hanging up on one that was not renewed");
                    self.around.tell_network(NetworkMessage::HangUp { peer });
                }
            }
            (true, None) | (false, Some(_)) => {}
        }
        if is_whole == since.is_some() {
            let info = info(peer, &who, is_whole);
            self.run(Event::PeerChanged(info)).await?;
            self.tell_whether_whole(peer);
        }
        Ok(())
    }

    /// Who is no full member is none to membership either, nor does a node that is none itself take
    /// part in it.
    pub(super) fn tell_whether_whole(&self, peer: NodeId) {
        let standing = &self.driven.standing;
        let whole = !standing.own && !standing.restricted.contains_key(&peer);
        // A switchboard that is gone is started again together with this actor.
        let _ = self.around.switchboard.send(Word { peer, whole });
    }
}
