//! The actor of the control socket: it lives and ends with the crew, what it serves is the node's.

use std::fmt;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::AbortHandle;

use crate::crew::Handles;
use crate::drive::task;
use crate::supervisor::Waiting;

/// Serves operators until it is dropped; an error says why it cannot go on.
pub type Serving = Waiting<Result<(), String>>;

/// Takes the socket, and gives what serves it; an error says why it cannot be had.
pub type Service = Arc<dyn Fn(Handles) -> Waiting<Result<Serving, String>> + Send + Sync>;

/// What the actor is started with.
pub struct ControlArguments {
    /// Serves.
    pub service: Service,
    /// What it serves.
    pub handles: Handles,
}

/// Everything that it can be told.
pub enum ControlMessage {
    /// From its task: it serves no more.
    Ended(Result<(), String>),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
}

impl fmt::Debug for ControlMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ControlMessage")
    }
}

/// Owns the task that serves. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct ControlActor;

/// Ends the task with the actor.
#[derive(Debug)]
pub struct ControlState(AbortHandle);

impl Drop for ControlState {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for ControlActor {
    type Msg = ControlMessage;
    type State = ControlState;
    type Arguments = ControlArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ControlMessage>,
        arguments: ControlArguments,
    ) -> Result<ControlState, ActorProcessingErr> {
        // A crew whose socket cannot be had does not start: nobody could ask it anything.
        let serving = (arguments.service)(arguments.handles).await?;
        let task = task::run(serving, move |ended| {
            // An actor that is gone needs no telling.
            let _ = myself.cast(ControlMessage::Ended(ended.and_then(|ended| ended)));
        });
        Ok(ControlState(task))
    }

    async fn handle(
        &self,
        _: ActorRef<ControlMessage>,
        message: ControlMessage,
        _: &mut ControlState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ControlMessage::Ended(Ok(())) => Err("the control socket serves no more".into()),
            ControlMessage::Ended(Err(why)) => Err(why.into()),
            ControlMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
                Ok(())
            }
        }
    }
}
