//! Bodies by hash, and their way through neighbours.
//!
//! A node that wants a body signs a [`message::BodyRequest`] and asks its neighbours, managers first.
//! One that holds the body and finds that the requester may read it ([`library`]) answers with parts
//! sealed to the requester; one that lacks it asks on, once, four links at most, and passes answers
//! back unread. Every part is checked against the body's name as it comes ([`tree`]), so nobody on
//! the way has to be trusted. Fetching is in `fetch`, serving in `serve`, passing on in `route`.
//!
//! A long body comes from many neighbours at once: those that still fetch it hand on what they have
//! (`share`), so that about one copy leaves whoever had it first.
//!
//! Invariants: no part is kept by a node that only passes it on; a node sends no part that was not
//! asked for, the outline aside; every table has a limit in [`crate::limits`] and a time-out.

mod account;
mod fetch;
pub mod library;
pub mod message;
mod peer;
pub mod pieces;
mod route;
pub mod sealing;
mod serve;
mod share;
pub mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::account::{Counters, Failure, Load, Misdeed};
pub use self::tree::{piece_hashes, root_of, root_of_pieces};
use crate::codec::Bytes;
use crate::crypto::sign::Sign;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::fetch::Fetches;
use crate::ledger::bodies::library::Library;
use crate::ledger::bodies::message::{BodyMessage, Refusal, RequestId};
use crate::ledger::bodies::peer::{Peer, REQUEST_COST, STRAY_COST, Spent};
use crate::ledger::bodies::route::Routes;
use crate::ledger::bodies::sealing::OpenPart;
use crate::ledger::bodies::serve::Sessions;
use crate::ledger::bodies::share::Given;
use crate::ledger::bodies::tree::{Partial, Unit};
use crate::machine::{Machine, Millis};
use crate::prng::Prng;
use crate::trust::authority::Credentials;
use crate::trust::certificate::SignedCertificate;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Requester {
    /// The node.
    pub node: NodeId,
    /// Its certificate, then its issuers' up to a manager, as they are presented.
    pub certificates: Vec<SignedCertificate>,
    /// Signs with the certificate's key.
    pub signer: Arc<dyn Sign>,
    /// Opens what was sealed to the certificate's key.
    pub secret: Arc<dyn OpenPart>,
}

/// Everything that can happen to the machine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A body is wanted. From whoever needs it, and again after a start.
    Want {
        /// Its name.
        hash: Hash,
        /// Its length, as the entry says that names it.
        bytes: u64,
        /// What the store keeps of it from an earlier try.
        partial: Partial,
    },
    /// A body is not wanted any more. From whoever wanted it.
    Forget(Hash),
    /// The store has a body as a whole. From the store: at the start, and when one was written here.
    Have {
        /// Its name.
        hash: Hash,
        /// Its length.
        bytes: u64,
    },
    /// The store has a body no more. From the store.
    Lost(Hash),
    /// A member is connected. From the network, after trust agreed.
    PeerUp {
        /// Its id.
        node: NodeId,
        /// Whether it is a manager.
        manager: bool,
    },
    /// A connection is gone. From the network.
    PeerDown(NodeId),
    /// A message came. From the network, decoded.
    Received {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: BodyMessage,
    },
    /// A frame came that is no message. From the network.
    Malformed {
        /// Who sent it.
        from: NodeId,
    },
    /// What a read gave. From the store, which checks what it reads: a part that rotted on the disk
    /// is none, for a node that hands out wrong bytes is hung up on.
    Read {
        /// For which request.
        id: RequestId,
        /// Which part.
        unit: Unit,
        /// Its bytes; none where the store does not have it.
        bytes: Option<Bytes>,
    },
    /// The time that [`Machine::wake_at`] named has come.
    Wake,
}

