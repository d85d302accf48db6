//! The actor of bodies: gets documents and files by hash from whoever has them, keeps them, and hands
//! them out to those who may read them.
//!
//! It decides nothing: whom to ask and what to believe is `ledger::bodies`' to say, who may read what the
//! ledgers'. What it keeps lies in the store, part by part, so that a transfer goes on where it was cut.

mod facts;
pub mod kept;
mod state;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::message::RequestId;
use regatta_protocol::ledger::bodies::tree::Unit;
use regatta_protocol::ledger::entry::BodyRef;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

pub use self::state::{BodiesArguments, BodiesState};
use crate::drive::Told;
use crate::store::StoreError;

/// Everything that the actor of bodies can be told.
#[derive(Debug)]
pub enum BodiesMessage {
    /// From the switchboard: a full member is there.
    PeerUp {
        /// Who.
        peer: NodeId,
        /// Whether it is a manager.
        is_manager: bool,
    },
    /// From the switchboard: it is not any more.
    PeerDown {
        /// Who.
        peer: NodeId,
    },
    /// From the switchboard: a message of another node's machine.
    Received {
        /// Who sent it.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
        /// Its place in the queue.
        permit: OwnedSemaphorePermit,
    },
    /// From config: these are needed; whatever is there already does no harm.
    Want(Vec<BodyRef>),
    /// From config: these are not needed any more, and go.
    Forget(Vec<Hash>),
    /// From the ledger: a body that rode along with its entry.
    Rode {
        /// Its name.
        hash: Hash,
        /// The body.
        body: Bytes,
    },
    /// From control: keeps what an operator hands in. Told once it is durable.
    Keep {
        /// Its name.
        hash: Hash,
        /// The body.
        body: Bytes,
        /// What became of it.
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    /// From itself: what a read gave.
    Read {
        /// For which request.
        id: RequestId,
        /// Which part.
        unit: Unit,
        /// Its bytes.
        bytes: Option<Bytes>,
    },
    /// From itself: a body of which all parts came was read back.
    Checked {
        /// Which.
        hash: Hash,
        /// Whether all of it is as it must be.
        whole: bool,
    },
    /// From itself: a body was kept that nobody fetched.
    Kept(BodyRef),
    /// From its timer: the machine's time has come.
    Wake,
    /// From the store: what became of writes.
    Told(Told),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
}

/// Owns the machine. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodiesActor;

impl Actor for BodiesActor {
    type Msg = BodiesMessage;
    type State = BodiesState;
    type Arguments = BodiesArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<BodiesMessage>,
        arguments: BodiesArguments,
    ) -> Result<BodiesState, ActorProcessingErr> {
        BodiesState::restore(myself, arguments).await
    }

    async fn handle(
        &self,
        _: ActorRef<BodiesMessage>,
        message: BodiesMessage,
        state: &mut BodiesState,
    ) -> Result<(), ActorProcessingErr> {
        state.handle(message).await
    }
}
