//! What runs on every connection: limits, plain streams, relays, discovery on the LAN.
//!
//! Punching and address discovery (DCUtR, AutoNAT, and identify, which both stand on) get their
//! place here as two further fields; nothing else of this module needs to know of them, because a
//! punched connection is one more that a session can be moved to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Multiaddr, PeerId, connection_limits, mdns, memory_connection_limits, relay};

use crate::network::limits::{
    CONNECTIONS_PER_PEER_MAX, LAN_ASKED, NetworkLimits, PENDING_INBOUND_MAX, RELAY_CIRCUIT,
    RELAY_CIRCUIT_BYTES_MAX, RELAY_CIRCUITS_MAX, RELAY_CIRCUITS_PER_PEER_MAX,
    RELAY_RESERVATIONS_MAX,
};
use crate::network::streams::{Protocols, Streams};
use crate::network::{NetworkArguments, NetworkError};

/// Whom a relay serves, shared with the relay's own rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Arc<Mutex<HashSet<PeerId>>>);

impl Members {
    pub(super) fn add(&self, peer: PeerId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(peer);
    }

    pub(super) fn remove(&self, peer: &PeerId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(peer);
    }

    fn has(&self, peer: &PeerId) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(peer)
    }
}

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    // First, so that what is too much costs nothing further.
    limits: connection_limits::Behaviour,
    memory: Toggle<memory_connection_limits::Behaviour>,
    pub(super) streams: Streams,
    relay_client: relay::client::Behaviour,
    relay_server: Toggle<relay::Behaviour>,
    lan: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(super) fn new(
        arguments: &NetworkArguments,
        keypair: &Keypair,
        relay_client: relay::client::Behaviour,
        members: &Members,
    ) -> Result<Self, NetworkError> {
        let own = keypair.public().to_peer_id();
        let lan = arguments.settings.lan.then(|| {
            let config = mdns::Config {
                query_interval: LAN_ASKED.0,
                ttl: LAN_ASKED.1,
                ..mdns::Config::default()
            };
            mdns::tokio::Behaviour::new(config, own).map_err(NetworkError::Lan)
        });
        let server = arguments.settings.relay;
        let server = server.then(|| relay::Behaviour::new(own, relay_rules(members)));
        let memory = arguments.limits.process_bytes_max;
        let memory = memory.map(memory_connection_limits::Behaviour::with_max_bytes);
        Ok(Self {
            limits: connection_limits::Behaviour::new(connections(&arguments.limits)),
            memory: memory.into(),
            streams: Streams::new(Protocols::of(arguments.fleet)),
            relay_client,
            relay_server: server.into(),
            lan: lan.transpose()?.into(),
        })
    }
}

fn connections(limits: &NetworkLimits) -> connection_limits::ConnectionLimits {
    // The doorway makes room before this bound turns a newcomer away.
    let pending = u32::try_from(2 * PENDING_INBOUND_MAX).unwrap_or(u32::MAX);
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(pending))
        .with_max_established_incoming(Some(limits.inbound_max))
        .with_max_established(Some(limits.connections_max))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
}

/// libp2p's own rules cut a circuit at 128 KiB or two minutes, and count reservations by IP address,
/// behind which a whole site may sit. Here members are served, and nobody else.
fn relay_rules(members: &Members) -> relay::Config {
    let (reserving, dialling) = (members.clone(), members.clone());
    relay::Config {
        max_reservations: RELAY_RESERVATIONS_MAX,
        max_circuits: RELAY_CIRCUITS_MAX,
        max_circuits_per_peer: RELAY_CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: RELAY_CIRCUIT,
        max_circuit_bytes: RELAY_CIRCUIT_BYTES_MAX,
        reservation_rate_limiters: vec![Box::new(move |peer: PeerId, _: &Multiaddr, _| {
            reserving.has(&peer)
        })],
        circuit_src_rate_limiters: vec![Box::new(move |peer: PeerId, _: &Multiaddr, _| {
            dialling.has(&peer)
        })],
        ..relay::Config::default()
    }
}
