//! The actor of the ledgers: drives the replica, checks who members are, and lets devices in.
//!
//! It decides nothing: what is held, who counts and what is said to whom is the replica's to say, who
//! may join `trust::invite`'s. Here effects are performed in their order, none before the store has
//! kept what stands before it.

mod around;
mod joining;
mod members;
mod perform;
mod refusals;
mod standing;
mod state;
pub mod stored;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::ledger::replica::Event;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::trust::authority::Credentials;
use regatta_protocol::trust::papers::Shown;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::bodies::BodiesMessage;
use crate::drive::Told;
pub use crate::ledger::state::{
    Copies, LedgerArguments, LedgerState, LedgerView, Tidings, WriteError, current_papers,
};
use crate::membership::MembershipMessage;

/// How often the wall clock, the disk's space, members' certificates and the own duties are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What reads the ledger.
pub type Look = Box<dyn FnOnce(&LedgerView<'_>) + Send>;
/// What decides on what is held, and says what is to be written.
pub type Decide = Box<dyn FnOnce(&LedgerView<'_>) -> Vec<Draft> + Send>;

/// A member, as its greeting shows it.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// What its certificate says.
    pub credentials: Arc<Credentials>,
    /// Whether more is open to it than renewal and the exchange of ledgers.
    pub whole: bool,
}

/// Everything that the ledger can be told and asked.
pub enum LedgerMessage {
    /// From the crew, once both run.
    Introduce {
        /// Who is there.
        membership: ActorRef<MembershipMessage>,
        /// Keeps what rides along with entries.
        bodies: ActorRef<BodiesMessage>,
    },
    /// From the switchboard, when somebody has completed a handshake: none where it is no member.
    Recognise {
        /// Who it says it is, and the keys that the handshake proved.
        shown: Shown,
        /// Its certificate.
        greeting: Bytes,
        /// Whose certificate it is.
        answer: oneshot::Sender<Option<Recognised>>,
    },
    /// From the switchboard, when a link is up.
    PeerUp {
        /// With whom.
        peer: NodeId,
        /// What its certificate says.
        credentials: Arc<Credentials>,
    },
    /// From the switchboard, when it is over.
    PeerDown {
        /// With whom.
        peer: NodeId,
    },
    /// From the switchboard: a message of another replica.
    Received {
        /// Who sent it.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
        /// Its place in the queue.
        permit: OwnedSemaphorePermit,
    },
    /// From the switchboard: a message about certificates.
    Papers {
        /// Who sent it.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
        /// Its place in the queue.
        permit: OwnedSemaphorePermit,
    },
    /// From the switchboard: a stranger asks to join.
    JoinAsked {
        /// What it hands in.
        bytes: Bytes,
        /// What it is told.
        answer: oneshot::Sender<Bytes>,
    },
    /// From membership: who pushes to this node.
    SetFeeder(Option<NodeId>),
    /// From config: whoever may read this revision's body may read these too.
    NameFiles {
        /// The revision.
        id: RevisionId,
        /// Its files.
        files: Vec<BodyRef>,
    },
    /// From control and from tests: reads what is held.
    Look(Look),
    /// From control: writes what `decide` says, and answers once it is durable here.
    Write {
        /// Says what.
        decide: Decide,
        /// The entries.
        answer: oneshot::Sender<Result<Vec<Hash>, WriteError>>,
    },
    /// From control: gives a device that is connected a new certificate now.
    Renew {
        /// Which.
        node: NodeId,
        /// Whether it was sent one.
        answer: oneshot::Sender<bool>,
    },
    /// From control: asks a manager that is connected for a new certificate now.
    AskRenewal {
        /// Which manager was asked.
        answer: oneshot::Sender<Option<NodeId>>,
    },
    /// From its timer: the replica's time has come.
    Wake,
    /// From its timer, every few seconds.
    LookAround,
    /// From itself: who stands may have changed.
    LookAtMembers,
    /// From the store: what became of writes.
    Told(Told),
    /// From the store: whether the disk has no room for ordinary writes.
    DiskFull(bool),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
    /// From tests: it never returns from this.
    #[cfg(feature = "fail-points")]
    Hang,
}

impl fmt::Debug for LedgerMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LedgerMessage")
    }
}

/// Owns the replica. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerActor;

impl Actor for LedgerActor {
    type Msg = LedgerMessage;
    type State = LedgerState;
    type Arguments = LedgerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<LedgerMessage>,
        arguments: LedgerArguments,
    ) -> Result<LedgerState, ActorProcessingErr> {
        let state = LedgerState::restore(myself.clone(), arguments).await?;
        myself.send_interval(LOOK_EVERY, || LedgerMessage::LookAround);
        Ok(state)
    }

    async fn post_start(
        &self,
        _: ActorRef<LedgerMessage>,
        state: &mut LedgerState,
    ) -> Result<(), ActorProcessingErr> {
        let wall = state.clock().wall();
        state.run(Event::Clock { wall }).await?;
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<LedgerMessage>,
        message: LedgerMessage,
        state: &mut LedgerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            LedgerMessage::Introduce { membership, bodies } => {
                state.introduce(membership, bodies);
            }
            LedgerMessage::Recognise {
                shown,
                greeting,
                answer,
            } => {
                let member = state.greeted(&shown, &greeting).await?;
                // Where the link is gone meanwhile nobody asks any more.
                let _ = answer.send(member);
            }
            LedgerMessage::PeerUp { peer, credentials } => {
                state.peer_up(peer, credentials).await?;
            }
            LedgerMessage::PeerDown { peer } => state.peer_down(peer).await?,
            LedgerMessage::Received {
                from,
                bytes,
                permit,
            } => {
                state.received(from, &bytes).await?;
                drop(permit);
            }
            LedgerMessage::Papers {
                from,
                bytes,
                permit,
            } => {
                state.papers_came(from, &bytes).await?;
                drop(permit);
            }
            LedgerMessage::JoinAsked { bytes, answer } => state.join_asked(&bytes, answer).await?,
            LedgerMessage::SetFeeder(feeder) => state.run(Event::Feeder(feeder)).await?,
            LedgerMessage::NameFiles { id, files } => state.machine.name_files(id, &files),
            LedgerMessage::Look(look) => look(&state.view()),
            LedgerMessage::Write { decide, answer } => state.write(decide, answer).await?,
            LedgerMessage::Renew { node, answer } => {
                // Who no longer waits does not need to know.
                let _ = answer.send(state.renew(node, true));
            }
            LedgerMessage::AskRenewal { answer } => {
                // Who no longer waits does not need to know.
                let _ = answer.send(state.ask_renewal());
            }
            LedgerMessage::Wake => state.wake().await?,
            LedgerMessage::LookAround => state.look_around().await?,
            LedgerMessage::LookAtMembers => state.look_at_members().await?,
            LedgerMessage::Told(told) => state.told(told).await?,
            LedgerMessage::DiskFull(full) => state.set_disk_full(full).await?,
            #[cfg(feature = "fail-points")]
            LedgerMessage::Hang => std::future::pending().await,
            LedgerMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
            }
        }
        Ok(())
    }
}
