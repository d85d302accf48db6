//! Links: dialled, taken, followed by others, hung up.

use std::sync::Arc;
use std::time::Duration;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use regatta_protocol::ident::NodeId;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Engine;
use super::state::{Asked, Due, Known, LinkHandle};
use crate::network::choice::{Candidate, Choice, Present, choose};
use crate::network::limits::{
    ADDRESSES_MAX, MESSAGE_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX, RENEW_AGAIN,
};
use crate::network::link::{Commit, LinkNews, Order, Outgoing, Post, Taken, keep};
use crate::network::meeting::{Cause, Ready, part};
use crate::network::streams::Class;
use crate::network::word::Farewell;
use crate::network::{Contact, DialError, DownReason, LinkStatus, NetworkEvent, identity};

/// Sessions with one peer that wait at once.
const PARKED_MAX: usize = 4;

impl Engine {
    pub(super) fn dial(&mut self, contact: Contact) {
        let Contact {
            peer,
            sign_key,
            seal_key,
            addresses,
            early,
        } = contact;
        let failed = |reason| NetworkEvent::DialFailed { peer, reason };
        if peer == self.own.node {
            let why = "this is the node itself".to_owned();
            return self.outbox.push(failed(DialError::Unreachable(why)));
        }
        let Some(peer_id) = identity::peer_id(&sign_key) else {
            let why = "its signing key is no key".to_owned();
            return self.outbox.push(failed(DialError::Unreachable(why)));
        };
        let link = self.peers.get(&peer).and_then(|at| at.link.as_ref());
        let live = link.filter(|link| !link.ending);
        let improves = live.is_some_and(|link| link.route.path.relayed);
        if live.is_some() && !improves {
            return;
        }
        let addresses = addresses.into_iter();
        let addresses = addresses.filter(|address| !(improves && address.is_relayed()));
        let addresses: Vec<_> = addresses.take(ADDRESSES_MAX).map(|at| at.0).collect();
        if addresses.is_empty() {
            if !improves {
                self.outbox.push(failed(DialError::NoAddress));
            }
            return;
        }
        let known = Known { peer_id, seal_key };
        let at = self.peers.entry(peer).or_default();
        at.known = Some(known);
        if at.dialling.is_some() {
            return;
        }
        let options = DialOpts::peer_id(peer_id)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            .build();
        let connection = options.connection_id();
        at.dialling = Some(connection);
        at.early = early;
        self.connections.dialled.insert(connection, peer);
        if let Err(error) = self.swarm.dial(options) {
            self.connections.dialled.remove(&connection);
            self.dial_failed(peer, DialError::Unreachable(error.to_string()));
        }
    }

    /// The present dial came to nothing.
    pub(super) fn dial_failed(&mut self, peer: NodeId, reason: DialError) {
        let Some(at) = self.peers.get_mut(&peer) else {
            return;
        };
        let dialled = at.dialling.take().is_some();
        let linked = at.link.is_some() || !at.parked.is_empty();
        if dialled && !linked {
            tracing::debug!(%peer, %reason, "dial failed");
            self.outbox.push(NetworkEvent::DialFailed { peer, reason });
        }
        self.forget(peer);
    }

    /// Forgets a peer with whom there is nothing any more.
    fn forget(&mut self, peer: NodeId) {
        let idle = self
            .peers
            .get(&peer)
            .is_some_and(|at| at.link.is_none() && at.dialling.is_none() && at.parked.is_empty());
        if idle {
            self.peers.remove(&peer);
        }
    }

    pub(super) fn hang_up(&mut self, peer: NodeId) {
        self.release(peer);
        let Some(at) = self.peers.get_mut(&peer) else {
            return;
        };
        at.parked.clear();
        if at.link.is_some() {
            at.dialling = None;
            self.stop(peer, DownReason::HungUp);
        } else {
            self.dial_failed(peer, DialError::HungUp);
        }
        let held = self.meetings.values();
        let held = held.filter(|meeting| meeting.agenda.peer == peer);
        let held: Vec<_> = held.map(|meeting| meeting.route.connection).collect();
        for connection in held {
            self.swarm.close_connection(connection);
        }
    }

    /// Tells a link to end; `Ended` follows.
    pub(super) fn stop(&mut self, peer: NodeId, reason: DownReason) {
        let link = self.peers.get_mut(&peer).and_then(|at| at.link.as_mut());
        if let Some(link) = link.filter(|link| !link.ending) {
            link.ending = true;
            // It may have ended by itself: then `Ended` is on its way already.
            let _ = link.orders.send(Order::Stop(reason));
        }
    }

