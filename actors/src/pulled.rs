//! The actor of pulled ledgers: what this node reports, and, on a manager, what devices report.
//!
//! It decides nothing: who is read when, what is released and what is missing is for `ledger::spool` and
//! `ledger::cursor` to say. Here effects are performed in their order, none before the store has kept
//! what stands before it.

pub mod kept;
mod perform;
mod state;

use std::collections::BTreeSet;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::LedgerId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

pub use self::state::{PulledArguments, PulledState, Reported};
use crate::drive::Told;

/// Everything that the actor of pulled ledgers can be told.
#[derive(Debug)]
pub enum PulledMessage {
    /// From the switchboard: a full member is there.
    PeerUp {
        /// Who.
        peer: NodeId,
    },
    /// From the switchboard: it is not any more.
    PeerDown {
        /// Who.
        peer: NodeId,
    },
    /// From the switchboard: a message of another node's machines.
    Received {
        /// Who sent it.
        from: NodeId,
        /// The message.
        bytes: Vec<u8>,
        /// Its place in the queue.
        permit: OwnedSemaphorePermit,
    },
    /// From membership: these managers hold pulled ledgers.
    Holders(BTreeSet<NodeId>),
    /// From membership: a device, and its key.
    Device {
        /// Which.
        node: NodeId,
        /// Its key.
        key: PublicKey,
    },
    /// From membership: whether this manager is the one that pulls from a device.
    Pulls {
        /// Which.
        device: NodeId,
        /// Whether it is.
        pulls: bool,
    },
    /// From config: has something reported. Told once it is durable.
    Report {
        /// What, as its kind says.
        payload: Bytes,
        /// What goes with it where the payload has no room for it.
        body: Option<Bytes>,
        /// The entry.
        answer: oneshot::Sender<Hash>,
    },
    /// From itself: what a read for a spool gave.
    Looked {
        /// The entry.
        number: u64,
        /// Its hash.
        hash: Hash,
    },
    /// From itself: a batch of the own ledger was put together and sent.
    Served {
        /// To whom.
        to: NodeId,
    },
    /// From itself: what was read of this manager's own copy.
    ReadBack {
        /// The message, as another manager would have sent it.
        message: Box<regatta_protocol::ledger::spool::message::PullMessage>,
    },
    /// From itself: what a stream brought is durable.
    Stored {
        /// The ledger.
        ledger: LedgerId,
        /// As the machine named it.
        token: u64,
    },
    /// From its timer: the machine's time has come.
    Wake,
    /// From the store: what became of writes.
    Told(Told),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
}

/// Owns the machines. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct PulledActor;

impl Actor for PulledActor {
    type Msg = PulledMessage;
    type State = PulledState;
    type Arguments = PulledArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<PulledMessage>,
        arguments: PulledArguments,
    ) -> Result<PulledState, ActorProcessingErr> {
        PulledState::restore(myself, arguments).await
    }

    async fn handle(
        &self,
        _: ActorRef<PulledMessage>,
        message: PulledMessage,
        state: &mut PulledState,
    ) -> Result<(), ActorProcessingErr> {
        state.handle(message).await
    }
}
