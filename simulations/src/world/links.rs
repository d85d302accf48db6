//! Connections: dialled, opened to both machines of both ends, closed, and looked after.

use regatta_protocol::ledger::replica::{Event, PeerInfo};
use regatta_protocol::membership::MembershipEvent;

use crate::network::NodeIndex;
use crate::world::{NOTICED_AFTER_MS, Pending, REDIAL_MS, World};

/// A dial into a cut link is given up after this.
const DIAL_LOST_MS: u64 = 1_000;

impl World {
    /// After cuts and heals: links that carry nothing are noticed, missing ones are dialled.
    pub fn links_changed(&mut self) {
        self.queue
            .push(self.now.plus(NOTICED_AFTER_MS), Pending::LookAtLinks);
    }

    /// Opens a connection at once, for those who do not dial by themselves.
    pub fn connect(&mut self, dialler: NodeIndex, to: NodeIndex) {
        self.open(dialler, to);
    }

    fn both_carry(&self, one: NodeIndex, other: NodeIndex) -> bool {
        self.network.carries(one, other) && self.network.carries(other, one)
    }

    /// Begins to dial: what comes of it is known later.
    pub(super) fn dial(&mut self, dialler: NodeIndex, to: NodeIndex) {
        let delay = 1 + self.chance.prng.below(10);
        self.queue
            .push(self.now.plus(delay), Pending::Opened { dialler, to });
    }

    /// Dials those whom the run named and with whom there is no connection.
    pub(super) fn dial_told(&mut self, index: NodeIndex) {
        let node = &self.nodes[index as usize];
        let dials = node.place.dials.iter().copied();
        let missing: Vec<NodeIndex> = dials
            .filter(|peer| !node.links.contains_key(peer))
            .collect();
        if !node.is_up() || missing.is_empty() {
            return;
        }
        for peer in missing {
            self.dial(index, peer);
        }
        self.queue
            .push(self.now.plus(REDIAL_MS), Pending::Dial(index));
    }

    /// A dial arrives.
    pub(super) fn open(&mut self, dialler: NodeIndex, to: NodeIndex) {
        let dialling = &self.nodes[dialler as usize];
        if !dialling.is_up() || dialler == to || dialling.links.contains_key(&to) {
            return;
        }
        if !self.both_carry(dialler, to) || !self.nodes[to as usize].is_up() {
            let refused = self.network.carries(dialler, to) && self.network.carries(to, dialler);
            let at = self.now.plus(if refused { 2 } else { DIAL_LOST_MS });
            self.queue.push(at, Pending::NotOpened { dialler, to });
            return;
        }
        // What the other side still takes for a connection is gone with the one that comes.
        if let Some(session) = self.nodes[to as usize].links.get(&dialler).copied() {
            self.closed(to, dialler, session);
        }
        self.chance.sessions += 1;
        let session = self.chance.sessions;
        for (node, peer) in [(dialler, to), (to, dialler)] {
            let peer_id = self.nodes[peer as usize].identity.node;
            let at = &mut self.nodes[node as usize];
            at.links.insert(peer, session);
            at.place.neighbours.insert(peer_id);
        }
        for (node, peer) in [(dialler, to), (to, dialler)] {
            // Either may have crashed, or hung up, on what it was told just now.
            if self.nodes[node as usize].links.get(&peer) == Some(&session) {
                self.opened(node, peer);
            }
        }
    }

    fn opened(&mut self, node: NodeIndex, peer: NodeIndex) {
        let site = self.nodes[node as usize].place.site;
        let other = &self.nodes[peer as usize];
        let identity = &other.identity;
        let info = PeerInfo {
            node: identity.node,
            role: identity.role,
            carries: identity.carries,
        };
        let connected = MembershipEvent::Connected {
            peer: identity.node,
            is_manager: other.is_manager(),
            key: identity.signer.public(),
            lan: site.is_some() && site == other.place.site,
        };
        self.handle(node, Event::PeerUp(info));
        self.present(node, peer);
        self.reached(node, info.node);
        self.tell(node, connected);
    }

    /// A node learns that a connection is gone.
    pub(super) fn closed(&mut self, node: NodeIndex, peer: NodeIndex, session: u32) {
        if self.nodes[node as usize].links.get(&peer) != Some(&session) {
            return;
        }
        self.nodes[node as usize].links.remove(&peer);
        let is_told = self.nodes[node as usize].place.dials.contains(&peer);
        let id = self.nodes[peer as usize].identity.node;
        self.handle(node, Event::PeerDown(id));
        self.lost(node, id);
        self.bodies_lost(node, id);
        self.tell(node, MembershipEvent::Disconnected { peer: id });
        if is_told {
            self.queue
                .push(self.now.plus(REDIAL_MS), Pending::Dial(node));
        }
    }

    /// A node closes a connection; the other side learns of it if anything gets through.
    pub(super) fn hang_up(&mut self, index: NodeIndex, peer: NodeIndex) -> bool {
        let Some(session) = self.nodes[index as usize].links.remove(&peer) else {
            return false;
        };
        let heard = self.network.carries(index, peer);
        let at = self.now.plus(if heard { 2 } else { NOTICED_AFTER_MS });
        self.queue.push(
            at,
            Pending::Closed {
                node: peer,
                peer: index,
                session,
            },
        );
        true
    }

    /// Those on one local network hear each other.
    pub(super) fn heard_on_lan(&mut self, index: NodeIndex) {
        let Some(site) = self.nodes[index as usize].place.site else {
            return;
        };
        let others = self.places.sites.get(&site).cloned().unwrap_or_default();
        for other in others {
            let up = self.nodes[index as usize].is_up() && self.nodes[other as usize].is_up();
            if other == index || !up || !self.both_carry(index, other) {
                continue;
            }
            for (node, peer) in [(index, other), (other, index)] {
                let peer = self.nodes[peer as usize].identity.node;
                self.tell(node, MembershipEvent::LanSeen { peer });
            }
        }
    }

    pub(super) fn look_at_links(&mut self) {
        for index in 0..self.nodes.len() as NodeIndex {
            let links = self.nodes[index as usize].links.iter();
            let dead = links.filter(|(peer, _)| !self.both_carry(index, **peer));
            let dead: Vec<(NodeIndex, u32)> =
                dead.map(|(peer, session)| (*peer, *session)).collect();
            for (peer, session) in dead {
                let at = self.now.plus(self.chance.prng.below(500));
                self.queue.push(
                    at,
                    Pending::Closed {
                        node: index,
                        peer,
                        session,
                    },
                );
            }
            if self.nodes[index as usize].is_up()
                && !self.nodes[index as usize].place.dials.is_empty()
            {
                let at = self.now.plus(1 + self.chance.prng.below(REDIAL_MS));
                self.queue.push(at, Pending::Dial(index));
            }
        }
        let sites: Vec<NodeIndex> = self.places.sites.values().flatten().copied().collect();
        for index in sites {
            self.queue.push(
                self.now.plus(self.chance.prng.below(500)),
                Pending::Lan(index),
            );
        }
    }
}