/// Everything the machine can ask for. Performed in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: BodyMessage,
    },
    /// Keep a part of a body; it was checked.
    Store {
        /// Which body.
        hash: Hash,
        /// Which part.
        unit: Unit,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Read a part of a body that is held as a whole; [`Event::Read`] brings it.
    Read {
        /// Which body.
        hash: Hash,
        /// Which part.
        unit: Unit,
        /// For which request.
        id: RequestId,
    },
    /// All parts of a body were kept.
    Complete(Hash),
    /// A body could not be had; it can be wanted again.
    Failed {
        /// Which.
        hash: Hash,
        /// Why.
        failure: Failure,
    },
    /// A neighbour does what no member does: close the connection.
    Misbehaved {
        /// Whom.
        peer: NodeId,
        /// What it did.
        misdeed: Misdeed,
    },
}

/// Gets bodies, hands them out, and passes them through.
#[derive(Clone, Debug)]
pub struct Bodies {
    me: Requester,
    have: BTreeMap<Hash, u64>,
    peers: BTreeMap<NodeId, Peer>,
    fetches: Fetches,
    sessions: Sessions,
    given: Given,
    routes: Routes,
    prng: Prng,
    counters: Counters,
}

/// One event's surroundings.
struct Step<'a> {
    now: Millis,
    library: &'a dyn Library,
    out: &'a mut Vec<Effect>,
}

impl Step<'_> {
    fn send(&mut self, to: NodeId, message: BodyMessage) {
        self.out.push(Effect::Send { to, message });
    }

    fn refuse(&mut self, to: NodeId, id: RequestId, refusal: Refusal) {
        self.send(to, BodyMessage::Refused { id, refusal });
    }

    fn done(&mut self, to: NodeId, id: RequestId) {
        self.send(to, BodyMessage::Done { id });
    }
}

/// The machine beside the library that it asks for this event.
#[derive(Debug)]
pub struct Attended<'a, L> {
    bodies: &'a mut Bodies,
    library: &'a L,
}

impl Bodies {
    /// A node that holds no body yet; [`Event::Have`] tells it of those in the store.
    #[must_use]
    pub fn new(me: Requester, prng: Prng) -> Self {
        Self {
            me,
            have: BTreeMap::new(),
            peers: BTreeMap::new(),
            fetches: Fetches::default(),
            sessions: Sessions::default(),
            given: Given::default(),
            routes: Routes::default(),
            prng,
            counters: Counters::default(),
        }
    }

    /// The certificate was renewed, or the keys rotated. What is under way still comes under the old
    /// ones; the next request presents the new.
    pub fn set_requester(&mut self, me: Requester) {
        self.me = me;
    }

    /// The machine, with what it may know of the fleet at this moment.
    pub fn with<'a, L: Library>(&'a mut self, library: &'a L) -> Attended<'a, L> {
        Attended {
            bodies: self,
            library,
        }
    }

    /// Whether a body is there as a whole.
    #[must_use]
    pub fn has(&self, hash: &Hash) -> bool {
        self.have.contains_key(hash)
    }

