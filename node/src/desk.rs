//! What a running node does for those who ask on its control socket.
//!
//! Questions are answered from what the actors hold; orders go through `regatta_actors::acts`. Here
//! names become ids and back, and whatever cannot be done becomes one line that says why.

mod changes;
pub(crate) mod config;
mod copied;
mod devices;
mod grants;
mod measures;
mod names;
mod reach;
mod root;
mod status;

use std::sync::Arc;

use regatta_actors::acts::ActError;
use regatta_actors::crew::Handles;
use tokio::time::Instant;

use crate::control::api::{Problem, ProblemKind, Saved};
use crate::control::server::Caller;

/// The one place where questions and orders of operators reach the actors.
///
/// Every method ends in a [`Problem`] where it cannot do what is asked; then nothing has changed.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    node: Option<Arc<DeskNode>>,
}

/// The node whose desk it is.
#[derive(Debug)]
struct DeskNode {
    handles: Handles,
    started: Instant,
}

impl Desk {
    /// The desk of a node whose actors run.
    #[must_use]
    pub fn of(handles: Handles) -> Self {
        let started = Instant::now();
        Self {
            node: Some(Arc::new(DeskNode { handles, started })),
        }
    }

    fn node(&self) -> Result<&DeskNode, Problem> {
        let node = self.node.as_deref();
        node.ok_or_else(|| Problem::not_ready("this node has not started yet"))
    }

    fn handles(&self) -> Result<&Handles, Problem> {
        self.node().map(|node| &node.handles)
    }
}

/// What could not be done, for whoever asked.
fn problem(error: ActError) -> Problem {
    let kind = match &error {
        ActError::NotAManager | ActError::Stopped | ActError::Manager { .. } => {
            ProblemKind::Refused
        }
        ActError::Unknown { .. } => ProblemKind::NotFound,
        ActError::Ambiguous { .. } => ProblemKind::Conflict,
        ActError::Invalid(_) => ProblemKind::Refused,
        ActError::Write(_) | ActError::Gone => ProblemKind::NotReady,
    };
    Problem::new(kind, error.to_string())
}

/// A change that was made, as its maker is told.
fn saved<T>(saved: &regatta_actors::acts::Saved<T>, managers: usize, what: String) -> Saved {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    // Where nothing had to be written there is nothing to count.
    let written = !saved.entries.is_empty();
    Saved {
        saved: written,
        copies: if written { count(saved.copies) } else { 0 },
        managers: count(managers),
        what,
    }
}

/// Whoever changes something stands in the log, in one line with what came of it.
fn note(caller: &Caller, what: &str) {
    tracing::info!(user = %caller, uid = caller.uid, pid = caller.pid, what, "done for an operator");
}
