//! What the actor of pulled ledgers holds, and how it drives its machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec;
use regatta_protocol::crypto::sign::{Ed25519, PublicKey};
use regatta_protocol::ident::{FleetId, Hash, NodeId};
use regatta_protocol::ledger::cursor::{Cursor, CursorArguments, CursorEffect, CursorEvent, Kept};
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::spool::message::{Item, PullMessage};
use regatta_protocol::ledger::spool::{Draft, Spool, SpoolArguments, SpoolEffect, SpoolEvent};
use regatta_protocol::machine::Machine;
use regatta_protocol::prng::Prng;
use tokio::sync::{mpsc, oneshot, watch};

use super::{PulledMessage, kept};
use crate::clock::{Clock, ReferenceClock};
use crate::drive::{Alarm, Keeper, Outbox, Told};
use crate::identity::Papers;
use crate::ledger::stored::whole;
use crate::network::NetworkMessage;
use crate::store::{Batch, Store, Table};
use crate::supervisor::Fatal;
use crate::switchboard::Tag;

/// Keys of one device that are remembered: an old backlog may be signed by an old one.
const KEYS_MAX: usize = 4;

/// An entry of a device's report that a manager has read, or one of this node's own; durable.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Of which generation of the reader's copy.
    pub generation: u32,
    /// The entry.
    pub entry: Entry,
}

/// What the actor of pulled ledgers is started with.
pub struct PulledArguments {
    /// The fleet.
    pub fleet: FleetId,
    /// The node's certificate, as it is used now.
    pub papers: watch::Receiver<Papers>,
    /// Where ledgers are kept.
    pub store: Store,
    /// How peers are reached.
    pub network: ActorRef<NetworkMessage>,
    /// The node's clocks.
    pub clock: Clock,
    /// What time it is.
    pub reference: ReferenceClock,
    /// Told of every report, in the order in which each device wrote.
    pub reported: mpsc::UnboundedSender<Reported>,
    /// Randomness.
    pub prng: Prng,
}

/// Everybody whom the actor talks to.
pub(super) struct Around {
    pub(super) myself: ActorRef<PulledMessage>,
    pub(super) papers: watch::Receiver<Papers>,
    pub(super) store: Store,
    pub(super) network: ActorRef<NetworkMessage>,
    pub(super) clock: Clock,
    pub(super) reference: ReferenceClock,
    pub(super) reported: mpsc::UnboundedSender<Reported>,
}

/// What waits until the store has kept what stands before it.
pub(super) enum Behind {
    Spool(SpoolEffect),
    Cursor(CursorEffect),
    /// What a stream brought is durable.
    Stored {
        ledger: LedgerId,
        token: u64,
        generation: u32,
        entries: Vec<Entry>,
    },
    /// An own entry is.
    Reported(Box<Entry>),
}

/// What is known of a device.
#[derive(Clone, Debug, Default)]
struct Device {
    /// The newest first.
    keys: Vec<PublicKey>,
    pulls: bool,
}

/// What the actor holds.
pub struct PulledState {
    spool: Spool,
    cursor: Option<Cursor>,
    pub(super) ledger: LedgerId,
    devices: BTreeMap<NodeId, Device>,
    pub(super) around: Around,
    outbox: Outbox<Behind>,
    keeper: Keeper,
    alarm: Alarm,
    /// Who waits for what this node reports, in the order in which it was handed in.
    pub(super) reporters: Vec<oneshot::Sender<Hash>>,
}

fn report(author: NodeId) -> LedgerId {
    LedgerId {
        kind: LedgerKind::Report,
        scope: None,
        author,
    }
}

