//! What the actor of bodies holds, and how it drives its machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::ident::{FleetId, Hash, NodeId};
use regatta_protocol::ledger::bodies::message::BodyMessage;
use regatta_protocol::ledger::bodies::{Bodies, Effect, Event, Requester};
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use tokio::sync::{oneshot, watch};

use super::BodiesMessage;
use super::facts::{Facts, Question};
use super::kept;
use crate::clock::{Clock, ReferenceClock};
use crate::drive::{Alarm, Keeper, Outbox, Told};
use crate::identity::Papers;
use crate::ledger::LedgerMessage;
use crate::network::NetworkMessage;
use crate::store::{Batch, Store, StoreError};
use crate::supervisor::Fatal;
use crate::switchboard::Tag;

/// How long after a failure a body is wanted again.
const AGAIN_MS: u64 = 5_000;
/// The longest pause between two tries.
const AGAIN_MS_MAX: u64 = 300_000;

/// What the actor of bodies is started with.
pub struct BodiesArguments {
    /// The fleet.
    pub fleet: FleetId,
    /// The node's certificate, as it is used now.
    pub papers: watch::Receiver<Papers>,
    /// Where bodies are kept.
    pub store: Store,
    /// Who may read them.
    pub ledger: ActorRef<LedgerMessage>,
    /// How peers are reached.
    pub network: ActorRef<NetworkMessage>,
    /// The node's clocks.
    pub clock: Clock,
    /// What time it is.
    pub reference: ReferenceClock,
    /// Told when a body is there that was not.
    pub news: watch::Sender<u64>,
    /// Randomness.
    pub prng: Prng,
}

/// Everybody whom the actor talks to.
struct Around {
    myself: ActorRef<BodiesMessage>,
    fleet: FleetId,
    papers: watch::Receiver<Papers>,
    store: Store,
    ledger: ActorRef<LedgerMessage>,
    network: ActorRef<NetworkMessage>,
    clock: Clock,
    reference: ReferenceClock,
    news: watch::Sender<u64>,
}

/// A body that is needed and not there.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    bytes: u64,
    /// When it is asked for again; none while it is being asked for.
    again: Option<Millis>,
    failures: u32,
}

/// What the actor holds.
pub struct BodiesState {
    machine: Bodies,
    around: Around,
    outbox: Outbox<Effect>,
    keeper: Keeper,
    alarm: Alarm,
    wanted: BTreeMap<Hash, Wanted>,
}

fn requester(papers: &Papers) -> Requester {
    let secret = BoxSecret::from_bytes(&papers.secrets().seal.to_bytes());
    Requester {
        node: papers.node(),
        certificates: vec![papers.signed.clone()],
        signer: papers.signer(),
        secret: Arc::new(secret),
    }
}

impl BodiesState {
    pub(super) async fn restore(
        myself: ActorRef<BodiesMessage>,
        arguments: BodiesArguments,
    ) -> Result<Self, ActorProcessingErr> {
        let mut papers = arguments.papers;
        let me = requester(&papers.borrow_and_update());
        let tell = myself.clone();
        let keeper = Keeper::new(arguments.store.clone(), false, move |told| {
            // An actor that is gone needs to know nothing.
            let _ = tell.cast(BodiesMessage::Told(told));
        });
        let marked = arguments.store.read(kept::marked).await?;
        let mut state = Self {
            machine: Bodies::new(me, arguments.prng),
            around: Around {
                myself,
                fleet: arguments.fleet,
                papers,
                store: arguments.store,
                ledger: arguments.ledger,
                network: arguments.network,
                clock: arguments.clock,
                reference: arguments.reference,
                news: arguments.news,
            },
            outbox: Outbox::default(),
            keeper,
            alarm: Alarm::default(),
            wanted: BTreeMap::new(),
        };
        for (hash, bytes) in marked {
            state.run(Event::Have { hash, bytes }).await?;
        }
        Ok(state)
    }

