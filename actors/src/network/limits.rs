//! Every limit of the network, named once: DESIGN part 8 in this module's words.

use std::time::Duration;

use regatta_protocol::limits::{CONTROL_FRAME_BYTES_MAX, PULL_MESSAGE_BYTES_MAX};

/// A message of control traffic: it crosses in frames of at most 32 KiB.
pub const MESSAGE_BYTES_MAX: usize = PULL_MESSAGE_BYTES_MAX;
/// A frame as it crosses: a sealed 32 KiB, or a handshake message, whichever is longer.
pub const FRAME_BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX + 64;
/// Connections to one peer.
pub const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Streams that one peer may have open at once, over all of its connections.
pub const STREAMS_PER_PEER_MAX: usize = 64;
/// Streams of one connection whose protocol is still being agreed on.
pub const NEGOTIATING_STREAMS_MAX: usize = 16;
/// Connections that have begun and not yet shown a key.
pub const PENDING_INBOUND_MAX: usize = 64;
/// Connections of peers that have not been admitted yet.
pub const STRANGERS_MAX: usize = 64;
/// Meetings that one connection may be in at once: a session, and the one that renews it.
pub const MEETINGS_PER_CONNECTION_MAX: usize = 2;
/// How long it may take to agree on encryption, or on a stream's protocol.
pub const NEGOTIATION: Duration = Duration::from_secs(5);
/// How long a connection may stay without being admitted, the owner's answer included.
pub const ADMISSION: Duration = Duration::from_secs(10);
/// How long a connection without any stream stays.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(15);
/// How long a session that was replaced may take to hand over what is still in it.
pub const HANDOVER: Duration = Duration::from_secs(30);
/// After how long a renewal that failed is tried again.
pub const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// How long a network that stops tries to say farewell.
pub const LEAVING: Duration = Duration::from_secs(2);
/// Messages that wait for one peer.
pub const QUEUE_MESSAGES_MAX: usize = 1024;
/// Their bytes.
pub const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Peers whose keys are remembered after their links are gone.
pub const ACQUAINTED_MAX: usize = 4096;
/// Joins that are answered at once.
pub const JOINS_MAX: usize = 8;
/// Joins that are begun in a second.
pub const JOINS_PER_SECOND: u32 = 2;
/// What a joiner says, and what it is told.
pub const JOIN_BYTES_MAX: usize = 16 * 1024;
/// How long a join may take, the owner's answer included.
pub const JOIN: Duration = Duration::from_secs(10);
/// The name of a bulk stream's protocol.
pub const BULK_NAME_BYTES_MAX: usize = 32;
/// Soft events (what is seen on the LAN) that wait for an owner; beyond it they are dropped.
pub const SOFT_EVENTS_MAX: usize = 256;
/// Addresses of one dial.
pub const ADDRESSES_MAX: usize = 16;
/// Reservations that one relay hands out.
pub const RELAY_RESERVATIONS_MAX: usize = 4096;
/// Circuits that one relay carries.
pub const RELAY_CIRCUITS_MAX: usize = 4096;
/// Circuits of one peer over one relay.
pub const RELAY_CIRCUITS_PER_PEER_MAX: usize = 1024;
/// How long one circuit lives: whoever still needs it then opens another.
pub const RELAY_CIRCUIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What one circuit carries: as much as there is.
pub const RELAY_CIRCUIT_BYTES_MAX: u64 = u64::MAX;
/// The first and the longest pause before a reservation is asked for again.
pub const RESERVE_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A QUIC connection that nobody uses ends after this; its link was given up long before.
pub const QUIC_IDLE: Duration = Duration::from_secs(4 * 60 * 60);

/// How often the local network is asked again who is there, and how long an answer counts. Whoever comes
/// asks at once, so this only mends what was lost on the way.
pub const LAN_ASKED: (Duration, Duration) =
    (Duration::from_secs(10 * 60), Duration::from_secs(25 * 60));

/// What differs from node to node.
#[derive(Clone, Copy, Debug)]
pub struct NetworkLimits {
    /// After how long without a word from a peer it is asked for one.
    pub ping_every: Duration,
    /// How many such words may be missed before the link is given up.
    pub pings_missed_max: u32,
    /// Connections from others, members and strangers.
    pub inbound_max: u32,
    /// All connections.
    pub connections_max: u32,
    /// Bytes that wait for all peers together.
    pub in_flight_bytes_max: usize,
    /// Memory of the process above which no further connection is taken; none for no such bound.
    pub process_bytes_max: Option<usize>,
}

impl NetworkLimits {
    /// For a device: few peers, little memory.
    #[must_use]
    pub fn agent() -> Self {
        Self {
            ping_every: Duration::from_secs(15),
            pings_missed_max: 3,
            inbound_max: 128,
            connections_max: 192,
            in_flight_bytes_max: 64 * 1024 * 1024,
            process_bytes_max: Some(256 * 1024 * 1024),
        }
    }

    /// The same for a node whose homes hear it so often anyway: a link is asked only where that and what
    /// neighbours say, six times as seldom, have stayed away.
    #[must_use]
    pub fn beside_keep_alives(self, every: Duration) -> Self {
        Self {
            ping_every: every * 7,
            ..self
        }
    }

    /// For a manager: a fleet's worth of peers.
    #[must_use]
    pub fn manager() -> Self {
        Self {
            inbound_max: 50_000,
            connections_max: 60_000,
            in_flight_bytes_max: 512 * 1024 * 1024,
            process_bytes_max: None,
            ..Self::agent()
        }
    }
}
