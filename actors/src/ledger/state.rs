//! What the ledger actor holds, and how it drives its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::allowance::Allowance;
use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::codec;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Refusal;
use regatta_protocol::ledger::replica::{Alarm as Trouble, Effect, Event, Replica, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::authority::Credentials;
use regatta_protocol::trust::certificate::SignedCertificate;
use regatta_protocol::trust::enrolment::change::Relabel;
use regatta_protocol::trust::record::content;
use regatta_protocol::trust::steward::{self, Notice};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::clock::{Clock, ClockWatch, ReferenceClock};
use crate::drive::{Alarm, Keeper, Outbox, Told};
use crate::identity::{NodeIdentity, Papers};
use crate::ledger::LedgerMessage;
use crate::ledger::around::Around;
pub use crate::ledger::around::Tidings;
use crate::ledger::refusals::Refusals;
use crate::ledger::standing;
use crate::ledger::stored::{self, put_entry, put_floor};
use crate::ledger::writing::Drafts;
use crate::network::NetworkMessage;
use crate::store::{Batch, Store, Table};
use crate::supervisor::Fatal;
use crate::switchboard::Standing;

/// Under which key of [`Table::Node`] the certificate lies that took the place of the first.
const CERTIFICATE: &[u8] = b"certificate";
/// Under which key the node notes that what it had written may be gone: until a peer has given some of
/// it back it writes nothing, also after further restarts.
const LOST: &[u8] = b"lost";
/// How often two nodes compare what they hold when nothing happens. A session loses nothing and a new one
/// compares at once, so this finds only what nobody thought of.
const DIGEST_EVERY_MS: u64 = 600_000;
/// Troubles that are kept for operators to see.
const TROUBLES_MAX: usize = 64;

/// What the ledger is started with.
pub struct LedgerArguments {
    /// Who this node is.
    pub identity: Arc<NodeIdentity>,
    /// Where others hear of what changes.
    pub tidings: Tidings,
    /// Where entries are kept.
    pub store: Store,
    /// Whether something that the node had written before may be gone from it.
    pub lost: bool,
    /// How peers are reached.
    pub network: ActorRef<NetworkMessage>,
    /// The node's clocks.
    pub clock: Clock,
    /// Where reference time is told.
    pub reference: ReferenceClock,
    /// Where it is told who is a full member.
    pub switchboard: mpsc::UnboundedSender<Standing>,
    /// Randomness.
    pub prng: Prng,
}

/// What is to be seen of the node's own doings.
#[derive(Default)]
pub(super) struct Duty {
    pub(super) done: steward::Done,
    pub(super) due: Option<Millis>,
    pub(super) notices: Vec<Notice>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) refusals: Refusals,
}

/// Own entries, and how many managers hold them.
pub type Copies = BTreeMap<Hash, usize>;

/// What the actor holds.
pub struct LedgerState {
    pub(super) machine: Replica,
    pub(super) papers: Papers,
    pub(super) around: Around,
    pub(super) members: BTreeMap<NodeId, Arc<Credentials>>,
    /// The same of everybody who was there since the start.
    pub(super) known: BTreeMap<NodeId, Arc<Credentials>>,
    pub(super) drafts: Drafts,
    pub(super) duty: Duty,
    pub(super) disk_full: bool,
    pub(super) copies: watch::Sender<Copies>,
    pub(super) driven: Driven,
}

/// What stands behind a write.
pub(super) enum Behind {
    /// What the replica asks for.
    Effect(Effect),
    /// What somebody is told.
    Then(Box<dyn FnOnce(&mut LedgerState) + Send>),
}

/// What stands between the machine and its effects.
pub(super) struct Driven {
    pub(super) outbox: Outbox<Behind>,
    pub(super) keeper: Keeper,
    pub(super) alarm: Alarm,
    /// The number of the next entry that is stored.
    pub(super) order: u64,
    pub(super) prng: Prng,
    /// Devices that get another certificate once their new labels are durable here.
    pub(super) relabelled: BTreeSet<NodeId>,
    /// Places for answers that are read for each peer.
    pub(super) reads: BTreeMap<NodeId, Arc<Semaphore>>,
    /// What peers may still say about certificates.
    pub(super) papers: BTreeMap<NodeId, Allowance>,
    /// Nodes of whose enrolment membership is to know, once one of theirs counts.
    pub(super) enrolled: BTreeSet<NodeId>,
    /// Who is no full member now.
    pub(super) standing: standing::Standing,
}

/// The device whose labels an entry changes.
fn relabelled(entry: &Entry) -> Option<NodeId> {
    if entry.header.kind.code != EntryKind::RELABEL.code {
        return None;
    }
    let relabel: Relabel = codec::decode(content(entry)?).ok()?;
    Some(relabel.node)
}

