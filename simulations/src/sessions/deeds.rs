//! What a node does for its channels: it sends, checks certificates, stores run ids, hangs up.

use regatta_protocol::crypto::channel::{CloseReason, Direction, Early, Effect};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::{Hash, NodeId};

use super::member::Greeting;
use super::rules::Item;
use super::wire::{EndId, framed};
use super::world::{World, index};

impl World {
    /// Does what a machine asks for, in order.
    pub(super) fn perform(&mut self, id: EndId, effects: Vec<Effect>, first: bool) {
        for effect in effects {
            let Some(end) = self.end(id) else { return };
            let (node, peer, clock) = (end.node, end.peer, self.nodes[end.node].clock(self.now));
            let key = end.channel.remote_key();
            self.counts.handled(self.now, id, &effect);
            match effect {
                Effect::Send(frame) => {
                    self.rules
                        .crosses(id, index(node), first && id.side == 0, &frame);
                    self.tapes.record(id, self.nodes[node].id, peer, &frame);
                    self.put_in_pieces(id.other(), &framed(&frame));
                }
                Effect::Early {
                    remote,
                    greeting,
                    requests,
                } => {
                    if self.nodes[node].role.is_member() {
                        let bound = self.is_bound(node, peer, remote);
                        self.rules.early(id, &greeting, &requests, bound);
                        requests
                            .iter()
                            .for_each(|request| self.early(node, request));
                    }
                }
                Effect::Opened {
                    remote,
                    greeting,
                    first_contact,
                } => {
                    self.rules.opened(id, clock, remote, &greeting);
                    self.opened(id, remote, &greeting, first_contact);
                }
                Effect::Message(bytes) => {
                    self.took(id, node, peer, Item::Message(Hash::of(&bytes)), key);
                    if self.nodes[node].role.is_member() {
                        self.request(node, &bytes);
                    }
                }
                Effect::RekeyDone { direction, epoch } => match direction {
                    Direction::Sending => self.rules.sent(id, clock, Item::Rekey(epoch)),
                    Direction::Receiving => self.took(id, node, peer, Item::Rekey(epoch), key),
                },
                Effect::RenewalDue => {
                    self.rules.renewal_due(id);
                    if let Some(end) = self.end_mut(id) {
                        end.renew = true;
                    }
                }
                Effect::Closed { reason } => self.closed(id, node, peer, reason),
                Effect::EarlyRefused { .. } | Effect::Refused(_) => {}
            }
        }
    }

    fn put_in_pieces(&mut self, to: EndId, bytes: &[u8]) {
        let at = if self.prng.chance(250_000) {
            usize::try_from(self.prng.below(bytes.len() as u64)).unwrap_or(0)
        } else {
            0
        };
        let (head, tail) = bytes.split_at(at);
        for piece in [head, tail].into_iter().filter(|piece| !piece.is_empty()) {
            self.put(to, piece.to_vec());
        }
    }

    fn took(&mut self, id: EndId, node: usize, peer: NodeId, item: Item, key: Option<BoxKey>) {
        if self.nodes[node].role.is_member() {
            let bound = key.is_some_and(|key| self.is_bound(node, peer, key));
            self.rules.took(id, item, bound);
        }
    }

    /// Whether a certificate that `node` has no reason to doubt binds `peer` to `key`.
    fn is_bound(&self, node: usize, peer: NodeId, key: BoxKey) -> bool {
        let heard = self.nodes[node].contact(peer).heard;
        let keys = self.bindings.get(&peer).into_iter().flatten();
        (0..)
            .zip(keys)
            .any(|(generation, bound)| generation >= heard && *bound == key)
    }

    fn early(&mut self, node: usize, request: &Early) {
        self.counts.note("early requests");
        if let Early::Intent { run_id, .. } = request {
            self.start(node, *run_id);
        }
    }

    /// A message over an open session may carry an intent as well.
    fn request(&mut self, node: usize, bytes: &[u8]) {
        let run_id = bytes.get(16..).and_then(|rest| rest.first_chunk());
        if let Some(run_id) = run_id.map(|run_id| u128::from_le_bytes(*run_id))
            && run_id != 0
        {
            self.start(node, run_id);
        }
    }

    /// Stored first, then begun: at most once, whatever comes again.
    fn start(&mut self, node: usize, run_id: u128) {
        if self.nodes[node].started.insert(run_id) {
            self.rules.started(index(node), run_id);
            self.counts.note("runs started");
        } else {
            self.counts.note("runs asked for again");
        }
    }

    /// The peer has shown its key; whose it is, its certificate must say.
    fn opened(&mut self, id: EndId, remote: BoxKey, greeting: &[u8], first_contact: bool) {
        let Some(end) = self.end(id) else { return };
        let (node, peer) = (end.node, end.peer);
        let clock = self.nodes[node].clock(self.now);
        let certificate = Greeting::read(greeting).map(|greeting| greeting.certificate);
        let contact = self.nodes[node].contact(peer);
        let good = certificate.is_some_and(|certificate| {
            let signed = self.fleet_of(node).signed(&certificate);
            let fits = certificate.node == peer && certificate.key == remote;
            signed && fits && certificate.generation >= contact.heard
        });
        if !good {
            self.counts.note("certificates refused");
            return self.event_close(id);
        }
        let generation = certificate.map_or(0, |certificate| certificate.generation);
        let kind = if first_contact {
            "XX opened"
        } else {
            "IK opened"
        };
        self.counts.note(kind);
        if let Some(end) = self.end_mut(id) {
            end.trusted = true;
            end.opened = Some(clock);
        }
        self.learn(node, peer, remote, generation);
        let retire_at = Some(self.now.plus(5_000));
        let older = self.ends(|end| end.node == node && end.peer == peer && end.trusted);
        for old in older.into_iter().filter(|old| old.stream < id.stream) {
            if let Some(end) = self.end_mut(old) {
                end.retire_at = end.retire_at.or(retire_at);
            }
        }
    }

    fn learn(&mut self, node: usize, peer: NodeId, key: BoxKey, generation: u32) {
        let contact = self.nodes[node].contacts.entry(peer).or_default();
        contact.known = Some(key);
        contact.heard = contact.heard.max(generation);
        // Sessions under an older key are over.
        let old = self.ends(|end| {
            let other = end.channel.remote_key().is_some_and(|remote| remote != key);
            end.node == node && end.peer == peer && end.trusted && other
        });
        old.into_iter().for_each(|id| self.event_close(id));
    }

    /// A node has heard that another has a new key.
    pub(super) fn heard(&mut self, node: usize, of: usize) {
        let certificate = self.nodes[of].certificate;
        self.learn(
            node,
            certificate.node,
            certificate.key,
            certificate.generation,
        );
    }

    fn closed(&mut self, id: EndId, node: usize, peer: NodeId, reason: CloseReason) {
        self.counts.note(match reason {
            CloseReason::TimedOut => "closed: timed out",
            CloseReason::Handshake => "closed: handshake failed",
            CloseReason::Refused => "closed: refused",
            CloseReason::Replayed => "closed: replayed",
            CloseReason::Unreadable => "closed: unreadable",
            CloseReason::Asked => "closed: asked",
        });
        if reason == CloseReason::Refused
            && let Some(contact) = self.nodes[node].contacts.get_mut(&peer)
        {
            contact.known = None;
        }
        self.hang_up(id);
    }
}