    /// Which body is being handed out for a request, and to whom.
    #[must_use]
    pub fn asks(&self, id: &RequestId) -> Option<(Hash, Credentials)> {
        self.sessions.asks(id)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How much is under way.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            wants: self.fetches.len(),
            sessions: self.sessions.len(),
            routes: self.routes.len(),
            remembered: self.routes.remembered(),
        }
    }

    /// When it wants its [`Event::Wake`] at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        let connected = self.peers.values().any(|peer| !peer.condemned);
        [
            self.fetches.wake_at(connected),
            self.sessions.wake_at(),
            self.routes.wake_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn step(&mut self, step: &mut Step<'_>, event: Event) {
        match event {
            Event::Want {
                hash,
                bytes,
                partial,
            } => self.on_want(step, hash, bytes, partial),
            Event::Forget(hash) => self.drop_fetch(step, &hash),
            Event::Have { hash, bytes } => {
                self.have.insert(hash, bytes);
                if self.fetches.contains(&hash) {
                    self.drop_fetch(step, &hash);
                    step.out.push(Effect::Complete(hash));
                }
            }
            Event::Lost(hash) => {
                self.have.remove(&hash);
            }
            Event::PeerUp { node, manager } => {
                self.peers.insert(node, Peer::new(manager, step.now));
                self.ask_newcomer(step);
            }
            Event::PeerDown(node) => {
                self.peers.remove(&node);
                self.sessions.drop_peer(&node);
                self.drop_routes_of(step, &node);
                self.drop_ways_of(step, &node);
            }
            Event::Received { from, message } => self.on_received(step, from, message),
            Event::Malformed { from } => {
                self.counters.stray += 1;
                self.pay(step, from, REQUEST_COST);
            }
            Event::Read { id, unit, bytes } => self.on_read(step, id, unit, bytes),
            Event::Wake => {
                self.sessions.expire(step.now);
                self.wake_shares(step);
                self.wake_routes(step);
                self.wake_fetches(step);
            }
        }
    }

    fn on_received(&mut self, step: &mut Step<'_>, from: NodeId, message: BodyMessage) {
        if self.peers.get(&from).is_none_or(|peer| peer.condemned) {
            self.counters.stray += 1;
            return;
        }
        let fits = match message {
            BodyMessage::Request { hops_left, request } => {
                self.on_request(step, from, hops_left, request);
                true
            }
            BodyMessage::Answer {
                id,
                hops,
                unit,
                sealed,
            } => {
                let answer = fetch::Answer {
                    from,
                    id,
                    hops,
                    unit,
                    sealed,
                };
                self.on_answer(step, answer)
            }
            BodyMessage::Part {
                id,
                whole,
                unit,
                bytes,
            } => {
                let part = fetch::Part {
                    from,
                    id,
                    whole,
                    unit,
                    bytes,
                };
                self.on_part(step, part)
            }
            BodyMessage::Shares {
                id,
                lists,
                pieces,
                given,
            } => {
                let news = fetch::News {
                    from,
                    id,
                    lists,
                    pieces,
                    given,
                };
                self.pay(step, from, STRAY_COST) && self.on_shares(step, news)
            }
            BodyMessage::Ask { id, units } => {
                let asked = serve::Asked {
                    units,
                    again: false,
                };
                self.on_ask(step, from, id, asked)
            }
            BodyMessage::Insist { id, units } => {
                let asked = serve::Asked { units, again: true };
                self.on_ask(step, from, id, asked)
            }
            BodyMessage::Refused { id, refusal } => {
                self.on_fetch_refused(step, from, id, refusal)
                    || self.on_route_refused(step, from, id, refusal)
            }
            BodyMessage::Done { id } => {
                self.sessions.end(&from, &id) || self.on_route_done(step, from, id)
            }
        };
        if !fits {
            // Messages cross: a few of these are nobody's fault.
            self.counters.stray += 1;
            self.pay(step, from, STRAY_COST);
        }
    }

    /// Takes a cost from a neighbour's budget; false where the message is not to be looked at.
    fn pay(&mut self, step: &mut Step<'_>, from: NodeId, cost: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&from) else {
            return false;
        };
        match peer.spend(step.now, cost) {
            Spent::Paid => true,
            Spent::Over => {
                self.counters.over += 1;
                false
            }
            Spent::Flood => {
                self.condemn(step, from, Misdeed::Flood);
                false
            }
        }
    }

    fn condemn(&mut self, step: &mut Step<'_>, peer: NodeId, misdeed: Misdeed) {
        if let Some(known) = self.peers.get_mut(&peer)
            && !std::mem::replace(&mut known.condemned, true)
        {
            step.out.push(Effect::Misbehaved { peer, misdeed });
        }
    }

    /// Neighbours that can be asked, managers first, else in a random order.
    fn candidates(&mut self, without: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let prng = &mut self.prng;
        let mut ranked: Vec<(bool, u64, NodeId)> = self
            .peers
            .iter()
            .filter(|(node, peer)| !peer.condemned && !without.contains(node))
            .map(|(node, peer)| (!peer.manager, prng.next_u64(), *node))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, node)| node).collect()
    }
}

impl<L: Library> Machine for Attended<'_, L> {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Millis, event: Event, out: &mut Vec<Effect>) {
        let mut step = Step {
            now,
            library: self.library,
            out,
        };
        self.bodies.step(&mut step, event);
    }

    fn wake_at(&self) -> Option<Millis> {
        self.bodies.wake_at()
    }
}

#[cfg(test)]
mod tests;