/// What may be read.
pub struct LedgerView<'a> {
    /// What is held, and what follows from it.
    pub replica: &'a Replica,
    /// The node's own certificate.
    pub papers: &'a Papers,
    /// Members with whom there is a link, as their certificates show them.
    pub members: &'a BTreeMap<NodeId, Arc<Credentials>>,
    /// The same of everybody who was there since the start.
    pub known: &'a BTreeMap<NodeId, Arc<Credentials>>,
    /// Monotonic time.
    pub now: Millis,
    /// Certificates that will lapse.
    pub notices: &'a [Notice],
    /// Forks, clones and restored authors that were noticed.
    pub troubles: &'a [Trouble],
    /// Whether the disk has no room for ordinary writes.
    pub disk_full: bool,
    /// How many managers hold own entries, this one included.
    pub copies: watch::Receiver<Copies>,
    /// How many entries became durable here since the actor started: whoever waits for one looks again
    /// when this changes.
    pub news: watch::Receiver<u64>,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The replica refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk is full.
    #[error("the disk is full; make room on it, trust and revocations are still taken")]
    Full,
}

impl LedgerState {
    /// Builds the replica from what is stored, as after every start.
    pub(super) async fn restore(
        myself: ActorRef<LedgerMessage>,
        arguments: LedgerArguments,
    ) -> Result<Self, ActorProcessingErr> {
        let LedgerArguments {
            identity,
            store,
            clock,
            reference,
            mut prng,
            ..
        } = arguments;
        let papers = arguments.tidings.papers.borrow().clone();
        let stored = stored::read(&store).await?;
        if stored.unread > 0 {
            tracing::warn!(
                records = stored.unread,
                "records of the store that this build cannot read stay where they are"
            );
        }
        let mut holdings = identity.holdings()?;
        holdings.restore_all(stored.entries.iter());
        let lost_before = store.get(Table::Node, LOST).await?.is_some();
        if arguments.lost && !lost_before {
            let mut batch = Batch::new().important();
            batch.put(Table::Node, LOST, &[])?;
            store.commit(batch).await?;
        }
        let fresh = !lost_before && !arguments.lost;
        holdings.settle(clock.wall());
        let time = ReferenceTime::restore(stored.floors);
        let replica_prng = prng.branch();
        let author = papers.author();
        let settings = Settings {
            digest_every_ms: DIGEST_EVERY_MS,
            ..Settings::default()
        };
        let machine = Replica::new(author, settings, holdings, time, replica_prng, fresh);
        let (tell, clock_watch) = (myself.clone(), ClockWatch::new(&clock));
        let keeper = Keeper::new(store.clone(), true, move |told| {
            // An actor that is gone needs to know nothing.
            let _ = tell.cast(LedgerMessage::Told(told));
        });
        Ok(Self {
            machine,
            papers,
            around: Around {
                myself,
                store,
                network: arguments.network,
                membership: None,
                switchboard: arguments.switchboard,
                clock,
                watch: clock_watch,
                reference,
                bodies: None,
                tidings: arguments.tidings,
            },
            members: BTreeMap::new(),
            known: BTreeMap::new(),
            drafts: Drafts::default(),
            duty: Duty::default(),
            disk_full: false,
            copies: watch::Sender::new(Copies::new()),
            driven: Driven {
                outbox: Outbox::default(),
                keeper,
                alarm: Alarm::default(),
                order: stored.next,
                prng,
                relabelled: BTreeSet::new(),
                reads: BTreeMap::new(),
                papers: BTreeMap::new(),
                enrolled: BTreeSet::new(),
                standing: standing::Standing::default(),
            },
        })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.around.clock
    }

