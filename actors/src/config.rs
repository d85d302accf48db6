//! The actor of configuration: on a device it takes documents on and takes them back, on a manager it
//! knows what devices report of that.
//!
//! It decides nothing: which revisions a device takes is `config::selection`'s to say, how it takes them
//! `config::adoption`'s, what they make of it `config::resolve`'s. Here bodies are fetched, files written
//! and commands run, in the order in which the machine asks for them.

mod documents;
mod drift;
pub mod ground;
pub mod hooks;
mod library;
mod manager;
mod perform;
pub mod render;
mod reports;
pub mod rollouts;
mod seen;
pub mod staging;
mod state;
pub mod tree;
pub mod users;
mod work;
mod wraps;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::Name;
use regatta_protocol::config::adoption::{Task, Work};
use regatta_protocol::config::document::Secrets;
use regatta_protocol::config::rollout::Rollouts;
use regatta_protocol::config::value::KeyPath;
use tokio::sync::oneshot;

pub use self::library::SECRETS_DETAIL;
pub use self::manager::contents;
use self::rollouts::{Progress, Progressed};
pub use self::state::{Beside, ConfigArguments, ConfigState, ConfigView, Pending};
use crate::config::ground::Ground;
use crate::config::hooks::Services;
use crate::drive::Told;
use crate::pulled::Reported;

/// What reads the state of configuration.
pub type Look = Box<dyn FnOnce(&ConfigView<'_>) + Send>;

/// How a node lets itself be configured.
#[derive(Clone, Debug)]
pub struct ConfigPlan {
    /// Where files may be.
    pub ground: Ground,
    /// Where it keeps what it is about to write, and what was there.
    pub attempts: PathBuf,
    /// How services are restarted.
    pub services: Services,
}

/// Everything that the actor of configuration can be told.
pub enum ConfigMessage {
    /// From its tasks: entries or bodies came.
    Moved,
    /// From the actor of pulled ledgers: a device reported something.
    Reported(Box<Reported>),
    /// From itself: the files of an attempt were made.
    Staged {
        /// Which.
        task: Task,
        /// What there is to do.
        result: Result<Work, String>,
    },
    /// From itself: something that was asked for is done.
    Done {
        /// What.
        task: Task,
        /// Why it failed, where it did.
        result: Result<(), String>,
    },
    /// From itself: a manager answered.
    ManagerHeard,
    /// From itself: an outcome rests in the report.
    Noted(u64),
    /// From itself: which managed files are not what they should be.
    Drift(Vec<regatta_protocol::report::Drifted>),
    /// From control and from tests: the rollouts, with all words that are here.
    GetRollouts(oneshot::Sender<Rollouts>),
    /// From control: how far a change has gone out.
    GetProgress(Progress, oneshot::Sender<Progressed>),
    /// From control: the texts of a revision's secrets, where a wrap of their key is for this node.
    OpenSecrets(RevisionId, Secrets, oneshot::Sender<Option<OpenedSecrets>>),
    /// From control: try again what was refused.
    Retry(Option<Name>),
    /// From control and from tests: reads what there is.
    Look(Look),
    /// From its timer: rollouts may go on.
    Drive,
    /// From itself: a word on a rollout is written, or is not.
    RolloutWritten,
    /// From itself: keys of secrets were handed out, or were not.
    KeysHandedOut,
    /// From its timer: the machine's time has come.
    Wake,
    /// From its timer, every half a minute.
    LookAround,
    /// From the store: what became of writes.
    Told(Told),
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
}

impl fmt::Debug for ConfigMessage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ConfigMessage")
    }
}

/// Reads the state of configuration.
///
/// # Errors
/// When the actor is gone.
pub async fn look<T: Send + 'static>(
    actor: &ActorRef<ConfigMessage>,
    look: impl FnOnce(&ConfigView<'_>) -> T + Send + 'static,
) -> Result<T, crate::acts::ActError> {
    let (answer, answered) = oneshot::channel();
    let message = ConfigMessage::Look(Box::new(move |view| {
        // Who no longer waits does not need to know.
        let _ = answer.send(look(view));
    }));
    crate::acts::ask(actor, message, answered).await
}

/// The rollouts that are known, with all words that are here.
///
/// # Errors
/// When the actor is gone.
pub async fn rollouts(actor: &ActorRef<ConfigMessage>) -> Result<Rollouts, crate::acts::ActError> {
    let (answer, answered) = oneshot::channel();
    crate::acts::ask(actor, ConfigMessage::GetRollouts(answer), answered).await
}

/// The texts of secrets, by their places.
pub type OpenedSecrets = BTreeMap<KeyPath, String>;

/// The texts of a revision's secrets; none where no wrap of their key is for this node.
///
/// # Errors
/// When the actor is gone.
pub async fn open_secrets(
    actor: &ActorRef<ConfigMessage>,
    id: RevisionId,
    secrets: Secrets,
) -> Result<Option<OpenedSecrets>, crate::acts::ActError> {
    let (answer, answered) = oneshot::channel();
    let message = ConfigMessage::OpenSecrets(id, secrets, answer);
    crate::acts::ask(actor, message, answered).await
}

/// How far a change has gone out.
///
/// # Errors
/// When the actor is gone.
pub async fn progress(
    actor: &ActorRef<ConfigMessage>,
    asked: Progress,
) -> Result<Progressed, crate::acts::ActError> {
    let (answer, answered) = oneshot::channel();
    let message = ConfigMessage::GetProgress(asked, answer);
    crate::acts::ask(actor, message, answered).await
}

/// Owns the machine. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigActor;

impl Actor for ConfigActor {
    type Msg = ConfigMessage;
    type State = ConfigState;
    type Arguments = ConfigArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ConfigMessage>,
        arguments: ConfigArguments,
    ) -> Result<ConfigState, ActorProcessingErr> {
        ConfigState::restore(myself, arguments).await
    }

    async fn handle(
        &self,
        _: ActorRef<ConfigMessage>,
        message: ConfigMessage,
        state: &mut ConfigState,
    ) -> Result<(), ActorProcessingErr> {
        state.handle(message).await
    }
}
