//! Whom the ledger talks to, and where others hear of what changes.

use ractor::ActorRef;
use regatta_protocol::ledger::entry::{BodyRef, Entry};
use tokio::sync::{mpsc, watch};

use crate::bodies::BodiesMessage;
use crate::clock::{Clock, ClockWatch, ReferenceClock};
use crate::identity::Papers;
use crate::ledger::LedgerMessage;
use crate::membership::MembershipMessage;
use crate::network::NetworkMessage;
use crate::store::Store;
use crate::switchboard::Standing;

/// What others follow.
pub struct Tidings {
    /// The node's certificate as it is used now, see [`current_papers`].
    pub papers: watch::Sender<Papers>,
    /// How many entries became durable here since the actor started, its own and others'.
    pub stored: watch::Sender<u64>,
}

/// Everybody whom the ledger talks to.
pub(super) struct Around {
    pub(super) myself: ActorRef<LedgerMessage>,
    pub(super) store: Store,
    pub(super) network: ActorRef<NetworkMessage>,
    pub(super) membership: Option<ActorRef<MembershipMessage>>,
    pub(super) switchboard: mpsc::UnboundedSender<Standing>,
    pub(super) clock: Clock,
    pub(super) watch: ClockWatch,
    pub(super) reference: ReferenceClock,
    /// Once it is there.
    pub(super) bodies: Option<ActorRef<BodiesMessage>>,
    pub(super) tidings: Tidings,
}

impl Around {
    /// To membership, once it is there; it is told all that it needs when it is introduced.
    pub(super) fn tell_membership(&self, message: MembershipMessage) {
        if let Some(membership) = &self.membership {
            // One that is gone is started again together with this actor.
            let _ = membership.cast(message);
        }
    }

    /// A body that rode along is kept where bodies are.
    pub(super) fn tell_bodies(&self, entry: &Entry) {
        let body = entry.header.body.zip(entry.riding().cloned());
        if let (Some((BodyRef { hash, .. }, body)), Some(bodies)) = (body, &self.bodies) {
            // One that is gone is started again together with this actor, and asks for it.
            let _ = bodies.cast(BodiesMessage::Rode { hash, body });
        }
    }

    pub(super) fn tell_network(&self, message: NetworkMessage) {
        // One that is gone is started again together with this actor.
        let _ = self.network.cast(message);
    }
}