impl PulledState {
    pub(super) async fn restore(
        myself: ActorRef<PulledMessage>,
        arguments: PulledArguments,
    ) -> Result<Self, ActorProcessingErr> {
        let PulledArguments {
            fleet,
            mut papers,
            store,
            mut prng,
            ..
        } = arguments;
        let own = papers.borrow_and_update().clone();
        let ledger = report(own.node());
        let (state, entries) = store
            .read(move |reader| kept::spool(reader, ledger))
            .await?;
        let spool = SpoolArguments {
            ledger,
            fleet,
            serial: own.serial,
            signer: own.signer(),
        };
        let spool = Spool::restore(spool, state, entries, prng.branch());
        let cursor = match own.is_manager() {
            true => {
                let states = kept::streams(whole(&store, Table::StreamStates).await?);
                let arguments = CursorArguments {
                    me: own.node(),
                    fleet,
                    verify: Arc::new(Ed25519),
                };
                Some(Cursor::restore(arguments, states, prng.branch()))
            }
            false => None,
        };
        let tell = myself.clone();
        let keeper = Keeper::new(store.clone(), true, move |told| {
            // An actor that is gone needs to know nothing.
            let _ = tell.cast(PulledMessage::Told(told));
        });
        Ok(Self {
            spool,
            cursor,
            ledger,
            devices: BTreeMap::new(),
            around: Around {
                myself,
                papers,
                store,
                network: arguments.network,
                clock: arguments.clock,
                reference: arguments.reference,
                reported: arguments.reported,
            },
            outbox: Outbox::default(),
            keeper,
            alarm: Alarm::default(),
            reporters: Vec::new(),
        })
    }

