//! The node's network: connections to members, one session with each, streams beside it, relays.
//!
//! [`NetworkActor`] takes [`NetworkMessage`]s and tells its owner [`NetworkEvent`]s. It decides only
//! what is about connections; whom to admit, its owner decides, who reads certificates. libp2p's
//! types stop inside this module.
//!
//! The actor's handler hands each message to the engine, a task that owns the swarm and ends with
//! the actor; each meeting and each link is a task of the engine's.

mod address;
mod arguments;
mod behaviour;
mod bulk;
mod choice;
mod engine;
mod event;
#[cfg(test)]
mod hostile;
mod identity;
mod limits;
mod link;
mod meeting;
mod memory;
mod message;
mod places;
mod session;
mod streams;
mod transport;
mod wire;
mod word;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

pub use self::address::{Address, AddressError};
pub use self::arguments::{NetworkArguments, NetworkError, NetworkKeys, NetworkSettings};
pub use self::bulk::BulkStream;
use self::engine::Engine;
pub use self::event::{
    Admission, BulkError, DialError, DownReason, Greeted, JoinError, NetworkEvent, Path,
};
pub use self::limits::{JOIN_BYTES_MAX, MESSAGE_BYTES_MAX, NetworkLimits};
pub use self::memory::{MemoryNet, MemoryPort, Shape};
pub use self::message::{Contact, LinkStatus, NetworkMessage};
pub use self::transport::NetworkTransport;

/// The actor of the node's network. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkActor;

/// What the actor holds: its engine, which ends with it.
#[derive(Debug)]
pub struct NetworkState {
    /// None once the actor stops: then the engine says farewell and ends.
    messages: Option<mpsc::UnboundedSender<NetworkMessage>>,
    engine: AbortHandle,
    ended: oneshot::Receiver<()>,
}

impl Drop for NetworkState {
    fn drop(&mut self) {
        // Nothing else runs when a handler panics or the actor is killed.
        self.engine.abort();
    }
}

impl Actor for NetworkActor {
    type Msg = NetworkMessage;
    type State = NetworkState;
    type Arguments = NetworkArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<NetworkMessage>,
        arguments: NetworkArguments,
    ) -> Result<NetworkState, ActorProcessingErr> {
        let (messages, received) = mpsc::unbounded_channel();
        let (engine, told) = Engine::new(arguments)?;
        let running = tokio::spawn(engine.run(told, received));
        let (end, ended) = oneshot::channel();
        let state = NetworkState {
            messages: Some(messages),
            engine: running.abort_handle(),
            ended,
        };
        // The engine ends only with its owner or by a bug, and either must be noticed.
        tokio::spawn(async move {
            let ended = running.await;
            // Nobody waits for it where the actor was killed, and nobody hears of it either.
            let _ = end.send(());
            let bug = ended.err().is_some_and(|error| error.is_panic());
            let _ = myself.cast(NetworkMessage::EngineEnded { bug });
        });
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<NetworkMessage>,
        message: NetworkMessage,
        state: &mut NetworkState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NetworkMessage::EngineEnded { bug: true } => {
                Err("network: its engine panicked; the message stands above".into())
            }
            NetworkMessage::EngineEnded { bug: false } => {
                myself.stop(Some("nobody takes the network's events".to_owned()));
                Ok(())
            }
            // Where the engine has ended, `EngineEnded` is on its way.
            message => {
                if let Some(messages) = &state.messages {
                    let _ = messages.send(message);
                }
                Ok(())
            }
        }
    }

    async fn post_stop(
        &self,
        _: ActorRef<NetworkMessage>,
        state: &mut NetworkState,
    ) -> Result<(), ActorProcessingErr> {
        state.messages = None;
        // The engine gives itself two seconds; a dropped word says as well that it has ended.
        let _ = (&mut state.ended).await;
        Ok(())
    }
}
