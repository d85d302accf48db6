//! Takes what the network tells and hands it to the actor that it is for, in order for each peer.
//!
//! It also keeps who was admitted: a greeting is checked by the ledger, and when the link is up both
//! the ledger and membership are told with whom, before anything else of that peer reaches them. Of
//! who may only be renewed membership learns nothing until the ledger says that it is a full member.

mod links;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use regatta_protocol::ident::NodeId;
use regatta_protocol::trust::certificate::NodeKeys;
use regatta_protocol::trust::papers::Shown;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::bodies::BodiesMessage;
use crate::drive::task;
use crate::ledger::{LedgerMessage, Recognised};
use crate::membership::MembershipMessage;
use crate::network::{Admission, Greeted, NetworkEvent};
use crate::pulled::PulledMessage;
use crate::switchboard::links::Links;

/// Messages of peers that wait for an actor; who sends more is read later.
const WAITING_MAX: usize = 1024;
/// Greetings that are checked at once.
const GREETINGS_MAX: usize = 64;

/// For which part of a node a message is. Numbers are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// Between replicas.
    Ledger = 1,
    /// Between memberships.
    Membership = 2,
    /// Where members can be reached.
    Contacts = 3,
    /// Ledgers that are pulled.
    Pulled = 4,
    /// Bodies.
    Bodies = 5,
    /// Certificates, and their renewal.
    Papers = 6,
}

impl Tag {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    fn of(number: u8) -> Option<Self> {
        [
            Self::Ledger,
            Self::Membership,
            Self::Contacts,
            Self::Pulled,
            Self::Bodies,
            Self::Papers,
        ]
        .into_iter()
        .find(|tag| tag.number() == number)
    }
}

/// From the ledger: whether a member with whom there is a link is a full one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub peer: NodeId,
    /// Whether more is open to it than renewal and the exchange of ledgers.
    pub whole: bool,
}

/// What the switchboard is started with.
pub struct SwitchboardArguments {
    /// What the network tells.
    pub events: mpsc::Receiver<NetworkEvent>,
    /// What the ledger says of who is a full member.
    pub standings: mpsc::UnboundedReceiver<Standing>,
    /// For ledgers and certificates.
    pub ledger: ActorRef<LedgerMessage>,
    /// For presence, and where members are.
    pub membership: ActorRef<MembershipMessage>,
    /// For bodies.
    pub bodies: ActorRef<BodiesMessage>,
    /// For ledgers that are pulled.
    pub pulled: ActorRef<PulledMessage>,
}

/// Everything that the switchboard can be told.
#[derive(Debug)]
pub enum SwitchboardMessage {
    /// From its task: the network tells nothing any more.
    Ended,
    /// From the watchdog.
    Ping(RpcReplyPort<()>),
}

/// Owns the task that reads the network's events. Spawn it without a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct SwitchboardActor;

/// Ends the task with the actor.
#[derive(Debug)]
pub struct SwitchboardState(AbortHandle);

impl Drop for SwitchboardState {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for SwitchboardActor {
    type Msg = SwitchboardMessage;
    type State = SwitchboardState;
    type Arguments = SwitchboardArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SwitchboardMessage>,
        arguments: SwitchboardArguments,
    ) -> Result<SwitchboardState, ActorProcessingErr> {
        let board = Board {
            ledger: arguments.ledger,
            membership: arguments.membership,
            bodies: arguments.bodies,
            pulled: arguments.pulled,
            members: BTreeMap::new(),
            links: Links::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        };
        let task = task::run(
            board.run(arguments.events, arguments.standings),
            move |_| {
                // An actor that is gone needs no telling.
                let _ = myself.cast(SwitchboardMessage::Ended);
            },
        );
        Ok(SwitchboardState(task))
    }

    async fn handle(
        &self,
        _: ActorRef<SwitchboardMessage>,
        message: SwitchboardMessage,
        _: &mut SwitchboardState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SwitchboardMessage::Ended => Err("the network tells nothing any more".into()),
            SwitchboardMessage::Ping(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
                Ok(())
            }
        }
    }
}

type Checked = (NodeId, Option<Recognised>, oneshot::Sender<Admission>);

struct Board {
    ledger: ActorRef<LedgerMessage>,
    membership: ActorRef<MembershipMessage>,
    bodies: ActorRef<BodiesMessage>,
    pulled: ActorRef<PulledMessage>,
    /// Who was admitted; who never came up stays until its place is needed.
    members: BTreeMap<NodeId, Recognised>,
    /// Those with whom there is a link.
    links: Links,
    waiting: Arc<Semaphore>,
}

/// Admitted members that are remembered: more than a manager has links.
const MEMBERS_MAX: usize = 65_536;

