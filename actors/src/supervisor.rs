//! The one file that decides what happens when an actor fails: the crew is started again together, so
//! often and no oftener, and a watchdog asks whether each of them still answers.
//!
//! One for all: actors hold each other's addresses, and what each holds in memory is rebuilt from the
//! store, on the path that a restart of the process takes. Nothing is mended in place.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr,
    SupervisionEvent,
};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

/// The crew is started again so often within [`RESTARTS_WITHIN`]; the next failure ends the node.
pub const RESTARTS_MAX: usize = 5;
/// See [`RESTARTS_MAX`].
pub const RESTARTS_WITHIN: Duration = Duration::from_secs(60);
/// The pause before the second restart in a row; it doubles. The first has none.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often each actor is asked whether it answers.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// One that has not answered for so long hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// How long an actor may take to end when it is asked to, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Something to wait for.
pub type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How a watchdog asks an actor: false where it is gone.
pub type Ask = Arc<dyn Fn(RpcReplyPort<()>) -> bool + Send + Sync>;

/// One actor of the crew.
#[derive(Clone)]
pub struct Member {
    /// What it is called in logs.
    pub name: &'static str,
    /// The actor.
    pub cell: ActorCell,
    /// Asks it whether it answers.
    pub ask: Ask,
}

impl fmt::Debug for Member {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Member({})", self.name)
    }
}

/// The actors of a node, and how they are started.
pub trait Crew: Send + Sync + 'static {
    /// Starts them, linked to the supervisor, in the order in which they need each other.
    ///
    /// What was started before one fails is stopped by the supervisor.
    fn start(&self, supervisor: ActorCell) -> Waiting<Result<Vec<Member>, ActorProcessingErr>>;
}

/// A failure after which nothing is started again: a disk that does not keep what it is given.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Fatal(pub String);

/// Why a node ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Ended {
    /// Somebody asked for it.
    #[error("stopped")]
    Asked,
    /// Actors failed too often.
    #[error("{actor} failed {RESTARTS_MAX} times and once more within a minute, last: {cause}")]
    Exhausted {
        /// Which failed last.
        actor: String,
        /// Of what.
        cause: String,
    },
    /// Going on would lose what was promised.
    #[error("{actor}: {cause}")]
    Fatal {
        /// Which failed.
        actor: String,
        /// Of what.
        cause: String,
    },
}

/// What kept an actor from starting, without what ractor says around it.
fn cause(error: ActorProcessingErr) -> ActorProcessingErr {
    match error.downcast::<SpawnErr>() {
        Ok(spawn) => match *spawn {
            SpawnErr::StartupFailed(inner) => cause(inner),
            other => other.into(),
        },
        Err(error) => error,
    }
}

/// What the supervisor is told.
#[derive(Debug)]
pub enum NodeMessage {
    /// Itself, after a pause: start the crew.
    Start,
    /// Itself, by its timer: ask everybody.
    Watch,
    /// Itself: this actor did not answer in time.
    Hung(ActorId),
    /// Whoever runs the node: end it.
    Stop,
}

/// Supervises the crew of one node.
pub struct NodeActor<C>(std::marker::PhantomData<fn() -> C>);

/// What the supervisor is started with.
pub struct NodeArguments<C> {
    /// The actors.
    pub crew: C,
    /// Where it says that the node has ended.
    pub ended: watch::Sender<Option<Ended>>,
}

/// What the supervisor keeps.
pub struct NodeState<C> {
    crew: C,
    ended: watch::Sender<Option<Ended>>,
    members: Vec<Member>,
    restarts: VecDeque<Instant>,
    ending: Option<Ended>,
}

/// A node that runs.
#[derive(Clone, Debug)]
pub struct Running {
    supervisor: ActorRef<NodeMessage>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Running {
    /// Starts a crew under a supervisor of its own.
    ///
    /// # Errors
    /// When an actor could not be started at all; nothing of the crew is left then.
    pub async fn start<C: Crew>(crew: C) -> Result<Self, ActorProcessingErr> {
        let (sender, ended) = watch::channel(None);
        let arguments = NodeArguments {
            crew,
            ended: sender,
        };
        let actor = NodeActor(std::marker::PhantomData);
        let spawned = Actor::spawn(None, actor, arguments).await;
        let (supervisor, _) = spawned.map_err(|error| cause(error.into()))?;
        Ok(Self { supervisor, ended })
    }

    /// Ends the node; [`Self::ended`] tells when it has.
    pub fn stop(&self) {
        // One that is gone has ended.
        let _ = self.supervisor.send_message(NodeMessage::Stop);
    }

    /// Ends it as a crash would: nobody is told, nothing more is written. Waits until its actors are
    /// gone.
    pub async fn kill(&self) {
        let supervisor = self.supervisor.get_cell();
        for child in supervisor.get_children() {
            // What is gone already is no news.
            let _ = child.kill_and_wait(None).await;
        }
        let _ = supervisor.kill_and_wait(None).await;
    }

    /// Waits until the node has ended, and says why.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let said = ended.wait_for(Option::is_some).await;
        let said = said.ok().and_then(|said| said.clone());
        said.unwrap_or(Ended::Exhausted {
            actor: "supervisor".to_owned(),
            cause: "it failed itself".to_owned(),
        })
    }
}

impl<C: Crew> Actor for NodeActor<C> {
    type Msg = NodeMessage;
    type State = NodeState<C>;
    type Arguments = NodeArguments<C>;