    pub(super) async fn handle(
        &mut self,
        message: PulledMessage,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PulledMessage::PeerUp { peer } => self.read(CursorEvent::Reached { peer }).await,
            PulledMessage::PeerDown { peer } => {
                self.write(SpoolEvent::Lost { peer }).await?;
                self.read(CursorEvent::Lost { peer }).await
            }
            PulledMessage::Received {
                from,
                bytes,
                permit,
            } => {
                self.received(from, &bytes).await?;
                drop(permit);
                Ok(())
            }
            PulledMessage::Holders(holders) => {
                self.write(SpoolEvent::Holders(holders.clone())).await?;
                self.read(CursorEvent::Holders(holders)).await
            }
            PulledMessage::Device { node, key } => {
                let device = self.devices.entry(node).or_default();
                if device.keys.first() == Some(&key) {
                    return Ok(());
                }
                device.keys.insert(0, key);
                device.keys.truncate(KEYS_MAX);
                self.open(node).await
            }
            PulledMessage::Pulls { device, pulls } => {
                self.devices.entry(device).or_default().pulls = pulls;
                self.open(device).await
            }
            PulledMessage::Report {
                payload,
                body,
                answer,
            } => {
                self.reporters.push(answer);
                self.write(SpoolEvent::Append(Box::new(Draft {
                    kind: EntryKind::RECORD,
                    stamp: Stamp::at(self.around.reference.read()),
                    payload,
                    body,
                })))
                .await
            }
            PulledMessage::Looked { number, hash } => {
                self.write(SpoolEvent::Looked { number, hash }).await
            }
            PulledMessage::Served { to } => self.write(SpoolEvent::Served { to }).await,
            PulledMessage::ReadBack { message } => {
                let from = self.ledger.author;
                self.read(CursorEvent::Received { from, message }).await
            }
            PulledMessage::Stored { ledger, token } => {
                self.read(CursorEvent::Stored { ledger, token }).await
            }
            PulledMessage::Wake => {
                self.alarm.rang();
                self.read(CursorEvent::Wake).await
            }
            PulledMessage::Told(told) => self.told(told),
            PulledMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
                Ok(())
            }
        }
    }

    async fn open(&mut self, node: NodeId) -> Result<(), ActorProcessingErr> {
        let Some(device) = self.devices.get(&node).filter(|it| !it.keys.is_empty()) else {
            return Ok(());
        };
        let open = CursorEvent::Open {
            ledger: report(node),
            keys: device.keys.clone(),
            pulls: device.pulls,
        };
        self.read(open).await
    }

    async fn received(&mut self, from: NodeId, bytes: &[u8]) -> Result<(), ActorProcessingErr> {
        let Ok(message) = codec::decode::<PullMessage>(bytes) else {
            tracing::warn!(%from, "hanging up on a member that sends what is no message");
            self.tell_network(NetworkMessage::HangUp { peer: from });
            return Ok(());
        };
        let own = message.ledger() == self.ledger;
        let message = Box::new(message);
        match own {
            true => self.write(SpoolEvent::Received { from, message }).await,
            false => self.read(CursorEvent::Received { from, message }).await,
        }
    }

    pub(super) fn tell_network(&self, message: NetworkMessage) {
        // One that is gone is started again together with this actor.
        let _ = self.around.network.cast(message);
    }

    pub(super) fn send(&self, to: NodeId, message: &PullMessage) {
        self.tell_network(NetworkMessage::Send {
            to,
            tag: Tag::Pulled.number(),
            bytes: codec::encode(message),
        });
    }

    async fn keep(&mut self, batch: Batch) -> Result<(), ActorProcessingErr> {
        let ticket = self.outbox.wrote();
        self.keeper.keep(ticket, batch).await?;
        Ok(())
    }

    fn behind(&mut self, behind: Behind) {
        if let Some(behind) = self.outbox.push(behind) {
            self.perform(behind);
        }
    }

    fn told(&mut self, told: Told) -> Result<(), ActorProcessingErr> {
        match told {
            Told::Kept(ticket) => {
                for behind in self.outbox.kept(ticket) {
                    self.perform(behind);
                }
                Ok(())
            }
            // What the node reports goes into the space that is kept for what matters.
            Told::Full => Ok(()),
            Told::Failed(error) => Err(Fatal(error.to_string()).into()),
        }
    }

    /// The own ledger.
    async fn write(&mut self, event: SpoolEvent) -> Result<(), ActorProcessingErr> {
        let now = self.around.clock.now();
        let mut effects = Vec::new();
        if self.around.papers.has_changed().unwrap_or(false) {
            let papers = self.around.papers.borrow_and_update().clone();
            let renewed = SpoolEvent::Renewed {
                serial: papers.serial,
                signer: papers.signer(),
            };
            self.spool.handle(now, renewed, &mut effects);
        }
        self.spool.handle(now, event, &mut effects);
        for effect in effects {
            let mut batch = Batch::new();
            match effect {
                SpoolEffect::Append { entry, state } => {
                    kept::put_own(&mut batch, &entry, state.as_deref())?;
                    self.keep(batch).await?;
                    self.behind(Behind::Reported(entry));
                }
                SpoolEffect::Keep { state, removed } => {
                    kept::put_spool(&mut batch, &state)?;
                    for span in removed {
                        kept::remove_own(&mut batch, self.ledger.kind, span)?;
                    }
                    self.keep(batch).await?;
                }
                effect => self.behind(Behind::Spool(effect)),
            }
        }
        Ok(())
    }

    /// The ledgers of others, on a manager.
    async fn read(&mut self, event: CursorEvent) -> Result<(), ActorProcessingErr> {
        let now = self.around.clock.now();
        let Some(cursor) = self.cursor.as_mut() else {
            return Ok(());
        };
        let mut effects = Vec::new();
        cursor.handle(now, event, &mut effects);
        let wake = cursor.wake_at();
        for effect in effects {
            match effect {
                CursorEffect::Store {
                    ledger,
                    generation,
                    token,
                    items,
                    state,
                } => {
                    let entries = entries(&items);
                    let mut batch = Batch::new();
                    kept::put_stream(&mut batch, generation, items, &state)?;
                    self.keep(batch).await?;
                    self.behind(Behind::Stored {
                        ledger,
                        token,
                        generation,
                        entries,
                    });
                }
                effect => self.behind(Behind::Cursor(effect)),
            }
        }
        let (clock, myself) = (&self.around.clock, &self.around.myself);
        self.alarm.set(clock, wake, myself, || PulledMessage::Wake);
        Ok(())
    }
}

fn entries(items: &[Kept]) -> Vec<Entry> {
    let parcels = items.iter().filter_map(|kept| match &kept.item {
        Item::Entry(parcel) => Some(parcel.clone()),
        Item::Gap(_) => None,
    });
    // They were checked before they were to be stored.
    parcels
        .filter_map(|parcel| Entry::open(parcel).ok())
        .collect()
}