impl Board {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<NetworkEvent>,
        mut standings: mpsc::UnboundedReceiver<Standing>,
    ) {
        let mut checks: FuturesUnordered<BoxFuture<'static, Checked>> = FuturesUnordered::new();
        loop {
            let room = checks.len() < GREETINGS_MAX;
            tokio::select! {
                Some((peer, member, answer)) = checks.next() => self.checked(peer, member, answer),
                Some(standing) = standings.recv() => self.stands(standing),
                event = events.recv(), if room => match event {
                    Some(NetworkEvent::Greeted(greeted)) => checks.push(self.check(*greeted)),
                    Some(event) => self.hand_on(event).await,
                    None => return,
                },
            }
        }
    }

    fn check(&self, greeted: Greeted) -> BoxFuture<'static, Checked> {
        let ledger = self.ledger.clone();
        let shown = Shown {
            node: greeted.peer,
            keys: NodeKeys {
                sign: greeted.sign_key,
                seal: greeted.seal_key,
            },
        };
        let (greeting, admission) = (greeted.greeting, greeted.answer);
        Box::pin(async move {
            let peer = shown.node;
            let (answer, answered) = oneshot::channel();
            let asked = ledger.cast(LedgerMessage::Recognise {
                shown,
                greeting,
                answer,
            });
            let member = match asked {
                Ok(()) => answered.await.ok().flatten(),
                Err(_) => None,
            };
            (peer, member, admission)
        })
    }

    fn checked(
        &mut self,
        peer: NodeId,
        member: Option<Recognised>,
        answer: oneshot::Sender<Admission>,
    ) {
        let said = match member {
            Some(member) => {
                if self.members.len() >= MEMBERS_MAX {
                    self.forget_one();
                }
                self.members.insert(peer, member);
                Admission::Admit
            }
            None => Admission::Refuse,
        };
        // Whoever broke off meanwhile needs no answer.
        let _ = answer.send(said);
    }

    /// Makes room: somebody goes with whom there is no link.
    fn forget_one(&mut self) {
        let mut members = self.members.keys();
        let gone = members.find(|peer| !self.links.contains(peer)).copied();
        if let Some(gone) = gone {
            self.members.remove(&gone);
        }
    }

    /// To an actor of the same crew: one that is gone ends this as well.
    fn tell_ledger(&self, message: LedgerMessage) {
        let _ = self.ledger.cast(message);
    }

    /// Of full members the actors of bodies and of pulled ledgers hear too.
    fn tell_membership(&self, message: MembershipMessage) {
        match &message {
            MembershipMessage::Linked {
                peer, is_manager, ..
            } => {
                let (peer, is_manager) = (*peer, *is_manager);
                let _ = self.bodies.cast(BodiesMessage::PeerUp { peer, is_manager });
                let _ = self.pulled.cast(PulledMessage::PeerUp { peer });
            }
            MembershipMessage::Unlinked { peer } => {
                let peer = *peer;
                let _ = self.bodies.cast(BodiesMessage::PeerDown { peer });
                let _ = self.pulled.cast(PulledMessage::PeerDown { peer });
            }
            _ => {}
        }
        let _ = self.membership.cast(message);
    }

    fn tell_all_membership(&self, messages: impl IntoIterator<Item = MembershipMessage>) {
        for message in messages {
            self.tell_membership(message);
        }
    }

    /// The ledger has looked at a member.
    fn stands(&mut self, Standing { peer, whole }: Standing) {
        let told = self.links.stands(peer, whole);
        self.tell_all_membership(told);
    }

    async fn hand_on(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Up { peer, path, .. } => {
                let Some(member) = self.members.get(&peer).cloned() else {
                    tracing::error!(%peer, "a link is up with somebody who was not admitted");
                    return;
                };
                let Recognised { credentials, whole } = member;
                let (name, relayed) = (&credentials.own().name, path.relayed);
                tracing::info!(%name, relayed, whole, "linked");
                let told = self.links.up(peer, &credentials, path, whole);
                self.tell_ledger(LedgerMessage::PeerUp { peer, credentials });
                self.tell_all_membership(told);
            }
            NetworkEvent::Down { peer, reason } => {
                let told = self.links.down(peer);
                let member = self.members.get(&peer);
                let name = member.map(|it| it.credentials.own().name.to_string());
                tracing::info!(name, %reason, "a link is over");
                self.tell_ledger(LedgerMessage::PeerDown { peer });
                self.tell_all_membership(told);
            }
            NetworkEvent::PathChanged { peer, path } => {
                let told = self.links.moved(peer, path);
                self.tell_all_membership(told);
            }
            NetworkEvent::Frame { peer, tag, bytes } => self.frame(peer, tag, bytes).await,
            NetworkEvent::JoinAsked { bytes, answer } => {
                self.tell_ledger(LedgerMessage::JoinAsked { bytes, answer });
            }
            NetworkEvent::Malformed { peer, what, .. } => {
                tracing::warn!(?peer, what, "somebody sent what nobody may send");
            }
            NetworkEvent::KeyEpoch { peer, epoch, .. } => {
                tracing::trace!(%peer, epoch, "a link has another key");
            }
            // Nothing of this build asks in the first message, or opens streams.
            NetworkEvent::Early { .. } | NetworkEvent::Bulk { .. } => {}
            NetworkEvent::Greeted(_) => {}
            event => {
                if let Some(message) = MembershipMessage::of_network(event) {
                    self.tell_membership(message);
                }
            }
        }
    }

    async fn frame(&mut self, from: NodeId, tag: u8, bytes: Vec<u8>) {
        // Where actors are behind, peers are read no faster.
        let Ok(permit) = Arc::clone(&self.waiting).acquire_owned().await else {
            return;
        };
        let message = match Tag::of(tag) {
            Some(Tag::Ledger) => {
                return self.tell_ledger(LedgerMessage::Received {
                    from,
                    bytes,
                    permit,
                });
            }
            Some(Tag::Papers) => {
                return self.tell_ledger(LedgerMessage::Papers {
                    from,
                    bytes,
                    permit,
                });
            }
            Some(Tag::Bodies) => {
                // As with membership: one that is gone ends this as well.
                let _ = self.bodies.cast(BodiesMessage::Received {
                    from,
                    bytes,
                    permit,
                });
                return;
            }
            Some(Tag::Pulled) => {
                // As above.
                let _ = self.pulled.cast(PulledMessage::Received {
                    from,
                    bytes,
                    permit,
                });
                return;
            }
            Some(Tag::Membership) => MembershipMessage::Received {
                from,
                bytes,
                permit,
            },
            Some(Tag::Contacts) => MembershipMessage::Contacts {
                from,
                bytes,
                permit,
            },
            // A later build's: what it says there is for later builds.
            None => return,
        };
        let told = self.links.said(from, message);
        self.tell_all_membership(told);
    }
}
