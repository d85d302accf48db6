//! The store among actors: who wants something durable waits for one sync together with all others.

use std::collections::VecDeque;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::spawn_blocking;

use super::batch::Batch;
use super::error::StoreError;
use super::limits::GROUP_BYTES_MAX;
use super::writer::{Health, Writer};
use crate::supervisor::Fatal;

/// Owns the [`Writer`], and gives it to one thread of the blocking pool at a time.
pub struct StoreActor;

/// A batch on its way, with the room that it takes in the queue.
pub struct Waiting {
    /// What is to be stored.
    pub batch: Batch,
    /// Given back when it is answered.
    pub permit: OwnedSemaphorePermit,
    /// Who waits.
    pub reply: oneshot::Sender<Result<(), StoreError>>,
}

/// All that can happen to the store.
pub enum StoreMessage {
    /// From [`super::Store`], for whoever has something to keep.
    Commit(Waiting),
    /// From a reader that found the index broken.
    IndexBroke(String),
    /// From the blocking pool, when a job is done.
    Worked(Box<Writer>),
    /// From the blocking pool, when a job panicked and took the writer along.
    WriterLost,
    /// From the watchdog and from the control socket.
    GetHealth(RpcReplyPort<Health>),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
    /// From the node that ends: answered when all that waits is stored and the index is written.
    Close(RpcReplyPort<()>),
}

/// What the actor has between two messages.
pub struct StoreState {
    /// Absent while a job has it.
    writer: Option<Box<Writer>>,
    queue: VecDeque<Waiting>,
    index_broke: Option<String>,
    /// As of the last job.
    health: Health,
    /// Who waits for how it is now.
    asked: Vec<RpcReplyPort<Health>>,
    closing: Option<RpcReplyPort<()>>,
    /// The last job is under way.
    flushing: bool,
}

/// One thing at a time for the blocking pool.
enum Job {
    Commit(Vec<Waiting>),
    Compact,
    RebuildIndex(String),
    LookForSpace,
    FlushIndex,
}

impl Job {
    fn perform(self, writer: &mut Writer) {
        match self {
            Self::Commit(waiting) => {
                let (batches, replies): (Vec<_>, Vec<_>) = waiting
                    .into_iter()
                    .map(|waiting| (waiting.batch, (waiting.reply, waiting.permit)))
                    .unzip();
                let outcomes = writer.commit(&batches);
                for ((reply, _permit), outcome) in replies.into_iter().zip(outcomes) {
                    // Who no longer waits does not need to know.
                    let _ = reply.send(outcome);
                }
            }
            // A full disk is said to those who write; a failure is in the writer's health.
            Self::Compact => {
                let _ = writer.compact_step();
            }
            Self::RebuildIndex(why) => {
                let _ = writer.rebuild_index(&why);
            }
            // Looked for before each job.
            Self::LookForSpace => {}
            // The next start replays what is not in the index.
            Self::FlushIndex => {
                let _ = writer.flush_index();
            }
        }
    }
}

impl StoreState {
    /// As many of those who wait as one sync takes, in their order.
    fn group(&mut self) -> Vec<Waiting> {
        let mut bytes = 0;
        let mut group = Vec::new();
        while let Some(next) = self.queue.front() {
            bytes += next.batch.len();
            if bytes > GROUP_BYTES_MAX && !group.is_empty() {
                break;
            }
            group.extend(self.queue.pop_front());
        }
        group
    }

    fn next_job(&mut self, writer: &Writer) -> Option<Job> {
        if let Some(why) = self.index_broke.take() {
            return Some(Job::RebuildIndex(why));
        }
        if !self.queue.is_empty() {
            return Some(Job::Commit(self.group()));
        }
        if self.closing.is_none() && writer.is_compaction_due() {
            return Some(Job::Compact);
        }
        // A disk that was full may have room without any write of ours.
        (!self.asked.is_empty()).then_some(Job::LookForSpace)
    }

    /// Hands the writer to the next job, if it is here and there is one.
    fn work(&mut self, myself: &ActorRef<StoreMessage>) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        let Some(job) = self.next_job(&writer) else {
            if self.closing.is_none() {
                self.writer = Some(writer);
            } else {
                self.flushing = true;
                perform(myself.clone(), writer, Job::FlushIndex);
            }
            return;
        };
        perform(myself.clone(), writer, job);
    }
}

/// Runs a job where it may block, and sends the writer back.
fn perform(myself: ActorRef<StoreMessage>, mut writer: Box<Writer>, job: Job) {
    let job = spawn_blocking(move || {
        writer.look_for_space();
        job.perform(&mut writer);
        writer
    });
    tokio::spawn(async move {
        let message = match job.await {
            Ok(writer) => StoreMessage::Worked(writer),
            Err(_) => StoreMessage::WriterLost,
        };
        // When the actor is gone so is the need.
        let _ = myself.cast(message);
    });
}

impl Actor for StoreActor {
    type Msg = StoreMessage;
    type State = StoreState;
    type Arguments = Box<Writer>;

    async fn pre_start(
        &self,
        _: ActorRef<StoreMessage>,
        writer: Box<Writer>,
    ) -> Result<StoreState, ActorProcessingErr> {
        Ok(StoreState {
            health: writer.health(),
            asked: Vec::new(),
            writer: Some(writer),
            queue: VecDeque::new(),
            index_broke: None,
            closing: None,
            flushing: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<StoreMessage>,
        message: StoreMessage,
        state: &mut StoreState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            StoreMessage::Commit(waiting) => match state.closing {
                Some(_) => {
                    let _ = waiting.reply.send(Err(StoreError::Closed));
                }
                None => state.queue.push_back(waiting),
            },
            StoreMessage::IndexBroke(why) => state.index_broke = Some(why),
            StoreMessage::Worked(writer) => {
                state.health = writer.health();
                state.writer = Some(writer);
                for asked in state.asked.drain(..) {
                    // Who no longer waits does not need to know.
                    let _ = asked.send(state.health.clone());
                }
                if let Some(failed) = state.health.failed.clone() {
                    for waiting in state.queue.drain(..) {
                        let _ = waiting.reply.send(Err(failed.clone()));
                    }
                    // What a disk refused to sync it may claim to hold at the next try: only a new
                    // process reads again what is there.
                    return Err(Fatal(failed.to_string()).into());
                }
                if state.flushing {
                    // The folder is free before anybody is told so.
                    state.writer = None;
                    if let Some(reply) = state.closing.take() {
                        let _ = reply.send(());
                    }
                    myself.stop(None);
                    return Ok(());
                }
            }
            StoreMessage::WriterLost => return Err("the store's writer panicked".into()),
            // Answered after this job or the next: an older word would say that there is room.
            StoreMessage::GetHealth(reply) => {
                state.asked.retain(|asked| !asked.is_closed());
                state.asked.push(reply);
            }
            StoreMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
            }
            StoreMessage::Close(reply) => state.closing = Some(reply),
        }
        state.work(&myself);
        Ok(())
    }
}

/// Starts the actor, linked to whoever supervises it.
pub(super) async fn start(
    writer: Writer,
    supervisor: Option<ActorCell>,
) -> Result<ActorRef<StoreMessage>, StoreError> {
    let writer = Box::new(writer);
    let started = match supervisor {
        Some(supervisor) => Actor::spawn_linked(None, StoreActor, writer, supervisor).await,
        None => Actor::spawn(None, StoreActor, writer).await,
    };
    started
        .map(|(actor, _)| actor)
        .map_err(|_| StoreError::Closed)
}
