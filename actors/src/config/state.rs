//! What the actor of configuration holds: which documents are wanted, and how far it is with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::{self, Name};
use regatta_protocol::config::adoption::{Adoption, AdoptionState, Choice, Effect, Event, Wanted};
use regatta_protocol::config::rollout::Rollouts;
use regatta_protocol::config::selection::Denied;
use regatta_protocol::config::standing::Reports;
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::ident::{FleetId, Hash};
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::library::Opener;
use super::perform::{Driven, Worker};
use super::reports;
use super::seen::Seen;
use super::staging::Attempts;
use super::tree::{Library, Tree};
use super::work::Files;
use super::{ConfigMessage, ConfigPlan};
use crate::bodies::BodiesMessage;
use crate::clock::Clock;
use crate::drive::{Alarm, Keeper, Outbox};
use crate::identity::Papers;
use crate::ledger::{LedgerMessage, LedgerView};
use crate::membership::MembershipMessage;
use crate::network::NetworkMessage;
use crate::pulled::{PulledMessage, Reported};
use crate::store::{Store, Table};

/// Under which key of [`Table::Adopted`] the machine's state lies.
pub(super) const STATE: &[u8] = b"adoption";
/// How long news are gathered before they are looked at.
const GATHER: Duration = Duration::from_millis(10);
/// How often it is looked at what nobody announces: files that were changed by hand, and lapses.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What the actor of configuration is started with.
pub struct ConfigArguments {
    /// The fleet.
    pub fleet: FleetId,
    /// How the node lets itself be configured.
    pub plan: ConfigPlan,
    /// The node's certificate, as it is used now.
    pub papers: watch::Receiver<Papers>,
    /// Whom it talks to.
    pub beside: Beside,
    /// Told when entries came.
    pub entries: watch::Receiver<u64>,
    /// Told when bodies came.
    pub bodies_came: watch::Receiver<u64>,
    /// Told of reports, this node's own and those that a manager read.
    pub reported: mpsc::UnboundedReceiver<Reported>,
    /// Counted up when what holds on this device has changed.
    pub applied: watch::Sender<u64>,
    /// Randomness.
    pub prng: Prng,
}

/// Whom the actor talks to.
#[derive(Clone)]
pub struct Beside {
    /// What is kept.
    pub store: Store,
    /// What documents there are.
    pub ledger: ActorRef<LedgerMessage>,
    /// Their words.
    pub bodies: ActorRef<BodiesMessage>,
    /// Where it reports.
    pub pulled: ActorRef<PulledMessage>,
    /// Who is a manager.
    pub membership: ActorRef<MembershipMessage>,
    /// Whether it answers.
    pub network: ActorRef<NetworkMessage>,
    /// The node's clocks.
    pub clock: Clock,
}

/// Why a document that a device is to take is not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Its body, or a file of it, is on its way.
    Body,
    /// Nobody has handed this device the key of its secrets yet.
    Key,
}

/// What may be read.
pub struct ConfigView<'a> {
    /// What holds on this device: values and files.
    pub tree: &'a Tree,
    /// How far it is.
    pub adoption: &'a AdoptionState,
    /// What it waits for, by document.
    pub pending: &'a BTreeMap<Name, Pending>,
    /// What it refuses because its author may not write here.
    pub denied: &'a [Denied],
    /// What devices reported.
    pub reports: &'a Reports,
    /// Counted up when what holds on this device has changed.
    pub applied: watch::Receiver<u64>,
}

/// Documents whose words are here.
#[derive(Default)]
pub(super) struct Documents {
    pub(super) library: Library,
    /// Revisions of which nothing can be made, and why.
    pub(super) broken: BTreeMap<RevisionId, String>,
    /// On a manager: revisions whose files were named to the ledger.
    pub(super) named: BTreeSet<RevisionId>,
    /// On a manager: revisions that have secrets.
    pub(super) sealed: BTreeSet<RevisionId>,
}

/// What documents make of this device.
#[derive(Default)]
pub(super) struct Shown {
    /// What holds.
    pub(super) tree: Tree,
    /// What is being tried.
    pub(super) draft: Tree,
    /// The files of what holds.
    pub(super) files: Files,
}

