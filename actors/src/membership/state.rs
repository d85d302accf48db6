//! What the membership actor holds, and how it drives its two machines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::codec;
use regatta_protocol::contacts::{
    ContactArguments, ContactEffect, ContactEvent, ContactMessage, Contacts, SignedContact,
};
use regatta_protocol::crypto::sign::{Ed25519, PublicKey};
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::membership::homes::RosterManager;
use regatta_protocol::membership::message::{MembershipMessage as Message, Profile};
use regatta_protocol::membership::{Identity, Membership, MembershipEffect, MembershipEvent};
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::NodeKeys;

use crate::clock::{Clock, ClockWatch, ReferenceClock};
use crate::drive::{Alarm, Keeper, Outbox, Told};
use crate::identity::Papers;
use crate::ledger::LedgerMessage;
use crate::ledger::stored::whole;
use crate::membership::MembershipMessage;
use crate::membership::own::OwnAddresses;
use crate::membership::places::Places;
use crate::network::{Address, NetworkMessage, Path};
use crate::pulled::PulledMessage;
use crate::store::{Batch, Store, Table};
use crate::supervisor::Fatal;
use crate::switchboard::Tag;

/// Under which key of [`Table::Remembered`] the neighbours lie.
const NEIGHBOURS: &[u8] = b"neighbours";

/// A member as it was met at joining, and the addresses by which it was reached then.
#[derive(Clone, Debug)]
pub struct Met {
    /// Who answered.
    pub node: NodeId,
    /// Its keys.
    pub keys: NodeKeys,
    /// Where.
    pub addresses: Vec<Address>,
}

/// What membership is started with.
pub struct MembershipArguments {
    /// The fleet.
    pub fleet: FleetId,
    /// Who this node is.
    pub papers: Papers,
    /// How freely its link may be used, and how often its homes are to hear it.
    pub profile: (Profile, u32),
    /// Where the operator says that it can be reached.
    pub external: Vec<Address>,
    /// What joining left.
    pub met: (Vec<SignedContact>, Vec<Met>),
    /// Who else there is of this node.
    pub beside: Beside,
    /// Randomness.
    pub prng: Prng,
}

/// Everybody whom membership talks to.
#[derive(Clone)]
pub struct Beside {
    /// Where what is to be found again is kept.
    pub store: Store,
    /// Makes links.
    pub network: ActorRef<NetworkMessage>,
    /// Names the managers.
    pub ledger: ActorRef<LedgerMessage>,
    /// Reads what devices report.
    pub pulled: ActorRef<PulledMessage>,
    /// The node's clocks.
    pub clock: Clock,
    /// What time it is.
    pub reference: ReferenceClock,
}

/// A link that is up.
#[derive(Clone, Debug)]
pub struct LinkedTo {
    /// How.
    pub path: Path,
    /// Whether its certificate makes it a manager.
    pub is_manager: bool,
}

/// What the actor holds.
pub struct MembershipState {
    pub(super) machine: Membership,
    pub(super) contacts: Contacts,
    pub(super) myself: ActorRef<MembershipMessage>,
    pub(super) beside: Beside,
    driven: Driven,
    pub(super) roster: BTreeMap<NodeId, RosterManager>,
    pub(super) links: BTreeMap<NodeId, LinkedTo>,
    pub(super) own: OwnAddresses,
    pub(super) places: Places,
    pub(super) is_manager: bool,
}

/// What stands between the machines and their effects.
struct Driven {
    tickets: Outbox<()>,
    keeper: Keeper,
    alarm: Alarm,
    watch: ClockWatch,
}

/// What may be read.
pub struct MembershipView<'a> {
    /// Presence, homes, neighbours.
    pub machine: &'a Membership,
    /// Where members can be reached.
    pub contacts: &'a Contacts,
    /// Links that are up.
    pub links: &'a BTreeMap<NodeId, LinkedTo>,
    /// Where this node can be reached.
    pub own: &'a OwnAddresses,
    /// Who refused this node's certificate, and has not admitted it since.
    pub refused_by: &'a BTreeSet<NodeId>,
    /// Of nodes whose key two machines have: from where each came that this node has heard.
    pub twins: &'a BTreeMap<NodeId, Vec<Address>>,
    /// Monotonic time.
    pub now: Millis,
}

