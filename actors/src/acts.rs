//! What an operator does through a manager: questions to its actors, and entries that it writes.
//!
//! Each act decides on what the ledger holds at that moment, in the ledger's own actor, so that two
//! acts never decide on the same thing apart.

pub mod config;
mod invite;
mod judge;
pub mod secrets;
mod target;

use std::time::Duration;

use ractor::ActorRef;
use regatta_protocol::codec::NameError;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::selector::LabelsError;
use regatta_protocol::trust::invite::token::TokenError;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use self::invite::{Given, InviteAsk, invite, record_invite, replace};
pub use self::judge::{carry, forget, relabel, revoke, stop_invite};
pub use self::target::{Target, find_invite, find_target};
use crate::crew::Handles;
use crate::ledger::{LedgerMessage, LedgerView, WriteError};
use crate::membership::{MembershipMessage, MembershipView};

/// How long a write waits to be held by a second manager before it is said how many hold it.
const COPIES_WITHIN: Duration = Duration::from_secs(1);

/// Why an act was not done; nothing changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ActError {
    /// Only managers write.
    #[error("this node is no manager; do it on one, or through its control socket")]
    NotAManager,
    /// The root has stopped this manager.
    #[error("the root has stopped this manager, what it writes counts no more; use another one")]
    Stopped,
    /// Nobody bears this name.
    #[error("no {what} is called '{name}'; `regatta get {what}s` lists them")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Several bear it.
    #[error("'{name}' is the name of {count} nodes ({ids}); use an id, and give one another name")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Their ids, shortened.
        ids: String,
    },
    /// A manager cannot judge a manager.
    #[error("'{name}' is a manager; only the root stops one: `regatta root revoke {name}`")]
    Manager {
        /// The manager.
        name: String,
    },
    /// What was asked for breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The ledger did not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The actors are being started again.
    #[error("this node is starting its actors again; try again in a moment")]
    Gone,
}

impl From<LabelsError> for ActError {
    fn from(error: LabelsError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<NameError> for ActError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<TokenError> for ActError {
    fn from(error: TokenError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// What was written, and how many managers hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved<T> {
    /// What the act gives.
    pub gives: T,
    /// The entries.
    pub entries: Vec<Hash>,
    /// How many managers hold all of them, this one included.
    pub copies: usize,
}

/// Reads the ledger.
///
/// # Errors
/// When its actor is gone.
pub async fn look<T: Send + 'static>(
    handles: &Handles,
    look: impl FnOnce(&LedgerView<'_>) -> T + Send + 'static,
) -> Result<T, ActError> {
    let (answer, answered) = oneshot::channel();
    let message = LedgerMessage::Look(Box::new(move |view| {
        // Who no longer waits does not need to know.
        let _ = answer.send(look(view));
    }));
    ask(&handles.ledger, message, answered).await
}

/// Reads membership.
///
/// # Errors
/// When its actor is gone.
pub async fn look_around<T: Send + 'static>(
    handles: &Handles,
    look: impl FnOnce(&MembershipView<'_>) -> T + Send + 'static,
) -> Result<T, ActError> {
    let (answer, answered) = oneshot::channel();
    let message = MembershipMessage::Look(Box::new(move |view| {
        // Who no longer waits does not need to know.
        let _ = answer.send(look(view));
    }));
    ask(&handles.membership, message, answered).await
}

/// Asks an actor, and waits for its answer.
///
/// # Errors
/// When it is gone.
pub async fn ask<M: ractor::Message, T>(
    actor: &ActorRef<M>,
    message: M,
    answered: oneshot::Receiver<T>,
) -> Result<T, ActError> {
    actor.cast(message).map_err(|_| ActError::Gone)?;
    answered.await.map_err(|_| ActError::Gone)
}

/// Decides on what is held, writes it, and waits until it is durable here and, for a moment, until a
/// second manager holds it.
///
/// # Errors
/// Why nothing was written.
pub async fn write<T: Send + 'static>(
    handles: &Handles,
    decide: impl FnOnce(&LedgerView<'_>) -> Result<(Vec<Draft>, T), ActError> + Send + 'static,
) -> Result<Saved<T>, ActError> {
    let (tell, told) = oneshot::channel();
    let (answer, answered) = oneshot::channel();
    let decide = Box::new(move |view: &LedgerView<'_>| {
        let stopped = &view.replica.holdings().judgement().stopped_keys;
        let decided = if !view.papers.is_manager() {
            Err(ActError::NotAManager)
        } else if stopped.contains(&view.papers.certificate.keys.sign) {
            Err(ActError::Stopped)
        } else {
            decide(view)
        };
        let (drafts, gives) = match decided {
            Ok((drafts, gives)) => (drafts, Ok((gives, view.copies.clone()))),
            Err(error) => (Vec::new(), Err(error)),
        };
        // Who no longer waits does not need to know.
        let _ = tell.send(gives);
        drafts
    });
    let message = LedgerMessage::Write { decide, answer };
    let written = ask(&handles.ledger, message, answered).await?;
    let (gives, mut copies) = told.await.map_err(|_| ActError::Gone)??;
    let entries = written?;
    // It is durable: from here on nothing fails any more, the answer only says less.
    let others = look_around(handles, |view| {
        view.links.values().any(|link| link.is_manager)
    })
    .await
    .unwrap_or(false);
    let held = |copies: &crate::ledger::Copies| {
        let counts = entries.iter().map(|entry| copies.get(entry).copied());
        counts.map(|count| count.unwrap_or(1)).min().unwrap_or(1)
    };
    if others && !entries.is_empty() {
        // Where the second is slow the first one's word stands: saved, one copy.
        let _ = timeout(COPIES_WITHIN, copies.wait_for(|copies| held(copies) > 1)).await;
    }
    let copies = held(&copies.borrow());
    Ok(Saved {
        gives,
        entries,
        copies,
    })
}