/// What is not taken, and why.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) pending: BTreeMap<Name, Pending>,
    pub(super) denied: Vec<Denied>,
    /// What was wanted last: of what cannot be said yet this is wanted still, so that nothing that was
    /// refused is tried again for want of a word.
    pub(super) last: Choice,
}

/// A manager's part in rollouts.
pub(super) struct Driving {
    pub(super) alarm: Alarm,
    /// When it began to listen.
    pub(super) begun: Millis,
    /// Words on rollouts that are being written.
    pub(super) writes: u32,
    /// Whether keys of secrets are being handed out.
    pub(super) hands_out: bool,
    pub(super) prng: Prng,
}

/// What the actor holds.
pub struct ConfigState {
    pub(super) driven: Driven,
    pub(super) documents: Documents,
    pub(super) shown: Shown,
    pub(super) waiting: Waiting,
    pub(super) reports: Reports,
    pub(super) rollouts: Rollouts,
    pub(super) driving: Driving,
    pub(super) drift: super::drift::Drift,
    pub(super) worker: Worker,
    tasks: Vec<AbortHandle>,
}

impl Drop for ConfigState {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl ConfigState {
    pub(super) async fn restore(
        myself: ActorRef<ConfigMessage>,
        arguments: ConfigArguments,
    ) -> Result<Self, ActorProcessingErr> {
        let ConfigArguments {
            fleet,
            plan,
            papers,
            beside,
            entries,
            bodies_came,
            reported,
            applied,
            prng,
        } = arguments;
        let own = papers.borrow().clone();
        let stored = beside.store.get(Table::Adopted, STATE).await?;
        let stored = stored.map(|bytes| codec::decode::<AdoptionState>(&bytes));
        let state = stored.transpose().unwrap_or_else(|error| {
            tracing::error!(%error, "what this node kept of its configuration is unreadable; it begins anew");
            None
        });
        let mut effects = Vec::new();
        let now = beside.clock.now();
        let machine = Adoption::restore(state.unwrap_or_default(), now, &mut effects);
        let reports = reports::read(&beside.store).await?;
        let tell = myself.clone();
        let keeper = Keeper::new(beside.store.clone(), true, move |told| {
            // An actor that is gone needs to know nothing.
            let _ = tell.cast(ConfigMessage::Told(told));
        });
        let tasks = vec![
            follow(myself.clone(), entries),
            follow(myself.clone(), bodies_came),
            forward(myself.clone(), reported),
        ];
        myself.send_interval(LOOK_EVERY, || ConfigMessage::LookAround);
        let secret = BoxSecret::from_bytes(&own.secrets().seal.to_bytes());
        let mut state = Self {
            driven: Driven {
                machine,
                myself,
                papers,
                beside,
                opener: Opener {
                    fleet,
                    node: own.node(),
                    secret: Arc::new(secret),
                },
                attempts: Attempts::new(plan.attempts, plan.ground),
                services: plan.services,
                writes: (Outbox::default(), keeper),
                alarm: Alarm::default(),
                applied,
            },
            documents: Documents::default(),
            shown: Shown::default(),
            waiting: Waiting::default(),
            worker: Worker::start(),
            reports,
            rollouts: Rollouts::default(),
            driving: Driving {
                alarm: Alarm::default(),
                begun: now,
                writes: 0,
                hands_out: false,
                prng,
            },
            drift: super::drift::Drift::default(),
            tasks,
        };
        state.load_good().await?;
        state.waiting.last = state.driven.machine.state().wanted_last();
        state.take(effects).await?;
        state.moved().await?;
        Ok(state)
    }

    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&LedgerView<'_>) -> T + Send + 'static,
    ) -> Result<T, ActorProcessingErr> {
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |view: &LedgerView<'_>| {
            // Who is gone does not need to know.
            let _ = answer.send(look(view));
        });
        self.driven.beside.ledger.cast(LedgerMessage::Look(look))?;
        Ok(answered.await?)
    }

    /// What the ledger says, once the words of all rollouts that matter and are here are read.
    pub(super) async fn ask_the_ledger(&mut self) -> Result<Seen, ActorProcessingErr> {
        loop {
            let rollouts = self.rollouts.clone();
            let seen = self.look(move |view| Seen::of(view, &rollouts)).await?;
            if !self.learn_rollouts(seen.rollouts.clone()).await? {
                return Ok(seen);
            }
        }
    }

    pub(super) fn view(&self) -> ConfigView<'_> {
        ConfigView {
            tree: &self.shown.tree,
            adoption: self.driven.machine.state(),
            pending: &self.waiting.pending,
            denied: &self.waiting.denied,
            reports: &self.reports,
            applied: self.driven.applied.subscribe(),
        }
    }

    /// Entries or bodies came, or time passed: what is wanted may have changed.
    pub(super) async fn moved(&mut self) -> Result<(), ActorProcessingErr> {
        let seen = self.ask_the_ledger().await?;
        let manager = self.driven.papers.borrow().is_manager();
        if manager {
            self.drive_soon();
            return self.want_all(&seen).await;
        }
        self.waiting.denied.clone_from(&seen.selection.denied);
        self.waiting.pending.clear();
        let (mut wanted, mut ready) = (Vec::new(), Choice::new());
        let mut waiting: BTreeSet<Hash> = BTreeSet::new();
        for selected in &seen.selection.take {
            let pending = self.load(selected, &seen).await?;
            let pending = match pending {
                None => self.contents_missing(selected, &mut wanted).await?,
                Some(Pending::Body) => {
                    wanted.push(selected.body);
                    Some(Pending::Body)
                }
                Some(Pending::Key) => Some(Pending::Key),
            };
            match pending {
                None => {
                    ready.insert(selected.name.clone(), selected.chosen);
                }
                Some(pending) => {
                    waiting.insert(selected.chosen.entry);
                    self.waiting.pending.insert(selected.name.clone(), pending);
                }
            }
        }
        self.want(wanted);
        let last = &self.waiting.last;
        let choice = seen.selection.with_what_holds(last, (&ready, &waiting));
        let ended = seen.selection.ended;
        let ended = ended.into_iter().filter(|(_, by)| !waiting.contains(by));
        self.waiting.last.clone_from(&choice);
        match Wanted::new(choice, ended.collect()) {
            Ok(wanted) => self.run(Event::Wanted(wanted)).await,
            Err(error) => {
                tracing::error!(%error, "nothing of it is taken");
                Ok(())
            }
        }
    }

    pub(super) fn want(&self, bodies: Vec<BodyRef>) {
        if !bodies.is_empty() {
            // One that is gone is started again together with this actor.
            let _ = self.driven.beside.bodies.cast(BodiesMessage::Want(bodies));
        }
    }

    /// Hands the machine an event, and performs what follows.
    pub(super) async fn run(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        let now = self.driven.beside.clock.now();
        let mut effects: Vec<Effect> = Vec::new();
        self.driven.machine.handle(now, event, &mut effects);
        self.take(effects).await?;
        let (clock, myself) = (&self.driven.beside.clock, &self.driven.myself);
        let at = self.driven.machine.wake_at();
        self.driven
            .alarm
            .set(clock, at, myself, || ConfigMessage::Wake);
        Ok(())
    }
}

/// Tells the actor that something came, and not more often than it is worth a look.
fn follow(myself: ActorRef<ConfigMessage>, mut news: watch::Receiver<u64>) -> AbortHandle {
    let task = tokio::spawn(async move {
        while news.changed().await.is_ok() {
            // One that is gone needs no telling.
            let _ = myself.cast(ConfigMessage::Moved);
            tokio::time::sleep(GATHER).await;
        }
    });
    task.abort_handle()
}

fn forward(
    myself: ActorRef<ConfigMessage>,
    mut reported: mpsc::UnboundedReceiver<Reported>,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        while let Some(reported) = reported.recv().await {
            // One that is gone needs no telling.
            let _ = myself.cast(ConfigMessage::Reported(Box::new(reported)));
        }
    });
    task.abort_handle()
}