enum Next {
    Membership(MembershipEvent),
    Contacts(ContactEvent),
}

impl MembershipState {
    pub(super) async fn restore(
        myself: ActorRef<MembershipMessage>,
        arguments: MembershipArguments,
    ) -> Result<Self, ActorProcessingErr> {
        let MembershipArguments {
            papers,
            beside,
            mut prng,
            ..
        } = arguments;
        let (profile, keep_alive_ms) = arguments.profile;
        let me = Identity {
            fleet: arguments.fleet,
            node: papers.node(),
            is_manager: papers.is_manager(),
            profile,
            keep_alive_ms,
            sign: papers.signer(),
            verify: Arc::new(Ed25519),
        };
        let contacts = Contacts::new(ContactArguments {
            fleet: arguments.fleet,
            node: papers.node(),
            keys: papers.secrets().public(),
            sign: papers.signer(),
            verify: Arc::new(Ed25519),
        });
        let (tell, watch) = (myself.clone(), ClockWatch::new(&beside.clock));
        let keeper = Keeper::new(beside.store.clone(), false, move |told| {
            // An actor that is gone needs to know nothing.
            let _ = tell.cast(MembershipMessage::Told(told));
        });
        let (told, met) = arguments.met;
        let met = met.into_iter().map(|it| (it.node, (it.keys, it.addresses)));
        let mut state = Self {
            machine: Membership::new(me, prng.branch()),
            contacts,
            myself,
            driven: Driven {
                tickets: Outbox::default(),
                keeper,
                alarm: Alarm::default(),
                watch,
            },
            roster: BTreeMap::new(),
            links: BTreeMap::new(),
            own: OwnAddresses {
                external: arguments.external,
                ..OwnAddresses::default()
            },
            places: Places {
                met: met.collect(),
                ..Places::default()
            },
            is_manager: papers.is_manager(),
            beside,
        };
        state.remembered(told).await?;
        Ok(state)
    }

    /// Hands the machines what the node had stored, and what time it is.
    async fn remembered(&mut self, told: Vec<SignedContact>) -> Result<(), ActorProcessingErr> {
        let stored = whole(&self.beside.store, Table::Contacts).await?;
        let stored = stored
            .into_iter()
            .filter_map(|(_, value)| codec::decode::<SignedContact>(&value).ok());
        let contacts: Vec<SignedContact> = told.into_iter().chain(stored).collect();
        self.run_contacts(ContactEvent::Restored(contacts)).await?;
        let wall = self.beside.clock.wall();
        self.run(MembershipEvent::Clock { wall }).await?;
        let neighbours = self.beside.store.get(Table::Remembered, NEIGHBOURS).await?;
        let neighbours: Vec<NodeId> = neighbours
            .iter()
            .flat_map(|bytes| bytes.as_chunks::<16>().0)
            .map(|id| NodeId(*id))
            .collect();
        if !neighbours.is_empty() {
            self.run(MembershipEvent::Remembered { neighbours }).await?;
        }
        Ok(())
    }