    pub(super) fn send(&mut self, to: NodeId, tag: u8, bytes: Vec<u8>) {
        if bytes.len() > MESSAGE_BYTES_MAX {
            let length = bytes.len();
            tracing::error!(peer = %to, tag, length, "a message is longer than any may be; dropped");
            return;
        }
        let link = self.peers.get(&to).and_then(|at| at.link.as_ref());
        let Some(link) = link.filter(|link| !link.ending) else {
            return;
        };
        let places = u32::try_from(bytes.len().max(1)).unwrap_or(u32::MAX);
        let own = Arc::clone(&link.places).try_acquire_many_owned(places);
        let all = Arc::clone(&self.own.in_flight).try_acquire_many_owned(places);
        let queued = match (own, all) {
            (Ok(own), Ok(all)) => {
                let outgoing = Outgoing {
                    tag,
                    bytes,
                    _places: [own, all],
                };
                link.outgoing.try_send(outgoing).is_ok()
            }
            _ => false,
        };
        if !queued {
            tracing::warn!(peer = %to, "its queue is full; hanging up on a peer that does not drain");
            self.stop(to, DownReason::NotDraining);
        }
    }

    pub(super) fn ping(&mut self, peer: NodeId, answer: oneshot::Sender<Duration>) {
        let link = self.peers.get(&peer).and_then(|at| at.link.as_ref());
        if let Some(link) = link.filter(|link| link.up) {
            // Where it has just ended the answer is dropped, as where there is no link.
            let _ = link.orders.send(Order::Ping(answer));
        }
    }

    pub(super) fn links(&self) -> Vec<LinkStatus> {
        let linked = self.peers.iter();
        let linked = linked.filter_map(|(peer, at)| Some((peer, at.link.as_ref()?)));
        let linked = linked.filter(|(_, link)| link.up && !link.ending);
        let status = linked.map(|(peer, link)| LinkStatus {
            peer: *peer,
            path: link.route.path.clone(),
            rtt: link.rtt,
        });
        status.collect()
    }

    /// Both have admitted each other: the lower id decides what becomes of the session.
    pub(super) fn ready(&mut self, ready: Ready) {
        let peer = ready.agenda.peer;
        let at = self.peers.entry(peer).or_default();
        if at.link.as_ref().is_some_and(|link| link.ending) {
            return self.park(ready);
        }
        let present = at.link.as_ref().map(|link| link.present);
        let Some((number, after)) = ready.commit else {
            return self.consider(ready, present);
        };
        match present {
            Some(present) if after != 0 && present.number == after => {
                self.follow(
                    ready,
                    number,
                    Commit::Theirs {
                        begun: self.own.counters.begun,
                    },
                );
            }
            // It hands over from a session that we have lost: it will learn that it has, too.
            _ if after != 0 => self.turn_away(ready, Farewell::HungUp),
            Some(_) => {
                self.stop(peer, DownReason::Replaced);
                self.park(ready);
            }
            None => self.begin(
                ready,
                number,
                Commit::Theirs {
                    begun: self.own.counters.begun,
                },
            ),
        }
    }

    fn consider(&mut self, ready: Ready, present: Option<Present>) {
        let candidate = Candidate {
            lower_began: ready.agenda.began_here,
            cause: ready.agenda.cause,
            theirs: ready.theirs,
        };
        match choose(present, candidate) {
            Choice::First => {
                let number = self.number();
                self.begin(ready, number, Commit::Ours { after: 0 });
            }
            Choice::Follow => {
                let number = self.number();
                let after = present.map_or(0, |present| present.number);
                self.follow(ready, number, Commit::Ours { after });
            }
            Choice::Replace => {
                self.stop(ready.agenda.peer, DownReason::Replaced);
                self.park(ready);
            }
            Choice::Duplicate => self.turn_away(ready, Farewell::Duplicate),
            Choice::Wait => self.park(ready),
        }
    }

    fn number(&mut self) -> u32 {
        self.own.counters.sessions = self.own.counters.sessions.wrapping_add(1).max(1);
        self.own.counters.sessions
    }

    fn park(&mut self, ready: Ready) {
        let parked = &mut self.peers.entry(ready.agenda.peer).or_default().parked;
        if parked.len() < PARKED_MAX {
            parked.push(ready);
        } else {
            self.turn_away(ready, Farewell::Duplicate);
        }
    }

    fn turn_away(&mut self, ready: Ready, farewell: Farewell) {
        let peer = ready.agenda.peer;
        let connection = ready.session.route.connection;
        self.tasks
            .set
            .spawn(part(ready.session, self.own.clock, farewell));
        let at = self.peers.entry(peer).or_default();
        if at.dialling == Some(connection) {
            self.dial_failed(peer, DialError::BrokenOff);
        }
        self.forget(peer);
    }

    /// What is the same of a first session and of one that follows.
    fn take(&mut self, ready: Ready, number: u32, commit: Commit) -> (Taken, Present) {
        let Ready {
            agenda,
            mut session,
            theirs,
            rtt,
            ..
        } = ready;
        session.number = number;
        let connection = session.route.connection;
        self.admit(connection, agenda.peer);
        if let Some(key) = session.channel.remote_key() {
            self.acquaint(agenda.peer, connection, key);
        }
        let dialled = session.route.path.dialled;
        let present = Present {
            number,
            settled: None,
            instance: theirs.instance,
            lower_dialled: dialled == agenda.decides,
        };
        let taken = Taken {
            session,
            commit,
            rtt,
        };
        (taken, present)
    }

