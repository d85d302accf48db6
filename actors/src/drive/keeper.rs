//! Gives an actor's writes to the store, and tells it in their order when they are kept.

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::drive::Ticket;
use crate::store::{Batch, Pending, Store, StoreError};

/// What became of writes.
#[derive(Debug)]
pub enum Told {
    /// This one is durable, and all before it.
    Kept(Ticket),
    /// The disk has no room for ordinary writes. What is needed went into the space kept for trust.
    Full,
    /// The store failed: nothing more will be kept.
    Failed(StoreError),
}

struct Job {
    ticket: Ticket,
    pending: Pending,
    batch: Batch,
}

/// One actor's way to the store.
///
/// What the ledger asks to keep, its machine already counts on. So where the disk is full it goes into
/// the space that is kept for important writes, once; the actor takes on nothing new until there is
/// room again. What only spares a question is not kept then.
pub struct Keeper {
    store: Store,
    jobs: mpsc::UnboundedSender<Job>,
    task: AbortHandle,
}

impl Keeper {
    /// Tells by `tell`, from a task that ends with this. `needed`: what is given to it may not be lost.
    pub fn new(store: Store, needed: bool, tell: impl Fn(Told) + Send + 'static) -> Self {
        // Bounded by what the store lets into its queue.
        let (jobs, mut asked) = mpsc::unbounded_channel::<Job>();
        let again = store.clone();
        let task = tokio::spawn(async move {
            while let Some(job) = asked.recv().await {
                let mut outcome = job.pending.durable().await;
                if matches!(outcome, Err(StoreError::Full { .. })) && !job.batch.is_important() {
                    tell(Told::Full);
                    outcome = match needed {
                        true => again.commit(job.batch.important()).await,
                        false => Ok(()),
                    };
                }
                match outcome {
                    Ok(()) => tell(Told::Kept(job.ticket)),
                    Err(error) => return tell(Told::Failed(error)),
                }
            }
        });
        Self {
            store,
            jobs,
            task: task.abort_handle(),
        }
    }

    /// Has a batch kept; waits only for room in the store's queue.
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn keep(&self, ticket: Ticket, batch: Batch) -> Result<(), StoreError> {
        let pending = self.store.submit(batch.clone()).await?;
        let job = Job {
            ticket,
            pending,
            batch,
        };
        self.jobs.send(job).map_err(|_| StoreError::Closed)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