    pub(super) fn view(&self) -> MembershipView<'_> {
        MembershipView {
            machine: &self.machine,
            contacts: &self.contacts,
            links: &self.links,
            own: &self.own,
            refused_by: &self.places.refused_by,
            twins: &self.places.twins,
            now: self.beside.clock.now(),
        }
    }

    /// Hands membership an event, and performs what follows.
    pub(super) async fn run(&mut self, event: MembershipEvent) -> Result<(), ActorProcessingErr> {
        self.drive(Next::Membership(event)).await
    }

    pub(super) async fn run_contacts(
        &mut self,
        event: ContactEvent,
    ) -> Result<(), ActorProcessingErr> {
        self.drive(Next::Contacts(event)).await
    }

    async fn drive(&mut self, first: Next) -> Result<(), ActorProcessingErr> {
        let now = self.beside.clock.now();
        let mut next = VecDeque::from([first]);
        while let Some(event) = next.pop_front() {
            match event {
                Next::Membership(event) => {
                    let mut effects = Vec::new();
                    self.machine.handle(now, event, &mut effects);
                    for effect in effects {
                        self.perform(effect, &mut next).await?;
                    }
                }
                Next::Contacts(event) => {
                    let mut effects = Vec::new();
                    self.contacts.handle(now, event, &mut effects);
                    for effect in effects {
                        let follows = match effect {
                            ContactEffect::Learned { node } if self.was_seen(node) => {
                                Some(MembershipEvent::LanSeen { peer: node })
                            }
                            ContactEffect::Flood { peer: from } => {
                                Some(MembershipEvent::Malformed { from })
                            }
                            _ => None,
                        };
                        next.extend(follows.map(Next::Membership));
                        self.perform_contact(effect).await?;
                    }
                }
            }
        }
        self.reserve();
        self.set_alarm();
        Ok(())
    }

    fn set_alarm(&mut self) {
        let (clock, at) = (&self.beside.clock, self.machine.wake_at());
        let alarm = &mut self.driven.alarm;
        alarm.set(clock, at, &self.myself, || MembershipMessage::Wake);
    }

    pub(super) fn tell_network(&self, message: NetworkMessage) {
        // One that is gone is started again together with this actor.
        let _ = self.beside.network.cast(message);
    }

    fn tell_pulled(&self, message: PulledMessage) {
        // One that is gone is started again together with this actor.
        let _ = self.beside.pulled.cast(message);
    }

    fn send(&self, to: NodeId, tag: Tag, bytes: Vec<u8>) {
        let tag = tag.number();
        self.tell_network(NetworkMessage::Send { to, tag, bytes });
    }

    async fn perform(
        &mut self,
        effect: MembershipEffect,
        next: &mut VecDeque<Next>,
    ) -> Result<(), ActorProcessingErr> {
        match effect {
            MembershipEffect::Dial { peer } => match self.contact(peer) {
                Some(contact) => self.tell_network(NetworkMessage::Dial(contact)),
                None => {
                    next.push_back(Next::Contacts(ContactEvent::Wanted { node: peer }));
                    next.push_back(Next::Membership(MembershipEvent::DialFailed { peer }));
                }
            },
            MembershipEffect::HangUp { peer, reason } => {
                tracing::debug!(%peer, ?reason, "hanging up");
                self.tell_network(NetworkMessage::HangUp { peer });
            }
            MembershipEffect::Send { to, message } => {
                self.send(to, Tag::Membership, codec::encode(&message));
            }
            MembershipEffect::SetFeeder(feeder) => {
                // One that is gone is started again together with this actor.
                let _ = self.beside.ledger.cast(LedgerMessage::SetFeeder(feeder));
            }
            MembershipEffect::Remember { neighbours } => {
                let ids: Vec<u8> = neighbours.iter().flat_map(|node| node.0).collect();
                let mut batch = Batch::new();
                batch.put(Table::Remembered, NEIGHBOURS, &ids)?;
                self.keep(batch).await?;
            }
            MembershipEffect::Cloned { node } => self.cloned(node),
            MembershipEffect::Misbehaved { peer, reason } => {
                tracing::warn!(%peer, ?reason, "a member does what it should not");
            }
            MembershipEffect::StartPulling { device } => {
                let pulls = true;
                self.tell_pulled(PulledMessage::Pulls { device, pulls });
            }
            MembershipEffect::StopPulling { device } => {
                let pulls = false;
                self.tell_pulled(PulledMessage::Pulls { device, pulls });
            }
            // Presence is asked for when it is shown.
            MembershipEffect::PresenceChanged { .. }
            | MembershipEffect::PresencesChanged { .. } => {}
        }
        Ok(())
    }

    async fn perform_contact(&mut self, effect: ContactEffect) -> Result<(), ActorProcessingErr> {
        match effect {
            ContactEffect::Keep { node, contact } => {
                let mut batch = Batch::new();
                batch.put(Table::Contacts, &node.0, &codec::encode(&contact))?;
                self.keep(batch).await?;
            }
            ContactEffect::Send { to, message } => {
                self.send(to, Tag::Contacts, codec::encode(&message));
            }
            ContactEffect::Learned { node } => self.learned(node),
            // Membership hears of it, and counts.
            ContactEffect::Flood { .. } => {}
            ContactEffect::Forged { peer } => {
                tracing::warn!(%peer, "told where somebody is, which that one did not sign");
            }
        }
        Ok(())
    }

    /// Keeps what spares a dial after a restart; nothing waits for it.
    async fn keep(&mut self, batch: Batch) -> Result<(), ActorProcessingErr> {
        let ticket = self.driven.tickets.wrote();
        self.driven.keeper.keep(ticket, batch).await?;
        Ok(())
    }

    pub(super) fn told(&mut self, told: Told) -> Result<(), ActorProcessingErr> {
        match told {
            Told::Kept(ticket) => {
                self.driven.tickets.kept(ticket);
                Ok(())
            }
            Told::Full => Ok(()),
            Told::Failed(error) => Err(Fatal(error.to_string()).into()),
        }
    }

    pub(super) async fn managers(
        &mut self,
        roster: Arc<[RosterManager]>,
        keys: BTreeMap<NodeId, PublicKey>,
    ) -> Result<(), ActorProcessingErr> {
        self.roster = roster.iter().map(|it| (it.id, *it)).collect();
        let holders = roster.iter().filter(|it| it.hold).map(|it| it.id);
        self.tell_pulled(PulledMessage::Holders(holders.collect()));
        for (node, key) in &keys {
            let (node, key) = (*node, *key);
            self.run(MembershipEvent::Known { node, key }).await?;
        }
        self.run_contacts(ContactEvent::Roster(keys)).await?;
        let managers = roster;
        self.run(MembershipEvent::Roster { managers }).await
    }

    pub(super) async fn known(
        &mut self,
        node: NodeId,
        key: PublicKey,
    ) -> Result<(), ActorProcessingErr> {
        if self.is_manager {
            self.tell_pulled(PulledMessage::Device { node, key });
        }
        self.run_contacts(ContactEvent::Known { node, key }).await?;
        self.run(MembershipEvent::Known { node, key }).await
    }

    pub(super) async fn linked(
        &mut self,
        peer: NodeId,
        is_manager: bool,
        key: PublicKey,
        path: Path,
    ) -> Result<(), ActorProcessingErr> {
        let lan = !path.relayed && self.places.lan.contains_key(&peer);
        self.reached(peer, &Ok(path.clone()));
        self.places.refused_by.remove(&peer);
        self.links.insert(peer, LinkedTo { path, is_manager });
        self.run_contacts(ContactEvent::Known { node: peer, key })
            .await?;
        self.run_contacts(ContactEvent::Connected { peer }).await?;
        self.run(MembershipEvent::Connected {
            peer,
            is_manager,
            key,
            lan,
        })
        .await
    }

    pub(super) async fn unlinked(&mut self, peer: NodeId) -> Result<(), ActorProcessingErr> {
        if let Some(link) = self.links.remove(&peer) {
            self.places.left(peer, link.path.address);
        }
        self.places.asked.remove(&peer);
        if self.own.reserved.remove(&peer).is_some() {
            self.tell_own().await?;
        }
        self.run_contacts(ContactEvent::Disconnected { peer })
            .await?;
        self.run(MembershipEvent::Disconnected { peer }).await
    }

    pub(super) async fn received(
        &mut self,
        from: NodeId,
        bytes: &[u8],
    ) -> Result<(), ActorProcessingErr> {
        let event = match codec::decode::<Message>(bytes) {
            Ok(message) => MembershipEvent::Received { from, message },
            Err(_) => MembershipEvent::Malformed { from },
        };
        self.run(event).await
    }

    pub(super) async fn contacts_came(
        &mut self,
        from: NodeId,
        bytes: &[u8],
    ) -> Result<(), ActorProcessingErr> {
        let at = self.beside.reference.read();
        match codec::decode::<ContactMessage>(bytes) {
            Ok(message) => {
                self.run_contacts(ContactEvent::Received { from, at, message })
                    .await
            }
            Err(_) => self.run(MembershipEvent::Malformed { from }).await,
        }
    }

    pub(super) async fn wake(&mut self) -> Result<(), ActorProcessingErr> {
        self.driven.alarm.rang();
        let now = self.beside.clock.now();
        if self.machine.wake_at().is_some_and(|at| at <= now) {
            return self.run(MembershipEvent::Wake).await;
        }
        self.set_alarm();
        Ok(())
    }

    pub(super) async fn look_around(&mut self) -> Result<(), ActorProcessingErr> {
        match self.driven.watch.look(&self.beside.clock) {
            Some(wall) => self.run(MembershipEvent::Clock { wall }).await,
            None => Ok(()),
        }
    }
}
