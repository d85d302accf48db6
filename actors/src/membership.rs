//! The actor of membership: who is there, whom this node keeps links to, and where members can be
//! reached. It drives two machines, membership and contacts, and decides nothing itself.

mod own;
mod places;
mod sightings;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::NodeId;
use regatta_protocol::membership::MembershipEvent;
use regatta_protocol::membership::homes::RosterManager;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::drive::Told;
pub use crate::membership::state::{
    Beside, LinkedTo, MembershipArguments, MembershipState, MembershipView, Met,
};
use crate::network::{Address, DialError, NetworkEvent, Path};

/// How often the wall clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What reads membership.
pub type Look = Box<dyn FnOnce(&MembershipView<'_>) + Send>;

/// Everything that membership can be told and asked.
pub enum MembershipMessage {
    /// From the ledger, at the start and whenever they change: the managers.
    Managers {
        /// What they are there for.
        roster: Arc<[RosterManager]>,
        /// Their keys.
        keys: BTreeMap<NodeId, PublicKey>,
    },
    /// From the ledger: a device's key, from its enrolment.
    Known {
        /// Whose.
        node: NodeId,
        /// The key.
        key: PublicKey,
    },
    /// From the ledger: a device is no longer of the fleet.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// From the ledger: how far from the news a peer is.
    NewsHops {
        /// Which.
        peer: NodeId,
        /// Links from the author.
        hops: u8,
    },
    /// From the ledger: the feeder does not push.
    FeederFailed {
        /// Which.
        peer: NodeId,
    },
    /// From the switchboard: a link is up.
    Linked {
        /// With whom.
        peer: NodeId,
        /// Whether its certificate makes it a manager.
        is_manager: bool,
        /// The key of its certificate.
        key: PublicKey,
        /// How it is reached.
        path: Path,
    },
    /// From the switchboard: a link is over.
    Unlinked {
        /// With whom.
        peer: NodeId,
    },
    /// From the switchboard: a link goes on over another connection.
    PathChanged {
        /// With whom.
        peer: NodeId,
        /// How it is reached from now on.
        path: Path,
    },
    /// From the switchboard: nobody was reached.
    DialFailed {
        /// Who.
        peer: NodeId,
        /// Why.
        reason: DialError,
    },
    /// From the switchboard: somebody answers on the LAN.
    LanSeen {
        /// Its key.
        key: PublicKey,
        /// Where it says that it is.
        addresses: Vec<Address>,
    },
    /// From the switchboard: this node listens there.
    Listening(Address),
    /// From the switchboard: it does not, or no more.
    ListenFailed {
        /// Where.
        address: Address,
        /// What the system says.
        error: String,
    },
    /// From the switchboard: this node can be reached through a relay.
    Reserved {
        /// Which.
        via: NodeId,
        /// There.
        address: Address,
    },
    /// From the switchboard: not any more.
    ReservationLost {
        /// Which relay.
        via: NodeId,
    },
    /// From the switchboard: a message of another membership.
    Received {
        /// Who sent it.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
        /// Its place in the queue.
        permit: OwnedSemaphorePermit,
    },
    /// From the switchboard: a message about where members are.
    Contacts {
        /// Who sent it.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
        /// Its place in the queue.
        permit: OwnedSemaphorePermit,
    },
    /// From control and from tests: reads what is known.
    Look(Look),
    /// From control: makes a link where there is none.
    Reach {
        /// With whom.
        node: NodeId,
        /// How it is reached, or why it is not.
        answer: oneshot::Sender<Result<Path, String>>,
    },
    /// From its timer: the machine's time has come.
    Wake,
    /// From its timer, every few seconds.
    LookAround,
    /// From the store: what became of writes.
    Told(Told),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
    /// From tests: it never returns from this.
    #[cfg(feature = "fail-points")]
    Hang,
}

impl fmt::Debug for MembershipMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("MembershipMessage")
    }
}

impl MembershipMessage {
    /// What the network tells that is for membership alone.
    pub(crate) fn of_network(event: NetworkEvent) -> Option<Self> {
        Some(match event {
            NetworkEvent::Listening { address } => Self::Listening(address),
            NetworkEvent::ListenFailed { address, error } => Self::ListenFailed { address, error },
            NetworkEvent::DialFailed { peer, reason } => Self::DialFailed { peer, reason },
            NetworkEvent::LanSeen {
                sign_key,
                addresses,
            } => Self::LanSeen {
                key: sign_key,
                addresses,
            },
            NetworkEvent::PathChanged { peer, path } => Self::PathChanged { peer, path },
            NetworkEvent::Reserved { via, address } => Self::Reserved { via, address },
            NetworkEvent::ReservationLost { via } => Self::ReservationLost { via },
            _ => return None,
        })
    }
}

/// Owns both machines. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct MembershipActor;

impl Actor for MembershipActor {
    type Msg = MembershipMessage;
    type State = MembershipState;
    type Arguments = MembershipArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<MembershipMessage>,
        arguments: MembershipArguments,
    ) -> Result<MembershipState, ActorProcessingErr> {
        let state = MembershipState::restore(myself.clone(), arguments).await?;
        myself.send_interval(LOOK_EVERY, || MembershipMessage::LookAround);
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<MembershipMessage>,
        message: MembershipMessage,
        state: &mut MembershipState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            MembershipMessage::Managers { roster, keys } => state.managers(roster, keys).await,
            MembershipMessage::Known { node, key } => state.known(node, key).await,
            MembershipMessage::Forget { node } => state.run(MembershipEvent::Forget { node }).await,
            MembershipMessage::NewsHops { peer, hops } => {
                state.run(MembershipEvent::NewsHops { peer, hops }).await
            }
            MembershipMessage::FeederFailed { peer } => {
                state.run(MembershipEvent::FeederFailed { peer }).await
            }
            MembershipMessage::Linked {
                peer,
                is_manager,
                key,
                path,
            } => state.linked(peer, is_manager, key, path).await,
            MembershipMessage::Unlinked { peer } => state.unlinked(peer).await,
            MembershipMessage::PathChanged { peer, path } => {
                state.path_changed(peer, path);
                Ok(())
            }
            MembershipMessage::DialFailed { peer, reason } => {
                tracing::debug!(%peer, %reason, "a dial came to nothing");
                state.dial_failed(peer, reason).await
            }
            MembershipMessage::LanSeen { key, addresses } => state.lan_seen(key, addresses).await,
            MembershipMessage::Listening(address) => state.listening(address).await,
            MembershipMessage::ListenFailed { address, error } => {
                tracing::warn!(%address, error, "this address cannot be listened on");
                state.not_listening(&address).await
            }
            MembershipMessage::Reserved { via, address } => state.reserved(via, address).await,
            MembershipMessage::ReservationLost { via } => state.reservation_lost(via).await,
            MembershipMessage::Received {
                from,
                bytes,
                permit,
            } => {
                let outcome = state.received(from, &bytes).await;
                drop(permit);
                outcome
            }
            MembershipMessage::Contacts {
                from,
                bytes,
                permit,
            } => {
                let outcome = state.contacts_came(from, &bytes).await;
                drop(permit);
                outcome
            }
            MembershipMessage::Look(look) => {
                look(&state.view());
                Ok(())
            }
            MembershipMessage::Reach { node, answer } => state.reach(node, answer).await,
            MembershipMessage::Wake => state.wake().await,
            MembershipMessage::LookAround => state.look_around().await,
            MembershipMessage::Told(told) => state.told(told),
            #[cfg(feature = "fail-points")]
            MembershipMessage::Hang => std::future::pending().await,
            MembershipMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
                Ok(())
            }
        }
    }
}
