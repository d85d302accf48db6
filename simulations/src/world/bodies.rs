//! Bodies: events to a node's machine, what it asks for, and what the node wants of it.

use std::sync::Arc;

use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::library::Library;
use regatta_protocol::ledger::bodies::message::BodyMessage;
use regatta_protocol::ledger::bodies::{Effect, Event, Misdeed};
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::ledger::replica;
use regatta_protocol::machine::Machine;
use regatta_protocol::membership::MembershipEvent;

use crate::bodies::{AGAIN_MS, LOOK_MS, NodeBodies, Shelves, reading};
use crate::invariants::bodies::too_much;
use crate::network::NodeIndex;
use crate::wire::Packet;
use crate::world::{Follow, NEVER, World};

impl World {
    /// Hands an event to a node's machine of bodies, and performs what follows.
    pub fn tell_bodies(&mut self, index: NodeIndex, event: Event) {
        self.bodies(index, event);
        self.follow_up(index);
    }

    /// Sends what somebody made up about a body, over a connection that is open.
    pub fn inject_body(&mut self, from: NodeIndex, to: NodeIndex, message: BodyMessage) {
        self.send(from, &[to], Packet::Body(message));
    }

    /// A node has a body that was not fetched: it made it.
    pub fn keep_body(&mut self, index: NodeIndex, hash: Hash, body: Bytes) {
        let bytes = body.len() as u64;
        self.nodes[index as usize].disk.bodies.keep(hash, body);
        self.config_moved(index);
        self.tell_bodies(index, Event::Have { hash, bytes });
    }