    async fn pre_start(
        &self,
        myself: ActorRef<NodeMessage>,
        arguments: NodeArguments<C>,
    ) -> Result<NodeState<C>, ActorProcessingErr> {
        let mut state = NodeState {
            crew: arguments.crew,
            ended: arguments.ended,
            members: Vec::new(),
            restarts: VecDeque::new(),
            ending: None,
        };
        match state.crew.start(myself.get_cell()).await {
            Ok(members) => state.members = members,
            Err(error) => {
                end_all(&myself.get_cell()).await;
                return Err(error);
            }
        }
        myself.send_interval(WATCH_EVERY, || NodeMessage::Watch);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<NodeMessage>,
        message: NodeMessage,
        state: &mut NodeState<C>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeMessage::Start if state.ending.is_none() && state.members.is_empty() => {
                match state.crew.start(myself.get_cell()).await {
                    Ok(members) => state.members = members,
                    Err(error) => failed(&myself, state, "crew", error.as_ref()).await,
                }
            }
            NodeMessage::Watch => state.members.iter().for_each(|it| watch_over(&myself, it)),
            NodeMessage::Hung(id) => {
                let member = state.members.iter().find(|it| it.cell.get_id() == id);
                if let Some(Member { name, cell, .. }) = member.cloned() {
                    // It would not hear a polite word: it ends at the await in which it hangs.
                    cell.kill();
                    failed(&myself, state, name, &Hung(ANSWER_WITHIN)).await;
                }
            }
            NodeMessage::Stop => end(&myself, state, Ended::Asked).await,
            NodeMessage::Start => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<NodeMessage>,
        event: SupervisionEvent,
        state: &mut NodeState<C>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some(name) = state.name_of(cell.get_id()) {
                    failed(&myself, state, name, error.as_ref()).await;
                }
            }
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                if let Some(name) = state.name_of(cell.get_id()) {
                    let reason = reason.unwrap_or_else(|| "it ended unasked".to_owned());
                    failed(&myself, state, name, &Unasked(reason)).await;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Error)]
#[error("no answer for {} s", .0.as_secs())]
struct Hung(Duration);

#[derive(Debug, Error)]
#[error("{0}")]
struct Unasked(String);

impl<C> NodeState<C> {
    /// The name of one of the present crew; those of an earlier one are of no concern any more.
    fn name_of(&self, id: ActorId) -> Option<&'static str> {
        let member = self.members.iter().find(|it| it.cell.get_id() == id);
        member.map(|member| member.name)
    }
}

fn watch_over(myself: &ActorRef<NodeMessage>, member: &Member) {
    let (answer, answered) = ractor::concurrency::oneshot();
    if !(member.ask)(RpcReplyPort::from(answer)) {
        // It is gone; ractor tells.
        return;
    }
    let (myself, id) = (myself.clone(), member.cell.get_id());
    tokio::spawn(async move {
        if tokio::time::timeout(ANSWER_WITHIN, answered).await.is_err() {
            // A supervisor that is gone has ended its crew.
            let _ = myself.send_message(NodeMessage::Hung(id));
        }
    });
}

/// One of the crew failed: all are ended, and started again where the budget allows.
async fn failed<C: Crew>(
    myself: &ActorRef<NodeMessage>,
    state: &mut NodeState<C>,
    actor: &str,
    cause: &(dyn Error + Send + Sync + 'static),
) {
    state.members.clear();
    let said = cause.to_string();
    if cause.is::<Fatal>() {
        tracing::error!(actor, cause = said, "the node cannot go on");
        let actor = actor.to_owned();
        return end(myself, state, Ended::Fatal { actor, cause: said }).await;
    }
    end_all(&myself.get_cell()).await;
    let now = Instant::now();
    let restarts = &mut state.restarts;
    while restarts
        .front()
        .is_some_and(|at| now.duration_since(*at) > RESTARTS_WITHIN)
    {
        restarts.pop_front();
    }
    if restarts.len() >= RESTARTS_MAX {
        tracing::error!(actor, cause = said, "failed too often, giving up");
        let actor = actor.to_owned();
        return end(myself, state, Ended::Exhausted { actor, cause: said }).await;
    }
    let before = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
    restarts.push_back(now);
    let pause = match before.checked_sub(1) {
        Some(doublings) => BACK_OFF * 2_u32.saturating_pow(doublings),
        None => Duration::ZERO,
    };
    tracing::warn!(
        actor,
        cause = said,
        restart = before + 1,
        ?pause,
        "starting the actors again"
    );
    myself.send_after(pause, || NodeMessage::Start);
}

async fn end<C>(myself: &ActorRef<NodeMessage>, state: &mut NodeState<C>, why: Ended) {
    if state.ending.is_some() {
        return;
    }
    state.ending = Some(why.clone());
    state.members.clear();
    end_all(&myself.get_cell()).await;
    state.ended.send_replace(Some(why));
    myself.stop(None);
}

/// Ends whoever is linked to the supervisor, the last started first: politely, then for good.
async fn end_all(supervisor: &ActorCell) {
    let mut children = supervisor.get_children();
    children.sort_by_key(|cell| std::cmp::Reverse(cell.get_id().pid()));
    for cell in children {
        if cell.stop_and_wait(None, Some(END_WITHIN)).await.is_err() {
            // What hangs in an await ends at it; what is gone already is no news.
            let _ = cell.kill_and_wait(Some(END_WITHIN)).await;
        }
    }
}
