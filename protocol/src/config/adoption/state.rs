//! What a device keeps of its configuration between two starts: what holds, what it refused, and how
//! far it is with what it tries.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::catalog::RevisionId;
use crate::codec::{Name, Wire};
use crate::config::outcome::{Fault, Outcome, Step};
use crate::ident::Hash;

/// Documents that one device takes at once.
pub const DOCUMENTS_MAX: usize = 1024;
/// Checks, hooks and probes of one attempt.
pub const TASKS_MAX: usize = 1024;
/// Faults of refused revisions that are kept; of older ones only that they were refused.
pub const FAULTS_MAX: usize = 64;

/// One revision of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The revision.
    pub revision: RevisionId,
    /// The entry that it stands in: documents of one entry count together or not at all.
    pub entry: Hash,
    /// Its number for people.
    pub version: u32,
}

/// Documents that a device takes, by name.
pub type Choice = BTreeMap<Name, Chosen>;

/// What a device should take, as far as it holds the bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub(super) take: Choice,
    pub(super) ended: BTreeMap<Name, Hash>,
}

/// More documents than one device takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found} documents select this device; at most 1024 can be taken, so narrow some selectors"
)]
pub struct TooManyDocuments {
    /// How many there are.
    pub found: usize,
}

impl Wanted {
    /// What is to be taken, and which documents an entry ended: what one entry ends goes together
    /// with what it changes.
    ///
    /// # Errors
    /// When they are more than [`DOCUMENTS_MAX`].
    pub fn new(take: Choice, ended: BTreeMap<Name, Hash>) -> Result<Self, TooManyDocuments> {
        let found = take.len();
        if found > DOCUMENTS_MAX {
            return Err(TooManyDocuments { found });
        }
        Ok(Self { take, ended })
    }

    /// What is wanted of one document.
    pub(super) fn change(&self, name: &Name) -> Change {
        match self.take.get(name) {
            Some(chosen) => Change::Take(*chosen),
            None => Change::Leave {
                by: self.ended.get(name).copied(),
            },
        }
    }
}

/// What happens to one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A revision is taken.
    Take(Chosen),
    /// It is not wanted any more.
    Leave {
        /// The entry that ended it, where one did.
        by: Option<Hash>,
    },
}

/// What an attempt changes, by document.
pub type Changes = BTreeMap<Name, Change>;

/// What counts together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Entry(Hash),
    Alone(Name),
}

impl Change {
    /// Whether this is the same change, by whatever number people know the revision.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Take(one), Self::Take(other)) => one.revision == other.revision,
            _ => self == other,
        }
    }

    pub(super) fn group(&self, name: &Name) -> Group {
        match self {
            Self::Take(chosen) => Group::Entry(chosen.entry),
            Self::Leave { by: Some(entry) } => Group::Entry(*entry),
            Self::Leave { by: None } => Group::Alone(name.clone()),
        }
    }
}

/// A revision that was tried and does not hold. It is not tried again until another one is wanted,
/// or somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was tried.
    pub change: Change,
    /// In which attempt.
    pub attempt: u64,
}

/// A command that is run after files changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hook {
    /// Of which document.
    pub document: Name,
    /// Of which of its revisions.
    pub revision: RevisionId,
    /// Which of its hooks, counted from zero.
    pub index: u16,
}

/// What staging found that there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Documents with a check.
    pub checks: Vec<Name>,
    /// Whether anything changes that a program can read.
    pub writes: bool,
    /// Hooks, in order: of every changed document, and of every other one whose files change.
    pub hooks: Vec<Hook>,
    /// Documents with a probe.
    pub probes: Vec<Name>,
    /// The shortest time within which a manager has to be heard.
    pub confirm_ms: Option<u64>,
    /// Hooks of what is there now, for the way back.
    pub back: Vec<Hook>,
}

impl Work {
    pub(super) fn len(&self) -> usize {
        self.checks.len() + self.hooks.len() + self.probes.len() + self.back.len()
    }

    /// How many tasks a step has.
    pub(super) fn tasks(&self, step: Step) -> usize {
        match step {
            Step::Staging | Step::Restoring | Step::Stuck => 1,
            Step::Checking => self.checks.len(),
            Step::Writing => usize::from(self.writes),
            Step::Changing => self.hooks.len(),
            Step::Watching => self.probes.len(),
            // Where nothing was written nothing can have cut the device off.
            Step::Confirming => usize::from(self.writes && self.confirm_ms.is_some()),
            Step::ChangingBack => self.back.len(),
        }
    }
}

