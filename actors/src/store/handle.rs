//! What everybody uses: commits through the actor, reads beside it, both bounded.

use std::sync::{Arc, Weak};
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{ActorCell, ActorRef};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::actor::{StoreMessage, Waiting, start};
use super::batch::Batch;
use super::disk::Disk;
use super::error::StoreError;
use super::index::OpenedIndex;
use super::limits::{QUEUED_BYTES_MAX, READS_MAX, Sizes};
use super::open::{Opened, open};
use super::reader::{Item, Reader, Shared};
use super::table::Table;
use super::writer::{Health, Writer};

/// The node's store; clones are the same one.
///
/// It does not keep the folder: once the actor and its last job have ended the folder is free, however
/// many clones there are.
#[derive(Clone)]
pub struct Store {
    actor: ActorRef<StoreMessage>,
    shared: Weak<Shared>,
    queued: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// How long somebody waits to hear how the store is.
const HEALTH_WITHIN: Duration = Duration::from_secs(5);

/// A batch that has its place in the queue.
pub struct Pending(oneshot::Receiver<Result<(), StoreError>>);

impl Pending {
    /// Waits until the batch is durable.
    ///
    /// # Errors
    /// When it was refused, or the store failed.
    pub async fn durable(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Store {
    /// Opens a store and starts its actor, linked to `supervisor`. `index` may block, and so it is
    /// called where that is allowed; `salt` is random, for a store that is new.
    ///
    /// # Errors
    /// When the disk fails, or a newer build has written there.
    pub async fn open(
        disk: Arc<dyn Disk>,
        index: impl FnOnce() -> OpenedIndex + Send + 'static,
        (salt, sizes): ([u8; 8], Sizes),
        supervisor: Option<ActorCell>,
    ) -> Result<(Self, Opened), StoreError> {
        let opening = spawn_blocking(move || open(disk, index(), salt, sizes));
        let (writer, opened) = opening.await.unwrap_or(Err(StoreError::Closed))?;
        Ok((Self::start(writer, supervisor).await?, opened))
    }

    /// Starts the actor of a store that is open.
    ///
    /// # Errors
    /// When the supervisor is ending.
    pub async fn start(writer: Writer, supervisor: Option<ActorCell>) -> Result<Self, StoreError> {
        Ok(Self {
            shared: Arc::downgrade(&writer.reader().0),
            actor: start(writer, supervisor).await?,
            queued: Arc::new(Semaphore::new(QUEUED_BYTES_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        })
    }

    /// The actor, for its supervisor.
    #[must_use]
    pub fn actor(&self) -> ActorRef<StoreMessage> {
        self.actor.clone()
    }

    /// Makes a batch durable.
    ///
    /// # Errors
    /// When it was refused, or the store failed.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.submit(batch).await?.durable().await
    }

    /// Gives a batch its place in the queue, and waits only for room there. Batches become durable in
    /// the order in which they were submitted.
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn submit(&self, batch: Batch) -> Result<Pending, StoreError> {
        let bytes = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let queued = Arc::clone(&self.queued);
        let permit = queued.acquire_many_owned(bytes).await;
        let permit = permit.map_err(|_| StoreError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        let waiting = Waiting {
            batch,
            permit,
            reply,
        };
        let sent = self.actor.cast(StoreMessage::Commit(waiting));
        sent.map_err(|_| StoreError::Closed)?;
        Ok(Pending(outcome))
    }

    /// What stands under `key`.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_vec();
        self.read(move |reader| reader.get(table, &key)).await
    }

    /// Keys with their values, as [`Reader::scan`] gives them.
    ///
    /// # Errors
    /// As [`Reader::scan`].
    pub async fn scan(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
        items_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let from = from.to_vec();
        let until = until.map(<[u8]>::to_vec);
        self.read(move |reader| reader.scan(table, &from, until.as_deref(), items_max, bytes_max))
            .await
    }

    /// Several reads as one, where they may block.
    ///
    /// # Errors
    /// As `work` says; when the index is broken it is rebuilt, and a later read succeeds.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.reads).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Closed)?;
        let shared = self.shared.upgrade().ok_or(StoreError::Closed)?;
        let reading = spawn_blocking(move || {
            let _permit = permit;
            work(&Reader(shared))
        });
        let outcome = reading.await.unwrap_or(Err(StoreError::Closed));
        if let Err(StoreError::Index(why)) = &outcome {
            let _ = self.actor.cast(StoreMessage::IndexBroke(why.clone()));
        }
        outcome
    }

    /// How it is.
    ///
    /// # Errors
    /// When it is closed, or busy for long.
    pub async fn health(&self) -> Result<Health, StoreError> {
        match self
            .actor
            .call(StoreMessage::GetHealth, Some(HEALTH_WITHIN))
            .await
        {
            Ok(CallResult::Success(health)) => Ok(health),
            _ => Err(StoreError::Closed),
        }
    }

    /// Stores what waits, writes the index, and ends.
    ///
    /// # Errors
    /// When it had failed, or is closed.
    pub async fn close(&self) -> Result<(), StoreError> {
        match self.actor.call(StoreMessage::Close, None).await {
            Ok(CallResult::Success(())) => Ok(()),
            _ => Err(StoreError::Closed),
        }
    }
}