    pub(super) fn bodies(&mut self, index: NodeIndex, event: Event) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        let (Some(bodies), Some(replica)) = (node.bodies.as_mut(), node.replica.as_ref()) else {
            return;
        };
        self.done.note_bodies(now, index, &event);
        let shelves = Shelves::of(replica, now, self.root.scheme().sealing());
        let mut effects = Vec::new();
        let machine = &mut bodies.machine;
        machine.with(&shelves).handle(now, event, &mut effects);
        bodies.machine_wake = machine.wake_at().unwrap_or(NEVER);
        let broken = too_much(&machine.load());
        let wake_at = bodies.machine_wake;
        self.plan_wake(index, wake_at);
        if let Some(what) = broken {
            self.invariants.broken(now, index, what);
        }
        for effect in effects {
            if !self.may_perform(index) {
                break;
            }
            self.perform_body(index, effect);
        }
    }

    /// Builds a node's machine from its disk, and tells it what is there.
    pub(super) fn start_bodies(&mut self, index: NodeIndex) {
        if !self.chance.manner.bodies {
            return;
        }
        let prng = self.chance.prng.branch();
        let node = &mut self.nodes[index as usize];
        let Some(papers) = &node.place.papers else {
            return;
        };
        let me = papers.requester(&node.identity);
        let bodies = NodeBodies::new(me, &node.disk, self.now, prng);
        let wake_at = bodies.wake_at();
        node.bodies = Some(bodies);
        let whole = node.disk.bodies.whole();
        let have: Vec<Event> = whole
            .map(|(hash, body)| Event::Have {
                hash: *hash,
                bytes: body.len() as u64,
            })
            .collect();
        for event in have {
            self.follow(Follow::Bodies(Box::new(event)));
        }
        self.plan_wake(index, wake_at);
    }

    /// Either end showed its certificates when the connection was made.
    pub(super) fn present(&mut self, index: NodeIndex, peer: NodeIndex) {
        let peer = &self.nodes[peer as usize];
        let shown = peer.place.papers.as_ref();
        if let Some(credentials) = shown.map(|papers| Arc::clone(&papers.credentials)) {
            let peer = peer.identity.node;
            self.handle(index, replica::Event::Presented { peer, credentials });
        }
    }

    /// Trust is in step with a peer: it may be asked.
    pub(super) fn bodies_reached(&mut self, index: NodeIndex, peer: NodeId) {
        let Some(place) = self.place_of(&peer) else {
            return;
        };
        let manager = self.nodes[place as usize].is_manager();
        if self.nodes[index as usize].bodies.is_some() {
            let node = peer;
            let event = Event::PeerUp { node, manager };
            self.follow(Follow::Bodies(Box::new(event)));
        }
    }

    /// A connection is gone.
    pub(super) fn bodies_lost(&mut self, index: NodeIndex, peer: NodeId) {
        if self.nodes[index as usize].bodies.is_some() {
            self.follow(Follow::Bodies(Box::new(Event::PeerDown(peer))));
        }
    }

    /// An entry was stored: its body came along, or is to be looked for.
    pub(super) fn body_named(&mut self, index: NodeIndex, entry: &Entry) {
        let Some(body) = entry.header.body.filter(|body| !body.carried) else {
            return;
        };
        let soon = self.now.plus(1);
        let node = &mut self.nodes[index as usize];
        let (hash, bytes) = (body.hash, body.bytes);
        if let Some(riding) = entry.riding() {
            let broken = self
                .invariants
                .bodies_mut()
                .rode(&node.identity.node, entry);
            node.disk.bodies.keep(hash, riding.clone());
            self.follow(Follow::Bodies(Box::new(Event::Have { hash, bytes })));
            if let Some(what) = broken {
                self.invariants.broken(self.now, index, what);
            }
        } else if !node.disk.bodies.has(&hash)
            && let Some(bodies) = node.bodies.as_mut()
        {
            bodies.look_later(hash, bytes, soon);
            self.plan_wake(index, soon);
        }
    }

    /// Whether a node may read a body, as its own ledgers say.
    #[must_use]
    pub fn may_read(&self, index: NodeIndex, hash: &Hash) -> bool {
        let node = &self.nodes[index as usize];
        match (&node.replica, &node.place.papers) {
            (Some(replica), Some(papers)) => {
                reading(replica, self.now).may_read(hash, &papers.credentials)
            }
            _ => false,
        }
    }

    pub(super) fn wake_bodies(&mut self, index: NodeIndex) {
        let now = self.now;
        let Some(bodies) = self.nodes[index as usize].bodies.as_mut() else {
            return;
        };
        let wakes = bodies.machine_wake <= now;
        for (hash, bytes) in bodies.due(now) {
            self.look_for(index, hash, bytes);
        }
        if wakes {
            self.tell_bodies(index, Event::Wake);
        }
    }

    fn look_for(&mut self, index: NodeIndex, hash: Hash, bytes: u64) {
        let may = self.may_read(index, &hash);
        let later = self.now.plus(LOOK_MS);
        let node = &mut self.nodes[index as usize];
        let Some(bodies) = node.bodies.as_mut() else {
            return;
        };
        if node.disk.bodies.has(&hash) {
            return;
        }
        if !may {
            bodies.look_later(hash, bytes, later);
            return;
        }
        let partial = node.disk.bodies.partial(&hash, bytes);
        let event = Event::Want {
            hash,
            bytes,
            partial,
        };
        self.tell_bodies(index, event);
    }

    pub(super) fn body_message(&mut self, to: NodeIndex, from: NodeId, message: BodyMessage) {
        let node = &self.nodes[to as usize].identity.node;
        self.invariants.bodies_mut().arrived(node, &message);
        self.tell_bodies(to, Event::Received { from, message });
    }

    fn perform_body(&mut self, index: NodeIndex, effect: Effect) {
        let node = &mut self.nodes[index as usize];
        let me = node.identity.node;
        let watch = self.invariants.bodies_mut();
        let mut broken = None;
        match effect {
            Effect::Send { to, message } => {
                if let BodyMessage::Request { hops_left, request } = &message {
                    broken = watch.asked(&me, *hops_left, request);
                }
                if let Some(to) = self.place_of(&to) {
                    self.send(index, &[to], Packet::Body(message));
                }
            }
            Effect::Store { hash, unit, bytes } => {
                broken = watch
                    .reached(&me, &hash)
                    .or_else(|| watch.stored(&hash, unit, &bytes));
                if !node.disk.bodies.store(hash, unit, bytes) {
                    broken = Some(format!("I6: stored {unit:?} of {hash:?} twice"));
                }
            }
            Effect::Read { hash, unit, id } => {
                broken = watch.served(&id, &hash);
                let mut bytes = node.disk.bodies.read(&hash, unit);
                if node.place.papers.as_ref().is_some_and(|papers| papers.lies) {
                    bytes = bytes.map(|bytes| Bytes::from(vec![0x5a; bytes.len()]));
                }
                let event = Event::Read { id, unit, bytes };
                self.follow(Follow::Bodies(Box::new(event)));
            }
            Effect::Complete(hash) => {
                if !node.disk.bodies.has(&hash) {
                    let body = node.disk.bodies.assemble(&hash);
                    broken = watch.whole(&hash, body.as_ref());
                    watch.seen.fetched += 1;
                    if let Some(body) = body {
                        node.disk.bodies.keep(hash, body);
                    }
                    self.config_moved(index);
                }
            }
            Effect::Failed { hash, .. } => {
                watch.seen.failed += 1;
                self.want_again(index, hash);
            }
            Effect::Misbehaved { peer, misdeed } => {
                watch.seen.liars += u64::from(misdeed == Misdeed::WrongBytes);
                if !self.invariants.hostile.contains(&peer) {
                    broken = Some(format!("I7: an honest member is blamed for {misdeed:?}"));
                }
                self.hang_up_on(index, peer);
            }
        }
        if let Some(what) = broken {
            self.invariants.broken(self.now, index, what);
        }
    }

    /// What could not be had is looked for later, if an entry names it.
    fn want_again(&mut self, index: NodeIndex, hash: Hash) {
        let later = self.now.plus(AGAIN_MS);
        let node = &self.nodes[index as usize];
        let mut named = node.disk.entries().iter().filter_map(|it| it.header.body);
        let named = named.find(|body| body.hash == hash).map(|body| body.bytes);
        let Some(bytes) = named.or_else(|| self.config_wants(index, &hash)) else {
            return;
        };
        if let Some(bodies) = self.nodes[index as usize].bodies.as_mut() {
            bodies.look_later(hash, bytes, later);
            self.plan_wake(index, later);
        }
    }

    fn hang_up_on(&mut self, index: NodeIndex, peer: NodeId) {
        let place = self.place_of(&peer);
        if place.is_some_and(|place| self.hang_up(index, place)) {
            self.lost(index, peer);
            self.bodies_lost(index, peer);
            self.follow(Follow::Replica(replica::Event::PeerDown(peer)));
            self.follow(Follow::Membership(MembershipEvent::Disconnected { peer }));
        }
    }

    /// The first body that a node lacks although it may read it and somebody who is up has it.
    #[must_use]
    pub fn body_missing(&self) -> Option<(NodeIndex, Hash)> {
        for (node, index) in self.nodes.iter().zip(0..) {
            if node.bodies.is_none() {
                continue;
            }
            let named = node.disk.entries().iter().filter_map(|it| it.header.body);
            let lacks = |hash: &Hash| !node.disk.bodies.has(hash) && self.may_read(index, hash);
            let missing = named
                .filter(|body| !body.carried)
                .map(|body| body.hash)
                .filter(lacks)
                .find(|hash| self.is_there(hash));
            if let Some(hash) = missing {
                return Some((index, hash));
            }
        }
        None
    }

    fn is_there(&self, hash: &Hash) -> bool {
        let mut up = self.nodes.iter().filter(|node| node.is_up());
        up.any(|node| node.disk.bodies.has(hash))
    }

    /// Every body on every disk is one that was written, and for that node.
    #[must_use]
    pub fn body_wrong(&self) -> Option<(NodeIndex, String)> {
        let watch = self.invariants.bodies();
        self.nodes.iter().zip(0..).find_map(|(node, index)| {
            let me = node.identity.node;
            let begun = node.disk.bodies.begun();
            let mut there = node.disk.bodies.whole().map(|(hash, _)| hash).chain(begun);
            let unduly = there.find_map(|hash| watch.reached(&me, hash));
            let mut whole = node.disk.bodies.whole();
            unduly
                .or_else(|| whole.find_map(|(hash, body)| watch.whole(hash, Some(body))))
                .map(|what| (index, what))
        })
    }

    /// Waits until everybody has the bodies that it is to have; how long that took, or none.
    pub fn wait_for_bodies(&mut self, within_ms: u64) -> Option<u64> {
        let start = self.now;
        while self.body_missing().is_some() {
            if self.now.since(start) >= within_ms {
                return None;
            }
            self.run_until(self.now.plus(STEP_MS));
        }
        Some(self.now.since(start))
    }
}

const STEP_MS: u64 = 250;
