//! Connections: whose they are, whether they are admitted, and which have to make room.

use std::collections::{BTreeMap, HashMap};

use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::mdns;
use libp2p::swarm::{ConnectionId, DialError as SwarmDialError};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::NodeId;
use tokio::time::Instant;

use super::state::{Asked, Due};
use super::{Engine, SwarmEvent};
use crate::network::behaviour::{BehaviourEvent, Members};
use crate::network::limits::{ACQUAINTED_MAX, ADMISSION, STRANGERS_MAX};
use crate::network::meeting::Cause;
use crate::network::places::{Entry, Origin, Places};
use crate::network::session::Route;
use crate::network::streams::Class;
use crate::network::{Address, DialError, NetworkEvent, Path, identity};

/// One connection.
pub(super) struct Connection {
    pub(super) peer_id: PeerId,
    pub(super) route: Route,
    pub(super) since: Instant,
    pub(super) admitted: Option<NodeId>,
    /// Meetings that are held on it, or about to be.
    pub(super) meetings: usize,
}

/// All of them.
pub(super) struct Connections {
    pub(super) map: HashMap<ConnectionId, Connection>,
    /// Dials under way, and whom they are to reach.
    pub(super) dialled: HashMap<ConnectionId, NodeId>,
    /// From others and not admitted yet; some may be gone.
    strangers: Places<ConnectionId>,
    /// The keys with which peers were admitted lately, so that they can be met by them.
    pub(super) acquainted: BTreeMap<NodeId, (PeerId, BoxKey)>,
    /// Whom our relay serves.
    pub(super) members: Members,
}

impl Connections {
    /// A newcomer, and who has to go: another for it, or itself.
    fn enter(&mut self, newcomer: ConnectionId, from: Origin) -> Option<ConnectionId> {
        let map = &self.map;
        let waits = |one: &ConnectionId| map.get(one).is_some_and(|at| at.admitted.is_none());
        self.strangers.retain(waits);
        match self.strangers.enter(newcomer, from, Instant::now()) {
            Entry::Free => None,
            Entry::Instead(other) => Some(other),
            Entry::Full => Some(newcomer),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            dialled: HashMap::new(),
            strangers: Places::new(STRANGERS_MAX),
            acquainted: BTreeMap::new(),
            members: Members::default(),
        }
    }
}

