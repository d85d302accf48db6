//! What can happen to an adoption, and what it can ask for.

use std::collections::BTreeSet;

use crate::catalog::RevisionId;
use crate::codec::Name;
use crate::config::adoption::state::{AdoptionState, Choice, Hook, Wanted, Work};
use crate::config::outcome::{Outcome, Step};

/// Which piece of work of which attempt: whoever did it says so, and what comes late is known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// The attempt.
    pub attempt: u64,
    /// The step.
    pub step: Step,
    /// Which of the step's tasks.
    pub index: u32,
}

/// Everything that can happen to an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From the driver, at every start and whenever it changes: what the device should take.
    Wanted(Wanted),
    /// From the driver: staging ended.
    Staged {
        /// The task that was asked for.
        task: Task,
        /// What there is to do, or why it cannot be staged.
        result: Result<Work, String>,
    },
    /// From the driver: any other task ended.
    Done {
        /// The task that was asked for.
        task: Task,
        /// Why it failed, where it did.
        result: Result<(), String>,
    },
    /// From the network: a manager was heard just now.
    ManagerHeard,
    /// From the driver: the outcome of this number rests in the device's report.
    Reported(u64),
    /// From an operator: try again what was refused, all of it or one document with its group.
    Retry(Option<Name>),
    /// The time of `wake_at` has come.
    Wake,
}

/// Everything that an adoption can ask for. What is asked for is done in order, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep this, durably, before anything that follows is done.
    Keep(Box<AdoptionState>),
    /// Make the files of `target` in the attempt's folder, anew where there are some, and keep there
    /// what else `Write` and `Restore` need. Ends with `Staged`.
    Stage(Box<Staging>),
    /// Run a document's check on what was staged.
    Check {
        /// The task.
        task: Task,
        /// The document.
        document: Name,
    },
    /// Back up what is there, unless this attempt has done so, and put the staged files in place,
    /// each by a rename. Done twice it does the same.
    Write(Task),
    /// Run a hook.
    Run {
        /// The task.
        task: Task,
        /// The hook.
        hook: Hook,
    },
    /// Run a document's probe.
    Probe {
        /// The task.
        task: Task,
        /// The document.
        document: Name,
    },
    /// Ask managers for a sign of life. What is heard from here on counts.
    AskManagers,
    /// Put the backups of the attempt in place again, where there are some. Done twice it does the
    /// same.
    Restore(Task),
    /// Remove the folders of this attempt and of all before it.
    Discard {
        /// The attempt.
        number: u64,
    },
    /// Put this into the device's report; then `Reported`.
    Report(Box<Outcome>),
}

/// What is to be staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staging {
    /// The task.
    pub task: Task,
    /// What holds.
    pub good: Choice,
    /// What should.
    pub target: Choice,
    /// Documents that change. Their hooks run even where none of their files does: one of the
    /// revision that holds may be here because its hooks failed before.
    pub changes: BTreeSet<Name>,
}

impl Staging {
    /// The revision whose hooks tell of a document's change: the new one, else the one that goes.
    #[must_use]
    pub fn hooks_of(&self, document: &Name) -> Option<RevisionId> {
        let chosen = self.target.get(document).or(self.good.get(document))?;
        Some(chosen.revision)
    }
}