    fn begin(&mut self, ready: Ready, number: u32, commit: Commit) {
        let peer = ready.agenda.peer;
        let route = ready.session.route.clone();
        let (taken, present) = self.take(ready, number, commit);
        let (outgoing, outgoing_told) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let (orders, orders_told) = mpsc::unbounded_channel();
        let handle = LinkHandle {
            present,
            route,
            rtt: taken.rtt,
            outgoing,
            places: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            orders,
            ending: false,
            up: matches!(commit, Commit::Theirs { .. }),
        };
        let post = Post {
            peer,
            clock: self.own.clock,
            limits: self.own.limits,
            outgoing: outgoing_told,
            orders: orders_told,
            events: self.outbox.events.clone(),
            words: self.tasks.news.clone(),
        };
        let up = handle.up;
        self.peers.entry(peer).or_default().link = Some(handle);
        self.tasks.set.spawn(keep(post, taken));
        if up {
            self.is_up(peer);
        }
    }

    fn follow(&mut self, ready: Ready, number: u32, commit: Commit) {
        let peer = ready.agenda.peer;
        let route = ready.session.route.clone();
        let (taken, present) = self.take(ready, number, commit);
        let link = self.peers.get_mut(&peer).and_then(|at| at.link.as_mut());
        if let Some(link) = link {
            link.present = present;
            link.route = route;
            link.rtt = taken.rtt;
            // Where it has ended, `Ended` is on its way, and the peer sees the stream end.
            let _ = link.orders.send(Order::Follow(Box::new(taken)));
        }
        if matches!(commit, Commit::Theirs { .. }) {
            self.is_up(peer);
        }
    }

    fn is_up(&mut self, peer: NodeId) {
        if let Some(at) = self.peers.get_mut(&peer) {
            at.dialling = None;
        }
        self.reserve_again(peer);
    }

    pub(super) fn news(&mut self, news: LinkNews) {
        match news {
            LinkNews::Settled {
                peer,
                number,
                begun,
            } => {
                let Some(at) = self.peers.get_mut(&peer) else {
                    return;
                };
                let link = at.link.as_mut();
                let Some(link) = link.filter(|link| link.present.number == number) else {
                    return;
                };
                link.present.settled = Some(begun);
                link.up = true;
                let parked = std::mem::take(&mut at.parked);
                self.is_up(peer);
                parked.into_iter().for_each(|ready| self.ready(ready));
            }
            LinkNews::RenewalDue { peer } => self.renew(peer),
            LinkNews::Ended { peer } => self.ended(peer),
        }
    }

    /// Begins the session that follows the present one; the lower id does, and tries until it has.
    pub(super) fn renew(&mut self, peer: NodeId) {
        if self.own.node > peer {
            return;
        }
        let Some(at) = self.peers.get(&peer) else {
            return;
        };
        let Some(link) = at.link.as_ref().filter(|link| !link.ending) else {
            return;
        };
        let connection = link.route.connection;
        let Some(held) = self.connections.map.get(&connection) else {
            return;
        };
        let seal_key = self.acquaintance(peer, connection);
        let streams = &mut self.swarm.behaviour_mut().streams;
        let ticket = streams.open(held.peer_id, connection, Class::Control);
        self.asked.insert(
            ticket,
            Asked::Control {
                peer,
                connection,
                cause: Cause::Renewal,
                seal_key,
            },
        );
    }

    pub(super) fn renew_again(&mut self, peer: NodeId) {
        self.tasks.timers.add(RENEW_AGAIN, Due::Renew(peer));
    }

    fn ended(&mut self, peer: NodeId) {
        let Some(at) = self.peers.get_mut(&peer) else {
            return;
        };
        at.link = None;
        let parked = std::mem::take(&mut at.parked);
        let kept: Vec<_> = parked
            .iter()
            .map(|ready| ready.session.route.connection)
            .chain(
                self.meetings
                    .values()
                    .map(|meeting| meeting.route.connection),
            )
            .chain(at.dialling)
            .collect();
        self.lost(peer, &kept);
        let alone = parked.is_empty();
        parked.into_iter().for_each(|ready| self.ready(ready));
        // A dial that had led to nothing but the link that is over.
        let dialling = self.peers.get(&peer).and_then(|at| at.dialling);
        let stands = dialling.is_some_and(|connection| {
            self.connections.dialled.contains_key(&connection)
                || self
                    .meetings
                    .values()
                    .any(|meeting| meeting.route.connection == connection)
        });
        if alone && dialling.is_some() && !stands {
            self.dial_failed(peer, DialError::BrokenOff);
        }
        self.forget(peer);
    }
}