impl Engine {
    pub(super) fn swarm_event(&mut self, event: SwarmEvent) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.established(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.connections.map.remove(&connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.unreachable(connection_id, &error),
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "somebody's connection did not come about");
            }
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => self.listening(listener_id, Address(address)),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                let reason = reason.err().map(|error| error.to_string());
                self.listener_closed(listener_id, addresses, reason.as_deref());
            }
            SwarmEvent::ListenerError { listener_id, error } => {
                let reason = error.to_string();
                self.listener_closed(listener_id, Vec::new(), Some(&reason));
            }
            _ => {}
        }
    }

    fn behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(event) => self.streams(event),
            BehaviourEvent::Lan(mdns::Event::Discovered(seen)) => self.seen(seen),
            BehaviourEvent::RelayServer(event) => {
                tracing::debug!(?event, "relay for others");
            }
            _ => {}
        }
    }

    fn seen(&mut self, seen: Vec<(PeerId, libp2p::Multiaddr)>) {
        let mut found: HashMap<PeerId, Vec<Address>> = HashMap::new();
        for (peer, address) in seen {
            found.entry(peer).or_default().push(Address(address));
        }
        for (peer, addresses) in found {
            if let Some(sign_key) = identity::sign_key(&peer) {
                self.outbox.push_soft(NetworkEvent::LanSeen {
                    sign_key,
                    addresses,
                });
            }
        }
    }

    fn established(&mut self, peer_id: PeerId, connection: ConnectionId, end: &ConnectedPoint) {
        let path = Path {
            address: Address(end.get_remote_address().clone()),
            relayed: end.is_relayed(),
            dialled: end.is_dialer(),
        };
        let dialled = path.dialled;
        let origin = Origin::of(&path.address.0);
        let held = Connection {
            peer_id,
            route: Route { connection, path },
            since: Instant::now(),
            admitted: None,
            meetings: 0,
        };
        self.connections.map.insert(connection, held);
        self.tasks.timers.add(ADMISSION, Due::Admission(connection));
        if !dialled {
            if let Some(pushed) = self.connections.enter(connection, origin) {
                tracing::debug!("no place for a connection that was not admitted yet");
                self.swarm.close_connection(pushed);
            }
            return;
        }
        if let Some(joiner) = self.joins.trying.remove(&connection) {
            let streams = &mut self.swarm.behaviour_mut().streams;
            let ticket = streams.open(peer_id, connection, Class::Join);
            self.asked.insert(ticket, Asked::Join(joiner));
            return;
        }
        // Relays dial for us too, to reserve; those connections have no peer in this map.
        let Some(peer) = self.connections.dialled.get(&connection).copied() else {
            return;
        };
        let Some(at) = self.peers.get(&peer) else {
            self.connections.dialled.remove(&connection);
            self.swarm.close_connection(connection);
            return;
        };
        let relayed = at.link.as_ref().map(|link| link.route.path.relayed);
        let cause = if relayed == Some(true) {
            Cause::Path
        } else {
            Cause::Contact
        };
        let seal_key = at.known.and_then(|known| known.seal_key);
        let streams = &mut self.swarm.behaviour_mut().streams;
        let ticket = streams.open(peer_id, connection, Class::Control);
        self.asked.insert(
            ticket,
            Asked::Control {
                peer,
                connection,
                cause,
                seal_key,
            },
        );
    }

    fn unreachable(&mut self, connection: ConnectionId, error: &SwarmDialError) {
        if let Some(joiner) = self.joins.trying.remove(&connection) {
            return self.join_at_next(*joiner, why(error));
        }
        if let Some(peer) = self.connections.dialled.remove(&connection) {
            self.dial_over(peer, connection, DialError::Unreachable(why(error)));
        }
    }

    /// A dial's chain ended without a link.
    pub(super) fn dial_over(&mut self, peer: NodeId, connection: ConnectionId, reason: DialError) {
        self.connections.dialled.remove(&connection);
        let at = self.peers.get(&peer);
        if at.is_some_and(|at| at.dialling == Some(connection)) {
            self.dial_failed(peer, reason);
        }
    }

    /// A peer was admitted with these keys.
    pub(super) fn acquaint(&mut self, peer: NodeId, connection: ConnectionId, key: BoxKey) {
        let Some(held) = self.connections.map.get(&connection) else {
            return;
        };
        let acquainted = &mut self.connections.acquainted;
        acquainted.insert(peer, (held.peer_id, key));
        if acquainted.len() > ACQUAINTED_MAX {
            // Whoever goes is met as at a first contact, which costs it a round trip.
            acquainted.pop_first();
        }
    }

    /// The key with which this peer was admitted before, where it made this connection.
    pub(super) fn acquaintance(&self, peer: NodeId, connection: ConnectionId) -> Option<BoxKey> {
        let held = self.connections.map.get(&connection)?;
        let (peer_id, key) = self.connections.acquainted.get(&peer)?;
        (*peer_id == held.peer_id).then_some(*key)
    }

    /// From now on it is a member's.
    pub(super) fn admit(&mut self, connection: ConnectionId, peer: NodeId) {
        let Some(held) = self.connections.map.get_mut(&connection) else {
            return;
        };
        held.admitted = Some(peer);
        self.connections.members.add(held.peer_id);
        let streams = &mut self.swarm.behaviour_mut().streams;
        streams.admit(held.peer_id, connection);
    }

    /// A connection's time to be admitted is over.
    pub(super) fn admission_over(&mut self, connection: ConnectionId) {
        let held = self.connections.map.get(&connection);
        if held.is_some_and(|held| held.admitted.is_none() && !self.serves_relay(held.peer_id)) {
            tracing::debug!("a connection was not admitted in time; closing it");
            self.swarm.close_connection(connection);
        }
    }

    /// A member is one no more: its connections go, except those that something new stands on.
    pub(super) fn lost(&mut self, peer: NodeId, kept: &[ConnectionId]) {
        let mut gone = Vec::new();
        for (connection, held) in &self.connections.map {
            if held.admitted == Some(peer) {
                self.connections.members.remove(&held.peer_id);
                if !kept.contains(connection) {
                    gone.push(*connection);
                }
            }
        }
        for connection in gone {
            self.swarm.close_connection(connection);
        }
    }

    /// Somebody sent what nobody may send.
    pub(super) fn malformed(&mut self, connection: ConnectionId, what: &'static str) {
        let Some(held) = self.connections.map.get(&connection) else {
            return;
        };
        let address = &held.route.path.address;
        tracing::warn!(%address, what, "hanging up on a peer that sent what nobody may send");
        if let Some(sign_key) = identity::sign_key(&held.peer_id) {
            self.outbox.push_soft(NetworkEvent::Malformed {
                sign_key,
                peer: held.admitted,
                what,
            });
        }
        self.swarm.close_connection(connection);
    }
}

/// What came of a dial, in one line: where it was tried, and the reasons, each once.
fn why(error: &SwarmDialError) -> String {
    let failed = match error {
        SwarmDialError::Transport(failed) => failed,
        SwarmDialError::Denied { cause } => return format!("not now: {cause}"),
        other => return other.to_string(),
    };
    let Some((first, _)) = failed.first() else {
        return error.to_string();
    };
    let first = first.to_string();
    let first = first.split("/p2p/").next().unwrap_or_default();
    let more = match failed.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more addresses"),
    };
    let mut reasons: Vec<String> = Vec::new();
    for (_, error) in failed {
        let reason = innermost(error);
        if !reason.is_empty() && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let because = if reasons.is_empty() { "" } else { ": " };
    format!(
        "nobody answers at {first}{more}{because}{}",
        reasons.join(", ")
    )
}

/// What is behind an error: what libp2p wraps around it says nothing itself.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}