    /// What may be read.
    pub(super) fn view(&self) -> LedgerView<'_> {
        LedgerView {
            replica: &self.machine,
            papers: &self.papers,
            members: &self.members,
            known: &self.known,
            now: self.around.clock.now(),
            notices: &self.duty.notices,
            troubles: &self.duty.troubles,
            disk_full: self.disk_full,
            copies: self.copies.subscribe(),
            news: self.around.tidings.stored.subscribe(),
        }
    }

    /// Hands the machine an event, and performs what it asks for.
    pub(super) async fn run(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        let now = self.around.clock.now();
        let mut effects = Vec::new();
        self.machine.handle(now, event, &mut effects);
        let reference = self.machine.reference(now);
        self.around.reference.set(now, reference);
        self.take(effects).await?;
        self.tell_enrolled();
        self.set_alarm();
        Ok(())
    }

    fn set_alarm(&mut self) {
        let (clock, at) = (&self.around.clock, self.machine.wake_at());
        let alarm = &mut self.driven.alarm;
        alarm.set(clock, at, &self.around.myself, || LedgerMessage::Wake);
    }

    /// Its alarm rang, perhaps early.
    pub(super) async fn wake(&mut self) -> Result<(), ActorProcessingErr> {
        self.driven.alarm.rang();
        let now = self.around.clock.now();
        if self.machine.wake_at().is_some_and(|at| at <= now) {
            return self.run(Event::Wake).await;
        }
        self.set_alarm();
        Ok(())
    }

    /// Writes go to the store at once, everything else waits for those before it.
    async fn take(&mut self, effects: Vec<Effect>) -> Result<(), ActorProcessingErr> {
        let (mut batch, before) = (Batch::new(), self.driven.order);
        for effect in effects {
            match effect {
                Effect::Store(entry) => {
                    if entry.header.kind.code == EntryKind::ENROLMENT.code {
                        self.enrolled(&entry);
                    }
                    self.driven.relabelled.extend(relabelled(&entry));
                    self.around.tell_bodies(&entry);
                    if put_entry(&mut batch, self.driven.order, &entry).is_err() {
                        // It is full: the next one begins with this entry.
                        self.keep(std::mem::take(&mut batch)).await?;
                        put_entry(&mut batch, self.driven.order, &entry)?;
                    }
                    if entry.header.ledger.kind == LedgerKind::Trust {
                        batch = batch.important();
                    }
                    self.driven.order += 1;
                }
                Effect::StoreFloor(floor) => put_floor(&mut batch, &floor)?,
                effect => {
                    self.keep(std::mem::take(&mut batch)).await?;
                    if let Some(behind) = self.driven.outbox.push(Behind::Effect(effect)) {
                        self.now(behind)?;
                    }
                }
            }
        }
        self.keep(batch).await?;
        let stored = self.driven.order - before;
        if stored > 0 {
            self.once_kept(move |state| {
                let news = &state.around.tidings.stored;
                news.send_modify(|count| *count += stored);
            });
        }
        Ok(())
    }

    fn now(&mut self, behind: Behind) -> Result<(), ActorProcessingErr> {
        match behind {
            Behind::Effect(effect) => self.perform(effect),
            Behind::Then(then) => {
                then(self);
                Ok(())
            }
        }
    }

    /// Does something once all that was given to the store until now is kept: what it says builds on
    /// that.
    pub(super) fn once_kept(&mut self, then: impl FnOnce(&mut Self) + Send + 'static) {
        if let Some(Behind::Then(then)) = self.driven.outbox.push(Behind::Then(Box::new(then))) {
            then(self);
        }
    }

    pub(super) async fn keep(&mut self, batch: Batch) -> Result<(), ActorProcessingErr> {
        if batch.is_empty() {
            return Ok(());
        }
        let ticket = self.driven.outbox.wrote();
        self.driven.keeper.keep(ticket, batch).await?;
        Ok(())
    }

    /// What became of writes.
    pub(super) async fn told(&mut self, told: Told) -> Result<(), ActorProcessingErr> {
        match told {
            Told::Kept(ticket) => {
                for behind in self.driven.outbox.kept(ticket) {
                    self.now(behind)?;
                }
                if self.driven.outbox.is_empty() {
                    for device in std::mem::take(&mut self.driven.relabelled) {
                        self.renew(device, false);
                    }
                }
                Ok(())
            }
            Told::Full => self.set_disk_full(true).await,
            Told::Failed(error) => Err(Fatal(error.to_string()).into()),
        }
    }

    pub(super) async fn set_disk_full(&mut self, full: bool) -> Result<(), ActorProcessingErr> {
        if full && !self.disk_full {
            tracing::error!("the disk is full: nothing but trust is taken until there is room");
        }
        if !full && self.disk_full {
            tracing::info!("there is room on the disk again");
        }
        if full == std::mem::replace(&mut self.disk_full, full) {
            return Ok(());
        }
        self.run(Event::Room(!full)).await
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        tracing::warn!(?trouble, "something that an operator should see");
        if !self.duty.troubles.contains(&trouble) && self.duty.troubles.len() < TROUBLES_MAX {
            self.duty.troubles.push(trouble);
        }
    }

    /// The node has another certificate: keeps it, shows it, and writes under it from now on.
    pub(super) async fn take_certificate(
        &mut self,
        signed: SignedCertificate,
    ) -> Result<(), ActorProcessingErr> {
        let mut batch = Batch::new().important();
        batch.put(Table::Node, CERTIFICATE, &codec::encode(&signed))?;
        self.keep(batch).await?;
        self.papers = Papers::read(signed, &Arc::clone(self.papers.secrets()))?;
        self.around.tidings.papers.send_replace(self.papers.clone());
        self.machine.set_identity(self.papers.author());
        self.once_kept(|ledger| {
            let greeting = ledger.papers.greeting();
            ledger
                .around
                .tell_network(NetworkMessage::SetGreeting { greeting });
            ledger.present();
            ledger.ask_for_a_look();
        });
        Ok(())
    }
}

/// The certificate that is used: the one of joining, or a later one from the store.
///
/// # Errors
/// When neither can be read.
pub async fn current_papers(
    identity: &NodeIdentity,
    store: &Store,
) -> Result<Papers, ActorProcessingErr> {
    let first = Papers::read(identity.certificate.clone(), &identity.secrets)?;
    let Some(bytes) = store.get(Table::Node, CERTIFICATE).await? else {
        return Ok(first);
    };
    let later = codec::decode(&bytes).and_then(|signed| Papers::read(signed, &identity.secrets));
    match later {
        // One of before the node was joined anew, with other keys, is of no use.
        Ok(later)
            if later.node() == first.node()
                && later.certificate.keys == identity.secrets.public()
                && later.certificate.window.to >= first.certificate.window.to =>
        {
            Ok(later)
        }
        _ => Ok(first),
    }
}