    pub(super) async fn handle(
        &mut self,
        message: BodiesMessage,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            BodiesMessage::PeerUp { peer, is_manager } => {
                let (node, manager) = (peer, is_manager);
                self.run(Event::PeerUp { node, manager }).await?;
                self.ask_again(true).await
            }
            BodiesMessage::PeerDown { peer } => self.run(Event::PeerDown(peer)).await,
            BodiesMessage::Received {
                from,
                bytes,
                permit,
            } => {
                self.received(from, &bytes).await?;
                drop(permit);
                Ok(())
            }
            BodiesMessage::Want(bodies) => self.want(bodies).await,
            BodiesMessage::Forget(hashes) => self.forget(hashes).await,
            BodiesMessage::Rode { hash, body } => {
                self.keep(hash, body, None);
                Ok(())
            }
            BodiesMessage::Keep { hash, body, answer } => {
                self.keep(hash, body, Some(answer));
                Ok(())
            }
            BodiesMessage::Read { id, unit, bytes } => {
                self.run(Event::Read { id, unit, bytes }).await
            }
            BodiesMessage::Checked { hash, whole } => self.checked(hash, whole).await,
            BodiesMessage::Kept(body) => self.is_there(body).await,
            BodiesMessage::Wake => {
                self.alarm.rang();
                self.run(Event::Wake).await?;
                self.ask_again(false).await
            }
            BodiesMessage::Told(told) => self.told(told).await,
            BodiesMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
                Ok(())
            }
        }
    }

    /// Asks the ledgers what the machine will want to know, then hands it the message.
    async fn received(&mut self, from: NodeId, bytes: &[u8]) -> Result<(), ActorProcessingErr> {
        let Ok(message) = codec::decode::<BodyMessage>(bytes) else {
            return self.run(Event::Malformed { from }).await;
        };
        let question = match &message {
            BodyMessage::Request { request, .. } => Some(Question::Presented {
                hash: request.claim.hash,
                bytes: request.claim.bytes,
                certificates: request.certificates.clone(),
            }),
            BodyMessage::Ask { id, .. } | BodyMessage::Insist { id, .. } => {
                let asks = self.machine.asks(id);
                asks.map(|(hash, who)| Question::Known { hash, who })
            }
            BodyMessage::Answer { .. }
            | BodyMessage::Part { .. }
            | BodyMessage::Shares { .. }
            | BodyMessage::Refused { .. }
            | BodyMessage::Done { .. } => None,
        };
        let facts = match question {
            Some(question) => self.ask_the_ledger(question).await?,
            None => self.nobody_asks(),
        };
        self.run_with(&facts, Event::Received { from, message })
            .await
    }

    fn nobody_asks(&self) -> Facts {
        Facts::of_nobody(self.around.fleet, self.around.reference.read())
    }

    async fn ask_the_ledger(&self, question: Question) -> Result<Facts, ActorProcessingErr> {
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |view: &crate::ledger::LedgerView<'_>| {
            // Who is gone does not need to know.
            let _ = answer.send(Facts::find(view, &question));
        });
        self.around.ledger.cast(LedgerMessage::Look(look))?;
        Ok(answered.await?)
    }

    async fn run(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        let facts = self.nobody_asks();
        self.run_with(&facts, event).await
    }

    async fn run_with(&mut self, facts: &Facts, event: Event) -> Result<(), ActorProcessingErr> {
        if self.around.papers.has_changed().unwrap_or(false) {
            let me = requester(&self.around.papers.borrow_and_update());
            self.machine.set_requester(me);
        }
        let now = self.around.clock.now();
        let mut effects = Vec::new();
        self.machine.with(facts).handle(now, event, &mut effects);
        let mut batch = Batch::new();
        for effect in effects {
            if let Effect::Store { hash, unit, bytes } = &effect {
                if kept::put_part(&mut batch, hash, *unit, bytes).is_err() {
                    // It is full: the next one begins with this part.
                    self.store(std::mem::take(&mut batch)).await?;
                    kept::put_part(&mut batch, hash, *unit, bytes)?;
                }
                continue;
            }
            self.store(std::mem::take(&mut batch)).await?;
            if let Some(effect) = self.outbox.push(effect) {
                self.perform(effect);
            }
        }
        self.store(batch).await?;
        self.set_alarm();
        Ok(())
    }

    fn set_alarm(&mut self) {
        let again = self.wanted.values().filter_map(|wanted| wanted.again).min();
        let wake = [self.machine.wake_at(), again].into_iter().flatten().min();
        let (clock, myself) = (&self.around.clock, &self.around.myself);
        self.alarm.set(clock, wake, myself, || BodiesMessage::Wake);
    }

    async fn store(&mut self, batch: Batch) -> Result<(), ActorProcessingErr> {
        if !batch.is_empty() {
            let ticket = self.outbox.wrote();
            self.keeper.keep(ticket, batch).await?;
        }
        Ok(())
    }

    async fn told(&mut self, told: Told) -> Result<(), ActorProcessingErr> {
        match told {
            Told::Kept(ticket) => {
                for effect in self.outbox.kept(ticket) {
                    self.perform(effect);
                }
                Ok(())
            }
            // What was not kept is missed when the body is read back, and asked for again.
            Told::Full => Ok(()),
            Told::Failed(error) => Err(Fatal(error.to_string()).into()),
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                // One that is gone is started again together with this actor.
                let _ = self.around.network.cast(NetworkMessage::Send {
                    to,
                    tag: Tag::Bodies.number(),
                    bytes: codec::encode(&message),
                });
            }
            // They went to the store when they were asked for.
            Effect::Store { .. } => {}
            Effect::Read { hash, unit, id } => {
                let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
                tokio::spawn(async move {
                    let read = store.read(move |reader| kept::read_part(reader, &hash, unit));
                    let bytes = read.await.ok().flatten();
                    // One that is gone is started again.
                    let _ = myself.cast(BodiesMessage::Read { id, unit, bytes });
                });
            }
            Effect::Complete(hash) => self.check(hash),
            Effect::Failed { hash, failure } => {
                tracing::debug!(%hash, ?failure, "a body was not to be had yet");
                self.failed(hash);
            }
            Effect::Misbehaved { peer, misdeed } => {
                tracing::warn!(%peer, ?misdeed, "hanging up on a member that does what none does");
                // One that is gone is started again together with this actor.
                let _ = self.around.network.cast(NetworkMessage::HangUp { peer });
            }
        }
    }

    fn failed(&mut self, hash: Hash) {
        let now = self.around.clock.now();
        if let Some(wanted) = self.wanted.get_mut(&hash) {
            let pause = AGAIN_MS << wanted.failures.min(6);
            wanted.failures += 1;
            wanted.again = Some(now.plus(pause.min(AGAIN_MS_MAX)));
        }
        self.set_alarm();
    }

    /// All parts came: whether the disk has them all is seen by reading them.
    fn check(&self, hash: Hash) {
        let Some(wanted) = self.wanted.get(&hash).copied() else {
            return;
        };
        let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
        tokio::spawn(async move {
            let read = store.read(move |reader| kept::partial(reader, &hash, wanted.bytes));
            let layout = regatta_protocol::ledger::bodies::tree::Layout::of(wanted.bytes);
            let whole = match (read.await, layout) {
                (Ok(partial), Some(layout)) => partial.is_complete(layout),
                _ => false,
            };
            let mut batch = Batch::new();
            let marked = whole
                && kept::put_mark(&mut batch, &hash, wanted.bytes).is_ok()
                && store.commit(batch).await.is_ok();
            let whole = marked;
            // One that is gone is started again, and finds what is there.
            let _ = myself.cast(BodiesMessage::Checked { hash, whole });
        });
    }

    async fn checked(&mut self, hash: Hash, whole: bool) -> Result<(), ActorProcessingErr> {
        let Some(wanted) = self.wanted.get(&hash).copied() else {
            return Ok(());
        };
        if !whole {
            self.failed(hash);
            return Ok(());
        }
        let bytes = wanted.bytes;
        self.is_there(BodyRef {
            hash,
            bytes,
            carried: false,
        })
        .await
    }

    async fn is_there(&mut self, body: BodyRef) -> Result<(), ActorProcessingErr> {
        let BodyRef { hash, bytes, .. } = body;
        self.wanted.remove(&hash);
        self.run(Event::Have { hash, bytes }).await?;
        self.around.news.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn want(&mut self, bodies: Vec<BodyRef>) -> Result<(), ActorProcessingErr> {
        for body in bodies {
            if self.machine.has(&body.hash) || self.wanted.contains_key(&body.hash) {
                continue;
            }
            let wanted = Wanted {
                bytes: body.bytes,
                again: None,
                failures: 0,
            };
            self.wanted.insert(body.hash, wanted);
            self.ask_for(body.hash, body.bytes).await?;
        }
        Ok(())
    }

    /// Asks for what could not be had, once its time has come; or at once, where somebody else is there.
    async fn ask_again(&mut self, at_once: bool) -> Result<(), ActorProcessingErr> {
        let now = self.around.clock.now();
        let due: Vec<(Hash, u64)> = self
            .wanted
            .iter_mut()
            .filter(|(_, wanted)| wanted.again.is_some_and(|at| at_once || at <= now))
            .map(|(hash, wanted)| {
                wanted.again = None;
                (*hash, wanted.bytes)
            })
            .collect();
        for (hash, bytes) in due {
            self.ask_for(hash, bytes).await?;
        }
        self.set_alarm();
        Ok(())
    }

    async fn ask_for(&mut self, hash: Hash, bytes: u64) -> Result<(), ActorProcessingErr> {
        let read = self
            .around
            .store
            .read(move |reader| kept::partial(reader, &hash, bytes));
        let partial = read.await?;
        self.run(Event::Want {
            hash,
            bytes,
            partial,
        })
        .await
    }

    async fn forget(&mut self, hashes: Vec<Hash>) -> Result<(), ActorProcessingErr> {
        for hash in hashes {
            self.wanted.remove(&hash);
            self.run(Event::Forget(hash)).await?;
            self.run(Event::Lost(hash)).await?;
            let read = self
                .around
                .store
                .read(move |reader| kept::remove(reader, &hash));
            for batch in read.await? {
                self.store(batch).await?;
            }
        }
        Ok(())
    }

    /// Stores a body as a whole, beside the actor.
    fn keep(
        &self,
        hash: Hash,
        body: Bytes,
        answer: Option<oneshot::Sender<Result<(), StoreError>>>,
    ) {
        let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
        let there = self.machine.has(&hash);
        tokio::spawn(async move {
            let outcome = match there {
                true => Ok(()),
                false => store_whole(&store, &hash, &body).await,
            };
            if outcome.is_ok() {
                let bytes = body.len() as u64;
                let carried = false;
                // One that is gone is started again, and finds what is there.
                let _ = myself.cast(BodiesMessage::Kept(BodyRef {
                    hash,
                    bytes,
                    carried,
                }));
            }
            if let Some(answer) = answer {
                // Who no longer waits does not need to know.
                let _ = answer.send(outcome);
            }
        });
    }
}

async fn store_whole(store: &Store, hash: &Hash, body: &[u8]) -> Result<(), StoreError> {
    for batch in kept::whole(hash, body)? {
        store.commit(batch).await?;
    }
    Ok(())
}