/// Changes on their way. What it says was begun; whether it was done, nobody knows after a kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, which its folder bears.
    pub number: u64,
    /// What it changes.
    pub changes: Changes,
    /// Where it is.
    pub step: Step,
    /// Which task of that step.
    pub index: u32,
    /// What there is to do.
    pub work: Work,
    /// Why it goes back.
    pub fault: Option<Fault>,
    /// What failed on the way back.
    pub stuck: Option<Fault>,
    /// Documents of which a hook may have run twice.
    pub again: BTreeSet<Name>,
    /// How often going back was begun again.
    pub backs: u8,
    /// Whether somebody asked to try it again once it went back.
    pub retry: bool,
}

/// All that an adoption keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptionState {
    /// What holds.
    pub good: Choice,
    /// What does not, though it was wanted.
    pub refused: BTreeMap<Name, Refusal>,
    /// Why, by attempt.
    pub faults: BTreeMap<u64, Fault>,
    /// Documents that failed together with others, and are tried group by group.
    pub apart: BTreeSet<Name>,
    /// Hooks that failed on the way back: what reads their documents' files may know newer ones. Of
    /// more than [`TASKS_MAX`] it is only told that they failed.
    pub owed: BTreeSet<Hook>,
    /// What is on its way.
    pub attempt: Option<Attempt>,
    /// How many attempts there were.
    pub attempts: u64,
    /// What is to be reported and was not yet.
    pub reports: Vec<Outcome>,
    /// How many outcomes there were.
    pub outcomes: u64,
}

impl Wire for AdoptionState {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1024 * 1024;
    const WHAT: &'static str = "state of adoption";
}

impl AdoptionState {
    /// What will hold when the attempt on its way succeeds; what holds where there is none.
    #[must_use]
    pub fn target(&self) -> Choice {
        let mut target = self.good.clone();
        let changes = self.attempt.iter().flat_map(|attempt| &attempt.changes);
        for (name, change) in changes {
            match change {
                Change::Take(chosen) => target.insert(name.clone(), *chosen),
                Change::Leave { .. } => target.remove(name),
            };
        }
        target
    }

    /// What was wanted when the node ended, as far as this tells: what holds, and what was refused.
    #[must_use]
    pub fn wanted_last(&self) -> Choice {
        let mut last = self.target();
        for (name, refusal) in &self.refused {
            match refusal.change {
                Change::Take(chosen) => last.insert(name.clone(), chosen),
                Change::Leave { .. } => last.remove(name),
            };
        }
        last
    }

    /// What differs between what holds and what is wanted, but for what was refused.
    pub(super) fn open(&self, wanted: &Wanted) -> Changes {
        let names = self.good.keys().chain(wanted.take.keys());
        let mut open = Changes::new();
        for name in names {
            let change = wanted.change(name);
            let good = self.good.get(name).map(|good| good.revision);
            let differs = match &change {
                Change::Take(chosen) => good != Some(chosen.revision) || self.owes(name),
                Change::Leave { .. } => true,
            };
            let refused = self.refused.get(name);
            if differs && !refused.is_some_and(|refusal| refusal.change.is(&change)) {
                open.insert(name.clone(), change);
            }
        }
        open
    }

    /// Drops what nobody wants any more; whether there was something.
    pub(super) fn forget(&mut self, wanted: &Wanted) -> bool {
        let before = (self.refused.len(), self.owed.len(), self.faults.len());
        let good = &self.good;
        let known = |name: &Name| good.contains_key(name) || wanted.take.contains_key(name);
        self.refused
            .retain(|name, refusal| known(name) && refusal.change.is(&wanted.change(name)));
        self.owed.retain(|hook| known(&hook.document));
        self.forget_faults();
        before != (self.refused.len(), self.owed.len(), self.faults.len())
    }

    fn owes(&self, name: &Name) -> bool {
        self.owed.iter().any(|hook| hook.document == *name)
    }

    pub(super) fn forget_faults(&mut self) {
        let refused = &self.refused;
        self.faults
            .retain(|number, _| refused.values().any(|refusal| refusal.attempt == *number));
        while self.faults.len() > FAULTS_MAX {
            self.faults.pop_first();
        }
    }
}
