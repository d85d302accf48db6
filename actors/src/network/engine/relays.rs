//! Listening: at our own addresses, and through relays, whose reservations do not come back alone.

use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use regatta_protocol::ident::NodeId;

use super::Engine;
use super::connections::innermost;
use super::state::Due;
use crate::network::limits::RESERVE_AGAIN;
use crate::network::{Address, NetworkEvent};

/// A place at a relay, wanted until the relay is hung up on.
#[derive(Default)]
pub(super) struct Reservation {
    /// The listener that stands for it, while one does.
    listener: Option<ListenerId>,
    /// Whether the relay has said yes.
    reserved: bool,
    /// How long the last pause was.
    pause: Duration,
}

impl Engine {
    pub(super) fn listen(&mut self, address: Address) {
        if let Err(error) = self.swarm.listen_on(address.0.clone()) {
            let error = innermost(&error);
            self.outbox
                .push(NetworkEvent::ListenFailed { address, error });
        }
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        let all = self
            .swarm
            .listeners()
            .chain(self.swarm.external_addresses());
        let mut all: Vec<Address> = all.cloned().map(Address).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Wants a place at this relay, now and whenever it can be reached.
    pub(super) fn reserve(&mut self, via: NodeId) {
        self.relays.entry(via).or_default();
        self.reserve_again(via);
    }

    /// Asks for a place that is wanted and not there.
    pub(super) fn reserve_again(&mut self, via: NodeId) {
        let wanted = self.relays.get(&via);
        if wanted.is_none_or(|place| place.listener.is_some()) {
            return;
        }
        let link = self.peers.get(&via).and_then(|at| at.link.as_ref());
        let link = link.filter(|link| link.up && !link.ending);
        // Without a link this is called again when there is one.
        let Some(path) = link.map(|link| &link.route.path) else {
            return;
        };
        let held = link.and_then(|link| self.connections.map.get(&link.route.connection));
        let Some(held) = held.filter(|_| path.dialled && !path.relayed) else {
            tracing::warn!(relay = %via, "cannot be reached through a node that we did not dial");
            return;
        };
        let circuit = circuit(&path.address.0, held.peer_id);
        match self.swarm.listen_on(circuit) {
            Ok(listener) => {
                if let Some(place) = self.relays.get_mut(&via) {
                    place.listener = Some(listener);
                }
            }
            Err(error) => {
                tracing::warn!(relay = %via, %error, "no place at the relay; asking again");
                self.later(via);
            }
        }
    }

    /// A place at this relay is wanted no more.
    pub(super) fn release(&mut self, via: NodeId) {
        let place = self.relays.remove(&via);
        if let Some(listener) = place.and_then(|place| place.listener) {
            self.swarm.remove_listener(listener);
        }
    }

    /// Whether this is a relay at which a place is wanted: its connections are ours to keep.
    pub(super) fn serves_relay(&self, peer_id: PeerId) -> bool {
        let mut wanted = self.relays.keys().filter_map(|via| self.peers.get(via));
        wanted.any(|at| at.known.is_some_and(|known| known.peer_id == peer_id))
    }

    fn relay_of(&self, listener: ListenerId) -> Option<NodeId> {
        let mut places = self.relays.iter();
        places.find_map(|(via, place)| (place.listener == Some(listener)).then_some(*via))
    }

    pub(super) fn listening(&mut self, listener: ListenerId, address: Address) {
        let Some(via) = self.relay_of(listener) else {
            tracing::debug!(%address, "listening");
            if self.own.relays {
                // A relay without an external address hands out places without addresses.
                self.swarm.add_external_address(address.0.clone());
            }
            return self.outbox.push(NetworkEvent::Listening { address });
        };
        if let Some(place) = self.relays.get_mut(&via) {
            place.reserved = true;
            place.pause = Duration::ZERO;
        }
        tracing::debug!(relay = %via, %address, "reachable through a relay");
        self.outbox.push(NetworkEvent::Reserved { via, address });
    }

    pub(super) fn listener_closed(
        &mut self,
        listener: ListenerId,
        addresses: Vec<Multiaddr>,
        reason: Option<&str>,
    ) {
        let Some(via) = self.relay_of(listener) else {
            for address in addresses.into_iter().map(Address) {
                let error = reason.unwrap_or("closed").to_owned();
                tracing::error!(%address, %error, "listens no more");
                self.outbox
                    .push(NetworkEvent::ListenFailed { address, error });
            }
            return;
        };
        let Some(place) = self.relays.get_mut(&via) else {
            return;
        };
        place.listener = None;
        if std::mem::take(&mut place.reserved) {
            tracing::warn!(relay = %via, "the place at the relay is gone; asking again");
        } else {
            tracing::warn!(relay = %via, "the relay has no place for this node; asking again");
        }
        self.outbox.push_soft(NetworkEvent::ReservationLost { via });
        self.later(via);
    }

    /// Asks again after a pause that doubles, of which a random half is waited.
    fn later(&mut self, via: NodeId) {
        let (shortest, longest) = RESERVE_AGAIN;
        let Some(place) = self.relays.get_mut(&via) else {
            return;
        };
        place.pause = (place.pause * 2).clamp(shortest, longest);
        let half = place.pause / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(self.own.chance.prng.below(micros));
        self.tasks.timers.add(half + jitter, Due::Reserve(via));
    }
}

/// A relay's address as a place to listen at.
fn circuit(relay: &Multiaddr, peer_id: PeerId) -> Multiaddr {
    let named = |part: &Protocol<'_>| matches!(part, Protocol::P2p(_));
    let bare: Multiaddr = relay.iter().filter(|part| !named(part)).collect();
    bare.with(Protocol::P2p(peer_id)).with(Protocol::P2pCircuit)
}
