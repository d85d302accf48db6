//! Configuration of simulated nodes: the shipped machine and rules, over a simulated device.
//!
//! An agent adopts what its own ledgers say it should take; a manager reads what agents report, and drives
//! rollouts when it is its turn. How a node wires this is in `actors/src/config`; here it is the same.

pub mod device;
pub mod enrol;
pub mod figures;
pub mod settled;
pub mod words;

use std::collections::{BTreeMap, VecDeque};

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::{self, Name};
use regatta_protocol::config::adoption::{
    Adoption, AdoptionState, Choice, Effect, Hook, Staging, Task,
};
use regatta_protocol::config::rollout::Rollouts;
use regatta_protocol::config::standing::Reports;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::ledger::replica::Replica;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::Labels;

use crate::bodies::papers::Papers;
use crate::config::device::{Device, Much};
use crate::config::words::{Loaded, load};
use crate::disk::Disk;
use crate::node::NEVER;

/// How long news are gathered before they are looked at.
pub const GATHER_MS: u64 = 10;
/// How often it is looked at what nobody announces.
pub const LOOK_MS: u64 = 30_000;

/// What outlasts a crash.
#[derive(Clone, Debug, Default)]
pub struct ConfigDisk {
    /// The machine's state, encoded.
    pub state: Option<Vec<u8>>,
    /// The device itself.
    pub device: Device,
}

impl ConfigDisk {
    /// What the machine is restored from.
    #[must_use]
    pub fn adoption(&self) -> AdoptionState {
        let state = self.state.as_ref();
        let state = state.and_then(|bytes| codec::decode(bytes).ok());
        state.unwrap_or_default()
    }
}

/// A piece of work on the device, one after the other.
#[derive(Clone, Debug)]
pub enum Job {
    /// Make the files of an attempt.
    Stage(Box<Staging>),
    /// Run a check.
    Check(Task, Name),
    /// Put files in place.
    Write(Task),
    /// Run a hook.
    Run(Task, Hook),
    /// Run a probe.
    Probe(Task, Name),
    /// Put files back.
    Restore(Task),
    /// Remove folders.
    Discard(u64),
}

/// When what is to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Alarms {
    /// What is wanted.
    pub look: Millis,
    /// The rollouts.
    pub drive: Millis,
    /// The first of the jobs is done.
    pub job: Millis,
    /// The machine.
    pub machine: Millis,
}

/// What was read, and what follows from it.
#[derive(Debug, Default)]
pub struct Known {
    /// Words of rollouts.
    pub rollouts: Rollouts,
    /// Words of documents.
    pub library: BTreeMap<RevisionId, Loaded>,
    /// What was wanted last: of what cannot be said yet this is wanted still.
    pub last: Choice,
    /// Bodies that are wanted and stand in no entry's header.
    pub wanted: BTreeMap<Hash, u64>,
    /// On a manager: what devices reported.
    pub reports: Reports,
}

/// A node's part in configuration.
#[derive(Debug)]
pub struct NodeConfig {
    /// An agent's machine.
    pub machine: Option<Adoption>,
    /// What it knows.
    pub known: Known,
    /// What the device is doing, and is to do after that.
    pub jobs: VecDeque<Job>,
    /// When what is to be looked at.
    pub alarms: Alarms,
    /// When the node started.
    pub begun: Millis,
    /// Which start this is: what answers an earlier one is dropped.
    pub start: u32,
    /// Randomness.
    pub prng: Prng,
}

impl NodeConfig {
    /// After a start, with what the machine asks for at once.
    #[must_use]
    pub fn restore(
        agent: Option<&ConfigDisk>,
        (now, start): (Millis, u32),
        prng: Prng,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let machine = agent.map(|disk| Adoption::restore(disk.adoption(), now, effects));
        let last = machine.as_ref().map(|it| it.state().wanted_last());
        Self {
            machine,
            known: Known {
                last: last.unwrap_or_default(),
                ..Known::default()
            },
            jobs: VecDeque::new(),
            alarms: Alarms {
                look: now.plus(1),
                drive: NEVER,
                job: NEVER,
                machine: NEVER,
            },
            begun: now,
            start,
            prng,
        }
    }

    /// When it wants to be woken.
    #[must_use]
    pub fn wake_at(&self) -> Millis {
        let Alarms {
            look,
            drive,
            job,
            machine,
        } = self.alarms;
        look.min(drive).min(job).min(machine)
    }

    /// The power fails: what the device is doing to its files is done by half; whether it was doing
    /// something.
    pub fn tear(&mut self, device: &mut Device) -> bool {
        let much = Much::Some(&mut self.prng);
        match self.jobs.front() {
            Some(Job::Stage(staging)) => {
                device.stage(staging.task.attempt, staging, much);
            }
            Some(Job::Write(task)) => {
                // Where nothing was staged the next start finds that out.
                let _ = device.write(task.attempt, much);
            }
            Some(Job::Restore(task)) => device.restore(task.attempt, much),
            _ => return false,
        }
        true
    }
}

impl Known {
    /// The words of a revision, read where that was not done.
    pub fn loaded(&mut self, replica: &Replica, disk: &Disk, id: &RevisionId) -> Option<&Loaded> {
        if !self.library.contains_key(id) {
            let loaded = load(replica, disk, id)?;
            self.library.insert(*id, loaded);
        }
        self.library.get(id)
    }
}

/// What selectors see of a node, by its own papers.
#[must_use]
pub fn labels_of(papers: &Papers) -> Labels {
    let own = papers.credentials.own();
    own.labels.with_name(&own.name)
}

/// Bodies that are not on a disk.
#[must_use]
pub fn absent(disk: &Disk, bodies: &[BodyRef]) -> Vec<BodyRef> {
    let lacks = |body: &&BodyRef| !disk.bodies.has(&body.hash);
    bodies.iter().filter(lacks).copied().collect()
}
