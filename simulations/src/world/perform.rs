//! What machines ask for, done.

use std::sync::Arc;

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::replica::{self, Effect, Event};
use regatta_protocol::membership::roster::roster;
use regatta_protocol::membership::{MembershipEffect, MembershipEvent};

use crate::network::NodeIndex;
use crate::wire::Packet;
use crate::world::{Follow, NOTICED_AFTER_MS, Pending, World};

impl World {
    /// Performs one effect of a replica; false where nothing more is to be performed.
    pub(super) fn perform(&mut self, index: NodeIndex, effect: Effect) -> bool {
        let node = &mut self.nodes[index as usize];
        self.invariants.effect(index, node, self.now, &effect);
        match effect {
            Effect::Store(entry) => {
                let shared = self.chance.shared.entry(entry.hash);
                let shared = shared.or_insert_with(|| Arc::clone(&entry));
                let same = **shared == *entry;
                node.disk.store(if same { shared } else { &entry });
                self.body_named(index, &entry);
                self.config_moved(index);
            }
            Effect::StoreFloor(floor) => node.disk.store_floor(floor),
            Effect::Send { to, message } => {
                let to: Vec<NodeIndex> = to.iter().filter_map(|node| self.place_of(node)).collect();
                self.send(index, &to, Packet::Replica(message));
            }
            Effect::SendStored {
                to,
                wanted,
                entries,
                more,
            } => {
                let parcels: Vec<_> = entries
                    .iter()
                    .filter_map(|hash| node.disk.parcel(hash))
                    .collect();
                let to_id = to;
                let Some(to) = self.place_of(&to_id) else {
                    return true;
                };
                let broken = self.invariants.bodies().sent(&[to_id], parcels.iter());
                if let Some(what) = broken {
                    self.invariants.broken(self.now, index, what);
                }
                for message in replica::answer(wanted, parcels, more) {
                    self.send(index, &[to], Packet::Replica(message));
                }
            }
            Effect::HangUp { peer, .. } => {
                if self
                    .place_of(&peer)
                    .is_some_and(|place| self.hang_up(index, place))
                {
                    self.lost(index, peer);
                    self.bodies_lost(index, peer);
                    self.follow(Follow::Replica(Event::PeerDown(peer)));
                    self.follow(Follow::Membership(MembershipEvent::Disconnected { peer }));
                }
            }
            Effect::Judged => {
                let Some(replica) = node.replica.as_ref() else {
                    return true;
                };
                let roster = roster(replica.holdings());
                if *self.chance.roster != *roster {
                    self.chance.roster = roster.into();
                }
                let managers = self.chance.roster.clone();
                self.holders_changed(index, &managers);
                self.follow(Follow::Membership(MembershipEvent::Roster { managers }));
            }
            Effect::NewsHops { peer, hops } => {
                self.follow(Follow::Membership(MembershipEvent::NewsHops { peer, hops }));
            }
            Effect::FeederFailed(peer) => {
                self.follow(Follow::Membership(MembershipEvent::FeederFailed { peer }));
            }
            Effect::Agreed(peer) => self.bodies_reached(index, peer),
            Effect::Written { .. }
            | Effect::Refused { .. }
            | Effect::Replicated { .. }
            | Effect::Alarm(_) => {}
        }
        true
    }

    /// Performs one effect of membership.
    pub(super) fn perform_membership(&mut self, index: NodeIndex, effect: MembershipEffect) {
        let node = &mut self.nodes[index as usize];
        self.invariants
            .membership_effect(index, node, self.now, &effect);
        match effect {
            MembershipEffect::Dial { peer } => self.dial_for_membership(index, &peer),
            MembershipEffect::HangUp { peer, .. } => {
                if self
                    .place_of(&peer)
                    .is_some_and(|place| self.hang_up(index, place))
                {
                    self.lost(index, peer);
                    self.bodies_lost(index, peer);
                    self.follow(Follow::Replica(Event::PeerDown(peer)));
                }
            }
            MembershipEffect::Send { to, message } => {
                if let Some(to) = self.place_of(&to) {
                    self.send(index, &[to], Packet::Membership(message));
                }
            }
            MembershipEffect::SetFeeder(feeder) => {
                self.follow(Follow::Replica(Event::Feeder(feeder)));
            }
            MembershipEffect::Remember { neighbours } => node.disk.store_remembered(neighbours),
            MembershipEffect::StartPulling { device } => self.open_streams(index, device, true),
            MembershipEffect::StopPulling { device } => self.open_streams(index, device, false),
            MembershipEffect::PresenceChanged { .. }
            | MembershipEffect::PresencesChanged { .. }
            | MembershipEffect::Cloned { .. }
            | MembershipEffect::Misbehaved { .. } => {}
        }
    }

    /// Hands a manager everybody's key, as the enrolments would.
    pub(super) fn tell_keys(&mut self, index: NodeIndex) {
        for other in 0..self.nodes.len() {
            let identity = &self.nodes[other].identity;
            let (node, key) = (identity.node, identity.signer.public());
            self.tell(index, MembershipEvent::Known { node, key });
        }
    }

    fn dial_for_membership(&mut self, index: NodeIndex, peer: &NodeId) {
        match self.place_of(peer) {
            Some(place) => self.dial(index, place),
            None => {
                let peer = *peer;
                self.follow(Follow::Membership(MembershipEvent::DialFailed { peer }));
            }
        }
    }

    pub(super) fn follow(&mut self, follow: Follow) {
        self.chance.follow.push_back(follow);
    }

    /// What a stream lost in a cut never comes: its transport gives up, even if the cut ends before.
    fn doom(&mut self, from: NodeIndex, to: NodeIndex, session: u32) {
        if !self.chance.doomed.insert(session) {
            return;
        }
        let at = self.now.plus(NOTICED_AFTER_MS);
        for (node, peer) in [(from, to), (to, from)] {
            let closed = Pending::Closed {
                node,
                peer,
                session,
            };
            self.queue.push(at, closed);
        }
    }

    pub(super) fn send(&mut self, from: NodeIndex, to: &[NodeIndex], packet: Packet) {
        let links = &self.nodes[from as usize].links;
        if !to.iter().any(|peer| links.contains_key(peer)) {
            return;
        }
        let (frame, bytes) = packet.frame(self.chance.manner.encoded);
        for to in to {
            let Some(session) = self.nodes[from as usize].links.get(to).copied() else {
                continue;
            };
            let delays = self
                .network
                .delays(from, *to, bytes, self.now, &mut self.chance.prng);
            if delays == [None, None] && !self.network.carries(from, *to) {
                self.doom(from, *to, session);
            }
            for delay in delays.into_iter().flatten() {
                let frame = frame.clone();
                let pending = Pending::Deliver {
                    to: *to,
                    from,
                    session,
                    frame,
                };
                self.queue.push(self.now.plus(delay), pending);
            }
        }
    }
}
